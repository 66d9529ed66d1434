"""Asking the listeners of a hook before something is done: the hooks that `specs` marks as asked.

A plugin's listener that fails has not agreed, so it counts as a refusal: the act ends with the sentence of the fence
and is rolled back. An error in a listener of the desk itself is raised as it is.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import NoneType
from typing import Any, TypeVar

from webapp.db import db, guarded_savepoint
from webapp.errors import Refusal
from webapp.hooks import failures
from webapp.hooks.fence import ask
from webapp.hooks.registered import Listener, is_ours, listeners

T = TypeVar("T")


def ask_listeners(hook: str, *facts: Any, gives: type[T]) -> list[T]:
    """The answers of the listeners, without None. Raises the refusal that a listener raises, or `PluginFailed` if a
    listener of a plugin fails.
    """
    answers = (_asked(listener, listener, *facts, gives=gives) for listener in listeners(hook))
    return [answer for answer in answers if answer is not None]


def refusals(hook: str, orders: Sequence[int]) -> dict[int, Refusal]:
    """Those of these orders that a listener refuses, each with the reason. A listener that raises a refusal, or
    fails, refuses all of them.
    """
    found: dict[int, Refusal] = {}
    for listener in listeners(hook) if orders else ():
        try:
            found |= _asked(listener, _refusals_of, listener, list(orders), gives=dict) or {}
        except Refusal as refusal:
            found |= dict.fromkeys(orders, refusal)
    return found


def _refusals_of(listener: Listener, orders: list[int]) -> dict[int, Refusal] | None:
    given: dict[int, Refusal] | None = listener(orders)
    for refusal in given.values() if given is not None else ():
        if not isinstance(refusal, Refusal):
            raise failures.WrongType(refusal, Refusal)
    return given


def _asked(listener: Listener, function: Callable[..., Any], *arguments: Any, gives: type[Any]) -> Any:
    if is_ours(listener.plugin):
        return function(*arguments)
    with guarded_savepoint() if db.session().info.get("writing") else nullcontext():
        return ask(listener, "hook", function, *arguments, gives=(gives, NoneType), raises=Refusal)
