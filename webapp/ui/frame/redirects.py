"""Redirects: the only function that redirects to another page, and the check of every target.

A target may come from a form or an address (`next`). It must be an address of this desk that a `Location` header can
contain. Browsers drop tabs and line breaks from a target and read a backslash as a slash, so both could lead elsewhere.
"""

import re
from urllib.parse import urlsplit, urlunsplit

import flask
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Response

LONGEST = 8_000  # characters, as they are sent; servers and proxies refuse addresses much beyond 8 KB
_NO_ADDRESS = re.compile(r"^(?!/)|^//|[\x00-\x1f\x7f-\x9f\\\u2028\u2029\ud800-\udfff]")


def init_app(app: flask.Flask) -> None:
    app.after_request(_without_host)


def local(target: str) -> str:
    """The target, or the desk's first page if the target is not an address of this desk."""
    if len(target) > LONGEST or _NO_ADDRESS.search(target) or len(iri_to_uri(target)) > LONGEST:
        return "/"
    return target


def redirect(target: str, code: int = 302) -> Response:
    """Redirect to an address of this desk. Any other target leads to the first page."""
    return flask.redirect(local(target), code)


def _without_host(response: flask.Response) -> flask.Response:
    """Remove the host from a target. Flask adds a missing slash by itself, with the host that the request named."""
    if response.location and not response.location.startswith("/"):
        parts = urlsplit(response.location)
        response.location = local(urlunsplit(("", "", parts.path, parts.query, "")))
    return response
