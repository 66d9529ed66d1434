"""Canceling at Amazon: a whole order by an acknowledgement feed, units of lines by an adjustment feed.

A seller cancels an order by acknowledging it with Failure for all of its lines. Amazon accepts that only of orders that
are paid and of which nothing has shipped; it shows the result in the order minutes later.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from xml.etree import ElementTree as Xml

from plugins.amazon.feeds.messages import ACKNOWLEDGEMENT, ADJUSTMENT, BadMessage, text
from webapp.api import CancelReason, Update, UpdateKind, lazy_gettext as _l

KIND: Final = UpdateKind(
    "cancel",
    _l("Cancellation"),
    repeatable=False,
    batch=500,
    exclusive=True,
    look_after=15.0,
    look_steps=(30.0, 60.0, 120.0, 300.0, 900.0),
    unseen_after=7200.0,
)
VERSION: Final = 1
REASONS: Final = (  # the five of the cancelOrder operation that Amazon withdrew; feeds accept more
    CancelReason(code="NoInventory", label=_l("Out of stock")),
    CancelReason(code="BuyerCanceled", label=_l("The buyer asked to cancel"), for_buyer=True),
    CancelReason(code="ShippingAddressUndeliverable", label=_l("Can't be delivered to this address")),
    CancelReason(code="CustomerExchange", label=_l("The buyer exchanges it")),
    CancelReason(code="PricingError", label=_l("The price was wrong")),
)
_ADJUSTMENTS: Final = {  # the reason of an adjustment for that of a cancellation
    "NoInventory": "NoInventory",
    "BuyerCanceled": "CustomerCancel",
    "ShippingAddressUndeliverable": "Undeliverable",
    "CustomerExchange": "Exchange",
    "PricingError": "PriceError",
}
_ORDER = re.compile(r"[0-9A-Z]{3}-[0-9]{7}-[0-9]{7}")
_LINE = re.compile(r"[0-9A-Za-z-]{1,50}")


def lane(payload: Mapping[str, Any]) -> str:
    """The type of the feed that carries a cancellation; adjustments and refunds share one."""
    return ACKNOWLEDGEMENT if payload.get("whole") else ADJUSTMENT


def message(update: Update) -> Xml.Element:
    """The message of a cancellation; raises `BadMessage`."""
    payload = update.payload
    lines, reason = payload.get("lines"), payload.get("reason")
    if payload.get("version") != VERSION or update.kind != KIND.code:
        raise BadMessage(field="version")
    if not _ORDER.fullmatch(update.order_number):
        raise BadMessage(field="AmazonOrderID")
    if reason not in _ADJUSTMENTS:
        raise BadMessage(field="CancelReason")
    if not isinstance(lines, Mapping) or not lines or not all(map(_LINE.fullmatch, lines)):
        raise BadMessage(field="AmazonOrderItemCode")
    if not all(isinstance(units, int) and units > 0 for units in lines.values()):
        raise BadMessage(field="QuantityCancelled")
    return _whole(update, lines, str(reason)) if payload.get("whole") else _units(update, lines, str(reason))


def _whole(update: Update, lines: Mapping[str, int], reason: str) -> Xml.Element:
    body = Xml.Element("OrderAcknowledgement")
    text(body, "AmazonOrderID", update.order_number)
    text(body, "StatusCode", "Failure")
    for line in lines:
        item = Xml.SubElement(body, "Item")
        text(item, "AmazonOrderItemCode", line)
        text(item, "CancelReason", reason)
    return body


def _units(update: Update, lines: Mapping[str, int], reason: str) -> Xml.Element:
    body = Xml.Element("OrderAdjustment")
    text(body, "AmazonOrderID", update.order_number)
    text(body, "ActionType", "Cancel")
    for line, units in lines.items():
        item = Xml.SubElement(body, "AdjustedItem")
        text(item, "AmazonOrderItemCode", line)
        text(item, "AdjustmentReason", _ADJUSTMENTS[reason])
        text(item, "QuantityCancelled", str(units))
    return body
