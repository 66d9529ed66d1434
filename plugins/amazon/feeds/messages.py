"""The XML document of a feed: an envelope with one message for each update.

Amazon refuses the whole document if one message breaks its schema, in which the order of elements is fixed; so
whoever writes a message checks its values first. The id of a message is the id of its update.
"""

from collections.abc import Iterable
from typing import Final
from xml.etree import ElementTree as Xml

from webapp.api import DeskError, lazy_gettext as _l

CONTENT_TYPE: Final = "text/xml; charset=UTF-8"
ACKNOWLEDGEMENT: Final = "POST_ORDER_ACKNOWLEDGEMENT_DATA"
ADJUSTMENT: Final = "POST_PAYMENT_ADJUSTMENT_DATA"
FULFILLMENT: Final = "POST_ORDER_FULFILLMENT_DATA"
MESSAGE_TYPES: Final = {
    ACKNOWLEDGEMENT: "OrderAcknowledgement",
    ADJUSTMENT: "OrderAdjustment",
    FULFILLMENT: "OrderFulfillment",
}
LARGEST: Final = 10 * 1024 * 1024  # bytes of a document, by Amazon's guidelines


class BadMessage(DeskError):
    """An update that can't be written as a message that Amazon's schema allows."""

    code = "amazon_bad_message"
    sentence = _l(
        "This update can't be sent to Amazon, because %(field)s does not have the format that Amazon requires."
    )


def envelope(seller_id: str, feed_type: str, messages: Iterable[tuple[int, Xml.Element]]) -> bytes:
    """The document of a feed: each message with its id."""
    root = Xml.Element("AmazonEnvelope")
    root.set("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
    root.set("xsi:noNamespaceSchemaLocation", "amzn-envelope.xsd")
    header = Xml.SubElement(root, "Header")
    text(header, "DocumentVersion", "1.01")
    text(header, "MerchantIdentifier", seller_id)
    text(root, "MessageType", MESSAGE_TYPES[feed_type])
    for number, body in messages:
        message = Xml.SubElement(root, "Message")
        text(message, "MessageID", str(number))
        message.append(body)
    return bytes(Xml.tostring(root, encoding="UTF-8", xml_declaration=True))


def text(parent: Xml.Element, name: str, value: str) -> None:
    """Add an element that has only text."""
    Xml.SubElement(parent, name).text = value
