"""The fence around every call of a plugin, and of what the desk itself registers in the same way.

A plugin may raise any error, return a value of a wrong type, or take too long. `ask` turns an error into
`PluginFailed`, a refusal with a sentence, and records it (`failures`). A page shows the sentence in that place and
continues; an act ends with it. Errors that are not the plugin's fault are raised unchanged: a page whose time is over,
trouble of the database, queue or disk, a job that is told to stop.
"""

import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from flask import Flask, g, has_request_context
from sqlalchemy.exc import DBAPIError

from webapp.db import db
from webapp.errors import Refusal
from webapp.hooks import failures
from webapp.hooks.failures import is_no_fault
from webapp.hooks.registered import OfPlugin, is_ours, owner_of, plugin_of
from webapp.i18n import lazy_gettext as _l

T = TypeVar("T")
LONG = 1.0  # seconds of a request that one thing may take in one place, unless it declares its own limit
_COUNTED = 0.0005  # seconds: what takes less is not worth counting


class PluginFailed(Refusal):
    """A plugin failed; never raised for what the desk itself does."""

    code, status = "plugin_failed", 500
    sentence = _l("“%(what)s” of the plugin “%(plugin)s” failed. The Plugins page shows the reason.")
    own: ClassVar = _l("“%(what)s” failed. The Plugins page shows the reason.")

    def __str__(self) -> str:
        said = self.own if is_ours(str(self.values["plugin"])) else self.sentence
        return str(said) % self.values


def init_app(app: Flask) -> None:
    """At the end of a request or a job, record what took too long, and send what was recorded."""
    app.teardown_request(lambda _error: _note_slow())
    failures.init_app(app)


def ask(
    item: object,
    place: str,
    function: Callable[..., T],
    *arguments: Any,
    gives: Any = None,
    seconds: float | None = None,
    raises: type[BaseException] | tuple[type[BaseException], ...] = (),
) -> T:
    """The value that this function of a registered thing returns. Raises `PluginFailed` if it raises, or returns a
    value that is not of the types in `gives`.

    `place` is the place of the desk that calls it: "badge", "column" … If it takes longer than its `seconds` in a
    request, that is recorded, and the value is used. Errors in `raises` are valid answers, such as a refusal, and are
    raised unchanged.
    """
    began = time.perf_counter()
    try:
        answer = function(*arguments)
        if gives is not None and not isinstance(answer, gives):
            raise failures.WrongType(answer, gives)
    except (Exception, SystemExit) as error:
        if isinstance(error, raises):
            raise
        raise failed(item, place, error) from error
    finally:
        _count(item, place, began, LONG if seconds is None else seconds)
    return answer


def failed(item: object, place: str, error: BaseException) -> PluginFailed:
    """The refusal for an error of a registered thing, which is recorded. Raises the error itself if the thing is not
    at fault.
    """
    if isinstance(error, PluginFailed):  # recorded where it was raised
        return error
    if is_no_fault(error):
        raise error
    if _of_database(error) and not db.session().info.get("writing"):
        db.session.rollback()  # after a failed statement PostgreSQL accepts no other in the transaction
    plugin = item.plugin if isinstance(item, OfPlugin) else plugin_of(error) or owner_of(item)
    failures.note(plugin, place, code_of(item), error)
    return PluginFailed(plugin=plugin, what=label_of(item) or place)


def _of_database(error: BaseException | None) -> bool:
    """Whether a statement failed, also if the plugin raised another error because of it."""
    while error is not None:
        if isinstance(error, DBAPIError):
            return True
        error = error.__cause__ or error.__context__
    return False


def code_of(item: object) -> str:
    """The code of a registered thing, also if reading the code fails."""
    try:
        return str(getattr(item, "code", ""))
    except Exception:
        return type(item).__name__


def label_of(item: object) -> str:
    """The label of a registered thing; its code if the label can't be read."""
    try:
        return str(getattr(item, "label", "")) or code_of(item)
    except Exception as error:
        failures.note(owner_of(item), "label", code_of(item), error)
        return code_of(item)


def _count(item: object, place: str, began: float, limit: float) -> None:
    """Add the time that a thing takes in one place during a request, without the time of other things that it calls."""
    took = time.perf_counter() - began
    if took < _COUNTED or not has_request_context():
        return
    calls: list[tuple[float, float]] = g.setdefault("fence_calls", [])
    within = sum(seconds for start, seconds in calls if start >= began)
    g.fence_calls = [call for call in calls if call[0] < began] + [(began, took)]
    sums = g.setdefault("fence_sums", {})
    earlier, *_ = sums.get((id(item), place), (0.0,))
    sums[id(item), place] = (earlier + took - within, limit, item)


def _note_slow() -> None:
    for (_, place), (took, limit, item) in g.pop("fence_sums", {}).items():
        if took > limit:
            failures.note_slow(owner_of(item), place, code_of(item), took, limit)
