"""Failures in plugins: logged, and kept for a week for the page that lists the plugins.

`note` uses no network, since it is called in the middle of transactions; the failures are sent to Redis when the
request, the job or the round of the scheduler is over. An error's message may quote a buyer: stored are its kind, its
stack, and of the message only what the Python interpreter itself wrote about a name.
"""

import json
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from flask import Flask, has_request_context
from redis import RedisError

from webapp.clock import now, parse_instant
from webapp.db import failure_of
from webapp.errors import DatabaseBusy, DiskFull, TooSlow, Unavailable
from webapp.live import connection, key

log = structlog.get_logger(__name__)
KEPT = 7 * 86_400  # seconds
_ENDS = 5  # frames kept at each end of a long stack
_HERE = Path(__file__).parent  # the fence itself
_ROOT = Path(__file__).resolve().parents[2]
_noted: dict[tuple[str, str, str, str], "Failure"] = {}
_lock = threading.Lock()


class WrongType(TypeError):
    """A plugin gave a value of another type than the hook asks for."""

    def __init__(self, given: object, wanted: Any) -> None:
        super().__init__(f"gave {_name(type(given))} where {_name(wanted)} is needed")


def _name(kind: Any) -> str:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join("nothing" if one is type(None) else f"“{one.__name__}”" for one in kinds)


class NotTaken(ValueError):
    """A plugin registered something that is not possible: the message contains codes only."""


NO_FAULTS: list[type[BaseException]] = [TooSlow, DatabaseBusy, DiskFull, Unavailable]  # of a plugin that raises them


def is_no_fault(error: BaseException) -> bool:
    """Whether this is trouble of the machine, or the end of the time of a page or a job. A process may be told to
    exit; a request may not.
    """
    if isinstance(error, SystemExit):
        return not has_request_context()
    return isinstance(error, tuple(NO_FAULTS)) or (isinstance(error, Exception) and failure_of(error) is not None)


@dataclass(slots=True)
class Failure:
    """A failure: the plugin, the place of the desk that called it, and the code of the thing that failed."""

    plugin: str
    place: str  # "badge", "column", "job" …
    code: str
    problem: str  # the kind of the error, or "slow"
    detail: str  # what may be said about it without quoting a value; for "slow" the seconds taken, and those allowed
    where: list[str]  # the stack, the innermost frame last
    at: str
    times: int = 1

    @property
    def last_at(self) -> datetime:
        return parse_instant(self.at)


def _now() -> str:
    return now().isoformat()


def note(plugin: str, place: str, code: str, error: BaseException) -> None:
    """Record that a plugin failed in this place."""
    kind = type(error).__name__
    _remember(plugin, place, code, kind, lambda: (_detail(error), _way(error)))


def note_slow(plugin: str, place: str, code: str, seconds: float, limit: float) -> None:
    """Record that a plugin took longer than it may."""
    _remember(plugin, place, code, "slow", lambda: (f"{seconds:.1f} {limit:g}", []))


def _remember(plugin: str, place: str, code: str, problem: str, tell: Callable[[], tuple[str, list[str]]]) -> None:
    """Count the failure; describe and log it if it is the first of its kind since the last sending, because a page
    calls a plugin for each of its rows.
    """
    known = (plugin, place, code, problem)
    with _lock:
        if (earlier := _noted.get(known)) is not None:
            earlier.times += 1
            earlier.at = _now()
            return
        detail, where = tell()
        _noted[known] = Failure(plugin, place, code, problem, detail, where, _now())
    log.error("plugin_failed", plugin=plugin, place=place, code=code, kind=problem, detail=detail, way=where)


def _way(error: BaseException) -> list[str]:
    """The stack: the frame that entered the plugin, and the innermost frames; those between may be left out."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent != _HERE]
    way = [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    return way if len(way) <= 2 * _ENDS else [*way[:_ENDS], "…", *way[-_ENDS:]]


def describe(error: BaseException) -> str:
    """One line about an error: its message if that contains no value, else its kind."""
    detail = _detail(error)
    return detail if isinstance(error, (WrongType, NotTaken)) else f"{type(error).__name__} {detail}".strip()


def _detail(error: BaseException) -> str:
    """A message that contains no value: our own about a wrong type, the interpreter's about an unknown name."""
    if isinstance(error, (WrongType, NotTaken)):
        return str(error)
    name = getattr(error, "name", None) if isinstance(error, (AttributeError, NameError, ImportError)) else None
    return f"“{name}”" if isinstance(name, str) else ""


def _short(filename: str) -> str:
    """The end of a file's path, from the package on."""
    path = Path(filename)
    for folder in (_ROOT, *map(Path, sys.path)):
        if folder.is_absolute() and path.is_relative_to(folder):
            return str(path.relative_to(folder))
    return path.name


# --- In Redis ---------------------------------------------------------------------------------------------------------


def init_app(app: Flask) -> None:
    app.teardown_appcontext(lambda _error: send())


def send() -> None:
    """Send the failures noted in this process to Redis, for the page of plugins."""
    if not _noted:
        return
    with _lock:
        noted = list(_noted.values())
        _noted.clear()
    try:
        with connection().pipeline(transaction=False) as pipe:
            for failure in noted:
                field = "|".join((failure.plugin, failure.place, failure.code, failure.problem))
                pipe.hincrby(key("plugin-failures", "times"), field, failure.times)
                pipe.hset(key("plugin-failures"), field, json.dumps(asdict(failure)))
            for name in (key("plugin-failures"), key("plugin-failures", "times")):
                pipe.expire(name, KEPT)
            pipe.execute()
    except RedisError as error:  # the log has the failures
        log.warning("plugin_failures_not_kept", problem=type(error).__name__)


def recent() -> list[Failure]:
    """The failures of the last week, the latest first. Raises `RedisError`."""
    send()
    kept: Mapping[bytes, bytes] = connection().hgetall(key("plugin-failures"))  # type: ignore[assignment]
    times: Mapping[bytes, bytes] = connection().hgetall(key("plugin-failures", "times"))  # type: ignore[assignment]
    found = []
    for field, body in kept.items():
        failure = Failure(**json.loads(body))
        failure.times = int(times.get(field, failure.times))
        if (now() - failure.last_at).total_seconds() > KEPT:
            connection().hdel(key("plugin-failures"), field)
            connection().hdel(key("plugin-failures", "times"), field)
        else:
            found.append(failure)
    return sorted(found, key=lambda failure: failure.at, reverse=True)
