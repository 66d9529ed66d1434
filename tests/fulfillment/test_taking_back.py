"""Taking packages back: while their confirmation has not left, and never later; the hold of shipments, and undo."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from tests.fulfillment.conftest import Do
from tests.fulfillment.test_correcting import reading
from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, IncomingOrder
from webapp.channels.models import Store
from webapp.channels.outgoing import NotYet, Refused, Unknown
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Forbidden, Refusal, Stale, sentence_of as problem_of
from webapp.fulfillment.confirmations import confirmations_of, held_shipments
from webapp.fulfillment.holding import SETTINGS
from webapp.fulfillment.models import Package, PackageLine, Shipment
from webapp.fulfillment.services import shipments_of
from webapp.hooks import hookimpl, hooks
from webapp.orders.asof import as_of
from webapp.orders.contract import UnitsMoved
from webapp.orders.events import LINE_COLUMNS, ORDER_COLUMNS, event_words, events_of, plain, sentence_of
from webapp.orders.models import Order
from webapp.settings.services import store_all
from webapp.sync import activity, delivering, jobs, recovery
from webapp.testing import FakeChannel, again, line_again
from webapp.updates import deciding, marks
from webapp.updates.models import ChannelUpdate

Take = Callable[..., list[Order]]
Work = Callable[[], int]


def ship(do: Do, order: Order, *tracking: str, **data: Any) -> None:
    parcels = [{"carrier": "DHL", "tracking_number": number} for number in tracking or ("JD1",)]
    for parcel, line in zip(parcels, order.lines, strict=False):
        if len(parcels) > 1:
            parcel["lines"] = {line.id: 1}  # type: ignore[assignment]
    do(order, "ship", packages=[parcel | data for parcel in parcels])


def seen(order: Order) -> Order:
    db.session.expire_all()
    return db.session.get_one(Order, order.id)


def updates() -> list[ChannelUpdate]:
    db.session.expire_all()
    return list(db.session.scalars(select(ChannelUpdate).order_by(ChannelUpdate.id)))


def packages() -> list[tuple[int, str]]:
    db.session.expire_all()
    return [(row.number, row.tracking_number) for row in db.session.query(Package).order_by(Package.number)]


def go(work: Work, seconds: float = 0) -> None:
    with time_machine.travel(now() + timedelta(seconds=seconds), tick=True):
        jobs.find_due()
        work()


def hold(store: Store, seconds: int = 60) -> None:
    with unit_of_work():
        store_all(SETTINGS, {"ship_hold": seconds}, store)


# --- Taking back ------------------------------------------------------------------------------------------------------


def test_the_units_are_open_again_and_nothing_is_told(order: Order, channel: FakeChannel, work: Work, do: Do) -> None:
    ship(do, order)
    assert (seen(order).state, seen(order).unshipped) == ("complete", 0)
    do(order, "take_back", package=1)
    go(work)
    assert (seen(order).state, seen(order).unshipped, [line.shipped for line in order.lines]) == (
        "processing",
        4,
        [0, 0],
    )
    assert (channel.told("shipment"), [row.state for row in updates()]) == ([], ["withdrawn"])
    assert [db.session.query(kind).count() for kind in (Package, PackageLine, Shipment)] == [0, 0, 0]
    [event, *_] = events_of(order)
    assert sentence_of(event, {}, event_words()) == "Shipment undone: DHL, JD1 (units: 4)"
    assert (event.actor_kind, event.data["values"]["packages"]) == ("person", [1])


def test_its_number_is_never_given_again(order: Order, channel: FakeChannel, work: Work, do: Do) -> None:
    for tracking in ("JD1", "JD2", "JD3"):
        ship(do, order, tracking)
        if tracking != "JD3":
            do(order, "take_back")
    assert packages() == [(3, "JD3")]
    go(work)
    assert [(row.reference, row.revision, row.state) for row in updates()] == [
        ("1", 1, "withdrawn"),
        ("2", 1, "withdrawn"),
        ("3", 1, "sent"),
    ]


def test_one_parcel_of_a_shipment_or_the_whole_of_the_latest(order: Order, do: Do) -> None:
    ship(do, order, "JD1", "JD2")
    do(order, "take_back", package=1)
    assert packages() == [(2, "JD2")]
    assert ([line.shipped for line in seen(order).lines], db.session.query(Shipment).count()) == ([0, 1], 1)
    do(order, "ship", carrier="UPS", tracking_number="JD3", lines={order.lines[0].id: 2})
    do(order, "take_back")
    assert packages() == [(2, "JD2")]
    do(order, "take_back")
    assert packages() == []


def test_plugins_hear_of_it_and_the_order_is_rebuilt_from_its_events(order: Order, do: Do, app: Flask) -> None:
    class Ears:
        heard: list[UnitsMoved] = []

        @hookimpl
        def units_moved(self, moves: Sequence[UnitsMoved]) -> None:
            self.heard += moves

    hooks.manager.register(Ears())
    ship(do, order)
    shipped_at = now()
    do(order, "take_back")
    counted = sorted((move.move, move.units, move.origin) for move in Ears.heard)
    assert counted == [(way, units, "desk") for way in ("shipped", "unshipped") for units in (1, 3)]
    row = seen(order)
    then, before = as_of(events_of(row), now()), as_of(events_of(row), shipped_at)
    assert then is not None
    assert before is not None
    assert {name: then.order[name] for name in ORDER_COLUMNS} == {
        name: plain(getattr(row, name)) for name in ORDER_COLUMNS
    }
    for line in row.lines:
        assert {name: then.lines[line.id][name] for name in LINE_COLUMNS} == {
            name: plain(getattr(line, name)) for name in LINE_COLUMNS
        }
    assert [columns["shipped"] for columns in before.lines.values()] == [3, 1]


def test_after_it_the_order_ships_or_cancels_like_any_other(
    order: Order, do: Do, channel: FakeChannel, work: Work
) -> None:
    ship(do, order)
    do(order, "take_back")
    do(order, "cancel", reason="NoInventory")
    assert seen(order).canceling
    go(work, 61)
    assert (len(channel.told("cancel")), channel.told("shipment")) == (1, [])


def test_an_order_canceled_there_is_canceled_once_its_parcel_is_back(
    order: Order, told: IncomingOrder, take: Take, do: Do
) -> None:
    ship(do, order)
    lines = tuple(line_again(told, at, ordered=0, unfulfilled=0, canceled_by="BUYER")[at] for at in (0, 1))
    news = again(told, stage=ChannelStage.CANCELED, status="CANCELLED", lines=lines)
    take(news)
    assert "canceled_after_shipping" in [trouble["kind"] for trouble in seen(order).attention]
    do(order, "take_back")
    assert seen(order).state == "canceled"
    take(news)  # the very same answer
    assert ([line.canceled for line in seen(order).lines], seen(order).attention) == ([3, 1], [])


# --- Why not ----------------------------------------------------------------------------------------------------------


LEFT = r"Waybill has already tried to send the shipment confirmation, and Fake channel can't undo a shipment\. Correct"


@pytest.mark.parametrize("state", ["leased", "failed", "sent", "effective", "corrected"])
def test_what_may_have_left_is_not_taken_back(
    order: Order, told: IncomingOrder, store: Store, channel: FakeChannel, take: Take, work: Work, do: Do, state: str
) -> None:
    ship(do, order)
    channel.outcomes = {"failed": [NotYet(60)]}.get(state, [])
    if state == "leased":
        with unit_of_work():
            assert delivering.claim_due(store.id, "shipment", "a worker")
    else:
        go(work)
    if state == "effective":
        take(reading(told))
    if state == "corrected":
        do(order, "correct_shipment", tracking_number="JD2")
    before = packages()
    for data in ({}, {"package": 1}):
        with pytest.raises(Refusal, match=LEFT):
            do(order, "take_back", **data)
    assert (packages(), seen(order).unshipped) == (before, 0)


@pytest.mark.parametrize("counter", ["invoiced", "refunded", "returned"])
def test_units_that_were_settled_stay_shipped(order: Order, do: Do, counter: str) -> None:
    ship(do, order, "JD1", "JD2")
    with unit_of_work():
        db.session.execute(
            Order.lines.property.mapper.local_table.update()
            .where(Order.lines.property.mapper.local_table.c.id == order.lines[0].id)
            .values({counter: 1})
        )
    with pytest.raises(Refusal, match="Units of MUG were invoiced, refunded or returned"):
        do(order, "take_back", package=1)
    do(order, "take_back", package=2)


def test_what_the_channel_shows_as_shipped_is_not_taken_back(
    order: Order, told: IncomingOrder, take: Take, do: Do
) -> None:
    """Somebody else shipped the units there meanwhile: open again, they would be shipped twice."""
    ship(do, order, "JD1", "JD2")
    take(again(told, lines=line_again(told, 0, fulfilled=1, unfulfilled=2)))
    with pytest.raises(Refusal, match="Fake channel shows units of MUG as shipped"):
        do(order, "take_back", package=1)
    do(order, "take_back", package=2)


def test_other_refusals(
    order: Order, told: IncomingOrder, take: Take, do: Do, make_user: Callable[..., Actor], mia: Actor
) -> None:
    with pytest.raises(Refusal, match="Nothing has shipped yet"):
        do(order, "take_back")
    ship(do, order)
    with pytest.raises(DeskError, match="This order has no package 2"):
        do(order, "take_back", package=2)
    with pytest.raises(Forbidden):
        do(order, "take_back", actor=make_user("read_only", "Vi"))
    version = seen(order).version
    do(order, "correct_shipment", actor=mia, tracking_number="JD2")
    with pytest.raises(Stale):
        do(order, "take_back", version=version)
    do(order, "take_back", actor=mia, key="k1")
    do(order, "take_back", actor=mia, key="k1")
    [foreign] = take(replaced := again(told, minutes=9))
    take(reading(replaced))
    with pytest.raises(Refusal, match="was not shipped in Waybill"):
        do(foreign, "take_back")


def test_a_package_that_the_channel_does_not_learn_of_from_the_desk(order: Order, do: Do) -> None:
    ship(do, order)
    with unit_of_work():
        db.session.delete(updates()[0])
    with pytest.raises(Refusal, match="Waybill does not send this package to"):
        do(order, "take_back")


def test_packages_that_can_go_back_one_by_one_may_not_all_together(
    order: Order, told: IncomingOrder, take: Take, do: Do
) -> None:
    line = order.lines[0].id
    parcel = {"carrier": "DHL", "tracking_number": "JD1", "lines": {line: 1}}
    do(order, "ship", packages=[parcel, parcel | {"tracking_number": "JD2"}])
    take(again(told, lines=line_again(told, 0, fulfilled=1, unfulfilled=2)))  # one of them left by somebody else's hand
    with pytest.raises(Refusal, match="Fake channel shows units of MUG as shipped"):
        do(order, "take_back")
    do(order, "take_back", package=1)
    assert packages() == [(2, "JD2")]


def test_after_a_backup_was_put_back_nobody_knows_whether_it_left(
    order: Order, store: Store, channel: FakeChannel, work: Work, do: Do, boss: Actor
) -> None:
    ship(do, order)
    marks.note(update=updates()[0].id + 5)
    assert recovery.recover()
    with pytest.raises(Refusal, match=LEFT):
        do(order, "take_back")
    do(order, "correct_shipment", tracking_number="JD2")
    assert [(row.revision, row.state) for row in updates()] == [(1, "owed"), (2, "owed")]
    with unit_of_work():
        activity.let_send(db.session.get_one(Store, store.id), actor=Actor.operator())
    go(work)
    assert [payload["package"]["tracking_number"] for payload in channel.told("shipment")] == ["JD2"]
    assert [(row.revision, row.state) for row in updates()] == [(1, "withdrawn"), (2, "sent")]
    assert (packages(), seen(order).unshipped) == ([(1, "JD2")], 0)  # it is still shipped


# --- The hold, and undo -----------------------------------------------------------------------------------------------


def test_without_the_setting_it_goes_at_once(order: Order, channel: FakeChannel, work: Work, do: Do) -> None:
    ship(do, order)
    assert updates()[0].state == "owed"
    go(work)
    assert len(channel.told("shipment")) == 1


def test_held_it_goes_after_its_time_and_a_correction_before_that_rewrites_it(
    order: Order, store: Store, channel: FakeChannel, work: Work, do: Do
) -> None:
    hold(store)
    ship(do, order)
    do(order, "correct_shipment", tracking_number="JD2")
    assert (updates()[0].state, updates()[0].due_at - updates()[0].created_at) == ("held", timedelta(seconds=60))
    go(work, 30)
    assert channel.told("shipment") == []
    go(work, 61)
    assert [payload["package"]["tracking_number"] for payload in channel.told("shipment")] == ["JD2"]
    do(order, "correct_shipment", tracking_number="JD3")
    assert updates()[1].state == "owed"  # a correction can't be undone, and is not held


def test_only_the_latest_shipment_is_undone_as_a_whole(order: Order, store: Store, do: Do) -> None:
    hold(store)
    for number, line in zip(("JD1", "JD2"), order.lines, strict=True):
        do(order, "ship", carrier="DHL", tracking_number=number, lines={line.id: 1})
    do(order, "correct_shipment", package=1, tracking_number="JD3")
    row = seen(order)
    assert [one.undoable for one in held_shipments(shipments_of(row), confirmations_of(row))] == [False, True]


@pytest.mark.parametrize("held", [True, False])
def test_undoing_the_update_takes_the_parcel_back(
    order: Order, store: Store, channel: FakeChannel, work: Work, do: Do, boss: Actor, held: bool
) -> None:
    hold(store, 60 if held else 0)
    ship(do, order, "JD1", "JD2")
    with unit_of_work():
        deciding.undo(updates()[1], actor=boss)
    assert (packages(), [line.shipped for line in seen(order).lines]) == ([(1, "JD1")], [1, 0])
    codes = [event.code for event in events_of(order, limit=2)]
    assert codes == ["taken_back", "update_undone"]
    go(work, 61)
    assert [payload["package"]["number"] for payload in channel.told("shipment")] == [1]


def test_undoing_the_update_is_refused_where_taking_back_is(
    order: Order, told: IncomingOrder, store: Store, take: Take, work: Work, do: Do, boss: Actor
) -> None:
    hold(store)
    ship(do, order, "JD1", "JD2")
    take(again(told, lines=line_again(told, 0, fulfilled=1, unfulfilled=2)))
    with pytest.raises(Refusal, match="as shipped"), unit_of_work():
        deciding.undo(updates()[0], actor=boss)
    assert (updates()[0].state, len(packages())) == ("held", 2)
    go(work, 61)
    do(order, "correct_shipment", package=1, tracking_number="JD9")
    with pytest.raises(Refusal, match="A correction can't be undone"), unit_of_work():
        deciding.undo(updates()[2], actor=boss)


def test_closing_what_the_channel_refused_leaves_the_package(
    order: Order, channel: FakeChannel, work: Work, do: Do, boss: Actor
) -> None:
    ship(do, order)
    channel.outcomes = [Refused("No.")]
    go(work)
    with unit_of_work():
        deciding.close(updates()[0], actor=boss)
    assert (packages(), updates()[0].state) == ([(1, "JD1")], "withdrawn")


def test_a_package_is_taken_back_once_the_channel_refused_it(
    order: Order, channel: FakeChannel, work: Work, do: Do
) -> None:
    ship(do, order)
    channel.outcomes = [Refused("No.")]
    go(work)
    do(order, "take_back", package=1)
    assert (packages(), seen(order).unshipped) == ([], 4)
    assert [(row.state, problem_of(row.problem)) for row in updates()] == [("withdrawn", "No.")]
    ship(do, order, "JD2")
    go(work)
    assert packages() == [(2, "JD2")]
    assert updates()[1].state == "sent"


def test_a_package_whose_correction_was_refused_stays(order: Order, channel: FakeChannel, work: Work, do: Do) -> None:
    ship(do, order)
    go(work)
    do(order, "correct_shipment", tracking_number="JD2")
    channel.outcomes = [Refused("No.")]
    go(work, 61)
    assert updates()[1].state == "refused"
    with pytest.raises(Refusal, match=LEFT):
        do(order, "take_back", package=1)


def test_undoing_a_held_shipment_needs_the_right_to_ship(
    order: Order, store: Store, do: Do, make_user: Callable[..., Actor]
) -> None:
    hold(store)
    ship(do, order)
    clerk = make_user()
    repeats = replace(clerk, rights=clerk.rights - {"orders.ship"})
    ships = replace(clerk, rights=clerk.rights - {"updates.retry"})
    [update] = updates()
    assert [offer.code for offer in deciding.offers(update, repeats)] == ["send"]
    assert [offer.code for offer in deciding.offers(update, ships)] == ["undo"]
    with pytest.raises(Forbidden), unit_of_work():
        deciding.undo(update, actor=repeats)
    with unit_of_work():
        deciding.undo(updates()[0], actor=ships)
    assert packages() == []


def test_what_was_refused_after_a_lost_answer_is_not_taken_back(
    order: Order, channel: FakeChannel, work: Work, do: Do
) -> None:
    """The channel may have the package of the lost answer, and refuse the repetition for that."""
    ship(do, order)
    channel.outcomes, channel.found = [Unknown("lost"), Refused("No.")], [NotYet(0)]
    for seconds in (0, 5, 100, 1000):
        go(work, seconds)
    assert updates()[0].state == "refused"
    with pytest.raises(Refusal, match=LEFT):
        do(order, "take_back")


def test_closing_what_was_refused_leaves_it_to_be_taken_back(
    order: Order, channel: FakeChannel, work: Work, do: Do, boss: Actor
) -> None:
    ship(do, order)
    channel.outcomes = [Refused("No.")]
    go(work)
    with unit_of_work():
        deciding.close(updates()[0], actor=boss)
    do(order, "take_back", package=1)
    assert (packages(), seen(order).unshipped) == ([], 4)


def test_the_shipment_of_one_act_is_taken_back_and_no_other(order: Order, store: Store, do: Do) -> None:
    hold(store)
    [first, second] = order.lines
    since = seen(order).version
    do(order, "ship", carrier="DHL", tracking_number="JD1", lines={first.id: 1})
    version = seen(order).version
    do(order, "ship", carrier="DHL", tracking_number="JD2", lines={second.id: 1})
    do(order, "take_back", shipped_by=(since, version))
    assert packages() == [(2, "JD2")]
    with pytest.raises(DeskError, match="no longer exists"):
        do(order, "take_back", shipped_by=(since, version))
    assert packages() == [(2, "JD2")]
