"""Text is sent compressed, except where its length could reveal a secret of the page to others (BREACH).

In this attack another site makes a browser request a page again and again, with guesses in the address, and observes
the lengths of the answers. So a page that another site's page requested is not compressed; and the form token, the one
secret in every page, looks different in each answer (`webapp.ui.forms`). Files (`webapp.ui.frame.assets`) contain no
secrets. Streams are not compressed.
"""

import gzip

from flask import Flask, Response, request

KINDS = frozenset(
    ("text/html", "text/css", "text/javascript", "text/plain", "application/json", "image/svg+xml", "text/csv")
)
_LEAST = 600  # bytes: less fits into one packet anyway
_LEVEL = 5  # 97 % of what level 9 saves, in half of its time


def init_app(app: Flask) -> None:
    app.after_request(_compress)


def gzip_accepted() -> bool:
    """Whether the client accepts gzip."""
    return request.accept_encodings.quality("gzip") > 0


def _compress(response: Response) -> Response:
    if response.mimetype not in KINDS or response.is_streamed or "Content-Encoding" in response.headers:
        return response
    response.vary.add("Accept-Encoding")
    if response.status_code in (204, 206, 304) or not gzip_accepted() or _is_asked_by_another_site():
        return response
    content = response.get_data()
    if len(content) >= _LEAST:
        response.set_data(gzip.compress(content, _LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    return response


def _is_asked_by_another_site() -> bool:
    """Whether another site's page made the request, as every current browser says behind https; other clients are no
    browsers.
    """
    return request.headers.get("Sec-Fetch-Site", "") in ("cross-site", "same-site")
