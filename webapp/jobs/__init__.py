"""Jobs: background work by name. A job leaves with the commit of the unit of work that enqueued it, or not at all.

The queue is a messenger, never a memory: whatever must happen stands in a row, and the schedule re-finds what is due,
so a lost job loses nothing and a repeated one repeats nothing. Job arguments are ids, never buyer data. All imports of
RQ stand here and in `worker`.
"""

import json
import os
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, ParamSpec

import structlog
from redis import RedisError
from rq import Queue, Retry, get_current_job
from rq.serializers import JSONSerializer

from webapp.clock import now
from webapp.config import configuration
from webapp.db import after_commit
from webapp.live import connection, key

P = ParamSpec("P")
log = structlog.get_logger(__name__)

QUEUES = ("channels", "desk")  # workers serve them in this order
_jobs: dict[str, "Job[Any]"] = {}


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
        """Run it on a worker as soon as the open unit of work is committed."""
        self._send(0.0, args, kwargs)

    def enqueue_in(self, seconds: float, *args: P.args, **kwargs: P.kwargs) -> None:
        """Run it on a worker after so many seconds, once the open unit of work is committed."""
        self._send(seconds, args, kwargs)

    def _send(self, seconds: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        json.dumps([args, kwargs])  # what can't travel is found before the commit, not after it

        def send() -> None:
            options: dict[str, Any] = {
                "args": (self.name, list(args), kwargs),
                "job_timeout": self.timeout,
                "retry": Retry(max=3, interval=[2, 10, 60]),
                "result_ttl": 60,
                "failure_ttl": 7 * 86400,
                "description": f"{self.name}{args!r}",
            }
            try:
                if seconds > 0:
                    queue(self.queue).enqueue_in(timedelta(seconds=seconds), PERFORM, **options)
                else:
                    queue(self.queue).enqueue(PERFORM, **options)
            except RedisError as error:  # the row is the promise: the schedule finds it when the queue is back
                log.warning("job_not_sent", job=self.name, problem=type(error).__name__)

        after_commit(send)


PERFORM = "webapp.jobs.perform"


def waiting_mark(name: str) -> str:
    """The key that stands in Redis while a scheduled job of this name waits for a worker."""
    return key("waiting", name)


def job(queue: str, *, timeout: int = 300) -> Callable[[Callable[P, None]], Job[P]]:
    """Make a function a job of this queue (`channels` talks to marketplaces, `desk` is everything else)."""
    if queue not in QUEUES:
        raise ValueError(f"no queue {queue!r}")

    def declare(function: Callable[P, None]) -> Job[P]:
        name = f"{function.__module__.removesuffix('.jobs')}.{function.__name__}"
        _jobs[name] = Job(name, function, queue, timeout)
        return _jobs[name]

    return declare


class JobFailed(Exception):
    """A job ended with an error; RQ keeps this one, whose text says the kind of the error and never its values."""


def perform(name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """What the queue calls: the job of this name. An unknown name was enqueued by another version: it fails visibly.

    What an error says may name a buyer, and RQ would keep and log it: so its kind and its way through the code are
    logged here, and only the kind goes on.
    """
    connection().delete(waiting_mark(name))
    function = _jobs[name]
    with structlog.contextvars.bound_contextvars(job=name):
        try:
            function(*args, **kwargs)
        except Exception as error:
            way = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
            log.error("job_failed", kind=type(error).__name__, way=" ".join(way[1:]))
            raise JobFailed(f"{name}: {type(error).__name__}") from None


@lru_cache(maxsize=8)
def _queue(name: str, url: str) -> Queue:
    return Queue(name, connection=connection(), serializer=JSONSerializer)


def queue(name: str) -> Queue:
    return _queue(name, configuration().queue)


def current_id() -> str:
    """Who this is, for leases: the job, which keeps its id when it is tried again, or the process outside of one."""
    running = get_current_job()
    return running.id if running else f"process-{os.getpid()}-{threading.get_ident()}"


def queue_ages() -> dict[str, float]:
    """Per queue, for how many seconds its oldest job has been waiting; 0 where none is. RedisError where it is gone."""
    ages = {}
    for name in QUEUES:
        oldest = next(iter(queue(name).get_jobs(0, 1)), None)
        ages[name] = (now() - oldest.enqueued_at).total_seconds() if oldest is not None and oldest.enqueued_at else 0.0
    return ages


__all__ = ["Job", "RedisError", "current_id", "job", "perform", "queue", "queue_ages"]
