"""A channel's own facts: stored with its order, compared, limited in size, and read by plugins without a query for
each.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest
from sqlalchemy import ColumnElement, event, func, select

from webapp.audit.actor import Actor
from webapp.channels.incoming import (
    EXTRA_AT_MOST,
    ChannelStage,
    Component,
    FulfilledBy,
    IncomingAmount,
    IncomingLine,
    IncomingOrder,
    OrdersPage,
)
from webapp.channels.models import ChannelOrder, Store
from webapp.db import db, unit_of_work
from webapp.hooks import hookimpl, hooks
from webapp.lists.listing import list_page
from webapp.orders.attention import in_words
from webapp.orders.badges import Badges
from webapp.orders.contract import Badge
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order, OrderEvent
from webapp.search.compiling import compile_query
from webapp.search.contract import Column, KeyKind, QueryKey
from webapp.search.query import parse
from webapp.search.registered import list_columns
from webapp.sync.taking_in import facts
from webapp.sync.taking_in.pages import PreparedPage, pack_order, prepare, take_in
from webapp.sync.taking_in.prepared import PreparedOrder
from webapp.testing import again, incoming_order

Take = Callable[..., list[Order]]
OWN = {"tier": "gold", "score": 7, "insured": True, "note": None, "marks": ["a", "é🎁"]}


def kept(order: Order) -> dict[str, Any]:
    db.session.expire_all()
    return order.channel_order.extra


def test_they_are_kept_and_read_again(take: Take) -> None:
    [order, bare] = take(incoming_order(extra=OWN), incoming_order())
    assert kept(order) == OWN
    assert kept(bare) == {}
    assert order.attention == []


def test_they_count_as_content_and_their_order_does_not(store: Store, take: Take) -> None:
    told = incoming_order(extra=OWN)
    [order] = take(told)
    page = prepare(store, OrdersPage([again(told, extra=dict(reversed(OWN.items())), minutes=0)]))
    assert page.orders == []
    take(again(told, extra=OWN | {"tier": "silver"}))
    assert kept(order) == OWN | {"tier": "silver"}
    take(again(told, minutes=9))
    assert kept(order) == OWN
    take(again(told, minutes=12, extra={}))
    assert kept(order) == {}
    assert db.session.scalar(select(func.count()).select_from(OrderEvent)) == 1


@pytest.mark.parametrize(
    ("product_code", "fingerprint"),
    [("", "574cf9fddaf8a8006edfc369db7a3920"), ("B000000001", "59b04bc4aba0fc67373b9247e67fe579")],
)
def test_an_order_without_them_has_the_fingerprint_that_older_desks_kept(product_code: str, fingerprint: str) -> None:
    """Else every order of the desk would look changed after the upgrade."""
    at = datetime(2026, 11, 20, 10, tzinfo=UTC)
    line = IncomingLine(
        "L1", 2, sku="MUG", product_code=product_code, amounts=(IncomingAmount(Component.ITEM, 1000, 190),)
    )
    told = IncomingOrder(
        "302-1", at, at, "DE", ChannelStage.OPEN, "UNSHIPPED", FulfilledBy.MERCHANT, "EUR", 1190, (line,),
        flags=("gift",), buyer={"name": "Jane"},
    )  # fmt: skip
    assert facts.fingerprint(told).hex() == fingerprint


LONGEST = {"text": "x" * (EXTRA_AT_MOST - len('{"text": ""}'))}


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"text": LONGEST["text"] + "x"}, "too_long"),
        ({"text": "é" * 4096}, "too_long"),
        ({"price": 1.5}, "odd_shape"),
        ({"deep": {"er": 1}}, "odd_shape"),
        ({"many": ["a", 1]}, "odd_shape"),
        ({7: "a"}, "odd_shape"),
        ({"huge": 10**5000}, "odd_shape"),
        (None, "odd_shape"),
        (["tier"], "odd_shape"),
        ({"text": "a\0b"}, "unkept_text"),
        ({"a\ud800": "b"}, "unkept_text"),
    ],
)
def test_what_cant_be_kept_is_left_out_and_marked_and_the_order_comes_in(
    store: Store, take: Take, extra: Any, reason: str
) -> None:
    told = incoming_order(extra=extra)
    [order] = take(told)
    assert (kept(order), order.state) == ({}, "processing")
    assert order.attention == [{"kind": "odd_extra", "values": {"reasons": [reason]}}]
    assert "that Waybill can't save: " in in_words(order.attention)[0].cause
    assert prepare(store, OrdersPage([told])).orders == []  # repeating it writes nothing
    [order] = take(again(told, extra=OWN))
    assert (kept(order), order.attention) == (OWN, [])
    [order] = take(again(told, minutes=9, extra=extra))
    assert kept(order) == OWN
    assert [trouble["kind"] for trouble in order.attention] == ["odd_extra"]


def test_what_just_fits_is_kept_whatever_kind_of_mapping_it_is(take: Take) -> None:
    [order, other] = take(
        incoming_order(extra=LONGEST), incoming_order(extra=MappingProxyType({"marks": ("a",), "path": "\\u0000"}))
    )
    assert kept(order) == LONGEST
    assert kept(other) == {"marks": ["a"], "path": "\\u0000"}
    assert not order.attention
    assert not other.attention


def test_an_incomplete_answer_takes_none_away(take: Take) -> None:
    told = incoming_order(extra=OWN)
    [order] = take(told)
    take(again(told, extra={"tier": "silver"}, missing=("fulfillment",)))
    assert kept(order) == OWN | {"tier": "silver"}


def test_the_bulk_loader_has_them_too(store: Store) -> None:
    good, bad = pack_order(incoming_order(extra=OWN)), pack_order(incoming_order(extra={"price": 1.5}))
    assert isinstance(good, PreparedOrder)
    assert isinstance(bad, PreparedOrder)
    with unit_of_work():
        take_in(store, PreparedPage(store.id, [good, bad]))
    orders = {order.channel_order_number: order for order in db.session.scalars(select(Order))}
    assert kept(orders[good.order.number]) == OWN
    assert kept(orders[bad.order.number]) == {}
    assert orders[bad.order.number].needs_attention


class Gold:
    """What a channel's plugin shows of its own facts."""

    @hookimpl
    def register_badges(self) -> list[Badge]:
        return [Badge(code="gold", label="Gold", shows=lambda order: order.channel_order.extra.get("tier") == "gold")]

    @hookimpl
    def register_columns(self) -> list[Column]:
        def scores(orders: Sequence[Order], actor: Actor) -> Mapping[int, str]:
            return {order.id: str(order.channel_order.extra.get("score", "")) for order in orders}

        return [Column(code="score", label="Score", values=scores)]

    @hookimpl
    def register_query_keys(self) -> list[QueryKey]:
        def tiers(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
            return Order.channel_order.has(ChannelOrder.extra["tier"].as_string().in_(values))

        def insured(values: Sequence[bool], actor: Actor) -> ColumnElement[bool]:
            return Order.channel_order.has(ChannelOrder.extra["insured"].as_boolean().in_(values))

        return [
            QueryKey(code="tier", label="Tier", kind=KeyKind.TEXT, condition=tiers),
            QueryKey(code="insured", label="Insured", kind=KeyKind.YES_NO, condition=insured),
        ]


def test_badges_columns_and_keys_read_them_a_page_at_a_time(take: Take, operator: Actor) -> None:
    hooks.manager.register(Gold())
    tiers = ["gold", "silver", "gold", None]
    orders = take(*(incoming_order(extra={"tier": tier, "score": n, "insured": n > 1}) for n, tier in enumerate(tiers)))
    numbers = [order.channel_order_number for order in orders]
    db.session.expunge_all()
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        statements.append(statement)

    listed = list_page(ORDER_LIST, operator, sort="placed").rows
    event.listen(db.engine, "before_cursor_execute", note)
    badges = Badges().of_all(listed)
    scores = list_columns()["score"].values(listed, operator)
    event.remove(db.engine, "before_cursor_execute", note)

    by_number = {order.channel_order_number: order.id for order in listed}
    carried = {number: [label.text for label in badges[id_]] for number, id_ in by_number.items()}
    assert carried == dict(zip(numbers, (["Gold"], [], ["Gold"], []), strict=True))
    assert [scores[by_number[number]] for number in numbers] == ["0", "1", "2", "3"]
    assert len([said for said in statements if "channel_orders" in said]) <= 2
    for query, found in (("tier:gold", {0, 2}), ("tier:silver,gold", {0, 1, 2}), ("insured:yes", {2, 3})):
        hits = list_page(ORDER_LIST, operator, compile_query(parse(query), operator)).rows
        assert {order.channel_order_number for order in hits} == {numbers[place] for place in found}, query
