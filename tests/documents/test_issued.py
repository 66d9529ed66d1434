"""Issued invoices on paper: every amount of the ledger, whatever the currency; the buyer by right, and until erased."""

import io
from collections.abc import Callable
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pypdf import PdfReader
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.audit.services import write_readings
from webapp.billing.models import Invoice
from webapp.billing.services import issue_invoice
from webapp.channels.incoming import Component, IncomingAmount
from webapp.channels.legal_face import FACE
from webapp.db import db, unit_of_work
from webapp.documents import pdf
from webapp.documents.invoices import check_amounts, compose
from webapp.documents.issued import content_of
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import store_all
from webapp.testing import JANE, JAPAN, incoming_line, incoming_order
from webapp.vault.services import erase

Take = Callable[..., list[Order]]


def issue(order: Order, lines: dict[int, int] | None = None, *, actor: Actor) -> Invoice:
    with unit_of_work():
        return issue_invoice(locked(order), lines, actor=actor)


def printed(invoice: Invoice, actor: Actor, paper: str = "") -> str:
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
