"""Exports: the list's values in plain cells, safe in any spreadsheet, as a stream."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st
from sqlalchemy import event, update

from tests.orders.conftest import streamed
from webapp.audit.actor import Actor
from webapp.audit.rights import rights_of_built_in
from webapp.channels.models import Shop
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden
from webapp.hooks.failures import Failure
from webapp.lists import exporting
from webapp.lists.exporting import Table, as_csv, default_columns, optional_columns, safe, stream_csv
from webapp.lists.models import ListLayout
from webapp.orders.addresses import change_address
from webapp.orders.events import record
from webapp.orders.line_rows import LINES
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.queries import orders_by_id, visible
from webapp.search.contract import ORDERS, Column
from webapp.testing import incoming_order


def test_both_numbers_and_both_statuses_are_always_there(orders: list[Order], max_: Actor) -> None:
    numbers = [(order.number, order.channel_order_number) for order in orders]
    rows = streamed(max_, ids=[order.id for order in orders])
    assert {(row["Order"], row["Channel order number"]) for row in rows} == set(numbers)
    assert {(row["Status"], row["Channel status"], row["Store"]) for row in rows} == {
        ("Processing", "UNSHIPPED", "Fake store")
    }


def test_cells_are_plain(orders: list[Order], max_: Actor) -> None:
    placed = orders[0].placed_at
    [row] = streamed(max_, codes=("total", "units", "placed", "buyer"), ids=[orders[0].id])
    assert (row["Total"], row["Total: currency"], row["Items"]) == ("27.00", "EUR", "3")
    assert row["Placed"] == placed.isoformat(timespec="seconds")
    assert row["Buyer"] == "Jane Quixelworth"


def test_a_row_per_line_has_its_product_and_prices(orders: list[Order], max_: Actor) -> None:
    rows = streamed(max_, LINES.code, ids=[order.id for order in orders])
    assert [(row["SKU"], row["Ordered"], row["Price each"], row["Currency"]) for row in rows if "M" in row["SKU"]] == [
        ("MUG", "2", "10.00", "EUR")
    ]
    assert sorted(row["SKU"] for row in rows) == ["'=1+1", "MUG", "TEA"]
    assert all(row["Channel order number"] for row in rows)


def test_a_practice_stores_orders_are_marked(orders: list[Order], max_: Actor) -> None:
    order_id = orders[0].id
    with unit_of_work():
        orders[0].store.practice = True
    [row] = streamed(max_, ids=[order_id])
    assert row["Practice"] == "Practice"


def test_who_may_not_see_buyers_exports_none(orders: list[Order]) -> None:
    blind = Actor(Actor.operator().kind, rights=rights_of_built_in("owner") - {"buyers.see"})
    assert "buyer" not in {column.code for column in optional_columns(ORDER_LIST, blind)}
    assert "buyer" not in default_columns(ORDER_LIST, blind)
    [row] = streamed(blind, codes=("buyer", "total"), ids=[orders[0].id])
    assert "Quixelworth" not in str(row)
    with pytest.raises(Forbidden):
        Table(ORDER_LIST, Actor(Actor.operator().kind, rights=rights_of_built_in("clerk")), ORDERS, ())


def test_the_list_as_a_person_laid_it_out_is_proposed(orders: list[Order], max_: Actor) -> None:
    assert "total" in default_columns(ORDER_LIST, max_)
    with unit_of_work():
        columns = [{"code": code, "width": 90} for code in ("tags", "number", "gone", "units")]
        db.session.add(ListLayout(user_id=max_.id, name="orders", columns=columns, sort=""))
    assert default_columns(ORDER_LIST, max_) == ["tags", "units"]


@given(st.text(max_size=20))
def test_no_text_becomes_a_formula(text: str) -> None:
    told = safe(text)
    assert isinstance(told, str)
    assert told.endswith(text)
    assert not told.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_half_a_character_stops_no_file() -> None:
    assert as_csv([["Jane\ud83d", 1]]).encode() == b"Jane?,1\r\n"


def test_numbers_stay_numbers() -> None:
    assert as_csv([[-5, "-5", "+49 30", None, "a,b"]]) == "-5,'-5,'+49 30,,\"a,b\"\r\n"


def test_the_mark_for_excel_comes_first(orders: list[Order], max_: Actor) -> None:
    [first, *_] = stream_csv(Table(ORDER_LIST, max_, ORDERS, ()), [], mark=True)
    assert first.startswith("\ufeffOrder,")


def test_buyers_are_opened_once_for_a_part(orders: list[Order], max_: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr("webapp.vault.services.audit_reading", lambda code, **more: calls.append(len(more["orders"])))
    streamed(max_, codes=("buyer", "email", "address", "recipient", "line1", "phone"), compiled=None)
    assert calls == [2]


def test_the_record_says_that_buyers_were_exported(
    orders: list[Order], max_: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("webapp.vault.services.audit_reading", lambda code, **more: said.append(more["purpose"]))
    streamed(max_, codes=("buyer",))
    assert said == ["export"]


def test_an_order_goes_where_somebody_here_sent_it(orders: list[Order], max_: Actor) -> None:
    [order_id, other] = [order.id for order in orders]
    fields = {"name": "Jane Quixelworth", "line1": "New Street 9", "postal_code": "12345", "city": "Berlin"}
    with unit_of_work():
        [order] = orders_by_id([order_id], max_)
        change_address(order, fields | {"country": "DE"}, actor=max_)
    parts = ("recipient", "line1", "line2", "line3", "postal_code", "city", "region", "country_code")
    [row] = streamed(max_, codes=("address", *parts), ids=[order_id])
    assert row["Ship to"] == "Jane Quixelworth, New Street 9, 12345, Berlin, DE"
    heads = ["Recipient", "Street and number", "Address line 2", "Address line 3", "Postal code", "City"]
    told = [row[head] for head in (*heads, "State or region", "Country code")]
    assert told == ["Jane Quixelworth", "New Street 9", "", "", "12345", "Berlin", "", "DE"]
    [row] = streamed(max_, codes=("address",), ids=[other])
    assert "New Street" not in row["Ship to"]


@contextmanager
def read_of_orders() -> Iterator[list[str]]:
    """The statements that read orders meanwhile."""
    asked: list[str] = []

    def note(*words: object) -> None:
        if "FROM orders" in str(words[2]):
            asked.append(str(words[2]))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def test_a_part_reads_what_its_columns_ask_of_orders_and_no_more(orders: list[Order], max_: Actor) -> None:
    table, ids = Table(ORDER_LIST, max_, ORDERS, ("total", "tags")), [order.id for order in orders]
    with read_of_orders() as statements:
        first = list(table.cells(ids))
    assert len(statements) == 1  # all from one snapshot, though later statements were not known at its start
    with read_of_orders() as statements:
        assert list(table.cells(ids)) == first
    [read] = statements
    assert "orders.total_minor" in read
    assert "orders.tags" in read
    assert "orders.attention" not in read
    assert "orders.flags" not in read


def test_an_order_that_goes_to_another_shop_meanwhile_stops_nothing(orders: list[Order], max_: Actor) -> None:
    ids, limited = [order.id for order in orders], replace(max_, shops=frozenset({orders[0].shop_id}))
    with unit_of_work():
        other = Shop(name="Other", created_at=now())
        db.session.add(other)
    away = other.id
    table = Table(ORDER_LIST, limited, ORDERS, ())
    assert len(list(table.cells(ids))) == 2
    db.session.rollback()

    def moves(part: Sequence[Any], actor: Actor) -> dict[int, str]:
        move(ids[0], away)
        return {}

    def skus(part: Sequence[Any], actor: Actor) -> dict[int, str]:
        return {order.id: order.lines[0].sku for order in part}

    table.columns += [
        Column(code="moves", label="Moves", values=moves, reads={}),
        Column(code="skus", label="SKUs", values=skus),  # reads whole orders, once the rows have been read
    ]
    rows = list(table.cells(ids))
    seen = db.session.scalars(visible(limited).with_only_columns(Order.id)).all()  # on SQLite the reading sees both
    assert len(rows) == 2
    assert [row[-1] is not None for row in rows] == [order_id in seen for order_id in ids]


def move(order_id: int, shop_id: int) -> None:
    """Move the order to another shop, like another writer meanwhile."""
    with db.engine.connect().execution_options(writes=True) as other:
        other.execute(update(Order).where(Order.id == order_id).values(shop_id=shop_id))
        other.commit()


def test_a_column_gets_what_it_reads_and_without_a_word_whole_orders(
    orders: list[Order], max_: Actor, plugin_failures: list[Failure]
) -> None:
    def skus(part: Sequence[Any], actor: Actor) -> dict[int, str]:
        return {order.id: ",".join(line.sku for line in order.lines) for order in part}

    def states(part: Sequence[Any], actor: Actor) -> dict[int, str]:
        return {order.id: f"{order.state} {order.total_minor}" for order in part}

    def due(part: Sequence[Any], actor: Actor) -> dict[int, str]:
        return {order.id: str(order.deliver_by) for order in part}

    table = Table(ORDER_LIST, max_, ORDERS, ())
    table.columns += [
        Column(code="whole", label="Whole", values=skus),
        Column(code="plain", label="Plain", values=states, reads={"total_minor": Order.total_minor}),
        Column(code="unsaid", label="Unsaid", values=skus, reads={}),
        Column(code="broken", label="Broken", values=due, reads=lambda: 1 / 0),  # type: ignore[arg-type,return-value]
    ]
    [row] = table.cells([orders[0].id])
    assert row[-4:] == ("MUG,=1+1", f"processing {orders[0].total_minor}", "failed", "failed")
    assert {one.code for one in plugin_failures} == {"unsaid", "broken"}
    plugin_failures.clear()


def test_a_badge_may_ask_in_a_later_part_for_what_no_earlier_one_was_asked(
    take: Callable[..., list[Order]], max_: Actor, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a held order is being canceled is only read in a part with a held order."""
    monkeypatch.setattr(exporting, "PART", 1)
    plain, held = take(incoming_order(), incoming_order())
    with unit_of_work():
        held.on_hold = held.canceling = True
        record(held, "held", actor=mia)
    rows = streamed(max_, codes=("badges",), ids=[plain.id, held.id])
    assert {row["Order"]: row["Flags"] for row in rows} == {plain.number: "", held.number: "On hold"}
