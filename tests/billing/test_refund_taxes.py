"""The taxes of refunds: those of the invoices whose amounts they give back, whatever the shop's settings are by now."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import select

from tests.refunds import only_recorded, refund, reverse, shipped_line, shipped_order
from webapp.audit.actor import Actor
from webapp.billing.corrections import correct_invoice, correction_refusals
from webapp.billing.memos import record_refund, reverse_memo, reverse_refusal
from webapp.billing.models import CreditMemo, Invoice, Purpose
from webapp.billing.queries import invoices_of, memos_of
from webapp.billing.refundable import LineWish, Wish
from webapp.billing.remaining import Remaining, amounts_of
from webapp.billing.services import issue_invoice
from webapp.billing.taxes import TAXES
from webapp.channels.incoming import Component, IncomingAmount, IncomingLine
from webapp.channels.models import Shop
from webapp.db import db, unit_of_work
from webapp.documents.invoices import check_amounts
from webapp.documents.issued import content_of
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import store_all

Take = Callable[..., list[Order]]


def declare(rates: str, *, included: bool = False) -> None:
    """Declare the taxes of the shop."""
    with unit_of_work():
        shop = db.session.scalars(select(Shop)).one()
        store_all(TAXES, {"tax_rates": rates, "prices_include_tax": included}, shop)


def invoice(order: Order, lines: dict[int, int] | None = None, *, actor: Actor) -> Invoice:
    with unit_of_work():
        return issue_invoice(locked(order), lines, actor=actor)


def mug(charged: int, tax: int = 0, quantity: int = 1, shipping: int = 0) -> IncomingLine:
    amounts = [IncomingAmount(Component.ITEM, charged, tax)]
    amounts += [IncomingAmount(Component.SHIPPING, shipping)] if shipping else []
    return shipped_line("MUG", quantity, amounts=tuple(amounts), total=charged + tax + shipping)


def rows(document: Invoice | CreditMemo) -> list[tuple[int, int, int | None]]:
    """What each line charges without its tax, its tax, and its rate."""
    return [(line.charged, line.tax, line.tax_rate) for line in document.lines]


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    only_recorded(monkeypatch)


def test_a_tax_that_was_invoiced_is_credited_though_the_shop_declares_none_any_more(take: Take, mia: Actor) -> None:
    declare("DE 19: Thank you.", included=True)
    [order] = take(shipped_order([mug(1190, shipping=595)]))
    issued = invoice(order, actor=mia)
    declare("DE 7: Goodbye.")
    memo = refund(order, actor=mia)
    assert rows(memo) == rows(issued) == [(1000, 190, 190_000), (500, 95, 190_000)]
    content = content_of(memo, mia)
    assert (content.prices_include_tax, content.notes, content.corrects) == (True, ["Thank you."], [issued.number])


def test_no_tax_is_credited_that_was_not_invoiced(take: Take, mia: Actor) -> None:
    [order] = take(shipped_order([mug(1190)]))
    issued = invoice(order, actor=mia)
    declare("DE 19", included=True)
    memo = refund(order, actor=mia)
    assert rows(memo) == rows(issued) == [(1190, 0, None)]
    assert not content_of(memo, mia).prices_include_tax


def test_the_rate_of_a_tax_that_the_channel_tells_is_the_invoices(take: Take, mia: Actor) -> None:
    declare("DE 19")
    [order] = take(shipped_order([mug(1000, 190)]))
    invoice(order, actor=mia)
    declare("DE 20")
    assert rows(refund(order, actor=mia)) == [(1000, 190, 190_000)]


def test_what_is_not_invoiced_takes_its_tax_by_the_settings(take: Take, mia: Actor) -> None:
    declare("DE 19", included=True)
    [order] = take(shipped_order([mug(1190)]))
    assert rows(refund(order, actor=mia)) == [(1000, 190, 190_000)]


def test_an_invoice_that_was_taken_back_is_no_basis(take: Take, mia: Actor) -> None:
    declare("DE 19", included=True)
    [order] = take(shipped_order([mug(1190)]))
    wrong = invoice(order, actor=mia)
    with unit_of_work():
        correct_invoice(locked(order), wrong.id, actor=mia)
    declare("DE 7", included=True)
    right = invoice(order, actor=mia)
    memo = refund(order, actor=mia)
    assert rows(memo) == rows(right) == [(1112, 78, 70_000)]
    assert memo.terms["documents"] == [right.number]


def test_a_refund_over_invoices_of_two_rates_credits_both_taxes_and_states_no_rate(take: Take, mia: Actor) -> None:
    declare("DE 19", included=True)
    [order] = take(shipped_order([mug(2380, quantity=2)]))
    line = order.lines[0].id
    invoice(order, {line: 1}, actor=mia)
    declare("DE 7", included=True)
    invoice(order, {line: 1}, actor=mia)
    first = refund(order, Wish(lines={line: LineWish(units=1)}), actor=mia)
    reverse(first, actor=mia)
    both = refund(order, actor=mia)
    assert rows(first) == [(1000, 190, 190_000)]
    assert rows(both) == [(2380 - 190 - 78, 190 + 78, None)]
    check_amounts(content_of(both, mia))


def without_shipping(take: Take, actor: Actor, *, included: bool) -> tuple[Order, Invoice]:
    """An order of goods and shipping of which the goods are invoiced, with a tax in the price or without one."""
    declare("DE 19: Thank you.", included=included)
    [order] = take(shipped_order([mug(1190, shipping=595)]))
    with unit_of_work():
        return order, issue_invoice(locked(order), components={"shipping": False}, actor=actor)


def test_what_was_kept_off_the_invoice_takes_its_tax_by_the_settings_and_names_no_invoice(
    take: Take, mia: Actor
) -> None:
    order, _issued = without_shipping(take, mia, included=True)
    declare("DE 7: Goodbye.")
    memo = refund(order, Wish(all_shipping=True), actor=mia)
    assert rows(memo) == [(595, 0, None)]
    assert (memo.terms["documents"], memo.terms["notes"]) == ([], ["Goodbye."])
    assert not memo.terms["prices_include_tax"]
    content_adds_up_and_all_is_refunded(order, [memo, refund(order, actor=mia)], mia)


@pytest.mark.parametrize(
    ("included", "expected"),
    [
        (True, [(1000, 190, 190_000), (595, 0, None)]),
        (False, [(1190, 0, None), (556, 39, 70_000)]),
    ],
)
def test_a_memo_has_lines_of_an_invoice_and_lines_by_the_settings(
    take: Take, mia: Actor, included: bool, expected: list[tuple[int, int, int | None]]
) -> None:
    order, issued = without_shipping(take, mia, included=included)
    declare("DE 7: Goodbye.", included=not included)
    memo = refund(order, actor=mia)
    assert rows(memo) == expected
    assert memo.terms["prices_include_tax"]
    assert (memo.terms["documents"], memo.terms["notes"]) == ([issued.number], ["Thank you.", "Goodbye."])
    content_adds_up_and_all_is_refunded(order, [memo], mia)
    opposite = reverse(memo, actor=mia)
    check_amounts(content_of(opposite, mia))
    assert not any(any(row.refunded) for row in order.amounts)


def test_beyond_the_invoiced_units_no_tax_is_credited_that_nobody_invoiced(take: Take, mia: Actor) -> None:
    declare("DE 19", included=True)
    [order] = take(shipped_order([mug(2380, quantity=2)]))
    invoice(order, {order.lines[0].id: 1}, actor=mia)
    declare("DE 19")
    assert rows(refund(order, actor=mia)) == [(2380 - 190, 190, None)]


def content_adds_up_and_all_is_refunded(order: Order, memos: Sequence[CreditMemo], actor: Actor) -> None:
    for memo in memos:
        check_amounts(content_of(memo, actor))
    assert [row.refunded for row in order.amounts] == [row.figures for row in order.amounts]


step = st.one_of(
    st.tuples(st.just("declare"), st.sampled_from(["DE 19", "DE 7", "DE 0", ""]), st.booleans()),
    st.tuples(st.just("invoice"), st.integers(1, 3), st.none()),
    st.tuples(st.just("refund"), st.integers(0, 3), st.integers(0, 400)),
    st.tuples(st.just("reverse"), st.integers(0, 9), st.none()),
    st.tuples(st.just("correct"), st.integers(0, 9), st.none()),
)


@given(price=st.integers(100, 3_000), shipping=st.integers(0, 900), units=st.integers(1, 4), steps=st.lists(step))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_refunds_credit_the_tax_that_was_invoiced(
    take: Take, mia: Actor, price: int, shipping: int, units: int, steps: Sequence[tuple[str, Any, Any]]
) -> None:
    declare("DE 19", included=True)
    [order] = take(shipped_order([mug(price * units, 0, units, shipping)]))
    line = order.lines[0]
    invoice(order, {line.id: 1}, actor=mia)
    for kind, much, more in [*steps, ("invoice", units, None), ("refund", units, shipping)]:
        with unit_of_work():
            row = locked(order)
            free = {one.component: max(0, one.invoiced.net - one.refunded.net) for one in amounts_of(row)}
            count = min(much, line.invoiced - line.refunded) if kind == "refund" else 0
            wish = Wish({line.id: LineWish(count)}, shipping=min(more or 0, free.get("shipping", 0)))
            if kind == "declare":
                store_all(TAXES, {"tax_rates": much, "prices_include_tax": more}, row.shop)
            elif kind == "invoice" and (left := Remaining(row)):
                issue_invoice(
                    row, {line.id: some} if (some := min(much, left.units.get(line.id, 0))) else {}, actor=mia
                )
            elif kind == "refund" and (count or wish.shipping):
                record_refund(row, wish, "CustomerReturn", actor=mia)
            elif kind == "reverse" and (memos := [one for one in memos_of(row) if reverse_refusal(one) is None]):
                reverse_memo(row, memos[much % len(memos)].id, actor=mia)
            elif kind == "correct" and (
                wrong := [number for number, refusal in correction_refusals(row).items() if refusal is None]
            ):
                correct_invoice(row, wrong[much % len(wrong)], actor=mia)
        db.session.expire_all()
        invoiced, credited = taxes(order)
        assert all(0 <= credited[component] <= invoiced[component] for component in credited)
    invoiced, credited = taxes(order)
    assert {row.component: row.refunded for row in order.amounts} == {
        row.component: row.figures for row in order.amounts
    }
    assert credited == invoiced
    for document in [*invoices_of(order), *memos_of(order)]:
        check_amounts(content_of(document, mia))
    db.session.rollback()


def taxes(order: Order) -> tuple[Counter[str], Counter[str]]:
    """What invoices, less corrections, and refunds, less those that were taken back, say of taxes, by component."""
    invoiced, credited = Counter[str](), Counter[str]()
    for one in invoices_of(order):
        for line in one.lines:
            invoiced[line.component] += line.tax
    for memo in memos_of(order):
        for part in memo.lines:
            if memo.purpose == Purpose.CORRECTION:
                invoiced[part.component] -= part.tax
            else:
                credited[part.component] += part.tax
    return invoiced, credited
