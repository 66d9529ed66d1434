"""The other orders of a buyer: by the relayed address, by right, of the actor's shops alone, and gone once erased."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from webapp.audit.actor import Actor
from webapp.channels.incoming import OrdersPage
from webapp.channels.models import Store
from webapp.channels.services import access, add_store, remember_marketplaces
from webapp.channels.shops import create_shop
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden
from webapp.orders.models import Order
from webapp.orders.of_buyer import SHOWN, other_orders
from webapp.orders.order_settings import NEW_ORDERS, change_orders
from webapp.settings.services import change
from webapp.sync.taking_in.pages import prepare, take_in
from webapp.testing import JAPAN, FakeChannel, incoming_order
from webapp.vault.services import erase

Take = Callable[..., list[Order]]


def buyer(email: str) -> dict[str, Any]:
    return {"name": "Jane Quixelworth", "email": email, "address": {"country": "DE"}}


JANE, JOHN = buyer("k7x@marketplace.test"), buyer("k7x@other.test")


def found(order: Order, actor: Actor) -> tuple[int, list[int]] | None:
    db.session.rollback()
    others = other_orders(db.session.get_one(Order, order.id), actor)
    return (others.count, [one.id for one in others.newest]) if others else None


def test_orders_of_the_same_address_are_found_newest_first(take: Take, mia: Actor) -> None:
    orders = take(*(incoming_order(buyer=JANE) for _ in range(SHOWN + 3)), incoming_order(buyer=JOHN))
    *of_jane, _john = orders
    newest = sorted(of_jane[1:], key=lambda one: (one.placed_at, one.id), reverse=True)
    assert found(of_jane[0], mia) == (SHOWN + 2, [one.id for one in newest[:SHOWN]])
    assert found(orders[-1], mia) == (0, [])


def test_a_buyer_without_an_address_and_an_erased_one_have_none(take: Take, mia: Actor) -> None:
    order, other, nameless = take(
        incoming_order(buyer=JANE), incoming_order(buyer=JANE), incoming_order(buyer={"name": "Jane"})
    )
    assert found(nameless, mia) is None
    with unit_of_work():
        erase([other.id])
    assert found(order, mia) == (0, [])
    assert found(other, mia) is None


def test_it_is_for_those_who_may_see_buyers_and_their_shops(
    take: Take, store: Store, operator: Actor, mia: Actor
) -> None:
    with unit_of_work():
        tokyo = create_shop("Tokyo", prefix="T-", actor=operator).id
        row = db.session.get_one(Store, store.id)
        change_orders(row, settings={}, shop_id=row.shop_id, marketplace_shops={JAPAN.id: tokyo}, actor=operator)
    here, there = take(incoming_order(buyer=JANE), incoming_order(buyer=JANE, marketplace=JAPAN.id, currency="JPY"))
    assert found(here, mia) == (1, [there.id])
    assert found(here, replace(mia, shops=frozenset({here.shop_id}))) == (0, [])
    with pytest.raises(Forbidden):
        other_orders(here, replace(mia, rights=mia.rights - {"buyers.see"}))


def test_a_store_may_not_want_them_shown(take: Take, store: Store, operator: Actor, mia: Actor) -> None:
    order, _other = take(incoming_order(buyer=JANE), incoming_order(buyer=JANE))
    with unit_of_work():
        change(NEW_ORDERS, {"other_orders": "no"}, db.session.get_one(Store, store.id), actor=operator)
    assert found(order, mia) is None


def test_orders_of_a_store_that_does_not_want_it_are_left_out_of_others(
    take: Take, store: Store, channel: FakeChannel, operator: Actor, mia: Actor
) -> None:
    [order] = take(incoming_order(buyer=JANE))
    with unit_of_work():
        silent = add_store("fake", "Silent store", {"key": "k-silent"}, actor=operator)
        remember_marketplaces(silent, channel.connect(access(silent)))
    ready = prepare(silent, OrdersPage([incoming_order(buyer=JANE)]))
    with unit_of_work():
        take_in(silent, ready)
    counted, newest = found(order, mia) or (0, [])
    assert (counted, len(newest)) == (1, 1)
    with unit_of_work():
        change(NEW_ORDERS, {"other_orders": "no"}, db.session.get_one(Store, silent.id), actor=operator)
    assert found(order, mia) == (0, [])
