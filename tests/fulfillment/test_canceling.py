"""Canceling: who may ask for it and when, what is sent, and how every end of it leaves the order."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from tests.fulfillment.conftest import Do, cancellation, update
from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, FulfilledBy, IncomingOrder
from webapp.channels.models import Store
from webapp.channels.outgoing import CancelReason, Refused, Sent, Unknown, UpdateKind
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Forbidden, Invalid, NotFound, Refusal, sentence_of
from webapp.fulfillment.canceling import cancel_refusal
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.holding import CANCEL_HOLD, SETTINGS
from webapp.fulfillment.models import Cancellation
from webapp.fulfillment.services import ship_order, shipping_refusal
from webapp.jobs.models import Run
from webapp.orders.attention import in_words
from webapp.orders.bulk import results_of, start_bulk, undo
from webapp.orders.events import events_of
from webapp.orders.models import Order
from webapp.orders.order_settings import NEW_ORDERS
from webapp.orders.queries import find_order, locked, reference
from webapp.orders.services import find_action, read_input
from webapp.settings.services import store_all
from webapp.sync import jobs
from webapp.testing import FakeChannel, again, incoming_line, incoming_order, line_again
from webapp.updates import deciding
from webapp.updates.models import ChannelUpdate

Take = Callable[..., list[Order]]
Work = Callable[[], int]


def later(seconds: float) -> time_machine.travel:
    return time_machine.travel(now() + timedelta(seconds=seconds), tick=True)


def go_out(work: Work) -> None:
    """Let the hold pass, and the update leave."""
    with later(61):
        jobs.find_due()
        work()


def seen(order: Order) -> Order:
    db.session.expire_all()
    return db.session.get_one(Order, order.id)


def codes(order: Order) -> list[str]:
    return [event.code for event in reversed(events_of(seen(order)))]


def gone(
    order: IncomingOrder, position: int = 0, *, units: int = 1, by: str = "MERCHANT", **more: Any
) -> IncomingOrder:
    """The order as the channel lists it with units of a line canceled."""
    line = order.lines[position]
    lines = line_again(order, position, ordered=line.ordered - units, unfulfilled=line.ordered - units, canceled_by=by)
    return again(order, lines=lines, **more)


def canceled(order: IncomingOrder) -> IncomingOrder:
    lines = tuple(replace(line, ordered=0, unfulfilled=0, canceled_by="MERCHANT") for line in order.lines)
    return again(order, stage=ChannelStage.CANCELED, status="CANCELLED", lines=lines)


# --- Asking -----------------------------------------------------------------------------------------------------------


def test_it_is_held_then_sent_and_stays_canceling_until_a_reading_shows_it(
    order: Order, told: IncomingOrder, channel: FakeChannel, take: Take, work: Work, do: Do
) -> None:
    do(order, "cancel", reason="NoInventory")
    assert (update().state, update().due_at - update().created_at) == ("held", timedelta(seconds=60))
    assert (seen(order).canceling, seen(order).shown_state, seen(order).state) == (True, "canceling", "processing")
    work()
    assert channel.told("cancel") == []
    go_out(work)
    units = {line.number: line.ordered for line in told.lines}
    assert channel.told("cancel") == [{"version": 1, "whole": True, "reason": "NoInventory", "lines": units}]
    assert (update().state, update().reference) == ("sent", str(cancellation().id))
    assert seen(order).canceling
    take(canceled(told))
    assert (seen(order).state, seen(order).canceling, cancellation().state) == ("canceled", False, "effective")
    assert [line.canceled for line in seen(order).lines] == [3, 1]
    assert codes(order)[-2:] == ["update_effective", "cancel_effective"]


def test_units_of_a_line(
    order: Order, told: IncomingOrder, channel: FakeChannel, take: Take, work: Work, do: Do
) -> None:
    mug, _cup = order.lines
    do(order, "cancel", reason="NoInventory", lines={mug.id: 2})
    go_out(work)
    [payload] = channel.told("cancel")
    assert payload == {"version": 1, "whole": False, "reason": "NoInventory", "lines": {told.lines[0].number: 2}}
    take(gone(told, units=2))
    assert (seen(order).state, seen(order).canceling, cancellation().state) == ("processing", False, "effective")
    assert [(line.canceled, line.open) for line in seen(order).lines] == [(2, 1), (0, 1)]


def test_all_units_by_lines_are_the_whole_order(order: Order, do: Do) -> None:
    do(order, "cancel", reason="NoInventory", lines={line.id: line.ordered for line in order.lines})
    assert update().payload["whole"]


def test_a_partly_shipped_order_is_canceled_by_lines_alone(order: Order, boss: Actor, do: Do) -> None:
    mug, cup = order.lines
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD1", lines={mug.id: 1})], actor=boss)
    with pytest.raises(Refusal, match="Choose the units to cancel"):
        do(order, "cancel", reason="NoInventory")
    do(order, "cancel", reason="NoInventory", lines={mug.id: 2, cup.id: 1})
    assert update().payload["whole"] is False


def test_a_channel_of_whole_orders_cancels_no_lines(
    order: Order, channel: FakeChannel, boss: Actor, do: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeChannel, "cancels_lines", False)
    with pytest.raises(Refusal, match="Fake channel cancels whole orders only"):
        do(order, "cancel", reason="NoInventory", lines={order.lines[0].id: 1})
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD1", lines={order.lines[0].id: 1})], actor=boss)
    with pytest.raises(Refusal, match="Part of this order has shipped, and Fake channel cancels whole orders only"):
        do(order, "cancel", reason="NoInventory")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "pending": (
        {"stage": ChannelStage.AWAITING_PAYMENT, "status": "PENDING"},
        "The payment is not verified yet. Fake channel accepts a cancellation only after that.",
    ),
    "canceled": (
        {"stage": ChannelStage.CANCELED, "status": "CANCELLED", "lines": (incoming_line(quantity=0),)},
        "This order is canceled.",
    ),
    "shipped": (
        {"stage": ChannelStage.SHIPPED, "status": "SHIPPED", "lines": (incoming_line(fulfilled=1),)},
        "This order has shipped, so it can no longer be canceled.",
    ),
    "by the channel": (
        {"fulfilled_by": FulfilledBy.CHANNEL},
        "Fake channel itself ships this order, so it can only be canceled on Fake channel.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_why_an_order_can_not_be_canceled_is_one_sentence(case: str, take: Take, boss: Actor, do: Do) -> None:
    facts, sentence = REFUSED[case]
    [order] = take(incoming_order(**facts))
    assert str(cancel_refusal(order, boss)) == sentence
    with pytest.raises(Refusal) as refused:
        do(order, "cancel", reason="NoInventory")
    assert str(refused.value) == sentence
    assert db.session.query(Cancellation).count() == db.session.query(ChannelUpdate).count() == 0


def test_an_order_managed_there_and_a_channel_without_cancellations_refuse(
    take: Take, store: Store, order: Order, boss: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unit_of_work():
        store_all(NEW_ORDERS, {"import_orders": False}, store)
    [managed] = take(incoming_order())
    assert "managed at the channel" in str(cancel_refusal(managed, boss))
    only = (UpdateKind("shipment", "Shipment", repeatable=True),)
    monkeypatch.setattr(FakeChannel, "kinds", only)
    assert str(cancel_refusal(order, boss)) == (
        "Fake channel does not accept cancellations from Waybill. Cancel this order on Fake channel."
    )


def test_a_store_that_can_not_be_asked_is_owed_it(order: Order, store: Store, channel: FakeChannel, work: Work, do: Do):
    with unit_of_work():
        db.session.get_one(Store, store.id).read_only = {"code": "restored", "values": {}}
    do(order, "cancel", reason="NoInventory")
    go_out(work)
    assert (channel.told("cancel"), seen(order).canceling) == ([], True)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"reason": "Whim"}, "Choose a reason that Fake channel accepts"),
        ({"reason": ""}, "Choose a reason that Fake channel accepts"),
        ({"reason": "NoInventory", "lines": {999: 1}}, "Line 999 is not on this order"),
    ],
)
def test_wrong_input_leaves_nothing_behind(order: Order, do: Do, data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence):
        do(order, "cancel", **data)
    assert (seen(order).canceling, db.session.query(ChannelUpdate).count()) == (False, 0)


@pytest.mark.parametrize(("units", "sentence"), [(4, "Units of MUG left to cancel: 3"), (0, "at least 1")])
def test_wrong_quantities_are_refused(order: Order, do: Do, units: int, sentence: str) -> None:
    with pytest.raises(DeskError, match=sentence):
        do(order, "cancel", reason="NoInventory", lines={order.lines[0].id: units})


def test_a_clerk_may_not(order: Order, mia: Actor, do: Do) -> None:
    with pytest.raises(Forbidden):
        do(order, "cancel", actor=mia, reason="NoInventory")


def test_twice_is_once(order: Order, do: Do) -> None:
    version = seen(order).version
    do(order, "cancel", reason="NoInventory", key="k1", version=version)
    do(order, "cancel", reason="NoInventory", key="k1", version=version)
    for seen_before in (version, None):  # never `Stale`, which asks to try again
        with pytest.raises(Refusal, match="is being canceled"):
            do(order, "cancel", reason="NoInventory", version=seen_before)
    assert db.session.query(Cancellation).count() == db.session.query(ChannelUpdate).count() == 1


def test_nothing_ships_while_it_is_canceling(order: Order, boss: Actor, do: Do) -> None:
    do(order, "cancel", reason="NoInventory")
    assert str(shipping_refusal(seen(order), boss)) == "This order is being canceled."
    with pytest.raises(Refusal, match="being canceled"):
        do(order, "ship", carrier="DHL", tracking_number="JD1")


def test_the_time_to_undo_is_a_setting_of_the_store(
    order: Order, store: Store, channel: FakeChannel, work: Work, do: Do
) -> None:
    with unit_of_work():
        store_all(SETTINGS, {"cancel_hold": 0}, store)
    do(order, "cancel", reason="NoInventory")
    work()
    assert len(channel.told("cancel")) == 1
    with pytest.raises(Invalid, match="Enter 3600 or less"):
        CANCEL_HOLD.parse("3601")


# --- Its ends ---------------------------------------------------------------------------------------------------------


def test_undone_before_it_leaves_nothing_is_sent_and_the_order_goes_on(
    order: Order, channel: FakeChannel, work: Work, do: Do
) -> None:
    do(order, "cancel", reason="NoInventory")
    do(order, "undo_cancel")
    go_out(work)
    assert (channel.told("cancel"), seen(order).canceling, cancellation().state) == ([], False, "withdrawn")
    assert codes(order)[-2:] == ["update_undone", "cancel_withdrawn"]
    assert [event.actor_kind for event in events_of(seen(order), limit=2)] == ["job", "person"]
    with pytest.raises(Refusal, match="is not being canceled"):
        do(order, "undo_cancel")
    do(order, "cancel", reason="NoInventory")
    assert db.session.query(Cancellation).count() == 2


def test_what_has_left_is_not_undone(order: Order, work: Work, do: Do) -> None:
    do(order, "cancel", reason="NoInventory")
    go_out(work)
    with pytest.raises(Refusal, match="This update is already being sent, so it can't be withdrawn"):
        do(order, "undo_cancel")


def test_a_refusal_restores_the_order_with_the_channels_sentence(
    order: Order, channel: FakeChannel, boss: Actor, work: Work, do: Do
) -> None:
    do(order, "cancel", reason="NoInventory")
    channel.outcomes = [Refused("The order is already packed.")]
    go_out(work)
    row = seen(order)
    assert (row.canceling, row.state, cancellation().state) == (False, "processing", "refused")
    assert sentence_of(cancellation().problem) == "The order is already packed."
    [trouble] = in_words(row.attention)
    assert (trouble.kind, trouble.cause) == (
        "cancel_refused",
        "The channel did not cancel this order: The order is already packed.",
    )
    with pytest.raises(Refusal, match="Cancel the order again"), unit_of_work():
        deciding.retry(update(), actor=boss)
    do(order, "ship", carrier="DHL", tracking_number="JD1")
    assert (seen(order).attention, seen(order).state) == ([], "complete")
    assert {one.state for one in db.session.query(ChannelUpdate).filter_by(kind="cancel")} == {"withdrawn"}


def test_after_a_refusal_it_can_be_asked_for_again(
    order: Order, told: IncomingOrder, channel: FakeChannel, take: Take, work: Work, do: Do
) -> None:
    do(order, "cancel", reason="NoInventory")
    channel.outcomes = [Refused("Not now.")]
    go_out(work)
    do(order, "cancel", reason="BuyerCanceled")
    assert (seen(order).attention, seen(order).canceling) == ([], True)
    go_out(work)
    take(canceled(told))
    assert (seen(order).state, cancellation().state) == ("canceled", "effective")


def test_what_was_refused_and_happened_all_the_same_is_effective(
    order: Order, told: IncomingOrder, channel: FakeChannel, take: Take, work: Work, do: Do
) -> None:
    do(order, "cancel", reason="NoInventory")
    channel.outcomes = [Refused("Not now.")]
    go_out(work)
    take(canceled(told))
    assert (seen(order).attention, cancellation().state, update().state) == ([], "effective", "effective")


def test_an_order_canceled_there_before_it_left_withdraws_it(
    order: Order, told: IncomingOrder, channel: FakeChannel, take: Take, work: Work, do: Do
) -> None:
    do(order, "cancel", reason="NoInventory")
    take(canceled(told))
    go_out(work)
    assert (channel.told("cancel"), update().state, cancellation().state) == ([], "done_elsewhere", "withdrawn")
    assert (seen(order).canceling, codes(order)[-1]) == (False, "cancel_elsewhere")


def test_an_order_that_ships_there_contradicts_it(
    order: Order, told: IncomingOrder, take: Take, work: Work, do: Do
) -> None:
    do(order, "cancel", reason="NoInventory")
    go_out(work)
    lines = tuple(replace(line, fulfilled=line.ordered, unfulfilled=0) for line in told.lines)
    take(again(told, stage=ChannelStage.SHIPPED, status="SHIPPED", lines=lines))
    assert (update().state, cancellation().state, seen(order).canceling) == ("refused", "refused", False)
    assert seen(order).state == "complete"


def test_too_few_units_left_contradict_it(order: Order, told: IncomingOrder, take: Take, work: Work, do: Do) -> None:
    do(order, "cancel", reason="NoInventory", lines={order.lines[0].id: 2})
    go_out(work)
    take(again(told, lines=line_again(told, fulfilled=2, unfulfilled=1)))
    assert sentence_of(cancellation().problem) == "The quantity is too high. Units of MUG left to cancel: 1."


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"ordered": 1, "unfulfilled": 1, "canceled_by": "MERCHANT"}, "effective"),
        ({"unfulfilled": 1, "canceled_by": "MERCHANT"}, "effective"),
        ({"ordered": 1, "unfulfilled": None, "canceled_by": "MERCHANT"}, "effective"),
        ({"ordered": 2, "unfulfilled": 2, "canceled_by": "BUYER"}, "asked"),  # fewer than ours
        ({"ordered": 1, "unfulfilled": 1}, "asked"),  # nobody is said to have canceled
        ({"unfulfilled": 1, "fulfilled": 2}, "refused"),
        ({}, "asked"),
    ],
)
def test_what_a_reading_shows_of_units(
    order: Order, told: IncomingOrder, take: Take, work: Work, do: Do, change: dict[str, Any], state: str
) -> None:
    do(order, "cancel", reason="NoInventory", lines={order.lines[0].id: 2})
    go_out(work)
    take(again(told, lines=line_again(told, **change)))
    assert (cancellation().state, seen(order).canceling) == (state, state == "asked")


def test_the_last_open_units_may_leave_an_order_shipped(take: Take, work: Work, do: Do, channel: FakeChannel) -> None:
    told = incoming_order([incoming_line("MUG", 3, fulfilled=2)])
    [order] = take(told)
    do(order, "cancel", reason="NoInventory", lines={order.lines[0].id: 1})
    go_out(work)
    shipped = {"stage": ChannelStage.SHIPPED, "status": "SHIPPED"}
    take(again(told, **shipped, lines=line_again(told, ordered=2, unfulfilled=0, canceled_by="MERCHANT")))
    assert (cancellation().state, seen(order).state) == ("effective", "complete")
    assert (seen(order).lines[0].shipped, seen(order).lines[0].canceled) == (2, 1)


def test_a_second_cancellation_of_a_line_waits_for_its_own_units(
    order: Order, told: IncomingOrder, take: Take, work: Work, do: Do
) -> None:
    mug = order.lines[0].id
    do(order, "cancel", reason="NoInventory", lines={mug: 1})
    go_out(work)
    take(gone(told))
    do(order, "cancel", reason="NoInventory", lines={mug: 1})
    go_out(work)
    take(gone(told, minutes=6))
    assert cancellation().state == "asked"
    take(gone(told, units=2, minutes=7))
    assert cancellation().state == "effective"


def test_a_lost_answer_stays_canceling_until_the_order_shows(
    order: Order, told: IncomingOrder, channel: FakeChannel, boss: Actor, take: Take, work: Work, do: Do
) -> None:
    do(order, "cancel", reason="NoInventory")
    channel.outcomes, channel.found = [Unknown()], [Unknown()] * 20
    go_out(work)
    assert (update().state, seen(order).canceling) == ("unknown", True)
    assert not deciding.confirmable(update())
    with pytest.raises(Refusal, match="before you mark it"), unit_of_work():
        deciding.close(update(), actor=boss)
    take(canceled(told))
    assert (cancellation().state, seen(order).canceling) == ("effective", False)


def test_nobody_says_that_a_refused_one_was_done_elsewhere(
    order: Order, channel: FakeChannel, boss: Actor, work: Work, do: Do
) -> None:
    do(order, "cancel", reason="NoInventory")
    channel.outcomes = [Refused("No.")]
    go_out(work)
    assert "elsewhere" not in [offer.code for offer in deciding.offers(update(), boss)]
    with pytest.raises(deciding.OnlyReadingsShow), unit_of_work():
        deciding.elsewhere(update(), actor=boss)
    assert (update().state, cancellation().state) == ("refused", "refused")


def test_it_waits_for_a_shipment_confirmation_that_is_under_way(
    order: Order, channel: FakeChannel, boss: Actor, work: Work, do: Do
) -> None:
    channel.outcomes = [Sent()]
    do(order, "ship", carrier="DHL", tracking_number="JD1", lines={order.lines[0].id: 1})
    work()
    do(order, "cancel", reason="NoInventory", lines={order.lines[0].id: 1})
    go_out(work)
    assert channel.told("cancel") == []
    assert "Shipment confirmation" in str(sentence_of(update().problem))


# --- Many, and at once ------------------------------------------------------------------------------------------------


def run_of(orders: list[Order], boss: Actor, work: Work, code: str = "cancel", **data: str) -> Run:
    action = find_action(code)
    with unit_of_work():
        run = start_bulk(code, read_input(action, data), actor=boss, ids=[order.id for order in orders])
        run_id = run.id
    work()
    db.session.expire_all()
    return db.session.get_one(Run, run_id)


def test_many_are_canceled_with_a_result_for_each_and_undone(take: Take, boss: Actor, work: Work) -> None:
    shipped = {"stage": ChannelStage.SHIPPED, "status": "SHIPPED", "lines": (incoming_line(fulfilled=1),)}
    orders = take(incoming_order(), incoming_order(), incoming_order(**shipped))
    run = run_of(orders, boss, work, reason="NoInventory")
    results = results_of(run)
    assert [result.state for result in results] == ["done", "done", "refused"]
    assert sentence_of(results[2].problem) == "This order has shipped, so it can no longer be canceled."
    assert [seen(order).canceling for order in orders] == [True, True, False]
    with unit_of_work():
        back = undo(run, actor=boss)
        back_id = back.id
    work()
    assert [result.state for result in results_of(db.session.get_one(Run, back_id))] == ["done", "done"]
    assert not any(seen(order).canceling for order in orders)


def test_the_form_for_many_offers_the_reasons_in_common(
    store: Store, boss: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reasons(channel: FakeChannel, marketplace: str) -> list[CancelReason]:
        own = CancelReason(code=f"Only{marketplace}", label="Only there")
        return [own, CancelReason(code="NoInventory", label="Not in stock")][: 1 if alone else 2]

    alone = False
    monkeypatch.setattr(FakeChannel, "cancel_reasons", reasons)
    offered = find_action("cancel").offered(None, boss)
    assert [code for code, _label in offered["reason"].choices] == ["NoInventory"]
    alone = True
    offered = find_action("cancel").offered(None, boss)
    assert [code for code, _label in offered["reason"].choices] == ["OnlyDE", "OnlyJP"]


@pytest.mark.parametrize("other", ["cancel", "ship"])
def test_of_two_at_the_same_moment_one_wins(app: Flask, order: Order, boss: Actor, do: Do, other: str) -> None:
    number, results = reference(order), []
    both = threading.Barrier(2)
    data = {"cancel": {"reason": "NoInventory"}, "ship": {"carrier": "DHL", "tracking_number": "JD1"}}
    db.session.rollback()

    def act_once(code: str) -> None:
        with app.app_context():
            both.wait()
            try:
                do(find_order(number, boss), code, **data[code])
                results.append("done")
            except Refusal as refusal:
                results.append(str(refusal))
            finally:
                db.session.remove()

    threads = [threading.Thread(target=act_once, args=(code,)) for code in ("cancel", other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count("done") == 1
    [sentence] = [result for result in results if result != "done"]
    assert sentence in ("This order is being canceled.", "This order has shipped, so it can no longer be canceled.")
    assert db.session.query(ChannelUpdate).count() == 1


def test_people_of_other_shops_do_not_see_it(order: Order, boss: Actor, do: Do) -> None:
    with pytest.raises(NotFound):
        do(order, "cancel", actor=replace(boss, shops=frozenset()), reason="NoInventory")
