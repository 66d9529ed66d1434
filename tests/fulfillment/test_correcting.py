"""Correcting a package: who may and when, what its channel is told in every state of the earlier confirmation, and what
a reading that lags behind shows.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from tests.fulfillment.conftest import Do
from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, IncomingOrder, IncomingPackage
from webapp.channels.models import Store
from webapp.channels.outgoing import NotYet, Refused, Unknown
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Forbidden, Refusal, Stale, sentence_of
from webapp.fulfillment.correcting import Correction, correct_shipment
from webapp.fulfillment.models import Package, Shipment
from webapp.orders.events import event_words, events_of, sentence_of as event_sentence
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.sync import delivering, jobs
from webapp.testing import FakeChannel, again, incoming_order, line_again
from webapp.updates import deciding
from webapp.updates.models import ChannelUpdate, UpdateAttempt

Take = Callable[..., list[Order]]
Work = Callable[[], int]


@pytest.fixture
def shipped(order: Order, do: Do) -> Order:
    """An order with one parcel of everything."""
    do(order, "ship", carrier="DHL", tracking_number="JD1", service="Paket")
    return order


def updates() -> list[ChannelUpdate]:
    db.session.expire_all()
    return list(db.session.scalars(select(ChannelUpdate).order_by(ChannelUpdate.revision)))


def states() -> list[tuple[int, str, str]]:
    return [(row.revision, row.state, row.payload["package"]["tracking_number"]) for row in updates()]


def package() -> Package:
    db.session.expire_all()
    return db.session.query(Package).one()


def told(channel: FakeChannel) -> list[str]:
    return [payload["package"]["tracking_number"] for payload in channel.told("shipment")]


def go(work: Work, seconds: float = 0) -> None:
    with time_machine.travel(now() + timedelta(seconds=seconds), tick=True):
        jobs.find_due()
        work()


def reading(order: IncomingOrder, tracking: str = "JD1", minutes: float = 5, **package: Any) -> IncomingOrder:
    """The order as the channel lists it once it has our parcel."""
    lines = tuple(replace(line, fulfilled=line.ordered, unfulfilled=0) for line in order.lines)
    units = {line.number: line.ordered for line in lines}
    facts = {"carrier": "DHL", "service": "Paket", "tracking_number": tracking} | package
    parcel = IncomingPackage("1", units, **facts)
    shipped = {"stage": ChannelStage.SHIPPED, "status": "SHIPPED"}
    return again(order, minutes=minutes, lines=lines, packages=(parcel,), **shipped)


# --- What is corrected ------------------------------------------------------------------------------------------------


def test_what_is_given_is_corrected_and_the_rest_stays(shipped: Order, do: Do) -> None:
    before = package().shipped_at
    do(shipped, "correct_shipment", package=1, tracking_number=" JD 2 ")
    row = package()
    assert (row.number, row.carrier, row.service, row.tracking_number) == (1, "DHL", "Paket", "JD2")
    assert row.shipped_at == before
    do(shipped, "correct_shipment", carrier="Other", carrier_name="Bike Bob", service="")
    row = package()
    assert (row.carrier, row.carrier_name, row.service, row.tracking_number) == ("Other", "Bike Bob", "", "JD2")
    do(shipped, "correct_shipment", carrier="DHL")
    assert (package().carrier, package().carrier_name) == ("DHL", "")


def test_a_form_that_still_has_the_name_of_the_former_carrier_does_not_keep_it(shipped: Order, do: Do) -> None:
    do(shipped, "correct_shipment", carrier="Other", carrier_name="Bike Bob")
    do(shipped, "correct_shipment", carrier="UPS", carrier_name="Bike Bob")
    assert (package().carrier, package().carrier_name) == ("UPS", "")


def test_the_date_is_corrected_and_a_time_that_was_not_touched_stays(take: Take, do: Do) -> None:
    [order] = take(incoming_order(created_at=now() - timedelta(days=5)))
    do(order, "ship", carrier="DHL", tracking_number="JD1")
    before = package().shipped_at
    to_the_minute = before.replace(second=0, microsecond=0).isoformat()
    do(order, "correct_shipment", ship_date=to_the_minute, tracking_number="JD2")
    assert package().shipped_at == before
    do(order, "correct_shipment", ship_date=(before - timedelta(days=2)).isoformat())
    assert package().shipped_at == before - timedelta(days=2)
    assert events_of(order)[0].code == "shipment_redated"


def test_the_timeline_says_what_it_is_and_what_it_was(shipped: Order, do: Do) -> None:
    do(shipped, "correct_shipment", tracking_number="JD2", carrier="UPS")
    event = events_of(shipped)[0]
    assert event_sentence(event, {}, event_words()) == ("Package 1 corrected: UPS, Paket, JD2, before: DHL, Paket, JD1")
    assert event.actor_kind == "person"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"tracking_number": "JD1"}, "Package 1 already has these values"),
        ({}, "already has these values"),
        ({"tracking_number": " "}, "Enter a tracking number"),
        ({"tracking_number": "9.4E+21"}, "A spreadsheet rounded this number"),
        ({"carrier": "Mule"}, "This marketplace does not accept the carrier"),
        ({"carrier": "Other"}, "Enter the name of the carrier"),
        ({"ship_date": "2001-01-01"}, "must be between the order's arrival and now"),
        ({"package": 7, "tracking_number": "JD2"}, "This order has no package 7"),
    ],
)
def test_wrong_values_correct_nothing(shipped: Order, do: Do, data: dict[str, Any], sentence: str) -> None:
    version = db.session.get_one(Order, shipped.id).version
    with pytest.raises(DeskError, match=sentence):
        do(shipped, "correct_shipment", **data)
    assert (package().tracking_number, package().carrier, states()) == ("JD1", "DHL", [(1, "owed", "JD1")])
    assert db.session.get_one(Order, shipped.id).version == version


def test_of_several_packages_one_is_named(order: Order, do: Do) -> None:
    mug, cup = order.lines
    do(order, "ship", carrier="DHL", tracking_number="JD1", lines={mug.id: 3})
    do(order, "ship", carrier="DHL", tracking_number="JD2", lines={cup.id: 1})
    with pytest.raises(DeskError, match="This order has several packages"):
        do(order, "correct_shipment", tracking_number="JD3")
    do(order, "correct_shipment", package=2, tracking_number="JD3")
    rows = db.session.query(Package).order_by(Package.number)
    assert [row.tracking_number for row in rows] == ["JD1", "JD3"]


# --- Who may, and when ------------------------------------------------------------------------------------------------


def test_nothing_shipped_is_nothing_to_correct(order: Order, do: Do) -> None:
    with pytest.raises(Refusal, match="Nothing has shipped yet"):
        do(order, "correct_shipment", tracking_number="JD2")


def test_a_package_of_others_is_corrected_where_it_was_shipped(take: Take, told: IncomingOrder, do: Do) -> None:
    [order] = take(told)
    take(reading(told))
    with pytest.raises(Refusal, match="was not shipped in Waybill"):
        do(order, "correct_shipment", tracking_number="JD2")


def test_an_order_canceled_there_is_not_told_any_more(shipped: Order, told: IncomingOrder, take: Take, do: Do) -> None:
    lines = tuple(replace(line, ordered=0, unfulfilled=0, canceled_by="SOMEBODY") for line in told.lines)
    take(again(told, stage=ChannelStage.CANCELED, status="CANCELLED", lines=lines))
    with pytest.raises(Refusal, match="This order is canceled"):
        do(shipped, "correct_shipment", tracking_number="JD2")


def test_somebody_without_the_right_may_not(shipped: Order, do: Do, make_user: Callable[..., Actor]) -> None:
    with pytest.raises(Forbidden):
        do(shipped, "correct_shipment", actor=make_user("read_only", "Vi"), tracking_number="JD2")


def test_of_two_clerks_the_second_is_told(shipped: Order, do: Do, mia: Actor) -> None:
    version = db.session.get_one(Order, shipped.id).version
    do(shipped, "correct_shipment", tracking_number="JD2", version=version, key="k1")
    do(shipped, "correct_shipment", tracking_number="JD2", version=version, key="k1")  # the same click again
    with pytest.raises(Stale):
        do(shipped, "correct_shipment", actor=mia, tracking_number="JD3", version=version)
    assert package().tracking_number == "JD2"


# --- What the channel is told, by the state of the earlier confirmation -----------------------------------------------


def test_one_that_has_not_left_is_rewritten(shipped: Order, channel: FakeChannel, work: Work, do: Do) -> None:
    do(shipped, "correct_shipment", tracking_number="JD2")
    assert states() == [(1, "owed", "JD2")]
    go(work)
    assert told(channel) == ["JD2"]


def test_one_that_failed_and_waits_is_followed_and_never_sent_again(
    shipped: Order, channel: FakeChannel, work: Work, do: Do
) -> None:
    channel.outcomes = [NotYet(60)]
    go(work)
    do(shipped, "correct_shipment", tracking_number="JD2")
    go(work, 120)
    assert states() == [(1, "withdrawn", "JD1"), (2, "sent", "JD2")]
    assert told(channel) == ["JD1", "JD2"]
    assert sentence_of(updates()[0].problem) == "A correction replaced this update."


def test_one_that_is_leaving_is_waited_for(
    shipped: Order, store: Store, channel: FakeChannel, work: Work, do: Do
) -> None:
    with unit_of_work():
        assert delivering.claim_due(store.id, "shipment", "a worker")
    do(shipped, "correct_shipment", tracking_number="JD2")
    go(work)
    assert (told(channel), [state for _, state, _ in states()]) == ([], ["owed", "owed"])
    assert "the result of the update that it corrects" in (sentence_of(updates()[1].problem) or "")
    go(work, 60)  # its worker has died
    go(work, 600)
    assert told(channel)[-1] == "JD2"
    assert states()[1] == (2, "sent", "JD2")


@pytest.mark.parametrize("accepted", [False, True])
def test_one_that_was_taken_is_followed(
    shipped: Order, channel: FakeChannel, work: Work, do: Do, accepted: bool
) -> None:
    go(work)
    if accepted:
        with unit_of_work():
            updates()[0].state = "accepted"
    do(shipped, "correct_shipment", tracking_number="JD2")
    go(work)
    assert states() == [(1, "withdrawn", "JD1"), (2, "sent", "JD2")]
    assert [update.reference for update in channel.delivered] == ["1", "1"]


def test_one_that_the_channel_shows_is_followed(
    shipped: Order, told: IncomingOrder, channel: FakeChannel, take: Take, work: Work, do: Do
) -> None:
    go(work)
    take(reading(told))
    do(shipped, "correct_shipment", tracking_number="JD2")
    go(work)
    assert states() == [(1, "effective", "JD1"), (2, "sent", "JD2")]
    take(reading(told, "JD2", minutes=9))
    assert states()[1] == (2, "effective", "JD2")
    assert db.session.query(Shipment).count() == db.session.query(Package).count() == 1
    assert db.session.get_one(Order, shipped.id).attention == []


def test_one_that_was_refused_is_followed_and_its_mark_goes(
    shipped: Order, channel: FakeChannel, work: Work, do: Do
) -> None:
    channel.outcomes = [Refused("This number is not valid.")]
    go(work)
    do(shipped, "correct_shipment", tracking_number="JD2")
    go(work)
    assert states() == [(1, "withdrawn", "JD1"), (2, "sent", "JD2")]
    assert db.session.get_one(Order, shipped.id).attention == []


def test_one_whose_answer_was_lost_is_followed(shipped: Order, channel: FakeChannel, work: Work, do: Do) -> None:
    channel.outcomes = [Unknown()]
    go(work)
    do(shipped, "correct_shipment", tracking_number="JD2")
    go(work)
    assert states() == [(1, "withdrawn", "JD1"), (2, "sent", "JD2")]


def test_one_that_somebody_closed_is_followed(
    shipped: Order, channel: FakeChannel, work: Work, do: Do, boss: Actor
) -> None:
    channel.outcomes = [Refused("This number is not valid.")]
    go(work)
    with unit_of_work():
        deciding.close(updates()[0], actor=boss)
    do(shipped, "correct_shipment", tracking_number="JD2")
    go(work)
    assert states() == [(1, "withdrawn", "JD1"), (2, "sent", "JD2")]


def test_where_another_parcel_has_its_units_the_channel_is_told_nothing(shipped: Order, do: Do, work: Work) -> None:
    with unit_of_work():
        updates()[0].state = "done_elsewhere"
    with pytest.raises(Refusal, match="the units of package 1 are in a package that Waybill did not send"):
        do(shipped, "correct_shipment", tracking_number="JD2")
    assert states() == [(1, "done_elsewhere", "JD1")]


def test_a_second_correction_rewrites_the_first_and_only_the_last_leaves(
    shipped: Order, channel: FakeChannel, work: Work, do: Do
) -> None:
    go(work)
    do(shipped, "correct_shipment", tracking_number="JD2")
    do(shipped, "correct_shipment", tracking_number="JD3")
    go(work)
    do(shipped, "correct_shipment", tracking_number="JD4")
    go(work)
    assert told(channel) == ["JD1", "JD3", "JD4"]
    earlier = [one["tracking_number"] for one in updates()[2].payload["earlier"]]
    assert (len(updates()), earlier) == (3, ["JD1", "JD3"])


# --- What readings show -----------------------------------------------------------------------------------------------


def test_a_reading_that_lags_behind_proves_nothing_and_changes_nothing(
    shipped: Order, told: IncomingOrder, channel: FakeChannel, take: Take, work: Work, do: Do
) -> None:
    go(work)
    do(shipped, "correct_shipment", tracking_number="JD2")
    take(reading(told, "JD1"))
    assert states()[1] == (2, "owed", "JD2")
    go(work)
    take(reading(told, "JD1", minutes=6))
    assert (states()[1], package().tracking_number) == ((2, "sent", "JD2"), "JD2")
    assert (db.session.query(Package).count(), db.session.get_one(Order, shipped.id).attention) == (1, [])
    take(reading(told, "JD2", minutes=7))
    assert states()[1] == (2, "effective", "JD2")


def test_back_to_a_number_that_the_channel_had_is_proven_only_once_it_was_taken(
    shipped: Order, told: IncomingOrder, take: Take, work: Work, do: Do, channel: FakeChannel
) -> None:
    go(work)
    do(shipped, "correct_shipment", tracking_number="JD2")
    go(work)
    do(shipped, "correct_shipment", tracking_number="JD1")
    take(reading(told, "JD1"))  # from before the first correction
    assert states()[2] == (3, "owed", "JD1")
    channel.outcomes = [Unknown()]
    go(work)
    take(reading(told, "JD1", minutes=6))
    assert states()[2] == (3, "unknown", "JD1")
    channel.found = [NotYet(0)]
    go(work, 10)
    go(work, 20)
    assert states()[2] == (3, "sent", "JD1")
    take(reading(told, "JD1", minutes=7))
    assert states()[2] == (3, "effective", "JD1")


def test_another_carrier_alone_is_proven_by_the_carrier(
    shipped: Order, told: IncomingOrder, take: Take, work: Work, do: Do
) -> None:
    go(work)
    take(reading(told))
    do(shipped, "correct_shipment", carrier="UPS")
    take(reading(told, minutes=6))
    assert states()[1][:2] == (2, "owed")
    go(work)
    take(reading(told, minutes=7))
    assert states()[1][:2] == (2, "sent")
    take(reading(told, minutes=8, carrier="ups"))
    assert states()[1][:2] == (2, "effective")


def test_another_date_alone_is_proven_by_the_date_to_the_minute(take: Take, work: Work, do: Do) -> None:
    told = incoming_order(created_at=now() - timedelta(days=5))
    [order] = take(told)
    do(order, "ship", carrier="DHL", tracking_number="JD1", service="Paket")
    go(work)
    first = package().shipped_at
    do(order, "correct_shipment", ship_date=(first - timedelta(days=1)).isoformat())
    go(work)
    take(reading(told, shipped_at=first))
    assert states()[1][:2] == (2, "sent")
    take(reading(told, minutes=6, shipped_at=(first - timedelta(days=1)).replace(second=0, microsecond=0)))
    assert states()[1][:2] == (2, "effective")


def test_units_that_were_canceled_elsewhere_leave_the_correction_alone(
    order: Order, told: IncomingOrder, take: Take, work: Work, do: Do, channel: FakeChannel
) -> None:
    mug, _cup = order.lines
    do(order, "ship", carrier="DHL", tracking_number="JD1", lines={mug.id: 3})
    channel.outcomes = [Unknown()]
    go(work)
    do(order, "correct_shipment", tracking_number="JD2")
    lines = line_again(told, 1, ordered=0, unfulfilled=0, canceled_by="BUYER")
    take(again(told, lines=lines))
    go(work)
    assert states() == [(1, "withdrawn", "JD1"), (2, "sent", "JD2")]
    assert [(line.shipped, line.canceled) for line in db.session.get_one(Order, order.id).lines] == [(3, 0), (0, 1)]


def test_the_service_needs_no_plugin(shipped: Order, boss: Actor) -> None:
    with unit_of_work():
        correct_shipment(locked(shipped), None, Correction(tracking_number="JD2"), actor=boss)
    assert package().tracking_number == "JD2"


def test_a_correction_waits_for_the_feed_that_it_would_overtake(
    shipped: Order, channel: FakeChannel, work: Work, do: Do
) -> None:
    """A feed that is processed later would overwrite the correction."""
    go(work)
    with unit_of_work():
        [row] = updates()
        attempt = UpdateAttempt(store_id=row.store_id, lane=row.lane, key="", messages=1, at=now())
        db.session.add(attempt)
        db.session.flush()
        row.attempt_id = attempt.id
    do(shipped, "correct_shipment", tracking_number="JD2")
    go(work)
    assert len(channel.told("shipment")) == 1
    with unit_of_work():
        updates()[0].state = "accepted"
    go(work, 301)
    assert [payload["package"]["tracking_number"] for payload in channel.told("shipment")] == ["JD1", "JD2"]
