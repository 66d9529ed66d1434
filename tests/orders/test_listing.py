"""Lists page both ways over one order, whatever is missing or equal; counts and words agree with what is shown."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import event, insert, or_, true, update

from webapp.audit.actor import Actor
from webapp.channels.contract import ChannelStage
from webapp.channels.models import Store
from webapp.channels.services import create_shop
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, Invalid
from webapp.orders.listing import (
    count_orders,
    key_of,
    list_orders,
    matching_ids,
    newer_than,
)
from webapp.orders.models import SORTED, Order
from webapp.orders.queries import orders_by_id, state_condition
from webapp.search.compiling import Compiled, compile_query
from webapp.search.models import SearchTerm
from webapp.search.query import parse
from webapp.testing import incoming_order

Take = Callable[..., list[Order]]
START = datetime(2026, 3, 1, tzinfo=UTC)
JANE, JANICE, DOE = 11, 12, -7


def walked(actor: Actor, sort: str, limit: int, asked: Compiled | None = None) -> tuple[list[int], list[int]]:
    """The ids of a list, page by page to its end, and back to its beginning."""
    down: list[int] = []
    page = list_orders(actor, asked, sort=sort, limit=limit)
    assert page.newer is None
    while True:
        down += [order.id for order in page.orders]
        if page.older is None:
            break
        page = list_orders(actor, asked, sort=sort, after=page.older, limit=limit)
    up = [order.id for order in page.orders]
    while page.newer is not None:
        page = list_orders(actor, asked, sort=sort, before=page.newer, limit=limit)
        up = [order.id for order in page.orders] + up
    return down, up


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.none() | st.integers(0, 4), min_size=12, max_size=12),
    limit=st.integers(1, 13),
    name=st.sampled_from(sorted(SORTED)),
    descending=st.booleans(),
)
def test_pages_in_either_direction_are_one_sorted_list(
    take: Take, operator: Actor, values: list[int | None], limit: int, name: str, descending: bool
) -> None:
    if not db.session.query(Order).count():
        take(*[incoming_order() for _ in range(12)])
    column = SORTED[name]
    kept: dict[int, Any] = {}
    with unit_of_work():  # many of one value: the id decides
        for order_id, value in zip([order.id for order in db.session.query(Order)], values, strict=True):
            if column in ("placed_at", "updated_at"):
                value = value or 0  # which every order has
            kept[order_id] = value
            told = value if column == "total_minor" or value is None else START + timedelta(minutes=value)
            db.session.execute(update(Order).where(Order.id == order_id).values({column: told}))
    has = [id_ for id_, value in kept.items() if value is not None]
    wanted = sorted(has, key=lambda id_: (kept[id_], id_), reverse=descending)
    wanted += sorted((id_ for id_ in kept if kept[id_] is None), reverse=descending)
    sort = f"-{name}" if descending else name

    assert [order.id for order in list_orders(operator, sort=sort, limit=0).orders] == wanted
    assert walked(operator, sort, limit) == (wanted, wanted)
    assert list(db.session.scalars(matching_ids(operator, None, sort))) == wanted


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.sets(st.sampled_from([JANE, JANICE, DOE]))), min_size=10, max_size=10
    ),
    limit=st.integers(1, 11),
    sort=st.sampled_from(["-placed", "placed", "-total", "ship_by"]),
    words=st.sampled_from([({JANE},), ({JANE, JANICE},), ({JANE, JANICE}, {DOE}), ({99},), (set(),)]),
)
def test_words_find_the_same_orders_whatever_the_list_is_sorted_by(
    take: Take, operator: Actor, rows: list[tuple[int, set[int]]], limit: int, sort: str, words: Any
) -> None:
    if not db.session.query(Order).count():
        take(*[incoming_order() for _ in range(10)])
    fits = set()
    with unit_of_work():
        db.session.query(SearchTerm).delete()
        for order, (minute, terms) in zip(db.session.query(Order).order_by(Order.id), rows, strict=True):
            placed = START + timedelta(minutes=minute, milliseconds=order.id)
            db.session.execute(update(Order).where(Order.id == order.id).values(placed_at=placed))
            for term in terms:
                values = {"term": term, "placed": int(placed.timestamp()), "order_id": order.id}
                db.session.execute(insert(SearchTerm).values(values))
            if all(terms & word for word in words):
                fits.add(order.id)
    asked = Compiled(words=tuple(map(frozenset, words)))

    down, up = walked(operator, sort, limit, asked)

    assert down == up
    assert len(down) == len(set(down))
    assert set(down) == fits
    assert set(db.session.scalars(matching_ids(operator, asked, sort))) == fits
    assert count_orders(operator, asked) == (len(fits), False)


@pytest.mark.parametrize(("sort", "queries"), [("-placed", 1), ("ship_by", 2)])
def test_a_list_asks_once_and_once_more_for_what_lacks_a_value(
    take: Take, operator: Actor, sort: str, queries: int
) -> None:
    take(*[incoming_order() for _ in range(5)])
    db.session.expire_all()
    asked: list[str] = []

    def note(*words: object) -> None:
        asked.append(str(words[2]))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        for order in list_orders(operator, sort=sort).orders:
            assert order.store.name + order.shop.name
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    assert len([statement for statement in asked if statement.startswith("SELECT")]) == queries


def test_a_state_is_the_one_that_is_shown(take: Take, operator: Actor) -> None:
    pending, held, canceling, plain = take(
        incoming_order(stage=ChannelStage.AWAITING_PAYMENT, status="PENDING"),
        incoming_order(),
        incoming_order(),
        incoming_order(),
    )
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == held.id).values(on_hold=True))
        db.session.execute(update(Order).where(Order.id == canceling.id).values(canceling=True))
    db.session.expire_all()

    def found(condition: Any) -> set[int]:
        return {order.id for order in list_orders(operator, Compiled((condition,))).orders}

    assert found(state_condition("pending")) == {pending.id}
    assert found(state_condition("on_hold")) == {held.id}
    assert found(state_condition("canceling")) == {canceling.id}
    assert found(state_condition("processing")) == {plain.id}
    assert found(state_condition("complete")) == set()


def test_what_was_archived_shows_only_to_who_asks_for_it(take: Take, operator: Actor) -> None:
    kept, old = take(incoming_order(), incoming_order())
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == old.id).values(archived_at=now()))
        for order in (kept, old):
            values = {"term": JANE, "placed": int(order.placed_at.timestamp()), "order_id": order.id}
            db.session.execute(insert(SearchTerm).values(values))

    def found(asked: Compiled | None) -> set[int]:
        return {order.id for order in list_orders(operator, asked).orders}

    assert found(None) == found(Compiled()) == found(Compiled((Order.state == "processing",))) == {kept.id}
    assert found(Compiled((Order.archived_at.is_not(None),))) == {old.id}
    assert found(Compiled((Order.number == old.number,))) == {old.id}
    assert found(Compiled((or_(true()),))) == {kept.id, old.id}
    assert found(Compiled(words=(frozenset({JANE}),))) == {kept.id, old.id}
    assert found(compile_query(parse("-hold"), operator)) == {kept.id}
    assert count_orders(operator) == (1, False)


def test_counts_are_exact_up_to_their_cap(take: Take, operator: Actor) -> None:
    take(*[incoming_order() for _ in range(5)])

    assert count_orders(operator) == (5, False)
    assert count_orders(operator, cap=5) == (5, False)
    assert count_orders(operator, cap=4) == (4, True)


@pytest.mark.parametrize("sort", ["placed", "-ship_by", "total"])
def test_a_key_that_is_not_ours_is_refused(app: Flask, operator: Actor, sort: str) -> None:
    moment = "2026-03-01T00:00:00Z"
    wrong = ("x", "~", f"{moment}~x", "2026-03-01~1", moment + "~" + "9" * 30, "0001-01-01T00:00:00+23:59~1")
    for key in (*wrong, f"{moment}~-1"):
        asks = [
            lambda key=key: list_orders(operator, sort=sort, after=key),
            lambda key=key: list_orders(operator, sort=sort, before=key),
        ]
        for ask in [*asks, *([lambda key=key: newer_than(operator, key)] if sort == "placed" else [])]:
            with pytest.raises(Invalid, match="not one of the desk's"):
                ask()


def test_a_list_is_sorted_only_by_what_has_an_index(app: Flask, operator: Actor) -> None:
    for sort in ("", "-", "id", "flags", "--placed", "placed_at"):
        with pytest.raises(Invalid, match="can't be sorted"):
            list_orders(operator, sort=sort)


def test_new_orders_are_counted_from_the_newest_shown(take: Take, operator: Actor) -> None:
    [shown] = take(incoming_order())
    key = key_of(shown)
    assert newer_than(operator, key) == 0
    take(incoming_order(created_at=now()), incoming_order(created_at=now()))
    assert newer_than(operator, key) == 2


def test_nobody_lists_orders_of_other_shops(take: Take, store: Store, operator: Actor, mia: Actor) -> None:
    with unit_of_work():
        tokyo = create_shop("Tokyo", prefix="T-").id
        next(row for row in db.session.get_one(Store, store.id).marketplaces if row.marketplace == "JP").shop_id = tokyo
    here, there = take(incoming_order(), incoming_order(marketplace="JP", currency="JPY"))
    packer = replace(mia, shops=frozenset({tokyo}))
    with unit_of_work():
        for order in (here, there):
            values = {"term": JANE, "placed": int(order.placed_at.timestamp()), "order_id": order.id}
            db.session.execute(insert(SearchTerm).values(values))

    for asked in (None, Compiled(words=(frozenset({JANE}),))):
        assert [order.id for order in list_orders(packer, asked).orders] == [there.id]
        assert list(db.session.scalars(matching_ids(packer, asked))) == [there.id]
        assert count_orders(packer, asked) == (1, False)
        assert count_orders(operator, asked) == (2, False)
    assert [order.id for order in orders_by_id([here.id, there.id], packer)] == [there.id]
    assert newer_than(packer, f"{START.isoformat().replace('+00:00', 'Z')}~0") == 1
    assert list_orders(replace(mia, shops=frozenset())).orders == []


def test_whoever_may_not_see_orders_lists_none(take: Take) -> None:
    take(incoming_order())
    nobody = Actor(Actor.operator().kind)
    for ask in (lambda: list_orders(nobody), lambda: count_orders(nobody), lambda: matching_ids(nobody)):
        with pytest.raises(Forbidden):
            ask()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("", "ix_orders_ship_by"),
        ("store:1", "ix_orders_store_ship_by"),
        ("state:open store:1", "ix_orders_open_ship_by"),
        ("state:processing store:1", "ix_orders_state_ship_by"),
        ("due:<4h fulfilled-by:merchant", "ix_orders_open_ship_by"),
        ("attention:yes store:1", "ix_orders_attention"),
        ("hold state:open", "ix_orders_on_hold"),
        ("buyer-cancel:yes", "ix_orders_buyer_wants_cancel"),
    ],
)
def test_a_list_walks_the_index_of_the_few(store: Store, operator: Actor, query: str, index: str) -> None:
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and "FROM orders" in statement:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append(" ".join(row[3] for row in cursor.fetchall()))

    compiled = compile_query(parse(query), operator)
    event.listen(db.engine, "before_cursor_execute", explain)
    try:
        list_orders(operator, compiled, sort="ship_by")
    finally:
        event.remove(db.engine, "before_cursor_execute", explain)

    assert plans
    assert all(f"INDEX {index} " in f"{plan} " for plan in plans), plans
    assert list(db.session.scalars(matching_ids(operator, compiled))) == []
    assert count_orders(operator, compiled) == (0, False)
