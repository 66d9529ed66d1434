"""What the forms of a message and of a review request offer and show before it is sent."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, Invoice
from webapp.channels.described import message_kinds
from webapp.channels.messages import MAIL, MESSAGE, MessageKind
from webapp.channels.services import channel_name
from webapp.clock import now
from webapp.i18n import LazyString, lazy_gettext as _l, reader_zone
from webapp.messaging.allowed import allowed, is_erased, kinds_allowed, nothing_allowed, problem_of, unsaid
from webapp.messaging.documents import ALL, documents_of, label_of
from webapp.messaging.mail_route import BY_MAIL, checked_mail, mail_refusal, store_waits
from webapp.messaging.message_settings import MESSAGE_HOLD, route_of
from webapp.messaging.reviews import has_return, is_refunded, review_refusal
from webapp.messaging.services import answered_message, checked_message
from webapp.messaging.text_rules import advertising_in, phone_in, site_in
from webapp.orders.contract import Preview
from webapp.orders.models import Order
from webapp.updates.kinds import carried
from webapp.updates.queries import why_nothing_goes

Sentence = tuple[LazyString | str, Mapping[str, Any]]


def messages_offered(order: Order) -> tuple[Sequence[MessageKind], LazyString | str]:
    """The kinds of messages by which the buyer can be written to now, and a sentence about the channel's answer."""
    mail = [BY_MAIL] if mail_refusal(order) is None and not is_erased(order) else []
    if MESSAGE not in carried(order.store):
        return mail, ""
    if (refusal := nothing_allowed(order)) is not None:
        return mail, str(refusal)
    answer, channel = allowed(order), channel_name(order.store.channel)
    kinds = [*kinds_allowed(order), *mail]
    if problem := problem_of(answer):
        return kinds, problem
    if unsaid(order) is not None:
        return kinds, _l(
            "Waybill is checking which messages %(channel)s allows. This takes a few seconds.", channel=channel
        )
    at = f"{answer.asked_at.astimezone(reader_zone()):%H:%M}" if answer else ""
    return kinds, _l("%(channel)s allowed these kinds of messages at %(time)s.", channel=channel, time=at)


def kinds_by_route(
    order: Order, kinds: Sequence[MessageKind]
) -> list[tuple[LazyString, Sequence[tuple[str, LazyString | str]]]]:
    """Kinds of messages as the form offers them: those that go through the channel, and e-mail."""
    channel = channel_name(order.store.channel)
    routes = (_l("Through %(channel)s", channel=channel), False), (_l("To the buyer's e-mail address"), True)
    found = [(words, [(one.code, one.label) for one in kinds if (one.code == MAIL) is mail]) for words, mail in routes]
    return [(words, within) for words, within in found if within]


def documents_offered(order: Order) -> tuple[Sequence[tuple[str, str]], LazyString | str]:
    """The documents that can go to the buyer: their names, and their names for people; and with which kinds of
    messages. While the channel is asked what it allows, they are those that may go with any kind that it knows.
    """
    if is_erased(order):
        return [], ""
    said = MESSAGE in carried(order.store) and nothing_allowed(order) is None
    kinds = [] if not said else kinds_allowed(order) if unsaid(order) is None else message_kinds(order.store.channel)
    takes = {str(one.label): one.documents for one in kinds if one.documents}
    if mail_refusal(order) is None and (route := route_of(order.store)) is not None and route.documents:
        takes[str(BY_MAIL.label)] = route.documents
    found = documents_of(order, frozenset().union(*takes.values()))
    with_which = _l("Documents are attached as PDF files. They can be sent with: %(kinds)s", kinds=", ".join(takes))
    return [(name, label_of(one)) for name, one in found.items()], with_which


def documents_of_many() -> list[tuple[str, LazyString]]:
    """The documents that can go with mails about many orders: all of a kind that each order has."""
    return list(ALL.items())


def preview_message(
    order: Order,
    kind: str,
    text: str,
    subject: str = "",
    attach: Sequence[str] = (),
    answers: int = 0,
    *,
    actor: Actor,
) -> Preview:
    """The text exactly as it is sent, and when. Raises what `write_message` raises for the text."""
    answered = answered_message(order, answers)
    if kind == MAIL:
        mail, route = checked_mail(order, text, subject, attach, answered, actor=actor), route_of(order.store)
        sentences: list[Sentence] = [(_l("Subject: %(subject)s"), {"subject": mail.subject})]
        sentences += _with(mail.documents)
        sentences.append(_when_mail_leaves(order))
        warned = _warnings(order, mail.text) if route is not None and route.relayed else []
        return Preview(text=mail.text, sentences=sentences, warnings=warned)
    checked = checked_message(order, kind, text, subject, attach)
    meant: list[Sentence] = [(one.help, {}) for one in kinds_allowed(order) if one.code == kind and one.help]
    sentences = [*_with(checked.documents), _when_it_goes(order), *meant]
    return Preview(text=checked.text, sentences=sentences, warnings=_warnings(order, checked.text))


def _with(documents: Sequence[Invoice | CreditMemo]) -> list[Sentence]:
    return [(_l("Attached files: %(files)s"), {"files": ", ".join(map(label_of, documents))})] if documents else []


def preview_review_request(order: Order, actor: Actor) -> Preview:
    """When the review request of an order leaves, and what speaks against it. Raises the refusal of
    `review_refusal`.
    """
    if refusal := review_refusal(order, actor):
        raise refusal
    channel = {"channel": channel_name(order.store.channel)}
    asks = _l("%(channel)s asks the buyer once for a review, with a text of its own.")
    warnings: list[Sentence] = []
    if is_refunded(order):
        warnings.append((_l("This order was refunded in full, so its buyer may not want to be asked."), {}))
    if has_return(order):
        warnings.append((_l("This order has a return, so its buyer may not want to be asked."), {}))
    return Preview(sentences=[(asks, {**channel}), _when_it_goes(order)], warnings=warnings)


def _when_mail_leaves(order: Order) -> Sentence:
    held = MESSAGE_HOLD.of(order.store)
    if (stopped := store_waits(order.store)) is not None:
        return str(stopped), {}
    if held:
        goes = _l("The e-mail is sent at %(goes)s at the earliest. You can undo it until then.")
        return goes, {"goes": now() + timedelta(seconds=held)}
    return _l("The e-mail is sent at once and can't be undone."), {}


def _when_it_goes(order: Order) -> Sentence:
    """When what is held as messages are goes to the channel, and until when it can be undone."""
    channel, held = channel_name(order.store.channel), MESSAGE_HOLD.of(order.store)
    if (stopped := why_nothing_goes(order.store)) is not None:
        return stopped, {}
    if held:
        goes = _l("Waybill sends this to %(channel)s at %(goes)s at the earliest. You can undo it until then.")
        return goes, {"channel": channel, "goes": now() + timedelta(seconds=held)}
    return _l("Waybill sends this to %(channel)s at once. It can't be undone."), {"channel": channel}


def _warnings(order: Order, text: str) -> list[Sentence]:
    """What in a text looks like something that the channel forbids."""
    channel = channel_name(order.store.channel)
    looks = (
        (phone_in(text), _l("“%(found)s” looks like a telephone number, which %(channel)s forbids.")),
        (site_in(text), _l("“%(found)s” looks like a link, which %(channel)s forbids.")),
        (advertising_in(text), _l("“%(found)s” looks like advertising, which %(channel)s forbids.")),
    )
    return [(sentence, {"found": found, "channel": channel}) for found, sentence in looks if found]
