"""Writing to the buyer of an order by the channel's own messages.

Nothing else can be written than what the channel allows for the order now: see `webapp.messaging.allowed`. Some kinds
take documents of the order, and some are documents alone. The text is sealed under the order's key, documents are drawn
as they leave. A message goes out as an update of its own: it can be undone while it is held, and one whose answer was
lost is never sent again by itself.
"""

from collections.abc import Sequence

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, Invoice
from webapp.channels.described import message_kinds
from webapp.channels.messages import MAIL, MESSAGE, MessageKind
from webapp.channels.services import channel_name
from webapp.db import db
from webapp.errors import Invalid, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.mail import queue
from webapp.mail.models import Mail, MailState
from webapp.messaging import documents
from webapp.messaging.allowed import is_erased, kinds_allowed, nothing_allowed, unsaid
from webapp.messaging.mail_route import BY_MAIL, Checked, mail_refusal, write_mail
from webapp.messaging.message_settings import MESSAGE_HOLD
from webapp.messaging.message_words import ARRIVED, REFUSED, SENT_AGAIN, UNDONE, UNKNOWN, WRITTEN
from webapp.messaging.models import Direction, Message, Route, Said, StartedFrom
from webapp.messaging.sealing import BuyerIsErased
from webapp.messaging.text_rules import checked_words
from webapp.messaging.writing import new_message
from webapp.orders.events import record
from webapp.orders.models import Order, OrderEvent
from webapp.orders.services import settle_attention
from webapp.updates import deciding
from webapp.updates.contract import Owing
from webapp.updates.kinds import carried
from webapp.updates.models import WAITING, ChannelUpdate
from webapp.updates.owing import owe

SENDING = "messages.send"  # the right
UNDECIDED = (MailState.REFUSED, MailState.UNKNOWN)


class NoMessagesThere(Refusal):
    code = "no_messages_there"
    sentence = _l("%(channel)s does not accept messages to buyers from Waybill.")


class NotAllowedNow(Refusal):
    """The kind is not among those that the channel allows."""

    code = "message_not_allowed"
    field = "kind"
    sentence = _l("%(channel)s does not allow this kind of message for this order at the moment.")


class NoKindChosen(Refusal):
    code = "no_message_kind"
    field = "kind"
    sentence = _l("Choose a kind of message, and write the text for the buyer.")


class NothingUndecided(Refusal):
    """The mail has left, or waits, or the message is none."""

    code = "no_mail_undecided"
    sentence = _l("There is no e-mail to this buyer to send again: none was refused, and none has an unknown result.")


class NothingToAnswer(Refusal):
    """The order has no such message of its buyer."""

    code = "no_message_to_answer"
    sentence = _l("This order has no answer of its buyer with the number %(number)s.")


class OnlyByMail(Refusal):
    code = "message_only_by_mail"
    field = "kind"
    sentence = _l("Only an e-mail has a subject. Choose “E-mail”, or leave the subject empty.")


class NoDocumentsWithIt(Refusal):
    code = "message_without_documents"
    field = "attach"
    sentence = _l("This kind of message can't have documents. Choose another kind, or remove the documents.")


class DocumentNeeded(Refusal):
    """The kind of message is documents alone."""

    code = "message_document_needed"
    field = "attach"
    sentence = _l("This kind of message has no text. Choose a document to send with it.")


class NoMessageWaits(Refusal):
    """All messages of the order have left, or it has none."""

    code = "no_message_to_undo"
    sentence = _l("This order has no message that can be undone.")


def message_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why the buyer can't be written to at all; asked by the button, whose form says what is allowed now, and by
    `write_message`.
    """
    if MESSAGE in carried(order.store) or mail_refusal(order) is None:
        return None
    return NoMessagesThere(channel=channel_name(order.store.channel))


def write_message(
    order: Order,
    kind: str,
    text: str,
    subject: str = "",
    attach: Sequence[str] = (),
    answers: int = 0,
    *,
    started_from: StartedFrom | None = None,
    actor: Actor,
) -> Message:
    """Write to the buyer, by the channel or by e-mail, perhaps in reply to a received message, or started from a
    template, with documents by their names; the caller holds the order's lock. Raises the refusal of `message_refusal`,
    or what `checked_message` or `checked_mail` raise, or `NothingToAnswer`.
    """
    answered = answered_message(order, answers)
    if kind == MAIL:
        return write_mail(
            order,
            text,
            subject=subject,
            names=attach,
            answers=answered,
            started_from=started_from,
            hold=MESSAGE_HOLD.of(order.store),
            actor=actor,
        )
    if refusal := message_refusal(order, actor):
        raise refusal
    checked = checked_message(order, kind, text, subject, attach)
    said, with_it = Said(subject="", text=checked.text), checked.documents
    row = new_message(
        order, Route.CHANNEL, kind, said, with_it, answers=answers or None, started_from=started_from, actor=actor
    )
    owe(MESSAGE, [Owing(order, row)])
    return row


def answered_message(order: Order, message_id: int) -> Message | None:
    """The received message of the order with this id; None for 0. Raises `NothingToAnswer`."""
    if not message_id:
        return None
    found = db.session.get(Message, message_id) if message_id < 2**31 else None
    if found is None or found.order_id != order.id or found.direction != Direction.IN:
        raise NothingToAnswer(number=message_id)
    return found


def checked_message(order: Order, kind: str, text: str, subject: str = "", names: Sequence[str] = ()) -> Checked:
    """A message as the channel gets it. Raises the refusal of `nothing_allowed` or `unsaid`, `NotAllowedNow`,
    `OnlyByMail`, what speaks against its documents, or `Invalid` for a text that the channel does not take.
    """
    if refusal := nothing_allowed(order):
        raise refusal
    if subject.strip():
        raise OnlyByMail
    if not kind:
        raise NoKindChosen
    if refusal := unsaid(order):
        raise refusal
    found = next((one for one in kinds_allowed(order) if one.code == kind), None)
    if found is None:
        raise NotAllowedNow(channel=channel_name(order.store.channel))
    with_it = _documents_with(order, found, names)
    if found.longest:
        return Checked("", checked_words(text, found.longest, forbids=True), with_it)
    if text.strip():
        raise Invalid(field="text", problem=_l("This kind of message has no text. Leave this field empty."))
    return Checked("", "", with_it)


def _documents_with(order: Order, kind: MessageKind, names: Sequence[str]) -> Sequence[Invoice | CreditMemo]:
    """The documents that go with a message of this kind."""
    if names and not kind.documents:
        raise NoDocumentsWithIt
    if not names and not kind.longest:
        raise DocumentNeeded
    found = documents.chosen(order, kind.documents, names)
    if len(found) > kind.most_documents:
        problem = _l(
            "Too many documents are chosen (%(count)s). Choose %(most)s or fewer.",
            count=len(found),
            most=kind.most_documents,
        )
        raise Invalid(field="attach", problem=problem)
    return found


def undo_message_refusals(order: Order) -> dict[int, Refusal | None]:
    """By the id of each message that has not left for certain, why it can't be undone now; asked by the button and by
    `undo_message`.
    """
    by_channel = {message_id: deciding.undo_refusal(update) for message_id, update in _waiting(order).items()}
    return by_channel | dict.fromkeys(_waiting_mails(order))


def undo_message(order: Order, message_id: int = 0, *, since: int = 0, until: int | None = None, actor: Actor) -> None:
    """Undo a message of the order before it leaves. Without an id it is the latest, or that of an act which raised the
    order's version from `since` to `until`. The caller holds the order's lock.
    """
    updates, mails = _waiting(order), _waiting_mails(order)
    ids = {*updates, *mails}
    if until is not None:
        ids &= _written(order, since, until)
    chosen = message_id or max(ids, default=0)
    if chosen not in ids:
        raise NoMessageWaits
    if chosen in updates:
        deciding.undo(updates[chosen], actor=actor)
    elif queue.take_back(mails[chosen]):
        record(order, UNDONE.code, actor=actor, values={"id": chosen})
    else:
        raise NoMessageWaits


def _waiting(order: Order) -> dict[int, ChannelUpdate]:
    """The updates of the order's messages that wait to leave, by message."""
    query = select(ChannelUpdate).where(ChannelUpdate.order_id == order.id, ChannelUpdate.kind == MESSAGE)
    found = db.session.scalars(query.where(ChannelUpdate.state.in_(WAITING)))
    return {update.source_id: update for update in found if update.source_id is not None}


def _waiting_mails(order: Order) -> dict[int, int]:
    """The mails of the order's messages that wait to leave, by message."""
    query = select(Message.id, Mail.id).join(Mail, Mail.id == Message.mail_id)
    query = query.where(Message.order_id == order.id, Mail.state == MailState.QUEUED)
    return dict(db.session.execute(query).all())


def _written(order: Order, since: int, until: int) -> set[int]:
    """The messages that were written while the order's version rose from one to the other."""
    query = select(OrderEvent.data).where(OrderEvent.order_id == order.id, OrderEvent.code == WRITTEN.code)
    return {
        data["values"]["id"]
        for data in db.session.scalars(query.where(OrderEvent.version > since, OrderEvent.version <= until))
    }


def mails_undecided(order: Order) -> dict[int, str]:
    """The states of the order's mails that were refused, or of which nobody knows whether they arrived, by message."""
    return {message_id: mail.state for message_id, mail in _undecided(order).items()}


def _undecided(order: Order) -> dict[int, Mail]:
    query = select(Message.id, Mail).join(Mail, Mail.id == Message.mail_id).where(Message.order_id == order.id)
    return dict(db.session.execute(query.where(Mail.state.in_(UNDECIDED))).all())


def send_mail_again(order: Order, message_id: int, *, actor: Actor) -> None:
    """Queue a mail to the buyer again; the caller holds the order's lock. Raises `NothingUndecided`, or why the buyer
    can't be written to any more.
    """
    mail = _undecided(order).get(message_id)
    if mail is None:
        raise NothingUndecided
    if refusal := mail_refusal(order) or (BuyerIsErased() if is_erased(order) else None):
        raise refusal
    queue.queue_again(mail, actor=actor)
    _settle(order, message_id)
    record(order, SENT_AGAIN.code, actor=actor, values={"id": message_id})


def mail_arrived(order: Order, message_id: int, *, actor: Actor) -> None:
    """Note that a mail arrived of which nobody knew it; the caller holds the order's lock."""
    mail = _undecided(order).get(message_id)
    if mail is None or not queue.arrived(mail.id):
        raise NothingUndecided
    _settle(order, message_id)
    record(order, ARRIVED.code, actor=actor, values={"id": message_id})


def _settle(order: Order, message_id: int) -> None:
    for kind in (REFUSED, UNKNOWN):
        settle_attention(order, kind.code, of=message_id)


def kind_name(channel: str, code: str) -> str:
    """The name of a kind of message, or its code if the channel does not know it any more."""
    return next((str(one.label) for one in (*message_kinds(channel), BY_MAIL) if one.code == code), code)
