"""Whether documents of orders went to their buyers: by which message, and how far it has come.

Both routes count. A message that was undone does not; of several, one that was sent counts, else the latest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import func, select

from webapp.channels.described import message_kinds
from webapp.channels.messages import MESSAGE, MessageKind
from webapp.db import among, db
from webapp.mail.models import Mail, MailState
from webapp.messaging.mail_route import BY_MAIL, mail_refusal
from webapp.messaging.message_settings import route_of
from webapp.messaging.models import Message, MessageDocument, ReceivedMail, Route
from webapp.messaging.queries import CARRIES
from webapp.orders.models import Order
from webapp.updates.kinds import carried
from webapp.updates.models import ChannelUpdate, UpdateState


class HowFar(StrEnum):
    """How far a document has come on its way to the buyer."""

    SENT = "sent"
    UNDER_WAY = "under_way"
    UNKNOWN = "unknown"  # it may have been sent
    NOT_SENT = "not_sent"  # it was refused, or came back


@dataclass(frozen=True, slots=True)
class Sending:
    """The message with which a document went, or goes, to the buyer."""

    message_id: int
    how_far: HowFar
    at: datetime | None  # when it was sent
    problem: dict[str, Any] | None  # why it was not, or may not have been: a stored DeskError


_STATES: Final[Mapping[Route, Mapping[str, HowFar]]] = {  # a message in another state was undone
    Route.MAIL: {
        MailState.QUEUED: HowFar.UNDER_WAY,
        MailState.LEAVING: HowFar.UNDER_WAY,
        MailState.SENT: HowFar.SENT,
        MailState.REFUSED: HowFar.NOT_SENT,
        MailState.UNKNOWN: HowFar.UNKNOWN,
    },
    Route.CHANNEL: {
        UpdateState.HELD: HowFar.UNDER_WAY,
        UpdateState.OWED: HowFar.UNDER_WAY,
        UpdateState.SENT: HowFar.UNDER_WAY,
        UpdateState.ACCEPTED: HowFar.SENT,
        UpdateState.EFFECTIVE: HowFar.SENT,
        UpdateState.DONE_ELSEWHERE: HowFar.SENT,
        UpdateState.REFUSED: HowFar.NOT_SENT,
        UpdateState.UNKNOWN: HowFar.UNKNOWN,
    },
}


def sendings(kind: str, ids: Sequence[int]) -> dict[int, Sending]:
    """How each of these documents of one kind went to its buyer, by the ids of the documents, in one statement."""
    if not ids:
        return {}
    state = func.coalesce(ChannelUpdate.state, Mail.state)
    at = func.coalesce(ChannelUpdate.effective_at, ChannelUpdate.sent_at, Mail.sent_at)
    problems = ReceivedMail.problem, Mail.problem, ChannelUpdate.problem
    query = select(MessageDocument.document_id, Message.id, Message.route, state, at, ReceivedMail.id, *problems)
    query = query.join(Message, Message.id == MessageDocument.message_id).outerjoin(ChannelUpdate, CARRIES)
    query = query.outerjoin(Mail, Mail.id == Message.mail_id)
    query = query.outerjoin(ReceivedMail, ReceivedMail.bounced_id == Message.id)
    query = query.where(MessageDocument.kind == kind, among(MessageDocument.document_id, ids)).order_by(Message.id)
    found: dict[int, Sending] = {}
    for document_id, message_id, route, its_state, sent_at, bounce, *why in db.session.execute(query):
        how_far = _STATES[Route(route)].get(its_state)
        if how_far is None:
            continue
        if bounce is not None:
            how_far = HowFar.NOT_SENT
        earlier = found.get(document_id)
        if how_far is HowFar.SENT or earlier is None or earlier.how_far is not HowFar.SENT:
            moment = sent_at if how_far is HowFar.SENT else None
            found[document_id] = Sending(message_id, how_far, moment, next(filter(None, why), None))
    return found


def sending_kind(order: Order, document: str) -> MessageKind | None:
    """The kind of message by which a document of this kind would go to the buyer: e-mail, or else a kind of the channel
    that takes such documents; None if it can't go.
    """
    route = route_of(order.store) if mail_refusal(order) is None else None
    if route is not None and document in route.documents:
        return BY_MAIL
    kinds = message_kinds(order.store.channel) if MESSAGE in carried(order.store) else ()
    return next((one for one in kinds if document in one.documents), None)
