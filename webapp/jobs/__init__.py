"""Jobs: background work by name. A job is sent when the unit of work that enqueued it commits, or not at all.

The queue only carries jobs. Whatever must happen is a row in the database, and the schedule finds the rows that are
due: a lost job loses nothing, and a job that runs twice repeats nothing. A job is not sent while another with the same
arguments waits, because the waiting job will read the rows of both; only RQ's own retries of a failed job can wait
beside it. Job arguments are ids, never buyer data. `queues` lists the queues and which worker serves them. RQ is
imported only here and in `worker`.
"""

import hashlib
import json
import os
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, ParamSpec

import structlog
from redis import RedisError, WatchError
from rq import Queue, Retry, get_current_job
from rq.serializers import JSONSerializer
from rq.timeouts import BaseTimeoutException

from webapp.config import configuration
from webapp.db import after_commit
from webapp.hooks import failures
from webapp.hooks.registered import plugin_of
from webapp.jobs.queues import CLOCK, QUEUES
from webapp.live import connection, key

P = ParamSpec("P")
log = structlog.get_logger(__name__)

_MARKED = 2 * 86_400  # seconds; longer than the interval of the rarest schedule, which renews this key
_jobs: dict[str, "Job[Any]"] = {}
TimeOver = BaseTimeoutException  # the job is told to stop when it exceeds its time limit
failures.NO_FAULTS.append(TimeOver)


@dataclass(frozen=True)
class Job(Generic[P]):
    """A function that workers run; calling it runs it here and now."""

    name: str
    function: Callable[P, None]
    queue: str
    timeout: int

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        self.function(*args, **kwargs)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Run the job on a worker once the open unit of work is committed, unless one with the same arguments
        already waits.
        """
        self._after_commit(0.0, args, kwargs)

    def enqueue_in(self, seconds: float, *args: P.args, **kwargs: P.kwargs) -> None:
        """Run the job on a worker `seconds` after the open unit of work is committed."""
        self._after_commit(seconds, args, kwargs)

    def on(self, queue: str, *, timeout: int) -> "Job[P]":
        """This job in another queue, with a time limit in seconds."""
        return replace(self, queue=queue, timeout=timeout)

    def _after_commit(self, seconds: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        json.dumps([args, kwargs])  # arguments that can't be serialized fail here, not after the commit

        def leave() -> None:
            try:
                if seconds > 0:
                    later = timedelta(seconds=seconds)
                    queue(self.queue).enqueue_in(later, PERFORM, **self._options(args, kwargs))
                else:
                    self.send(args, kwargs)
            except RedisError as error:  # the row remains: the schedule finds it once the queue is reachable again
                log.warning("job_not_sent", job=self.name, problem=type(error).__name__)

        after_commit(leave)

    def send(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> bool:
        """Put the job into its queue now, unless one with the same arguments already waits. Returns whether it was
        put there. Raises `RedisError`.

        Checking and putting are one atomic step in Redis: of any number of senders exactly one puts the job there.
        """
        kwargs = kwargs or {}
        mark = _mark(self.name, args, kwargs)
        with connection().pipeline() as redis:
            while True:
                redis.watch(mark)
                waiting: Any = redis.get(mark)
                if waiting is not None and redis.lpos(queue(self.queue).key, waiting.decode()) is not None:
                    redis.expire(mark, _MARKED)
                    return False
                redis.multi()
                options = self._options(args, kwargs)
                queue(self.queue).enqueue(PERFORM, pipeline=redis, **options)
                redis.set(mark, options["job_id"], ex=_MARKED)
                try:
                    redis.execute()
                except WatchError:
                    continue
                return True

    def _options(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """RQ's options for the job. A job of the clock is not retried by RQ: a retry would wait beside the clock's
        next one.
        """
        return {
            "job_id": str(uuid.uuid4()),
            "args": (self.name, list(args), kwargs),
            "job_timeout": self.timeout,
            "retry": None if self.queue == CLOCK else Retry(max=3, interval=[2, 10, 60]),
            "result_ttl": 60,
            "failure_ttl": 7 * 86400,
            "description": f"{self.name}{args!r}",
        }


PERFORM = "webapp.jobs.perform"
LONGEST_OF_CLOCK = 2.0  # seconds
_FORGET = "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end"


def _mark(name: str, args: Any, kwargs: dict[str, Any]) -> str:
    """The Redis key that holds the id of the job waiting with these arguments."""
    asked = json.dumps([name, list(args), kwargs], sort_keys=True)
    return key("waiting", hashlib.sha256(asked.encode()).hexdigest()[:32])


def job(queue: str, *, timeout: int = 300, formerly: str = "") -> Callable[[Callable[P, None]], Job[P]]:
    """Make a function a job of this queue; `webapp.jobs.queues` describes each queue. `formerly` is the name under
    which an earlier version enqueued it: what waits under that name is performed, too.
    """
    if queue not in QUEUES:
        raise ValueError(f"no queue {queue!r}")

    def declare(function: Callable[P, None]) -> Job[P]:
        name = f"{function.__module__.removesuffix('.jobs')}.{function.__name__}"
        _jobs[name] = Job(name, function, queue, timeout)
        if formerly:
            _jobs[formerly] = _jobs[name]
        return _jobs[name]

    return declare


def a_moment(seconds: float = 1.0) -> Iterator[None]:
    """Yield once, and again until `seconds` are over, for jobs of the clock. If the loop ends without `break`, work is
    left and the job enqueues itself::

        for _ in a_moment():
            if not clear_some():
                break
        else:
            clear.enqueue()
    """
    end = time.monotonic() + seconds
    yield
    while time.monotonic() < end:
        yield


class JobFailed(Exception):
    """A job ended with an error. RQ stores this exception: its text names the kind of the error and never contains
    values.
    """


def perform(name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Run the job of this name; RQ calls this. An unknown name was enqueued by another version of the desk and raises.

    The text of an error may name a buyer, and RQ would store and log it. So only the kind of the error and the stack
    are logged here, and only the kind is raised.
    """
    if running := get_current_job():
        connection().eval(_FORGET, 1, _mark(name, args, kwargs), running.id)
    function, began = _jobs[name], time.monotonic()
    with structlog.contextvars.bound_contextvars(job=name):
        try:
            function(*args, **kwargs)
            took = time.monotonic() - began
            if function.queue == CLOCK and took > LONGEST_OF_CLOCK:  # work that people wait for is behind it
                log.warning("clock_job_took_long", seconds=round(took, 1))
        except Exception as error:
            way = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
            log.error("job_failed", kind=type(error).__name__, way=" ".join(way[1:]))
            plugin = plugin_of(error)
            if plugin and isinstance(error, TimeOver):
                failures.note_slow(plugin, "job", name, time.monotonic() - began, function.timeout)
            elif plugin and not failures.is_no_fault(error):
                failures.note(plugin, "job", name, error)
            raise JobFailed(f"{name}: {type(error).__name__}") from None


@lru_cache(maxsize=64)
def _queue(name: str, url: str) -> Queue:
    return Queue(name, connection=connection(), serializer=JSONSerializer)


def queue(name: str) -> Queue:
    return _queue(name, configuration().queue)


def current_id() -> str:
    """The owner name for leases: the id of the running job, which stays when RQ retries it, or the process outside a
    job.
    """
    running = get_current_job()
    return running.id if running else f"process-{os.getpid()}-{threading.get_ident()}"


__all__ = ["QUEUES", "Job", "RedisError", "TimeOver", "a_moment", "current_id", "job", "perform", "queue"]
