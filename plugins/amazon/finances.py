"""What Amazon's accounts say of orders, by its Finances API 2024-06-19.

Amazon documents one type of transaction and no type of charge; the words here are those that sellers see. Whatever is
unknown is kept as another kind of transaction, and what is no money of the buyer counts as a fee, so that the parts and
the fees add up to the total. An amount that can't be read leaves the parts out, never the transaction.

The items of a transaction name a SKU and an adjustment id of Amazon's own, but no line of the order.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import structlog

from plugins.amazon.accounts import Account
from plugins.amazon.client import LIST_TRANSACTIONS, Client
from plugins.amazon.errors import Unintelligible
from plugins.amazon.marketplaces import MARKETPLACES
from webapp.api import (
    Adjustment,
    Component,
    IncomingTransaction,
    Money,
    PageRefused,
    TransactionKind,
    TransactionPart,
    TransactionsPage,
    TransactionsWindow,
    iso,
    now,
    parse_instant,
)

log = structlog.get_logger(__name__)
LATE: Final = 48 * 3600.0  # seconds by which Amazon posts a transaction at the latest
EDGE: Final = timedelta(minutes=4)  # Amazon asks for two, by its own clock
LONGEST: Final = timedelta(days=180)  # between the two ends; beyond, Amazon answers nothing
MOST: Final = 10**15  # minor units: more does not fit in a database column
NO_CURRENCY: Final = "XXX"  # by ISO 4217
_KINDS: Final = {  # by the letters of the type, or of the description where that says more
    "shipment": TransactionKind.PAYMENT,
    "refund": TransactionKind.REFUND,
    "guaranteeclaim": TransactionKind.CLAIM,
    "atozguaranteeclaim": TransactionKind.CLAIM,
    "atozguaranteerefund": TransactionKind.CLAIM,
    "chargeback": TransactionKind.CHARGEBACK,
    "chargebackrefund": TransactionKind.CHARGEBACK,
}
_DECIDED: Final = (TransactionKind.CLAIM, TransactionKind.CHARGEBACK)
_LEAF: Final = re.compile(
    r"(OurPrice|Shipping|Giftwrap|GiftWrap|Goodwill|RestockingDeduction|COD)(Principal|Tax|Discount|TaxDiscount)"
)
_COMPONENTS: Final[Mapping[str, str]] = {
    "OurPrice": Component.ITEM,
    "Shipping": Component.SHIPPING,
    "Giftwrap": Component.GIFT_WRAP,
    "GiftWrap": Component.GIFT_WRAP,
    "Goodwill": Adjustment.REFUND,
    "RestockingDeduction": Adjustment.FEE,
    "COD": Component.COD,
}
_GROUPS: Final[Mapping[str, tuple[str, str]]] = {  # what a group without details, or with unknown ones, is
    "ProductCharges": (Component.ITEM, "Principal"),
    "Shipping": (Component.SHIPPING, "Principal"),
    "GiftWrap": (Component.GIFT_WRAP, "Principal"),
    "Tax": (Component.ITEM, "Tax"),
    "PromoRebates": (Component.ITEM, "Discount"),
}
_NOT_THE_BUYERS: Final = re.compile(r".*Fees?|(MarketplaceFacilitator|LowValueGoods).*")
_Sums = dict[tuple[str, str], dict[str, int]]  # by SKU and component: charged, tax, discount


class _BadMoney(ValueError):
    """An amount that is missing, no number, or in another currency."""


def fetch(client: Client, account: Account, window: TransactionsWindow) -> TransactionsPage:
    """One page of transactions; raises what `client` raises."""
    params, bound = _asked(window)
    about = (window.order_number,) if window.order_number else ()
    answer = client.request(account, LIST_TRANSACTIONS, params=params, orders=about)
    payload = answer.body.get("payload")
    listed = payload.get("transactions") if isinstance(payload, dict) else None
    if not isinstance(payload, dict) or not isinstance(listed, list):
        raise Unintelligible(problem="no transactions")
    read = [read_transaction(one) for one in listed]
    token = payload.get("nextToken")
    return TransactionsPage(
        [one for one in read if one is not None],
        next_page=json.dumps({**params, "nextToken": str(token), "bound": iso(bound)}) if token else None,
        bound=bound,
        calls=answer.calls,
    )


def _asked(window: TransactionsWindow) -> tuple[dict[str, Any], datetime]:
    """The parameters of a call, and the time until which its answer is complete. A page token holds those of its
    window, which must stay the same.
    """
    if window.page is not None:
        try:
            params = dict(json.loads(window.page))
            return params, parse_instant(params.pop("bound"))
        except (ValueError, KeyError, TypeError):
            raise PageRefused(channel="Amazon") from None
    edge = (now() - EDGE).replace(microsecond=0)
    if window.order_number:
        return {"relatedIdentifierName": "ORDER_ID", "relatedIdentifierValue": window.order_number}, edge
    low = min(window.low.replace(microsecond=0), edge - timedelta(seconds=1))
    bound = min(edge, low + LONGEST)
    return {"postedAfter": iso(low), "postedBefore": iso(bound)}, bound


# --- Reading ----------------------------------------------------------------------------------------------------------


def read_transaction(raw: Any) -> IncomingTransaction | None:
    """A transaction in the desk's words; None if it has no time, or no form that could be read."""
    try:
        return _read(raw)
    except (AttributeError, TypeError, KeyError, ValueError, ArithmeticError) as error:
        log.warning("amazon_transaction_unreadable", problem=type(error).__name__)
        return None


def _read(raw: Mapping[str, Any]) -> IncomingTransaction:
    posted_at = parse_instant(raw["postedDate"])
    related = _identifiers(raw)
    marketplace = _marketplace(raw)
    total = raw.get("totalAmount")
    currency = _currency(raw, marketplace)
    try:
        minor: int | None = _minor(total, currency)
    except _BadMoney:
        minor = None
    parts, fees = _parts(raw, currency)
    word = _word(raw.get("transactionType"))
    return IncomingTransaction(
        number=_word(raw.get("transactionId")) or _fingerprint(raw),
        kind=_kind(raw, related, minor, parts),
        word=word,
        status=_word(raw.get("transactionStatus")),
        posted_at=posted_at,
        currency=currency,
        total=minor or 0,
        fees=fees,
        order_number=related.get("ORDER_ID", ""),
        marketplace=marketplace,
        parts=parts,
    )


def _kind(
    raw: Mapping[str, Any], related: Mapping[str, str], total: int | None, parts: tuple[TransactionPart, ...]
) -> TransactionKind:
    """What was posted. The release of what was deferred repeats it, and is nothing new."""
    if "DEFERRED_TRANSACTION_ID" in related:
        return TransactionKind.OTHER
    kinds = [_KINDS.get(_letters(raw.get(name)), TransactionKind.OTHER) for name in ("transactionType", "description")]
    if decided := [kind for kind in kinds if kind in _DECIDED]:
        return decided[0]
    price = sum(one.charged - one.discount for one in parts)
    if kinds[0] is TransactionKind.REFUND and price < 0 and total is not None and total >= 0:
        return TransactionKind.FUNDED  # the buyer got money, and it was not the seller's
    return kinds[0]


def _parts(raw: Mapping[str, Any], currency: str) -> tuple[tuple[TransactionPart, ...], int]:
    """The amounts by SKU and component, and the fees; nothing of either if any amount can't be read."""
    reading = _Breakdown(currency)
    items = [one for one in raw.get("items") or () if isinstance(one, dict)]
    try:
        if any(one.get("breakdowns") for one in items):
            for item in items:
                sku, units = _product(item)
                reading.units[sku] = reading.units.get(sku, 0) + units
                reading.add(sku, item.get("breakdowns"))
        else:  # some types give the amounts of the transaction only
            reading.add("", raw.get("breakdowns"))
    except (_BadMoney, AttributeError, TypeError, RecursionError):
        log.warning("amazon_transaction_without_parts")
        return (), 0
    return tuple(reading.parts()), reading.fees


@dataclass(slots=True)
class _Breakdown:
    """Adds up the charges of a transaction."""

    currency: str
    fees: int = 0
    sums: _Sums = field(default_factory=dict)
    units: dict[str, int] = field(default_factory=dict)  # by SKU

    def add(self, sku: str, breakdowns: Any, group: tuple[str, str] | None = None) -> None:
        """Add the charges of one item, which are nested in groups."""
        for one in breakdowns or ():
            name, details = str(one.get("breakdownType") or ""), one.get("breakdowns") or ()
            if leaf := _LEAF.fullmatch(name):
                self._count(sku, _COMPONENTS[leaf[1]], leaf[2], _minor(one.get("breakdownAmount"), self.currency))
            elif _NOT_THE_BUYERS.fullmatch(name) or (not details and not group and name not in _GROUPS):
                self.fees += _minor(one.get("breakdownAmount"), self.currency)
            elif details:
                self.add(sku, details, _GROUPS.get(name, group))
            elif place := _GROUPS.get(name) or group:
                component, what = place
                self._count(sku, component, what, _minor(one.get("breakdownAmount"), self.currency))

    def _count(self, sku: str, component: str, what: str, minor: int) -> None:
        sums = self.sums.setdefault((sku, component), {"charged": 0, "tax": 0, "discount": 0})
        match what:
            case "Principal":
                sums["charged"] += minor
            case "Discount":
                sums["discount"] -= minor
            case _:  # Tax, and what a discount takes off it
                sums["tax"] += minor

    def parts(self) -> Iterator[TransactionPart]:
        for (sku, component), sums in self.sums.items():
            if any(sums.values()):
                units = self.units.get(sku, 0) if component == Component.ITEM else 0
                yield TransactionPart("", sku, component, units, **sums)


def _product(item: Mapping[str, Any]) -> tuple[str, int]:
    """The SKU of an item, empty if it has none, and its units."""
    for context in item.get("contexts") or ():
        if isinstance(context, dict) and context.get("contextType") == "ProductContext":
            units = context.get("quantityShipped")
            return _word(context.get("sku")), abs(units) if type(units) is int and abs(units) < 2**31 else 0
    return "", 0


def _identifiers(raw: Mapping[str, Any]) -> dict[str, str]:
    found = [one for one in raw.get("relatedIdentifiers") or () if isinstance(one, dict)]
    named = ((one.get("relatedIdentifierName"), _word(one.get("relatedIdentifierValue"))) for one in found)
    return {str(name): value for name, value in named if value}


def _marketplace(raw: Mapping[str, Any]) -> str:
    for part in ("marketplaceDetails", "sellingPartnerMetadata"):
        details = raw.get(part)
        if isinstance(details, dict) and (found := _word(details.get("marketplaceId"))):
            return found
    return ""


def _currency(raw: Mapping[str, Any], marketplace: str) -> str:
    """The currency of the total; without one, that of the marketplace."""
    total = raw.get("totalAmount")
    code = total.get("currencyCode") if isinstance(total, dict) else None
    if isinstance(code, str) and re.fullmatch("[A-Z]{3}", code):
        return code
    known = MARKETPLACES.get(marketplace)
    return known.currency if known else NO_CURRENCY


def _minor(money: Any, currency: str) -> int:
    """An amount in minor units; Amazon sends it as a number, of which the shortest decimal text is what was meant."""
    amount = money.get("currencyAmount") if isinstance(money, dict) else None
    if type(amount) not in (int, float, str) or money.get("currencyCode") != currency:
        raise _BadMoney
    try:
        value = Decimal(str(amount))
        if not value.is_finite() or abs(value) > MOST:
            raise _BadMoney
        minor = Money.round(value, currency).minor
    except ArithmeticError:
        raise _BadMoney from None
    if abs(minor) > MOST:
        raise _BadMoney
    return minor


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _letters(value: Any) -> str:
    return re.sub("[^a-z]", "", _word(value).lower())


def _fingerprint(raw: Mapping[str, Any]) -> str:
    """A number for a transaction without one: the same for the same content, whatever its status."""
    content = {name: value for name, value in raw.items() if name != "transactionStatus"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
