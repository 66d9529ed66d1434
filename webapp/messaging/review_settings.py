"""Which of a store's orders the desk requests a review of by itself: none until that is switched on.

A rule may leave out orders by what happened to them, and never by how content a buyer is: whoever asks for reviews asks
everyone alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.channels.described import review_window
from webapp.channels.models import Store
from webapp.channels.review_requests import REVIEW_REQUEST, ReviewWindow
from webapp.db import db
from webapp.errors import Invalid
from webapp.hooks.fence import PluginFailed
from webapp.i18n import lazy_gettext as _l
from webapp.settings.declared import STORE, Setting, SettingsGroup
from webapp.settings.stored import stored_everywhere
from webapp.updates.kinds import carried_by

REQUEST = Setting(
    name="request_reviews",
    label=_l("Request a review of every order"),
    default=False,
    help=_l(
        "If this is on, the channel asks each buyer once for a review, with a text of its own. Orders whose "
        "time for a review request has ended and canceled orders are left out."
    ),
)
DAYS = Setting(
    name="review_days",
    label=_l("Days after delivery"),
    default=7,
    minimum=0,
    maximum=365,
    help=_l("The days are counted from the latest promised delivery date."),
)
NOT_REFUNDED = Setting(name="review_leave_out_refunded", label=_l("Leave out orders refunded in full"), default=True)
NOT_RETURNED = Setting(name="review_leave_out_returned", label=_l("Leave out orders with a return"), default=True)
_ALL = (REQUEST, DAYS, NOT_REFUNDED, NOT_RETURNED)


@dataclass(frozen=True, slots=True)
class ReviewRule:
    """The rule of a store: the days after the latest promised day of delivery, and what is left out."""

    window: ReviewWindow
    days: int
    without_refunded: bool
    without_returned: bool


def _settings(store: Store) -> Sequence[Setting[Any]]:
    return _ALL if window_of(store.channel) else ()


def _check(store: Store, had: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse a day on which the channel takes no request."""
    window = window_of(store.channel)
    if window is None or DAYS.name not in given:
        return
    days, last = int(DAYS.parse(given[DAYS.name])), window.closes_after - 1
    if not window.opens_after <= days <= last:
        raise Invalid(
            field=DAYS.name,
            problem=_l("Enter a number from %(first)s to %(last)s.", first=window.opens_after, last=last),
        )


REVIEWS = SettingsGroup("reviews", _l("Review requests"), _settings, scope=STORE, check=_check)


def window_of(channel: str) -> ReviewWindow | None:
    """The days in which a channel takes review requests; None if it carries none, or its plugin fails."""
    try:
        return review_window(channel) if REVIEW_REQUEST in carried_by(channel) else None
    except PluginFailed:
        return None


def rule_of(store: Store) -> ReviewRule | None:
    """The rule of a store; None if it requests no reviews by itself."""
    values = REVIEWS.read(store, _ALL)
    window = window_of(store.channel) if values[REQUEST.name] else None
    if window is None:
        return None
    return ReviewRule(window, values[DAYS.name], values[NOT_REFUNDED.name], values[NOT_RETURNED.name])


def rules() -> dict[int, ReviewRule]:
    """The rules of all stores that have one, by their ids."""
    switched = [id_ for id_, on in stored_everywhere(STORE, REVIEWS.code, REQUEST.name).items() if on]
    stores = [store for id_ in sorted(switched) if (store := db.session.get(Store, id_)) is not None]
    return {store.id: rule for store in stores if (rule := rule_of(store)) is not None}
