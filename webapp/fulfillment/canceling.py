"""Canceling orders: asking the channel for it, and taking that back while it has not left.

An order stays *canceling*, and no step of shipping is possible, until a reading of its channel shows the result. How
the request goes out and how it ends is in `cancellations`.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.channels.described import cancel_reasons, cancels_lines
from webapp.channels.incoming import ChannelStage, FulfilledBy
from webapp.channels.outgoing import CancelReason
from webapp.channels.registered import channels
from webapp.channels.services import ChannelLeftOut, channel_name
from webapp.clock import iso, now
from webapp.db import among, db, once_a_transaction
from webapp.errors import Invalid, Refusal
from webapp.fulfillment.cancellations import CANCEL, REFUSED, TooFewLeft, nothing_left
from webapp.fulfillment.holding import CANCEL_HOLD
from webapp.fulfillment.models import Cancellation, CancellationState
from webapp.i18n import lazy_gettext as _l
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.queries import loaded_with
from webapp.orders.services import ManagedAtChannel
from webapp.updates import deciding
from webapp.updates.contract import Owing
from webapp.updates.kinds import carried
from webapp.updates.models import ChannelUpdate
from webapp.updates.owing import owe, withdraw
from webapp.updates.queries import any_waiting, why_nothing_goes


class BeingCanceled(Refusal):
    code = "being_canceled"
    sentence = _l("This order is being canceled.")


class NotBeingCanceled(Refusal):
    code = "not_being_canceled"
    sentence = _l("This order is not being canceled.")


class NotOursToCancel(Refusal):
    """The channel ships the order from its own warehouse."""

    code = "not_ours_to_cancel"
    sentence = _l("%(channel)s itself ships this order, so it can only be canceled on %(channel)s.")


class ChannelCancelsNothing(Refusal):
    code = "channel_cancels_nothing"
    sentence = _l("%(channel)s does not accept cancellations from Waybill. Cancel this order on %(channel)s.")


class PendingNotCanceled(Refusal):
    code = "pending_not_canceled"
    sentence = _l("The payment is not verified yet. %(channel)s accepts a cancellation only after that.")


class PartlyShipped(Refusal):
    code = "partly_shipped"
    sentence = _l("Part of this order has shipped, and %(channel)s cancels whole orders only.")


class PartlyShippedWhole(Refusal):
    code = "partly_shipped_whole"
    field = "lines"
    sentence = _l("Part of this order has shipped. Choose the units to cancel on the order page.")


class WholeOrdersOnly(Refusal):
    code = "whole_orders_only"
    field = "lines"
    sentence = _l("%(channel)s cancels whole orders only.")


def cancel_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why the order can't be canceled now; asked by the button and by `cancel_orders`."""
    if order.store.channel not in channels():
        return ChannelLeftOut(channel=order.store.channel)
    channel = channel_name(order.store.channel)
    if order.managed_at_channel:
        return ManagedAtChannel()
    if order.fulfilled_by == FulfilledBy.CHANNEL:
        return NotOursToCancel(channel=channel)
    if order.canceling:
        return BeingCanceled()
    if refusal := nothing_left(order):
        return refusal
    if CANCEL not in carried(order.store):
        return ChannelCancelsNothing(channel=channel)
    if order.state == "pending" or order.channel_order.stage == ChannelStage.AWAITING_PAYMENT:
        return PendingNotCanceled(channel=channel)
    if _has_shipped(order) and not cancels_lines(order.store.channel):
        return PartlyShipped(channel=channel)
    return None


def undo_cancel_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why there is no cancellation to undo now; asked by the button and by `undo_cancel`."""
    found = asked(order)
    return deciding.undo_refusal(found[1]) if found else NotBeingCanceled()


def any_cancel_undoable(order_ids: Sequence[int]) -> bool:
    """Whether a cancellation of one of these orders certainly has not left."""
    return any_waiting(CANCEL, order_ids)


def buyers_reason(order: Order) -> str | None:
    """The code of the reason that answers a buyer's request, where the channel has one."""
    reasons: Sequence[CancelReason] = cancel_reasons(order.store.channel, order.marketplace)
    return next((reason.code for reason in reasons if reason.for_buyer), None)


def cancel_orders(
    orders: Sequence[Order], reason: str, lines: Mapping[int, int] | None = None, *, actor: Actor
) -> list[Cancellation]:
    """Ask the channels to cancel these orders, or these units by line id; the caller holds the orders' locks.

    Raises the refusal of `cancel_refusal`, or an error of the reason or the lines; then nothing is asked.
    """
    made = [_planned(order, reason, lines or {}, actor) for order in orders]
    db.session.add_all(made)
    for order in orders:
        forget_refused(order)
        order.canceling = True
    db.session.flush()
    for order, row in zip(orders, made, strict=True):
        held = CANCEL_HOLD.of(order.store) if why_nothing_goes(order.store) is None else 0  # else it names no time
        values: dict[str, Any] = {"reason": reason}
        values |= {} if row.whole else {"units": sum(row.lines.values())}
        values |= {"goes": iso(row.asked_at + timedelta(seconds=held))} if held else {}
        code = f"cancel_{'' if row.whole else 'lines_'}{'held' if held else 'asked'}"
        record(order, code, actor=actor, values=values)
    owe(CANCEL, [Owing(order, row, order.ship_by) for order, row in zip(orders, made, strict=True)])
    return made


def undo_cancel(order: Order, *, actor: Actor) -> None:
    """Undo the order's cancellation before it leaves; the caller holds the order's lock. Raises the refusal of
    `undo_cancel_refusal`.
    """
    if (found := asked(order)) is None:
        raise NotBeingCanceled
    deciding.undo(found[1], actor=actor)


def asked(order: Order) -> tuple[Cancellation, ChannelUpdate] | None:
    """The order's cancellation that is under way, with the update that carries it. Since pages and runs ask this of
    each of many orders, those of all loaded orders are read at once and kept until the transaction ends.
    """
    if not order.canceling:
        return None
    known: dict[tuple[int, int], tuple[Cancellation, ChannelUpdate]] = once_a_transaction("canceling", dict)
    if (order.id, order.version) not in known:  # every change of a cancellation raises the version
        versions = {row.id: row.version for row in loaded_with(order) if row.canceling}
        query = select(Cancellation, ChannelUpdate).join(ChannelUpdate, ChannelUpdate.source_id == Cancellation.id)
        query = query.where(ChannelUpdate.kind == CANCEL, Cancellation.state == CancellationState.ASKED)
        rows = db.session.execute(query.where(among(Cancellation.order_id, list(versions))))
        known |= {(row.order_id, versions[row.order_id]): (row, update) for row, update in rows}
    return known.get((order.id, order.version))


def forget_refused(order: Order) -> None:
    """Close refused cancellations of an order that goes on; the caller records the event of the act."""
    if any(trouble["kind"] == REFUSED.code for trouble in order.attention):
        refused = (Cancellation.order_id == order.id, Cancellation.state == CancellationState.REFUSED)
        ids = db.session.scalars(select(Cancellation.id).where(*refused))
        withdraw(CANCEL, order, [str(row_id) for row_id in ids])


def _planned(order: Order, reason: str, lines: Mapping[int, int], actor: Actor) -> Cancellation:
    if refusal := cancel_refusal(order, actor):
        raise refusal
    known = [one.code for one in cancel_reasons(order.store.channel, order.marketplace)]
    if reason not in known and (known or reason):
        choices = ", ".join(known) or "—"
        problem = _l("Choose a reason that %(channel)s accepts: %(choices)s.", channel=_name(order), choices=choices)
        raise Invalid(field="reason", problem=problem)
    units = _units(order, lines)
    left = {line.id: line.open for line in order.lines if line.open}
    whole = units == left and not _has_shipped(order)
    if not whole and not cancels_lines(order.store.channel):
        raise WholeOrdersOnly(channel=_name(order))
    return Cancellation(
        order=order,
        whole=whole,
        lines={str(line_id): count for line_id, count in units.items()},
        canceled_before={str(line.id): line.canceled for line in order.lines if line.id in units},
        reason=reason,
        state=CancellationState.ASKED,
        actor_kind=actor.kind,
        actor_id=actor.id,
        asked_at=now(),
    )


def _units(order: Order, lines: Mapping[int, int]) -> dict[int, int]:
    """The units to cancel by line: those chosen, or all that are left."""
    if not lines:
        if _has_shipped(order):
            raise PartlyShippedWhole
        return {line.id: line.open for line in order.lines if line.open}
    by_id = {line.id: line for line in order.lines}
    for line_id, count in lines.items():
        if line_id not in by_id:
            raise Invalid(field="lines", problem=_l("Line %(line)s is not on this order.", line=line_id))
        line = by_id[line_id]
        if count < 1:
            raise Invalid(field="lines", problem=_l("Enter at least 1 unit for each line."))
        if count > line.open:
            raise TooFewLeft(open=line.open, sku=line.sku or line.title)
    return {line.id: lines[line.id] for line in order.lines if line.id in lines}


def _has_shipped(order: Order) -> bool:
    return any(line.shipped for line in order.lines)


def _name(order: Order) -> str:
    return channel_name(order.store.channel)
