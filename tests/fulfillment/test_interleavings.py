"""Every order of five events on one order: the buyer asks to cancel it, the merchant cancels it, the merchant ships it,
the marketplace cancels it, and an answer of the channel is lost. Nothing is shipped after its cancellation was
confirmed, nothing happens twice, and in the end the desk and the marketplace agree, or the order says why not.

All permutations of the events are combined with the steps of the worker: none until the end, or the same between each
two events. The next event, or a reading, may also happen while the channel is being called. An event that comes last
finds nothing left to change, so permutations of fewer events are among them; a soak also tries these by themselves,
with steps at one place only. Scripts that differ only in the order of steps that do not concern each other are
one script. All run at once, each on an order of its own, and share batches.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations, count, permutations, product

import pytest
import time_machine
from flask import Flask, current_app
from sqlalchemy import ColumnElement, select, update as change
from sqlalchemy.orm import joinedload, selectinload

from tests.fulfillment.marketplace import Marketplace, OrderThere, check
from webapp.audit.actor import Actor
from webapp.channels.incoming import OrdersPage
from webapp.channels.models import Store
from webapp.channels.outgoing import Batch, Outcome, Update, UpdateKind
from webapp.clock import now
from webapp.db import any_row, db, unit_of_work
from webapp.errors import DeskError
from webapp.fulfillment.canceling import cancel_orders
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.models import Cancellation
from webapp.fulfillment.services import BuyerWantsCancel, ship_order
from webapp.hooks import hooks
from webapp.orders.models import Order
from webapp.sync import jobs
from webapp.sync.taking_in.pages import prepare, take_in
from webapp.testing import FakeChannelPlugin, incoming_line, incoming_order
from webapp.updates.models import ENDED, LEFT, WAITING, ChannelUpdate, UpdateState

EVENTS = ("asks", "cancels", "ships", "canceled there", "lost")
DESK = ("cancels", "ships")  # what the merchant does
# What may happen between two events. In "deliver+", the next event happens while the channel is being called.
BETWEEN = ("", "deliver", "read", "deliver look read", "deliver+", "deliver+read")
# Steps that concern each other: their order matters.
RELATED = {
    frozenset(pair)
    for pair in (
        ("asks", "read"),
        ("canceled there", "deliver"),
        ("canceled there", "read"),
        ("lost", "deliver"),
        *combinations(("cancels", "ships", "deliver", "read"), 2),
        *product(("cancels", "ships", "deliver", "read"), ("look",)),
    )
}
END = ("deliver", "look", "read") * 3  # everything is delivered, looked up and read
Script = tuple[str, ...]


def scripts(*, places: int, least: int) -> list[Script]:
    """Every script of at least so many events, once. The worker's steps are the same between all events, or are between
    `places` pairs of them at most, of any kind each.
    """
    chosen = [events for length in range(least, 6) for events in permutations(EVENTS, length) if {*DESK} & {*events}]
    return sorted({_sorted(_script(events, steps)) for events in chosen for steps in _steps(len(events) - 1, places)})


def _steps(gaps: int, places: int) -> Iterator[Sequence[str]]:
    yield from ((step,) * gaps for step in BETWEEN)
    for many in range(1, min(gaps, places) + 1):
        for where in combinations(range(gaps), many):
            for steps in product(BETWEEN[1:], repeat=many):
                at = dict(zip(where, steps, strict=True))
                yield [at.get(gap, "") for gap in range(gaps)]


def _script(events: Sequence[str], between: Sequence[str]) -> Script:
    """The steps of a script, without those that find nothing to do."""
    steps: list[str] = [events[0]]
    for step, event in zip(between, events[1:], strict=True):
        if step == "deliver+" and event in DESK:
            steps.append(f"deliver+{event}")
        else:  # what happens elsewhere during a call happens before it or after it
            steps += [*step.rstrip("+").split(), event]
    kept: list[str] = []
    owed = sent = unread = False
    for step in steps:
        if step.startswith("deliver") and not owed:
            step = step.removeprefix("deliver").removeprefix("+")
        if not step or (step == "look" and not sent) or (step == "read" and not unread):
            continue
        kept.append(step)
        owed = owed or step.endswith(DESK)
        sent = sent or step.startswith("deliver")
        unread = step.startswith("deliver") or (unread and step != "read") or step in ("asks", "canceled there")
    return tuple(kept)


def _sorted(script: Script) -> Script:
    """One script for all that differ only in the order of steps that do not concern each other."""
    left, found = list(script), []
    while left:
        free = [at for at, step in enumerate(left) if not any(_related(step, earlier) for earlier in left[:at])]
        found.append(left.pop(min(free, key=left.__getitem__)))
    return tuple(found)


def _related(one: str, other: str) -> bool:
    return "+" in one + other or one == other or frozenset((one, other)) in RELATED


def _due(phase: str) -> tuple[ColumnElement[bool], ...]:
    if phase == "deliver":
        return ChannelUpdate.state.in_(WAITING), ChannelUpdate.due_at <= now(), ChannelUpdate.lease_owner.is_(None)
    return ChannelUpdate.state.in_(LEFT), ChannelUpdate.look_again_at <= now()


# --- The desk and the marketplace -------------------------------------------------------------------------------------


class BusyMarketplace(Marketplace):
    """What happens while it is being called, happens after it carried the updates out and before its answer."""

    kinds = tuple(
        UpdateKind(kind.code, kind.label, repeatable=kind.repeatable, batch=50, unseen_after=kind.unseen_after)
        for kind in Marketplace.kinds
    )

    def __init__(self) -> None:
        super().__init__()
        self.losing: set[str] = set()  # orders whose next answer is lost
        self.lost = ""
        self.changed: set[str] = set()  # orders that are to be read
        self.fate_of = self._fate
        self.meanwhile: Callable[[set[str]], None] = lambda _numbers: None

    def _fate(self, update: Update) -> str:
        if update.order_number not in self.losing:
            return "done"
        self.losing.remove(update.order_number)
        return self.lost

    def _answers(self, updates: Batch) -> dict[int, Outcome]:  # type: ignore[override]
        found, numbers = super()._answers(updates), {update.order_number for update in updates[:]}
        self.changed |= numbers
        self.meanwhile(numbers)
        return found


@dataclass(slots=True, eq=False)
class Case:
    """An order and its script; `at` is the next step."""

    script: Script
    there: OrderThere
    order_id: int
    at: int = 0

    @property
    def step(self) -> str:
        """The next step, empty at the end."""
        return self.script[self.at] if self.at < len(self.script) else ""

    @property
    def number(self) -> str:
        return self.there.order.number


def _parts(cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
    """The cases in parts: acts look at every order that their transaction has loaded."""
    for start in range(0, len(cases), 20):
        yield cases[start : start + 20]


class Interleaved:
    """All scripts at once: each goes on where the next phase is its own next step."""

    def __init__(self, channel: BusyMarketplace, store_id: int, actor: Actor, lines: Sequence[int]) -> None:
        self.channel, self.store_id, self.actor = channel, store_id, actor
        self.lines, self.minutes, self.begun = lines, count(2, 2), now()

    def run(self, scripts: Iterable[Script]) -> None:
        there = {script: self._begin() for script in scripts}
        self._read(there.values())
        ids = dict(db.session.execute(select(Order.channel_order_number, Order.id)).all())
        cases = [Case(script, one, ids[one.order.number]) for script, one in there.items()]
        going = cases
        while going := [case for case in going if case.step]:
            self._events(going)
            for phase in ("deliver", "look", "read"):
                self._phase(phase, [case for case in going if case.step.partition("+")[0] == phase])
            self._check(going)
        for phase in END:
            self._phase(phase, cases)
        self._check(cases)
        self._agree(cases)

    def _begin(self) -> OrderThere:
        order = incoming_order([incoming_line(f"SKU{units}", units) for units in self.lines])
        self.channel.changed.add(order.number)
        return self.channel.begin(order)

    def _events(self, cases: Sequence[Case]) -> None:
        """What happens to each order up to the worker's next step."""
        with time_machine.travel(self.begun + timedelta(minutes=next(self.minutes)), tick=True):
            for some in _parts(cases):
                with unit_of_work():
                    orders = self._locked(case for case in some if case.step in EVENTS)
                    for case in some:
                        while case.step in EVENTS:
                            self._happens(case, case.step, orders)
                            case.at += 1
                db.session.expunge_all()

    def _locked(self, cases: Iterable[Case]) -> dict[int, Order]:
        """Their orders, locked, with what acts ask of them."""
        with_all = select(Order).options(selectinload(Order.lines), joinedload(Order.channel_order)).order_by(Order.id)
        with_all = with_all.options(joinedload(Order.store)).with_for_update(of=Order)
        found = db.session.scalars(with_all.where(Order.id.in_([case.order_id for case in cases])))
        return {order.id: order for order in found}

    def _happens(self, case: Case, event: str, orders: Mapping[int, Order]) -> None:
        match event:
            case "asks":
                case.there.cancel_requested = True
                self.channel.changed.add(case.number)
            case "canceled there":
                for number in case.there.ordered:
                    case.there.happens("canceled there", number, case.there.left(number))
                self.channel.changed.add(case.number)
            case "lost":
                self.channel.losing.add(case.number)
            case _:
                with suppress(DeskError):  # a refused act changes nothing
                    self._act(orders[case.order_id], event)

    def _act(self, order: Order, event: str) -> None:
        """Cancel or ship: all units of an order of one line, else the last line and the first."""
        first, last = order.lines[0], order.lines[-1]
        if event == "cancels":
            cancel_orders([order], "NoInventory", {last.id: last.open} if last.open else None, actor=self.actor)
            return
        packages = [PackageInput("DHL", "JD1", lines={first.id: first.open} if first.open else {})]
        if order.buyer_wants_cancel:
            with pytest.raises(DeskError) as refused:
                ship_order(order, packages, actor=self.actor)
            assert order.canceling or order.state == "canceled" or isinstance(refused.value, BuyerWantsCancel)
        ship_order(order, packages, actor=self.actor, anyway=True)
        assert not order.canceling
        assert order.state != "canceled"
        ended = select(Cancellation.lines).filter_by(order_id=order.id, state="effective")
        assert not [lines for lines in db.session.scalars(ended) if str(first.id) in lines]

    def _phase(self, phase: str, cases: Sequence[Case]) -> None:
        """Let the worker do its step for these orders only; the updates of all others are not due meanwhile."""
        mine = {case.order_id: case for case in cases}
        if not mine:
            return
        with time_machine.travel(self.begun + timedelta(minutes=next(self.minutes)), tick=True):
            if phase == "read":
                self._read(case.there for case in cases)
            else:
                self._come_to(mine, phase)
                self.met: set[int] = set()
                self.channel.meanwhile = lambda numbers: self._meanwhile(
                    [case for case in cases if case.number in numbers]
                )
                for lane in ("cancel", "shipment"):
                    self._worked(phase, lane)
                self._meanwhile(cases)
        for case in cases:
            case.at += 1

    def _come_to(self, mine: Iterable[int], phase: str) -> None:
        states, column = (WAITING, "due_at") if phase == "deliver" else (LEFT, "look_again_at")
        mine, open_now = set(mine), select(ChannelUpdate.id, ChannelUpdate.order_id)
        with unit_of_work():
            rows = db.session.execute(open_now.where(ChannelUpdate.state.in_(states))).all()
            for due, at in ((True, now()), (False, now() + timedelta(days=1))):
                ids = [id_ for id_, order_id in rows if (order_id in mine) == due]
                for start in range(0, len(ids), 500):
                    of_them = change(ChannelUpdate).where(ChannelUpdate.id.in_(ids[start : start + 500]))
                    db.session.execute(of_them.values({column: at}))

    def _worked(self, phase: str, lane: str) -> None:
        """Run the job until nothing is due in the lane."""
        for _ in range(1000):
            if not any_row(ChannelUpdate, ChannelUpdate.lane == lane, *_due(phase)):
                return
            db.session.rollback()
            (jobs.deliver if phase == "deliver" else jobs.look_up)(self.store_id, lane)
        raise AssertionError("there is no end of it")

    def _meanwhile(self, cases: Iterable[Case]) -> None:
        """What happens to each order during the call, once: in a session of its own, as in another process."""
        with current_app.app_context():
            steps = {case: case.step.partition("+")[2] for case in cases if case.order_id not in self.met}
            self.met |= {case.order_id for case in steps}
            with unit_of_work():
                acting = {case: step for case, step in steps.items() if step in EVENTS}
                orders = self._locked(acting)
                for case, step in acting.items():
                    self._happens(case, step, orders)
            self._read(case.there for case, step in steps.items() if step == "read")

    def _read(self, there: Iterable[OrderThere]) -> None:
        """Read those of the orders that changed there."""
        numbers = {one.order.number for one in there} & self.channel.changed
        self.channel.changed -= numbers
        read = [self.channel.read(number, named=True) for number in sorted(numbers)]
        for start in range(0, len(read), 100):
            store = db.session.get_one(Store, self.store_id)
            ready = prepare(store, OrdersPage(read[start : start + 100]))
            with unit_of_work():
                take_in(db.session.get_one(Store, self.store_id), ready)

    # --- What is true ---

    def _check(self, cases: Sequence[Case]) -> None:
        for case, order in self._orders(cases):
            check(order, case.there, self._cancellations.get(order.id, []))

    def _orders(self, cases: Sequence[Case]) -> Iterator[tuple[Case, Order]]:
        """The orders as they are now, with their lines."""
        db.session.expunge_all()
        self._cancellations: dict[int, list[Cancellation]] = {}
        for row in db.session.scalars(select(Cancellation)):
            self._cancellations.setdefault(row.order_id, []).append(row)
        its = {case.order_id: case for case in cases}
        for order in db.session.scalars(select(Order).where(Order.id.in_(its)).options(selectinload(Order.lines))):
            yield its[order.id], order

    def _agree(self, cases: Sequence[Case]) -> None:
        """Whether the desk and the marketplace agree in the end: the only contradiction that is left is an order that
        had been packed here when it was canceled there, and it says so.
        """
        updates: dict[int, list[ChannelUpdate]] = {}
        for update in db.session.scalars(select(ChannelUpdate)):
            updates.setdefault(update.order_id, []).append(update)
        for case, order in self._orders(cases):
            mine, there = updates.get(order.id, []), case.there
            assert not order.canceling, case
            assert {update.state for update in mine} <= {*ENDED, UpdateState.REFUSED}, case
            refused = any(update.kind == "shipment" and update.state == UpdateState.REFUSED for update in mine)
            for line in order.lines:
                number = line.channel_line_number
                if refused and line.shipped:
                    assert order.attention, case
                    assert there.fulfilled[number] == 0, case
                    assert there.canceled[number] == there.ordered[number], case
                else:
                    assert (line.shipped, line.canceled) == (there.fulfilled[number], there.canceled[number]), case
            asked = there.cancel_requested and not all(there.canceled.values())
            assert order.buyer_wants_cancel == asked, case


@pytest.fixture
def channel(app: Flask) -> BusyMarketplace:
    made = BusyMarketplace()
    hooks.manager.register(FakeChannelPlugin(made))
    return made


ONE, TWO = (2,), (2, 1)  # the units of an order's lines: both acts are about the same line, or about a line each
DONE, NOT_DONE = "lost, done", "lost, not done"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "lines", "lost"),
    [
        ("sqlite", ONE, DONE),
        ("postgres", TWO, NOT_DONE),
        *(pytest.param("postgres", ONE, lost, marks=pytest.mark.soak) for lost in (DONE, NOT_DONE)),
        *(pytest.param("sqlite", TWO, lost, marks=pytest.mark.soak) for lost in (DONE, NOT_DONE)),
        pytest.param("sqlite", ONE, NOT_DONE, marks=pytest.mark.soak),
        pytest.param("postgres", TWO, DONE, marks=pytest.mark.soak),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} lines",
    indirect=["database"],
)
def test_whatever_the_order_of_events_nothing_ships_once_canceled_and_both_sides_agree(
    channel: BusyMarketplace, store: Store, operator: Actor, lines: Sequence[int], lost: str
) -> None:
    channel.lost = lost
    Interleaved(channel, store.id, operator, lines).run(scripts(places=0, least=5))


@pytest.mark.soak
@pytest.mark.parametrize("lost", [DONE, NOT_DONE])
@pytest.mark.parametrize("lines", [ONE, TWO])
def test_so_it_is_with_fewer_events_and_with_steps_at_one_place(
    channel: BusyMarketplace, store: Store, operator: Actor, lines: Sequence[int], lost: str
) -> None:
    channel.lost = lost
    Interleaved(channel, store.id, operator, lines).run(scripts(places=1, least=1))
