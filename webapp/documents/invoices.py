"""Invoices and credit memos on paper: what one of them says, independent of where it is stored.

The caller gives the content, in whole minor units, as it was issued. `compose` makes a document of it, in the language
of the marketplace on which the buyer ordered. It computes the summary of taxes and the totals from the rows, and raises
an error instead of composing a paper whose amounts don't add up. Whether a tax rate fits its tax is decided where the
invoice is issued: here, a rate is a label. Where no tax is known at all, the paper says nothing of taxes. Drawing
documents is left to the modules that draw.

Amounts of a credit memo are positive: they are what is credited. Amounts and units of one that takes another memo back
are negative.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from babel import Locale

from webapp.channels.incoming import COMPONENT_LABELS, Component
from webapp.channels.legal_face import Face
from webapp.documents import formats
from webapp.documents.composed import PAPERS, Column, Document, Fact, Party, Style, Table, Text, labeled
from webapp.errors import DeskError
from webapp.i18n import gettext as _, lazy_gettext as _l, pgettext, spoken
from webapp.money import Money

_NONE = "—"


class DoesNotAddUp(DeskError):
    """The rows of a document and its recorded total differ."""

    code = "invoice_does_not_add_up"
    sentence = _l("%(number)s is not printed: its rows add up to %(found)s, but its total is %(given)s.")


class TaxDoesNotAddUp(DoesNotAddUp):
    """The taxes of the rows and the recorded tax differ."""

    code = "invoice_tax_does_not_add_up"
    sentence = _l("%(number)s is not printed: the taxes of its rows add up to %(found)s, but its tax is %(given)s.")


class RowDoesNotAddUp(DoesNotAddUp):
    """The price, discount and tax of a row do not result in its total."""

    code = "invoice_row_does_not_add_up"
    sentence = _l(
        "%(number)s is not printed: in row %(row)s, price, discount and tax result in %(found)s, but the row's total "
        "is %(given)s."
    )


class Kind(StrEnum):
    INVOICE = "invoice"
    CREDIT_MEMO = "credit_memo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Units of one product.

    The unit price and the discount contain tax if the document's prices do. `total` always contains the tax: it is
    price × units − discount, plus the tax where prices don't contain it. As a price per unit can't always be exact, the
    product may differ from this by up to half a minor unit per unit. A row without units has no unit price; a credit
    memo has such rows where money is given back and no unit.
    """

    sku: str
    title: str
    units: int
    unit_price: Money | None
    discount: Money | None = None  # positive
    tax_rate: Decimal | None = None  # a fraction of 1; None if it is unknown
    tax: Money
    total: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """An amount beside the products: shipping, gift wrap, an adjustment, which may be negative. `amount` and `discount`
    contain tax if the document's prices do; `total` always contains the tax.
    """

    component: Component | None  # None: an adjustment
    amount: Money
    discount: Money | None = None  # positive
    tax_rate: Decimal | None = None  # a fraction of 1; None if it is unknown
    tax: Money
    total: Money
    title: str = ""  # in place of the component's name

    @property
    def name(self) -> str:
        """The name of the amount, in the language that is spoken."""
        if self.title:
            return self.title
        return _("Adjustment") if self.component is None else str(COMPONENT_LABELS[self.component])


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """Whom the document is for. Without lines, the address is withheld or erased, or hidden from this actor."""

    billing: Sequence[str] = ()  # lines of the address, the name first
    delivery: Sequence[str] = ()
    vat_number: str = ""
    hidden: bool = False
    snapshot: Mapping[str, Any] = field(default_factory=dict)  # what the lines were made of, as `Invoice.sealed` has it


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceContent:
    """What an invoice or a credit memo says. All amounts have one currency."""

    kind: Kind
    number: str
    issued_on: date  # in the shop's time zone
    supplied_on: date | None = None
    corrects: Sequence[str] = ()  # numbers of the invoices that a credit memo corrects, or of the memo it takes back
    takes_back: bool = False  # whether a credit memo takes another one back: its amounts are negative
    order_number: str  # empty if the order has none
    channel_order_number: str
    channel: str  # the channel's name
    marketplace: str  # the marketplace's name
    face: Face
    buyer: Buyer
    rows: Sequence[Row]
    extras: Sequence[Extra] = ()
    prices_include_tax: bool
    tax: Money  # as recorded: the sum of the rows' taxes
    total: Money  # as recorded: the sum of the rows' totals
    through_channel: bool = False  # whether the channel carried the money: the buyer's payment, or the refund
    notes: Sequence[str] = ()  # in the document's language
    footer: str = ""  # the seller's last lines
    practice: bool = False
    locale: str  # such as "fr_FR": see `formats.locale_for`
    paper: str = "a4"  # see `formats.paper_for`

    @property
    def lines(self) -> tuple[Row | Extra, ...]:
        """The rows, and behind them the amounts beside the products."""
        return (*self.rows, *self.extras)

    @property
    def payment(self) -> str:
        """Through whom the money went, in the language that is spoken; empty where none did."""
        if not self.through_channel:
            return ""
        if self.kind is Kind.CREDIT_MEMO:
            return str(_("Refunded through %(channel)s.", channel=self.channel))
        return str(_("Paid through %(channel)s.", channel=self.channel))


@dataclass(frozen=True, slots=True)
class TaxAtRate:
    """The sums of the rows with one tax rate; None for the rows whose rate is unknown."""

    rate: Decimal | None
    net: Money
    tax: Money

    @property
    def total(self) -> Money:
        return self.net + self.tax


def tax_summary(content: InvoiceContent) -> list[TaxAtRate]:
    """The sums of the rows by their tax rates, the highest rate first and the unknown one last. Goods that cost nothing
    have no rate and are in no sum.
    """
    found: dict[Decimal | None, TaxAtRate] = {}
    nothing = Money(0, content.total.currency)
    for row in content.lines:
        if row.tax_rate is None and not row.total and not row.tax:
            continue
        before = found.get(row.tax_rate, TaxAtRate(row.tax_rate, nothing, nothing))
        net = row.total - row.tax
        found[row.tax_rate] = TaxAtRate(row.tax_rate, before.net + net, before.tax + row.tax)
    return sorted(found.values(), key=lambda one: (one.rate is None, -(one.rate or 0)))


def check_amounts(content: InvoiceContent) -> None:
    """Raise `RowDoesNotAddUp`, `TaxDoesNotAddUp` or `DoesNotAddUp` if the amounts of the document contradict each
    other.
    """
    for place, row in enumerate(content.lines, start=1):
        found = _total_of(row, content)
        if abs((found - row.total).minor) * 2 > (abs(row.units) if isinstance(row, Row) else 0):
            raise RowDoesNotAddUp(number=content.number, row=place, found=_plain(found), given=_plain(row.total))
    summary = tax_summary(content)
    tax = sum((one.tax for one in summary), Money(0, content.total.currency))
    total = sum((one.total for one in summary), Money(0, content.total.currency))
    if tax != content.tax:
        raise TaxDoesNotAddUp(number=content.number, found=_plain(tax), given=_plain(content.tax))
    if total != content.total:
        raise DoesNotAddUp(number=content.number, found=_plain(total), given=_plain(content.total))


def _total_of(row: Row | Extra, content: InvoiceContent) -> Money:
    """The total that results from what the row shows. A row without a unit price shows only its tax and its total."""
    if isinstance(row, Extra):
        amount = row.amount
    elif row.unit_price is None or not row.units:
        return row.total
    else:
        amount = row.unit_price * row.units
    if row.discount is not None:
        amount = amount - row.discount
    return amount if content.prices_include_tax else amount + row.tax


def _plain(amount: Money) -> str:
    return f"{amount} {amount.currency}"


# --- The document -----------------------------------------------------------------------------------------------------


def compose(content: InvoiceContent, paper: str = "") -> Document:
    """The invoice or credit memo as a document, for this paper or, without one, for the content's own.

    Raises `DoesNotAddUp` if its amounts contradict each other.
    """
    check_amounts(content)
    language = formats.language_of(content.locale)
    with spoken(language):
        return _Composer(content, language, paper or content.paper).document()


class _Composer:
    """Composes one document, in the language that is spoken."""

    def __init__(self, content: InvoiceContent, language: str, paper: str) -> None:
        self.content, self.language, self.paper = content, language, paper
        self.locale: Locale = formats.formats_of(content.locale)
        self.small = PAPERS[paper].is_small
        self.discounted = any(row.discount for row in content.lines)
        self.taxed = bool(content.tax) or any(row.tax or row.tax_rate is not None for row in content.lines)

    def document(self) -> Document:
        content, face = self.content, self.content.face
        is_memo = content.kind is Kind.CREDIT_MEMO
        numbers = dict.fromkeys((content.order_number, content.channel_order_number))
        title = _("Credit memo") if is_memo else _("Invoice")
        return Document(
            title=title,
            language=self.language,
            paper=self.paper,
            face=face,
            vat_number=_("VAT number %(number)s", number=face.vat_number) if face.vat_number else "",
            codes=tuple(filter(None, numbers)),
            parties=tuple(self._parties()),
            facts=tuple(self._facts()),
            columns=tuple(self._columns()),
            rows=tuple(self._rows()),
            banner=_("PRACTICE – not a real order") if content.practice else "",
            sums=tuple(self._sums()),
            tables=(self._taxes(),) if self.taxed else (),
            closing=tuple(self._closing()),
            foot=f"{title} {content.number}",
        )

    def _parties(self) -> Iterator[Party]:
        buyer = self.content.buyer
        reason = _("The buyer's address is not available.")
        if buyer.hidden:
            reason = _("The address is hidden: your role does not show buyer data.")
        billing = list(buyer.billing)
        if billing and buyer.vat_number:
            billing.append(_("VAT number %(number)s", number=buyer.vat_number))
        yield Party(_("Bill to"), tuple(billing), "" if billing else reason)
        if buyer.delivery and tuple(buyer.delivery) != tuple(buyer.billing):
            yield Party(_("Ship to"), tuple(buyer.delivery))

    def _facts(self) -> Iterator[Fact]:
        content = self.content
        if content.kind is Kind.CREDIT_MEMO:
            yield Fact(_("Credit memo number"), content.number, Style.STRONG)
            if content.corrects:
                label = _("Reverses credit memo") if content.takes_back else _("For invoice")
                yield Fact(label, ", ".join(content.corrects))
        else:
            yield Fact(_("Invoice number"), content.number, Style.STRONG)
        yield Fact(_("Date of issue"), formats.day(content.issued_on, self.locale))
        if content.supplied_on is not None:
            yield Fact(_("Date of supply"), formats.day(content.supplied_on, self.locale))
        if content.order_number:
            yield Fact(_("Order"), content.order_number)
        if content.order_number != content.channel_order_number:
            label = _("%(channel)s order number", channel=content.channel)
            yield Fact(label, content.channel_order_number)
        yield Fact(_("Marketplace"), content.marketplace)

    def _columns(self) -> Iterator[Column]:
        yield Column(_("Product"), 100)
        yield self._figures(_("Quantity"))
        if not self.small:
            yield self._figures(_("Unit price"))
            if self.discounted:
                yield self._figures(_("Discount"))
            if self.taxed:
                yield self._figures(pgettext("invoice", "Tax rate"))
                yield self._figures(_("Tax"))
        yield self._figures(_("Total"))

    def _rows(self) -> Iterator[tuple[tuple[Text, ...], ...]]:
        for row in self.content.rows:
            units = formats.number(row.units, self.locale) if row.units else ""
            price = self._money(row.unit_price) if row.unit_price is not None and row.units else ""
            yield self._row(row, row.title, units, price, row.sku)
        for extra in self.content.extras:
            yield self._row(extra, extra.name, "", self._money(extra.amount))

    def _row(self, row: Row | Extra, title: str, units: str, price: str, sku: str = "") -> tuple[tuple[Text, ...], ...]:
        product = [Text(title)]
        if sku:
            product.append(Text(sku, Style.NOTE))
        discount = self._money(-row.discount) if row.discount else ""
        rate, tax, total = self._rate(row.tax_rate), self._money(row.tax), (Text(self._money(row.total)),)
        if self.small:
            if units:
                product.append(labeled(_("Unit price"), price))
            if discount:
                product.append(labeled(_("Discount"), discount))
            if self.taxed:
                name = _("Tax") if row.tax_rate is None else _("Tax %(rate)s", rate=rate)
                product.append(labeled(name, tax))
            return tuple(product), (Text(units),), total
        figures = (units, price, *([discount] if self.discounted else []), *([rate, tax] if self.taxed else []))
        return tuple(product), *((Text(figure),) for figure in figures), total

    def _sums(self) -> Iterator[Fact]:
        content = self.content
        if self.taxed:
            yield Fact(_("Total without tax"), self._money(content.total - content.tax))
            yield Fact(_("Tax"), self._money(content.tax))
        label = _("Total credited") if content.kind is Kind.CREDIT_MEMO else _("Total")
        yield Fact(label, self._money(content.total), Style.STRONG)

    def _taxes(self) -> Table:
        columns = (
            Column(pgettext("invoice", "Tax rate"), 100),
            self._figures(pgettext("invoice", "Net")),
            self._figures(_("Tax")),
            self._figures(_("Total")),
        )
        rows = tuple(
            (
                (Text(self._rate(one.rate) if one.rate is not None else _("Rate not stated")),),
                *((Text(self._money(amount)),) for amount in (one.net, one.tax, one.total)),
            )
            for one in tax_summary(self.content)
        )
        return Table(columns, rows)

    def _closing(self) -> Iterator[Text]:
        content = self.content
        if self.taxed:
            price = _("Prices include tax.") if content.prices_include_tax else _("Prices do not include tax.")
            yield Text(price, Style.NOTE)
        if content.payment:
            yield Text(content.payment)
        yield from (Text(note) for note in content.notes)
        if content.footer:
            yield Text(content.footer, Style.NOTE)

    def _figures(self, label: str) -> Column:
        return Column(label, 0, is_number=True)

    def _money(self, amount: Money) -> str:
        return formats.money(amount, self.locale)

    def _rate(self, rate: Decimal | None) -> str:
        return _NONE if rate is None else formats.rate(rate, self.locale)
