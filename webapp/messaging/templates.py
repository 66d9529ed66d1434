"""Templates of messages to buyers: the standard ones, and the merchant's own.

For each situation and language, an order gets the text of its shop; without one, that for every shop; without that, the
standard one. Custom templates stand beside them. A template has a name that stays when its text is replaced:
`delay-fr` for a situation in a language, the number of its row for a custom one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import or_, select

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.channels.models import Shop
from webapp.clock import now
from webapp.db import db
from webapp.errors import Invalid, NotFound, Refusal
from webapp.i18n import LANGUAGES, LazyString, get_locale, known_locale, lazy_gettext as _l
from webapp.messaging.allowed import buyer_locale, kinds_allowed, own_templates_for
from webapp.messaging.mail_route import BY_MAIL, mail_refusal
from webapp.messaging.models import Message, MessageTemplate, StartedFrom
from webapp.messaging.situations import CUSTOM, SITUATIONS, TEXTS
from webapp.messaging.variables import VARIABLES, filled, variables_in
from webapp.orders.models import Order
from webapp.orders.queries import find_order, reference, visible

LONGEST_NAME: Final = 60
LONGEST_TEXT: Final = 4000


class UnknownTemplate(Refusal):
    """No template that fits the order has this name."""

    code = "unknown_template"
    field = "template"
    sentence = _l("There is no template “%(name)s” for this order's shop.")


class TemplateThere(Refusal):
    """There is one for the same shop, language and situation, or with the same name."""

    code = "template_there"
    sentence = _l("There is already a template for this situation, language and shop. Change that template.")


class NoSuchTemplate(NotFound):
    """No template has this number, or none of a shop of this person."""

    code = "no_such_template"
    sentence = _l("There is no template “%(name)s”.")


@dataclass(frozen=True, slots=True)
class Template:
    """A template as orders get it. `row` is None for a standard one."""

    code: str
    situation: str
    language: str
    text: str
    row: MessageTemplate | None = None

    @property
    def name(self) -> str:
        return _name(self.situation, self.row.name if self.row else "")

    @property
    def started_from(self) -> StartedFrom:
        """What a message that is started from it keeps of it."""
        return StartedFrom(self.situation, self.row.name if self.row else "")


def template_of(message: Message) -> str:
    """The name of the template from which a message was started, as it was then; empty if from none."""
    return _name(message.template_situation, message.template_name) if message.template_situation else ""


def _name(situation: str, own: str) -> str:
    """A template's own name, or that of its situation in the reader's language."""
    return own or str(SITUATIONS.get(situation, situation))


# --- For an order -----------------------------------------------------------------------------------------------------


def templates_for(order: Order) -> list[Template]:
    """The templates that fit the order's shop: those in the buyer's language first, then those in the desk's."""
    firsts = [_language(buyer_locale(order)), *LANGUAGES]

    def place(one: Template) -> tuple[int, str, int, str]:
        at = firsts.index(one.language) if one.language in firsts else len(firsts)
        return at, one.language, list(SITUATIONS).index(one.situation), one.name.casefold()

    return sorted(_fitting(own_templates_for(order)), key=place)


def _fitting(rows: Iterable[MessageTemplate]) -> list[Template]:
    """The templates of one shop, of which these are the rows, with those for every shop."""
    found = {one.code: one for one in standard_templates()}
    for row in sorted(rows, key=lambda row: row.shop_id is not None):  # a shop's own replace those of every shop
        if row.situation in SITUATIONS:  # else it is from a newer version
            one = of_row(row)
            found[one.code] = one
    return list(found.values())


def standard_templates() -> list[Template]:
    """The standard templates, in every language."""
    return [
        Template(f"{situation}-{language}", situation, language, text)
        for language, texts in TEXTS.items()
        for situation, text in texts.items()
    ]


def of_row(row: MessageTemplate) -> Template:
    """A merchant's own template."""
    code = str(row.id) if row.situation == CUSTOM else f"{row.situation}-{row.language}"
    return Template(code, row.situation, row.language, row.text, row)


def template_for(order: Order, named: str) -> Template:
    """The template that fits the order and has this code, or else this name or situation: of several the first, by the
    order of `templates_for`. Raises `UnknownTemplate`.
    """
    offered, wanted = templates_for(order), named.strip().casefold()
    for names in (lambda one: (one.code,), lambda one: (one.name.casefold(), one.situation)):
        for one in offered:
            if wanted in names(one):
                return one
    raise UnknownTemplate(name=named)


@dataclass(frozen=True, slots=True)
class FilledTemplate:
    """A template filled for an order: its text, the variables that have no value, and the kind of message that it is
    meant for, empty if the channel allows none now.
    """

    template: Template
    text: str
    without: Sequence[str]
    kind: str


def filled_for(order: Order, named: str, actor: Actor, *, kind: str = "") -> FilledTemplate:
    """A template filled for the order; a chosen `kind` that suits it stays. Raises `UnknownTemplate`."""
    template = template_for(order, named)
    text, without = filled(template.text, template.language, buyer_locale(order), order, actor)
    kinds = [*kinds_allowed(order), *([BY_MAIL] if mail_refusal(order) is None else [])]
    suiting = [one.code for one in kinds if one.longest and template.situation in one.situations]
    return FilledTemplate(template, text, without, kind if kind in suiting or not suiting else suiting[0])


@dataclass(frozen=True, slots=True)
class Previewed:
    """A text as an order gets it, the variables that have no value for it, and the order's number."""

    text: str
    without: Sequence[str]
    order: str


def preview_on(text: str, language: str, number: str, actor: Actor) -> Previewed | None:
    """A template's text as this order would get it, or the latest that the actor may see; None if there is none.
    Raises `Invalid` for a text that can't be kept, and what `find_order` raises.
    """
    text = checked_text(text)
    if number.strip():
        order: Order | None = find_order(number, actor)
    else:
        order = db.session.scalar(visible(actor).order_by(Order.placed_at.desc(), Order.id.desc()).limit(1))
    if order is None:
        return None
    locale = known_locale(language)
    found, without = filled(text, locale.language if locale else "en", buyer_locale(order), order, actor)
    return Previewed(found, without, reference(order))


def language_name(code: str) -> str:
    """The name of a language in the reader's language, as it begins a line."""
    locale = known_locale(code)
    name = (locale.get_display_name(str(get_locale() or "en")) if locale else None) or code
    return name[:1].upper() + name[1:]


def _language(locale: str) -> str:
    return locale.partition("_")[0]


# --- Changing them ----------------------------------------------------------------------------------------------------


def own_templates(actor: Actor) -> list[MessageTemplate]:
    """The merchant's own templates of the shops for which the actor works, and those for every shop."""
    query = select(MessageTemplate).order_by(MessageTemplate.id)
    if actor.shops is not None:
        query = query.where(or_(MessageTemplate.shop_id.is_(None), MessageTemplate.shop_id.in_(actor.shops)))
    return list(db.session.scalars(query))


def has_another(row: MessageTemplate) -> bool:
    """Whether another template comes in the place of this one if it is deleted."""
    if row.situation == CUSTOM:
        return False
    same = MessageTemplate.situation == row.situation, MessageTemplate.language == row.language
    of_all = select(MessageTemplate.id).where(*same, MessageTemplate.shop_id.is_(None), MessageTemplate.id != row.id)
    is_standard = row.situation in TEXTS.get(row.language, {})
    return is_standard or (row.shop_id is not None and db.session.scalar(of_all.limit(1)) is not None)


def find_template(template_id: int, actor: Actor) -> MessageTemplate:
    """The merchant's own template with this number; raises `NoSuchTemplate`."""
    row = db.session.get(MessageTemplate, template_id)
    if row is None or not (row.shop_id is None or actor.serves([row.shop_id])):
        raise NoSuchTemplate(name=template_id)
    return row


def add_template(
    *, situation: str, language: str, shop: Shop | None, name: str = "", text: str, actor: Actor
) -> MessageTemplate:
    """Add a template; one with a situation takes the place of the standard text. Raises `Invalid`, or
    `TemplateThere`.
    """
    if situation not in SITUATIONS:
        raise Invalid(field="situation", problem=_l("Choose a situation."))
    locale = known_locale(language)
    if locale is None:
        raise Invalid(
            field="language", problem=_l("“%(code)s” is not a language code. Examples: en, fr.", code=language)
        )
    language = locale.language
    row = MessageTemplate(shop_id=shop.id if shop else None, situation=situation, language=language)
    _describe(row, name, text, actor)
    db.session.add(row)
    db.session.flush()
    audit("template_added", actor=actor, template=row.id, situation=situation, language=language, shop=row.shop_id)
    return row


def change_template(row: MessageTemplate, *, name: str = "", text: str, actor: Actor) -> None:
    """Change the text of a template, and the name of a custom one. Raises `Invalid`, or `TemplateThere`."""
    _describe(row, name, text, actor)
    audit("template_changed", actor=actor, template=row.id)


def remove_template(row: MessageTemplate, *, actor: Actor) -> None:
    """Delete a template; in the place of one with a situation is again that for every shop, or the standard one."""
    _check_shop(row.shop_id, actor)
    audit("template_removed", actor=actor, template=row.id, situation=row.situation, language=row.language)
    db.session.delete(row)


def _describe(row: MessageTemplate, name: str, text: str, actor: Actor) -> None:
    _check_shop(row.shop_id, actor)
    name = " ".join(name.split()) if row.situation == CUSTOM else ""
    if row.situation == CUSTOM and not name:
        raise Invalid(field="name", problem=_l("Enter a value."))
    if len(name) > LONGEST_NAME:
        raise Invalid(field="name", problem=_too_long(name, LONGEST_NAME))
    text = checked_text(text)
    same = (
        MessageTemplate.shop_id == row.shop_id,
        MessageTemplate.language == row.language,
        MessageTemplate.situation == row.situation,
        MessageTemplate.name == name,
        MessageTemplate.id != row.id,
    )
    with db.session.no_autoflush:
        if db.session.scalar(select(MessageTemplate.id).where(*(same if row.id else same[:-1])).limit(1)) is not None:
            raise TemplateThere
    row.name, row.text, row.changed_at = name, text, now()


def checked_text(text: str) -> str:
    """A template's text as it is kept. Raises `Invalid`, also for a variable that there is not."""
    text = "\n".join(line.rstrip() for line in text.strip().splitlines())
    if not text:
        raise Invalid(field="text", problem=_l("Enter a value."))
    if len(text) > LONGEST_TEXT:
        raise Invalid(field="text", problem=_too_long(text, LONGEST_TEXT))
    if "\0" in text:
        raise Invalid(field="text", problem=_l("This text has a character that can't be saved. Remove the character."))
    for name in variables_in(text):
        if name not in VARIABLES:
            known = ", ".join(f"{{{one}}}" for one in VARIABLES)
            problem = _l("There is no variable {%(name)s}. The variables are: %(known)s", name=name, known=known)
            raise Invalid(field="text", problem=problem)
    return text


def _too_long(text: str, longest: int) -> LazyString:
    return _l(
        "This text has %(length)s characters. Shorten it to %(longest)s or fewer.", length=len(text), longest=longest
    )


def _check_shop(shop_id: int | None, actor: Actor) -> None:
    actor.needs("settings.edit")
    if shop_id is None:
        actor.needs_all_shops()
    else:
        actor.needs_shops([shop_id])
