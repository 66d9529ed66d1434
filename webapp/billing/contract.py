"""The facts that hooks get about issued documents."""

from dataclasses import dataclass
from enum import StrEnum


class DocumentKind(StrEnum):
    """A kind of document with a number."""

    INVOICE = "invoice"
    CREDIT_MEMO = "credit_memo"


@dataclass(frozen=True, slots=True)
class DocumentIssued:
    """A document that was issued: it has its number and never changes."""

    id: int
    order_id: int
    kind: DocumentKind
    number: str
