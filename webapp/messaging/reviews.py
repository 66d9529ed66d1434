"""Requesting a review of an order: when that is possible, doing it once, and stopping it.

The channel asks the buyer in its own words, and says on which days it takes a request. People request reviews, or the
rule of the store does (`review_rule`); an order has one row that says what was decided, so both together ask once. A
request goes out as an update of its own, and can be undone while it is held.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select

from webapp.audit.actor import Actor
from webapp.channels.review_requests import REVIEW_REQUEST
from webapp.channels.services import channel_name
from webapp.clock import now, parse_instant
from webapp.db import among, db, forget_read, once_a_transaction
from webapp.errors import Refusal
from webapp.i18n import day_of, lazy_gettext as _l
from webapp.messaging.models import ReviewRequest, ReviewState
from webapp.messaging.review_settings import ReviewRule, rule_of, window_of
from webapp.messaging.review_words import REQUESTED, STOPPED
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.queries import loaded_with
from webapp.orders.states import OPEN_STATES, OrderState
from webapp.returns.models import Return
from webapp.updates import deciding
from webapp.updates.contract import Owing
from webapp.updates.models import ChannelUpdate
from webapp.updates.owing import owe
from webapp.updates.queries import any_waiting

_READ = "reviews"  # the name under which the rows of orders are kept during a transaction


def _with_day(refusal: Refusal) -> str:
    """The sentence of a refusal that names a day."""
    return str(refusal.sentence) % {"day": day_of(parse_instant(str(refusal.values["day"])))}


class NoReviewsThere(Refusal):
    code = "no_reviews_there"
    sentence = _l("%(channel)s does not accept review requests from Waybill.")


class CanceledReview(Refusal):
    code = "review_of_canceled"
    sentence = _l("The order is canceled, so there is nothing to review.")


class NotShippedYet(Refusal):
    code = "review_before_shipping"
    sentence = _l("A review can be requested once the whole order has been shipped.")


class NoDayOfDelivery(Refusal):
    """The channel gave no promised day of delivery."""

    code = "review_without_day"
    sentence = _l("The channel sent no delivery date for this order, so a review can't be requested.")


class TooEarly(Refusal):
    code = "review_too_early"
    sentence = _l("A review of this order can be requested from %(day)s on.")
    of_many = _l("It is too early to request a review.")
    __str__ = _with_day


class TooLate(Refusal):
    code = "review_too_late"
    sentence = _l("It is too late to request a review. A review could be requested until %(day)s.")
    of_many = _l("It is too late to request a review.")
    __str__ = _with_day


class AlreadyRequested(Refusal):
    code = "review_requested_already"
    sentence = _l("A review of this order was already requested, and it can be requested only once.")


class RefundedInFull(Refusal):
    """The rule of the store leaves such orders out."""

    code = "review_of_refunded"
    sentence = _l("The order was refunded in full, and this store's settings exclude such orders from review requests.")


class HasReturn(Refusal):
    """The rule of the store leaves such orders out."""

    code = "review_of_returned"
    sentence = _l("The order has a return, and this store's settings exclude such orders from review requests.")


class NotByItself(Refusal):
    """The rule was switched off while a request that it made waited."""

    code = "review_rule_off"
    sentence = _l("This store does not request reviews automatically.")


class StoppedByHand(Refusal):
    code = "review_stopped"
    sentence = _l("Somebody stopped the review request.")


class NothingToStop(Refusal):
    """The order has no review request, or it has left."""

    code = "no_review_to_stop"
    sentence = _l("No review request for this order is planned or waiting.")


# --- What is possible -------------------------------------------------------------------------------------------------


def review_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why no review of the order can be requested now; asked by the button and by `request_review`."""
    if refusal := unfit(order):
        return refusal
    row = request_of(order)
    return AlreadyRequested() if row is not None and row.state == ReviewState.REQUESTED else None


def unfit(order: Order) -> Refusal | None:
    """Why the channel would take no review request of the order now, whatever was requested before."""
    window = window_of(order.store.channel)
    if window is None:
        return NoReviewsThere(channel=channel_name(order.store.channel))
    if order.state == OrderState.CANCELED:
        return CanceledReview()
    if order.deliver_by is None:
        return NoDayOfDelivery()
    if now() > (closes := window.closes(order.deliver_by)):
        return TooLate(day=closes)
    if order.state in OPEN_STATES:
        return NotShippedYet()
    opens = window.opens(order.deliver_from, order.deliver_by)
    return TooEarly(day=opens) if now() < opens else None


def left_out(order: Order, rule: ReviewRule) -> Refusal | None:
    """Why the rule of its store requests no review of the order."""
    if order.state == OrderState.CANCELED:
        return CanceledReview()
    if rule.without_refunded and is_refunded(order):
        return RefundedInFull()
    return HasReturn() if rule.without_returned and has_return(order) else None


def is_refunded(order: Order) -> bool:
    """Whether all units, or all that was paid, were refunded, or are about to be."""
    refunded, paid = order.refunded_minor + order.refunding_minor, order.refund_ceiling_minor
    return order.state == OrderState.CLOSED or 0 < paid <= refunded


def not_left_out(rule: ReviewRule) -> ColumnElement[bool]:
    """The condition that `left_out` finds no reason."""
    conditions = [Order.state != OrderState.CANCELED]
    if rule.without_refunded:
        refunded, paid = Order.refunded_minor + Order.refunding_minor, Order.refund_ceiling_minor
        conditions += [Order.state != OrderState.CLOSED, or_(paid <= 0, refunded < paid)]
    if rule.without_returned:
        conditions.append(~select(Return.id).where(Return.order_id == Order.id).exists())
    return and_(*conditions)


def planned_for(order: Order) -> datetime | None:
    """When the rule of its store requests a review of the order, or has it wait until it is shipped; None if the rule
    does not request any.
    """
    rule = rule_of(order.store)
    if rule is None or order.deliver_by is None or order.managed_at_channel:
        return None
    if now() > rule.window.closes(order.deliver_by) or request_of(order) is not None or left_out(order, rule):
        return None
    return order.deliver_by + timedelta(days=rule.days)


# --- What was decided -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Known:
    requests: dict[int, ReviewRequest]
    with_return: set[int]
    read: set[int]


def request_of(order: Order) -> ReviewRequest | None:
    """What was decided about a review request of the order."""
    return _known(order).requests.get(order.id) if _may_have_request(order) else None


def _may_have_request(order: Order) -> bool:
    """Whether anything can have been decided about the order: found without asking for it, since most orders of a page
    have nothing.
    """
    window = window_of(order.store.channel)
    if window is None or order.deliver_by is None:
        return False
    return rule_of(order.store) is not None or now() >= window.opens(order.deliver_from, order.deliver_by)


def has_return(order: Order) -> bool:
    """Whether the order has a return, in any state."""
    return order.id in _known(order).with_return


def _known(order: Order) -> _Known:
    """What is read once a transaction, for the order and all others that are loaded."""
    known = once_a_transaction(_READ, lambda: _Known({}, set(), set()))
    if order.id not in known.read:
        ids = [one.id for one in loaded_with(order) if one.id not in known.read]
        rows = db.session.execute(
            select(Order.id, ReviewRequest, select(Return.id).where(Return.order_id == Order.id).exists())
            .outerjoin(ReviewRequest, ReviewRequest.order_id == Order.id)
            .where(among(Order.id, ids))
            .execution_options(populate_existing=True)
        )
        for order_id, row, returned in rows:
            known.read.add(order_id)
            if row is not None:
                known.requests[order_id] = row
            if returned:
                known.with_return.add(order_id)
    return known


# --- Acting -----------------------------------------------------------------------------------------------------------


def request_review(order: Order, *, actor: Actor) -> ReviewRequest:
    """Have the channel ask the buyer for a review; the caller holds the order's lock. Raises the refusal of
    `review_refusal`.
    """
    if refusal := unfit(order):
        raise refusal
    known = _request_now(order)
    if known is not None and known.state == ReviewState.REQUESTED:
        raise AlreadyRequested
    row = _decide(order, ReviewState.REQUESTED, actor=actor)
    record(order, REQUESTED.code, actor=actor)
    owe(REVIEW_REQUEST, [Owing(order, row)])
    return row


def skip_review(order: Order, why: Refusal, *, actor: Actor) -> None:
    """Keep that no review of the order is requested by itself; the caller holds the order's lock."""
    _decide(order, ReviewState.SKIPPED, why, actor=actor)


def _decide(order: Order, state: ReviewState, why: Refusal | None = None, *, actor: Actor) -> ReviewRequest:
    row = _request_now(order)
    if row is None:
        row = ReviewRequest(order_id=order.id)
        db.session.add(row)
    row.state, row.at, row.problem = state, now(), why.stored() if why is not None else None
    row.actor_kind, row.actor_id = actor.kind, actor.id
    db.session.flush()
    forget_read(_READ)
    return row


def _request_now(order: Order) -> ReviewRequest | None:
    """What was decided, as it is under the order's lock: what was read once a transaction may be older."""
    query = select(ReviewRequest).where(ReviewRequest.order_id == order.id)
    return db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def stop_review_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why no review request of the order can be stopped now; asked by the button and by `stop_review`."""
    row = request_of(order)
    if row is None:
        return None if planned_for(order) is not None else NothingToStop()
    update = update_of(order) if row.state == ReviewState.REQUESTED else None
    return deciding.undo_refusal(update) if update is not None else NothingToStop()


def stop_review(order: Order, *, actor: Actor) -> None:
    """Undo the order's review request before it leaves, or have the rule request none; the caller holds the order's
    lock. Raises the refusal of `stop_review_refusal`.
    """
    forget_read(_READ)
    if refusal := stop_review_refusal(order, actor):
        raise refusal
    if request_of(order) is not None:
        update = update_of(order)
        if update is None:
            raise NothingToStop
        deciding.undo(update, actor=actor)
    else:
        skip_review(order, StoppedByHand(), actor=actor)
        record(order, STOPPED.code, actor=actor)


def update_of(order: Order) -> ChannelUpdate | None:
    """The update that carries the order's review request, or carried it last."""
    query = select(ChannelUpdate).where(ChannelUpdate.order_id == order.id, ChannelUpdate.kind == REVIEW_REQUEST)
    return db.session.scalars(query.order_by(ChannelUpdate.revision.desc()).limit(1)).first()


def any_review_stoppable(order_ids: Sequence[int]) -> bool:
    """Whether a review request of one of these orders has certainly not left."""
    return any_waiting(REVIEW_REQUEST, order_ids)
