"""The kind of outward act that asks a channel to cancel an order, or units of its lines.

The source is a `Cancellation`. Readings of the order alone show that it happened: people can't say so, and the counters
of canceled units are the import's.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, IncomingLine, IncomingOrder, units_canceled
from webapp.clock import now
from webapp.db import db
from webapp.errors import DeskError, Refusal
from webapp.fulfillment.confirmations import SHIPMENT
from webapp.fulfillment.holding import CANCEL_HOLD
from webapp.fulfillment.models import Cancellation, CancellationState
from webapp.i18n import lazy_gettext as _l
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventGroup, EventWords, record
from webapp.orders.models import Order, OrderLine
from webapp.orders.states import OPEN_STATES, OrderState
from webapp.updates.contract import Contradicted, DoneElsewhere, OutwardKind, Shown
from webapp.updates.models import ChannelUpdate, UpdateState

CANCEL = "cancel"

CANCELING = EventGroup("canceling", _l("Cancellations"), 25)
WORDS = (
    EventWords("cancel_asked", _l("Cancellation requested: %(reason)s"), CANCELING),
    EventWords(
        "cancel_held", _l("Cancellation requested: %(reason)s. The cancellation is sent at %(goes)s."), CANCELING
    ),
    EventWords("cancel_lines_asked", _l("Cancellation requested (units: %(units)s): %(reason)s"), CANCELING),
    EventWords(
        "cancel_lines_held",
        _l("Cancellation requested (units: %(units)s): %(reason)s. The cancellation is sent at %(goes)s."),
        CANCELING,
    ),
    EventWords("cancel_effective", _l("The channel canceled the order as requested"), CANCELING),
    EventWords("cancel_refused", _l("The channel did not cancel the order: the order stays open"), CANCELING),
    EventWords("cancel_withdrawn", _l("Cancellation withdrawn: the order stays open"), CANCELING),
    EventWords("cancel_elsewhere", _l("Canceled elsewhere before the cancellation was sent from Waybill"), CANCELING),
)
REFUSED = AttentionKind(
    "cancel_refused",
    _l("Not canceled"),
    _l("The channel did not cancel this order: %(problem)s"),
    _l(
        "The order stays open. Ship it, or cancel it again with another reason. If the buyer asked for the "
        "cancellation, write to the buyer."
    ),
)


class NotAskedAnyMore(Refusal):
    code = "cancel_not_asked"
    sentence = _l("This cancellation has ended, and the order may have changed since then. Cancel the order again.")


class OrderCanceled(Refusal):
    code = "order_canceled"
    sentence = _l("This order is canceled.")


class AlreadyShipped(Refusal):
    code = "already_shipped"
    sentence = _l("This order has shipped, so it can no longer be canceled.")


class NothingToCancel(Refusal):
    """All units were canceled, refunded or shipped."""

    code = "nothing_to_cancel"
    sentence = _l("This order has nothing left to cancel.")


class TooFewLeft(Refusal):
    """Of a line, fewer units are left than a cancellation asks for."""

    code = "too_few_to_cancel"
    sentence = _l("The quantity is too high. Units of %(sku)s left to cancel: %(open)s.")


class ShippedAtChannel(DeskError):
    code = "shipped_there"
    sentence = _l("The channel shows the order as shipped.")


class CancelKind(OutwardKind):
    """A cancellation of an order, by its id."""

    code = CANCEL
    label = _l("Cancellation")
    right = "orders.cancel"
    hold = CANCEL_HOLD
    goes_first = True
    never_with = (SHIPMENT,)
    confirmable = False
    trouble = REFUSED.code
    disowned_after = timedelta(hours=2)

    def reference(self, source: Cancellation) -> str:
        return str(source.id)

    def payload(self, order: Order, source: Cancellation) -> Mapping[str, Any]:
        numbers = {str(line.id): line.channel_line_number for line in order.lines}
        lines = {numbers[line_id]: units for line_id, units in source.lines.items()}
        return {"version": 1, "whole": source.whole, "reason": source.reason, "lines": lines}

    def stands(self, update: ChannelUpdate, order: Order) -> Refusal | None:
        row = _source(update)
        if row is None or row.state != CancellationState.ASKED:
            return NotAskedAnyMore()
        if refusal := nothing_left(order):
            return refusal
        for line in order.lines:
            if line.open < row.lines.get(str(line.id), 0):
                return TooFewLeft(open=line.open, sku=line.sku or line.title)
        return None

    def shown_by(self, update: ChannelUpdate, reading: IncomingOrder) -> Shown | DoneElsewhere | Contradicted | None:
        row = _source(update)
        if row is None:
            return None
        planned = list(_planned(row, update.order, reading))
        fallen = len(planned) == len(row.lines) and all(
            units_canceled(read, line.ordered) >= before + units for line, read, units, before in planned
        )
        counted = all(line.canceled >= before + units for line, _read, units, before in planned)
        if reading.stage is ChannelStage.CANCELED or (fallen and counted):
            return Shown() if update.attempts else DoneElsewhere()
        if fallen:
            return None  # the import counts it, and this is asked again, once a second reading agrees
        for line, read, units, before in planned:
            left = line.ordered - read.fulfilled - before
            if left < units:
                return Contradicted(TooFewLeft(open=max(left, 0), sku=line.sku or line.title))
        return Contradicted(ShippedAtChannel()) if reading.stage is ChannelStage.SHIPPED else None

    def settled(self, update: ChannelUpdate) -> None:
        row = _source(update)
        if row is None:
            return
        match update.state:
            case UpdateState.EFFECTIVE:
                _end(row, CancellationState.EFFECTIVE, "cancel_effective")
            case UpdateState.REFUSED:
                row.problem = update.problem
                _end(row, CancellationState.REFUSED, "cancel_refused")
            case UpdateState.DONE_ELSEWHERE:
                _end(row, CancellationState.WITHDRAWN, "cancel_elsewhere")
            case UpdateState.WITHDRAWN if row.state == CancellationState.ASKED:
                _end(row, CancellationState.WITHDRAWN, "cancel_withdrawn")


def nothing_left(order: Order) -> Refusal | None:
    """Why nothing of the order can be canceled any more, whoever asks."""
    stage = order.channel_order.stage
    if order.state == OrderState.CANCELED or stage == ChannelStage.CANCELED:
        return OrderCanceled()
    if order.state == OrderState.COMPLETE or stage == ChannelStage.SHIPPED:
        return AlreadyShipped()
    return NothingToCancel() if order.state not in OPEN_STATES or not any(line.open for line in order.lines) else None


def _source(update: ChannelUpdate) -> Cancellation | None:
    return db.session.get(Cancellation, update.source_id) if update.source_id is not None else None


def _planned(
    row: Cancellation, order: Order, reading: IncomingOrder
) -> Iterator[tuple[OrderLine, IncomingLine, int, int]]:
    """The lines of the cancellation that the reading has: the desk's, the channel's, the units to cancel, and those
    that were canceled before.
    """
    read = {line.number: line for line in reading.lines}
    for line in order.lines:
        units = row.lines.get(str(line.id), 0)
        if units and line.channel_line_number in read:
            yield line, read[line.channel_line_number], units, row.canceled_before.get(str(line.id), 0)


def _end(row: Cancellation, state: CancellationState, event: str) -> None:
    """Write the end of a cancellation whose order the caller has locked. One that was refused may turn out to have
    happened.
    """
    asked = row.state == CancellationState.ASKED
    row.state, row.ended_at = state, now()
    if asked:
        row.order.canceling = False
    by_channel = state != CancellationState.WITHDRAWN or event == "cancel_elsewhere"
    actor = Actor.channel(row.order.store_id) if by_channel else Actor.job("updates")
    record(row.order, event, actor=actor, cause="update")
