"""The list of invoices: found by what finds their orders and by what is their own, sorted along indexes, as files."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.billing.document_columns import ISSUED, TOTAL
from webapp.billing.invoice_list import INVOICE_LIST, INVOICES
from webapp.billing.models import Invoice
from webapp.billing.services import issue_invoice
from webapp.channels.incoming import Component, IncomingAmount
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, Invalid
from webapp.lists.exporting import Table, as_csv, ids_of
from webapp.lists.listing import chosen_ids, count_rows, list_page, matching_ids
from webapp.lists.rows import read_rows, values_of
from webapp.money import Money
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.search.compiling import compile_query
from webapp.search.contract import ORDERS, KeyKind
from webapp.search.query import QueryMistake, parse
from webapp.search.registered import choices_of, filter_keys, list_columns, query_keys
from webapp.testing import JAPAN, incoming_line, incoming_order

Take = Callable[..., list[Order]]


def issue(order: Order, lines: dict[int, int] | None = None, *, actor: Actor) -> Invoice:
    with unit_of_work():
        return issue_invoice(locked(order), lines, actor=actor)


@pytest.fixture
def invoices(take: Take, mia: Actor) -> list[int]:
    """Two invoices of one order, and one in yen; ids, oldest first."""
    amounts = (IncomingAmount(Component.ITEM, 3000, 600), IncomingAmount(Component.SHIPPING, 500, 100))
    mugs, bowl = take(
        incoming_order([incoming_line("MUG", 3, amounts=amounts, total=4200)], total=4200),
        incoming_order(
            [incoming_line("BOWL", 1, amounts=(IncomingAmount(Component.ITEM, 900, 0),), total=900)],
            total=900, currency="JPY", marketplace=JAPAN.id, buyer={"name": "Bo Tanaka"},
        ),
    )  # fmt: skip
    made = [issue(mugs, {mugs.lines[0].id: 1}, actor=mia), issue(bowl, actor=mia), issue(mugs, actor=mia)]
    return [invoice.id for invoice in made]


def found(text: str, actor: Actor) -> list[int]:
    """The numbers of the invoices that a query finds, as integers, newest first."""
    asked = compile_query(parse(text, INVOICES), actor)
    rows = list_page(INVOICE_LIST, actor, asked).rows
    assert count_rows(INVOICE_LIST, actor, asked) == (len(rows), False)
    assert list(db.session.scalars(matching_ids(INVOICE_LIST, actor, asked))) == [row.id for row in rows]
    return [int(row.number.removeprefix("INV-")) for row in rows]


def said(code: str, ids: list[int], actor: Actor) -> list[object]:
    column = list_columns(INVOICES)[code]
    values = values_of(column, read_rows(INVOICE_LIST, actor, ids, [column]), actor)
    return [values.get(id_) for id_ in ids]


def test_each_invoice_says_what_is_its_own_and_what_its_order_is(invoices: list[int], mia: Actor) -> None:
    assert said("document", invoices, mia) == ["INV-000001", "INV-000002", "INV-000003"]
    assert said("total", invoices, mia) == [Money(1400, "EUR"), Money(900, "JPY"), Money(2800, "EUR")]
    assert said("tax", invoices, mia) == [Money(233, "EUR"), Money(0, "JPY"), Money(467, "EUR")]
    assert said("net", invoices, mia) == [Money(1167, "EUR"), Money(900, "JPY"), Money(2333, "EUR")]
    assert said("units", invoices, mia) == [1, 1, 2]
    assert said("by", invoices, mia) == ["Mia"] * 3
    assert said("currency", invoices, mia) == ["EUR", "JPY", "EUR"]
    assert said("buyer", invoices, mia) == ["Jane Quixelworth", "Bo Tanaka", "Jane Quixelworth"]
    assert len(set(map(str, said("number", invoices, mia)))) == 2
    assert all(said("placed", invoices, mia))


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", [3, 2, 1]),
        ("quixelworth", [3, 1]),
        ("sku:BOWL", [2]),
        ("invoice:INV-000001", [1]),
        ("invoice:INV-00000*", [3, 2, 1]),
        ("-invoice:INV-000001", [3, 2]),
        ("issued:today", [3, 2, 1]),
        ("issued:<2020-01-01", []),
        ("total:>20", [2, 3]),  # 900 yen are more than 20
        ("total:<20 currency:eur", [1]),
        ("currency:JPY", [2]),
        ("total:900 currency:JPY", [2]),
        ("state:open", [3, 2, 1]),
        ("hold", []),
    ],
)
def test_invoices_are_found(invoices: list[int], mia: Actor, query: str, numbers: list[int]) -> None:
    assert sorted(found(query, mia)) == sorted(numbers)


def test_every_key_divides_the_list(invoices: list[int], mia: Actor) -> None:
    """Also by conditions that the index which SQLite is told to take does not serve."""
    texts = {
        KeyKind.YES_NO: ["yes", "no"],
        KeyKind.NUMBER: [">=0"],
        KeyKind.MONEY: [">=0"],
        KeyKind.DATE: ["today"],
        KeyKind.DEADLINE: ["late"],
        KeyKind.TEXT: ["INV-000001", "MUG"],
    }
    asked = 0
    for code, key in query_keys(INVOICES).items():
        for text in texts.get(key.kind) or choices_of(key, mia):
            try:
                ours, others = found(f"{code}:{text}", mia), found(f"-{code}:{text}", mia)
            except QueryMistake:
                continue
            assert sorted(ours + others) == [1, 2, 3], (code, text)
            asked += 1
    assert asked > 50


def test_orders_are_found_by_their_invoices(invoices: list[int], take: Take, mia: Actor) -> None:
    [other] = take(incoming_order())
    by_invoice = [db.session.get_one(Invoice, id_).order_id for id_ in invoices]

    def orders(text: str) -> set[int]:
        rows = list_page(ORDER_LIST, mia, compile_query(parse(text), mia)).rows
        return {row.id for row in rows}

    assert orders("invoice:inv-000002") == {by_invoice[1]}
    assert orders("invoice:INV-*") == orders("invoiced") == orders("invoiced:yes") == set(by_invoice)
    assert orders("invoiced:no") == orders("-invoiced") == {other.id}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("query", "sort", "index"),
    [
        ("", ISSUED, "ix_invoices_issued_at"),
        ("country:DE issued:today", ISSUED, "ix_invoices_issued_at"),
        ("", TOTAL, "ix_invoices_total_minor"),
        ("invoice:INV-000001", ISSUED, ""),
        ("state:on_hold", ISSUED, ""),
    ],
)
def test_the_index_of_the_sorting_is_walked_for_what_many_invoices_are(
    mia: Actor, query: str, sort: str, index: str
) -> None:
    asked = compile_query(parse(query, INVOICES), mia)
    [part] = INVOICE_LIST.walk.parts(INVOICE_LIST, mia, asked, sort).parts
    text = str(part.compile(db.engine))
    assert ("INDEXED BY" in text) is bool(index)
    assert index in text


def test_the_keys_of_orders_hold_but_are_not_all_offered() -> None:
    assert set(query_keys(ORDERS)) < set(query_keys(INVOICES))
    assert "issued" not in query_keys(ORDERS)
    assert {"issued", "total", "currency", "store", "shop"} <= set(filter_keys(INVOICES))
    assert "attention" not in filter_keys(INVOICES)


def test_whoever_works_for_one_shop_sees_its_invoices_alone(invoices: list[int], mia: Actor) -> None:
    assert found("", replace(mia, shops=frozenset())) == []
    assert chosen_ids(INVOICE_LIST, replace(mia, shops=frozenset()), ids=invoices, limit=9) == []
    with pytest.raises(Forbidden):
        list_page(INVOICE_LIST, Actor(mia.kind))
    with pytest.raises(Invalid):
        list_page(INVOICE_LIST, mia, sort="-placed")


def test_a_choice_is_in_the_order_of_the_list_or_of_the_ticked_rows(invoices: list[int], mia: Actor) -> None:
    one, two, three = invoices
    assert chosen_ids(INVOICE_LIST, mia, ids=[two, three, two, one, 999], limit=9) == [two, three, one]
    assert chosen_ids(INVOICE_LIST, mia, ids=[two, three, one], limit=2) == [two, three]
    asked = compile_query(parse("currency:EUR", INVOICES), mia)
    assert chosen_ids(INVOICE_LIST, mia, compiled=asked, sort="total", limit=9) == [one, three]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 4), sort=st.sampled_from([ISSUED, f"-{ISSUED}", TOTAL, f"-{TOTAL}"]))
def test_pages_walk_over_every_invoice_once(invoices: list[int], mia: Actor, limit: int, sort: str) -> None:
    every = [row.id for row in list_page(INVOICE_LIST, mia, sort=sort, limit=0).rows]
    walked, page = [], list_page(INVOICE_LIST, mia, sort=sort, limit=limit)
    while True:
        walked += [row.id for row in page.rows]
        if page.older is None:
            break
        page = list_page(INVOICE_LIST, mia, sort=sort, after=page.older, limit=limit)
    assert walked == every
    assert sorted(walked) == sorted(invoices)


def test_a_file_has_a_row_for_each_invoice_or_for_each_of_its_lines(
    invoices: list[int], make_user: Callable[..., Actor]
) -> None:
    max_ = make_user("manager", "Max")
    ids = ids_of(INVOICE_LIST, max_)
    table = Table(INVOICE_LIST, max_, INVOICES, ("total", "tax", "by"))
    read = list(csv.DictReader(io.StringIO(as_csv([table.head]) + as_csv(table.cells(ids)))))
    assert [row["Invoice"] for row in read] == ["INV-000003", "INV-000002", "INV-000001"]
    assert [(row["Total"], row["Total: currency"]) for row in read] == [
        ("28.00", "EUR"), ("900", "JPY"), ("14.00", "EUR"),
    ]  # fmt: skip
    table = Table(INVOICE_LIST, max_, "lines", ())
    read = list(csv.DictReader(io.StringIO(as_csv([table.head]) + as_csv(table.cells(ids)))))
    components = [(row["Invoice"], row["SKU"], row["Component"], row["Line total"]) for row in read]
    assert components[0] == ("INV-000003", "MUG", "item", "24.00")
    assert len(components) == 5
    for id_ in ids:
        invoice = db.session.get_one(Invoice, id_)
        shares = [Money.parse(row["Line total"], row["Currency"]) for row in read if row["Invoice"] == invoice.number]
        assert sum(shares, Money(0, invoice.currency)) == invoice.total


def test_numbers_are_those_of_the_ledger(invoices: list[int], mia: Actor) -> None:
    totals = dict(db.session.execute(select(Invoice.id, Invoice.total_minor)).all())
    assert {row.id: row.total_minor for row in list_page(INVOICE_LIST, mia).rows} == totals
