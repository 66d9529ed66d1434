"""A store's life: paused and resumed, archived and restored; and its orders numbered once they are imported."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.channels.incoming import OrdersPage
from webapp.channels.models import Store
from webapp.channels.shops import create_shop
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, Invalid, NotFound
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.jobs import runs as long_work
from webapp.jobs.models import Run, RunState
from webapp.orders.events import events_of
from webapp.orders.models import Order
from webapp.orders.order_settings import change_orders
from webapp.orders.queries import locked
from webapp.sync import activity, numbering, runs
from webapp.sync.jobs import find_due, import_orders
from webapp.sync.runs import StoreInactive, sync_of
from webapp.sync.taking_in.pages import prepare, take_in
from webapp.testing import FakeChannel, again, incoming_line, incoming_order
from webapp.updates.models import ChannelUpdate


def the(store: Store) -> Store:
    return db.session.get_one(Store, store.id)


def set_orders(store: Store, operator: Actor, **given: Any) -> None:
    """Settings by their names; the shops by theirs."""
    shops = {name: given.pop(name) for name in ("shop_id", "marketplace_shops") if name in given}
    settings = {"import_orders": True, "own_numbers": True} | given
    around = {"shop_id": store.shop_id, "marketplace_shops": {}} | shops
    change_orders(the(store), settings=settings, **around, actor=operator)


def test_a_paused_store_is_neither_read_nor_told(
    store: Store, channel: FakeChannel, take: Callable[..., list[Order]], operator: Actor, work: Callable[[], int]
) -> None:
    [order] = take(incoming_order())
    with unit_of_work():
        row = locked(order)
        ship_order(row, [PackageInput("DHL", "JD1", lines={row.lines[0].id: 1})], actor=operator)
        runs.start(the(store), actor=operator)
        activity.deactivate(the(store), actor=operator)
    channel.offer(incoming_order())

    find_due()
    import_orders(store.id)
    work()

    assert channel.asked == []
    assert channel.delivered == []
    assert db.session.scalars(select(ChannelUpdate.state)).all() == ["owed"]
    assert sync_of(store.id).run.state == RunState.PAUSED
    with pytest.raises(StoreInactive), unit_of_work():
        runs.start(the(store), actor=operator)

    with unit_of_work():
        activity.activate(the(store), actor=operator)
    find_due()
    work()

    assert len(channel.asked) > 0
    assert len(channel.delivered) == 1
    assert sync_of(store.id).run.state == RunState.DONE


def test_an_archived_store_keeps_its_orders_and_comes_back_paused(
    store: Store, take: Callable[..., list[Order]], operator: Actor
) -> None:
    take(incoming_order())
    for act in (activity.archive, activity.archive):  # repeating it changes nothing
        with unit_of_work():
            act(the(store), actor=operator)
    assert (the(store).active, the(store).archived_at is not None) == (False, True)
    assert db.session.query(Order).count() == 1
    with pytest.raises(activity.StoreArchived), unit_of_work():
        activity.activate(the(store), actor=operator)
    with unit_of_work():
        activity.restore(the(store), actor=operator)
    assert (the(store).active, the(store).archived_at) == (False, None)
    with unit_of_work():
        activity.activate(the(store), actor=operator)
    entries = db.session.scalars(select(AuditEntry.code).order_by(AuditEntry.id))
    codes = [code for code in entries if code.startswith("store_")]
    assert codes == ["store_added", "store_deactivated", "store_archived", "store_restored", "store_activated"]


@pytest.mark.parametrize("act", [activity.activate, activity.deactivate, activity.archive, activity.restore])
def test_a_stores_life_needs_its_right(store: Store, mia: Actor, act: Callable[..., None]) -> None:
    with pytest.raises(Forbidden), unit_of_work():
        act(the(store), actor=mia)


def test_while_importing_is_off_orders_have_no_number(
    store: Store, take: Callable[..., list[Order]], operator: Actor
) -> None:
    [before] = take(incoming_order())
    with unit_of_work():
        set_orders(store, operator, import_orders=False)
    assert numbering.under_way(store.id) is None
    [order] = take(incoming_order())
    assert (before.number, order.number) == ("000001", None)


def test_switched_on_again_they_are_numbered_oldest_first(
    store: Store,
    take: Callable[..., list[Order]],
    operator: Actor,
    work: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(numbering, "CHUNK", 2)
    with unit_of_work():
        set_orders(store, operator, import_orders=False)
    told = [incoming_order(created_at=now().replace(hour=hour)) for hour in (5, 3, 1, 4, 2)]
    orders = take(*told)
    take(again(told[0], ship_by=now()))
    with unit_of_work():
        set_orders(store, operator)
        run = numbering.under_way(store.id)
        assert run is not None
        assert numbering.start(the(store)) is run
        run_id = run.id
    work()

    numbers = {order.placed_at.hour: order.number for order in db.session.query(Order)}
    assert numbers == {1: "000001", 2: "000002", 3: "000003", 4: "000004", 5: "000005"}
    run = db.session.get_one(Run, run_id)
    assert (run.state, run.done, run.total) == (RunState.DONE, 5, 5)
    [latest, *_] = events_of(db.session.get_one(Order, orders[0].id))
    assert (latest.code, latest.data["after"]) == ("numbered", {"order": {"number": "000005"}})
    with unit_of_work():
        assert numbering.start(the(store)) is None


def test_a_page_that_is_being_written_when_importing_is_switched_on_is_numbered_too(
    app: Flask, store: Store, operator: Actor, work: Callable[[], int]
) -> None:
    with unit_of_work():
        set_orders(store, operator, import_orders=False)
        sync_of(store.id)
    store_id, shop_id, written = store.id, store.shop_id, Event()
    ready = prepare(the(store), OrdersPage([incoming_order()]))

    def switch_on() -> None:
        with app.app_context():
            written.wait(60)
            with unit_of_work():
                changed = db.session.get_one(Store, store_id)
                change_orders(
                    changed, settings={"import_orders": True}, shop_id=shop_id, marketplace_shops={}, actor=operator
                )

    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(switch_on)
        with unit_of_work():
            sync_of(store_id, lock=True)
            take_in(db.session.get_one(Store, store_id), ready)
            written.set()
            wait([task], timeout=0.3)  # it would have finished if it waited for nobody
        task.result(60)
    work()
    db.session.expire_all()
    assert db.session.query(Order).one().number == "000001"


def test_a_chunk_done_twice_numbers_once(
    store: Store, take: Callable[..., list[Order]], operator: Actor, work: Callable[[], int]
) -> None:
    with unit_of_work():
        set_orders(store, operator, import_orders=False)
    [order] = take(incoming_order())
    with unit_of_work():
        set_orders(store, operator)
        run_id = numbering.under_way(store.id).id  # type: ignore[union-attr]
    for _ in range(2):
        numbering.number_orders(run_id, 0)
    work()
    db.session.expire_all()
    assert db.session.get_one(Order, order.id).number == "000001"
    assert [event.code for event in events_of(order)].count("numbered") == 1


def test_numbering_ends_where_importing_is_switched_off_again(
    store: Store, take: Callable[..., list[Order]], operator: Actor, work: Callable[[], int]
) -> None:
    with unit_of_work():
        set_orders(store, operator, import_orders=False)
    [order] = take(incoming_order())
    with unit_of_work():
        set_orders(store, operator)
        run_id = numbering.under_way(store.id).id  # type: ignore[union-attr]
        set_orders(store, operator, import_orders=False)
    work()
    assert long_work.find_run(run_id).state == RunState.DONE
    assert db.session.get_one(Order, order.id).number is None


def test_the_channels_numbers_are_taken_where_they_are_free(
    store: Store, take: Callable[..., list[Order]], operator: Actor, work: Callable[[], int]
) -> None:
    with unit_of_work():
        set_orders(store, operator, own_numbers=False)
    [first] = take(incoming_order(number="302-1"))
    assert first.number == "302-1"
    with unit_of_work():
        set_orders(store, operator, own_numbers=False, import_orders=False)
    [second] = take(incoming_order(number="302-2"))
    with unit_of_work():
        set_orders(store, operator, own_numbers=False)
    work()
    db.session.expire_all()
    assert db.session.get_one(Order, second.id).number == "302-2"


def test_orders_go_to_the_shop_that_the_settings_name(
    store: Store, take: Callable[..., list[Order]], operator: Actor
) -> None:
    with unit_of_work():
        tokyo = create_shop("Tokyo", prefix="T-", actor=operator).id
        set_orders(store, operator, marketplace_shops={"JP": tokyo, "DE": None})
    there, here = take(incoming_order([incoming_line()], marketplace="JP", currency="JPY"), incoming_order())
    assert (there.shop_id, here.shop_id) == (tokyo, store.shop_id)
    for wrong, refusal in (
        ({"marketplace_shops": {"XX": None}}, NotFound),
        ({"shop_id": 999}, Invalid),
        ({"marketplace_shops": {"DE": 999}}, Invalid),
    ):
        with pytest.raises(refusal), unit_of_work():
            set_orders(store, operator, **wrong)
