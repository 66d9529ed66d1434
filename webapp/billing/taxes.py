"""Taxes on invoices: rates that the merchant declares for each shop and country of delivery, checked against the tax
that the channel charged.

The rate of an invoice's line is the declared one whose tax, computed from what the line costs without tax, is the
channel's within one minor unit per unit. If none fits, the rate stays unknown: nothing is guessed. Where prices include
a tax of which the channel says nothing, and the shop says so, the first rate of the country is taken out of the price:
what the buyer pays stays the same.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from babel import Locale

from webapp.billing.remaining import Part, amounts_of
from webapp.channels.described import marketplace_of
from webapp.channels.models import Shop
from webapp.i18n import lazy_gettext as _l
from webapp.money import Money
from webapp.orders.amounts import OWN
from webapp.orders.contract import Amount
from webapp.orders.models import Order
from webapp.settings.declared import SHOP, Setting, SettingsGroup

WHOLE = 1_000_000  # rates are in millionths
_LINE = re.compile(r"([A-Za-z]{2})\s+([^:]+?)\s*(?::\s*(.*))?", re.ASCII)
_RATE = re.compile(r"(\d{1,2})(?:\.(\d{1,4}))?\s*%?", re.ASCII)
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class CountryTaxes:
    """The rates of one country in millionths, the normal one first, and the sentence that its invoices say."""

    rates: tuple[int, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class TaxedPart:
    """A line of an invoice with its tax: `figures` come to what the part does. The rate is None while unknown."""

    part: Part
    figures: Amount
    rate: int | None


@dataclass(frozen=True, slots=True)
class TaxedParts:
    """The lines of an invoice with their taxes. `included`: the taxes were taken out of prices that include them.
    `unknown`: rates are declared for the country, and none of them fits the tax of some line.
    """

    lines: Sequence[TaxedPart]
    included: bool
    unknown: bool
    note: str


def _read(text: str) -> dict[str, CountryTaxes]:
    """The declared taxes by country. Raises ValueError for a line that can't be read."""
    found: dict[str, CountryTaxes] = {}
    for line in filter(None, (one.strip() for one in text.splitlines())):
        parts = _LINE.fullmatch(line)
        rates = [_RATE.fullmatch(one.strip()) for one in parts[2].split(",")] if parts else []
        if parts is None or None in rates:
            raise ValueError(
                _l("“%(line)s” is not valid. Enter a country and its rates, such as “DE 19, 7”.", line=line)
            )
        country, note = parts[1].upper(), (parts[3] or "").strip()
        if country not in Locale("en").territories:
            raise ValueError(_l("“%(country)s” is not a country code of two letters.", country=parts[1]))
        if country in found:
            raise ValueError(_l("%(country)s is entered twice. Remove one of the lines.", country=country))
        if len(note) > _LONGEST:
            raise ValueError(_l("The sentence of %(country)s is too long.", country=country))
        found[country] = CountryTaxes(tuple(_millionths(one) for one in rates if one), note)
    return found


def _millionths(rate: re.Match[str]) -> int:
    return int(rate[1]) * WHOLE // 100 + int((rate[2] or "").ljust(4, "0"))


RATES = Setting(
    name="tax_rates",
    label=_l("Tax rates by country of delivery"),
    lines=4,
    check=_read,
    help=_l(
        "Enter a line for each country, with the normal rate first: “DE 19, 7”. The text after a colon is "
        "printed on the country's invoices: “CH 0: Tax-free export.” A rate is printed where it matches the "
        "tax that the channel charged."
    ),
)
INCLUDED = Setting(
    name="prices_include_tax",
    label=_l("Prices include a tax that the channel does not report"),
    default=False,
    help=_l(
        "For orders without any tax, invoices calculate the tax from the price with the first rate of the "
        "country. The total for the buyer stays the same."
    ),
)
TAXES = SettingsGroup("taxes", _l("Taxes on invoices"), (RATES, INCLUDED), scope=SHOP)


def taxes_of(shop: Shop, country: str) -> CountryTaxes:
    """What the shop declares for deliveries to this country; no rates if it declares nothing."""
    return _read(RATES.of(shop)).get(country, CountryTaxes(()))


def taxed_country(order: Order) -> str:
    """The country whose rates apply: that of delivery, or that of the marketplace while the channel withholds it."""
    sold_in = marketplace_of(order.store.channel, order.marketplace)
    return order.country or (sold_in.country if sold_in else "")


def taxed(order: Order, parts: Sequence[Part], *, counted: str = "invoiced") -> TaxedParts:
    """The lines of a document with their taxes and rates; none of the parts is `counted` yet, as invoiced or as
    refunded. What has no amount in the order, such as an adjustment, has no tax.
    """
    declared = taxes_of(order.shop, taxed_country(order))
    paid = {(row.line_id or OWN, row.component): row for row in amounts_of(order)}
    included = bool(declared.rates) and INCLUDED.of(order.shop) and not any(row.tax for row in paid.values())
    lines = []
    for part in parts:
        row = paid.get(part.place)
        if included and row is not None:
            rate = declared.rates[0]
            lines.append(taken_out(part, tax_within(part.amount.net, rate, getattr(row, counted).net), rate))
        else:
            known = row is not None and any(part.amount)
            lines.append(TaxedPart(part, part.amount, fitting_rate(part, declared.rates) if known else None))
    unknown = bool(declared.rates) and any(one.rate is None and any(one.figures) for one in lines)
    return TaxedParts(lines, included, unknown, declared.note)


def taken_out(part: Part, tax: int, rate: int | None) -> TaxedPart:
    """A part with this tax taken out of its price."""
    figures = part.amount
    return TaxedPart(part, figures._replace(charged=figures.charged - tax, tax=figures.tax + tax), rate)


def tax_within(paid: int, rate: int, before: int) -> int:
    """The tax within what is paid, so that the taxes of several invoices come to that of what they all charge."""
    upto, since = (share_of(amount, rate, WHOLE + rate) for amount in (before + paid, before))
    return upto - since


def fitting_rate(part: Part, rates: Sequence[int]) -> int | None:
    """The rate that fits the part's tax best; None if none is within one minor unit per unit, or two fit alike."""
    net, tax = part.amount.charged - part.amount.discount, part.amount.tax
    units = part.units or (part.line.ordered if part.line else 0)
    off = {
        rate: abs(net * rate - tax * WHOLE) for rate in rates if abs(share_of(net, rate, WHOLE) - tax) <= max(1, units)
    }
    best = [rate for rate, difference in off.items() if difference == min(off.values())]
    return best[0] if len(best) == 1 else None


def share_of(amount: int, part: int, whole: int) -> int:
    """The share of an amount in minor units, half away from zero."""
    return Money(amount, "XXX").split([part, whole - part])[0].minor
