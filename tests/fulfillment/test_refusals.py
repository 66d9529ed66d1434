"""Why an order can't ship is one sentence, on the button and in the guard; wrong input leaves nothing behind."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.order_actions.ship import ShipOrder
from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, FulfilledBy, IncomingPackage
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Refusal
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.models import DESK, Package, Shipment
from webapp.fulfillment.services import ship_order, shipments_of, shipping_refusal
from webapp.hooks import hookimpl, hooks
from webapp.orders.events import events_of, record
from webapp.orders.holds import hold
from webapp.orders.models import Order
from webapp.orders.order_settings import NEW_ORDERS
from webapp.orders.queries import find_order, reference
from webapp.orders.services import act, find_action, offers, read_input
from webapp.settings.services import store_all
from webapp.testing import incoming_line, incoming_order
from webapp.updates.models import ChannelUpdate

Take = Callable[..., list[Order]]
GOOD = {"carrier": "DHL", "tracking_number": "JD0001"}


def reload(order: Order, actor: Actor) -> Order:
    db.session.expire_all()
    return find_order(reference(order), actor)


def attempt(order: Order, actor: Actor, data: dict[str, Any] | None = None) -> DeskError | None:
    """Ship as every door does; returns the refusals."""
    action = find_action("ship")
    try:
        with unit_of_work():
            locked = find_order(reference(order), actor, lock=True)
            act(action, locked, read_input(action, GOOD if data is None else data), actor)
    except DeskError as error:
        return error
    return None


def assert_untouched(order: Order, version: int) -> None:
    db.session.expire_all()
    assert db.session.get_one(Order, order.id).version == version
    assert db.session.query(Shipment).filter_by(origin=DESK).count() == db.session.query(ChannelUpdate).count() == 0


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "pending": (
        {"stage": ChannelStage.AWAITING_PAYMENT, "status": "PENDING"},
        "payment_pending",
        "The payment is not verified yet. The order can ship after the channel has released it.",
    ),
    "canceled": (
        {"stage": ChannelStage.CANCELED, "status": "CANCELLED", "lines": (incoming_line(quantity=0),)},
        "order_canceled",
        "This order is canceled.",
    ),
    "shipped by channel": (
        {"fulfilled_by": FulfilledBy.CHANNEL},
        "shipped_by_channel",
        "Fake channel itself ships this order.",
    ),
    "label required": (
        {"flags": ("label_required",)},
        "label_required",
        "The shipping label of this order must be bought on the channel, "
        "which then confirms the shipment automatically.",
    ),
    "codes": (
        {"lines": (incoming_line("WATCH", needs_codes=True),)},
        "codes_required",
        "WATCH needs authenticity codes, which can't be entered in Waybill yet. Confirm the shipment on the channel.",
    ),
    "nothing open": (
        {"stage": ChannelStage.SHIPPED, "status": "SHIPPED", "lines": (incoming_line(fulfilled=1),)},
        "nothing_open",
        "Nothing is left to ship.",
    ),
    "no address": ({"buyer": {"name": "Jane"}}, "no_address", "The order has no delivery address."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_each_refusal_is_offered_as_it_is_guarded(case: str, take: Take, mia: Actor) -> None:
    told, code, sentence = REFUSED[case]
    [order] = take(incoming_order(told.get("lines"), **{k: v for k, v in told.items() if k != "lines"}))
    [offer] = [offer for offer in offers(order, mia) if offer.code == "ship"]
    guard = shipping_refusal(order, mia)
    assert isinstance(offer.refusal, Refusal)
    assert isinstance(guard, Refusal)
    assert (offer.refusal.code, str(offer.refusal)) == (guard.code, str(guard)) == (code, sentence)
    version = order.version
    refused = attempt(order, mia)
    assert (type(refused), str(refused)) == (type(guard), sentence)
    assert_untouched(order, version)


def test_an_order_on_hold_or_being_canceled_does_not_ship(make_order: Callable[..., Order], mia: Actor) -> None:
    order = make_order()
    with unit_of_work():
        hold(find_order(reference(order), mia, lock=True), "check stock", actor=mia)
    assert str(attempt(order, mia)) == "This order is on hold. Release the hold first."
    with unit_of_work():
        locked = find_order(reference(order), mia, lock=True)
        locked.canceling = True
        record(locked, "canceling", actor=mia)
    assert str(attempt(order, mia)) == "This order is being canceled."


class BeingChecked(Refusal):
    sentence = "Somebody looks at this order."


def test_a_plugin_that_is_asked_keeps_an_order_from_leaving(take: Take, mia: Actor) -> None:
    """Its sentence is shown on the button and ends the act; other orders can be shipped."""

    class Checking:
        @hookimpl
        def keep_from_shipping(self, orders: list[int]) -> dict[int, Refusal]:
            asked.append(orders)
            return {order_id: BeingChecked() for order_id in orders if order_id == kept.id}

    asked: list[list[int]] = []
    kept, free = take(incoming_order(), incoming_order())
    hooks.manager.register(Checking(), name="checking")
    for order, sentence in ((kept, BeingChecked.sentence), (free, "None")):
        assert str(shipping_refusal(reload(order, mia), mia)) == sentence
        assert str(attempt(order, mia)) == sentence
    assert db.session.query(Shipment).filter_by(order_id=kept.id).count() == 0

    asked.clear()
    db.session.rollback()
    both = [find_order(reference(order), mia) for order in (kept, free)]
    assert [shipping_refusal(order, mia) is None for order in both] == [False, False]  # the other was shipped
    assert [sorted(orders) for orders in asked] == [sorted([kept.id, free.id])]  # one call for all orders of the page


def test_an_order_managed_at_the_channel_refuses_every_act(store: Store, take: Take, mia: Actor) -> None:
    with unit_of_work():
        store_all(NEW_ORDERS, {"import_orders": False}, store)
    [order] = take(incoming_order())
    sentence = "This order is managed at the channel: importing is off for its store or marketplace."
    assert order.number is None
    assert {str(offer.refusal) for offer in offers(order, mia)} == {sentence}
    assert str(shipping_refusal(order, mia)) == sentence  # the page's next step asks it too
    assert str(attempt(order, mia)) == sentence


def test_a_buyer_who_wants_to_cancel_stops_it_unless_told_anyway(take: Take, mia: Actor) -> None:
    [order] = take(incoming_order([incoming_line(cancel_requested=True)]))
    [offer] = [offer for offer in offers(order, mia) if offer.code == "ship"]
    assert offer.refusal is None  # the form asks
    assert shipping_refusal(order, mia, anyway=True) is None
    sentence = (
        "The buyer asked to cancel this order. "
        "To ship it anyway, open the order page and tick “ship anyway” under Ship."
    )
    assert str(attempt(order, mia)) == str(shipping_refusal(order, mia)) == sentence
    assert attempt(order, mia, GOOD | {"ship_anyway": True}) is None
    assert reload(order, mia).state == "complete"


def test_without_the_right_it_is_neither_offered_nor_done(
    make_order: Callable[..., Order], make_user: Callable[..., Actor]
) -> None:
    order, rob = make_order(), make_user("read_only", "Rob")
    assert [offer.code for offer in offers(order, rob)] == []
    assert "You don't have the right to do this (ship orders)." in str(attempt(order, rob))


# --- Bad input --------------------------------------------------------------------------------------------------------

LINE = "<line>"
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "quantity too high": (GOOD | {"lines": {LINE: 3}}, "The quantity is too high. Units of MUG left to ship: 2."),
    "quantity zero": (GOOD | {"lines": {LINE: 0}}, "The quantity of MUG must be at least 1."),
    "quantity negative": (GOOD | {"lines": {LINE: -1}}, "The quantity of MUG must be at least 1."),
    "quantity beyond reason": (
        GOOD | {"lines": {LINE: 10**30}},
        "The quantity is too high. Units of MUG left to ship: 2.",
    ),
    "quantity a fraction": (GOOD | {"lines": {LINE: 1.5}}, "Enter a whole number."),
    "quantity a word": (GOOD | {"lines": {LINE: "two"}}, "Enter a whole number."),
    "unknown line": (GOOD | {"lines": {"987654": 1}}, "Line 987654 is not on this order."),
    "line a word": (GOOD | {"lines": {"first": 1}}, "Enter a whole number."),
    "lines a list": (GOOD | {"lines": [1]}, "This value must be a set of order lines with quantities."),
    "no tracking number": ({"carrier": "DHL"}, "Enter a tracking number."),
    "blank tracking number": ({"carrier": "DHL", "tracking_number": "   "}, "Enter a tracking number."),
    "nothing at all": ({}, "This marketplace does not accept the carrier"),
    "unknown carrier": (
        {"carrier": "Pigeon", "tracking_number": "1"},
        "This marketplace does not accept the carrier “Pigeon”. Accepted carriers: DHL, UPS, Other.",
    ),
    "other without a name": ({"carrier": "Other", "tracking_number": "1"}, "Enter the name of the carrier."),
    "shipped tomorrow": (GOOD | {"ship_date": "<tomorrow>"}, "must be between the order's arrival and now"),
    "shipped before it arrived": (GOOD | {"ship_date": "<last week>"}, "must be between the order's arrival and now"),
    "date a word": (GOOD | {"ship_date": "soon"}, "Enter a date and time, such as"),
    "empty package": ({"packages": [GOOD, {"carrier": "UPS", "tracking_number": "2"}]}, "needs at least one unit."),
    "more in all than is open": (
        {"packages": [GOOD | {"lines": {LINE: 2}}, GOOD | {"lines": {LINE: 1}}]},
        "The quantity is too high. Units of MUG left to ship: 0.",
    ),
    "second of two wrong": (
        {"packages": [GOOD | {"lines": {LINE: 1}}, {"carrier": "Pigeon", "tracking_number": "2"}]},
        "does not accept the carrier",
    ),
    "no packages": ({"packages": []}, "Choose at least one."),
    "packages a word": ({"packages": "one"}, "This value must be a list."),
    "a package a word": ({"packages": ["one"]}, "This value must be a set of fields."),
    "an unknown field": (GOOD | {"colour": "red"}, "This field does not exist."),
    "an unknown field of a package": ({"packages": [GOOD | {"colour": "red"}]}, "This field does not exist."),
    "a NUL character": (
        {"carrier": "DHL", "tracking_number": "JD\0001"},
        "This text has a character that can't be saved.",
    ),
    "anyway perhaps": (GOOD | {"ship_anyway": "perhaps"}, "Enter yes or no."),
    "a number for a carrier": ({"carrier": 7, "tracking_number": "1"}, "This value must be text."),
}


def filled_in(data: Any, order: Order) -> Any:
    """The data with this order's line and the intended moments."""
    moments = {"<tomorrow>": now() + timedelta(days=1), "<last week>": now() - timedelta(days=7)}
    if isinstance(data, dict):
        keys = {LINE: str(order.lines[0].id)}
        return {keys.get(name, name): filled_in(value, order) for name, value in data.items()}
    if isinstance(data, list):
        return [filled_in(value, order) for value in data]
    return moments[data].isoformat() if isinstance(data, str) and data in moments else data


@pytest.fixture
def order(make_order: Callable[..., Order]) -> Order:
    return make_order("MUG", 2)


def test_bad_input_is_refused_by_one_sentence_and_changes_nothing(order: Order, mia: Actor) -> None:
    version = order.version
    for case, (data, sentence) in BAD.items():
        refused = attempt(order, mia, filled_in(data, order))
        assert refused is not None, case
        assert sentence in str(refused), (case, str(refused))
        assert refused.status in (409, 422), case
        assert "\n" not in str(refused), case
        assert_untouched(order, version)
    assert attempt(order, mia) is None  # and then it ships as it should


# --- What ships -------------------------------------------------------------------------------------------------------


def test_many_packages_go_in_one_act_and_are_numbered(take: Take, mia: Actor) -> None:
    [order] = take(incoming_order([incoming_line("MUG", 3), incoming_line("CUP", 1)]))
    mug, cup = (str(line.id) for line in order.lines)
    packages = [
        {"carrier": "dhl", "tracking_number": " JD1 ", "lines": {mug: 2}},
        {"carrier": "UPS", "service": "Ground", "tracking_number": "1Z", "lines": {mug: 1, cup: 1}},
    ]
    assert attempt(order, mia, {"packages": packages}) is None
    order = reload(order, mia)
    [shipment] = shipments_of(order)
    assert [(p.number, p.carrier, p.service, p.tracking_number) for p in shipment.packages] == [
        (1, "DHL", "", "JD1"),
        (2, "UPS", "Ground", "1Z"),
    ]
    assert [sum(line.quantity for line in p.lines) for p in shipment.packages] == [2, 2]
    assert (order.state, order.unshipped, order.version) == ("complete", 0, 2)
    assert [update.reference for update in db.session.query(ChannelUpdate).order_by(ChannelUpdate.id)] == ["1", "2"]


def test_part_of_an_order_leaves_the_rest_open_and_numbers_go_on(order: Order, mia: Actor) -> None:
    line = str(order.lines[0].id)
    assert attempt(order, mia, GOOD | {"lines": {line: 1}}) is None
    order = reload(order, mia)
    assert (order.state, order.unshipped, order.lines[0].open) == ("processing", 1, 1)
    assert attempt(order, mia, {"carrier": "Other", "carrier_name": "Cousin Bo", "tracking_number": "2"}) is None
    order = reload(order, mia)
    assert [p.number for s in shipments_of(order) for p in s.packages] == [1, 2]
    assert shipments_of(order)[1].packages[0].carrier_name == "Cousin Bo"
    assert order.state == "complete"
    assert "Nothing is left to ship." in str(attempt(order, mia))


def test_numbers_go_on_behind_those_that_the_channel_knows(take: Take, mia: Actor) -> None:
    line = incoming_line("MUG", 3, fulfilled=1)
    there = IncomingPackage("4", {line.number: 1}, "UPS", "", "1Z", now())
    [order] = take(incoming_order([line], packages=(there,)))
    assert attempt(order, mia) is None
    assert sorted(db.session.scalars(db.select(Package.number))) == [4, 5]


def test_only_lines_without_codes_can_leave(take: Take, mia: Actor) -> None:
    [order] = take(incoming_order([incoming_line("WATCH", needs_codes=True), incoming_line("MUG")]))
    assert "WATCH needs authenticity codes" in str(attempt(order, mia))
    assert attempt(order, mia, GOOD | {"lines": {str(order.lines[1].id): 1}}) is None
    assert reload(order, mia).state == "processing"


def test_a_ship_time_without_an_offset_is_one_of_the_shops_zone(take: Take, mia: Actor) -> None:
    [order] = take(incoming_order(created_at=datetime(2026, 1, 10, tzinfo=UTC)))
    with unit_of_work():
        find_order(reference(order), mia, lock=True).shop.zone = "Asia/Tokyo"
    assert attempt(order, mia, GOOD | {"ship_date": "2026-01-12T09:30:00"}) is None
    [package] = db.session.query(Package)
    assert package.shipped_at == datetime(2026, 1, 12, 0, 30, tzinfo=UTC)


def test_a_clock_a_little_fast_is_forgiven(order: Order, mia: Actor) -> None:
    assert attempt(order, mia, GOOD | {"ship_date": (now() + timedelta(seconds=90)).isoformat()}) is None
    [package] = db.session.query(Package)
    assert package.shipped_at <= now()


def test_the_record_says_what_left(order: Order, mia: Actor) -> None:
    assert attempt(order, mia) is None
    event = events_of(order)[0]
    assert (event.code, event.actor_kind, event.actor_id) == ("shipped", "person", mia.id)
    assert event.data["values"] == {"units": 2, "carrier": "DHL", "tracking": "JD0001", "packages": [1]}
    assert event.data["after"]["order"] == {"state": "complete", "unshipped": 0}
    assert event.data["before"]["order"] == {"state": "processing", "unshipped": 2}
    [line] = event.data["after"]["lines"].values()
    assert line == {"shipped": 2}


def test_the_action_takes_one_packages_fields_directly() -> None:
    one, many = (read_input(ShipOrder(), data) for data in (GOOD, {"packages": [GOOD]}))
    assert one == many


def test_an_unknown_provider_is_not_found(order: Order, mia: Actor) -> None:
    with pytest.raises(DeskError, match="drone"), unit_of_work():  # noqa: PT012
        locked = find_order(reference(order), mia, lock=True)
        ship_order(locked, [PackageInput("DHL", "1")], actor=mia, provider="drone")
