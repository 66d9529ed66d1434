"""After any interleaving of shipping, canceling, readings, refusals, undo and lost answers of one order: no unit is
both shipped and canceled, nothing ships after a cancellation took effect, and `canceling` is true exactly while one is
asked.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import time_machine
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st

from webapp.audit.actor import Actor
from webapp.channels.contract import (
    Accepted,
    Batch,
    ChannelStage,
    IncomingOrder,
    NotCarriedOut,
    Outcome,
    Refused,
    Sent,
    StoreAccess,
    Unknown,
    Update,
)
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DeskError
from webapp.fulfillment.canceling import asked, cancel_orders, undo_cancel
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.models import Cancellation
from webapp.fulfillment.services import ship_order
from webapp.hooks import hooks
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.sync import jobs
from webapp.testing import FakeChannel, FakeChannelPlugin, incoming_line, incoming_order
from webapp.updates import deciding
from webapp.updates.models import OPEN

UNITS = (3, 1)
FATES = ("done", "accepted", "refused", "lost, done", "lost, not done")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ship"), st.integers(0, 1), st.integers(1, 3)),
        st.just(("cancel", None, 0)),
        st.tuples(st.just("cancel"), st.integers(0, 1), st.integers(1, 3)),
        st.just(("undo", 0, 0)),
        st.just(("close", 0, 0)),
        st.tuples(st.just("send"), st.sampled_from(FATES), st.booleans()),
        st.tuples(st.just("read"), st.booleans(), st.just(0)),
        st.tuples(st.just("ships there"), st.integers(0, 1), st.integers(1, 3)),
        st.tuples(st.just("canceled there"), st.integers(0, 1), st.integers(1, 3)),
    ),
    min_size=2,
    max_size=10,
)


class Marketplace(FakeChannel):
    """A channel with orders of its own: what is sent happens there by its rules, or is refused."""

    def __init__(self) -> None:
        super().__init__()
        self.ordered: dict[str, int] = {}
        self.fulfilled: dict[str, int] = {}
        self.canceled: dict[str, int] = {}
        self.done: set[int] = set()

    def begin(self, order: IncomingOrder) -> None:
        self.order, self.fate = order, "done"
        self.ordered |= {line.number: line.ordered for line in order.lines}
        self.fulfilled |= {line.number: 0 for line in order.lines}
        self.canceled |= {line.number: 0 for line in order.lines}

    def left(self, number: str) -> int:
        return self.ordered[number] - self.fulfilled[number] - self.canceled[number]

    def reading(self, *, named: bool) -> IncomingOrder:
        lines = tuple(
            replace(
                line,
                ordered=line.ordered - self.canceled[line.number],
                fulfilled=self.fulfilled[line.number],
                unfulfilled=self.left(line.number),
                canceled_by="SOMEBODY" if named and self.canceled[line.number] else "",
            )
            for line in self.order.lines
        )
        shipped, left = any(line.fulfilled for line in lines), any(line.unfulfilled for line in lines)
        stage = ChannelStage.OPEN if left else ChannelStage.SHIPPED if shipped else ChannelStage.CANCELED
        self.orders[self.order.number] = replace(
            self.order, updated_at=now(), lines=lines, stage=stage, status=str(stage).upper()
        )
        return self.orders[self.order.number]

    def deliver(self, store: StoreAccess, updates: Batch) -> Mapping[int, Outcome]:
        if updates[0].kind == "cancel":
            return updates.attempt(updates).call(self._answers, updates)
        return self._answers(updates)

    def look_up(self, store: StoreAccess, updates: Sequence[Update]) -> Mapping[int, Outcome]:
        return {update.id: Sent() if update.id in self.done else NotCarriedOut() for update in updates}

    def _answers(self, updates: Sequence[Update]) -> dict[int, Outcome]:
        return {update.id: self._answer(update) for update in updates}

    def _answer(self, update: Update) -> Outcome:
        if self.fate == "refused" or not self._carries_out(update):
            return Refused("No.")
        if self.fate.startswith("lost"):
            return Unknown()
        return Accepted() if self.fate == "accepted" else Sent()

    def _carries_out(self, update: Update) -> bool:
        lines = update.payload["lines"]
        if any(units > self.left(number) for number, units in lines.items()):
            return False
        if update.payload.get("whole") and any(self.fulfilled[number] for number in lines):
            return False
        if self.fate != "lost, not done":
            self.done.add(update.id)
            where = self.canceled if update.kind == "cancel" else self.fulfilled
            for number, units in lines.items():
                where[number] += units
        return True


@pytest.fixture
def channel(app: Flask) -> Marketplace:
    made = Marketplace()
    hooks.manager.register(FakeChannelPlugin(made))
    return made


class Desk:
    """One order, and what happens to it."""

    def __init__(self, channel: Marketplace, take: Callable[..., list[Order]], work: Callable[[], int], actor: Actor):
        self.channel, self.take, self.work, self.actor = channel, take, work, actor
        channel.begin(incoming_order([incoming_line(f"SKU{units}", units) for units in UNITS]))
        [order] = take(channel.order)
        self.id = order.id

    @property
    def order(self) -> Order:
        return db.session.get_one(Order, self.id)

    def do(self, what: str, where: Any, units: Any) -> None:
        number = self.channel.order.lines[where].number if isinstance(where, int) else ""
        match what:
            case "send":
                self.channel.fate = where
                jobs.find_due()
                self.work()
                self.channel.fate = "done"
            case "read":
                self.take(self.channel.reading(named=where))
            case "ships there" | "canceled there":
                counted = self.channel.fulfilled if what == "ships there" else self.channel.canceled
                counted[number] += min(units, self.channel.left(number))
            case _:
                with suppress(DeskError), unit_of_work():
                    self.act(locked(self.order), what, where, units)

    def act(self, order: Order, what: str, where: Any, units: int) -> None:
        match what:
            case "ship":
                package = PackageInput("DHL", "JD1", lines={order.lines[where].id: units})
                ship_order(order, [package], actor=self.actor)
                assert not order.canceling
                ended = db.session.query(Cancellation).filter_by(order_id=order.id, state="effective", whole=True)
                assert ended.count() == 0
            case "cancel":
                lines = None if where is None else {order.lines[where].id: units}
                cancel_orders([order], "NoInventory", lines, actor=self.actor)
            case "undo":
                undo_cancel(order, actor=self.actor)
            case "close" if found := asked(order):
                deciding.close(found[1], actor=self.actor)

    def check(self) -> None:
        db.session.expire_all()
        order = self.order
        rows = db.session.query(Cancellation).filter_by(order_id=order.id).all()
        assert order.canceling == any(row.state == "asked" for row in rows)
        assert sum(row.state == "asked" for row in rows) <= 1
        if found := asked(order):
            assert found[1].state in OPEN
        assert order.unshipped == sum(line.open for line in order.lines)
        for line in order.lines:
            assert line.shipped + line.canceled <= line.ordered
            there = self.channel.canceled[line.channel_line_number]
            assert line.canceled <= there
            effective = [row for row in rows if row.state == "effective" and str(line.id) in row.lines]
            assert sum(row.lines[str(line.id)] for row in effective) <= there
        assert (order.state == "canceled") <= (not any(line.open for line in order.lines))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=steps)
@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
def test_no_unit_is_shipped_and_canceled_and_canceling_is_true_while_asked(
    channel: Marketplace,
    take: Callable[..., list[Order]],
    work: Callable[[], int],
    operator: Actor,
    script: list[tuple[str, Any, Any]],
) -> None:
    desk, minutes = Desk(channel, take, work, operator), count(2, 2)
    begun = now()
    for what, where, units in [*script, ("send", "done", 0), ("read", True, 0), ("send", "done", 0), ("read", True, 0)]:
        with time_machine.travel(begun + timedelta(minutes=next(minutes)), tick=True):
            desk.do(what, where, units)
            desk.check()
    if not any(map(desk.channel.left, [line.number for line in desk.channel.order.lines])):
        assert not desk.order.canceling  # everything has shipped or is canceled there, and was read
