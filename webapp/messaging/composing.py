"""Writing a message from a template: what the form offers, and what a template puts into it."""

from itertools import groupby
from typing import NamedTuple

from webapp.audit.actor import Actor
from webapp.channels.messages import MAIL
from webapp.channels.services import channel_name
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.messaging.allowed import allowed, buyer_locale, is_erased, nothing_allowed
from webapp.messaging.documents import documents_of, label_of
from webapp.messaging.mail_route import mail_refusal
from webapp.messaging.message_settings import route_of
from webapp.messaging.models import StartedFrom
from webapp.messaging.services import kind_name
from webapp.messaging.situations import CUSTOM, SITUATIONS
from webapp.messaging.templates import (
    FilledTemplate,
    UnknownTemplate,
    filled_for,
    language_name,
    template_for,
    templates_for,
)
from webapp.messaging.variables import filled, variables_in
from webapp.orders.contract import Filling
from webapp.orders.inputs import HIDDEN, Offered
from webapp.orders.models import Order
from webapp.orders.queries import reference


def templates_offered(order: Order) -> Offered:
    """The templates that fit the order, as a form offers them: at first those in the buyer's language, or in the next
    best, and the others folded away.
    """
    if nothing_allowed(order) is not None and (is_erased(order) or mail_refusal(order) is not None):
        return HIDDEN
    found = groupby(templates_for(order), key=lambda one: one.language)
    groups = [(language, [(one.code, one.name) for one in of_language]) for language, of_language in found]
    (first, choices), *others = groups
    further = [(language_name(language), of_language) for language, of_language in others]
    return Offered(choices=choices, further=further, help=_why_first(order, first))


def _why_first(order: Order, language: str) -> LazyString:
    """Why the templates in this language come first."""
    reads, answer = buyer_locale(order).partition("_")[0], allowed(order)
    if reads != language:
        return _l("There is no template in the buyer's language: %(language)s.", language=language_name(reads))
    if answer is not None and answer.language:
        channel = channel_name(order.store.channel)
        named = {"channel": channel, "language": language_name(reads)}
        return _l("The buyer's language according to %(channel)s: %(language)s.", **named)
    return _l("The marketplace's language: %(language)s.", language=language_name(reads))


def fill_from_template(order: Order, named: str, kind: str, actor: Actor) -> Filling:
    """What a template puts into the form of a message, in which this kind is chosen so far. Raises
    `UnknownTemplate`.
    """
    found = filled_for(order, named, actor, kind=kind)
    sentences: list[tuple[LazyString | str, dict[str, object]]] = [
        (_l("The text of “%(name)s” was inserted."), {"name": found.template.name})
    ]
    values: dict[str, str | list[str]] = {"started_from": found.template.code}
    if found.kind != kind:
        values["kind"] = found.kind
        kind_chosen = _l("The kind of message is now “%(kind)s”.")
        sentences.append((kind_chosen, {"kind": kind_name(order.store.channel, found.kind)}))
    if documents := _documents(order, found):
        values["attach"] = list(documents)
        sentences.append((_l("These files are attached: %(files)s."), {"files": ", ".join(documents.values())}))
    if found.without:
        variables = ", ".join(f"{{{name}}}" for name in found.without)
        sentences.append((_l("Replace these variables in the text: %(variables)s."), {"variables": variables}))
    return Filling("text", found.text, values, sentences)


def _documents(order: Order, found: FilledTemplate) -> dict[str, str]:
    """The documents of which a template says that they are attached: their names, and their names for people."""
    route = route_of(order.store) if found.kind == MAIL else None
    kinds = {found.template.situation}.intersection(route.documents if route else ())
    return {name: label_of(one) for name, one in documents_of(order, kinds).items()}


class ComposedMessage(NamedTuple):
    """A message as it is to be written: its kind, its text, and the template from which it was started."""

    kind: str
    text: str
    started_from: StartedFrom | None


def composed_message(
    order: Order, kind: str, text: str, template: str, actor: Actor, *, started_from: str = ""
) -> ComposedMessage:
    """The kind and the text of a message: without a text, that of the template, and without a kind, that for which the
    template is meant. Variables in a text are filled. A text that was typed was `started_from` the template with this
    name, if there is one. Raises `UnknownTemplate`.
    """
    if template and not text:
        found = filled_for(order, template, actor, kind=kind)
        return ComposedMessage(kind or found.kind, found.text, found.template.started_from)
    if variables_in(text):
        locale = buyer_locale(order)
        text, _without = filled(text, locale.partition("_")[0], locale, order, actor)
    return ComposedMessage(kind, text, _started_from(order, started_from) if text and started_from else None)


def _started_from(order: Order, named: str) -> StartedFrom | None:
    try:
        return template_for(order, named).started_from
    except UnknownTemplate:  # it was deleted meanwhile, which does not stop the message
        return None


def situations_offered() -> list[tuple[str, LazyString | str]]:
    """The situations that have a standard text, for a message to many buyers: each gets it in their language."""
    return [(code, label) for code, label in SITUATIONS.items() if code != CUSTOM]


def message_addressee(order: Order) -> LazyString:
    """To whom a message goes, and by which ways it can."""
    named = {"number": reference(order), "channel": channel_name(order.store.channel)}
    if mail_refusal(order) is not None:
        return _l("To the buyer of %(number)s, through %(channel)s", **named)
    return _l("To the buyer of %(number)s, through %(channel)s or by e-mail", **named)
