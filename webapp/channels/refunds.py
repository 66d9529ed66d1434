"""How a refund travels to a channel: what a credit memo refunds, and the parts in which the channel carries it.

A channel decides before a memo is recorded how it would carry it (`Channel.refund_plan`); what it can't carry is
refused in the form, and what the buyer gets is computed from the plan. Nothing here uses the database or the network.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from webapp.channels.returns import ReturnReason
from webapp.i18n import LazyString, lazy_gettext as _l


class Adjustment(StrEnum):
    """What a credit memo refunds or withholds beside the components of a price: of no line, and without tax."""

    REFUND = "adjustment_refund"
    FEE = "adjustment_fee"


ADJUSTMENT_LABELS = {Adjustment.REFUND: _l("Adjustment refund"), Adjustment.FEE: _l("Adjustment fee")}


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundReason:
    """A reason that the channel accepts for a refund by the merchant. `for_returns` are the reasons of returns that it
    fits: a refund of what came back begins with it.
    """

    code: str
    label: LazyString | str
    for_returns: Collection[ReturnReason] = ()


@dataclass(frozen=True, slots=True)
class RefundAmount:
    """What a memo refunds of one component, in minor units; nothing is below zero but the `charged` of a fee."""

    line: str  # the channel's number of the line; empty: of the order itself, or an adjustment
    component: str  # a Component or an Adjustment
    charged: int = 0
    tax: int = 0
    discount: int = 0

    @property
    def net(self) -> int:
        """What the buyer gets back: charged + tax − discount."""
        return self.charged + self.tax - self.discount


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """A credit memo as the channel is asked about it. `lines` are those of which something has shipped, by the
    channel's numbers, with what the buyer paid for each: amounts without a line are spread in proportion to it.
    """

    order_number: str
    marketplace: str
    currency: str
    reason: str
    amounts: tuple[RefundAmount, ...]
    lines: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RefundPart:
    """One amount as it is sent: `code` is the channel's own name of the component, `amount` is in minor units and below
    zero if it is withheld.
    """

    line: str
    code: str
    amount: int


@dataclass(frozen=True, slots=True)
class RefundPlan:
    """How a memo travels. The buyer gets the sum of the parts, and `added` (minor units), which the channel computes
    and adds itself: the tax, where it collects the tax.
    """

    parts: tuple[RefundPart, ...]
    added: int = 0

    @property
    def total(self) -> int:
        """What the buyer gets."""
        return sum(part.amount for part in self.parts) + self.added
