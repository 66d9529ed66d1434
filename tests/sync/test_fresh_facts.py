"""Orders that leave are read again first, if too little is known of them."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import update

from tests.conftest import run_jobs
from webapp.audit.actor import Actor
from webapp.channels.connecting import ChannelError, Denial, DeniedThing, Throttled
from webapp.channels.incoming import ChannelStage, FulfilledBy, IncomingOrder
from webapp.channels.models import ChannelOrder, Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.documents import print_runs
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.jobs import JobFailed
from webapp.jobs.models import Run
from webapp.jobs.runs import find_run
from webapp.orders import bulk, freshness
from webapp.orders.holds import hold
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import change
from webapp.sync import denials, fresh_facts, runs
from webapp.sync.jobs import READ_SINGLY
from webapp.sync.models import StoreDenial, SyncWindow, WindowKind
from webapp.sync.taking_in import quarantine
from webapp.testing import FakeChannel, again, incoming_order, line_again
from webapp.updates.queries import list_updates

Take = Callable[..., list[Order]]


@pytest.fixture
def read(channel: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The numbers of the orders that the channel was asked for, one by one."""
    numbers: list[str] = []
    asked = channel.fetch_order

    def fetch_order(store: Any, number: str) -> Any:
        numbers.append(number)
        return asked(store, number)

    monkeypatch.setattr(channel, "fetch_order", fetch_order)
    return numbers


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers answer while somebody waits: here, in the place of the pauses of the waiting."""
    monkeypatch.setattr(fresh_facts.time, "sleep", lambda _seconds: run_jobs())


def asks_to_cancel(order: IncomingOrder) -> IncomingOrder:
    """A later answer about the order, whose buyer wants to cancel it."""
    return again(order, lines=line_again(order, cancel_requested=True))


def found(run_id: int) -> Run:
    db.session.expire_all()
    return find_run(run_id)


def seen(order: Order, minutes: int) -> None:
    """The order was last read so many minutes ago."""
    with unit_of_work():
        at = now() - timedelta(minutes=minutes)
        db.session.execute(update(ChannelOrder).where(ChannelOrder.id == order.channel_order_id).values(seen_at=at))


def changes_read(store: Store, at: datetime) -> None:
    """The changes of the store were read up to this time."""
    with unit_of_work():
        runs.sync_of(store.id)
        db.session.get_one(SyncWindow, (store.id, WindowKind.CHANGES)).cursor = at


def asked_for(*orders: Order) -> int:
    """Have the orders read again where that is needed; returns how many are."""
    old = fresh_facts.too_old([order.id for order in orders], now())
    db.session.rollback()
    fresh_facts.read(old)
    return len(old)


def test_an_order_whose_facts_are_old_is_read(take: Take, channel: FakeChannel, read: list[str]) -> None:
    incoming = incoming_order()
    [order] = take(incoming)
    channel.offer(asks_to_cancel(incoming))
    seen(order, 11)
    assert asked_for(order) == 1
    run_jobs()
    assert read == [order.channel_order_number]
    db.session.expire_all()
    assert order.buyer_wants_cancel


def test_what_was_read_lately_is_not_read_again(take: Take, store: Store, read: list[str]) -> None:
    orders = take(incoming_order(), incoming_order())
    assert asked_for(*orders) == 0
    seen(orders[0], 11)
    changes_read(store, now() - timedelta(minutes=9))  # which would have brought a change of it
    assert asked_for(*orders) == 0
    changes_read(store, now() - timedelta(minutes=11))
    assert asked_for(*orders) == 1
    run_jobs()
    assert read == [orders[0].channel_order_number]


def test_an_order_without_changes_counts_as_read(take: Take, channel: FakeChannel, read: list[str]) -> None:
    incoming = incoming_order()
    [order] = take(incoming)
    channel.offer(incoming)
    seen(order, 11)
    for _ in range(2):
        asked_for(order)
        run_jobs()
    assert read == [order.channel_order_number]
    db.session.expire_all()
    assert order.version == 1  # and nothing happened to it


def test_changes_don_t_show_a_denied_marketplace(take: Take, store: Store, read: list[str]) -> None:
    [order] = take(incoming_order())
    seen(order, 11)
    changes_read(store, now())
    assert asked_for(order) == 0
    with unit_of_work():
        row = StoreDenial(store_id=store.id, work=denials.ORDERS, thing=DeniedThing.MARKETPLACE, name=order.marketplace)
        row.since, row.again_at = now(), now() + timedelta(hours=1)
        db.session.add(row)
    asked_for(order)
    run_jobs()
    assert read == [order.channel_order_number]


def test_an_unreadable_change_is_not_vouched_for_by_later_ones(take: Take, store: Store, read: list[str]) -> None:
    [order] = take(incoming_order())
    seen(order, 11)
    changes_read(store, now())
    with unit_of_work():
        quarantine.quarantine(store.id, [(order.channel_order_number, "total", "odd", {})])
    assert asked_for(order) == 1


@pytest.mark.parametrize("what", ["denied", "held", "pending", "the channel's own"])
def test_what_can_t_leave_or_be_read_is_not_read(take: Take, store: Store, mia: Actor, what: str) -> None:
    more: dict[str, Any] = {"pending": {"stage": ChannelStage.AWAITING_PAYMENT}}.get(what, {})
    more |= {"fulfilled_by": FulfilledBy.CHANNEL} if what == "the channel's own" else {}
    [order] = take(incoming_order(**more))
    seen(order, 11)
    with unit_of_work():
        if what == "held":
            hold(locked(order), "Check", actor=mia)
        elif what == "denied":
            denials.note(store.id, denials.ORDER, Denial(DeniedThing.ORDER, order.channel_order_number))
    assert asked_for(order) == 0


def test_the_age_is_a_setting_of_the_store(take: Take, store: Store, operator: Actor, read: list[str]) -> None:
    [order] = take(incoming_order())
    with unit_of_work():
        change(fresh_facts.SETTINGS, {"reread_after": "0"}, db.session.get_one(Store, store.id), actor=operator)
    assert asked_for(order) == 1  # each time


@pytest.mark.parametrize("why", ["paused", "disconnected", "archived"])
def test_a_store_that_rests_is_not_asked(take: Take, store: Store, read: list[str], why: str) -> None:
    [order] = take(incoming_order())
    seen(order, 11)
    with unit_of_work():
        row = db.session.get_one(Store, store.id)
        row.active = why != "paused"
        row.problem = ChannelError(channel="Fake", problem="").stored() if why == "disconnected" else None
        row.archived_at = now() if why == "archived" else None
    assert asked_for(order) == 0


def test_of_very_many_the_changes_are_read_instead(take: Take, store: Store, read: list[str]) -> None:
    orders = take(*(incoming_order() for _ in range(READ_SINGLY + 1)))
    for order in orders:
        seen(order, 11)
    asked_for(*orders)
    run_jobs()
    assert read == []
    assert asked_for(*orders) == 0


@pytest.mark.usefixtures("impatient")
def test_who_waits_gets_the_answer(take: Take, channel: FakeChannel, read: list[str]) -> None:
    incoming = incoming_order()
    [order] = take(incoming)
    channel.offer(asks_to_cancel(incoming))
    seen(order, 11)
    assert fresh_facts.wait_for([order.id])
    assert order.buyer_wants_cancel
    assert read == [order.channel_order_number]


@pytest.mark.parametrize("problem", [Throttled(channel="Fake", seconds=60), ChannelError(channel="Fake", problem="")])
def test_nobody_waits_long_for_a_channel_that_is_away(
    take: Take, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch, problem: ChannelError
) -> None:
    [order] = take(incoming_order())
    seen(order, 11)
    monkeypatch.setattr(freshness, "PATIENCE", timedelta(seconds=0.3))
    monkeypatch.setattr(channel, "fetch_order", lambda *_: (_ for _ in ()).throw(problem))
    assert not fresh_facts.wait_for([order.id])  # it ends, though nothing was read
    with suppress(JobFailed):  # it is tried again by itself
        run_jobs()
    assert asked_for(order) == 1  # and the next one asks again


def started(mia: Actor, orders: list[Order]) -> int:
    """A run that ships these orders, whose first job waits in the queue."""
    ship = bulk.listed_action()
    data = {order.id: ship.Input.model_validate({"carrier": "DHL", "tracking_number": "JD1"}) for order in orders}
    with unit_of_work():
        return bulk.start_each("ship", data, actor=mia).id


def test_a_run_waits_for_the_answers_before_it_ships(
    take: Take, channel: FakeChannel, mia: Actor, read: list[str]
) -> None:
    incoming = [incoming_order() for _ in range(2)]
    orders = take(*incoming)
    channel.offer(asks_to_cancel(incoming[0]), incoming[1])
    for order in orders:
        seen(order, 11)
    run_id = started(mia, orders)
    run_jobs()
    assert sorted(read) == sorted(order.channel_order_number for order in orders)
    assert found(run_id).state == "queued"  # it looks again in a second
    bulk.act_on_chunk(run_id, 0)
    assert {result.state for result in bulk.results_of(found(run_id))} == {"done", "refused"}
    assert len(list_updates(mia)) == 1


def test_a_run_waits_a_few_seconds_at_most_and_asks_once(take: Take, mia: Actor, read: list[str]) -> None:
    orders = take(incoming_order())
    seen(orders[0], 11)
    run_id = started(mia, orders)
    run_jobs()
    bulk.act_on_chunk(run_id, 0)
    assert found(run_id).state == "queued"  # the channel no longer lists the order
    with time_machine.travel(now() + timedelta(seconds=4), tick=True):
        bulk.act_on_chunk(run_id, 0)
    assert found(run_id).state == "done"
    assert read == [orders[0].channel_order_number]


def test_a_run_of_slips_waits_too_and_others_don_t(take: Take, mia: Actor, read: list[str]) -> None:
    [order] = take(incoming_order())
    seen(order, 11)
    with unit_of_work():
        bulk.start_bulk("comment", bulk.find_action("comment").Input(text="Hello"), actor=mia, ids=[order.id])
    run_jobs()
    assert read == []
    with unit_of_work():
        print_runs.start_print(actor=mia, ids=[order.id])
    run_jobs()
    assert read == [order.channel_order_number]


def test_nothing_is_asked_for_what_has_left(take: Take, mia: Actor, read: list[str]) -> None:
    [order] = take(incoming_order())
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD0001")], actor=mia)
    seen(order, 11)
    assert asked_for(order) == 0


def test_unread_windows_are_no_answer(take: Take, store: Store) -> None:
    [order] = take(incoming_order())
    seen(order, 11)
    with unit_of_work():
        runs.sync_of(store.id)
    assert asked_for(order) == 1
