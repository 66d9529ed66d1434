"""The fence around every call of a plugin, and of what the desk itself registers in the same way.

A plugin may raise anything, give something else than it was asked for, or take too long. `ask` turns what it does
wrong into `PluginFailed`, a refusal with a sentence, and notes it (`failures`). Whoever asks lets the place say so and
goes on; in an act the refusal ends the act. What is no fault of a plugin passes through: a page whose time is over, a
database, queue or disk in trouble, a job that is told to stop.
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
LONG = 1.0  # seconds of a request that a thing may take in one place, unless it declares its own
_COUNTED = 0.0005  # seconds: what takes less is not worth counting


class PluginFailed(Refusal):
    """Something of a plugin failed; what the desk itself does is not concerned."""

    code, status = "plugin_failed", 500
    sentence = _l("“%(what)s” of the plugin “%(plugin)s” failed. The Plugins page says how.")
    own: ClassVar = _l("“%(what)s” failed. The Plugins page says how.")

    def __str__(self) -> str:
        said = self.own if is_ours(str(self.values["plugin"])) else self.sentence
        return str(said) % self.values


def init_app(app: Flask) -> None:
    """Note what took too long in a request, and send on what was noted, when the request or the job is over."""
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
    """What this function of a registered thing gives. Raises `PluginFailed` where it fails, or gives nothing of the
    types in `gives`.

    `place` says where on the desk it was asked: "badge", "column" … What it takes longer than its `seconds` in a
    request is noted, and its answer counts. Errors that are an answer, such as a refusal of its own, are named in
    `raises`, and raised.
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
    """The refusal for what a registered thing did wrong, which is noted. Raises the error itself where it is no fault
    of the thing.
    """
    if isinstance(error, PluginFailed):  # noted where it happened
        return error
    if is_no_fault(error):
        raise error
    if _of_database(error) and not db.session().info.get("writing"):
        db.session.rollback()  # PostgreSQL answers nothing more in a transaction in which a statement failed
    plugin = item.plugin if isinstance(item, OfPlugin) else plugin_of(error) or owner_of(item)
    failures.note(plugin, place, code_of(item), error)
    return PluginFailed(plugin=plugin, what=label_of(item) or place)


def _of_database(error: BaseException | None) -> bool:
    """Whether a statement failed, also where the plugin made another error of that."""
    while error is not None:
        if isinstance(error, DBAPIError):
            return True
        error = error.__cause__ or error.__context__
    return False


def code_of(item: object) -> str:
    """The code of a registered thing, whatever it does when it is asked."""
    try:
        return str(getattr(item, "code", ""))
    except Exception:
        return type(item).__name__


def label_of(item: object) -> str:
    """The label of a registered thing; its code where it can't be read."""
    try:
        return str(getattr(item, "label", "")) or code_of(item)
    except Exception as error:
        failures.note(owner_of(item), "label", code_of(item), error)
        return code_of(item)


def _count(item: object, place: str, began: float, limit: float) -> None:
    """Add up what a thing takes in one place in the course of a request, without what it asked of others meanwhile."""
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
