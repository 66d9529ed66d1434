"""The state of an order on the desk: computed by one function from channel facts and line counters, never set by hand.

Holds and running cancellations are separate facts; lists show them in place of the state while they last, and news of
the channel still change the state.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Protocol

from webapp.channels.incoming import ChannelStage
from webapp.i18n import LazyString, lazy_gettext as _l


class OrderState(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETE = "complete"
    CLOSED = "closed"
    CANCELED = "canceled"


STATE_LABELS: dict[str, LazyString] = {
    OrderState.PENDING: _l("Pending"),
    OrderState.PROCESSING: _l("Processing"),
    OrderState.COMPLETE: _l("Complete"),
    OrderState.CLOSED: _l("Closed"),
    OrderState.CANCELED: _l("Canceled"),
    "on_hold": _l("On hold"),
    "canceling": _l("Canceling"),
}
STATE_TONES = {
    OrderState.PENDING: "waits",
    OrderState.PROCESSING: "info",
    OrderState.COMPLETE: "good",
    OrderState.CLOSED: "calm",
    OrderState.CANCELED: "gone",
    "on_hold": "warn",
    "canceling": "warn",
}


OPEN_STATES = (OrderState.PENDING, OrderState.PROCESSING)


def follows_from(state: str) -> dict[str, Any]:
    """The columns that a change into this state also sets.

    A status belongs to one state and is removed when the order leaves the state; an order that is open again leaves the
    archive.
    """
    return {"status": None, "archived_at": None} if state in OPEN_STATES else {"status": None}


class LineCounts(Protocol):
    """The counters of a line from which the state is computed."""

    ordered: int
    canceled: int
    withdrawn: int
    shipped: int
    refunded: int


def open_units(line: LineCounts) -> int:
    """Units that still have to leave: ordered − canceled − withdrawn − shipped."""
    return line.ordered - line.canceled - line.withdrawn - line.shipped


def state_of(stage: ChannelStage, lines: Iterable[LineCounts]) -> OrderState:
    """The state that follows from the channel's stage and the lines' counters.

    Refunded units count as settled: an order whose units were all refunded is closed, whether or not they left. An
    order that was canceled at the channel after the desk shipped it stays complete, never silently canceled; the
    conflict becomes attention.
    """
    lines = list(lines)
    shipped = sum(line.shipped for line in lines)
    refunded = sum(line.refunded for line in lines)
    wanted = sum(line.ordered - line.canceled for line in lines)
    if stage is ChannelStage.CANCELED and not shipped:
        return OrderState.CANCELED
    if stage is ChannelStage.AWAITING_PAYMENT and not shipped:
        return OrderState.PENDING
    if lines and wanted == 0 and any(line.canceled for line in lines):
        return OrderState.CANCELED
    if wanted and refunded >= wanted:
        return OrderState.CLOSED
    if stage is ChannelStage.SHIPPED or (wanted and all(open_units(line) == 0 for line in lines)):
        return OrderState.COMPLETE
    if stage is ChannelStage.CANCELED:
        return OrderState.COMPLETE
    return OrderState.PROCESSING
