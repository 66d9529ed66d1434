"""Each request's id and its line in the log: the route and the result, never a path, a query or a form's values."""

import secrets
import time

import structlog
from flask import Flask, Response, g, request

from webapp.ui.frame.header_values import put

log = structlog.get_logger("webapp.request")
_SILENT = {"static", "health.alive", "health.ready"}


def init_app(app: Flask) -> None:
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_forget)


def request_id() -> str:
    """The id by which this request is found in the log; empty outside a request."""
    return str(g.get("request_id", ""))


def _begin() -> None:
    for name in list(g):  # a context that outlives its request, as in tests, passes nothing on to the next
        g.pop(name)
    g.request_id, g.began = secrets.token_hex(8), time.perf_counter()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end(response: Response) -> Response:
    put(response, "X-Request-Id", request_id())
    if request.endpoint not in _SILENT:
        log.info(
            "request",
            method=request.method,
            route=request.url_rule.rule if request.url_rule else None,  # a path can contain a one-time token
            status=response.status_code,
            ms=round((time.perf_counter() - g.began) * 1000, 1),
        )
    return response


def _forget(error: BaseException | None) -> None:
    structlog.contextvars.unbind_contextvars("request_id")
