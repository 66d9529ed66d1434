"""What may be written to the buyer of an order, and in which language.

A channel says, when it is asked, which kinds of messages it allows for an order now, and perhaps what the buyer reads.
Its answer is kept for a while. Nothing here writes: `services` does, and `mail_route` by e-mail.
"""

from collections.abc import Mapping, Sequence, Set
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import exists, literal, or_, select

from webapp.channels.described import marketplace_of, message_kinds
from webapp.channels.legal_face import LANGUAGE
from webapp.channels.messages import MessageKind, MessagesAnswer
from webapp.channels.services import channel_name
from webapp.clock import now
from webapp.db import db, insert_into, once_a_transaction
from webapp.errors import DeskError, Refusal, sentence_of
from webapp.i18n import known_locale, lazy_gettext as _l
from webapp.messaging.models import MessagesAllowed, MessageTemplate
from webapp.messaging.sealing import BuyerIsErased
from webapp.orders.models import Order
from webapp.vault.models import VaultErasure

FRESH = timedelta(minutes=5)  # for so long, the channel is not asked again
HOLDS = timedelta(hours=1)  # for so long, messages are written by an answer, such as in a form that stands open


class NothingAllowed(Refusal):
    """The channel was asked, and allows nothing."""

    code = "no_message_allowed"
    sentence = _l("%(channel)s allows no message to the buyer of this order at the moment.")


class NotSaid(Refusal):
    """The channel was not asked yet, or too long ago."""

    code = "messages_not_said"
    field = "kind"
    sentence = _l(
        "Waybill does not know which messages %(channel)s allows for this order now. Open the form again to check."
    )


class NotAnswered(Refusal):
    """The channel was asked, and did not say what it allows."""

    code = "messages_not_answered"
    field = "kind"
    sentence = _l(
        "Waybill could not check which messages %(channel)s allows. Open the form again to check once more. %(problem)s"
    )


def nothing_allowed(order: Order) -> Refusal | None:
    """Why nothing can be written to the buyer of the order, whatever the channel would say now: the buyer is erased, or
    the channel has answered that it allows nothing.
    """
    if is_erased(order):
        return BuyerIsErased()
    answer = allowed(order)
    if answer is not None and not answer.kinds and not answer.problem and _holds(answer):
        return NothingAllowed(channel=channel_name(order.store.channel))
    return None


def unsaid(order: Order) -> Refusal | None:
    """Why it is not known what the channel allows for the order now; None if it is."""
    answer, channel = allowed(order), channel_name(order.store.channel)
    if answer is not None and _holds(answer) and (answer.kinds or not answer.problem):
        return None
    problem = problem_of(answer)
    return NotAnswered(channel=channel, problem=problem) if problem else NotSaid(channel=channel)


def is_erased(order: Order) -> bool:
    """Whether the buyer's data were erased."""
    return _facts(order).erased


def allowed(order: Order) -> MessagesAllowed | None:
    """The channel's latest answer; None if it was never asked."""
    return _facts(order).answer


def kinds_allowed(order: Order) -> list[MessageKind]:
    """The kinds of messages that the channel allowed at its latest answer, in the channel's own order."""
    answer = allowed(order)
    return [one for one in message_kinds(order.store.channel) if answer is not None and one.code in answer.kinds]


def problem_of(answer: MessagesAllowed | None) -> str:
    """Why the channel's latest answer is missing; empty if it is not."""
    return (sentence_of(answer.problem) or "") if answer is not None else ""


def buyer_locale(order: Order) -> str:
    """The locale by which the buyer reads, such as "fr_FR": what the channel said of the buyer, or else that of the
    marketplace, or else the shop's language.
    """
    answer = allowed(order)
    marketplace = marketplace_of(order.store.channel, order.marketplace)
    said = ((answer.language if answer else ""), marketplace.language if marketplace else "")
    return next((str(found) for found in map(known_locale, said) if found), "") or LANGUAGE.of(order.shop)


def own_templates_for(order: Order) -> Sequence[MessageTemplate]:
    """The merchant's own templates for the order's shop, and those for every shop."""
    return _facts(order).templates


def is_fresh(answer: MessagesAllowed) -> bool:
    """Whether the channel answered a moment ago."""
    return now() - answer.asked_at < FRESH


def _holds(answer: MessagesAllowed) -> bool:
    return now() - answer.asked_at < HOLDS


class _Facts(NamedTuple):
    answer: MessagesAllowed | None
    erased: bool
    templates: Sequence[MessageTemplate]


def _facts(order: Order) -> _Facts:
    """The channel's latest answer, whether the buyer's data were erased, and the templates of the order's shop, by one
    statement, since the page of an order has few.
    """
    this = select(literal(order.id).label("id"), literal(order.shop_id).label("shop")).subquery()
    query = select(MessagesAllowed, exists().where(VaultErasure.order_id == this.c.id), MessageTemplate)
    query = query.select_from(this).outerjoin(MessagesAllowed, MessagesAllowed.order_id == this.c.id)
    of_shop = or_(MessageTemplate.shop_id.is_(None), MessageTemplate.shop_id == this.c.shop)
    query = query.outerjoin(MessageTemplate, of_shop).execution_options(populate_existing=True)

    def read() -> _Facts:
        rows: Sequence[Any] = db.session.execute(query).all()
        answer, is_gone, _first = rows[0]
        return _Facts(answer, bool(is_gone), [template for _answer, _gone, template in rows if template is not None])

    return once_a_transaction(f"messages allowed {order.id}", read)


def note_allowed(order_id: int, answer: MessagesAnswer) -> None:
    """Keep the channel's answer."""
    values = {"kinds": list(answer.kinds), "language": answer.language, "asked_at": now(), "problem": None}
    _keep(order_id, values, values.keys())


def note_unanswered(order_id: int, problem: DeskError) -> None:
    """Keep why the channel gave no answer; what it answered before holds as long as it would have."""
    _keep(order_id, {"kinds": [], "language": "", "asked_at": now(), "problem": problem.stored()}, {"problem"})


def _keep(order_id: int, values: Mapping[str, Any], changed: Set[str]) -> None:
    """Keep these values of an order, of which only some replace those that are kept already."""
    insert = insert_into(MessagesAllowed).values(order_id=order_id, **values)
    kept = {name: insert.excluded[name] for name in changed}
    db.session.execute(insert.on_conflict_do_update(index_elements=["order_id"], set_=kept))
