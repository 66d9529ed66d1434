"""Either number finds orders that the actor may see, and nothing else."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from webapp.audit.actor import Actor
from webapp.channels.incoming import OrdersPage
from webapp.channels.models import Store
from webapp.channels.services import add_store, create_shop
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, NotFound, SeveralFit
from webapp.orders.models import Order
from webapp.orders.order_settings import NEW_ORDERS
from webapp.orders.queries import find_order, orders_by_id, reference
from webapp.settings.services import store_all
from webapp.sync.taking_in.pages import prepare, take_in
from webapp.testing import FakeChannel, again, incoming_order

Take = Callable[..., list[Order]]


def test_either_number_finds_the_order(take: Take, operator: Actor) -> None:
    [order] = take(incoming_order())
    assert order.number is not None
    for number in (order.number, order.channel_order_number, f" {order.number} ", f"@{order.id}"):
        assert find_order(number, operator) is order
        with unit_of_work():
            assert find_order(number, operator, lock=True) is order


def test_a_number_that_nobody_has_is_not_found(take: Take, operator: Actor) -> None:
    take(incoming_order())
    for number in ("", "nothing", "@", "@0", "@x", "@²", "@" + "9" * 40, "9" * 40, "a\0b", "a\udcff", "%", "@-1"):
        with pytest.raises(NotFound):
            find_order(number, operator)


def test_a_channel_number_of_several_orders_is_answered_with_the_choice(
    take: Take, channel: FakeChannel, operator: Actor
) -> None:
    told = incoming_order()
    [first] = take(told)
    with unit_of_work():
        other = add_store("fake", "Other store", {"key": "k"}, actor=operator)
    ready = prepare(other, OrdersPage([replace(told)]))
    with unit_of_work():
        take_in(other, ready)
    with pytest.raises(SeveralFit) as several:
        find_order(told.number, operator)
    second = db.session.query(Order).filter(Order.store_id == other.id).one()
    assert str(first.number) in str(several.value)
    assert str(second.number) in str(several.value)
    assert find_order(str(second.number), operator) is second


def test_our_own_number_comes_before_a_channels(take: Take, operator: Actor) -> None:
    [ours] = take(incoming_order())
    take(incoming_order(number=str(ours.number)))
    assert find_order(str(ours.number), operator) is ours


def test_an_order_without_a_number_is_found_by_its_id(take: Take, store: Store, operator: Actor) -> None:
    with unit_of_work():
        store_all(NEW_ORDERS, {"import_orders": False}, store)
    [order] = take(incoming_order())
    assert (order.number, reference(order)) == (None, f"@{order.id}")
    assert find_order(reference(order), operator) is order


def test_nobody_sees_orders_of_other_shops(take: Take, store: Store, operator: Actor, mia: Actor) -> None:
    with unit_of_work():
        tokyo = create_shop("Tokyo", prefix="T-").id
        next(row for row in db.session.get_one(Store, store.id).marketplaces if row.marketplace == "JP").shop_id = tokyo
    here, there = take(incoming_order(), incoming_order(marketplace="JP", currency="JPY"))
    packer = replace(mia, shops=frozenset({tokyo}))
    assert [order.id for order in orders_by_id([here.id, there.id], packer)] == [there.id]
    for number in (here.number, here.channel_order_number, f"@{here.id}"):
        with pytest.raises(NotFound):
            find_order(str(number), packer)


def test_whoever_may_not_see_orders_reads_none(take: Take) -> None:
    take(incoming_order())
    nobody = Actor(Actor.operator().kind)
    for ask in (lambda: find_order("1", nobody), lambda: orders_by_id([1], nobody)):
        with pytest.raises(Forbidden):
            ask()


def test_what_is_locked_is_what_is_there_now(take: Take, operator: Actor) -> None:
    told = incoming_order()
    [order] = take(told)
    seen = find_order(str(order.number), operator).channel_status
    take(again(told, status="PARTIALLY_SHIPPED"))
    with unit_of_work():
        assert find_order(str(order.number), operator, lock=True).channel_status == "PARTIALLY_SHIPPED" != seen
