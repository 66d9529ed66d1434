"""After any interleaving of shipping, correcting, taking back, delivering, lost answers and readings of one order, the
counters and the channel agree: no package is there twice, what is told last is what the desk has, nothing that was
taken back was ever told, and of each package only the highest revision leaves.
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
from webapp.channels.connecting import StoreAccess
from webapp.channels.incoming import ChannelStage, IncomingOrder, IncomingPackage
from webapp.channels.outgoing import Batch, NotYet, Outcome, Refused, Sent, Unknown, Update
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DeskError
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.correcting import Correction, correct_shipment
from webapp.fulfillment.holding import SETTINGS
from webapp.fulfillment.models import Package, Shipment
from webapp.fulfillment.services import ship_order
from webapp.fulfillment.taking_back import take_back
from webapp.hooks import hooks
from webapp.orders.events import LINE_COLUMNS, ORDER_COLUMNS, events_of, plain, rebuild
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import store_all
from webapp.sync import jobs
from webapp.testing import FakeChannel, FakeChannelPlugin, incoming_line, incoming_order
from webapp.updates import deciding
from webapp.updates.models import OPEN, ChannelUpdate

FATES = ("done", "done", "refused", "throttled", "lost, done", "lost, not done")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ship"), st.integers(0, 1), st.integers(1, 2)),
        st.tuples(st.just("correct"), st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.just("take back"), st.integers(1, 3), st.just(0)),
        st.tuples(st.just("undo"), st.integers(1, 3), st.just(0)),
        st.tuples(st.just("send"), st.sampled_from(FATES), st.just(0)),
        st.tuples(st.just("read"), st.booleans(), st.just(0)),
        st.tuples(st.just("hold"), st.sampled_from([0, 600]), st.just(0)),
    ),
    min_size=2,
    max_size=10,
)


class Marketplace(FakeChannel):
    """A channel with packages of its own: a known reference edits its package, and readings may lag behind."""

    def begin(self, order: IncomingOrder) -> None:
        self.order, self.fate = order, "done"
        self.packages: dict[str, IncomingPackage] = {}
        self.shown: list[dict[str, IncomingPackage]] = [{}]
        self.told: list[tuple[str, int]] = []  # type: ignore[assignment]  # references and revisions, as they came

    def left(self, number: str, *, but: str = "") -> int:
        ordered = next(line.ordered for line in self.order.lines if line.number == number)
        packed = (one.lines.get(number, 0) for one in self.packages.values() if one.number != but)
        return ordered - sum(packed)

    def reading(self, *, lagging: bool = False) -> IncomingOrder:
        packages = self.shown[max(0, len(self.shown) - 2)] if lagging else self.packages
        lines = []
        for line in self.order.lines:
            fulfilled = sum(one.lines.get(line.number, 0) for one in packages.values())
            lines.append(replace(line, fulfilled=fulfilled, unfulfilled=line.ordered - fulfilled))
        stage = ChannelStage.OPEN if any(line.unfulfilled for line in lines) else ChannelStage.SHIPPED
        facts = {"lines": tuple(lines), "packages": tuple(packages.values()), "stage": stage}
        return replace(self.order, updated_at=now(), status=str(stage).upper(), **facts)

    def deliver(self, store: StoreAccess, updates: Batch) -> Mapping[int, Outcome]:
        return {update.id: self._answer(update) for update in updates}

    def look_up(self, store: StoreAccess, updates: Sequence[Update]) -> Mapping[int, Outcome]:
        return {update.id: Sent() if update.handle else NotYet(0) for update in updates}

    def _answer(self, update: Update) -> Outcome:
        if update.order_number != self.order.number:
            return Refused("It belongs to an earlier example.")
        if self.fate == "throttled":
            return NotYet(1)
        lines = update.payload["lines"]
        fits = all(units <= self.left(number, but=update.reference) for number, units in lines.items())
        if self.fate == "refused" or not fits:
            return Refused("No.")
        if self.fate != "lost, not done":
            self.told.append((update.reference, update.revision))
            package = update.payload["package"]
            facts = {name: package[name] for name in ("carrier", "service", "tracking_number")}
            self.packages[update.reference] = IncomingPackage(update.reference, lines, **facts)
            self.shown.append(dict(self.packages))
        return Unknown() if self.fate.startswith("lost") else Sent("taken")


@pytest.fixture
def channel(app: Flask) -> Marketplace:
    made = Marketplace()
    hooks.manager.register(FakeChannelPlugin(made))
    return made


class Desk:
    """One order, and what happens to it."""

    def __init__(self, channel: Marketplace, take: Callable[..., list[Order]], work: Callable[[], int], actor: Actor):
        self.channel, self.take, self.work, self.actor = channel, take, work, actor
        channel.begin(incoming_order([incoming_line("MUG", 3), incoming_line("CUP", 1)]))
        [order] = take(channel.order)
        self.id, self.back = order.id, set[str]()

    @property
    def order(self) -> Order:
        return db.session.get_one(Order, self.id)

    def do(self, what: str, where: Any, units: int) -> None:
        match what:
            case "send":
                self.channel.fate = where
                jobs.find_due()
                self.work()
                self.channel.fate = "done"
            case "read":
                self.take(self.channel.reading(lagging=where))
            case "hold":
                with unit_of_work():
                    store_all(SETTINGS, {"ship_hold": where}, self.order.store)
            case _:
                with suppress(DeskError), unit_of_work():
                    self.act(locked(self.order), what, where, units)

    def act(self, order: Order, what: str, where: int, units: int) -> None:
        match what:
            case "ship":
                package = PackageInput("DHL", f"JD{units}", lines={order.lines[where].id: units})
                ship_order(order, [package], actor=self.actor)
            case "correct":
                correct_shipment(order, where, Correction(tracking_number=f"JD{units}"), actor=self.actor)
            case "take back":
                take_back(order, where, actor=self.actor)
                self.back.add(str(where))
            case "undo":
                rows = db.session.query(ChannelUpdate).filter_by(order_id=order.id, reference=str(where))
                for row in rows.order_by(ChannelUpdate.revision.desc()).limit(1):
                    deciding.undo(row, actor=self.actor)
                    self.back.add(str(where))

    def check(self) -> None:
        db.session.expire_all()
        order = self.order
        packages = db.session.query(Package).filter_by(order_id=order.id).all()
        units: dict[int, int] = {}
        for package in packages:
            for row in package.lines:
                units[row.line_id] = units.get(row.line_id, 0) + row.quantity
        for line in order.lines:
            assert line.shipped == units.get(line.id, 0) <= line.ordered
        assert order.unshipped == sum(line.open for line in order.lines)
        assert {package.shipment.origin for package in packages} <= {"desk"}
        assert db.session.query(Shipment).filter_by(order_id=order.id).count() == len(packages)
        there = {str(package.number) for package in packages}
        assert not self.back & ({*self.channel.packages} | there)
        assert {*self.channel.packages} <= there
        for reference in there:
            revisions = [revision for told, revision in self.channel.told if told == reference]
            assert revisions == sorted(revisions)
        columns, lines, _ = rebuild(reversed(events_of(order)))
        assert {name: columns[name] for name in ORDER_COLUMNS} == {
            name: plain(getattr(order, name)) for name in ORDER_COLUMNS
        }
        for line in order.lines:
            assert {name: lines[str(line.id)][name] for name in LINE_COLUMNS} == {
                name: plain(getattr(line, name)) for name in LINE_COLUMNS
            }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=steps)
@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
def test_the_desk_and_the_channel_agree_in_the_end(
    channel: Marketplace,
    take: Callable[..., list[Order]],
    work: Callable[[], int],
    operator: Actor,
    script: list[tuple[str, Any, Any]],
) -> None:
    desk, minutes = Desk(channel, take, work, operator), count(20, 20)
    begun = now()
    end = [("send", "done", 0)] * 3 + [("read", False, 0)]
    for what, where, units in [*script, *end]:
        with time_machine.travel(begun + timedelta(minutes=next(minutes)), tick=True):
            desk.do(what, where, units)
            desk.check()
    rows = db.session.query(ChannelUpdate).filter_by(order_id=desk.id)
    latest = {row.reference: row for row in rows.order_by(ChannelUpdate.revision)}
    for package in db.session.query(Package).filter_by(order_id=desk.id):
        state = latest[str(package.number)].state
        if state == "effective":
            assert desk.channel.packages[str(package.number)].tracking_number == package.tracking_number
        else:
            assert state == "refused"
    assert not [row for row in rows if row.state in OPEN and row.state != "refused"]
