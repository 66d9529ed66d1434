"""The thread of an order with its buyer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVarTuple

from sqlalchemy import Select, and_, func, select, text
from sqlalchemy.orm import joinedload, selectinload

from webapp.audit.actor import Actor
from webapp.channels.messages import MESSAGE
from webapp.db import db
from webapp.errors import NotFound
from webapp.i18n import lazy_gettext as _l
from webapp.mail.models import Mail
from webapp.mail.reading import MailSort
from webapp.messaging.models import OPEN_MAILS, Message, MessageDocument, ReceivedMail, Said
from webapp.messaging.sealing import SEALED
from webapp.orders.models import Order
from webapp.orders.queries import visible
from webapp.updates.models import ChannelUpdate
from webapp.vault import services as vault

Ts = TypeVarTuple("Ts")
SHOWN = 100  # messages of a thread: anybody who knows an order's number can write to it
PURPOSE = "messages"  # for which what messages say is revealed, in the record
CARRIES = and_(  # the update of a message, which is found by its order's index
    ChannelUpdate.order_id == Message.order_id, ChannelUpdate.source_id == Message.id, ChannelUpdate.kind == MESSAGE
)


@dataclass(frozen=True, slots=True)
class Written:
    """A message with what it says, None if it was erased, and what goes with it; of one to the buyer the id of the
    update, or the mail, that carries it; of a received one the mail as which it came (what it says is a `SaidByMail`).
    """

    message: Message
    said: Said | None
    documents: Sequence[MessageDocument]
    update_id: int | None
    mail: Mail | None
    received: ReceivedMail | None


def thread_of(order: Order, actor: Actor) -> Sequence[Written] | None:
    """The newest messages of an order, newest first; None for people who may not see buyers, since messages name them.
    Revealing the texts is recorded.
    """
    if not actor.may("buyers.see"):
        return None
    query = _carried(select(Message, ChannelUpdate.id, Mail, ReceivedMail)).where(Message.order_id == order.id)
    people = joinedload(Message.person), joinedload(ReceivedMail.assignee), joinedload(ReceivedMail.finisher)
    query = query.options(selectinload(Message.documents), *people)
    rows = db.session.execute(query.order_by(Message.id.desc()).limit(SHOWN)).all()
    if not rows:
        return []
    said = _opened([(row[0], row[3]) for row in rows], actor)
    return [
        Written(message, says, message.documents, update_id, mail, received)
        for (message, update_id, mail, received), says in zip(rows, said, strict=True)
    ]


def _opened(rows: Sequence[tuple[Message, ReceivedMail | None]], actor: Actor) -> list[Said | None]:
    """What messages say, with access records; those of erased buyers are under the week's key."""
    of_order = {
        message.id: (message.order_id, SEALED, message.sealed)
        for message, received in rows
        if received is None or message.sealed
    }
    opened = vault.reveal_sealed(actor, of_order.values(), purpose=PURPOSE)
    said: dict[int, Said | None] = dict(zip(of_order, opened, strict=True))
    apart = {
        message.id: (SEALED, received.period, received.sealed)
        for message, received in rows
        if received is not None and received.sealed is not None
    }
    said |= zip(apart, vault.reveal_apart(actor, apart.values(), purpose=PURPOSE), strict=True)
    return [said.get(message.id) for message, _received in rows]


@dataclass(frozen=True, slots=True)
class Listed:
    """A message with the state of the update or the mail that carries it, or with the mail as which it came."""

    message: Message
    sent_state: str | None
    received: ReceivedMail | None

    @property
    def state(self) -> str:
        """The state of what carries it; of a received message, whether it is done."""
        if self.received is not None:
            return "done" if self.received.done_at else "open"
        return self.sent_state or ""


def list_messages(actor: Actor, *, order: Order | None = None, unread: bool = False, limit: int = 200) -> list[Listed]:
    """Messages of orders that the actor may see, newest first; `unread`: only answers that are not done."""
    query = _of(actor).order_by(Message.id.desc()).limit(limit)
    if order is not None:
        query = query.where(Message.order_id == order.id)
    if unread:
        query = query.where(text(f"received_mails.{OPEN_MAILS}"), ReceivedMail.sort == MailSort.ANSWER)
    return [Listed(*row) for row in db.session.execute(query)]


class UnknownMessage(NotFound):
    """No message has this id, or none that this person may see."""

    code = "unknown_message"
    sentence = _l("There is no message “%(name)s”.")


def find_message(message_id: int, actor: Actor) -> Listed:
    """The message with this id; raises `UnknownMessage`."""
    found = db.session.execute(_of(actor).where(Message.id == message_id)).one_or_none()
    if found is None:
        raise UnknownMessage(name=message_id)
    return Listed(*found)


def said_of(row: Listed, actor: Actor) -> Said | None:
    """What a message says, None if it was erased. Revealing it is recorded; raises `Forbidden`."""
    actor.needs("buyers.see")
    [said] = _opened([(row.message, row.received)], actor)
    return said


def _of(actor: Actor) -> Select[Message, str | None, ReceivedMail | None]:
    query = _carried(select(Message, func.coalesce(ChannelUpdate.state, Mail.state), ReceivedMail))
    query = query.options(joinedload(Message.order))
    return query.where(Message.order_id.in_(visible(actor).with_only_columns(Order.id)))


def _carried(query: Select[*Ts]) -> Select[*Ts]:
    """A query of messages, with the update or the mail that carries each, or the mail as which it came."""
    query = query.outerjoin(ChannelUpdate, CARRIES).outerjoin(Mail, Mail.id == Message.mail_id)
    return query.outerjoin(ReceivedMail, ReceivedMail.message_id == Message.id)
