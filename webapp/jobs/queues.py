"""The kinds of background work, the queues of each, and which worker serves what.

Three kinds of work must not wait for each other: what a person waits for (*now*), what travels to and from channels
(*channel*), and what runs by the clock (*clock*). Each has a queue for every sort of job that must not overtake, or be
held up by, the others:

- `now`: what a person waits for and the desk does by itself: chunks of bulk acts, parts of files. No network.
- `asking`: what a person waits for and a channel must answer: connecting a store, fetching one order. That may take
  half a minute, so these jobs never run where `now` must go on.
- `delivering`: what a channel is owed. Before importing: merchants answer for its deadlines.
- `importing`: reading from channels, a page at a time.
- `clock`: what the schedule finds to do. Short: what takes over two seconds does a part and sends the next.

Whatever else plugins read from channels and mailboxes (`webapp.sync.streams`) may be slow in a way that the desk cannot
foresee. Each such stream has a queue and a worker of its own, beside the workers that are set; without streams, none.
"""

from collections.abc import Sequence
from typing import NamedTuple

NOW, ASKING, DELIVERING, IMPORTING, CLOCK = "now", "asking", "delivering", "importing", "clock"
QUEUES = (NOW, ASKING, DELIVERING, IMPORTING, CLOCK)
CHANNEL = "channel"
WORK = {NOW: (NOW, ASKING), CHANNEL: (DELIVERING, IMPORTING), CLOCK: (CLOCK,)}


class Service(NamedTuple):
    """What one worker serves: groups of queues in turn, the queues of a group in their order."""

    name: str
    groups: tuple[tuple[str, ...], ...]


# This one never waits for a channel, so that what a person waits for always has a process.
DESK_SERVICE = Service("desk", ((NOW,), (CLOCK,)))
# Helps the others while no channel has anything for it. Who asks much at once takes turns with what channels are owed.
CHANNEL_SERVICE = Service("channel", ((ASKING,), (DELIVERING, IMPORTING, NOW, CLOCK)))
# One worker alone: every kind of work has its turn.
WHOLE_SERVICE = Service("all", ((NOW,), (ASKING,), (DELIVERING, IMPORTING), (CLOCK,)))


def services(workers: int, streams: Sequence[str] = ()) -> list[Service]:
    """What each of so many workers serves, and those beside them that read one stream each."""
    beside = [Service(f"stream {lane}", ((queue_of_stream(lane),),)) for lane in streams]
    if workers == 1:
        return [WHOLE_SERVICE, *beside]
    return [DESK_SERVICE, *[CHANNEL_SERVICE] * (workers - 1), *beside]


def whole_service(streams: Sequence[str]) -> Service:
    """Everything, for one worker alone."""
    return WHOLE_SERVICE._replace(groups=(*WHOLE_SERVICE.groups, *((queue_of_stream(lane),) for lane in streams)))


def queue_of_stream(lane: str) -> str:
    """The queue in which the pages of a stream wait."""
    return f"stream-{lane}"
