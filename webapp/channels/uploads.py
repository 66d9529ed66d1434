"""Invoices and credit memos that are uploaded to a channel: what the channel gets of one.

A channel that takes them carries the kinds `invoice_upload` and `credit_memo_upload`, and names the marketplaces that
do (`Channel.takes_documents`). Nothing here uses the database or the network.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

INVOICE_UPLOAD: Final = "invoice_upload"  # the kinds of update
CREDIT_MEMO_UPLOAD: Final = "credit_memo_upload"
UPLOADED: Final = "document"  # the name of the document among what an update has beside its payload


@dataclass(frozen=True, kw_only=True)
class UploadedDocument:
    """An issued invoice or credit memo, in minor units of its currency; the amounts of a credit memo are positive.

    The PDF contains buyer data. It is drawn once it is read, just before it is sent, and never stored or logged.
    """

    number: str
    is_credit_memo: bool
    currency: str
    total: int  # with tax
    tax: int
    draw: Callable[[], bytes] = field(repr=False)

    @cached_property
    def pdf(self) -> bytes:
        """The document as the merchant prints it, drawn at the first reading."""
        return self.draw()
