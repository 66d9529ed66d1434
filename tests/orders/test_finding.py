"""Lists page both ways over one order; either number finds what the actor may see and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import event, update

from webapp.audit.actor import Actor
from webapp.channels.contract import ChannelStage, OrdersPage
from webapp.channels.models import Store
from webapp.channels.services import add_store, create_shop
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, Invalid, NotFound, SeveralFit
from webapp.orders.models import Order
from webapp.orders.queries import find_order, key_of, list_orders, newer_than, orders_by_id, reference
from webapp.orders.services import hold
from webapp.sync.importing import prepare, take_in
from webapp.testing import FakeChannel, again, incoming_order

Take = Callable[..., list[Order]]
START = datetime(2026, 3, 1, tzinfo=UTC)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(minutes=st.lists(st.integers(0, 4), min_size=12, max_size=12), limit=st.integers(1, 13))
def test_pages_in_either_direction_are_one_sorted_list(
    take: Take, operator: Actor, minutes: list[int], limit: int
) -> None:
    if not db.session.query(Order).count():
        take(*[incoming_order() for _ in range(12)])
    with unit_of_work():  # many at one instant: the id decides
        for order, minute in zip(db.session.query(Order).order_by(Order.id), minutes, strict=True):
            db.session.execute(
                update(Order).where(Order.id == order.id).values(placed_at=START + timedelta(minutes=minute))
            )
    whole = [order.id for order in list_orders(operator, limit=0).orders]
    assert whole == [order.id for order in db.session.query(Order).order_by(Order.placed_at.desc(), Order.id.desc())]
    down: list[int] = []
    page = list_orders(operator, limit=limit)
    assert page.newer is None
    while True:
        down += [order.id for order in page.orders]
        if page.older is None:
            break
        page = list_orders(operator, after=page.older, limit=limit)
    assert down == whole
    up = [order.id for order in page.orders]
    while page.newer is not None:
        page = list_orders(operator, before=page.newer, limit=limit)
        up = [order.id for order in page.orders] + up
    assert up == whole


def test_a_list_is_one_query(take: Take, operator: Actor) -> None:
    take(*[incoming_order() for _ in range(5)])
    db.session.expire_all()
    asked: list[str] = []

    def note(*words: object) -> None:
        asked.append(str(words[2]))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        for order in list_orders(operator).orders:
            assert order.store.name + order.shop.name
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    assert len([statement for statement in asked if statement.startswith("SELECT")]) == 1


def test_filters_choose_by_store_and_by_what_is_shown(take: Take, store: Store, operator: Actor) -> None:
    pending, held, canceling, plain = take(
        incoming_order(stage=ChannelStage.AWAITING_PAYMENT, status="PENDING"),
        incoming_order(),
        incoming_order(),
        incoming_order(),
    )
    with unit_of_work():
        hold(find_order(reference(held), operator, lock=True), "check", actor=operator)
        db.session.execute(update(Order).where(Order.id == canceling.id).values(canceling=True))
    db.session.expire_all()

    def found(**filters: object) -> set[int]:
        return {order.id for order in list_orders(operator, **filters).orders}  # type: ignore[arg-type]

    assert found(state="pending") == {pending.id}
    assert found(state="on_hold") == {held.id}
    assert found(state="canceling") == {canceling.id}
    assert found(state="processing") == {plain.id}
    assert found(state="complete") == set()
    assert found(store_id=store.id, limit=0) == {pending.id, held.id, canceling.id, plain.id}
    assert found(store_id=store.id + 1) == set()


def test_a_key_that_is_not_ours_is_refused(app: Flask, operator: Actor) -> None:
    moment = "2026-03-01T00:00:00Z"
    wrong = ("x", "~", f"{moment}~x", "2026-03-01~1", moment + "~" + "9" * 30, "0001-01-01T00:00:00+23:59~1")
    for key in (*wrong, f"{moment}~-1"):
        for ask in (
            lambda key=key: list_orders(operator, after=key),
            lambda key=key: list_orders(operator, before=key),
            lambda key=key: newer_than(operator, key),
        ):
            with pytest.raises(Invalid, match="not one of the desk's"):
                ask()


def test_new_orders_are_counted_from_the_newest_shown(take: Take, operator: Actor) -> None:
    [shown] = take(incoming_order())
    key = key_of(shown)
    assert newer_than(operator, key) == 0
    take(incoming_order(created_at=now()), incoming_order(created_at=now()))
    assert newer_than(operator, key) == 2


# --- One order --------------------------------------------------------------------------------------------------------


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
        db.session.get_one(Store, store.id).import_orders = False
    [order] = take(incoming_order())
    assert (order.number, reference(order)) == (None, f"@{order.id}")
    assert find_order(reference(order), operator) is order


def test_nobody_sees_orders_of_other_shops(take: Take, store: Store, operator: Actor, mia: Actor) -> None:
    with unit_of_work():
        tokyo = create_shop("Tokyo", prefix="T-").id
        next(row for row in db.session.get_one(Store, store.id).marketplaces if row.marketplace == "JP").shop_id = tokyo
    here, there = take(incoming_order(), incoming_order(marketplace="JP", currency="JPY"))
    packer = replace(mia, shops=frozenset({tokyo}))
    assert [order.id for order in list_orders(packer).orders] == [there.id]
    assert [order.id for order in orders_by_id([here.id, there.id], packer)] == [there.id]
    assert newer_than(packer, f"{START.isoformat().replace('+00:00', 'Z')}~0") == 1
    for number in (here.number, here.channel_order_number, f"@{here.id}"):
        with pytest.raises(NotFound):
            find_order(str(number), packer)
    assert list_orders(replace(mia, shops=frozenset())).orders == []


def test_whoever_may_not_see_orders_reads_none(take: Take) -> None:
    take(incoming_order())
    nobody = Actor(Actor.operator().kind)
    for ask in (lambda: list_orders(nobody), lambda: find_order("1", nobody), lambda: orders_by_id([1], nobody)):
        with pytest.raises(Forbidden):
            ask()


def test_what_is_locked_is_what_is_there_now(take: Take, operator: Actor) -> None:
    told = incoming_order()
    [order] = take(told)
    seen = find_order(str(order.number), operator).channel_status
    take(again(told, status="PARTIALLY_SHIPPED"))
    with unit_of_work():
        assert find_order(str(order.number), operator, lock=True).channel_status == "PARTIALLY_SHIPPED" != seen
