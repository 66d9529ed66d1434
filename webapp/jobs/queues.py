"""The kinds of background work, the queues of each, and which worker serves what.

Three kinds of work must not wait for each other: what a person waits for (*now*), traffic with channels (*channel*),
and what runs by the clock (*clock*). Each has a queue for every sort of job that must not overtake the others, or be
delayed by them:

- `now`: what a person waits for and the desk does without a network: chunks of bulk acts, parts of files.
- `asking`: what a person waits for and a channel must answer: connecting a store, fetching one order. An answer may
  take half a minute, so these jobs never run on the worker that must serve `now`.
- `delivering`: updates owed to channels. Before importing, because merchants answer for the deadlines.
- `importing`: reading from channels, a page at a time.
- `clock`: what the schedule finds to do. Short: a job that needs more than two seconds does a part and
  enqueues the next.

A stream (`webapp.sync.streams`: what plugins read from channels and mailboxes) may be slow for any length of time. Each
stream has a queue and a worker of its own, beside the configured workers; a desk without streams has none of these.
"""

from collections.abc import Sequence
from typing import NamedTuple

NOW, ASKING, DELIVERING, IMPORTING, CLOCK = "now", "asking", "delivering", "importing", "clock"
QUEUES = (NOW, ASKING, DELIVERING, IMPORTING, CLOCK)
CHANNEL = "channel"
WORK = {NOW: (NOW, ASKING), CHANNEL: (DELIVERING, IMPORTING), CLOCK: (CLOCK,)}


class Service(NamedTuple):
    """What one worker serves: groups of queues in turn, and the queues of each group in their order."""

    name: str
    groups: tuple[tuple[str, ...], ...]


# This worker never waits for a channel, so work that a person waits for always has a process.
DESK_SERVICE = Service("desk", ((NOW,), (CLOCK,)))
# These workers help with the other kinds while no channel work waits. `asking` takes turns with what channels are owed.
CHANNEL_SERVICE = Service("channel", ((ASKING,), (DELIVERING, IMPORTING, NOW, CLOCK)))
# A worker that is alone serves every kind of work in turn.
WHOLE_SERVICE = Service("all", ((NOW,), (ASKING,), (DELIVERING, IMPORTING), (CLOCK,)))


def services(workers: int, streams: Sequence[str] = ()) -> list[Service]:
    """The services of `count` workers, and of one worker for each stream."""
    beside = [Service(f"stream {lane}", ((queue_of_stream(lane),),)) for lane in streams]
    if workers == 1:
        return [WHOLE_SERVICE, *beside]
    return [DESK_SERVICE, *[CHANNEL_SERVICE] * (workers - 1), *beside]


def whole_service(streams: Sequence[str]) -> Service:
    """All queues, for a single worker."""
    return WHOLE_SERVICE._replace(groups=(*WHOLE_SERVICE.groups, *((queue_of_stream(lane),) for lane in streams)))


def queue_of_stream(lane: str) -> str:
    """The queue of a stream's pages."""
    return f"stream-{lane}"
