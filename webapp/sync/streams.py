"""Streams: what is read from channels and mailboxes, page by page, each independently.

A stream has a lane, and each store has a lease, a run, a back-off and a next time for each lane. A page is fetched
outside any transaction and written in one, together with the position of the next page: a worker that dies between the
two has read nothing, and one that dies later has written the whole page. Every lane except that of orders has its own
queue and worker, so no lane waits for another, and an error concerns only its lane.
"""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import aliased

from webapp.channels.connecting import StoreAccess
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, guarded_savepoint
from webapp.hooks.failures import NotTaken, WrongType
from webapp.hooks.fence import PluginFailed, ask, label_of
from webapp.hooks.registered import registered
from webapp.i18n import LazyString
from webapp.jobs.models import Run
from webapp.sync import runs
from webapp.sync.models import ORDERS_LANE, StoreSync

_PLAIN = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class StreamPage:
    """One page of a stream. `place` is the position of the next page, valid also after days; it is stored as it is."""

    items: Sequence[Any] = ()
    place: str | None = None
    more: bool = False  # whether the next page can be read at once; else the lane pauses
    calls: int = 1

    def __post_init__(self) -> None:
        given: tuple[tuple[object, Any], ...] = (
            (self.items, Sequence),
            (self.place, (str, type(None))),
            (self.calls, int),
        )
        for value, kind in given:
            if not isinstance(value, kind):
                raise WrongType(value, kind)
        if self.place is not None and ("\0" in self.place or not _is_text(self.place)):
            raise ValueError("a place is text that can be kept")


def _is_text(text: str) -> bool:
    try:
        return bool(text.encode() or True)
    except UnicodeEncodeError:
        return False


@dataclass(frozen=True)
class Stream:
    """Something that is read from channels or mailboxes.

    `fetch(store, place)` returns the page that begins at `place`, which is None at first, and may take `seconds`; it
    calls the network and writes nothing. `take_in(store, page)` writes the page in the open unit of work, calls no
    network, and returns how many of its items were new, or None. Raise a `ChannelError` for whatever is not a bug: the
    lane pauses and continues by itself. `lane` is a plain word that no other stream has.
    """

    code: str
    lane: str
    label: LazyString | str
    fetch: Callable[[StoreAccess, Any], Any]
    take_in: Callable[[StoreAccess, Any], Any]
    channels: Collection[str] = ()  # codes of the channels whose stores are read; empty: every store
    every: float = 300.0  # seconds between two readings when nothing is left to read
    seconds: float = 60.0  # time limit of one page

    def __post_init__(self) -> None:
        if not _PLAIN.fullmatch(self.lane):
            raise ValueError("a lane is a plain word")
        if isinstance(self.channels, str) or not all(isinstance(code, str) for code in self.channels):
            raise TypeError("channels is a collection of codes")
        if not (self.every > 0 and 1 <= self.seconds <= 3600):
            raise ValueError("a stream rests some seconds, and a page takes between a second and an hour")

    def reads(self, channel: str) -> bool:
        """Whether stores of this channel are read."""
        return not self.channels or channel in self.channels

    def asked(self, sync: StoreSync) -> Any:
        """The position of the next page; called within the unit of work that leases the lane."""
        return sync.place

    def read(self, store: StoreAccess, asked: Any) -> Any:
        """The page at that position; called outside any transaction."""
        page = self.fetch(store, asked)
        if not isinstance(page, StreamPage):
            raise WrongType(page, StreamPage)
        if page.more and page.place == asked:
            raise NotTaken("more is there, and its place does not lead on")
        return page

    def written(self, sync: StoreSync, run: Run, store: StoreAccess, asked: Any, page: Any) -> bool:
        """Write the page and advance to the next, in the open unit of work; returns whether nothing more is left
        now.
        """
        with guarded_savepoint():
            new = self.take_in(store, page)
        if not isinstance(new, (int, type(None))):
            raise WrongType(new, (int, type(None)))
        runs.page_read(sync)
        runs.count(run, pages=1, calls=page.calls, seen=len(page.items), new=new or 0)
        sync.place = page.place
        return not page.more

    def again(self, sync: StoreSync, run: Run) -> bool:
        """The position is no longer valid: begin from the start. Returns whether to begin at once, which is allowed
        once in a run.
        """
        may = sync.place is not None and "restarted" not in run.numbers
        sync.place, run.numbers = None, run.numbers | {"restarted": 1}
        return may

    def missed(self, sync: StoreSync, asked: Any, error: Exception) -> None:
        """Record what else is known about a page that could not be read."""

    def rests(self, store: Store) -> float:
        """Seconds until the next reading, now that everything was read."""
        return self.every


def streams() -> Sequence[Stream]:
    """All streams; that of orders first, whose lane no other can have."""
    return registered("register_streams", Stream, unique=lambda stream: stream.lane)


def find(lane: str) -> Stream | None:
    """The stream of a lane; None if no plugin registers it any more."""
    return next((stream for stream in streams() if stream.lane == lane), None)


def lane_label(lane: str) -> str:
    """What a lane reads, as a label; the lane's code if no plugin registers it any more."""
    stream = find(lane)
    return label_of(stream) if stream is not None else lane


def _reads(stream: Stream, channel: str) -> bool:
    """Whether a stream reads stores of this channel; False if the stream can't answer, so that the others are still
    served.
    """
    try:
        return ask(stream, "stream", stream.reads, channel, gives=bool)
    except PluginFailed:
        return False


def lanes() -> list[str]:
    """The lanes that have a queue and a worker of their own."""
    return [stream.lane for stream in streams() if stream.lane != ORDERS_LANE]


def due() -> list[tuple[int, str]]:
    """Stores and lanes that are due to be read and that nobody reads now; at most two queries, for any number of
    stores.
    """
    known = {stream.lane: stream for stream in streams()}
    query = runs.readable(StoreSync.store_id, StoreSync.lane, Store.channel)
    found = db.session.execute(query.where(StoreSync.next_at <= now(), StoreSync.lane.in_(list(known)))).all()
    pairs = [(store_id, lane) for store_id, lane, channel in found if _reads(known[lane], channel)]
    return pairs + _unread([stream for stream in known.values() if stream.lane != ORDERS_LANE])


def _unread(others: Sequence[Stream]) -> list[tuple[int, str]]:
    """Lanes of stores that were never read; they begin once the store's orders have."""
    if not others:
        return []
    there = aliased(StoreSync)
    query = runs.stores_to_read(StoreSync.store_id, Store.channel, there.lane)
    query = query.where(StoreSync.lane == ORDERS_LANE, StoreSync.run_id.is_not(None))
    query = query.outerjoin(there, there.store_id == StoreSync.store_id)
    rows = db.session.execute(query).all()
    begun = {(store_id, lane) for store_id, _, lane in rows}
    stores = {store_id: channel for store_id, channel, _ in rows}
    return [
        (store_id, stream.lane)
        for store_id, channel in stores.items()
        for stream in others
        if (store_id, stream.lane) not in begun and _reads(stream, channel)
    ]
