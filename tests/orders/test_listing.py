"""Lists page both ways over one order, whatever is missing or equal; counts and words agree with what is shown."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import event, insert, or_, select, true, update

from tests.plans import plans_of
from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage
from webapp.channels.models import ChannelOrder, Store
from webapp.channels.services import add_store, create_shop
from webapp.clock import now
from webapp.db import analyze, db, table_of, unit_of_work
from webapp.errors import Forbidden, Invalid
from webapp.lists.listing import count_newer, count_rows, first_rows, key_of, list_page, matching_ids
from webapp.orders import listing
from webapp.orders.cancel_requests import TO_DECIDE
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import SORTED, Order
from webapp.orders.queries import orders_by_id, state_condition, stores_with_orders
from webapp.search.compiling import Compiled, compile_query
from webapp.search.contract import Found
from webapp.search.models import SearchTerm
from webapp.search.query import parse
from webapp.testing import incoming_line, incoming_order

Take = Callable[..., list[Order]]
START = datetime(2026, 3, 1, tzinfo=UTC)
JANE, JANICE, DOE = 11, 12, -7


def walked(actor: Actor, sort: str, limit: int, asked: Compiled | None = None) -> tuple[list[int], list[int]]:
    """The ids of a list, page by page to its end, and back to its beginning."""
    down: list[int] = []
    page = list_page(ORDER_LIST, actor, asked, sort=sort, limit=limit)
    assert page.newer is None
    while True:
        down += [order.id for order in page.rows]
        if page.older is None:
            break
        page = list_page(ORDER_LIST, actor, asked, sort=sort, after=page.older, limit=limit)
    up = [order.id for order in page.rows]
    while page.newer is not None:
        page = list_page(ORDER_LIST, actor, asked, sort=sort, before=page.newer, limit=limit)
        up = [order.id for order in page.rows] + up
    return down, up


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.none() | st.integers(0, 4), min_size=12, max_size=12),
    archived=st.sets(st.integers(0, 11)),
    limit=st.integers(1, 13),
    name=st.sampled_from(sorted(SORTED)),
    descending=st.booleans(),
)
def test_pages_in_either_direction_are_one_sorted_list(
    take: Take,
    operator: Actor,
    values: list[int | None],
    archived: set[int],
    limit: int,
    name: str,
    descending: bool,
) -> None:
    if not db.session.query(Order).count():
        take(*[incoming_order() for _ in range(12)])
    column = SORTED[name]
    kept: dict[int, Any] = {}
    with unit_of_work():  # many of one value: the id decides
        ids = [order.id for order in db.session.query(Order).order_by(Order.id)]
        put_away = {ids[at] for at in archived}
        db.session.execute(update(Order).values(archived_at=None))
        db.session.execute(update(Order).where(Order.id.in_(put_away)).values(archived_at=now()))
        for order_id, value in zip(ids, values, strict=True):
            if column in ("placed_at", "updated_at"):
                value = value or 0  # which every order has
            kept[order_id] = value
            told = value if column == "total_minor" or value is None else START + timedelta(minutes=value)
            db.session.execute(update(Order).where(Order.id == order_id).values({column: told}))
    has = [id_ for id_, value in kept.items() if value is not None]
    wanted = sorted(has, key=lambda id_: (kept[id_], id_), reverse=descending)
    wanted += sorted((id_ for id_ in kept if kept[id_] is None), reverse=descending)
    sort = f"-{name}" if descending else name

    both = compile_query(parse("archived:any"), operator)
    assert [order.id for order in list_page(ORDER_LIST, operator, both, sort=sort, limit=0).rows] == wanted
    assert walked(operator, sort, limit, both) == (wanted, wanted)
    assert list(db.session.scalars(matching_ids(ORDER_LIST, operator, both, sort))) == wanted
    assert list(db.session.scalars(matching_ids(ORDER_LIST, operator, both, sort, limit))) == wanted[:limit]
    assert [order.id for order in db.session.scalars(first_rows(ORDER_LIST, operator, both, sort, limit))] == wanted[
        :limit
    ]
    assert count_rows(ORDER_LIST, operator, both) == (12, False)
    for text, side in (("", set(ids) - put_away), ("-archived", set(ids) - put_away), ("archived", put_away)):
        asked = compile_query(parse(text), operator)
        some = [id_ for id_ in wanted if id_ in side]
        assert walked(operator, sort, limit, asked) == (some, some)
        assert list(db.session.scalars(matching_ids(ORDER_LIST, operator, asked, sort))) == some
        assert list(db.session.scalars(matching_ids(ORDER_LIST, operator, asked, sort, limit))) == some[:limit]
        assert count_rows(ORDER_LIST, operator, asked) == (len(some), False)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.sets(st.sampled_from([JANE, JANICE, DOE]))), min_size=10, max_size=10
    ),
    limit=st.integers(1, 11),
    sort=st.sampled_from(["-placed", "placed", "-total", "ship_by"]),
    words=st.sampled_from([({JANE},), ({JANE, JANICE},), ({JANE, JANICE}, {DOE}), ({99},), (set(),)]),
    own=st.lists(st.none() | st.sets(st.integers(0, 9)), min_size=2, max_size=2),
    few=st.sampled_from([1, 40]),
)
def test_words_find_the_same_orders_whatever_the_list_is_sorted_by(
    take: Take,
    operator: Actor,
    rows: list[tuple[int, set[int]]],
    limit: int,
    sort: str,
    words: Any,
    own: list[set[int] | None],
    few: int,
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
            if all(terms & word or order.id - 1 in (also or ()) for word, also in zip(words, own, strict=False)):
                fits.add(order.id)
    asked = Compiled(
        words=tuple(
            Found(frozenset(terms), () if also is None else (select(Order.id).where((Order.id - 1).in_(also)),))
            for terms, also in zip(words, own, strict=False)
        )
    )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "_MERGED_TERMS", few)
        down, up = walked(operator, sort, limit, asked)

    assert down == up
    assert len(down) == len(set(down))
    assert set(down) == fits
    every = list(db.session.scalars(matching_ids(ORDER_LIST, operator, asked, sort)))
    assert set(every) == fits
    assert list(db.session.scalars(matching_ids(ORDER_LIST, operator, asked, sort, limit))) == every[:limit]
    assert count_rows(ORDER_LIST, operator, asked) == (len(fits), False)


@pytest.mark.parametrize(("sort", "queries"), [("-placed", 1), ("ship_by", 2)])
def test_a_list_asks_once_and_once_more_for_what_lacks_a_value(
    take: Take, operator: Actor, sort: str, queries: int
) -> None:
    take(*[incoming_order() for _ in range(5)])
    db.session.expire_all()
    known = stores_with_orders(operator)  # as a page has read them
    asked: list[str] = []

    def note(*words: object) -> None:
        asked.append(str(words[2]))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        for order in list_page(ORDER_LIST, operator, sort=sort).rows:
            assert order.store in known
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
        return {order.id for order in list_page(ORDER_LIST, operator, Compiled((condition,))).rows}

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
        return {order.id for order in list_page(ORDER_LIST, operator, asked).rows}

    assert found(None) == found(Compiled()) == found(Compiled((Order.state == "processing",))) == {kept.id}
    assert found(Compiled((Order.archived_at.is_not(None),))) == {old.id}
    assert found(Compiled((Order.number == old.number,))) == {old.id}
    assert found(Compiled((or_(true()),))) == {kept.id, old.id}
    assert found(Compiled(words=(Found(frozenset({JANE})),))) == {kept.id, old.id}
    assert found(compile_query(parse("-hold"), operator)) == {kept.id}
    assert found(compile_query(parse("-zanzibar"), operator)) == {kept.id, old.id}
    assert found(compile_query(parse("-zanzibar archived"), operator)) == {old.id}
    assert found(compile_query(parse("-zanzibar -archived"), operator)) == {kept.id}
    assert count_rows(ORDER_LIST, operator) == (1, False)


def test_counts_are_exact_up_to_their_cap(take: Take, operator: Actor) -> None:
    take(*[incoming_order() for _ in range(5)])

    assert count_rows(ORDER_LIST, operator) == (5, False)
    assert count_rows(ORDER_LIST, operator, cap=5) == (5, False)
    assert count_rows(ORDER_LIST, operator, cap=4) == (4, True)


@pytest.mark.parametrize("sort", ["placed", "-ship_by", "total"])
def test_a_key_that_is_not_ours_is_refused(app: Flask, operator: Actor, sort: str) -> None:
    moment = "2026-03-01T00:00:00Z"
    wrong = ("x", "~", f"{moment}~x", "2026-03-01~1", moment + "~" + "9" * 30, "0001-01-01T00:00:00+23:59~1")
    for key in (*wrong, f"{moment}~-1"):
        asks = [
            lambda key=key: list_page(ORDER_LIST, operator, sort=sort, after=key),
            lambda key=key: list_page(ORDER_LIST, operator, sort=sort, before=key),
        ]
        for ask in [*asks, *([lambda key=key: count_newer(ORDER_LIST, operator, key)] if sort == "placed" else [])]:
            with pytest.raises(Invalid, match="not made by Waybill"):
                ask()


@pytest.mark.parametrize("currency", ["EUR", "JPY"])
def test_totals_beyond_32_bits_are_kept_and_sorted_by(take: Take, operator: Actor, currency: str) -> None:
    prices = (2**31, 10**14, 2**31 - 1, 5)
    told = [incoming_order([incoming_line(price=price)], currency=currency) for price in prices]
    orders = take(*told)
    assert [order.total_minor for order in orders] == [order.total for order in told]
    assert [amount.charged for order in orders for amount in order.amounts] == list(prices)
    down, up = walked(operator, "-total", limit=1)
    assert down == up == [orders[place].id for place in (1, 0, 2, 3)]


def test_a_list_is_sorted_only_by_what_has_an_index(app: Flask, operator: Actor) -> None:
    for sort in ("", "-", "id", "flags", "--placed", "placed_at"):
        with pytest.raises(Invalid, match="can't be sorted"):
            list_page(ORDER_LIST, operator, sort=sort)


def test_new_orders_are_counted_from_the_newest_shown(take: Take, operator: Actor) -> None:
    [shown] = take(incoming_order())
    key = key_of(ORDER_LIST, shown)
    assert count_newer(ORDER_LIST, operator, key) == 0
    take(incoming_order(created_at=now()), incoming_order(created_at=now()))
    assert count_newer(ORDER_LIST, operator, key) == 2


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

    for asked in (None, Compiled(words=(Found(frozenset({JANE})),))):
        assert [order.id for order in list_page(ORDER_LIST, packer, asked).rows] == [there.id]
        assert list(db.session.scalars(matching_ids(ORDER_LIST, packer, asked))) == [there.id]
        assert count_rows(ORDER_LIST, packer, asked) == (1, False)
        assert count_rows(ORDER_LIST, operator, asked) == (2, False)
    assert [order.id for order in orders_by_id([here.id, there.id], packer)] == [there.id]
    assert count_newer(ORDER_LIST, packer, f"{START.isoformat().replace('+00:00', 'Z')}~0") == 1
    assert list_page(ORDER_LIST, replace(mia, shops=frozenset())).rows == []


def test_whoever_may_not_see_orders_lists_none(take: Take) -> None:
    take(incoming_order())
    nobody = Actor(Actor.operator().kind)
    for ask in (
        lambda: list_page(ORDER_LIST, nobody),
        lambda: count_rows(ORDER_LIST, nobody),
        lambda: matching_ids(ORDER_LIST, nobody),
    ):
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
        ("state:open buyer-cancel:yes", "ix_orders_open_buyer_wants_cancel"),
        ("state:open buyer-cancel:yes canceling:no", "ix_orders_open_buyer_wants_cancel"),
        (TO_DECIDE, "ix_orders_open_buyer_wants_cancel"),
        ("archived:yes", "ix_orders_archived_ship_by"),
        ("-archived", "ix_orders_ship_by"),
        ("archived:any", "ix_orders_archived_ship_by"),
        ("archived:any", "ix_orders_ship_by"),
        ("archived:any state:processing", "ix_orders_archived_state_ship_by"),
        ("archived:any state:processing", "ix_orders_state_ship_by"),
        ("archived:yes store:1", "ix_orders_archived_store_ship_by"),
        ("archived:yes state:canceled", "ix_orders_archived_state_ship_by"),
        ("state:on_hold store:1", "ix_orders_on_hold"),
        ("number:1234*", "ix_orders_channel_number"),
        ("number:1234* state:processing", "ix_orders_channel_number"),
    ],
)
def test_a_list_walks_the_index_of_the_few(store: Store, operator: Actor, query: str, index: str) -> None:
    compiled = compile_query(parse(query), operator)
    plans = plans_of(lambda: list_page(ORDER_LIST, operator, compiled, sort="ship_by"), "orders")

    assert plans
    assert all(f"INDEX {index} " in f"{plan} " for plan in plans), plans
    assert list(db.session.scalars(matching_ids(ORDER_LIST, operator, compiled))) == []
    assert count_rows(ORDER_LIST, operator, compiled) == (0, False)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("sort", ["-placed", "ship_by", "-updated", "total"])
@pytest.mark.parametrize("query", ["-mug", '-"blue mug"', "-mug country:FR", "archived:any"])
def test_lists_of_both_sides_walk_an_index_of_each(store: Store, operator: Actor, query: str, sort: str) -> None:
    compiled, name = compile_query(parse(query), operator), sort.removeprefix("-")
    for ask in (
        lambda: list_page(ORDER_LIST, operator, compiled, sort=sort),
        lambda: db.session.scalars(first_rows(ORDER_LIST, operator, compiled, sort, 200)).all(),
    ):
        plans = plans_of(ask, "orders")

        assert plans
        for plan in plans:
            assert f"INDEX ix_orders_{name} " in f"{plan} ", plan
            assert f"INDEX ix_orders_archived_{name} " in f"{plan} ", plan
            assert not re.search(r"SCAN orders(?! USING)", plan), plan


def copied(order: Order, others: Sequence[dict[str, Any]]) -> None:
    """So many copies of this order, by SQL, each with its own values where they must differ."""
    listed, orders = table_of(ChannelOrder), table_of(Order)
    with unit_of_work():
        like = {
            table: dict(db.session.execute(select(table).where(table.c.id == id_)).one()._mapping)
            for table, id_ in ((listed, order.channel_order_id), (orders, order.id))
        }
        numbered = [(n, f"C-{n}", more) for n, more in enumerate(others, start=order.id + 1_000)]
        db.session.execute(insert(listed), [{**like[listed], "id": n, "number": number} for n, number, _ in numbered])
        told = [
            {**like[orders], "id": n, "channel_order_id": n, "number": number, "channel_order_number": number, **more}
            for n, number, more in numbered
        ]
        db.session.execute(insert(orders), told)
    analyze()


def test_a_store_that_has_few_of_a_state_is_not_walked_past_all_the_others(
    take: Take, store: Store, operator: Actor
) -> None:
    [order] = take(incoming_order())
    with unit_of_work():
        small = add_store("fake", "Small store", {"key": "k-secret-8"}, actor=operator).id
    at = now()
    usual: dict[str, Any] = {"state": "complete", "on_hold": False}
    odd: list[dict[str, Any]] = [
        *({"store_id": small}, {"store_id": small, "archived_at": at}),
        *({"state": "canceled"}, {"state": "canceled", "archived_at": at}),
        *({"on_hold": True}, {"on_hold": True}),
    ]
    others = [{"archived_at": at if n % 2 else None} for n in range(2_000)]
    rows = [usual | more | {"placed_at": START + timedelta(minutes=n)} for n, more in enumerate([*odd, *others])]
    copied(order, rows)
    big = order.store_id
    for query, found, indexes in (
        (f"store:{small} state:complete archived:any", 2, ("ix_orders_store_", "ix_orders_archived_store_")),
        (f"store:{big} state:canceled archived:any", 2, ("ix_orders_state_", "ix_orders_archived_state_")),
        (f"store:{big} state:on_hold archived:any", 2, ("ix_orders_on_hold",)),
        (f"store:{small} archived:yes", 1, ("ix_orders_archived_store_",)),
        ("state:canceled archived:yes", 1, ("ix_orders_archived_state_",)),
    ):
        compiled = compile_query(parse(query), operator)
        plans = plans_of(partial(list_page, ORDER_LIST, operator, compiled), "orders")

        assert len(plans) == 1
        assert all(index in plans[0] for index in indexes), (query, plans)
        assert len(list_page(ORDER_LIST, operator, compiled).rows) == found, query
