"""The jobs that wait in the queues, by kind of work: for `status`, the metrics, and the banner that says why work is
late.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rq import Worker

from webapp.clock import now
from webapp.jobs import queue
from webapp.jobs.queues import CHANNEL, CLOCK, NOW, WORK, queue_of_stream
from webapp.live import connection

# Seconds that the oldest job of a kind may wait before people are told. Pages of an import wait for each other.
LATE = {NOW: 20.0, CHANNEL: 300.0, CLOCK: 120.0}


@dataclass(frozen=True, slots=True)
class Backlog:
    """The waiting jobs of one kind of work or of one stream: their number, and the age of the oldest in seconds."""

    work: str  # now, channel, clock, or the queue of a stream
    waiting: int
    oldest: float

    @property
    def late(self) -> bool:
        return self.oldest >= LATE.get(self.work, LATE[CHANNEL])


def backlogs(streams: Sequence[str] = ()) -> list[Backlog]:
    """The backlog of every kind of work and of each of these streams, also where nothing waits.

    Raises `RedisError` if the queue can't be reached.
    """
    work = WORK | {queue_of_stream(lane): (queue_of_stream(lane),) for lane in streams}
    queues = [name for names in work.values() for name in names]
    with connection().pipeline(transaction=False) as redis:
        for name in queues:
            redis.llen(queue(name).key)
        waiting = dict(zip(queues, redis.execute(), strict=True))
    ages = {name: _age(name) for name in queues if waiting[name]}
    return [
        Backlog(one, sum(waiting[name] for name in names), max((ages.get(name, 0.0) for name in names), default=0.0))
        for one, names in work.items()
    ]


def _age(name: str) -> float:
    oldest = next(iter(queue(name).get_jobs(0, 1)), None)
    return max(0.0, (now() - oldest.enqueued_at).total_seconds()) if oldest and oldest.enqueued_at else 0.0


def workers() -> int:
    """The number of workers that are registered with RQ. A worker that was killed is counted for some minutes more."""
    return Worker.count(connection=connection())
