"""Browsers without a script: they get at once what others load after the page.

A page with parts to load sends such a browser on to itself with `whole` (`frame/_whole.html`). A cookie remembers it,
so that the next page is whole at once and its messages are not lost on the way; `waybill.js` takes the cookie away.
"""

from flask import Response, after_this_request, request

from webapp.ui.frame.headers import is_https

COOKIE = "waybill_unscripted"


def whole() -> bool:
    """Whether the page that is being drawn loads nothing afterwards."""
    if "whole" not in request.args:
        return COOKIE in request.cookies

    @after_this_request
    def remember(response: Response) -> Response:
        response.set_cookie(COOKIE, "1", samesite="Lax", secure=is_https())
        return response

    return True


def whole_url() -> str:
    """The address of the page that is being drawn, drawn whole."""
    asked = request.query_string.decode("ascii", "replace")
    here = f"{request.script_root}{request.path}"
    return f"{here}?{asked}&whole=1" if asked else f"{here}?whole=1"
