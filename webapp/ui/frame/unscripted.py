"""Browsers without scripts: their pages contain at once the parts that other browsers load after the page.

A page with parts to load redirects such a browser to itself with the parameter `whole` (`frame/_whole.html`). A cookie
remembers this, so that the next page is whole without a redirect, which would lose its messages. `page.js` deletes the
cookie.
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
