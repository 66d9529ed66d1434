"""The thread of an order with its buyer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVarTuple

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import joinedload, selectinload

from webapp.audit.actor import Actor
from webapp.channels.messages import MESSAGE
from webapp.db import db
from webapp.errors import NotFound
from webapp.i18n import lazy_gettext as _l
from webapp.mail.models import Mail
from webapp.messaging.models import Message, MessageDocument, Said
from webapp.messaging.sealing import SEALED
from webapp.orders.models import Order
from webapp.orders.queries import visible
from webapp.updates.models import ChannelUpdate
from webapp.vault import services as vault

Ts = TypeVarTuple("Ts")
_CARRIES = and_(  # the update of a message, which is found by its order's index
    ChannelUpdate.order_id == Message.order_id, ChannelUpdate.source_id == Message.id, ChannelUpdate.kind == MESSAGE
)


@dataclass(frozen=True, slots=True)
class Written:
    """A message with what it says, None if it was erased, what goes with it, and the id of the update or the mail that
    carries it.
    """

    message: Message
    said: Said | None
    documents: Sequence[MessageDocument]
    update_id: int | None
    mail: Mail | None


def thread_of(order: Order, actor: Actor) -> Sequence[Written] | None:
    """The messages of an order, newest first; None for people who may not see buyers, since messages name them.
    Revealing the texts is recorded.
    """
    if not actor.may("buyers.see"):
        return None
    query = _carried(select(Message, ChannelUpdate.id, Mail)).where(Message.order_id == order.id)
    query = query.options(joinedload(Message.person), selectinload(Message.documents))
    rows = db.session.execute(query.order_by(Message.id.desc())).all()
    if not rows:
        return []
    said = vault.reveal_sealed(actor, [(order.id, SEALED, row[0].sealed) for row in rows], purpose="messages")
    return [
        Written(message, says, message.documents, update_id, mail)
        for (message, update_id, mail), says in zip(rows, said, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Listed:
    """A message with the state of the update or the mail that carries it."""

    message: Message
    state: str


def list_messages(actor: Actor, *, order: Order | None = None, limit: int = 200) -> list[Listed]:
    """Messages of orders that the actor may see, newest first."""
    query = _of(actor).order_by(Message.id.desc()).limit(limit)
    if order is not None:
        query = query.where(Message.order_id == order.id)
    return [Listed(message, state) for message, state in db.session.execute(query)]


class UnknownMessage(NotFound):
    """No message has this id, or none that this person may see."""

    code = "unknown_message"
    sentence = _l("No message here goes by “%(name)s”.")


def find_message(message_id: int, actor: Actor) -> Listed:
    """The message with this id; raises `UnknownMessage`."""
    found = db.session.execute(_of(actor).where(Message.id == message_id)).one_or_none()
    if found is None:
        raise UnknownMessage(name=message_id)
    return Listed(found[0], found[1])


def _of(actor: Actor) -> Select[Message, str]:
    query = _carried(select(Message, func.coalesce(ChannelUpdate.state, Mail.state)))
    query = query.options(joinedload(Message.order))
    return query.where(Message.order_id.in_(visible(actor).with_only_columns(Order.id)))


def _carried(query: Select[*Ts]) -> Select[*Ts]:
    """A query of messages, with the update or the mail that carries each."""
    return query.outerjoin(ChannelUpdate, _CARRIES).outerjoin(Mail, Mail.id == Message.mail_id)
