"""Text is sent compressed, but not where its length could tell somebody else a secret of the page (BREACH).

Such an attack makes a browser ask for a page again and again, with guesses in the address, and watches how long the
answers are. So no page is compressed that another site's page asked for; and the form token, the one secret that every
page holds, looks different in each answer (`webapp.ui.forms`). Files (`webapp.ui.frame.assets`) hold no secrets.
Streams go as they are.
"""

import gzip

from flask import Flask, Response, request

KINDS = frozenset(
    ("text/html", "text/css", "text/javascript", "text/plain", "application/json", "image/svg+xml", "text/csv")
)
_LEAST = 600  # bytes: less fits into one packet anyway
_LEVEL = 5  # 97 % of what 9 saves, in half of its time


def init_app(app: Flask) -> None:
    app.after_request(_compress)


def gzip_accepted() -> bool:
    """Whether whoever asks takes gzip."""
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
    """What every current browser says by itself of a request behind https; others were not made by a browser."""
    return request.headers.get("Sec-Fetch-Site", "") in ("cross-site", "same-site")
