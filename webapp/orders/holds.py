"""Holds: an order must not leave, for a reason, until somebody releases it or the time set for the hold is over.

A hold doesn't change the order's state: news of the channel still do, and if they leave nothing to hold back, the hold
ends. Each act that a hold forbids refuses it itself (shipping checks for holds).
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, select

from webapp.audit.actor import Actor
from webapp.channels.incoming import FulfilledBy
from webapp.channels.services import channel_name
from webapp.clock import iso, now
from webapp.db import db
from webapp.errors import Invalid, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.events import record, record_all
from webapp.orders.models import Order, OrderHold
from webapp.orders.queries import locked_all, visible
from webapp.orders.states import OPEN_STATES, STATE_LABELS
from webapp.vault import services as vault

LONGEST_REASON = 500


class OnHold(Refusal):
    code = "on_hold"
    sentence = _l("This order is on hold. Release the hold first.")


class AlreadyOnHold(Refusal):
    code = "already_on_hold"
    sentence = _l("This order is on hold already.")


class NotOnHold(Refusal):
    code = "not_on_hold"
    sentence = _l("This order is not on hold.")


class NothingToHold(Refusal):
    """All units of the order have left or were canceled."""

    code = "nothing_to_hold"
    sentence = _l("This order is %(state)s, so it can't be put on hold.")

    def __str__(self) -> str:
        return str(self.sentence) % {"state": str(STATE_LABELS[self.values["state"]]).lower()}


class NotOursToHold(Refusal):
    """The channel ships the order from its own warehouse, whatever the desk does."""

    code = "not_ours_to_hold"
    sentence = _l("%(channel)s itself ships this order, so a hold in Waybill would not stop the shipment.")


def hold_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why the order can't be put on hold now; the button and `hold` both ask it."""
    if order.on_hold:
        return AlreadyOnHold()
    if order.state not in OPEN_STATES:
        return NothingToHold(state=order.state)
    if order.fulfilled_by == FulfilledBy.CHANNEL:
        return NotOursToHold(channel=channel_name(order.store.channel))
    return None


def release_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why there is no hold to release; the button and `release` both ask it."""
    return None if order.on_hold else NotOnHold()


def hold(order: Order, reason: str, *, actor: Actor, until: datetime | None = None) -> OrderHold:
    """Put the order on hold, with a reason (sealed, since it may name the buyer) and, if wanted, an end.

    The caller holds the order's lock. Raises the refusal of `hold_refusal`, or `Invalid`.
    """
    if refusal := hold_refusal(order, actor):
        raise refusal
    reason = reason.strip()
    if not reason:
        raise Invalid(field="reason", problem=_l("Enter a value."))
    if len(reason) > LONGEST_REASON:
        raise Invalid(field="reason", problem=_l("This text is too long. Shorten it."))
    if until is not None and until <= now():
        raise Invalid(field="until", problem=_l("Choose a date and time in the future."))
    row = OrderHold(
        order_id=order.id,
        at=now(),
        until=until,
        sealed=vault.seal(order.id, "hold", reason),
        actor_kind=actor.kind,
        actor_id=actor.id,
    )
    db.session.add(row)
    order.on_hold = True
    values = {"until": iso(until)} if until else None
    record(order, "held_until" if until else "held", actor=actor, values=values, sealed={"reason": reason})
    return row


def release(order: Order, *, actor: Actor) -> None:
    """Release the order's hold; the caller holds the order's lock."""
    if refusal := release_refusal(order, actor):
        raise refusal
    _end([order], actor=actor)


def release_due(limit: int) -> int:
    """Release holds whose set time is over, of up to `limit` orders; returns how many. Two calls at once are safe."""
    actor, due = Actor.job("holds"), _due()
    ids = list(db.session.scalars(due.order_by(OrderHold.until).limit(limit)))
    if not ids:
        return 0
    orders = locked_all(ids, actor)
    still = set(db.session.scalars(due.where(OrderHold.order_id.in_(ids))))  # another worker may have released some
    ended = [order for order in orders if order.on_hold and order.id in still]
    _end(ended, actor=actor, cause="until")
    return len(ended)


def release_over(ids: Sequence[int]) -> None:
    """Release the holds of those orders that have nothing left to hold back; the caller holds their locks."""
    actor = Actor.job("holds")
    over = visible(actor).where(Order.id.in_(ids), Order.on_hold, Order.state.not_in(OPEN_STATES))
    if ended := list(db.session.scalars(over.order_by(Order.id))):
        _end(ended, actor=actor, code="hold_ended")


def any_due() -> bool:
    """Whether there is a hold whose set time is over."""
    return db.session.scalar(_due().limit(1)) is not None


def _due() -> Select[int]:
    return select(OrderHold.order_id).where(OrderHold.released_at.is_(None), OrderHold.until <= now())


def _end(orders: list[Order], *, actor: Actor, code: str = "released", cause: str = "") -> None:
    ids = [order.id for order in orders]
    rows = db.session.scalars(select(OrderHold).where(OrderHold.order_id.in_(ids), OrderHold.released_at.is_(None)))
    at = now()
    for row in rows:
        row.released_at = at
    for order in orders:
        order.on_hold = False
    record_all(orders, code, actor=actor, cause=cause)
