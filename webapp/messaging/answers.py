"""What people do about received messages of an order: mark them as done, and assign them."""

from collections.abc import Mapping

from sqlalchemy import select

from webapp.audit.actor import Actor, ActorKind
from webapp.clock import now
from webapp.db import db
from webapp.errors import Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.messaging import received_words as words
from webapp.messaging.models import Message, ReceivedMail
from webapp.messaging.receiving import count_unread
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.organizing import find_person
from webapp.orders.services import settle_attention


class NoAnswerOpen(Refusal):
    """All received messages of the order are done, or it has none."""

    code = "no_message_open"
    sentence = _l("This order has no open answer from its buyer.")


def open_answer_refusals(order: Order) -> dict[int, Refusal | None]:
    """By the id of each received message that is not done, that it can be; asked by the buttons and by what they do."""
    return dict.fromkeys(_open(order))


def finish_answer(order: Order, message_id: int = 0, *, actor: Actor) -> None:
    """Mark a received message as done; without an id, the newest. The caller holds the order's lock. Raises
    `NoAnswerOpen`.
    """
    row = _find(order, message_id)
    row.done_at, row.done_by = now(), actor.id if actor.kind is ActorKind.PERSON else None
    if row.bounced_id is not None:
        settle_attention(order, words.BOUNCED.code, of=row.bounced_id)
    count_unread(order)
    record(order, words.DONE.code, actor=actor, values={"message": row.message_id})


def finish_answered(order: Order, message_id: int, *, actor: Actor) -> None:
    """Mark the message as done that was replied to, unless somebody has."""
    if message_id in _open(order):
        finish_answer(order, message_id, actor=actor)


def assign_answer(order: Order, message_id: int, user_id: int | None, *, actor: Actor) -> None:
    """Assign a received message that is not done to a person, or to nobody; without an id, the newest. The caller holds
    the order's lock. Raises `NoAnswerOpen`.
    """
    row = _find(order, message_id)
    if user_id == row.assigned_to:
        return
    if user_id is None:
        row.assigned_to = None
        record(order, words.UNASSIGNED.code, actor=actor, values={"message": row.message_id})
        return
    user = find_person(str(user_id))
    row.assigned_to = user.id
    values = {"message": row.message_id, "name": user.name or user.email}
    record(order, words.ASSIGNED.code, actor=actor, values=values)


def _find(order: Order, message_id: int) -> ReceivedMail:
    found = _open(order)
    row = found.get(message_id or max(found, default=0))
    if row is None:
        raise NoAnswerOpen
    return row


def _open(order: Order) -> Mapping[int, ReceivedMail]:
    """The order's received messages that are not done, by message."""
    query = select(ReceivedMail).join(Message, ReceivedMail.message_id == Message.id)
    query = query.where(Message.order_id == order.id, ReceivedMail.done_at.is_(None))
    return {row.message_id: row for row in db.session.scalars(query) if row.message_id is not None}
