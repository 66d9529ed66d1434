"""Requesting reviews by Amazon's Solicitations API: Amazon asks the buyer in its own words, once for each order.

Amazon lists for an order which requests it takes; the one that was made is not among them any more. So a request whose
answer was lost is looked up: it was made if its action is gone while Amazon would still take it. Once that time is over
all actions are gone, and nobody can know.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from plugins.amazon.accounts import Account
from plugins.amazon.client import GET_SOLICITATIONS, REQUEST_REVIEW, Client
from plugins.amazon.errors import AccessDenied, AnswerLost, RequestRefused, Unintelligible
from plugins.amazon.messaging import actions_in
from plugins.amazon.shipping import LATER
from webapp.api import (
    Batch,
    ChannelError,
    Effective,
    NothingLearned,
    NotYet,
    Outcome,
    Refused,
    ReviewWindow,
    StoreAccess,
    Unknown,
    Update,
    UpdateKind,
    lazy_gettext as _l,
    now,
    parse_instant,
)

KIND: Final = UpdateKind("review_request", _l("Review request"), repeatable=False)
WINDOW: Final = ReviewWindow(opens_after=5, closes_after=30)
ACTION: Final = "productReviewAndSellerFeedback"
SHOWN_AFTER = timedelta(seconds=60)  # until then, the action may still be listed although the request was made


def deliver(client: Client, store: StoreAccess, updates: Batch) -> dict[int, Outcome]:
    """Request the reviews, each by a call of its own; an outcome for each."""
    return {update.id: _requested(client, store, updates, update) for update in updates}


def _requested(client: Client, store: StoreAccess, updates: Batch, update: Update) -> Outcome:
    try:
        account, attempt = Account.of(store), updates.attempt([update])
        attempt.call(
            client.request,
            account,
            REQUEST_REVIEW,
            path={"order": update.order_number},
            params={"marketplaceIds": update.marketplace},
            updates=[update.id],
        )
    except (RequestRefused, AccessDenied) as error:  # Amazon also denies what this order does not allow
        return Refused(str(error.values["problem"]))
    except AnswerLost as error:
        return Unknown(str(error))
    except ChannelError as error:  # nothing was requested
        return NotYet(LATER if error.retry_after is None else error.retry_after, cause=error.stored())
    return Effective()


def look_up(client: Client, store: StoreAccess, updates: Sequence[Update]) -> dict[int, Outcome]:
    """Find out what became of requests whose answer was lost."""
    return {update.id: _found(client, store, update) for update in updates}


def _found(client: Client, store: StoreAccess, update: Update) -> Outcome:
    until = update.payload.get("until")
    if not isinstance(until, str) or now() > parse_instant(until):
        return Unknown()
    try:
        if ACTION not in _actions(client, store, update):
            return Effective()
    except ChannelError as error:
        return NothingLearned(LATER if error.retry_after is None else error.retry_after, cause=error.stored())
    if update.begun is not None and now() - update.begun.at < SHOWN_AFTER:
        return NothingLearned(SHOWN_AFTER.total_seconds())
    return NotYet(0)


def _actions(client: Client, store: StoreAccess, update: Update) -> set[str]:
    """The requests that Amazon takes for an order now. Raises `ChannelError`."""
    path, params = {"order": update.order_number}, {"marketplaceIds": update.marketplace}
    answer = client.request(Account.of(store), GET_SOLICITATIONS, path=path, params=params, updates=[update.id])
    try:
        return actions_in(answer.body)
    except (KeyError, TypeError, AttributeError):
        raise Unintelligible(problem="no actions") from None
