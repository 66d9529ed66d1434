"""What a channel's accounts say of orders: payments, refunds, claims and fees, as they were posted.

The channel builds these values from its answers; `webapp.billing` keeps them, proves refunds by them and finds those
that were made elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from webapp.i18n import lazy_gettext as _l


class TransactionKind(StrEnum):
    """What was posted, reduced to what the desk's logic needs; the channel's own word is kept too."""

    PAYMENT = "payment"  # the buyer was charged
    REFUND = "refund"  # the seller's money went back to the buyer
    CLAIM = "claim"  # the channel decided on a claim of the buyer
    CHARGEBACK = "chargeback"  # the buyer's bank took the money back
    FUNDED = "funded"  # the channel refunded the buyer with its own money
    OTHER = "other"  # fees, transfers and whatever is unknown


TRANSACTION_LABELS = {
    TransactionKind.PAYMENT: _l("Payment"),
    TransactionKind.REFUND: _l("Refund"),
    TransactionKind.CLAIM: _l("Claim"),
    TransactionKind.CHARGEBACK: _l("Chargeback"),
    TransactionKind.FUNDED: _l("Refund by the channel"),
    TransactionKind.OTHER: _l("Other"),
}


@dataclass(frozen=True, slots=True)
class TransactionPart:
    """An amount of one component, in minor units of the transaction's currency. As in an order, the buyer pays
    charged + tax − discount; a refund's amounts are below zero.
    """

    line: str  # the channel's number of the line; empty if it is not told
    sku: str  # empty: of the order itself, or not told
    component: str  # a Component, or an Adjustment
    units: int = 0  # told for the item alone
    charged: int = 0
    tax: int = 0
    discount: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingTransaction:
    """One posted transaction. `total` is what the seller gets or gives by it, fees included."""

    number: str  # the channel's id, by which a repetition is recognized
    kind: TransactionKind
    word: str  # the channel's own name of the kind
    status: str  # the channel's own
    posted_at: datetime
    currency: str
    total: int
    fees: int = 0  # of the total; below zero if the seller pays them
    order_number: str = ""  # the channel's; empty: of no order
    marketplace: str = ""
    parts: tuple[TransactionPart, ...] = ()


@dataclass(frozen=True, slots=True)
class TransactionsWindow:
    """The window to ask for: what was posted since `low`, or of one order alone."""

    low: datetime
    page: str | None = None
    order_number: str = ""


@dataclass(frozen=True, slots=True)
class TransactionsPage:
    """One page of transactions."""

    transactions: Sequence[IncomingTransaction]
    next_page: str | None = None  # the token of the next page; None: this was the last
    bound: datetime | None = None  # complete until then, as far as the channel knows by now
    calls: int = 1
