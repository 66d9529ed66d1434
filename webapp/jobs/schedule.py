"""The schedule: jobs that run by the clock. Any number of schedulers may run; each slot is enqueued once.

A slot is a whole multiple of the interval. The scheduler that first writes the slot's key in Redis asks whether
anything is due and enqueues the job. This atomic step is the only guard, so no leader is elected and none can be lost.
A job is not enqueued while the one before it still waits for a worker (`Job.send`).
"""

import contextlib
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from webapp.db import db
from webapp.hooks import failures
from webapp.hooks.fence import PluginFailed, ask, code_of
from webapp.hooks.registered import owner_of, registered as every
from webapp.jobs import Job
from webapp.live import connection, key

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Run `job` every `every` seconds if `due`, a quick look at rows or Redis, says that there is work."""

    job: Job[[]]
    every: float
    due: Callable[[], bool] | None = None

    @property
    def code(self) -> str:
        return self.job.name

    def __post_init__(self) -> None:
        if self.every <= 0:
            raise ValueError(f"a schedule runs every so many seconds, not {self.every}")

    def slot(self, at: float) -> int:
        return int(at // self.every)

    def is_due(self) -> bool:
        """Whether there is work. Also True if `due` fails: the job will then fail in the same way, and its failure
        is logged.
        """
        if self.due is None:
            return True
        try:
            return ask(self, "schedule", self.due, gives=(bool, int))
        except PluginFailed:
            return True
        except SystemExit as error:  # a signal must end the scheduler
            failures.note(owner_of(self), "schedule", self.code, error)
            return True
        except Exception as error:
            log.warning("schedule_not_asked", job=self.job.name, problem=type(error).__name__)
            return True
        finally:
            with contextlib.suppress(SQLAlchemyError):  # the connection may be lost
                db.session.rollback()


def registered() -> Sequence[Schedule]:
    return every("register_schedules", Schedule)


def enqueue_due(schedules: Iterable[Schedule], at: float | None = None) -> list[str]:
    """Enqueue what is due now and has not been enqueued; returns the names of the jobs."""
    at = time.time() if at is None else at
    sent = []
    for schedule in schedules:
        try:
            if _enqueue(schedule, at):
                sent.append(schedule.job.name)
        except RedisError:
            raise
        except Exception as error:  # whatever fails in one schedule, the others are still served
            failures.note(owner_of(schedule), "schedule", code_of(schedule), error)
    return sent


def _enqueue(schedule: Schedule, at: float) -> bool:
    slot = key("slot", schedule.job.name, str(schedule.slot(at)))
    if not connection().set(slot, 1, nx=True, ex=int(schedule.every * 2) + 60) or not schedule.is_due():
        return False
    try:
        return schedule.job.send()
    except RedisError:
        with contextlib.suppress(RedisError):
            connection().delete(slot)
        raise


def run_forever() -> None:
    """Enqueue by the clock until SIGTERM or Ctrl-C; while Redis can't be reached, wait for it."""
    signals: list[int] = []  # not an Event: the interrupted code could hold its lock
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: signals.append(number))
    schedules = registered()
    log.info("scheduler_ready", schedules=len(schedules))
    while not signals:
        time.sleep(0.5)
        try:
            enqueue_due(schedules)
        except RedisError as error:
            log.warning("queue_unreachable", problem=type(error).__name__)
            time.sleep(2)
        failures.send()
