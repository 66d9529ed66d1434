"""Error pages: a refusal's own sentence, HTTP errors, and bugs, which are logged with an id and without values."""

import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from flask import Flask, current_app, g, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from redis import RedisError
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolEmpty
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Response

from webapp.db import db, failure_of
from webapp.errors import DeskError, Unavailable
from webapp.hooks.fence import PluginFailed
from webapp.i18n import gettext as _
from webapp.ui.frame import htmx
from webapp.ui.frame.header_values import put
from webapp.ui.frame.pages import page
from webapp.ui.frame.plugin_pages import failure_of_page, is_of_plugin
from webapp.ui.frame.request_log import request_id

log = structlog.get_logger(__name__)
_FRAMES = 12
View = TypeVar("View", bound=Callable[..., Any])


def init_app(app: Flask) -> None:
    app.register_error_handler(DeskError, _refused)
    app.register_error_handler(PluginFailed, _plugin_failed)
    for drivers in (DBAPIError, PoolEmpty, OSError, RedisError):
        app.register_error_handler(drivers, _driver)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _bug)


def _refused(error: DeskError) -> Response:
    if error.status >= 500:
        log.warning("unavailable", code=error.code)
    response = _answer(error.status, str(error), error.code)
    response.headers.extend(again_after(error))
    return response


def _plugin_failed(error: PluginFailed) -> Response:
    """The answer if a plugin failed: an error page within the frame of every page."""
    if not is_of_plugin(request.endpoint) or htmx.is_htmx():
        return _refused(error)
    db.session.rollback()
    return make_response(page("frame/errors/plugin.html", sentence=str(error), request_id=request_id()), error.status)


def again_after(error: DeskError) -> dict[str, str]:
    """The header with the seconds after which a refusal may be over, if it knows them."""
    seconds = error.values.get("retry_after")
    return {"Retry-After": str(seconds)} if seconds else {}


def _driver(error: Exception) -> Response:
    """The answer if a database, disk or queue is busy, full or gone; any other error of theirs is a bug of ours."""
    known = Unavailable(what="queue") if isinstance(error, RedisError) else failure_of(error)
    return _refused(known) if known else _bug(error)


def _http(error: HTTPException) -> Response:
    sentence = ""
    if isinstance(error, CSRFError):
        sentence = _("This page was open for too long, or its form was sent from elsewhere. Reload it and try again.")
    elif isinstance(error, RequestEntityTooLarge):
        sentence = _("That is too large. Send a smaller file or a shorter text.")
    response = _answer(error.code or 500, sentence)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            put(response, name, value)
    return response


def _bug(error: Exception) -> Response:
    """The answer to an unforeseen error. The log gets the stack, not the message: it could quote anything."""
    if is_of_plugin(request.endpoint):
        return _plugin_failed(failure_of_page(error))
    if current_app.testing:
        raise error
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    log.error(
        "request_failed",
        error=type(error).__name__,
        where=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )
    return _answer(500, "")


def _answer(status: int, sentence: str, kind: str = "") -> Response:
    with suppress(DBAPIError, PoolEmpty):  # a session that can't even end is dropped with its request
        db.session.rollback()
    if htmx.is_htmx() and sentence:
        return htmx.into_messages(
            make_response(render_template("frame/errors/_refusal.html", sentence=sentence), status)
        )
    typed = _typed() if status == Unavailable.status else ()
    context = {"code": status, "kind": kind, "sentence": sentence, "request_id": request_id(), "typed": typed}
    return make_response(render_template("frame/errors/error.html", **context), status)


def shown_again(view: View) -> View:
    """Mark a view whose input has no secrets: if the input is refused, the page that says why shows it again."""
    view.shows_again = True  # type: ignore[attr-defined]
    return view


def _typed() -> tuple[tuple[str, str], ...]:
    """The fields that a browser without scripts sent to a view that may show them again, for a button that sends
    them once more; without files, and empty if the form is not known to be one of ours.
    """
    view = current_app.view_functions.get(request.endpoint or "")
    if not getattr(view, "shows_again", False) or not g.get("csrf_valid") or request.files:
        return ()
    return tuple((name, value) for name, value in request.form.items(multi=True) if name != "csrf_token")
