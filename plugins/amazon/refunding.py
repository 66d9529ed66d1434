"""Refunding at Amazon: how a credit memo becomes the components of an adjustment, and the message that carries them.

The adjustment has positive amounts per line and component; only a restocking fee, which is withheld, is below zero:
Amazon asks that an adjustment as a whole is a credit to the buyer, and sellers report that a positive fee is paid out.
In most marketplaces prices include the tax, and so do the components. Where Amazon adds the tax to a price itself, it
also computes the tax of a refund, so none is sent.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.etree import ElementTree as Xml

from plugins.amazon.feeds.messages import ADJUSTMENT, BadMessage, text
from plugins.amazon.marketplaces import TAX_ADDED
from webapp.api import (
    Adjustment,
    Component,
    Money,
    RefundAmount,
    RefundPart,
    RefundPlan,
    RefundReason,
    RefundRequest,
    Refusal,
    ReturnReason,
    Update,
    UpdateKind,
    lazy_gettext as _l,
)

KIND: Final = UpdateKind(
    "refund",
    _l("Refund"),
    repeatable=False,
    batch=500,
    exclusive=True,
    gather=1200.0,  # Amazon's guideline: one feed of a type in 20 minutes
    look_after=60.0,
    look_steps=(60.0, 120.0, 300.0, 900.0),
    unseen_after=7 * 86_400.0,
)
LANE: Final = ADJUSTMENT
VERSION: Final = 1
REASONS: Final = (  # of Amazon's eighteen, those that a merchant gives for a refund
    RefundReason(code="CustomerReturn", label=_l("The buyer returned it"), for_returns=tuple(ReturnReason)),
    RefundReason(code="GeneralAdjustment", label=_l("Goodwill refund")),
    RefundReason(
        code="DifferentItem",
        label=_l("The buyer received something else"),
        for_returns=(ReturnReason.WRONG_PRODUCT,),
    ),
    RefundReason(code="CouldNotShip", label=_l("It couldn't be shipped")),
    RefundReason(code="Undeliverable", label=_l("It couldn't be delivered")),
    RefundReason(code="RefusedDelivery", label=_l("The buyer refused the parcel")),
    RefundReason(code="CustomerCancel", label=_l("The buyer no longer wants it")),
    RefundReason(code="Exchange", label=_l("The buyer exchanges it")),
    RefundReason(code="PriceError", label=_l("The price was wrong")),
    RefundReason(code="Other", label=_l("Another reason")),
)
RESTOCKING_FEE: Final = "RestockingFee"
CODES: Final[Mapping[str, str]] = {  # in the order in which Amazon's schema lists its components
    Component.ITEM: "Principal",
    Component.SHIPPING: "Shipping",
    Component.GIFT_WRAP: "GiftWrap",
    Adjustment.FEE: RESTOCKING_FEE,
    Adjustment.REFUND: "Goodwill",
}
_ORDER = re.compile(r"[0-9A-Z]{3}-[0-9]{7}-[0-9]{7}")
_LINE = re.compile(r"[0-9A-Za-z-]{1,50}")
_MEMO = re.compile(r"[0-9A-Za-z-]{1,40}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_REASONS = frozenset(reason.code for reason in REASONS)
_Shares = dict[tuple[str, str], int]  # minor units by line and code


class TipStays(Refusal):
    """Amazon has no component for a tip."""

    code = "amazon_refund_tip"
    sentence = _l("Amazon does not accept refunds of tips from Waybill. Refund the tip in Seller Central.")


class CashStays(Refusal):
    """What the buyer paid for cash on delivery goes back by other means than a feed."""

    code = "amazon_refund_cod"
    sentence = _l(
        "Amazon does not accept refunds of the cash-on-delivery charge from Waybill. Refund the charge in Seller "
        "Central."
    )


class UnknownComponent(Refusal):
    """An amount of which nobody knows what it was charged for."""

    code = "amazon_refund_unknown_component"
    sentence = _l(
        "A part of this amount has no known kind of charge, so Waybill can't request its refund. Refund the "
        "amount in Seller Central."
    )


class NoLine(Refusal):
    """Amazon refunds lines; there is none on which an amount could fall."""

    code = "amazon_refund_no_line"
    sentence = _l("Amazon refunds only amounts of order lines, and nothing was paid for the lines of this order.")


class BelowZero(Refusal):
    """The discount that is taken back exceeds what is refunded beside it."""

    code = "amazon_refund_below_zero"
    sentence = _l("A part of this refund is below zero. Refund the discounted amount together with its discount.")


class TaxAlone(Refusal):
    """Where Amazon computes the tax itself, it refunds it with the price only."""

    code = "amazon_refund_tax_alone"
    sentence = _l(
        "Amazon calculates the tax of this order itself. Refund the tax together with the amount that it was "
        "charged on."
    )


class FeeTooHigh(Refusal):
    """An adjustment must be a credit to the buyer, as a whole and for each line."""

    code = "amazon_refund_fee_too_high"
    sentence = _l("The fee is as high as the refund or higher. Lower the fee, or refund more.")


class NothingRefunded(Refusal):
    code = "amazon_refund_nothing"
    sentence = _l("This refund has no amount. Enter an amount to refund.")


# --- The plan ---------------------------------------------------------------------------------------------------------


def plan(request: RefundRequest) -> RefundPlan:
    """The components in which a memo travels; raises a `Refusal` with what can't be carried."""
    tax_added = request.marketplace in TAX_ADDED
    if tax_added:
        _check_taxes(request.amounts)
    shares: _Shares = {}
    for amount in request.amounts:
        if amount.component != Adjustment.FEE:
            _add(shares, _spread(request, amount, _sent(amount, tax_added=tax_added), request.lines))
    if any(minor < 0 for minor in shares.values()):
        raise BelowZero
    refunded = {line: sum(minor for (of, _), minor in shares.items() if of == line) for line in request.lines}
    for amount in request.amounts:
        if amount.component == Adjustment.FEE:
            _add(shares, _spread(request, amount, amount.net, refunded))
    parts = [
        RefundPart(line, code, minor)
        for line in request.lines
        for code in CODES.values()
        if (minor := shares.get((line, code), 0))
    ]
    _check_credit(parts)
    return RefundPlan(tuple(parts), added=sum(one.tax for one in request.amounts) if tax_added else 0)


def _sent(amount: RefundAmount, *, tax_added: bool) -> int:
    """What is sent of an amount, in minor units."""
    match amount.component:
        case Component.TIP:
            raise TipStays
        case Component.COD:
            raise CashStays
        case component if component not in CODES:
            raise UnknownComponent
    return amount.charged - amount.discount if tax_added else amount.net


def _check_taxes(amounts: Sequence[RefundAmount]) -> None:
    """Raise `TaxAlone` where a line, or the order itself, gets back a tax without the price that it belongs to.

    Component by component that can't be asked: Amazon does not say on which one it lowers the tax for a discount.
    """
    for line in {amount.line for amount in amounts if amount.tax}:
        if sum(one.charged - one.discount for one in amounts if one.line == line and one.charged > 0) <= 0:
            raise TaxAlone


def _spread(request: RefundRequest, amount: RefundAmount, minor: int, weights: Mapping[str, int]) -> _Shares:
    """An amount on its line, or in proportion to these weights on all lines."""
    code = CODES[amount.component]
    if amount.line:
        if amount.line not in request.lines:
            raise NoLine
        return {(amount.line, code): minor}
    if not minor:
        return {}
    bearing = {line: weight for line, weight in weights.items() if weight > 0}
    if not bearing:
        raise FeeTooHigh if amount.component == Adjustment.FEE else NoLine
    shares = Money(minor, request.currency).split(list(bearing.values()))
    return {(line, code): share.minor for line, share in zip(bearing, shares, strict=True)}


def _add(shares: _Shares, more: _Shares) -> None:
    for key, minor in more.items():
        shares[key] = shares.get(key, 0) + minor


def _check_credit(parts: Sequence[RefundPart]) -> None:
    """Raise the refusal of an adjustment that is no credit, as a whole or for a line."""
    if not any(part.amount > 0 for part in parts):
        raise FeeTooHigh if parts else NothingRefunded
    lines = {part.line: 0 for part in parts}
    for part in parts:
        lines[part.line] += part.amount
    if min(lines.values()) < 0 or sum(lines.values()) <= 0:
        raise FeeTooHigh


# --- The message ------------------------------------------------------------------------------------------------------


def message(update: Update) -> Xml.Element:
    """The message of a refund; raises `BadMessage`."""
    payload = update.payload
    currency, reason, memo = (payload.get(name) for name in ("currency", "reason", "memo"))
    if payload.get("version") != VERSION or update.kind != KIND.code:
        raise BadMessage(field="version")
    if not _ORDER.fullmatch(update.order_number):
        raise BadMessage(field="AmazonOrderID")
    if reason not in _REASONS:
        raise BadMessage(field="AdjustmentReason")
    if not isinstance(memo, str) or not _MEMO.fullmatch(memo):
        raise BadMessage(field="MerchantAdjustmentItemID")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise BadMessage(field="currency")
    body = Xml.Element("OrderAdjustment")
    text(body, "AmazonOrderID", update.order_number)
    text(body, "ActionType", "Refund")
    for line, amounts in _by_line(payload.get("parts")).items():
        item = Xml.SubElement(body, "AdjustedItem")
        text(item, "AmazonOrderItemCode", line)
        text(item, "MerchantAdjustmentItemID", f"{memo}-{line}")
        text(item, "AdjustmentReason", str(reason))
        prices = Xml.SubElement(item, "ItemPriceAdjustments")
        for code in CODES.values():
            if code in amounts:
                component = Xml.SubElement(prices, "Component")
                text(component, "Type", code)
                text(component, "Amount", str(Money(amounts[code], currency)))
                component[-1].set("currency", currency)
    return body


def _by_line(parts: Any) -> dict[str, dict[str, int]]:
    """The amounts by line and code. Raises `BadMessage` for what no plan has."""
    if not isinstance(parts, Sequence) or isinstance(parts, str) or not parts:
        raise BadMessage(field="AdjustedItem")
    lines: dict[str, dict[str, int]] = {}
    for part in parts:
        match part:
            case [str(line), str(code), int(minor)] if _LINE.fullmatch(line) and not isinstance(minor, bool):
                amounts = lines.setdefault(line, {})
            case _:
                raise BadMessage(field="AdjustedItem")
        if code not in CODES.values() or code in amounts:
            raise BadMessage(field="Type")
        if not minor or (minor < 0) != (code == RESTOCKING_FEE):
            raise BadMessage(field="Amount")
        amounts[code] = minor
    nets = [sum(amounts.values()) for amounts in lines.values()]
    if min(nets) < 0 or not sum(nets):  # it must be a credit, for each line and as a whole
        raise BadMessage(field="Amount")
    return lines
