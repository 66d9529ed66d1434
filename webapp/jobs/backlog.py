"""What waits in the queues, by lane: for `status`, for the metrics, and for the banner that says why work is late."""

from dataclasses import dataclass

from rq import Worker

from webapp.clock import now
from webapp.jobs import queue
from webapp.jobs.lanes import CHANNEL, CLOCK, LANES, NOW, QUEUES
from webapp.live import connection

# Seconds for which the oldest job of a lane may wait before people are told. Pages of an import wait for each other.
LATE = {NOW: 20.0, CHANNEL: 300.0, CLOCK: 120.0}


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in a lane: how many jobs, and for how many seconds the oldest has been waiting."""

    lane: str
    waiting: int
    oldest: float

    @property
    def late(self) -> bool:
        return self.oldest >= LATE[self.lane]


def backlogs() -> list[Backlog]:
    """Every lane's, also those where nothing waits. Raises `RedisError` where the queue is gone."""
    with connection().pipeline(transaction=False) as redis:
        for name in QUEUES:
            redis.llen(queue(name).key)
        waiting = dict(zip(QUEUES, redis.execute(), strict=True))
    ages = {name: _age(name) for name in QUEUES if waiting[name]}
    return [
        Backlog(lane, sum(waiting[name] for name in names), max((ages.get(name, 0.0) for name in names), default=0.0))
        for lane, names in LANES.items()
    ]


def _age(name: str) -> float:
    oldest = next(iter(queue(name).get_jobs(0, 1)), None)
    return max(0.0, (now() - oldest.enqueued_at).total_seconds()) if oldest and oldest.enqueued_at else 0.0


def workers() -> int:
    """How many workers have signed in and not out again; one that was killed counts for some minutes more."""
    return Worker.count(connection=connection())
