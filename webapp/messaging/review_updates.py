"""The kind of outward act that requests a review. A channel takes one for each order, and by that shows what became of
one whose answer was lost.
"""

from collections.abc import Mapping
from typing import Any, Final

from webapp.audit.actor import Actor, ActorKind
from webapp.channels.incoming import IncomingOrder
from webapp.channels.review_requests import REVIEW_REQUEST
from webapp.clock import iso
from webapp.db import db
from webapp.errors import Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.messaging.message_settings import MESSAGE_HOLD
from webapp.messaging.models import ReviewRequest, ReviewState
from webapp.messaging.review_settings import rule_of, window_of
from webapp.messaging.review_words import REFUSED, REFUSED_EVENT, SENT
from webapp.messaging.reviews import NotByItself, StoppedByHand, left_out, unfit
from webapp.messaging.services import SENDING
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.updates.contract import OutwardKind
from webapp.updates.models import ChannelUpdate, UpdateState

VERSION: Final = 1
_WORDS = {UpdateState.EFFECTIVE: SENT, UpdateState.REFUSED: REFUSED_EVENT}


class ReviewOfOrder(OutwardKind):
    """The request of a review of an order. Its reference is the same for every request of the order."""

    code, label, right = REVIEW_REQUEST, _l("Review request"), SENDING
    hold = MESSAGE_HOLD
    trouble = REFUSED.code

    def reference(self, source: ReviewRequest) -> str:
        return "review"

    def payload(self, order: Order, source: ReviewRequest) -> Mapping[str, Any]:
        window = window_of(order.store.channel)
        until = iso(window.closes(order.deliver_by)) if window and order.deliver_by else None
        return {"version": VERSION, "until": until}

    def stands(self, update: ChannelUpdate, order: Order) -> Refusal | None:
        if refusal := unfit(order):
            return refusal
        if db.session.get_one(ReviewRequest, update.source_id).actor_kind != ActorKind.JOB:
            return None
        rule = rule_of(order.store)
        return left_out(order, rule) if rule else NotByItself()

    def shown_by(self, update: ChannelUpdate, reading: IncomingOrder) -> None:
        return None

    def settled(self, update: ChannelUpdate) -> None:
        if update.state == UpdateState.WITHDRAWN:
            row = db.session.get_one(ReviewRequest, update.source_id)
            row.state, row.problem = ReviewState.SKIPPED, update.problem or StoppedByHand().stored()
        words = _WORDS.get(UpdateState(update.state))
        if words is not None:
            record(update.order, words.code, actor=Actor.channel(update.store_id))
