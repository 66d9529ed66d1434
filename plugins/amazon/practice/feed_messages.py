"""The XML of order feeds, read by the rules of Amazon's schemas: the envelope, and the message of each feed type.

The order of elements is fixed. What breaks the envelope makes the feed unreadable (BadFeed); a message that breaks its
schema is reported beside those that are fine, and whoever processes the feed rejects it as a whole. Whether a message
can be carried out is decided in `feed_effects.py`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, fromstring

UNREADABLE: Final = 5000  # Amazon's code for XML that is no such feed
WRONG_SELLER: Final = 5002
BROKEN_MESSAGE: Final = 25
BROKEN: Final = (
    "We are unable to process the XML feed because one or more items are invalid. Please re-submit the feed."
)
VERSION: Final = "1.01"


class BadFeed(Exception):
    """No feed of this type and seller can be read; `code` is Amazon's, the text says why."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class _Breach(Exception):
    """An element that breaks the schema."""


@dataclass(frozen=True)
class Message:
    """A message with a valid form: its elements by name, those that may be repeated as lists."""

    id: int
    body: dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """The messages of a feed that are fine, and the ids of those that break the schema (0: it has none)."""

    messages: list[Message]
    broken: list[int]


@dataclass(frozen=True)
class Part:
    """An element in a sequence; content None is kept as it is."""

    name: str
    content: "Callable[[str], Any] | tuple[Part, ...] | None"
    least: int = 1
    most: int | None = 1
    attribute: str = ""  # one that the element must have; then its value is (content, attribute)


def _maybe(name: str, content: "Callable[[str], Any] | tuple[Part, ...] | None") -> Part:
    return Part(name, content, least=0)


def _many(name: str, content: "Callable[[str], Any] | tuple[Part, ...] | None", *, least: int = 0) -> Part:
    return Part(name, content, least, None)


def _text(text: str) -> str:
    if not 1 <= len(text) <= 250:
        raise _Breach("a text of 1 to 250 characters is expected")
    return text


def _matching(pattern: str, expected: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise _Breach(f"{expected} is expected")
        return text

    return read


def _number(text: str) -> int:
    return int(_matching("0{0,8}[1-9][0-9]{0,8}", "a whole number above 0")(text))


def _moment(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise _Breach("a date and time is expected") from None
    return text


_order_id = _matching("[0-9A-Z]{3}-[0-9]{7}-[0-9]{7}", "an Amazon order id")
_reference = _matching("[0-9]{1,18}", "a number")
_amount = _matching(r"-?[0-9]{1,10}(\.[0-9]{1,4})?", "an amount")

ENVELOPE: Final = (
    Part("Header", (Part("DocumentVersion", _text), Part("MerchantIdentifier", _text))),
    Part("MessageType", _text),
    _many("Message", None, least=1),
)
ACKNOWLEDGEMENT: Final = (
    Part("AmazonOrderID", _order_id),
    _maybe("MerchantOrderID", _text),
    Part("StatusCode", _matching("Success|Failure", "Success or Failure")),
    _many(
        "Item",
        (
            Part("AmazonOrderItemCode", _text),
            _maybe("MerchantOrderItemID", _text),
            _maybe("CancelReason", _text),
            _maybe("Quantity", _number),
        ),
    ),
)
COMPONENT: Final = (Part("Type", _text), Part("Amount", _amount, attribute="currency"))
ADJUSTMENT: Final = (
    Part("AmazonOrderID", _order_id),
    _maybe("ActionType", _matching("Refund|Cancel", "Refund or Cancel")),
    _maybe("CODCollectionMethod", _text),
    _many(
        "AdjustedItem",
        (
            Part("AmazonOrderItemCode", _text),
            _maybe("MerchantAdjustmentItemID", _text),
            Part("AdjustmentReason", _text),
            _maybe("ItemPriceAdjustments", (_many("Component", COMPONENT, least=1),)),
            _many("PromotionAdjustments", None),
            _maybe("DirectPaymentAdjustments", None),
            _maybe("QuantityCancelled", _number),
            _maybe("Quantity", _number),
        ),
        least=1,
    ),
)
FULFILLMENT: Final = (
    Part("AmazonOrderID", _order_id),
    _maybe("MerchantFulfillmentID", _reference),
    Part("FulfillmentDate", _moment),
    _maybe(
        "FulfillmentData",
        (
            _maybe("CarrierCode", _text),
            _maybe("CarrierName", _text),
            _maybe("ShippingMethod", _text),
            _maybe("ShipperTrackingNumber", _text),
        ),
    ),
    _maybe("CODCollectionMethod", _text),
    _many(
        "Item",
        (
            Part("AmazonOrderItemCode", _text),
            _maybe("MerchantFulfillmentItemID", _reference),
            Part("Quantity", _number),
            _many("TransparencyCode", _text),
        ),
    ),
    _maybe("ShipFromAddress", None),
)
TYPES: Final = {  # feed type: its message's element
    "POST_ORDER_ACKNOWLEDGEMENT_DATA": Part("OrderAcknowledgement", ACKNOWLEDGEMENT),
    "POST_PAYMENT_ADJUSTMENT_DATA": Part("OrderAdjustment", ADJUSTMENT),
    "POST_ORDER_FULFILLMENT_DATA": Part("OrderFulfillment", FULFILLMENT),
}


def read_feed(data: bytes, feed_type: str, seller: str) -> Reading:
    """Read a feed's document; raises BadFeed where not even its envelope can be read."""
    wanted = TYPES[feed_type]
    root = _parsed(data)
    try:
        if root.tag != "AmazonEnvelope":
            raise _Breach("AmazonEnvelope is expected")
        envelope = _read(root, ENVELOPE)
    except _Breach as breach:
        raise BadFeed(UNREADABLE, f"XML Validation Error: {breach}.") from None
    if envelope["Header"]["DocumentVersion"] != VERSION:
        raise BadFeed(UNREADABLE, f"XML Validation Error: DocumentVersion {VERSION} is expected.")
    if envelope["Header"]["MerchantIdentifier"] != seller:
        raise BadFeed(WRONG_SELLER, "The MerchantIdentifier does not match the seller who submitted the feed.")
    if envelope["MessageType"] != wanted.name:
        raise BadFeed(UNREADABLE, f"The feed does not hold messages of type {wanted.name}.")
    good: dict[int, Message] = {}
    broken: list[int] = []
    for element in envelope["Message"]:
        id, body = _message(element, wanted)
        if body is None or id in good or id in broken:
            broken.append(id)
        else:
            good[id] = Message(id, body)
    return Reading(list(good.values()), broken)


def _parsed(data: bytes) -> Element:
    """The root element. Without a DOCTYPE nothing can be declared, so nothing can be expanded or fetched."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFeed(UNREADABLE, "XML Parsing Error: the document is not UTF-8.") from None
    if "<!DOCTYPE" in text:
        raise BadFeed(UNREADABLE, "XML Parsing Error: a DOCTYPE is not allowed.")
    try:
        return fromstring(text)  # noqa: S314 it has no DOCTYPE
    except (ParseError, ValueError) as error:
        line, column = getattr(error, "position", (1, 0))
        raise BadFeed(UNREADABLE, f"XML Parsing Error at Line {line}, Column {column}.") from None


def _message(element: Element, wanted: Part) -> tuple[int, dict[str, Any] | None]:
    """A message's id (0: it has none that is valid) and its body (None: it breaks the schema)."""
    first = element[0] if len(element) else None
    text = (first.text or "").strip() if first is not None and first.tag == "MessageID" else ""
    id = int(text) if re.fullmatch("[0-9]{1,20}", text) else 0
    parts = (Part("MessageID", _text), _maybe("OperationType", _text), wanted)
    try:
        return id, _read(element, parts)[wanted.name] if id else None
    except _Breach:
        return id, None


def _read(element: Element, parts: tuple[Part, ...]) -> dict[str, Any]:
    if (element.text or "").strip() or any((child.tail or "").strip() for child in element):
        raise _Breach(f"text is not expected in {element.tag}")
    children, values = list(element), dict[str, Any]()
    for part in parts:
        found: list[Any] = []
        while children and children[0].tag == part.name and len(found) != part.most:
            found.append(_content(children.pop(0), part))
        if len(found) < part.least:
            raise _Breach(f"{part.name} is missing or not in its place in {element.tag}")
        if part.most is None:
            values[part.name] = found
        elif found:
            values[part.name] = found[0]
    if children:
        raise _Breach(f"{children[0].tag} is not expected in {element.tag}")
    return values


def _content(element: Element, part: Part) -> Any:
    if part.content is None:
        return element
    if isinstance(part.content, tuple):
        return _read(element, part.content)
    if len(element):
        raise _Breach(f"{element.tag} holds elements where a text is expected")
    try:
        value = part.content((element.text or "").strip())
        return (value, _text(element.get(part.attribute, ""))) if part.attribute else value
    except _Breach as breach:
        raise _Breach(f"{element.tag}: {breach}") from None
