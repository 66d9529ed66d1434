"""Writing to the buyer of an order by the channel's own messages.

A channel says, when it is asked, which kinds of messages it allows for an order now; nothing else can be written. The
text is sealed under the order's key, and goes out as an update of its own: it can be undone while it is held, and one
whose answer was lost is never sent again by itself.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.channels.described import message_kinds
from webapp.channels.messages import MESSAGE, MessageKind
from webapp.channels.services import channel_name
from webapp.clock import now
from webapp.db import db, once_a_transaction
from webapp.errors import DeskError, Invalid, Refusal, sentence_of
from webapp.i18n import lazy_gettext as _l
from webapp.messaging.message_words import WRITTEN
from webapp.messaging.models import Message, MessagesAllowed
from webapp.messaging.text_rules import address_in, link_in
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.updates import deciding
from webapp.updates.contract import Owing
from webapp.updates.kinds import carried
from webapp.updates.models import WAITING, ChannelUpdate
from webapp.updates.owing import owe
from webapp.vault import services as vault

SENDING = "messages.send"  # the right
SEALED = "message"  # the kind under which a text is sealed
FRESH = timedelta(minutes=5)  # for so long, an answer of the channel holds


class NoMessagesThere(Refusal):
    code = "no_messages_there"
    sentence = _l("%(channel)s takes no messages to buyers from the desk.")


class NothingAllowed(Refusal):
    """The channel was asked, and allows nothing."""

    code = "no_message_allowed"
    sentence = _l("%(channel)s allows no message to the buyer of this order now.")


class BuyerIsErased(Refusal):
    code = "message_buyer_erased"
    sentence = _l("The buyer's data were erased, so nobody writes to them any more.")


class NotAllowedNow(Refusal):
    """The kind is not among those that the channel allows."""

    code = "message_not_allowed"
    field = "kind"
    sentence = _l("%(channel)s does not allow this kind of message for this order now.")


class NoKindChosen(Refusal):
    code = "no_message_kind"
    field = "kind"
    sentence = _l("Choose a kind of message, and write what the buyer shall read.")


class NoMessageWaits(Refusal):
    code = "no_message_to_undo"
    sentence = _l("This order has no message that could be undone.")


def message_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why the order's channel takes no messages at all; asked by the button, whose form says what is allowed now, and
    by `write_message`.
    """
    if MESSAGE not in carried(order.store):
        return NoMessagesThere(channel=channel_name(order.store.channel))
    return None


def silence(order: Order) -> Refusal | None:
    """Why nothing can be written to the buyer of the order now, though its channel takes messages; None if something
    can, or if the channel did not answer yet.
    """
    answer = allowed(order)
    if answer is not None and not answer.kinds and not answer.problem:
        return NothingAllowed(channel=channel_name(order.store.channel))
    return None


def allowed(order: Order) -> MessagesAllowed | None:
    """The channel's latest answer; None if it was never asked."""
    name = f"messages allowed {order.id}"
    return once_a_transaction(name, lambda: db.session.get(MessagesAllowed, order.id, populate_existing=True))


def is_fresh(answer: MessagesAllowed) -> bool:
    """Whether the channel answered a moment ago."""
    return now() - answer.asked_at < FRESH


def kinds_allowed(order: Order) -> list[MessageKind]:
    """The kinds of messages that the channel allowed at its latest answer, in the channel's own order."""
    answer = allowed(order)
    return [one for one in message_kinds(order.store.channel) if answer is not None and one.code in answer.kinds]


def note_allowed(order_id: int, kinds: Sequence[str]) -> None:
    """Keep the channel's answer."""
    db.session.merge(MessagesAllowed(order_id=order_id, kinds=list(kinds), asked_at=now(), problem=None))


def note_unanswered(order_id: int, problem: DeskError) -> None:
    """Keep why the channel gave no answer; what it answered before still holds."""
    before = db.session.get(MessagesAllowed, order_id)
    kinds = list(before.kinds) if before else []
    db.session.merge(MessagesAllowed(order_id=order_id, kinds=kinds, asked_at=now(), problem=problem.stored()))


def write_message(order: Order, kind: str, text: str, *, actor: Actor) -> Message:
    """Write to the buyer; the caller holds the order's lock. Raises the refusal of `message_refusal` or `silence`,
    `BuyerIsErased`, `NotAllowedNow`, or `Invalid` for a text that the channel does not take.
    """
    if refusal := message_refusal(order, actor) or silence(order):
        raise refusal
    if vault.erased([order.id]):
        raise BuyerIsErased
    text = checked_text(order, kind, text)
    row = Message(
        order_id=order.id,
        kind=kind,
        sealed=vault.seal(order.id, SEALED, text),
        written_at=now(),
        actor_kind=actor.kind,
        actor_id=actor.id,
    )
    db.session.add(row)
    db.session.flush()
    record(order, WRITTEN.code, actor=actor, values={"id": row.id})
    owe(MESSAGE, [Owing(order, row)])
    return row


def checked_text(order: Order, kind: str, text: str) -> str:
    """The text as it is sent. Raises `NotAllowedNow` or `Invalid`."""
    if not kind:
        raise NoKindChosen
    found = next((one for one in kinds_allowed(order) if one.code == kind), None)
    if found is None:
        raise NotAllowedNow(channel=channel_name(order.store.channel))
    text = "\n".join(line.rstrip() for line in text.strip().splitlines())
    if not text:
        raise Invalid(field="text", problem=_l("is needed."))
    if len(text) > found.longest:
        raise Invalid(
            field="text",
            problem=_l("has %(length)s characters, of at most %(longest)s.", length=len(text), longest=found.longest),
        )
    if link := link_in(text):
        raise Invalid(field="text", problem=_l("has a link, which is not allowed: %(found)s", found=link))
    if address := address_in(text):
        raise Invalid(field="text", problem=_l("has an e-mail address, which is not allowed: %(found)s", found=address))
    return text


def undo_message_refusals(order: Order) -> dict[int, Refusal | None]:
    """By the id of each message that has not left for certain, why it can't be undone now; asked by the button and by
    `undo_message`.
    """
    return {message_id: deciding.undo_refusal(update) for message_id, update in _waiting(order).items()}


def undo_message(order: Order, message_id: int = 0, *, since: int = 0, until: int | None = None, actor: Actor) -> None:
    """Undo a message of the order before it leaves. Without an id it is the latest, or that of an act which raised the
    order's version from `since` to `until`. The caller holds the order's lock.
    """
    waiting = _waiting(order)
    update = waiting.get(message_id or max(waiting, default=0))
    if update is None:
        raise NoMessageWaits
    deciding.undo(update, actor=actor)


def _waiting(order: Order) -> dict[int, ChannelUpdate]:
    """The updates of the order's messages that wait to leave, by message."""
    query = select(ChannelUpdate).where(ChannelUpdate.order_id == order.id, ChannelUpdate.kind == MESSAGE)
    found = db.session.scalars(query.where(ChannelUpdate.state.in_(WAITING)))
    return {update.source_id: update for update in found if update.source_id is not None}


def kind_name(channel: str, code: str) -> str:
    """The name of a kind of message, or its code if the channel does not know it any more."""
    return next((str(one.label) for one in message_kinds(channel) if one.code == code), code)


def problem_of(answer: MessagesAllowed | None) -> str:
    """Why the channel's latest answer is missing; empty if it is not."""
    return (sentence_of(answer.problem) or "") if answer is not None else ""
    if until is not None:
        waiting = {id_: update for id_, update in waiting.items() if since < update.order_version <= until}
