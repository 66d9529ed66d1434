"""Writing to the buyer of an order by e-mail.

The address is that of the order, perhaps one under which the channel relays mail. What a mail says stays sealed under
the order's key: it is opened as the mail leaves, and documents that go with it are drawn then. Until it leaves it can
be undone; one of which nobody knows whether it left is sent again only if a person says so.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, Invoice
from webapp.channels.described import mail_route
from webapp.channels.legal_face import sender_of
from webapp.channels.messages import MAIL, MessageKind
from webapp.channels.models import Store
from webapp.channels.services import channel_name
from webapp.clock import now
from webapp.db import db
from webapp.documents.formats import language_of
from webapp.errors import Invalid, Refusal
from webapp.i18n import gettext as _, lazy_gettext as _l, spoken
from webapp.mail import queue
from webapp.mail.composing import Letter
from webapp.mail.contract import MailKind, NotNow, mail_kind
from webapp.mail.jobs import send_mail
from webapp.mail.models import Mail, MailState
from webapp.mail.server import TO_BUYERS, MailNotSetUp, Sender, caught_by, is_set_up
from webapp.messaging.allowed import buyer_locale
from webapp.messaging.documents import chosen, files_of
from webapp.messaging.message_settings import route_of
from webapp.messaging.message_words import REFUSED, REFUSED_EVENT, SENT, UNKNOWN, UNKNOWN_EVENT
from webapp.messaging.models import Direction, Message, Route, Said, StartedFrom
from webapp.messaging.sealing import BuyerIsErased, said_in
from webapp.messaging.text_rules import check_words, checked_words
from webapp.messaging.writing import new_message
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.orders.services import raise_attention, settle_attention
from webapp.updates import marks
from webapp.vault import services as vault

BY_MAIL = MessageKind(
    MAIL,
    _l("E-mail"),
    10_000,
    _l("Send the message to the buyer's e-mail address, with a subject and, if you like, documents."),
    situations=("invoice", "credit_memo", "shipped"),
)
LONGEST_SUBJECT = 150
_REPLIES = re.compile(r"^(?:(?:re|aw|rép|sv)\s*(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)  # before the subject of a reply
_WORKER = Actor.job("messages")


class NoMailThere(Refusal):
    code = "no_mail_there"
    sentence = _l("%(channel)s does not accept e-mails to its buyers.")


class MailSwitchedOff(Refusal):
    code = "buyer_mail_off"
    sentence = _l("In this store's settings, e-mails to buyers are off.")


class NoMailToBuyers(Refusal):
    """A switch for the whole desk."""

    code = "no_mail_to_buyers"
    sentence = _l("In the settings of the desk, e-mails to buyers are off.")


class MailIsCaught(Refusal):
    """A practice marketplace takes all mail of the desk, and delivers none."""

    code = "buyer_mail_caught"
    sentence = _l(
        "No mail server is set up, so the practice marketplace receives all e-mails, and no real buyer would get "
        "this one. Set up a mail server first."
    )


class BuyersAreInvented(Refusal):
    """A practice store, whose buyers' addresses may be those of real people."""

    code = "buyers_are_invented"
    sentence = _l(
        "The buyers of a practice store are fictitious, so no e-mails are sent to them through a real mail server."
    )


class StoreSendsNothing(NotNow):
    """Its store is paused, or read-only: the database may be a copy, or older than what was sent."""

    code = "mail_waits_for_store"
    sentence = _l(
        "The store of this order is paused or read-only, so nothing is sent to its buyers until the store is "
        "active again."
    )


class NoBuyerAddress(Refusal):
    code = "no_buyer_address"
    sentence = _l("This order has no e-mail address for its buyer.")


def mail_refusal(order: Order) -> Refusal | None:
    """Why the buyer of an order can't be written to by e-mail, as far as settings tell."""
    if mail_route(order.store.channel) is None:
        return NoMailThere(channel=channel_name(order.store.channel))
    if route_of(order.store) is None:
        return MailSwitchedOff()
    if not TO_BUYERS.of():
        return NoMailToBuyers()
    if not is_set_up():
        return MailNotSetUp()
    if order.store.practice:
        return BuyersAreInvented() if caught_by() is None else None
    return MailIsCaught() if caught_by() is not None else None


def store_waits(store: Store) -> StoreSendsNothing | None:
    """Why mails to the buyers of a store wait. A store without a connection to its channel does not stop them."""
    return StoreSendsNothing() if not store.active or store.read_only is not None else None


@dataclass(frozen=True, slots=True)
class Checked:
    """A message as it would be sent."""

    subject: str  # of mails alone
    text: str
    documents: Sequence[Invoice | CreditMemo]


def checked_mail(
    order: Order, text: str, subject: str, names: Sequence[str], answers: Message | None = None, *, actor: Actor
) -> Checked:
    """A mail as it would be sent, with the usual subject if it has none; `answers` is the received message to which it
    replies. Raises what `mail_refusal` gives,
    `BuyerIsErased`, `NoSuchDocument`, or `Invalid` for its words.
    """
    route = route_of(order.store)
    refusal = mail_refusal(order)
    if route is None or refusal is not None:
        raise refusal or MailSwitchedOff
    if vault.erased([order.id]):
        raise BuyerIsErased
    subject = " ".join(subject.split())
    if not subject:
        subject = _reply_subject(answers, actor, forbids=route.relayed) or usual_subject(order)
    if len(subject) > LONGEST_SUBJECT:
        problem = _l(
            "This text has %(length)s characters. Shorten it to %(longest)s or fewer.",
            length=len(subject),
            longest=LONGEST_SUBJECT,
        )
        raise Invalid(field="subject", problem=problem)
    check_words(subject, "subject", forbids=route.relayed)
    text = checked_words(text, BY_MAIL.longest, forbids=route.relayed)
    return Checked(subject, text, chosen(order, route.documents, names))


def usual_subject(order: Order) -> str:
    """The subject of a mail for which nobody wrote one, in the buyer's language."""
    with spoken(buyer_language(order)):
        return str(_("Your order %(number)s", number=order.channel_order_number))


def _reply_subject(answers: Message | None, actor: Actor, *, forbids: bool) -> str:
    """The subject of a reply; empty if there is nothing to reply to, for people who may not see buyers, and if the
    subject that is answered is empty or has what no mail may have.
    """
    said = said_in(answers, actor) if answers is not None and actor.may("buyers.see") else None
    answered = _REPLIES.sub("", " ".join(said["subject"].split())) if said else ""
    if not answered:
        return ""
    subject = f"Re: {answered}"[:LONGEST_SUBJECT].rstrip()
    try:
        check_words(subject, "subject", forbids=forbids)
    except Invalid:
        return ""
    return subject


def buyer_language(order: Order) -> str:
    """The language of the desk's own words in a mail to the buyer."""
    return language_of(buyer_locale(order))


def write_mail(
    order: Order,
    text: str,
    *,
    subject: str = "",
    names: Sequence[str] = (),
    answers: Message | None = None,
    started_from: StartedFrom | None = None,
    hold: int = 0,
    actor: Actor,
) -> Message:
    """Queue a mail to the buyer, perhaps in reply to a received message, or started from a template; it leaves after
    these seconds at the earliest. The caller holds the order's lock. Raises what `checked_mail` raises, or
    `NoBuyerAddress`.
    """
    checked = checked_mail(order, text, subject, names, answers, actor=actor)
    if not _address(order):
        raise NoBuyerAddress
    said = Said(subject=checked.subject, text=checked.text)
    message = new_message(
        order,
        Route.MAIL,
        MAIL,
        said,
        checked.documents,
        answers=answers.id if answers else None,
        started_from=started_from,
        actor=actor,
    )
    message.mail_id = queue.put_made(BuyerMail.code, message.id, now() + timedelta(seconds=hold)).id
    if not hold:
        send_mail.enqueue()
    return message


def _address(order: Order) -> str:
    buyer = vault.reveal(_WORKER, [order.id], purpose="mail to the buyer").get(order.id) or {}
    return str(buyer.get("email") or "").strip()


def _order_of(mail: Mail) -> Order:
    return db.session.get_one(Order, db.session.get_one(Message, mail.source_id).order_id)


def _answered(message: Message) -> str:
    """The Message-ID of the mail to which a message replies."""
    answered = db.session.get(Message, message.answers_id) if message.answers_id else None
    if answered is None or answered.order_id != message.order_id or answered.direction != Direction.IN:
        return ""
    said = said_in(answered, _WORKER, purpose="mail to the buyer")
    return str(said.get("message_id", "")) if said else ""


@mail_kind
class BuyerMail(MailKind):
    """A mail to the buyer of an order, made of a message."""

    code, label = "message", _l("E-mail to a buyer")

    def letter(self, mail: Mail) -> Letter:
        message, order = db.session.get_one(Message, mail.source_id), _order_of(mail)
        if refusal := mail_refusal(order) or store_waits(order.store):
            raise refusal
        said = said_in(message, _WORKER, purpose="mail to the buyer")
        if said is None or vault.erased([order.id]):
            raise BuyerIsErased
        if not (to := _address(order)):
            raise NoBuyerAddress
        own = sender_of(order.shop)
        return Letter(
            to=to,
            subject=said["subject"],
            text=said["text"] + "\n",
            sender=Sender(own.address, own.name) if own.address else None,
            reply_to=own.reply_to,
            copies=own.copies,
            answers=_answered(message),
            files=files_of(message, _WORKER),
            automatic=message.actor_kind != "person",
        )

    def leaves(self, mail_id: int) -> None:
        marks.note(mail=mail_id)

    def lock(self, mail: Mail) -> None:
        locked(_order_of(mail))

    def ended(self, mail: Mail) -> None:
        message, order = db.session.get_one(Message, mail.source_id), _order_of(mail)
        if mail.state == MailState.SENT:
            for trouble in (REFUSED, UNKNOWN):
                settle_attention(order, trouble.code, of=message.id)
            record(order, SENT.code, actor=_WORKER, values={"id": message.id})
            return
        kind, event = (REFUSED, REFUSED_EVENT) if mail.state == MailState.REFUSED else (UNKNOWN, UNKNOWN_EVENT)
        raise_attention(order, kind.code, of=message.id, problem=mail.problem)
        record(order, event.code, actor=_WORKER, values={"id": message.id})
