"""Whatever a channel says and a clerk does, in any order: counters hold, sums add up, and events rebuild the order."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.channels.contract import ChannelStage, IncomingOrder, IncomingPackage
from webapp.db import db, unit_of_work
from webapp.errors import DeskError
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.models import Package, PackageLine
from webapp.fulfillment.services import ship_order
from webapp.orders.events import LINE_COLUMNS, ORDER_COLUMNS, plain, rebuild
from webapp.orders.models import Order, OrderEvent, OrderLine
from webapp.orders.queries import locked
from webapp.orders.services import comment, hold, release
from webapp.testing import again, incoming_line, incoming_order

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
)
acts = st.tuples(st.sampled_from(["ship", "comment", "hold", "release"]), st.integers(1, 4), st.integers(0, 1))
steps = st.lists(st.one_of(readings, acts), min_size=1, max_size=8)


def read(
    order: IncomingOrder, stage: ChannelStage, quantities: list[tuple[int, int, int]], parcels: bool
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
    return again(order, stage=stage, status=STAGES[stage], lines=lines, packages=packages)


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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=steps)
@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
def test_counters_sums_and_events_hold(take: Callable[..., list[Order]], operator: Actor, script: list[Any]) -> None:
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
    numbers = list(db.session.scalars(select(Package.number).where(Package.order_id == order.id)))
    assert len(numbers) == len(set(numbers))

    history = list(
        db.session.scalars(select(OrderEvent).where(OrderEvent.order_id == order.id).order_by(OrderEvent.id))
    )
    rebuilt, lines = rebuild(history)
    assert rebuilt == {name: plain(getattr(order, name)) for name in ORDER_COLUMNS}
    stored = db.session.scalars(select(OrderLine).where(OrderLine.order_id == order.id))
    assert lines == {str(line.id): {name: plain(getattr(line, name)) for name in LINE_COLUMNS} for line in stored}
    assert [event.version for event in history] == sorted(event.version for event in history)
    assert history[-1].version == order.version
