"""The thread of an order with its buyer."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, select
from sqlalchemy.orm import joinedload

from webapp.audit.actor import Actor
from webapp.channels.messages import MESSAGE
from webapp.db import db
from webapp.messaging.models import Message
from webapp.messaging.services import SEALED
from webapp.orders.models import Order
from webapp.updates.models import ChannelUpdate
from webapp.vault import services as vault


@dataclass(frozen=True, slots=True)
class Written:
    """A message with its text, None if it was erased, and the id of the update that carries it."""

    message: Message
    text: str | None
    update_id: int


def thread_of(order: Order, actor: Actor) -> Sequence[Written] | None:
    """The messages of an order, newest first; None for people who may not see buyers, since messages name them.
    Revealing the texts is recorded.
    """
    if not actor.may("buyers.see"):
        return None
    carries = and_(ChannelUpdate.source_id == Message.id, ChannelUpdate.kind == MESSAGE)
    query = select(Message, ChannelUpdate.id).join(ChannelUpdate, carries).where(Message.order_id == order.id)
    rows = db.session.execute(query.order_by(Message.id.desc()).options(joinedload(Message.person))).all()
    if not rows:
        return []
    sealed = [(order.id, SEALED, message.sealed) for message, _update_id in rows]
    texts = vault.reveal_sealed(actor, sealed, purpose="messages")
    return [Written(message, text, update_id) for (message, update_id), text in zip(rows, texts, strict=True)]
