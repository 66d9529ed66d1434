"""Amazon's accounts: the transactions of an order, in the words of the Finances API 2024-06-19.

Nothing of this is stored but refunds (`refunds.py`): a payment follows from a package, at the time when it was
confirmed. Amazon documents neither the types of charges nor when a transaction shows. Here the types are those that
sellers see; a transaction shows up to `transactions_late` seconds after it was posted, each at a delay of its own.
What is deferred is told twice, as Amazon does: first DEFERRED, and once it is released as DEFERRED_RELEASED and by a
second transaction that names the first.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from plugins.amazon.practice.answers import iso, tax_on
from plugins.amazon.practice.composing import Line
from plugins.amazon.practice.fates import Fate
from plugins.amazon.practice.marketplaces import SELLERS, Marketplace
from plugins.amazon.practice.refunds import Refund
from plugins.amazon.practice.world import HOUR, mix

if TYPE_CHECKING:
    from plugins.amazon.practice.practice import Practice

Json = dict[str, Any]
COMMISSION: Final = 15  # percent
KEPT_OF_COMMISSION: Final = 20  # percent of the commission on what is refunded
MOST_KEPT: Final = 500  # minor units
PAGE: Final = 100  # transactions, at which a page ends with its stretch of time
GROUPS: Final = {"Principal": "ProductCharges", "Shipping": "Shipping", "GiftWrap": "GiftWrap"}
LEAVES: Final = {"Principal": "OurPrice", "Shipping": "Shipping", "GiftWrap": "Giftwrap"}
WORDS: Final = {  # transaction type and description
    "refund": ("Refund", "Refund Order"),
    "elsewhere": ("Refund", "Refund Order"),
    "claim": ("GuaranteeClaim", "A-to-z Guarantee Claim"),
    "chargeback": ("Chargeback", "Chargeback Refund"),
    "funded": ("Refund", "Refund Order"),
}


@dataclass(frozen=True)
class Transaction:
    """A transaction with its times."""

    posted_ms: int
    shown_ms: int
    answer: Json

    @property
    def key(self) -> tuple[int, str]:
        """The place of the transaction in an answer."""
        return self.posted_ms, str(self.answer["transactionId"])


@dataclass(frozen=True)
class TransactionQuery:
    """The filters of listTransactions; times in milliseconds, the second one excluded."""

    region: str
    after_ms: int
    before_ms: int
    marketplace: str = ""
    status: str = ""


def page(practice: "Practice", query: TransactionQuery, view_ms: int, start_ms: int) -> tuple[list[Json], int | None]:
    """The transactions of the next stretch of time, and where the following one starts; None: it was the last."""
    found: list[Transaction] = []
    low, width = start_ms, HOUR
    while low < query.before_ms and len(found) < PAGE:
        high = min(low + width, query.before_ms)
        stretch = list(_posted_in(practice, query, view_ms, low, high))
        found += sorted(stretch, key=lambda one: one.key)
        low, width = high, width if len(stretch) > PAGE // 4 else min(2 * width, 24 * HOUR)
    return [one.answer for one in found], low if low < query.before_ms else None


def _posted_in(
    practice: "Practice", query: TransactionQuery, view_ms: int, low: int, high: int
) -> Iterator[Transaction]:
    """The matching transactions that were posted in [low, high), in no order."""
    deferred = int(practice.settings.deferred / practice.settings.rates * 1000)
    indexes: set[int] = set()
    for back in {0, deferred}:  # what is deferred is told again when it is released
        indexes.update(practice.world.news_in(low - back, high - back))
        indexes.update(practice.store.acted_in(low - back, high - back))
        indexes.update(practice.store.refunded_in(low - back, high - back))
    for fate in practice.fates(sorted(indexes), view_ms):
        if fate.order.market.region == query.region:
            for one in transactions_of(practice, fate, view_ms):
                if low <= one.posted_ms < high and _wanted(one.answer, query):
                    yield one


def of_order(practice: "Practice", fate: Fate, query: TransactionQuery, view_ms: int) -> list[Json]:
    """All transactions of one order."""
    found = transactions_of(practice, fate, view_ms)
    return [one.answer for one in sorted(found, key=lambda one: one.key) if _wanted(one.answer, query)]


def _wanted(answer: Json, query: TransactionQuery) -> bool:
    return (not query.marketplace or answer["marketplaceDetails"]["marketplaceId"] == query.marketplace) and (
        not query.status or answer["transactionStatus"] == query.status
    )


def transactions_of(practice: "Practice", fate: Fate, view_ms: int) -> list[Transaction]:
    """The transactions of an order that show at a moment."""
    if fate.order.non_amazon:
        return []
    posted = [*_payments(practice, fate), *_refunds(practice, fate, practice.store.refunds(fate.order.index))]
    found = (one for posting in posted for one in _told(practice, posting, view_ms))
    return [one for one in found if max(one.posted_ms, one.shown_ms) <= view_ms]


# --- Postings ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Item:
    line: Line
    units: int
    charges: dict[str, int]  # by component, with the tax that prices include
    discounts: dict[str, int]
    taxes: dict[str, int]  # that Amazon added
    fees: dict[str, int]
    others: dict[str, int]  # by the name of the breakdown


@dataclass(frozen=True)
class _Posting:
    fate: Fate
    name: str
    at_ms: int
    words: tuple[str, str]
    items: list[_Item]
    related: tuple[str, str]


def _payments(practice: "Practice", fate: Fate) -> Iterator[_Posting]:
    """A payment for each package. What was charged once for a line is in the first package that holds the line."""
    order, seen = fate.order, set[str]()
    packages = [(one.reference, one.created_ms, one.items) for one in fate.packages.values()]
    if fate.amazon_shipped_ms is not None:
        packages = [("amazon", fate.amazon_shipped_ms, fate.ordered)]
    for reference, at_ms, units in packages:
        items = []
        for line in order.lines:
            count = units.get(line.id, 0)
            if not count:
                continue
            first = line.id not in seen
            seen.add(line.id)
            charges = {"Principal": line.unit_price * count}
            discounts = {"Principal": line.unit_discount * count}
            if first:
                charges |= {"Shipping": line.shipping, "GiftWrap": line.gift_wrap}
                discounts |= {"Shipping": line.shipping_discount}
            tax: dict[str, int] = {}
            if not order.market.tax_included:
                tax = {
                    code: tax_on(minor - discounts.get(code, 0), order.market.tax_percent)
                    for code, minor in charges.items()
                }
            fee = -(sum(charges.values()) - sum(discounts.values())) * COMMISSION // 100
            items.append(_Item(line, count, charges, discounts, tax, {"Commission": fee}, {}))
        if any(item.charges["Principal"] for item in items):
            number = _id(f"shipment/{order.id}/{reference}")
            related = ("SHIPMENT_ID", str(int(hashlib.sha256(number.encode()).hexdigest()[:12], 16)))
            yield _Posting(fate, number, at_ms, ("Shipment", "Order Payment"), items, related)


def _refunds(practice: "Practice", fate: Fate, refunds: Iterable[Refund]) -> Iterator[_Posting]:
    for refund in refunds:
        items = []
        for line in fate.order.lines:
            of = refund.amounts.get(line.id, {})
            tax = {code: -minor for code, minor in refund.taxes.get(line.id, {}).items()}
            if not of and not tax:
                continue
            charges = {code: -minor for code, minor in of.items() if code in GROUPS}
            back = sum(charges.values()) * COMMISSION // 100
            fees = {"Commission": -back, "RefundCommission": max(back * KEPT_OF_COMMISSION // 100, -MOST_KEPT)}
            others = {}
            if goodwill := of.get("Goodwill", 0):
                others["GoodwillPrincipal"] = -goodwill
            if withheld := of.get("RestockingFee", 0):
                others["RestockingDeductionPrincipal"] = -withheld
            if refund.kind == "funded":
                fees = {}
                others["ConcessionReimbursement"] = -sum(charges.values()) - sum(others.values())
            items.append(_Item(line, fate.ordered[line.id], charges, {}, tax, fees, others))
        number = _id(f"{refund.kind}/{fate.order.id}/{refund.number}")
        related = ("REFUND_ID", str(90_000_000_000 + refund.number))
        yield _Posting(fate, number, refund.at_ms, WORDS[refund.kind], items, related)


def _id(what: str) -> str:
    return hashlib.sha256(what.encode()).hexdigest()[:43]


# --- In Amazon's words ------------------------------------------------------------------------------------------------


def _told(practice: "Practice", posting: _Posting, view_ms: int) -> Iterator[Transaction]:
    """What is told of a posting: the transaction, and its release if it was deferred."""
    settings, seed = practice.settings, practice.world.seed
    late = int(settings.transactions_late / settings.rates * 1000)
    deferred = int(settings.deferred / settings.rates * 1000)
    shown = posting.at_ms + mix(seed, int(posting.name[:12], 16), 11) % (late + 1)
    released = posting.at_ms + deferred
    status = "RELEASED"
    if deferred:
        status = "DEFERRED" if view_ms < released else "DEFERRED_RELEASED"
    answer = _answer(practice, posting, status, released if deferred else None)
    yield Transaction(posting.at_ms, shown, answer)
    if deferred and view_ms >= released:
        again = _answer(practice, posting, "RELEASED", None) | {"transactionId": _id(f"release/{posting.name}")}
        again["postedDate"] = iso(released)
        again["relatedIdentifiers"] = [
            *answer["relatedIdentifiers"],
            {"relatedIdentifierName": "DEFERRED_TRANSACTION_ID", "relatedIdentifierValue": posting.name},
        ]
        yield Transaction(released, max(shown, released), again)


def _answer(practice: "Practice", posting: _Posting, status: str, matures_ms: int | None) -> Json:
    order = posting.fate.order
    market = order.market
    split = market.tax_included and practice.settings.included_tax == "split"
    items = [_item(posting, item, market, split=split) for item in posting.items]
    total = sum(_minor_of(item["totalAmount"], market) for item in items)
    contexts = []
    if matures_ms is not None:
        contexts = [{"contextType": "DeferredContext", "deferralReason": "DD7", "maturityDate": iso(matures_ms)}]
    related = {"ORDER_ID": order.id, posting.related[0]: posting.related[1]}
    return {
        "sellingPartnerMetadata": {
            "sellingPartnerId": SELLERS[market.region],
            "accountType": "Standard Orders",
            "marketplaceId": market.id,
        },
        "relatedIdentifiers": [
            {"relatedIdentifierName": name, "relatedIdentifierValue": value} for name, value in related.items()
        ],
        "transactionType": posting.words[0],
        "transactionId": posting.name,
        "transactionStatus": status,
        "description": posting.words[1],
        "postedDate": iso(posting.at_ms),
        "totalAmount": amount(total, market),
        "marketplaceDetails": {"marketplaceId": market.id, "marketplaceName": market.name},
        "items": items,
        "contexts": contexts,
        "breakdowns": _summary(items, market),
    }


def _item(posting: _Posting, item: _Item, market: Marketplace, *, split: bool) -> Json:
    charges, taxed = dict(item.charges), dict(item.taxes)
    discounts = dict(item.discounts)
    if split:  # sellers see the tax that prices include as an amount of its own
        for code in charges:
            gross = charges[code] - discounts.get(code, 0)
            within = _within(gross, market.tax_percent)
            taxed[code] = taxed.get(code, 0) + within
            charges[code] -= within
    groups: dict[str, list[Json]] = {}
    for code, minor in charges.items():
        if minor:
            groups.setdefault(GROUPS[code], []).append(_leaf(f"{LEAVES[code]}Principal", minor, market))
    for code, minor in taxed.items():
        if minor:
            groups.setdefault("Tax", []).append(_leaf(f"{LEAVES[code]}Tax", minor, market))
    for code, minor in discounts.items():
        if minor:
            groups.setdefault("PromoRebates", []).append(_leaf(f"{LEAVES[code]}Discount", -minor, market))
    for name, minor in item.others.items():
        if minor:
            groups.setdefault("ProductCharges" if name != "ConcessionReimbursement" else name, []).append(
                _leaf(name, minor, market)
            )
    withheld = {code: -minor for code, minor in item.taxes.items() if minor}
    names = {"Principal": "Principal", "Shipping": "Shipping", "GiftWrap": "Other"}
    for code, minor in withheld.items():
        groups.setdefault("MarketplaceFacilitatorTax", []).append(
            _leaf(f"MarketplaceFacilitatorTax-{names[code]}", minor, market)
        )
    for name, minor in item.fees.items():
        if minor:
            base = [_leaf("Base", minor, market)]
            groups.setdefault("AmazonFees", []).append(_leaf(name, minor, market) | {"breakdowns": base})
    breakdowns = [
        {"breakdownType": name, "breakdownAmount": amount(_sum(leaves, market), market), "breakdowns": leaves}
        for name, leaves in groups.items()
    ]
    adjustment = str(10**13 + int(_id(f"{posting.name}/{item.line.id}")[:10], 16) % 10**13)
    return {
        "description": item.line.title,
        "relatedIdentifiers": [
            {"itemRelatedIdentifierName": "ORDER_ADJUSTMENT_ITEM_ID", "itemRelatedIdentifierValue": adjustment}
        ],
        "totalAmount": amount(_sum(breakdowns, market), market),
        "breakdowns": breakdowns,
        "contexts": [
            {
                "contextType": "ProductContext",
                "asin": item.line.asin,
                "sku": item.line.sku,
                "quantityShipped": item.units,
                "fulfillmentNetwork": "AFN" if posting.fate.order.fulfilled_by == "AMAZON" else "MFN",
            }
        ],
    }


def _within(gross: int, percent: int) -> int:
    """The tax that an amount includes."""
    tax = (abs(gross) * percent * 2 + 100 + percent) // (2 * (100 + percent))
    return -tax if gross < 0 else tax


def _summary(items: list[Json], market: Marketplace) -> list[Json]:
    """The breakdown of the transaction: sales and expenses."""
    sums: dict[str, dict[str, int]] = {"Sales": {}, "Expenses": {}}
    for item in items:
        for group in item["breakdowns"]:
            of = sums["Expenses" if group["breakdownType"] == "AmazonFees" else "Sales"]
            minor = _minor_of(group["breakdownAmount"], market)
            of[group["breakdownType"]] = of.get(group["breakdownType"], 0) + minor
    return [
        {
            "breakdownType": name,
            "breakdownAmount": amount(sum(of.values()), market),
            "breakdowns": [_leaf(group, minor, market) for group, minor in of.items()],
        }
        for name, of in sums.items()
    ]


def _leaf(name: str, minor: int, market: Marketplace) -> Json:
    return {"breakdownType": name, "breakdownAmount": amount(minor, market), "breakdowns": []}


def _sum(breakdowns: list[Json], market: Marketplace) -> int:
    return sum(_minor_of(one["breakdownAmount"], market) for one in breakdowns)


def amount(minor: int, market: Marketplace) -> Json:
    """An amount as this API writes it: a number."""
    value = minor / 10**market.decimals if market.decimals else minor
    return {"currencyCode": market.currency, "currencyAmount": value}


def _minor_of(money: Json, market: Marketplace) -> int:
    minor: int = round(money["currencyAmount"] * 10**market.decimals)
    return minor
