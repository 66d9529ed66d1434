"""Money that goes back to a buyer: what was paid for each line, what of it was refunded, and how a refund is booked.

Amounts are minor units by order item and component, in Amazon's words for adjustments. In North America they exclude
the tax, which Amazon computes itself, in proportion to what was paid; elsewhere they include it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from plugins.amazon.practice.answers import tax_on, taxes
from plugins.amazon.practice.fates import Fate

if TYPE_CHECKING:
    from plugins.amazon.practice.practice import Practice

Amounts = dict[str, dict[str, int]]  # by order item id and component
CHARGED: Final = ("Principal", "Shipping", "GiftWrap")
COMPONENTS: Final = frozenset({
    *CHARGED, "Tax", "ShippingTax", "GiftWrapTax", "RestockingFee", "RestockingFeeTax", "Goodwill", "ReturnShipping",
    "ExportCharge", "COD", "CODTax", "Surcharge", "FreeReplacementReturnShipping", "Other",
})  # fmt: skip
KINDS: Final = ("refund", "elsewhere", "claim", "chargeback", "funded")  # by feed, by hand, by Amazon, by the bank


@dataclass(frozen=True)
class Refund:
    """One booking: `amounts` go back to the buyer, and `taxes` that Amazon adds; a fee that is withheld is below
    zero.
    """

    index: int
    at_ms: int
    kind: str
    amounts: Amounts
    taxes: Amounts = field(default_factory=dict)
    number: int = 0  # 0: not stored yet

    @property
    def total(self) -> int:
        """What the buyer gets."""
        return sum(sum(of.values()) for part in (self.amounts, self.taxes) for of in part.values())


def paid(fate: Fate) -> Amounts:
    """What the buyer paid for each line, without the tax that Amazon added."""
    found: Amounts = {}
    for line in fate.order.lines:
        units = fate.ordered[line.id]
        found[line.id] = {
            "Principal": (line.unit_price - line.unit_discount) * units,
            "Shipping": line.shipping - line.shipping_discount,
            "GiftWrap": line.gift_wrap,
        }
    return found


def taxes_paid(fate: Fate) -> Amounts:
    """The tax that Amazon added to each component; nothing where prices include it."""
    if fate.order.market.tax_included:
        return {}
    found: Amounts = {}
    for line in fate.order.lines:
        market = fate.order.market
        shipping = tax_on(line.shipping - line.shipping_discount, market.tax_percent)
        wrap = tax_on(line.gift_wrap, market.tax_percent)
        whole = sum(taxes(line, fate.ordered[line.id], market).values())
        found[line.id] = {"Principal": whole - shipping - wrap, "Shipping": shipping, "GiftWrap": wrap}
    return found


def added(*parts: Amounts) -> Amounts:
    """The sum of amounts."""
    sums: Amounts = {}
    for amounts in parts:
        for item, of in amounts.items():
            for code, minor in of.items():
                sums.setdefault(item, {})[code] = sums.get(item, {}).get(code, 0) + minor
    return sums


def left(fate: Fate, before: Collection[Refund]) -> Amounts:
    """What of the price of each line was not refunded yet; never below zero."""
    gone = added(*(refund.amounts for refund in before))
    return {
        item: {code: max(0, minor - gone.get(item, {}).get(code, 0)) for code, minor in of.items()}
        for item, of in paid(fate).items()
    }


def share_of(amounts: Amounts, share: float) -> Amounts:
    """A share of amounts, each rounded down but to no less than one minor unit."""
    exact = Fraction(share).limit_denominator(1000)
    shares = {
        item: {code: max(1, int(minor * exact)) for code, minor in of.items() if minor} for item, of in amounts.items()
    }
    return {item: of for item, of in shares.items() if of}


def taxes_of(fate: Fate, amounts: Amounts, before: Collection[Refund]) -> Amounts:
    """The tax that Amazon adds to a refund: all refunds of a component together get their share of its tax."""
    gone, prices, found = added(*(refund.amounts for refund in before)), paid(fate), Amounts()
    for item, of in taxes_paid(fate).items():
        for code, tax in of.items():
            price, earlier = prices[item][code], gone.get(item, {}).get(code, 0)
            now = amounts.get(item, {}).get(code, 0)
            if price > 0 and now:
                due = _rounded(tax * (earlier + now), price) - _rounded(tax * earlier, price)
                found.setdefault(item, {})[code] = due
    return found


def _rounded(number: int, by: int) -> int:
    return (2 * number + by) // (2 * by)


def book(practice: "Practice", fate: Fate, at_ms: int, kind: str, amounts: Amounts, mark: str | None = None) -> Refund:
    """Store a refund, as the mark of its feed makes it. The caller is alone."""
    before = practice.store.refunds(fate.order.index)
    if mark == "refund_less":
        amounts = {item: {code: -(-minor // 2) for code, minor in of.items()} for item, of in amounts.items()}
    elif mark == "refund_more":
        amounts = _more(amounts)
    taxes = taxes_of(fate, amounts, before)
    if mark == "refund_other_tax":
        taxes = _other_tax(amounts, taxes)
    refund = Refund(fate.order.index, at_ms, kind, amounts, taxes)
    practice.store.add_refund(refund)
    return refund


def _more(amounts: Amounts) -> Amounts:
    """A tenth more of the first amount that is paid out, and at least one minor unit."""
    item, code = next((item, code) for item, of in amounts.items() for code, minor in of.items() if minor > 0)
    changed = {one: dict(of) for one, of in amounts.items()}
    changed[item][code] += max(1, changed[item][code] // 10)
    return changed


def _other_tax(amounts: Amounts, taxes: Mapping[str, dict[str, int]]) -> Amounts:
    """Seven minor units more of tax on the first line."""
    item = next(iter(amounts))
    changed = {one: dict(of) for one, of in taxes.items()}
    changed.setdefault(item, {})["Principal"] = changed.get(item, {}).get("Principal", 0) + 7
    return changed
