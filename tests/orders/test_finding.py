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


WRITTEN = (
    "{ours}", "#{ours}", "# {ours}", "No. {ours}", "no {ours}", "Nr. {ours}", "№ {ours}", "№{ours}", "N° {ours}",
    "{ours}.", "“{ours}”", "order #{ours}", "Order no. {ours}", "Order number {ours}",
    "https://desk.test/orders/{ours}?tab=timeline", "http://127.0.0.1:8000/orders/{ours}",
    "{bare}", "#{bare}", "No. {bare}", "０００００{bare}",
    "{theirs}", "#{theirs}", "\u200e{theirs}", "\u00a0{theirs} ", "order # {theirs}",
    "https://sellercentral.amazon.com/orders-v3/order/{theirs}", "https://market.test/orders-v3/order/{theirs}/x?x=1",
    "https://market.test/gp/orders-v2/details/ref=x_1?ie=UTF8&orderID={theirs}", "https://market.test/#/order/{theirs}",
    "https://market.test/messaging/inbox?amazonOrderId={theirs}&m=2",
)  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN)
def test_a_number_is_found_however_it_is_written(take: Take, operator: Actor, written: str) -> None:
    [order] = take(incoming_order(number="302-0000001-7654321"))
    own = str(order.number)
    number = written.format(ours=own, bare=own.lstrip("0"), theirs=order.channel_order_number)
    assert find_order(number, operator) is order


@pytest.mark.parametrize("dash", ["‐", "‑", "–", "—", "−", "－", " - ", " – ", " "])
def test_a_number_is_found_with_any_dash(take: Take, operator: Actor, dash: str) -> None:
    [order] = take(incoming_order(number="302-0000001-7654321"))
    assert find_order(f"302{dash}0000001{dash}7654321", operator) is order


def test_a_number_without_its_prefix_names_the_choice(take: Take, store: Store, operator: Actor) -> None:
    with unit_of_work():
        tokyo = create_shop("Tokyo", prefix="T-").id
        next(row for row in db.session.get_one(Store, store.id).marketplaces if row.marketplace == "JP").shop_id = tokyo
    [first, _second, there] = take(incoming_order(), incoming_order(), incoming_order(marketplace="JP", currency="JPY"))
    assert (str(first.number), str(there.number)) == ("000001", "T-000001")
    assert find_order("000001", operator) is first
    for number in ("t-1", "T-1", "#t–1"):
        assert find_order(number, operator) is there
    with pytest.raises(SeveralFit, match="000001, T-000001"):
        find_order("1", operator)


def test_a_number_that_nobody_has_is_not_found(take: Take, operator: Actor) -> None:
    take(incoming_order())
    for number in (
        "",
        "nothing",
        "@",
        "@0",
        "@x",
        "@²",
        "@" + "9" * 40,
        "9" * 40,
        "a\0b",
        "a\udcff",
        "%",
        "@-1",
        "#",
        "No.",
    ):
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
    for number in (here.channel_order_number, f"@{here.id}"):
        with pytest.raises(NotFound):
            find_order(number, packer)
    assert find_order(str(here.number), packer) is there  # without its prefix, which sets it apart from no other


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
