"""One practice Amazon: its world, the changes in it, its clock and its settings.

All reading and changing of orders goes through this class; HTTP is in `api.py` (Amazon's paths) and `control.py`
(ours).
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from plugins.amazon.practice import mail_store, refunds
from plugins.amazon.practice.answering import answer_due
from plugins.amazon.practice.composing import Order, Wish, check, compose
from plugins.amazon.practice.fates import KINDS, Act, Fate, fate
from plugins.amazon.practice.faults import Faults
from plugins.amazon.practice.feed_processing import process_due
from plugins.amazon.practice.mail_faults import MailFaults
from plugins.amazon.practice.state import Store
from plugins.amazon.practice.throttle import Throttle
from plugins.amazon.practice.world import (
    ENDLESS,
    FILLED_FROM,
    PLACED_FROM,
    Segment,
    World,
    filling_segments,
    first_segments,
    is_filled,
)

FILE: Final = "practice.sqlite3"
FOREVER: Final = 10**15
CHOICES: Final = {  # the words that these settings may have
    "document_twice": ("taken", "refused"),
    "foreign_feeds": ("listed", "hidden"),
    "canceled_units_in": ("ordered", "unfulfilled"),
    "included_tax": ("split", "hidden"),
}


class OtherWorld(Exception):
    """The data directory contains another world than the one requested; the text says how they differ."""


@dataclass(frozen=True)
class Settings:
    """The settings that can change while it runs."""

    rates: float = 1.0  # factor on Amazon's published rates
    edge: float = 120.0  # seconds after which a change shows in searches
    token_life: float = 3600.0  # seconds
    clock: float = 0.0  # seconds by which this Amazon's clock is ahead of the computer's
    shuffle: bool = False  # searches answer in no particular order
    offset_paging: bool = False  # page tokens count orders: a change during paging shifts the rest
    unknown_words: bool = False  # now and then a program or service level that is in no document
    feed_queue: float = 30.0  # seconds that a feed waits, divided by `rates`
    feed_processing: float = 60.0  # seconds for which it is processed, divided by `rates`
    document_twice: str = "taken"  # a document that was submitted before makes a second feed, or is refused
    foreign_feeds: str = "listed"  # feeds of the seller's other applications are listed, or hidden
    canceled_units_in: str = "ordered"  # the quantity that gets lower by a partial cancellation
    gzip_reports: bool = False  # processing reports are compressed
    lacks_tracking: bool = False  # the application lacks the role Inventory and Order Tracking
    lacks_shipping: bool = False  # … Direct-to-Consumer Shipping: addresses and e-mail addresses are left out
    lacks_tax: bool = False  # … Tax Invoicing and Tax Remittance: names of buyers are left out
    lacks_finance: bool = False  # … Finance and Accounting: transactions are denied
    lacks_communication: bool = False  # … Buyer Communication: messages are denied
    lacks_solicitation: bool = False  # … Buyer Solicitation: review requests are denied
    refund_after: float = 600.0  # seconds after its feed at which a refund is posted, divided by `rates`
    transactions_late: float = 172_800.0  # seconds after which a transaction shows at the latest, divided by `rates`
    deferred: float = 0.0  # seconds for which payments and refunds are deferred, divided by `rates`
    answers_after: float = 0.0  # seconds after which buyers answer mails and messages by themselves; 0: they don't
    included_tax: str = "split"  # transactions show the tax that prices include by itself, or hide it in the price


class Practice:
    """A practice Amazon over one data directory."""

    def __init__(
        self,
        data_dir: Path | str,
        *,
        seed: int | None = None,
        orders: int | None = None,
        days: float | None = None,
        arrivals: float | None = None,
        settings: dict[str, Any] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
        self.store = Store(Path(data_dir) / FILE)
        self.mail = mail_store.MailStore(Path(data_dir) / mail_store.FILE)
        self.mail_faults = MailFaults()
        self.smtp_port = self.imap_port = 0  # of its mail servers, while they run (`mail_servers.py`)
        self.settings = Settings(**(self.store.read("settings") or {}) | (settings or {}))
        self.store.keep("settings", asdict(self.settings))
        self._found({"seed": seed, "orders": orders, "days": days})
        if arrivals is not None:
            self.set_arrivals(arrivals)
        self.secret = bytes.fromhex(self.store.read("secret"))
        self.throttle = Throttle(lambda: self.now_ms() / 1000)
        self.faults = Faults()
        self._resets = 0

    def _found(self, asked: dict[str, Any]) -> None:
        """Read the world of the data directory, or create it there."""
        known = self.store.read("world")
        if known is None:
            defaults = {"seed": 1, "orders": 200, "days": 30.0}
            known = {key: defaults[key] if value is None else value for key, value in asked.items()}
            known["started_ms"] = self.now_ms()
            with self.store.transaction():
                self.store.keep("secret", token_hex(32))
                segments = first_segments(known["started_ms"], int(known["orders"]), float(known["days"]))
                self.store.keep_segments(segments)
                self.store.keep("world", known)
        elif other := [key for key, value in asked.items() if value is not None and value != known[key]]:
            raise OtherWorld(
                "This data directory holds a practice Amazon with "
                + ", ".join(f"{key} {known[key]}" for key in other)
                + "; use another directory, or start without these options."
            )
        every = (*self.store.segments(), *self.store.filled())
        self.world = World(int(known["seed"]), int(known["started_ms"]), every)

    def close(self) -> None:
        """Close its files."""
        self.store.close()
        self.mail.close()

    def now_ms(self) -> int:
        """This Amazon's time."""
        return int((self._now() + self.settings.clock) * 1000)

    def set(self, **changes: Any) -> Settings:
        """Change settings; they survive a restart. Raises TypeError for one that does not exist."""
        self.settings = replace(self.settings, **changes)
        self.store.keep("settings", asdict(self.settings))
        return self.settings

    @property
    def arrivals(self) -> float:
        """The number of orders that arrive by themselves each minute."""
        last = next((segment for segment in self.world.segments if segment.count == ENDLESS), None)
        return 60_000 / last.step_ms if last else 0.0

    def set_arrivals(self, per_minute: float) -> None:
        """From now on this many orders arrive each minute; past arrivals stay as they were."""
        if abs(per_minute - self.arrivals) < 1e-9:
            return
        now, segments = self.now_ms(), [one for one in self.world.segments if not is_filled(one.first)]
        if segments and segments[-1].count == ENDLESS:
            last = segments.pop()
            came = max(0, int((now - last.start_ms) // last.step_ms) + 1)
            segments.append(replace(last, count=came))
            now = max(now, int(last.start_ms + came * last.step_ms))
        if per_minute > 0:
            first = segments[-1].end if segments else 0
            segments.append(Segment(first, now, 60_000 / per_minute))
        self.store.keep_segments(segments)
        self.world = replace(self.world, segments=(*segments, *self.store.filled()))

    def fill(self, orders: int, regions: Sequence[str] = (), *, days: float = 730) -> list[Segment]:
        """Place this many more orders in these regions (None: all) over the last days.

        Orders that were filled before count, so a repeated call adds nothing. Returns the stretches that contain them
        all.
        """
        asked = tuple(sorted(regions))
        with self.alone():
            filled = self.store.filled()
            missing = orders - sum(one.count for one in filled if one.regions == asked)
            if missing > 0:
                first = filled[-1].end if filled else FILLED_FROM
                self.store.fill(filling_segments(first, self.now_ms(), missing, days, asked))
                filled = self.store.filled()
                self.world = replace(self.world, segments=(*self.store.segments(), *filled))
        return [one for one in filled if one.regions == asked]

    @contextmanager
    def alone(self) -> Iterator[int]:
        """Exclude all other changes until the block ends; gives the moment, up to which everything has happened."""
        with self.store.transaction():
            now = self.now_ms()
            process_due(self, now)
            yield now

    def catch_up(self) -> int:
        """Let everything happen that is due; returns the moment."""
        now = self.now_ms()
        if self.store.due_feed(now) is not None:
            with self.alone() as now:
                pass
        answer_due(self, now)
        return now

    def wait(self, seconds: float) -> None:
        """Let a call wait; raises ConnectionAbortedError if everything was reset meanwhile: such a call comes too late
        for the orders that are here now, which have the numbers of those before.
        """
        resets = self._resets
        time.sleep(seconds)
        if resets != self._resets:
            raise ConnectionAbortedError("reset while it waited")

    def reset(self) -> None:
        """Undo everything that was done here, delete the record, remove all faults; settings stay."""
        self._resets += 1
        self.store.clear()
        self.mail.clear()
        self.faults.clear()
        self.mail_faults.clear()
        self.throttle.refill()

    # orders

    def order(self, index: int) -> Order | None:
        """The order of an index, if it was or will be placed."""
        if index >= PLACED_FROM:
            known = self.store.placed(index)
            return compose(self.world, index, known[0], known[1]) if known else None
        created_ms = self.world.created_ms(index)
        return None if created_ms is None else compose(self.world, index, created_ms)

    def fate(self, order: Order, at_ms: int, acts: Iterable[Act] | None = None) -> Fate:
        """The state of an order at a moment; with `acts` they are not read again."""
        told = self.store.acts([order.index])[order.index] if acts is None else list(acts)
        if order.index < PLACED_FROM:
            told += [Act(at, kind) for at, kind in self.world.steps(order.index, order.created_ms)]
        told = sorted((act for act in told if act.at_ms <= at_ms), key=lambda act: act.at_ms)
        return fate(order, told, self.world.seed)

    def find(self, order_id: str, at_ms: int | None = None) -> Fate | None:
        """An order by its number, as of now or another moment; None: there is none."""
        at_ms = self.now_ms() if at_ms is None else at_ms
        index = self.world.index_of(order_id)
        order = None if index is None else self.order(index)
        if order is None or order.id != order_id or order.created_ms > at_ms:
            return None
        return self.fate(order, at_ms)

    def fates(self, indexes: Collection[int], at_ms: int) -> list[Fate]:
        """The states of these orders at a moment; their acts are read at once."""
        acts = self.store.acts([index for index in indexes if index in self.store.acted])
        orders = (self.order(index) for index in indexes)
        return [self.fate(order, at_ms, acts.get(order.index, [])) for order in orders if order]

    def recent(self, limit: int) -> list[Fate]:
        """The orders that were placed or changed last, newest first."""
        now = self.now_ms()
        indexes = {*self.store.last_acted(now, limit), *self.store.last_placed(now, limit)}
        indexes.update(self.world.newest(now, limit))
        fates = [fate for fate in self.fates(indexes, now) if fate.order.created_ms <= now]
        return sorted(fates, key=lambda fate: fate.updated_ms, reverse=True)[:limit]

    def place(self, wish: Wish) -> Fate:
        """A buyer places this order now (or some time ago); raises BadWish."""
        check(wish)
        created = self.now_ms() - int(wish.placed_ago * 1000)
        with self.alone() as now:
            index = self.store.place(created, wish)
            self._start(index, created, wish)
            if wish.placed_ago:  # the order may be old, but it becomes visible now
                self.store.act(index, now, "touch")
            order = compose(self.world, index, created, wish)
        return self.fate(order, self.now_ms())

    def _start(self, index: int, created: int, wish: Wish) -> None:
        """The acts that bring a new order to the requested status."""
        if wish.verify_after is not None:
            self.store.act(index, created + int(wish.verify_after * 1000), "verify")
        elif not wish.status.startswith("PENDING"):
            self.store.act(index, created, "verify")
        if wish.status == "PARTIALLY_SHIPPED":
            self.store.act(index, created, "ship_part")
        elif wish.status == "SHIPPED":
            self.store.act(index, created, "ship")
        elif wish.status == "CANCELLED":
            self.store.act(index, created, "cancel", {"by": "BUYER"})
        elif wish.status in ("PENDING_AVAILABILITY", "UNFULFILLABLE"):
            self.store.act(index, created, "word", {"status": wish.status})
        if wish.cancel_request:
            self.store.act(index, created, "request_cancel", {"reason": wish.cancel_request})

    def act(self, order_id: str, kind: str, data: dict[str, Any] | None = None, *, after: float = 0) -> Fate | None:
        """Something happens to an order, now or so many seconds later; None: no such order. Raises KeyError."""
        if kind not in KINDS:
            raise KeyError(kind)
        with self.alone() as now:
            state = self.find(order_id, now)
            if state is None:
                return None
            self.store.act(state.order.index, now + int(after * 1000), kind, data)
        return self.find(order_id)

    # money

    def refund(
        self, order_id: str, kind: str, *, share: float = 1.0, amounts: refunds.Amounts | None = None
    ) -> refunds.Refund | None:
        """Money of an order goes back by other ways than a feed: these amounts, or a share of what is left of its
        prices. None: no such order, or nothing of it was shipped or is left.
        """
        with self.alone() as now:
            state = self.find(order_id, now)
            if state is None or not any(state.shipped(item) for item in state.ordered):
                return None
            before = self.store.refunds(state.order.index)
            amounts = amounts or refunds.share_of(refunds.left(state, before), share)
            return refunds.book(self, state, now, kind, amounts) if amounts else None
