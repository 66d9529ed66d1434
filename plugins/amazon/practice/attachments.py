"""Files that sellers upload for messages to buyers, and what Amazon refuses of those that a message names."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

FEWEST: Final = {  # by the kind of message that takes files, how many it needs
    "confirmCustomizationDetails": 0,
    "digitalAccessKey": 0,
    "invoice": 1,
    "legalDisclosure": 1,
    "warranty": 1,
}
TAKEN_BY: Final = frozenset(FEWEST)
MOST: Final = 5
PDF: Final = ("application/pdf", b"%PDF-")  # the one type that is taken here; Amazon takes more, and lists them nowhere


class BadAttachment(Exception):
    """Amazon refuses a file; its words are the message."""


@dataclass(frozen=True)
class Attachment:
    """A file for a message about an order; without a body until it is uploaded."""

    id: str
    seller: str
    order_id: str
    kind: str
    digest: str  # the MD5 that the seller announced
    content_type: str
    created_ms: int
    body: bytes | None = None


@dataclass(frozen=True)
class Named:
    """A file as a message names it."""

    id: str
    name: str
    size: int


def read_attachments(
    kind: str, body: Any, find: Callable[[str], Attachment | None], seller: str, order_id: str
) -> list[Named]:
    """The files that a message of this kind about an order has; raises BadAttachment."""
    listed = body.get("attachments") or [] if isinstance(body, dict) else []
    if kind not in TAKEN_BY:
        if listed:
            raise BadAttachment("attachments: This message takes none.")
        return []
    if not isinstance(listed, list) or not FEWEST[kind] <= len(listed) <= MOST:
        raise BadAttachment(f"attachments: {FEWEST[kind]} to {MOST} are required.")
    return [_named(kind, one, find, seller, order_id) for one in listed]


def _named(kind: str, one: Any, find: Callable[[str], Attachment | None], seller: str, order_id: str) -> Named:
    id_, name = (one.get("uploadDestinationId"), one.get("fileName")) if isinstance(one, dict) else (None, None)
    if not isinstance(id_, str) or not isinstance(name, str) or not name.strip():
        raise BadAttachment("attachments: uploadDestinationId and fileName are required.")
    found = find(id_)
    if found is None or found.seller != seller or found.body is None:
        raise BadAttachment(f"attachments: Attachment with ID {id_[:40]} does not exist.")
    if (found.order_id, found.kind) != (order_id, kind):
        raise BadAttachment(f"attachments: Attachment with ID {id_[:40]} is not for this message.")
    if found.content_type != PDF[0] or not found.body.startswith(PDF[1]):
        raise BadAttachment(f"attachments: Attachment with ID {id_[:40]} is not of a supported type.")
    return Named(id_, name, len(found.body))
