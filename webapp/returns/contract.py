"""What an act gives to open a return: units of one order line, why they come back, how they are, and what is wished."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from webapp.channels.returns import ReturnReason
from webapp.i18n import LazyString, lazy_gettext as _l


class ReturnCondition(StrEnum):
    """The condition of goods, as far as it is known."""

    UNKNOWN = "unknown"
    UNOPENED = "unopened"
    OPENED = "opened"
    DAMAGED = "damaged"


class ReturnResolution(StrEnum):
    """What the buyer is to get for what comes back."""

    REFUND = "refund"
    EXCHANGE = "exchange"
    NONE = "none"


CONDITION_LABELS: Mapping[str, LazyString] = {
    ReturnCondition.UNKNOWN: _l("Not known"),
    ReturnCondition.UNOPENED: _l("Unopened"),
    ReturnCondition.OPENED: _l("Opened"),
    ReturnCondition.DAMAGED: _l("Damaged"),
}
RESOLUTION_LABELS: Mapping[str, LazyString] = {
    ReturnResolution.REFUND: _l("Refund the buyer"),
    ReturnResolution.EXCHANGE: _l("Exchange the product"),
    ReturnResolution.NONE: _l("Nothing"),
}


@dataclass(frozen=True, slots=True)
class ReturnItem:
    """Units of one order line that come back."""

    line_id: int
    units: int
    reason: ReturnReason
    condition: ReturnCondition = ReturnCondition.UNKNOWN
    resolution: ReturnResolution = ReturnResolution.REFUND
