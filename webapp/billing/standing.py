"""What is left of invoices: their lines less what corrections took back of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from webapp.billing.models import CreditMemo, Invoice, InvoiceLine, MemoState, Purpose
from webapp.billing.taxes import WHOLE
from webapp.db import among, db
from webapp.money import Money
from webapp.orders.amounts import OWN, Place
from webapp.orders.contract import Amount


@dataclass(slots=True)
class Left:
    """A line of an invoice less what corrections took back of it."""

    line: InvoiceLine
    units: int
    figures: Amount
    included: bool  # its tax, if it has one, was taken out of its price

    @property
    def as_told(self) -> Amount:
        """Its figures as the channel tells amounts."""
        figures = self.figures
        return Amount(figures.charged + figures.tax, 0, figures.discount) if self.included else figures

    def of(self, told: Amount) -> Amount:
        """A part of it, given as the channel tells amounts, as figures of the document."""
        if not self.included:
            return told
        if told == self.as_told:
            return self.figures
        rate = self.line.tax_rate or 0
        tax = min(Money(told.net, "XXX").split([rate, WHOLE])[0].minor, self.figures.tax)
        return Amount(told.charged + told.tax - tax, tax, told.discount)


@dataclass(slots=True)
class Standing:
    """An invoice with what is left of its lines."""

    invoice: Invoice
    lines: dict[Place, Left]


def standing_of_orders(order_ids: Sequence[int]) -> dict[int, list[Standing]]:
    """What is left of the invoices of these orders, by order and newest first."""
    query = select(Invoice).where(among(Invoice.order_id, order_ids)).order_by(Invoice.id)
    return standing_of(list(db.session.scalars(query.options(selectinload(Invoice.lines)))))


def standing_of(invoices: Sequence[Invoice]) -> dict[int, list[Standing]]:
    """What is left of these invoices, by order and newest first, in one query."""
    found: dict[int, list[Standing]] = {}
    corrections = corrections_of(invoices)
    for invoice in reversed(invoices):
        found.setdefault(invoice.order_id, []).append(Standing(invoice, _left_of(invoice, corrections[invoice.id])))
    return found


def corrections_of(invoices: Sequence[Invoice]) -> dict[int, list[CreditMemo]]:
    """The credit memos that take these invoices back, wholly or in part, by invoice and oldest first, in one query."""
    found: dict[int, list[CreditMemo]] = {invoice.id: [] for invoice in invoices}
    query = select(CreditMemo).where(
        among(CreditMemo.order_id, sorted({one.order_id for one in invoices})),
        CreditMemo.purpose == Purpose.CORRECTION,
        CreditMemo.state == MemoState.ISSUED,
    )
    query = query.order_by(CreditMemo.id).options(joinedload(CreditMemo.lines))
    for memo in db.session.scalars(query).unique() if found else ():
        if memo.invoice_id in found:
            found[memo.invoice_id].append(memo)
    return found


def is_taken_back(invoice: Invoice, corrections: Sequence[CreditMemo]) -> bool:
    """Whether these credit memos, of `corrections_of`, leave nothing of an invoice."""
    return not _left_of(invoice, corrections)


def _left_of(invoice: Invoice, corrections: Sequence[CreditMemo]) -> dict[Place, Left]:
    included = bool(invoice.terms.get("prices_include_tax"))
    lines = {
        (line.line_id or OWN, line.component): Left(line, line.units, line.figures, included) for line in invoice.lines
    }
    for line in (line for memo in corrections for line in memo.lines):
        left = lines[line.line_id or OWN, line.component]
        left.units, left.figures = left.units - line.units, left.figures.minus(line.figures)
    return {place: left for place, left in lines.items() if left.units or any(left.figures)}
