"""Issued invoices and credit memos on paper: what the ledger holds of one, as the content that `invoices` composes.

The snapshot of the buyer is opened by right, with an access record. Who may not see buyers gets the document without
them, as does everybody once the buyer was erased.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast
from zoneinfo import ZoneInfo

from webapp.audit.actor import Actor
from webapp.billing.kept_buyers import SNAPSHOT, open_kept
from webapp.billing.models import CreditMemo, CreditMemoLine, Invoice, InvoiceLine, Purpose
from webapp.billing.taxes import WHOLE
from webapp.channels.described import marketplace_of
from webapp.channels.incoming import Component, TaxScheme
from webapp.channels.legal_face import FOOTER, Face
from webapp.channels.logos import logo_of
from webapp.channels.refunds import ADJUSTMENT_LABELS, Adjustment
from webapp.channels.services import channel_name
from webapp.documents import formats
from webapp.documents.invoices import Buyer, Extra, InvoiceContent, Kind, Row
from webapp.i18n import gettext as _, spoken
from webapp.money import Money
from webapp.orders.contract import Origin
from webapp.orders.postal import country_codes
from webapp.orders.postal_lines import Home, address_of
from webapp.vault import services as vault


def content_of(document: Invoice | CreditMemo, actor: Actor, paper: str = "") -> InvoiceContent:
    """The content of an issued document, for this paper or the usual one of its country."""
    return contents_of([document], actor, paper)[0]


def archived_content_of(document: Invoice | CreditMemo, actor: Actor, purpose: str, paper: str = "") -> InvoiceContent:
    """The content of a document whose buyer was erased, with what the law has it keep of the buyer: see `open_kept`."""
    said, content = open_kept(document, actor, purpose), content_of(document, actor, paper)
    with spoken(formats.language_of(content.locale)):
        return replace(content, buyer=_named(said, _home_of(document)))


def contents_of(documents: Sequence[Invoice | CreditMemo], actor: Actor, paper: str = "") -> list[InvoiceContent]:
    """The contents of these documents, in their order. Buyers are revealed by right, with one access record."""
    sealed = {document.order_id for document in documents if document.sealed is not None}
    keys = None
    if sealed and actor.may("buyers.see"):
        keys = vault.reveal_kinds(actor, sorted(sealed), purpose="invoice", kinds=(vault.BUYER,))
    return [_content(document, actor, keys, paper) for document in documents]


def _content(document: Invoice | CreditMemo, actor: Actor, keys: vault.DataKeys | None, paper: str) -> InvoiceContent:
    order = document.order
    marketplace = marketplace_of(order.store.channel, order.marketplace)
    locale = formats.locale_for(marketplace, document.shop)
    country = marketplace.country if marketplace else order.country
    items = [line for line in document.lines if line.component == Component.ITEM and line.line_id is not None]
    others = [line for line in document.lines if line not in items]
    included = bool(document.terms.get("prices_include_tax"))
    with spoken(formats.language_of(locale)):
        return InvoiceContent(
            kind=Kind.INVOICE if isinstance(document, Invoice) else Kind.CREDIT_MEMO,
            number=document.number or "",
            issued_on=_issued_on(document),
            supplied_on=_day(document.terms.get("supplied_on")),
            corrects=document.terms.get("documents", ()),
            takes_back=isinstance(document, CreditMemo) and document.purpose == Purpose.REVERSAL,
            order_number=order.number or "",
            channel_order_number=order.channel_order_number,
            channel=channel_name(order.store.channel),
            marketplace=marketplace.name if marketplace else order.marketplace,
            face=Face(**document.seller or {}, logo=logo_of(document.shop_id)),
            buyer=_buyer(document, actor, keys),
            rows=[_row(line, document.currency, included) for line in items],
            extras=[_extra(line, document.currency, included) for line in others],
            prices_include_tax=included,
            tax=Money(sum(line.tax for line in document.lines), document.currency),
            total=document.total,
            through_channel=_through_channel(document),
            notes=[*_of_tax(document.terms.get("tax", {})), *document.terms.get("notes", ())],
            footer=FOOTER.of(document.shop),
            practice=order.store.practice,
            locale=locale,
            paper=paper or formats.paper_for(country),
        )


def _through_channel(document: Invoice | CreditMemo) -> bool:
    """Whether the channel carried the money. It did not for a memo that is only recorded here, and there is none in
    what corrects an invoice or takes a memo back.
    """
    if isinstance(document, Invoice):
        return True
    carried = not document.record_only or document.origin == Origin.ELSEWHERE
    return document.purpose == Purpose.REFUND and carried


def _of_tax(told: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What the channel told of the taxes, in the document's language."""
    for name in told.get("paid_by", ()):
        yield _("Tax collected and paid by %(name)s.", name=name)
    if TaxScheme.UNION in told.get("schemes", ()):
        yield _("VAT declared through the One-Stop Shop (OSS).")
    if TaxScheme.IMPORT in told.get("schemes", ()):
        yield _("VAT declared through the Import One-Stop Shop (IOSS).")
    for number in told.get("ioss", ()):
        yield _("IOSS number %(number)s", number=number)


def _issued_on(document: Invoice | CreditMemo) -> date:
    """The date of issue; an invoice of an earlier version has it by the shop's present time zone."""
    kept = _day(document.terms.get("issued_on"))
    return kept or cast(datetime, document.issued_at).astimezone(ZoneInfo(document.shop.zone)).date()


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _row(line: InvoiceLine | CreditMemoLine, currency: str, included: bool) -> Row:
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


def _price(line: InvoiceLine | CreditMemoLine, included: bool) -> int:
    """What is charged for the line before discount, with the tax where prices include it."""
    return line.charged + line.tax if included else line.charged


def _extra(line: InvoiceLine | CreditMemoLine, currency: str, included: bool) -> Extra:
    adjusts = line.component in tuple(Adjustment)
    return Extra(
        component=None if adjusts else Component(line.component),
        title=str(ADJUSTMENT_LABELS[Adjustment(line.component)]) if adjusts else "",
        amount=Money(_price(line, included), currency),
        discount=Money(line.discount, currency) if line.discount else None,
        tax_rate=_rate(line),
        tax=Money(line.tax, currency),
        total=Money(line.figures.net, currency),
    )


def _rate(line: InvoiceLine | CreditMemoLine) -> Decimal | None:
    return None if line.tax_rate is None else Decimal(line.tax_rate) / WHOLE


def _buyer(document: Invoice | CreditMemo, actor: Actor, keys: vault.DataKeys | None) -> Buyer:
    if not actor.may("buyers.see"):
        return Buyer(hidden=True)
    if keys is None or document.sealed is None:
        return Buyer()
    return _named(keys.open(document.order_id, SNAPSHOT, document.sealed) or {}, _home_of(document))


def _home_of(document: Invoice | CreditMemo) -> Home:
    """From where the document was sent, by what it holds, so that it is printed alike whatever the shop is by now."""
    marketplace = marketplace_of(document.order.store.channel, document.order.marketplace)
    country = (document.seller or {}).get("country") or (marketplace.country if marketplace else "")
    language = formats.language_of(formats.locale_for(marketplace, document.shop))
    return Home(country if country in country_codes() else "", language)


def _named(said: Mapping[str, Any], home: Home) -> Buyer:
    """The buyer as the document's snapshot has them."""
    return Buyer(billing=_lines(said, home), vat_number=str(said.get("vat_number") or ""), snapshot=said)


def _lines(buyer: Mapping[str, Any], home: Home) -> Sequence[str]:
    """The lines of the address, with the company above the name, and the buyer's own order number."""
    address = buyer.get("address") or {}
    found = address_of(address, home)
    lines = list(found.lines) if found else [str(buyer["name"])] if buyer.get("name") else []
    company = str(buyer.get("company") or "")
    if company and company not in lines:
        lines.insert(lines.index(address["name"]) if address.get("name") in lines else 0, company)
    if buyer.get("purchase_order"):
        lines.append(_("Purchase order %(number)s", number=buyer["purchase_order"]))
    return lines
