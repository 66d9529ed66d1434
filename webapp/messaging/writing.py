"""The row of a message to a buyer, by whichever route it goes."""

from collections.abc import Sequence

from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, Invoice
from webapp.clock import now
from webapp.db import db
from webapp.messaging.documents import attach
from webapp.messaging.message_words import WRITTEN
from webapp.messaging.models import Message, Route, Said, StartedFrom
from webapp.messaging.sealing import sealed
from webapp.orders.events import record
from webapp.orders.models import Order


def new_message(
    order: Order,
    route: Route,
    kind: str,
    said: Said,
    documents: Sequence[Invoice | CreditMemo],
    *,
    answers: int | None = None,
    started_from: StartedFrom | None = None,
    actor: Actor,
) -> Message:
    """Write a message with its documents and its event, perhaps in reply to a received message, or started from a
    template; the caller holds the order's lock, and has it sent.
    """
    message = Message(
        order_id=order.id,
        route=route,
        kind=kind,
        answers_id=answers,
        template_situation=started_from.situation if started_from else None,
        template_name=started_from.name if started_from else "",
        sealed=sealed(order.id, said),
        written_at=now(),
        actor_kind=actor.kind,
        actor_id=actor.id,
    )
    db.session.add(message)
    db.session.flush()
    attach(message, documents)
    record(order, WRITTEN.code, actor=actor, values={"id": message.id})
    return message
