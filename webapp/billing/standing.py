"""What is left of invoices: their lines less what corrections took back of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from webapp.billing.models import CreditMemo, CreditMemoLine, Invoice, InvoiceLine, MemoState, Purpose
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
    by_id: dict[int | None, Standing] = {}
    for invoice in reversed(invoices):
        included = bool(invoice.terms.get("prices_include_tax"))
        lines = {
            (line.line_id or OWN, line.component): Left(line, line.units, line.figures, included)
            for line in invoice.lines
        }
        by_id[invoice.id] = Standing(invoice, lines)
        found.setdefault(invoice.order_id, []).append(by_id[invoice.id])
    taken = select(CreditMemo.invoice_id, CreditMemoLine).join(CreditMemoLine.memo)
    taken = taken.where(among(CreditMemo.order_id, list(found)), CreditMemo.purpose == Purpose.CORRECTION)
    for invoice_id, line in db.session.execute(taken.where(CreditMemo.state == MemoState.ISSUED)) if by_id else ():
        left = by_id[invoice_id].lines[line.line_id or OWN, line.component]
        left.units, left.figures = left.units - line.units, left.figures.minus(line.figures)
    for one in by_id.values():
        one.lines = {place: left for place, left in one.lines.items() if left.units or any(left.figures)}
    return found
