"""To which order a received mail belongs: by the mails that it answers, by the buyer's address, or by a number in it.

An address alone may have several orders: the one whose number the mail names, or the newest. A number alone is what
anybody can write, so the mail says that it is not from the buyer's address.
"""

import re
from dataclasses import dataclass

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.db import db
from webapp.mail.composing import is_of, number_of
from webapp.mail.models import Mail
from webapp.mail.reading import ReadMail, hashed_id
from webapp.messaging.models import Matched, Message, ReceivedMail
from webapp.orders.models import Order
from webapp.orders.queries import visible
from webapp.orders.search_words import EMAIL
from webapp.search.models import SearchTerm
from webapp.search.terms import index_key, normalize, term

_ACTOR = Actor.job("mail")
_CHANNEL_NUMBER = re.compile(r"(?<![\w-])\d{3}-\d{7}-\d{7}(?![\w-])")
_OWN_NUMBER = re.compile(r"[\w-]*\d[\w-]*", re.ASCII)
_SHORTEST = 4  # characters of a number of the desk's own: shorter ones are years and quantities
_MOST_NUMBERS = 20
_MOST_ORDERS = 50  # of one buyer that are looked at


@dataclass(frozen=True, slots=True)
class Match:
    """The order of a mail and how it was found; without an order, the mail fits nowhere."""

    order_id: int | None = None
    how: Matched | None = None
    from_buyer: bool = False


def match(mail: ReadMail) -> Match:
    """The order that a mail belongs to."""
    of_buyer = _orders_of_address(mail.sender)
    for reference in mail.references:
        if (order_id := order_of_reference(reference)) is not None:
            return Match(order_id, Matched.REFERENCE, order_id in of_buyer)
    named = _named(mail)
    if of_buyer:
        return Match(next((id_ for id_ in named if id_ in of_buyer), of_buyer[0]), Matched.ADDRESS, True)
    return Match(named[0], Matched.NUMBER) if named else Match()


def order_of_reference(message_id: str) -> int | None:
    """The order to whose thread the mail with this Message-ID belongs, one of ours or a received one."""
    if (message := message_of(message_id)) is not None:
        return message.order_id
    query = select(Message.order_id).join(ReceivedMail, ReceivedMail.message_id == Message.id)
    return db.session.scalar(query.where(ReceivedMail.reference == hashed_id(message_id)).limit(1))


def message_of(message_id: str) -> Message | None:
    """The message that our mail with this Message-ID carries; None for the desk's own mails, such as sign-in links."""
    mail = mail_of(message_id)
    return db.session.scalar(select(Message).where(Message.mail_id == mail.id)) if mail is not None else None


def mail_of(message_id: str) -> Mail | None:
    """Our mail with this Message-ID; other desks make such ids, too, and anybody can invent one."""
    number = number_of(message_id)
    mail = db.session.get(Mail, number) if number is not None else None
    return mail if mail is not None and is_of(message_id, mail.id, mail.created_at) else None


def _orders_of_address(address: str) -> list[int]:
    """The orders of the buyer with this address, newest first."""
    email = normalize(address.strip())
    if "@" not in email:
        return []
    query = select(SearchTerm.order_id).where(SearchTerm.term == term(EMAIL, email, index_key()))
    return list(db.session.scalars(query.order_by(SearchTerm.placed.desc()).limit(_MOST_ORDERS)))


def _named(mail: ReadMail) -> list[int]:
    """The orders that a mail names: those in its subject first."""
    numbers = [*_CHANNEL_NUMBER.findall(mail.subject), *_CHANNEL_NUMBER.findall(mail.text)]
    numbers += _CHANNEL_NUMBER.findall(mail.quoted)
    numbers = list(dict.fromkeys(numbers))[:_MOST_NUMBERS]
    own = [one for one in _OWN_NUMBER.findall(mail.subject) if len(one) >= _SHORTEST and one not in numbers]
    own = list(dict.fromkeys(own))[:_MOST_NUMBERS]
    found: list[int] = []
    for column, wanted in ((Order.channel_order_number, numbers), (Order.number, own)):
        if wanted:
            query = visible(_ACTOR).with_only_columns(column, Order.id).where(column.in_(wanted))
            rows = db.session.execute(query.order_by(Order.placed_at.desc())).all()
            found += [order_id for number in wanted for of, order_id in rows if of == number]
    return found
