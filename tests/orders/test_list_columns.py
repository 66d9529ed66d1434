"""Columns answer for a whole page, with one query at most; badges are what an order is, in short words."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, update

from webapp.audit.actor import Actor
from webapp.channels.incoming import FulfilledBy
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden
from webapp.hooks import hookimpl, hooks
from webapp.lists.listing import list_page
from webapp.money import Money
from webapp.orders.badges import Badges, badges
from webapp.orders.contract import Badge
from webapp.orders.holds import hold
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import SORTED, Order, OrderStatus, Tag
from webapp.orders.organizing import set_status
from webapp.orders.queries import find_order, reference
from webapp.search.contract import ColumnKind, Label
from webapp.search.query import parse
from webapp.search.registered import list_columns
from webapp.testing import FakeChannel, again, incoming_line, incoming_order

Take = Callable[..., list[Order]]


def test_each_column_asks_the_database_once_at_most(take: Take, operator: Actor, mia: Actor) -> None:
    orders = take(*[incoming_order([incoming_line("MUG"), incoming_line("CUP")]) for _ in range(3)])
    with unit_of_work():
        db.session.add(OrderStatus(code="picked", state="processing", names={"en": "Picked"}, position=1))
        db.session.add(Tag(id=5, name="VIP", tone="info"))
        db.session.execute(update(Order).values(status="picked", tags=[5], assignee_id=mia.id, due_at=now()))
    asked: list[str] = []

    def note(*words: object) -> None:
        asked.append(str(words[2]))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        for column in list_columns().values():
            page = list_page(ORDER_LIST, operator, columns=list_columns().values()).rows
            asked.clear()
            told = column.values(page, operator)
            assert len([line for line in asked if line.startswith("SELECT")]) <= 1, (column.code, asked)
            assert set(told) <= {order.id for order in orders}
        page = list_page(ORDER_LIST, operator, columns=list_columns().values()).rows
        asked.clear()
        for code in ("buyer", "email", "company", "purchase_order", "address", "recipient", "line1", "city"):
            list_columns()[code].values(page, operator)
        assert len([line for line in asked if line.startswith("SELECT")]) <= 1, asked
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    shown: dict[str, Any] = {
        code: column.values(page, operator).get(page[0].id) for code, column in list_columns().items()
    }
    assert shown["state"] == [Label("Processing", "info"), Label("Picked", "calm")]
    assert shown["tags"] == [Label("VIP", "info", "tag")]
    assert shown["assignee"] == "Mia"
    assert shown["buyer"] == "Jane Quixelworth"
    assert "7 Zanzibar Mews" in shown["address"]
    assert shown["country"] == "Germany"
    assert (shown["first_item"], shown["first_sku"], shown["lines"]) == ("A mug", "MUG", 2)
    assert shown["latest"] == "The order arrived"
    assert shown["subtotal"] == Money(2000, "EUR")
    assert shown["tax"] == Money(400, "EUR")
    assert shown["number"].url == f"/orders/{page[0].number}"


def test_the_latest_event_is_told_in_a_sentence(take: Take, operator: Actor) -> None:
    told = incoming_order()
    take(told)
    [order] = take(again(told, ship_by=now() + timedelta(days=9)))

    assert list_columns()["latest"].values([order], operator) == {order.id: "News from the channel: Ship by"}
    with unit_of_work():
        db.session.add(OrderStatus(code="picked", state="processing", names={"en": "Picked"}, position=1))
        row = find_order(reference(order), operator, lock=True)
        row.shop.zone = "Asia/Tokyo"
        set_status(row, "picked", actor=operator)
    assert list_columns()["latest"].values([order], operator) == {order.id: "Status: Picked"}
    with unit_of_work():
        row = find_order(reference(order), operator, lock=True)
        hold(row, "away", actor=operator, until=datetime(2999, 1, 1, 15, tzinfo=UTC))
    assert list_columns()["latest"].values([order], operator) == {order.id: "Put on hold until 2999-01-02 00:00"}


@pytest.mark.usefixtures("app")
def test_columns_sort_only_by_what_has_an_index() -> None:
    for column in list_columns().values():
        assert column.sort in ("", *SORTED)
        assert column.width > 0
        assert column.kind in ColumnKind


@pytest.mark.usefixtures("app")
def test_the_total_says_that_currencies_are_not_compared() -> None:
    [clause] = parse(re.findall("“(.+?)”", str(list_columns()["total"].help))[0]).clauses
    assert clause.key == "currency"


def test_buyers_are_for_who_may_see_them(take: Take, make_user: Callable[..., Actor]) -> None:
    take(incoming_order())
    rita = make_user("read_only", "Rita")
    orders = list_page(ORDER_LIST, rita, columns=list_columns().values()).rows
    for column in list_columns().values():
        if column.personal:
            with pytest.raises(Forbidden):
                column.values(orders, rita)
        else:
            assert "Quixelworth" not in str(column.values(orders, rita))


def test_badges_say_what_an_order_is(take: Take) -> None:
    plain, marked = take(
        incoming_order(),
        incoming_order(flags=("gift", "business", "odd_word"), fulfilled_by=FulfilledBy.CHANNEL),
    )
    known = Badges()

    assert known.of(plain) == []
    told = ["Business", "Gift", "Fulfilled by Fake channel", "Odd word"]
    assert [label.text for label in known.of(marked)] == told
    assert "Fake channel ships this order from its own stock." in [label.title for label in known.of(marked)]
    told.remove("Gift")
    assert [label.text for label in Badges(without=["gift"]).of(marked)] == told


def test_services_are_told_in_the_channels_words(
    take: Take, operator: Actor, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "service_label", lambda level: {"EXPEDITED": "Expedited"}.get(level, level))
    quick, odd = take(incoming_order(service_level="EXPEDITED"), incoming_order(service_level="TELEPORT"))

    told = list_columns()["service"].values([quick, odd], operator)

    assert told == {quick.id: "Expedited", odd.id: "TELEPORT"}


def test_what_wants_attention_is_named_with_its_fix(take: Take) -> None:
    [order] = take(incoming_order([incoming_line("")]))

    [label] = Badges().of(order)

    assert label.text == "Unknown product"
    assert "Identify the product by its title" in label.title
    assert label.tone == "warn"


def test_a_plugins_badge_stands_in_the_place_of_the_desks_own(take: Take) -> None:
    class Words:
        @hookimpl
        def register_badges(self) -> list[Badge]:
            return [Badge(code="gift", label="Present", shows=lambda order: "gift" in order.flags)]

    [order] = take(incoming_order(flags=("gift",)))
    hooks.manager.register(Words(), name="words")

    assert [label.text for label in Badges().of(order)] == ["Present"]
    assert next(iter(badges())) == "cancel_requested"
