"""The query key of review requests, for lists of orders."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, false, not_, or_, select

from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.i18n import LazyString, lazy_gettext as _l, lazy_pgettext
from webapp.messaging.models import ReviewRequest, ReviewState
from webapp.messaging.review_rule import undecided
from webapp.messaging.review_settings import rules
from webapp.messaging.reviews import not_left_out
from webapp.orders.models import Order
from webapp.search.contract import KeyKind, QueryKey

_PLANNED, _NONE = "planned", "none"
_CHOICES: dict[str, LazyString] = {
    _PLANNED: _l("Review request planned"),
    ReviewState.REQUESTED: _l("Review requested"),
    ReviewState.SKIPPED: _l("Review request skipped or stopped"),
    _NONE: _l("No review requested or planned"),
}


def _planned() -> ColumnElement[bool]:
    """The orders of which `planned_for` names a day."""
    stores = [
        and_(
            Order.store_id == store_id,
            Order.deliver_by >= now() - timedelta(days=rule.window.closes_after),
            not_left_out(rule),
        )
        for store_id, rule in rules().items()
    ]
    return and_(or_(false(), *stores), Order.number.is_not(None), undecided())


def _in_state(state: str) -> ColumnElement[bool]:
    return Order.id.in_(select(ReviewRequest.order_id).where(ReviewRequest.state == state))


def _condition(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    found: list[ColumnElement[bool]] = []
    for value in values:
        if value == _PLANNED:
            found.append(_planned())
        elif value == _NONE:
            found.append(and_(not_(_in_state(ReviewState.REQUESTED)), not_(_planned())))
        else:
            found.append(_in_state(value))
    return or_(*found)


KEYS = (
    QueryKey(
        code="review",
        label=_l("Review request"),
        kind=KeyKind.CHOICE,
        condition=_condition,
        choices=lambda actor: _CHOICES,
        help=_l("Whether a review of the order was requested, or will be requested by the store's settings."),
        name=lazy_pgettext("query key", "review"),
        words={
            "planned": lazy_pgettext("query value", "planned"),
            ReviewState.REQUESTED: lazy_pgettext("query value", "requested"),
            ReviewState.SKIPPED: lazy_pgettext("query value", "skipped"),
            "none": lazy_pgettext("query value", "none"),
        },
    ),
)
