"""Issued invoices on paper: what the ledger holds of one, as the content that `invoices` composes.

The snapshot of the buyer is opened by right, with an access record. Who may not see buyers gets the invoice without
them, as does everybody once the buyer was erased.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from webapp.audit.actor import Actor
from webapp.billing.models import Invoice, InvoiceLine
from webapp.billing.services import SNAPSHOT
from webapp.billing.taxes import WHOLE
from webapp.channels.described import marketplace_of
from webapp.channels.incoming import Component
from webapp.channels.legal_face import Face
from webapp.channels.logos import logo_of
from webapp.channels.services import channel_name
from webapp.documents import formats
from webapp.documents.invoices import Buyer, Extra, InvoiceContent, Kind, Row
from webapp.i18n import gettext as _, spoken
from webapp.money import Money
from webapp.orders.postal import address_of
from webapp.vault import services as vault


def content_of(invoice: Invoice, actor: Actor, paper: str = "") -> InvoiceContent:
    """The content of an issued invoice, for this paper or the usual one of its country."""
    order = invoice.order
    marketplace = marketplace_of(order.store.channel, order.marketplace)
    locale = formats.locale_for(marketplace, invoice.shop)
    country = marketplace.country if marketplace else order.country
    items = [line for line in invoice.lines if line.component == Component.ITEM and line.line_id is not None]
    others = [line for line in invoice.lines if line not in items]
    included = bool(invoice.terms.get("prices_include_tax"))
    with spoken(formats.language_of(locale)):
        return InvoiceContent(
            kind=Kind.INVOICE,
            number=invoice.number,
            issued_on=_issued_on(invoice),
            supplied_on=_day(invoice.terms.get("supplied_on")),
            order_number=order.number or "",
            channel_order_number=order.channel_order_number,
            channel=channel_name(order.store.channel),
            marketplace=marketplace.name if marketplace else order.marketplace,
            face=Face(**invoice.seller, logo=logo_of(invoice.shop_id)),
            buyer=_buyer(invoice, actor),
            rows=[_row(line, invoice.currency, included) for line in items],
            extras=[_extra(line, invoice.currency, included) for line in others],
            prices_include_tax=included,
            tax=Money(sum(line.tax for line in invoice.lines), invoice.currency),
            total=invoice.total,
            paid_through_channel=True,
            notes=invoice.terms.get("notes", ()),
            practice=order.store.practice,
            locale=locale,
            paper=paper or formats.paper_for(country),
        )


def _issued_on(invoice: Invoice) -> date:
    """The date of issue; an invoice of an earlier version has it by the shop's present time zone."""
    kept = _day(invoice.terms.get("issued_on"))
    return kept or invoice.issued_at.astimezone(ZoneInfo(invoice.shop.zone)).date()


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _row(line: InvoiceLine, currency: str, included: bool) -> Row:
    """A row of the paper. Its price per unit is rounded; the row's total is exact."""
    charged = Money(_price(line, included), currency)
    price = Money.round(charged.decimal / line.units, currency) if line.units else None
    return Row(
        sku=line.sku,
        title=line.title,
        units=line.units,
        unit_price=price,
        discount=Money(line.discount, currency) if line.discount else None,
        tax_rate=_rate(line),
        tax=Money(line.tax, currency),
        total=Money(line.figures.net, currency),
    )


def _price(line: InvoiceLine, included: bool) -> int:
    """What is charged for the line before discount, with the tax where prices include it."""
    return line.charged + line.tax if included else line.charged


def _extra(line: InvoiceLine, currency: str, included: bool) -> Extra:
    return Extra(
        component=Component(line.component),
        amount=Money(_price(line, included), currency),
        discount=Money(line.discount, currency) if line.discount else None,
        tax_rate=_rate(line),
        tax=Money(line.tax, currency),
        total=Money(line.figures.net, currency),
    )


def _rate(line: InvoiceLine) -> Decimal | None:
    return None if line.tax_rate is None else Decimal(line.tax_rate) / WHOLE


def _buyer(invoice: Invoice, actor: Actor) -> Buyer:
    if not actor.may("buyers.see"):
        return Buyer(hidden=True)
    return Buyer(billing=_lines(_snapshot(invoice, actor)))


def _snapshot(invoice: Invoice, actor: Actor) -> Mapping[str, Any]:
    if invoice.sealed is None:
        return {}
    keys = vault.reveal_kinds(actor, [invoice.order_id], purpose="invoice", kinds=(vault.BUYER,))
    return keys.open(invoice.order_id, SNAPSHOT, invoice.sealed) or {}


def _lines(buyer: Mapping[str, Any]) -> Sequence[str]:
    """The lines of the address, the name first, with the company and the buyer's own order number."""
    found = address_of(buyer.get("address") or {})
    lines = list(found.lines) if found else [str(buyer["name"])] if buyer.get("name") else []
    company = str(buyer.get("company") or "")
    if company and company not in lines:
        lines.insert(0, company)
    if buyer.get("purchase_order"):
        lines.append(_("Purchase order %(number)s", number=buyer["purchase_order"]))
    return lines
