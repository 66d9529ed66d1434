"""Messages to buyers: the kinds that an order allows at a moment, and what Amazon refuses.

Amazon publishes which kinds there are and how long their texts may be, and says that more depends on the order than it
lists; when each is allowed is a guess. Nothing is ever delivered to anybody.
"""

import re
from typing import Any, Final

from plugins.amazon.practice.fates import Fate

LONGEST: Final = {  # the characters of a text
    "confirmOrderDetails": 2000,
    "confirmDeliveryDetails": 2000,
    "confirmCustomizationDetails": 800,
    "confirmServiceDetails": 2000,
    "unexpectedProblem": 2000,
    "digitalAccessKey": 400,
}
OF_FILES: Final = ("invoice", "legalDisclosure", "warranty")  # they have no text
BEFORE_SHIPPING: Final = (
    "confirmCustomizationDetails", "confirmDeliveryDetails", "confirmOrderDetails", "digitalAccessKey",
    "unexpectedProblem",
)  # fmt: skip
AFTERWARDS: Final = ("digitalAccessKey", *OF_FILES)
OPEN_MS: Final = 30 * 24 * 3600 * 1000
REFUSED: Final = (
    (re.compile(r"[^\s@]+@[^\s@]+\.\w"), "The text must not contain e-mail addresses."),
    (re.compile(r"https?://|\bwww\.", re.IGNORECASE), "The text must not contain links."),
    (re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE), "The text must not contain HTML."),
)


class BadText(Exception):
    """Amazon refuses a text; its words are the message."""


def allowed(fate: Fate, now_ms: int) -> tuple[str, ...]:
    """The kinds of messages that an order allows, in the order of their names."""
    order = fate.order
    if order.non_amazon or fate.canceled_by or not fate.verified or now_ms - _last(fate) > OPEN_MS:
        return ()
    is_open = any(fate.left(item) for item in fate.ordered)
    if order.fulfilled_by == "AMAZON":
        return () if is_open else AFTERWARDS
    if is_open:
        return BEFORE_SHIPPING
    is_under_way = any(package.status != "DELIVERED" for package in fate.packages.values())
    arranging = ("confirmDeliveryDetails",) if is_under_way else ()
    return tuple(sorted((*arranging, *AFTERWARDS, "unexpectedProblem")))


def _last(fate: Fate) -> int:
    """When something of the order was shipped last; before that, when it was placed."""
    shipped = (package.created_ms for package in fate.packages.values())
    return max(fate.order.created_ms, fate.amazon_shipped_ms or 0, *shipped)


def read_text(kind: str, body: Any) -> str:
    """The text of a message by the rules of Amazon's model, empty for kinds of files; raises `BadText`."""
    text = body.get("text") if isinstance(body, dict) else None
    if kind in OF_FILES:
        return ""
    if not isinstance(text, str) or not text.strip():
        raise BadText("text: Missing or invalid request parameter: text")
    if len(text) > LONGEST[kind]:
        raise BadText(f"text: It is longer than {LONGEST[kind]} characters.")
    for pattern, sentence in REFUSED:
        if pattern.search(text):
            raise BadText(f"text: {sentence}")
    return text
