"""Issued invoices and credit memos on paper: every amount of the ledger, whatever the currency; the buyer by right, and
until erased.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pypdf import PdfReader
from sqlalchemy import select

from tests.refunds import only_recorded, refund, reverse, shipped_line, shipped_order
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.audit.services import write_readings
from webapp.billing.adopting import adopt
from webapp.billing.corrections import correct_invoice
from webapp.billing.holding import SETTINGS
from webapp.billing.models import CreditMemo, Invoice
from webapp.billing.proofs import Piece
from webapp.billing.refundable import LineWish, Wish
from webapp.billing.services import issue_invoice
from webapp.channels.incoming import Component, IncomingAmount, TaxScheme
from webapp.channels.legal_face import FACE
from webapp.channels.outgoing import Accepted
from webapp.db import db, unit_of_work
from webapp.documents import pdf
from webapp.documents.invoices import check_amounts, compose
from webapp.documents.issued import content_of, contents_of
from webapp.orders.contract import Amount
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import store_all
from webapp.testing import JANE, JAPAN, FakeChannel, incoming_line, incoming_order
from webapp.vault.services import erase

Take = Callable[..., list[Order]]


def issue(order: Order, lines: dict[int, int] | None = None, *, actor: Actor) -> Invoice:
    with unit_of_work():
        return issue_invoice(locked(order), lines, actor=actor)


def printed(invoice: Invoice | CreditMemo, actor: Actor, paper: str = "") -> str:
    file = io.BytesIO()
    pdf.draw([compose(content_of(invoice, actor, paper))], file, lambda logo: b"")
    text = "\n".join(page.extract_text() for page in PdfReader(file).pages)
    return " ".join(text.replace("\xa0", " ").split())


def test_it_has_both_numbers_the_buyer_and_what_the_ledger_has(take: Take, mia: Actor) -> None:
    amounts = (IncomingAmount(Component.ITEM, 1000, 190, 100), IncomingAmount(Component.SHIPPING, 499, 95))
    [order] = take(incoming_order([incoming_line("MUG", 3, amounts=amounts, total=1684)], total=1684))
    invoice = issue(order, actor=mia)
    text = printed(invoice, mia)
    for part in (invoice.number, order.number, order.channel_order_number, "MUG", "7 Zanzibar Mews", "16.84"):
        assert str(part) in text.replace(",", ".")
    day = invoice.issued_at.astimezone(ZoneInfo(order.shop.zone)).date()
    assert content_of(invoice, mia).issued_on == day


def test_it_says_what_the_channel_says_of_the_taxes(take: Take, mia: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    only_recorded(monkeypatch)
    imported = {"tax_scheme": TaxScheme.IMPORT, "ioss_number": "IM3720000224", "tax_paid_by": "Fake Services"}
    lines = [shipped_line("MUG", **imported), shipped_line("CUP", tax_scheme=TaxScheme.UNION), shipped_line("BOWL")]
    [order] = take(shipped_order(lines, buyer=JANE | {"vat_number": "DE136695976"}))
    mug, cup, bowl = order.lines
    first, second, third = (issue(order, {line.id: 1}, actor=mia) for line in (mug, cup, bowl))
    memo = refund(order, Wish({mug.id: LineWish(1)}), actor=mia)
    for document in (first, memo):
        text = printed(document, mia)
        assert "DE136695976" in text
        assert "Fake Services" in text
        assert "IOSS" in text
        assert "IM3720000224" in text
    assert "(OSS)" in printed(second, mia)
    assert "IOSS" not in printed(second, mia)
    assert "OSS" not in printed(third, mia)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    units=st.integers(1, 7),
    charged=st.integers(0, 99_999),
    tax=st.integers(0, 20_000),
    part=st.integers(1, 7),
    yen=st.booleans(),
)
def test_every_invoice_adds_up_on_its_paper(
    take: Take, mia: Actor, units: int, charged: int, tax: int, part: int, yen: bool
) -> None:
    amounts = (IncomingAmount(Component.ITEM, charged, tax, charged // 3), IncomingAmount(Component.SHIPPING, 499, 95))
    total = charged + tax - charged // 3 + 499 + 95
    where = {"currency": "JPY", "marketplace": JAPAN.id} if yen else {}
    [order] = take(incoming_order([incoming_line("MUG", units, amounts=amounts, total=total)], total=total, **where))
    left, issued = units, []
    while left:
        some = min(part, left)
        issued.append(issue(order, {order.lines[0].id: some}, actor=mia))
        left -= some
    contents = [content_of(invoice, mia) for invoice in issued]
    for content in contents:
        check_amounts(content)
        compose(content)
    assert sum(content.total.minor for content in contents) == sum(invoice.total_minor for invoice in issued)


def test_free_goods_have_a_paper_of_zero(take: Take, mia: Actor) -> None:
    [order] = take(incoming_order([incoming_line(amounts=(), total=0)], total=0, flags=("replacement",)))
    assert "0.00" in printed(issue(order, actor=mia), mia).replace(",", ".")


def test_the_buyer_is_shown_by_right_on_the_record_and_until_erased(take: Take, mia: Actor) -> None:
    [order] = take(incoming_order(buyer=JANE))
    invoice = issue(order, actor=mia)
    packer = replace(mia, rights=mia.rights - {"buyers.see"})
    hidden = printed(invoice, packer)
    assert "Zanzibar" not in hidden
    assert "hidden" in hidden
    assert "Zanzibar" in printed(invoice, mia)
    write_readings()
    seen = db.session.scalars(select(AuditEntry.data).where(AuditEntry.code == "buyers_seen")).all()
    assert [(entry["purpose"], entry["orders"]) for entry in seen] == [("invoice", [order.id])]
    with unit_of_work():
        erase([order.id])
    assert "Zanzibar" not in printed(invoice, mia)


def test_the_shops_footer_is_below_the_amounts(take: Take, mia: Actor) -> None:
    [order] = take(incoming_order())
    invoice = issue(order, actor=mia)
    assert not content_of(invoice, mia).footer
    with unit_of_work():
        store_all(FACE, {"footer": "Register HRB 1234\nBank DE00"}, order.shop)
    text = printed(invoice, mia)
    assert text.index("Register HRB 1234 Bank DE00") > text.index("12.00")


# --- Credit memos -----------------------------------------------------------------------------------------------------


@pytest.fixture
def memos_only(monkeypatch: pytest.MonkeyPatch) -> None:
    only_recorded(monkeypatch)


@pytest.mark.usefixtures("memos_only")
def test_a_memo_names_its_invoices_and_has_what_the_ledger_has(take: Take, mia: Actor) -> None:
    amounts = (IncomingAmount(Component.ITEM, 1000, 190, 100), IncomingAmount(Component.SHIPPING, 499, 95))
    [order] = take(shipped_order([shipped_line("MUG", 3, amounts=amounts, total=1684)], total=1684))
    first, second = issue(order, {order.lines[0].id: 1}, actor=mia), issue(order, actor=mia)
    memo = refund(order, actor=mia)
    text = printed(memo, mia).replace(",", ".")
    for part in (memo.number, order.number, order.channel_order_number, "MUG", "7 Zanzibar Mews", "16.84"):
        assert str(part) in text
    assert f"For invoice {first.number}. {second.number}" in text
    assert "Credit memo" in text


@pytest.mark.usefixtures("memos_only")
def test_one_that_takes_a_memo_back_names_it_and_is_below_zero(take: Take, mia: Actor) -> None:
    amounts = (IncomingAmount(Component.ITEM, 1000, 190, 100), IncomingAmount(Component.SHIPPING, 499, 95))
    [order] = take(shipped_order([shipped_line("MUG", 3, amounts=amounts, total=1684)], total=1684))
    issue(order, actor=mia)
    memo = refund(order, actor=mia)
    opposite = reverse(memo, actor=mia)
    there, back = contents_of([memo, opposite], mia)
    assert (back.tax, back.total) == (-there.tax, -there.total)
    assert [row.units for row in back.rows] == [-3]
    assert all(row.unit_price == other.unit_price for row, other in zip(back.rows, there.rows, strict=True))
    text = printed(opposite, mia)
    assert f"Reverses credit memo {memo.number}" in text
    assert "For invoice" not in text
    assert "-€16.84" in text


def test_it_says_through_whom_the_money_went(
    channel: FakeChannel, take: Take, mia: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is paid back by a correction or by what takes a memo back; a memo that is only recorded knows nothing."""
    asked, elsewhere, alone, canceled = take(*[shipped_order([shipped_line("MUG")]) for _ in range(4)])
    invoice, corrected = issue(asked, actor=mia), issue(canceled, actor=mia)
    with unit_of_work():
        store_all(SETTINGS, {"refund_hold": 0}, asked.store)
    channel.outcomes = [Accepted()]
    refund(asked, actor=mia)
    work()
    [sent] = db.session.scalars(select(CreditMemo))
    with unit_of_work():
        adopted = adopt(locked(elsewhere), [Piece("", "MUG", "item", 1, Amount(1000, 200))], actor=mia)
        correction = correct_invoice(locked(canceled), corrected.id, actor=mia)
    only_recorded(monkeypatch)
    recorded = refund(alone, actor=mia)
    assert adopted is not None
    for memo in (sent, adopted):
        assert "Refunded through Fake channel." in printed(memo, mia)
    for memo in (recorded, correction, reverse(recorded, actor=mia)):
        assert "through Fake channel" not in printed(memo, mia)
    assert "Paid through Fake channel." not in printed(sent, mia)
    assert "Paid through Fake channel." in printed(invoice, mia)


@pytest.mark.usefixtures("memos_only")
def test_amounts_without_units_and_adjustments_have_their_titles(take: Take, mia: Actor) -> None:
    title = "東京の急須、有田焼"
    [order] = take(shipped_order([shipped_line("茶-1", 2, title=title)]))
    wish = Wish({order.lines[0].id: LineWish(0, {"item": 500})}, adjustment_refund=150, adjustment_fee=250)
    memo = refund(order, wish, actor=mia)
    content = content_of(memo, mia)
    [row] = content.rows
    assert (row.units, row.unit_price, row.total.minor) == (0, None, 600)
    assert [(extra.title, extra.total.minor) for extra in content.extras] == [
        ("Adjustment refund", 150), ("Adjustment fee", -250),
    ]  # fmt: skip
    text = printed(memo, mia)
    assert title in text
    assert "-€2.50" in text
    assert "Total credited €5.00" in text


@pytest.mark.usefixtures("memos_only")
def test_a_memo_of_an_erased_buyer_has_no_name(take: Take, mia: Actor) -> None:
    before, after = take(shipped_order(buyer=JANE), shipped_order(buyer=JANE))
    memo = refund(before, actor=mia)
    assert "Zanzibar" in printed(memo, mia)
    with unit_of_work():
        erase([before.id, after.id])
    for one in (memo, refund(after, actor=mia)):
        assert "Zanzibar" not in printed(one, mia)
        assert "not available" in printed(one, mia)


@pytest.mark.usefixtures("memos_only")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    units=st.integers(1, 5),
    charged=st.integers(100, 99_999),
    tax=st.integers(0, 20_000),
    part=st.integers(1, 5),
    yen=st.booleans(),
    backwards=st.booleans(),
)
def test_every_memo_adds_up_on_its_paper(
    take: Take, mia: Actor, units: int, charged: int, tax: int, part: int, yen: bool, backwards: bool
) -> None:
    amounts = (IncomingAmount(Component.ITEM, charged, tax, charged // 3), IncomingAmount(Component.SHIPPING, 499, 95))
    total = charged + tax - charged // 3 + 499 + 95
    where = {"currency": "JPY", "marketplace": JAPAN.id} if yen else {}
    [order] = take(shipped_order([shipped_line("MUG", units, amounts=amounts, total=total)], total=total, **where))
    some = refund(order, Wish({order.lines[0].id: LineWish(min(part, units))}), actor=mia)
    memos = [some, reverse(some, actor=mia)] if backwards else [some]
    memos.append(refund(order, actor=mia))
    for memo, content in zip(memos, contents_of(memos, mia), strict=True):
        check_amounts(content)
        compose(content)
        assert content.total == memo.total
    assert sum(memo.total_minor for memo in memos) == order.refunded_minor == total
