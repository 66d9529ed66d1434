"""Answers of buyers to the desk's mails and messages: as somebody asks for them here, or by themselves.

An answer is a mail in the mailbox. What a mail is about is read from its recipient, the relay address of an order, and
from the order number that it names.
"""

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from plugins.amazon.practice.buyer_mails import BadAnswer, Original, compose, is_address
from plugins.amazon.practice.buyer_words import INQUIRY, sentence
from plugins.amazon.practice.fates import Fate
from plugins.amazon.practice.mail_reading import read
from plugins.amazon.practice.marketplaces import MAILBOX, MARKETPLACES

if TYPE_CHECKING:
    from plugins.amazon.practice.practice import Practice

ORDER_NUMBER: Final = re.compile(r"(?<![\w-])\d{3}-\d{7}-\d{7}(?![\w-])")
LANGUAGES: Final = {market.email_domain: market.language[:2] for market in MARKETPLACES.values()}  # by relay domain


def of_mail(practice: "Practice", mail_id: int, order_id: str = "") -> Original | None:
    """What a buyer answers who answers a caught mail; `order_id` is the order that it is about if it names none. None:
    there is no such mail. Raises BadAnswer if nobody can answer it.
    """
    found = practice.mail.mail(mail_id)
    if found is None:
        return None
    mail, raw = found
    said, buyer = read(raw), mail.recipients[0]
    if not is_address(buyer):
        raise BadAnswer(f"Nobody can answer from {buyer}.")
    number = order_id or next(iter(ORDER_NUMBER.findall(f"{mail.subject} {said.text}")), "")
    fate = practice.find(number) if number else None
    is_buyers = fate is not None and fate.order.buyer_email == buyer
    return Original(
        buyer=buyer,
        name=_name(fate) if fate and is_buyers else "",
        desk=next(filter(is_address, (said.answer_to, mail.sender)), MAILBOX),
        subject=mail.subject if mail.subject.lower().startswith("re:") else f"Re: {mail.subject}",
        text=said.text,
        at_ms=mail.at_ms,
        language=LANGUAGES.get(buyer.rpartition("@")[2], "en"),
        order_id=number,
        message_id=next(iter(said.ids("Message-ID")), ""),
        references=" ".join(said.ids("References")),
        raw=raw,
    )


def of_order(practice: "Practice", order_id: str) -> Original | None:
    """What a buyer answers who answers the latest message about an order, or writes first: Amazon passes it on. None:
    there is no such order. Raises BadAnswer if it has no buyer who could write.
    """
    fate = practice.find(order_id)
    if fate is None:
        return None
    if fate.order.non_amazon:
        raise BadAnswer("The buyer of this order is not at Amazon.")
    written = practice.store.messages(order_id, limit=1)
    language = fate.order.market.language[:2]
    return Original(
        buyer=fate.order.buyer_email,
        name=f"{_name(fate)} - Amazon Marketplace",
        desk=MAILBOX,
        subject=INQUIRY[language].format(name=_name(fate), order=order_id),
        text=written[0]["text"] if written else "",
        at_ms=written[0]["at_ms"] if written else practice.now_ms(),
        language=language,
        order_id=order_id,
    )


def answer(practice: "Practice", original: Original, how: str, subject: str, text: str) -> int:
    """Put a buyer's answer into the mailbox; returns its UID. Raises BadAnswer."""
    now = practice.now_ms()
    return practice.mail.put(now, compose(how, original, subject, text, now))


def caught(practice: "Practice", sender: str, recipients: list[str], raw: bytes) -> None:
    """Store a mail that the server took; a buyer to whom it goes may answer by itself."""
    said, now = read(raw), practice.now_ms()
    with practice.mail.transaction():
        id = practice.mail.catch(now, sender, recipients, said.header("From"), said.header("Subject"), raw)
        if recipients[0].rpartition("@")[2] in LANGUAGES:
            answer_later(practice, now, mail_id=id)


def answer_later(practice: "Practice", now_ms: int, *, mail_id: int | None = None, order_id: str | None = None) -> None:
    """The buyer will answer a mail, or a message about an order, where buyers answer by themselves."""
    if after := practice.settings.answers_after:
        practice.mail.owe(now_ms + int(after * 1000), mail_id=mail_id, order_id=order_id)


def answer_due(practice: "Practice", now_ms: int) -> None:
    """Put the answers into the mailbox that buyers give by themselves and that are due, dated when they were."""
    if not practice.mail.any_due(now_ms):
        return
    with practice.store.transaction(), practice.mail.transaction():  # in this order, as everywhere
        for owed in practice.mail.take_due(now_ms):
            with suppress(BadAnswer):
                if owed.mail_id is not None:
                    original = of_mail(practice, owed.mail_id)
                else:
                    original = of_order(practice, owed.order_id or "")
                if original:
                    text = f"{sentence(original.language, owed.at_ms)}\n\n{original.quote}\n"
                    practice.mail.put(owed.at_ms, compose("plain", original, "", text, owed.at_ms))


def _name(fate: Fate) -> str:
    return " ".join(fate.order.buyer_name.split())
