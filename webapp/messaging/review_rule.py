"""Requesting reviews by the rule of a store.

The job walks through a store's orders by their latest promised day of delivery, as far as the rule's days have passed,
and keeps what it decided about each: it considers an order once. A walk begins where the channel's time for requests
has not ended, once a day and when the rule's days have changed, and leaves out what was decided before: so an order
that arrived late, was shipped late or has other days meanwhile is found, too, and nothing has to tell the job about it.
"""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, and_, or_, select

from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import any_row, db, insert_into
from webapp.jobs.runs import passes
from webapp.messaging.mail_route import store_waits
from webapp.messaging.models import ReviewRequest, ReviewWalk
from webapp.messaging.review_settings import ReviewRule, rules
from webapp.messaging.reviews import (
    NoDayOfDelivery,
    NoReviewsThere,
    NotShippedYet,
    TooEarly,
    left_out,
    request_of,
    request_review,
    skip_review,
    unfit,
)
from webapp.orders.models import Order
from webapp.orders.queries import AROUND, locked_all

log = structlog.get_logger(__name__)
AGAIN = timedelta(days=1)  # after the beginning of a walk, the next one begins
_MAY_END = (NoDayOfDelivery, NoReviewsThere, NotShippedYet, TooEarly)  # reasons after which an order is found again


def undecided() -> ColumnElement[bool]:
    """Nothing was decided about the order."""
    return ~select(ReviewRequest.id).where(ReviewRequest.order_id == Order.id).exists()


def any_due() -> bool:
    """Whether the job has to consider an order, or to begin a walk."""
    return any(_is_due(store_id, rule) for store_id, rule in _rules_in_use().items())


def _rules_in_use() -> dict[int, ReviewRule]:
    """The rules of the stores that send, by the ids of the stores."""
    return {id_: rule for id_, rule in rules().items() if store_waits(db.session.get_one(Store, id_)) is None}


def _is_due(store_id: int, rule: ReviewRule) -> bool:
    walk = db.session.get(ReviewWalk, store_id)
    return walk is None or _is_over(walk, rule) or any_row(Order, *_next(walk, rule))


def _is_over(walk: ReviewWalk, rule: ReviewRule) -> bool:
    return walk.days != rule.days or walk.began_at <= now() - AGAIN


def _next(walk: ReviewWalk, rule: ReviewRule) -> tuple[ColumnElement[bool], ...]:
    """The orders of the walk that are due and not considered yet."""
    behind = and_(Order.deliver_by == walk.deliver_by, Order.id > walk.order_id)
    return (
        Order.store_id == walk.store_id,
        Order.deliver_by >= walk.deliver_by,
        Order.deliver_by <= now() - timedelta(days=rule.days),
        or_(Order.deliver_by > walk.deliver_by, behind),
        Order.number.is_not(None),
        undecided(),
    )


def work_off(limit: int) -> bool:
    """Consider the next orders of each store, in the open unit of work; returns whether more may be left."""
    return limit in [_consider_some(store_id, rule, limit) for store_id, rule in _rules_in_use().items()]


def _consider_some(store_id: int, rule: ReviewRule, limit: int) -> int:
    """Consider the next orders of a store; returns how many there were."""
    walk = _walk(store_id, rule)
    rows = select(Order.id, Order.deliver_by).where(*_next(walk, rule)).order_by(Order.deliver_by, Order.id)
    found = list(db.session.execute(rows.limit(limit)))
    actor = Actor.job("reviews")
    for order in locked_all([order_id for order_id, _day in found], actor, *AROUND) if found else ():
        try:
            with db.session.begin_nested():
                _consider(order, rule, actor)
        except Exception as error:
            if passes(error):
                raise
            log.error("review_not_requested", order=order.id, kind=type(error).__name__)
    if found:
        walk.order_id, last = found[-1]
        walk.deliver_by = last or walk.deliver_by
    db.session.flush()
    return len(found)


def _walk(store_id: int, rule: ReviewRule) -> ReviewWalk:
    """The store's walk, locked, so that only one worker goes on with it; from its beginning if it is over."""
    fresh = insert_into(ReviewWalk).values(store_id=store_id, **_beginning(rule))
    db.session.execute(fresh.on_conflict_do_nothing())
    known = select(ReviewWalk).where(ReviewWalk.store_id == store_id).with_for_update()
    walk = db.session.scalars(known.execution_options(populate_existing=True)).one()
    if _is_over(walk, rule):
        for name, value in _beginning(rule).items():
            setattr(walk, name, value)
    return walk


def _beginning(rule: ReviewRule) -> dict[str, datetime | int]:
    at = now()
    since = at - timedelta(days=rule.window.closes_after)
    return {"days": rule.days, "began_at": at, "deliver_by": since, "order_id": 0}


def _consider(order: Order, rule: ReviewRule, actor: Actor) -> None:
    """Request the review of an order or keep why not; the caller holds its lock."""
    if request_of(order) is not None:
        return
    why = left_out(order, rule) or unfit(order)
    if why is None:
        request_review(order, actor=actor)
    elif not isinstance(why, _MAY_END):
        skip_review(order, why, actor=actor)
