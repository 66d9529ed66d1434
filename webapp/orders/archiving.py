"""The archive: closed orders that daily lists leave out. Search and order number still find them, and their pages are
whole.

Orders are archived by hand or, if the merchant sets one up, by a rule: a number of days after they were closed. The
rule never archives an order that somebody restored, that is on hold, or that needs attention. One whose buyer answers
comes back, and stays until the answer is done.
"""

from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select

from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import db
from webapp.errors import Refusal
from webapp.hooks.asking import refusals
from webapp.i18n import lazy_gettext as _l
from webapp.orders.events import record, record_all
from webapp.orders.holds import OnHold
from webapp.orders.keeping import kept_now
from webapp.orders.models import Order, OrderEvent
from webapp.orders.queries import locked_all, visible
from webapp.orders.states import OPEN_STATES, OrderState
from webapp.settings.declared import Setting, SettingsGroup

AT_REST = tuple(state for state in OrderState if state not in OPEN_STATES)
AFTER_DAYS = Setting(
    name="archive_after_days",
    label=_l("Archive orders automatically after this many days"),
    default=0,
    minimum=0,
    maximum=3650,
    help=_l(
        "The days are counted from the last change to a complete, closed or canceled order. 0: orders are "
        "never archived. Orders that need attention, are on hold or were unarchived by a user are not "
        "archived."
    ),
)
SETTINGS = SettingsGroup("archive", _l("Archiving"), (AFTER_DAYS,))


class AlreadyArchived(Refusal):
    code = "already_archived"
    sentence = _l("This order is already archived.")


class NotArchived(Refusal):
    code = "not_archived"
    sentence = _l("This order is not archived.")


class StillOpen(Refusal):
    """An order with work left stays in the lists."""

    code = "still_open"
    sentence = _l("This order is still open. Only complete, closed and canceled orders can be archived.")


class AnswerUnread(Refusal):
    """The buyer has answered."""

    code = "answer_unread"
    sentence = _l("The buyer has answered. Mark the answer as done under Messages first.")


def archive_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why the order can't be archived now; the button and `archive` both ask it."""
    if order.archived_at is not None:
        return AlreadyArchived()
    if order.state in OPEN_STATES or order.canceling:
        return StillOpen()
    if order.on_hold:
        return OnHold()
    if order.unread:
        return AnswerUnread()
    return kept_now("keep_from_archive", order)


def restore_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why the order can't be restored from the archive; the button and `restore` both ask it."""
    return NotArchived() if order.archived_at is None else None


def archive(order: Order, *, actor: Actor) -> None:
    """Put the order into the archive; the caller holds the order's lock."""
    if refusal := archive_refusal(order, actor):
        raise refusal
    order.archived_at = now()
    record(order, "archived", actor=actor)


def restore(order: Order, *, actor: Actor) -> None:
    """Take the order out of the archive; the caller holds the order's lock. The rule doesn't archive the order
    again.
    """
    if refusal := restore_refusal(order, actor):
        raise refusal
    order.archived_at = None
    record(order, "restored", actor=actor)


def archive_old(state: str, days: int, after: tuple[datetime, int] | None, limit: int) -> tuple[datetime, int] | None:
    """Archive orders of a state that have rested for this many days: up to `limit` orders, from the place `after` on.

    Returns the place from which to go on; None at the end.
    """
    actor = Actor.job("archive")
    restored = select(OrderEvent.id).where(OrderEvent.order_id == Order.id, OrderEvent.code == "restored").exists()
    query = visible(actor).with_only_columns(Order.updated_at, Order.id)
    query = query.where(Order.state == state, Order.updated_at <= now() - timedelta(days=days))
    query = query.where(
        Order.archived_at.is_(None), ~Order.on_hold, ~Order.canceling, ~Order.needs_attention, ~restored
    )
    query = query.where(Order.unread == 0)
    if after is not None:
        at, last = after
        query = query.where(or_(Order.updated_at > at, and_(Order.updated_at == at, Order.id > last)))
    rows = list(db.session.execute(query.order_by(Order.updated_at, Order.id).limit(limit)))
    resting = {order_id: at for at, order_id in rows}
    kept = refusals("keep_from_archive", list(resting))
    orders = [
        order
        for order in locked_all([order_id for order_id in resting if order_id not in kept], actor)
        if order.updated_at == resting[order.id]  # else somebody changed it meanwhile
    ]
    for order in orders:
        order.archived_at = now()
    record_all(orders, "archived", actor=actor, cause="rule", news=False)
    return (rows[-1][0], rows[-1][1]) if len(rows) == limit else None
