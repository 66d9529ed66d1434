"""The schedule: jobs that run by the clock. Any number of schedulers may run; each slot is enqueued once.

A slot is the whole multiple of the interval that the present lies in. Who first writes the slot's key in Redis enqueues
its job; that one atomic step is the whole guard, so there is no leader to elect and none to lose.
"""

import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from redis import RedisError

from webapp.hooks import hooks
from webapp.jobs import Job, waiting_mark
from webapp.live import connection, key

log = structlog.get_logger(__name__)
_WAITING = 20  # seconds after which one that waits is taken for lost, as by a queue that died with it


@dataclass(frozen=True, slots=True)
class Schedule:
    """Run `job` every so many seconds."""

    job: Job[[]]
    every: float

    def slot(self, at: float) -> int:
        return int(at // self.every)


def registered() -> list[Schedule]:
    return [schedule for group in hooks.register_schedules() for schedule in group]


def enqueue_due(schedules: Iterable[Schedule], at: float | None = None) -> list[str]:
    """Enqueue what is due now and nobody has enqueued yet; tells the names."""
    at = time.time() if at is None else at
    sent = []
    for schedule in schedules:
        if connection().exists(waiting_mark(schedule.job.name)):
            continue  # the last one still waits for a worker: more of them would only fill the queue
        mark = key("slot", schedule.job.name, str(schedule.slot(at)))
        if connection().set(mark, 1, nx=True, ex=int(schedule.every * 2) + 60):
            connection().set(waiting_mark(schedule.job.name), 1, ex=_WAITING)
            schedule.job.enqueue()
            sent.append(schedule.job.name)
    return sent


def run_forever() -> None:
    """Enqueue by the clock until SIGTERM or Ctrl-C; a queue that is gone is waited for."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    schedules = registered()
    log.info("scheduler_ready", schedules=len(schedules))
    while not stop.wait(0.5):
        try:
            enqueue_due(schedules)
        except RedisError as error:
            log.warning("queue_unreachable", problem=type(error).__name__)
            stop.wait(2)
