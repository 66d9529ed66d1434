"""After any sequence of a channel's news and a clerk's acts: counters are valid, sums add up, events rebuild the
order, and the reported facts add up to the rows, also for a listener that failed at some of them and was called
again.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import select, update

from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, Component, IncomingAmount, IncomingOrder, IncomingPackage
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DeskError
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.models import Package, PackageLine, Shipment
from webapp.fulfillment.services import ship_order
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.jobs.models import MissedFact
from webapp.jobs.telling import tell_again, waiting
from webapp.orders.addresses import change_address
from webapp.orders.amounts import NOTHING, OWN
from webapp.orders.archiving import archive, restore
from webapp.orders.contract import AmountChange, Move, Origin, UnitsMoved
from webapp.orders.events import LINE_COLUMNS, ORDER_COLUMNS, amounts_of, events_of, plain, rebuild
from webapp.orders.holds import hold, release
from webapp.orders.models import Order, OrderEvent, OrderLine, OrderTag
from webapp.orders.organizing import assign, people, set_due, set_status, set_tags
from webapp.orders.queries import locked
from webapp.orders.services import comment
from webapp.orders.states import OPEN_STATES, OrderState
from webapp.orders.statuses import all_statuses, make_status
from webapp.testing import again, incoming_line, incoming_order

ADDRESS = {"name": "Jane Quixelworth", "city": "Berlin", "postal_code": "10115", "country": "DE"}
STAGES = {
    ChannelStage.AWAITING_PAYMENT: "PENDING",
    ChannelStage.OPEN: "UNSHIPPED",
    ChannelStage.SHIPPED: "SHIPPED",
    ChannelStage.CANCELED: "CANCELLED",
    ChannelStage.UNKNOWN: "NEW_WORD",
}
readings = st.tuples(
    st.just("read"),
    st.sampled_from(list(STAGES)),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=2),
    st.booleans(),
    st.integers(0, 3),
)
ACTS = [
    *("ship", "comment", "hold", "release", "tag", "untag"),
    *("assign", "due", "status", "archive", "restore", "address"),
]
acts = st.tuples(st.sampled_from(ACTS), st.integers(1, 4), st.integers(0, 1))
steps = st.lists(st.one_of(readings, acts), min_size=1, max_size=8)


def read(
    order: IncomingOrder, stage: ChannelStage, quantities: list[tuple[int, int, int]], parcels: bool, tip: int
) -> IncomingOrder:
    lines = tuple(
        replace(
            line,
            ordered=ordered,
            fulfilled=min(fulfilled, ordered),
            unfulfilled=min(left, ordered - min(fulfilled, ordered)),
        )
        for line, (ordered, fulfilled, left) in zip(order.lines, quantities, strict=True)
    )
    packages = tuple(
        IncomingPackage(str(40 + n), {line.number: line.fulfilled}, "UPS", "", f"1Z{n}")
        for n, line in enumerate(lines)
        if parcels and line.fulfilled
    )
    amounts = (IncomingAmount(Component.TIP, tip),)
    return again(order, stage=stage, status=STAGES[stage], lines=lines, packages=packages, amounts=amounts)


def do(order: Order, what: str, quantity: int, position: int, actor: Actor) -> None:
    with unit_of_work():
        row = locked(order)
        match what:
            case "ship":
                ship_order(row, [PackageInput("DHL", "JD1", lines={row.lines[position].id: quantity})], actor=actor)
            case "comment":
                comment(row, "a word", actor=actor)
            case "hold":
                hold(row, "wait", actor=actor)
            case "release":
                release(row, actor=actor)
            case "tag":
                set_tags(row, ["gift", "fragile"][: position + 1], ["urgent"], actor=actor)
            case "untag":
                set_tags(row, ["urgent"] * position, ["gift"], actor=actor)
            case "assign":
                assign(row, people()[0].id if position else None, actor=actor)
            case "due":
                set_due(row, now() + timedelta(days=quantity) if position else None, actor=actor)
            case "status":
                set_status(row, f"in_{row.state}" if position else None, actor=actor)
            case "archive":
                archive(row, actor=actor)
            case "restore":
                restore(row, actor=actor)
            case "address":
                change_address(row, {**ADDRESS, "line1": f"{quantity} Nowhere Lane"}, actor=actor)


class Listening:
    """A plugin that listens to moves; a forgetful one fails every second time."""

    def __init__(self, *, forgetful: bool) -> None:
        self.forgetful, self.calls = forgetful, 0
        self.moves: list[UnitsMoved] = []
        self.charged: list[AmountChange] = []

    @hookimpl
    def units_moved(self, moves: list[UnitsMoved]) -> None:
        self.calls += 1
        if self.forgetful and self.calls % 2:
            raise ValueError
        self.moves += moves

    @hookimpl
    def amounts_changed(self, changes: list[AmountChange]) -> None:
        self.calls += 1
        if self.forgetful and self.calls % 2:
            raise ValueError
        self.charged += changes

    def gained(self, line_id: int, move: Move) -> int:
        return sum(moved.units for moved in self.moves if (moved.line_id, moved.move) == (line_id, move))


@pytest.fixture
def listening(app: object, plugin_failures: list[Failure]) -> Iterator[list[Listening]]:
    """A plugin that handles everything, and one that fails every second time."""
    made = [Listening(forgetful=forgetful) for forgetful in (False, True)]
    for listener in made:
        hooks.manager.register(listener, name=f"forgetful: {listener.forgetful}")
    yield made
    plugin_failures.clear()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=steps)
@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
@pytest.mark.usefixtures("mia")
def test_counters_sums_events_and_facts_hold(
    take: Callable[..., list[Order]], operator: Actor, listening: list[Listening], script: list[Any]
) -> None:
    with unit_of_work():
        for state in OrderState:
            if not any(row.code == f"in_{state}" for row in all_statuses()):
                make_status(f"in_{state}", {"en": f"In {state}"}, state=state, actor=operator)
    told = incoming_order([incoming_line("MUG", 3), incoming_line("CUP", 2)])
    [order] = take(told)
    for step in script:
        if step[0] == "read":
            told = read(told, *step[1:])
            [order] = take(told)
        else:
            try:
                do(order, *step, operator)
            except DeskError:
                db.session.rollback()
    check(order.id)
    while waiting():
        with unit_of_work():
            db.session.execute(update(MissedFact).values(next_at=now()))
        tell_again()
    for listener in listening:
        check_heard(order.id, listener)


def check_heard(order_id: int, listener: Listening) -> None:
    """The reported facts add up to the lines' counters, which began at zero, and to the order's amounts."""
    for line in db.session.get_one(Order, order_id).lines:
        assert listener.gained(line.id, Move.SHIPPED) - listener.gained(line.id, Move.UNSHIPPED) == line.shipped
        for move, counter in ((Move.CANCELED, line.canceled), (Move.WITHDRAWN, line.withdrawn)):
            assert listener.gained(line.id, move) == counter
    *_, placed = events_of(db.session.get_one(Order, order_id))
    _, came_with = amounts_of(placed)
    for row in db.session.get_one(Order, order_id).amounts:
        gained = [
            change.after.net - change.before.net
            for change in listener.charged
            if (change.order_id, change.line_id, change.component) == (order_id, row.line_id, row.component)
        ]
        assert came_with.get((row.line_id or OWN, row.component), NOTHING).net + sum(gained) == row.net
    packed = select(Shipment.origin, PackageLine.quantity).join(Package, Package.shipment_id == Shipment.id)
    rows = db.session.execute(packed.join(PackageLine).where(Shipment.order_id == order_id)).all()
    for origin in Origin:
        moved = [
            one.units for one in listener.moves if (one.order_id, one.origin, one.move) == (order_id, origin, "shipped")
        ]
        assert sum(moved) == sum(quantity for left_from, quantity in rows if left_from == origin)


def check(order_id: int) -> None:
    db.session.expire_all()
    order = db.session.get_one(Order, order_id)
    for line in order.lines:
        assert line.open >= 0
        assert 0 <= line.shipped <= line.ordered
        packed = db.session.query(PackageLine).join(Package).filter(PackageLine.line_id == line.id)
        assert sum(part.quantity for part in packed) == line.shipped
    assert order.unshipped == sum(line.open for line in order.lines)
    assert order.residual_minor == order.total_minor - sum(amount.net for amount in order.amounts)
    carried = set(db.session.scalars(select(OrderTag.tag_id).where(OrderTag.order_id == order.id)))
    assert set(order.tags) == carried
    assert len(order.tags) == len(carried)
    assert order.status in (None, f"in_{order.state}")
    assert order.archived_at is None or order.state not in OPEN_STATES
    numbers = list(db.session.scalars(select(Package.number).where(Package.order_id == order.id)))
    assert len(numbers) == len(set(numbers))

    history = list(
        db.session.scalars(select(OrderEvent).where(OrderEvent.order_id == order.id).order_by(OrderEvent.id))
    )
    rebuilt, lines, amounts = rebuild(history)
    assert amounts == {(row.line_id or OWN, row.component): row.figures for row in order.amounts}
    assert rebuilt == {name: plain(getattr(order, name)) for name in ORDER_COLUMNS}
    stored = db.session.scalars(select(OrderLine).where(OrderLine.order_id == order.id))
    assert lines == {str(line.id): {name: plain(getattr(line, name)) for name in LINE_COLUMNS} for line in stored}
    assert [event.version for event in history] == sorted(event.version for event in history)
    assert history[-1].version == order.version
