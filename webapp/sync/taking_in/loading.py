"""Taking in very many orders at once: a practice desk that is filled, an account that brings its past orders.

Some processes read and pack orders, others write them, through `take_in` like every page. Orders that the desk has are
skipped by their numbers, so a load that was stopped continues. The source defines where the orders come from.
"""

import gc
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty
from typing import Any, Protocol

from webapp import live
from webapp.channels.incoming import IncomingOrder, UnreadableOrder
from webapp.channels.models import Store
from webapp.channels.services import draw_numbers
from webapp.db import analyze, connect_for_loading, db, drop_after_commit, unit_of_work
from webapp.errors import DatabaseBusy
from webapp.orders.order_settings import treatment_of
from webapp.sync.taking_in.pages import PreparedPage, pack_order, take_in
from webapp.sync.taking_in.prepared import PreparedOrder, known_orders
from webapp.sync.taking_in.quarantine import entry_of

BATCH = 100  # orders of a transaction that a clerk would wait for, at most
DRAWN = 5_000  # numbers drawn at once: on SQLite every draw empties the writer's cache
_TRIES = 3
_ANALYZED_AFTER = (2_000, 20_000, 200_000)


class LoadBroken(RuntimeError):
    """A process of a load ended early; the log has the reason."""


class OrderSource(Protocol):
    """Orders to be loaded, by position. The source is forked into other processes, so it must hold nothing that is
    open.
    """

    def __len__(self) -> int: ...

    def listed(self, start: int, stop: int) -> Iterable[tuple[int, str, Any]]:
        """Store, number and a key of the orders at these positions. Cheap, since known orders are listed too."""

    def read(self, key: Any) -> IncomingOrder | UnreadableOrder:
        """The order of a key."""


@dataclass(slots=True)
class Loaded:
    """The progress of a load."""

    seen: int = 0
    new: int = 0
    aside: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Batch:
    seen: int = 0
    orders: dict[int, list[PreparedOrder]] = field(default_factory=dict)  # by store
    unreadable: dict[int, list[UnreadableOrder]] = field(default_factory=dict)


def load_orders(
    source: OrderSource,
    *,
    together: int = BATCH,
    readers: int | None = None,
    writers: int | None = None,
    pause: float = 0.0,
    told: Callable[[Loaded], None] = lambda loaded: None,
) -> Loaded:
    """Take in every new order of the source, `together` orders in one transaction; `told` is called with the progress.

    With `pause`, others can write for so many seconds between two transactions. Not to be called within a unit of work.
    An interruption ends the load after the transactions under way.
    """
    on_sqlite = db.engine.dialect.name == "sqlite"  # a second writer would only wait for the first
    readers = readers or max(1, (os.cpu_count() or 2) // 2)
    writers = 1 if on_sqlite else writers or 2
    db.session.commit()
    db.engine.dispose()
    context = multiprocessing.get_context("fork")
    place, stop = context.Value("q", 0), context.Event()
    ready: Any = context.Queue(maxsize=max(4, 1000 // together))
    written: Any = context.Queue()
    work: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
        *((_read, (source, together, place, stop, ready)) for _ in range(readers)),
        *((_write, (lambda: len(source) - place.value, ready, written, pause)) for _ in range(writers)),
    ]
    processes = [context.Process(target=_alone, args=(part, arguments), daemon=True) for part, arguments in work]
    for process in processes:
        process.start()
    loaded, begun, waiting = Loaded(), time.monotonic(), writers
    readings, analyzed = processes[:readers], [] if on_sqlite else list(_ANALYZED_AFTER)
    ended = False
    try:
        with _stopping(stop):
            while waiting:
                if not ended and not any(process.is_alive() for process in readings):
                    ended = True
                    for _ in range(writers):
                        ready.put(None)
                if any(process.exitcode for process in processes):
                    raise LoadBroken
                for counts in _within(written, 0.5):
                    if counts is None:
                        waiting -= 1
                        continue
                    loaded.seen += counts.seen
                    loaded.new += counts.new
                    loaded.aside += counts.aside
                loaded.seconds = time.monotonic() - begun
                told(loaded)
                if analyzed and loaded.new >= analyzed[0]:
                    analyzed.pop(0)
                    analyze()
    finally:
        for process in processes:
            if waiting:  # after an error nobody takes what the other processes hand over
                process.kill()
            process.join()
    if stop.is_set():
        raise KeyboardInterrupt
    if loaded.new:
        analyze()
        live.publish("orders", [])
    return loaded


@contextmanager
def _stopping(stop: Any) -> Iterator[None]:
    """An interruption asks the readers to stop; what they have already read is still written."""
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _within(queue: Any, seconds: float) -> Iterator[Any]:
    """What arrives within this time, or has arrived."""
    try:
        yield queue.get(timeout=seconds)
        while not queue.empty():
            yield queue.get_nowait()
    except Empty:
        return


def _alone(part: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Set up a forked process: with its own connections, ignoring the terminal's interruption."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    db.session.remove()
    db.engine.dispose(close=False)  # the connections belong to the parent
    gc.freeze()  # what was forked stays alive, and a batch leaves little garbage: collect rarely
    gc.set_threshold(100_000, 50, 50)
    part(*arguments)


def _read(source: OrderSource, together: int, place: Any, stop: Any, ready: Any) -> None:
    """Read and pack batch after batch until the source ends or the load is stopped."""
    while not stop.is_set():
        with place.get_lock():
            start, place.value = place.value, place.value + together
        if start >= len(source):
            break
        ready.put(_pack(source, start, min(start + together, len(source))))
    ready.close()
    ready.join_thread()


def _pack(source: OrderSource, start: int, stop: int) -> _Batch:
    batch = _Batch(seen=stop - start)
    wanted: dict[int, dict[str, Any]] = {}
    for store_id, number, key in source.listed(start, stop):
        wanted.setdefault(store_id, {})[number] = key
    for store_id, keys in wanted.items():
        known = known_orders(store_id, keys)
        db.session.rollback()  # while a process reads, SQLite's log can't be truncated
        for number, key in keys.items():
            if number in known:
                continue
            order = source.read(key)
            packed = pack_order(order) if isinstance(order, IncomingOrder) else order
            if isinstance(packed, PreparedOrder):
                packed.order = packed.order.without_raw()
                batch.orders.setdefault(store_id, []).append(packed)
            else:
                batch.unreadable.setdefault(store_id, []).append(packed)
    return batch


def _write(left: Callable[[], int], ready: Any, written: Any, pause: float) -> None:
    """Write what is ready until nothing more arrives; `left` counts the orders that nobody has read yet."""
    connect_for_loading()
    numbers: dict[int, list[str]] = {}
    while (batch := ready.get()) is not None:
        for _ in range(_TRIES):
            with suppress(DatabaseBusy):
                written.put(_take_in(batch, numbers, left()))
                break
        else:
            raise DatabaseBusy
        if pause:
            time.sleep(pause)
    written.put(None)
    written.close()
    written.join_thread()


def _take_in(batch: _Batch, numbers: dict[int, list[str]], left: int) -> Loaded:
    counts = Loaded(seen=batch.seen)
    if not (batch.orders or batch.unreadable):
        return counts
    _draw(batch, numbers, left)
    with unit_of_work():
        for store_id in sorted(batch.orders.keys() | batch.unreadable.keys()):
            entries = [entry_of(one) for one in batch.unreadable.get(store_id, [])]
            page = PreparedPage(store_id, batch.orders.get(store_id, []), entries, numbers)
            taken = take_in(db.session.get_one(Store, store_id), page)
            counts.new += taken.new
            counts.aside += taken.quarantined
        drop_after_commit()
    db.session.expunge_all()
    return counts


def _draw(batch: _Batch, numbers: dict[int, list[str]], left: int) -> None:
    """Draw the numbers that the batch needs before its transaction; within it, every other draw would wait."""
    needed: dict[int, int] = {}
    for store_id, orders in batch.orders.items():
        store = db.session.get_one(Store, store_id)
        treatment = treatment_of(store)
        if treatment.own_numbers:
            for order in (packed.order for packed in orders):
                shop = treatment.shop_for(order.marketplace)
                needed[shop] = needed.get(shop, 0) + (order.is_sale and treatment.imports(order.marketplace))
    db.session.rollback()
    for shop, count in needed.items():
        had = numbers.setdefault(shop, [])
        if len(had) < count:
            had += draw_numbers(shop, max(count, min(DRAWN, left)))


__all__ = ["LoadBroken", "Loaded", "OrderSource", "load_orders"]
