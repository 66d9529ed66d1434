"""After any interleaving of shipping, canceling, readings, refusals, undo and lost answers: no unit is both shipped and
canceled, nothing ships after a cancellation took effect, no act happens twice, and `canceling` is true exactly while a
cancellation is asked.

Once with one order and a script that hypothesis shortens, and once with very many orders at once, so that updates of
many schedules travel in the same batches.
"""

import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import time_machine
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import select

from tests.fulfillment.marketplace import FATES, Marketplace, OrderThere, check
from webapp.audit.actor import Actor
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
from webapp.testing import FakeChannelPlugin, incoming_line, incoming_order
from webapp.updates import deciding
from webapp.updates.models import OPEN, ChannelUpdate

Take = Callable[..., list[Order]]
UNITS = (3, 1)
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


@pytest.fixture
def channel(app: Flask) -> Marketplace:
    made = Marketplace()
    hooks.manager.register(FakeChannelPlugin(made))
    return made


def act(order: Order, what: str, where: int | None, units: int, actor: Actor) -> None:
    """What a person does, under the order's lock."""
    match what:
        case "ship" if where is not None:
            ship_order(order, [PackageInput("DHL", "JD1", lines={order.lines[where].id: units})], actor=actor)
            assert not order.canceling
            ended = db.session.query(Cancellation).filter_by(order_id=order.id, state="effective", whole=True)
            assert ended.count() == 0
        case "cancel":
            lines = None if where is None else {order.lines[where].id: units}
            cancel_orders([order], "NoInventory", lines, actor=actor)
        case "undo":
            undo_cancel(order, actor=actor)
        case "close" if found := asked(order):
            deciding.close(found[1], actor=actor)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=steps)
@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
def test_no_unit_is_shipped_and_canceled_and_canceling_is_true_while_asked(
    channel: Marketplace, take: Take, work: Callable[[], int], operator: Actor, script: list[tuple[str, Any, Any]]
) -> None:
    there = channel.begin(incoming_order([incoming_line(f"SKU{units}", units) for units in UNITS]))
    [taken] = take(there.order)
    order_id, begun, minutes = taken.id, now(), count(2, 2)

    def do(what: str, where: Any, units: Any) -> None:
        match what:
            case "send":
                channel.fate_of = lambda _update: where
                jobs.find_due()
                work()
                channel.fate_of = lambda _update: "done"
            case "read":
                take(channel.read(there.order.number, named=where))
            case "ships there" | "canceled there":
                there.happens(what, there.order.lines[where].number, units)
            case _:
                with suppress(DeskError), unit_of_work():
                    act(locked(db.session.get_one(Order, order_id)), what, where, units, operator)

    for what, where, units in [*script, ("send", "done", 0), ("read", True, 0), ("send", "done", 0), ("read", True, 0)]:
        with time_machine.travel(begun + timedelta(minutes=next(minutes)), tick=True):
            do(what, where, units)
            db.session.expire_all()
            order = db.session.get_one(Order, order_id)
            check(order, there, db.session.query(Cancellation).filter_by(order_id=order_id).all())
            if found := asked(order):
                assert found[1].state in OPEN
    if there.is_over:
        assert not db.session.get_one(Order, order_id).canceling  # everything has shipped or is canceled, and was read


class Chaos:
    """Very many orders of one store: everybody acts on them at once, and their updates share batches."""

    def __init__(
        self, channel: Marketplace, take: Take, work: Callable[[], int], actor: Actor, seed: int, schedules: int
    ) -> None:
        print(f"seed {seed}")
        self.chance = random.Random(seed)
        self.channel, self.take, self.work, self.actor = channel, take, work, actor
        self.begun, self.minutes = now(), count(2, 2)
        for _ in range(schedules):
            channel.begin(incoming_order([incoming_line(f"SKU{units}", units) for units in UNITS]))
        self.taken(channel.there.values())
        self.ids = {order.channel_order_number: order.id for order in db.session.scalars(select(Order))}

    def taken(self, there: Iterable[OrderThere]) -> None:
        read = [self.channel.read(one.order.number, named=self.chance.random() < 0.5) for one in there]
        for start in range(0, len(read), 100):
            self.take(*read[start : start + 100])

    def round(self) -> None:
        """One step of every schedule, then a delivery in which anything may go wrong, then readings of some."""
        with time_machine.travel(self.begun + timedelta(minutes=next(self.minutes)), tick=True):
            for number, there in self.channel.there.items():
                self._step(self.ids[number], there)
            self.channel.fate_of = lambda _update: self.chance.choice(FATES)
            self._delivered()
            self.taken([one for one in self.channel.there.values() if self.chance.random() < 0.4])
            self.check()

    def end(self) -> None:
        """Everything goes well from here on, and everything is read."""
        self.channel.fate_of = lambda _update: "done"
        for _ in range(3):
            with time_machine.travel(self.begun + timedelta(minutes=next(self.minutes)), tick=True):
                self._delivered()
                self.taken(self.channel.there.values())
        self.check()
        for order in db.session.scalars(select(Order)):
            assert not (order.canceling and self.channel.there[order.channel_order_number].is_over)

    def _delivered(self) -> None:
        jobs.find_due()
        self.work()

    def _step(self, order_id: int, there: OrderThere) -> None:
        what = self.chance.choice(
            ("ship", "ship", "cancel", "cancel", "undo", "close", "ships there", "canceled there", "")
        )
        where, units = self.chance.randint(0, 1), self.chance.randint(1, 3)
        if what in ("ships there", "canceled there"):
            there.happens(what, there.order.lines[where].number, units)
        elif what:
            whole = what == "cancel" and self.chance.random() < 0.5
            with suppress(DeskError), unit_of_work():
                act(locked(db.session.get_one(Order, order_id)), what, None if whole else where, units, self.actor)

    def check(self) -> None:
        db.session.expire_all()
        rows: dict[int, list[Cancellation]] = {}
        for row in db.session.scalars(select(Cancellation)):
            rows.setdefault(row.order_id, []).append(row)
        for order in db.session.scalars(select(Order)):
            check(order, self.channel.there[order.channel_order_number], rows.get(order.id, []))
        under_way = select(ChannelUpdate.state).join(Cancellation, Cancellation.id == ChannelUpdate.source_id)
        under_way = under_way.where(ChannelUpdate.kind == "cancel", Cancellation.state == "asked").distinct()
        assert set(db.session.scalars(under_way)) <= set(OPEN)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "seed", "schedules"),
    [
        ("sqlite", 1, 150),
        ("postgres", 2, 150),
        *(
            pytest.param(name, seed, 1000, marks=pytest.mark.soak)
            for name in ("sqlite", "postgres")
            for seed in range(3, 13)
        ),
    ],
    indirect=["database"],
)
def test_very_many_schedules_at_once(
    channel: Marketplace, take: Take, work: Callable[[], int], operator: Actor, seed: int, schedules: int
) -> None:
    chaos = Chaos(channel, take, work, operator, seed, schedules)
    for _ in range(4):
        chaos.round()
    chaos.end()
