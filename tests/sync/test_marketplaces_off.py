"""One marketplace of a store switched off alone: what is here is worked to its end, and nothing is lost."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from webapp.audit.actor import Actor
from webapp.channels.connecting import Denial, DeniedThing
from webapp.channels.incoming import ChannelStage
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.order_settings import MARKETPLACES, LastMarketplace, switched_off
from webapp.orders.queries import locked
from webapp.settings.services import change
from webapp.sync import denials, jobs, numbering, order_windows, runs
from webapp.testing import GERMANY, JAPAN, FakeChannel, incoming_order

Take = Callable[..., list[Order]]
Work = Callable[[], int]
pytestmark = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
YEN: dict[str, Any] = {"marketplace": JAPAN.id, "currency": "JPY"}


def the(store: Store) -> Store:
    return db.session.get_one(Store, store.id)


def switch(store: Store, **on: bool) -> None:
    with unit_of_work():
        given = {f"marketplace.{name}": value for name, value in on.items()}
        change(MARKETPLACES, given, the(store), actor=Actor.operator())


def read(store: Store, work: Work) -> None:
    with unit_of_work():
        runs.start(the(store), actor=Actor.operator())
        jobs.import_orders.enqueue(store.id)
    work()


def by_number(told: Any) -> Order | None:
    db.session.rollback()
    return db.session.query(Order).filter_by(channel_order_number=told.number).one_or_none()


def test_new_orders_of_it_are_not_asked_for_and_read_once_it_is_on_again(
    store: Store, channel: FakeChannel, work: Work
) -> None:
    read(store, work)
    switch(store, JP=False)
    assert switched_off(the(store)) == {JAPAN.id}
    german, japanese = incoming_order(updated_at=now()), incoming_order(updated_at=now(), **YEN)
    channel.offer(german, japanese)
    channel.asked.clear()
    read(store, work)
    assert {window.without for window in channel.asked} == {(JAPAN.id,)}
    assert (by_number(german) is not None, by_number(japanese)) == (True, None)

    switch(store, JP=True)
    read(store, work)
    order = by_number(japanese)
    assert order is not None
    assert order.number is not None


def test_it_is_read_until_its_open_orders_are_over_and_what_is_new_has_no_number(
    store: Store, channel: FakeChannel, take: Take, work: Work, mia: Actor
) -> None:
    told = incoming_order(**YEN)
    channel.offer(told)
    read(store, work)
    switch(store, JP=False)
    later = incoming_order(updated_at=now(), **YEN)
    channel.offer(replace(told, stage=ChannelStage.CANCELED, status="CANCELLED", updated_at=now()), later)
    read(store, work)
    order, new = by_number(told), by_number(later)
    assert (order.state, new.number) == ("canceled", None)  # type: ignore[union-attr]  # both are there
    assert order_windows.left_out(the(store)) == (JAPAN.id,)

    switch(store, JP=True)
    work()
    assert by_number(later).number is not None  # type: ignore[union-attr]  # it is there


def test_its_orders_are_shipped_and_confirmed(
    store: Store, channel: FakeChannel, take: Take, work: Work, mia: Actor
) -> None:
    [order] = take(incoming_order(**YEN))
    switch(store, JP=False)
    assert order_windows.left_out(the(store)) == ()
    with unit_of_work():
        row = locked(order)
        ship_order(row, [PackageInput("DHL", "JD1", lines={row.lines[0].id: 1})], actor=mia)
    work()
    assert len(channel.told("shipment")) == 1
    assert order_windows.left_out(the(store)) == (JAPAN.id,)


def test_orders_of_the_meantime_are_numbered_only_where_it_is_on(
    store: Store, take: Take, work: Work, operator: Actor
) -> None:
    switch(store, JP=False)
    german, japanese = take(incoming_order(), incoming_order(**YEN))
    assert (german.number is None, japanese.number is None) == (False, True)
    switch(store, DE=False, JP=True)
    work()
    db.session.rollback()
    assert db.session.get_one(Order, japanese.id).number is not None


def test_a_denial_of_it_is_over(store: Store, work: Work) -> None:
    read(store, work)
    with unit_of_work():
        denials.note(store.id, denials.ORDERS, Denial(DeniedThing.MARKETPLACE, JAPAN.id))
    switch(store, JP=False)
    db.session.rollback()
    assert denials.left_out(store.id) == ()
    assert order_windows.left_out(the(store)) == (JAPAN.id,)


def test_the_last_one_stays_on(store: Store) -> None:
    switch(store, JP=False)
    for off in ({"DE": False}, {"DE": False, "JP": False}):
        with pytest.raises(LastMarketplace):
            switch(store, **off)
    assert switched_off(the(store)) == {JAPAN.id}
    assert GERMANY.id not in switched_off(the(store))


def test_what_happened_meanwhile_to_orders_without_a_number_is_read_at_once(
    store: Store, channel: FakeChannel, take: Take, work: Work
) -> None:
    switch(store, JP=False)
    told = incoming_order(**YEN)
    [order] = take(told)
    channel.offer(replace(told, stage=ChannelStage.CANCELED, status="CANCELLED", updated_at=now()))
    switch(store, JP=True)
    work()
    db.session.rollback()
    assert db.session.get_one(Order, order.id).state == "canceled"


def test_a_numbering_under_way_begins_again_for_orders_that_join_it(store: Store, take: Take) -> None:
    switch(store, JP=False)
    take(incoming_order(**YEN))
    with unit_of_work():
        run = numbering.start(the(store))
        assert run is None  # that marketplace is off
    switch(store, DE=True, JP=True)
    run = numbering.under_way(store.id)
    assert run is not None
    with unit_of_work():
        run.numbers = {"placed_at": "2030-01-01T00:00:00Z", "order_id": 1}
        assert numbering.start(the(store)) is run
        assert run.numbers == {}
