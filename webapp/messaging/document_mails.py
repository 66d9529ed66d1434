"""Mails that go by themselves, where a store wants it: with each document once it is issued, and about each shipment.

They are queued in the transaction in which that happens, from the template of the situation in the buyer's language.
One that can't be written, since the order has no address or the text lacks a value, is left out, and the order's
timeline has why.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import exists, select

from webapp.audit.actor import Actor
from webapp.billing.queries import documents_by_id
from webapp.db import among, db
from webapp.errors import DeskError, Invalid, Refusal
from webapp.fulfillment.holding import SHIP_HOLD
from webapp.fulfillment.models import Shipment
from webapp.i18n import gettext as _, lazy_gettext as _l, spoken
from webapp.mail import queue
from webapp.mail.models import Mail, MailState
from webapp.messaging.documents import CREDIT_MEMO, INVOICE, MODELS, SHIPMENT, ShipmentTakenBack, label_of
from webapp.messaging.mail_route import buyer_language, write_mail
from webapp.messaging.message_settings import MESSAGE_HOLD, goes_by_itself, stores_that_mail
from webapp.messaging.message_words import NOT_MAILED, UNDONE
from webapp.messaging.models import Message, MessageDocument
from webapp.messaging.templates import filled_for
from webapp.orders.events import record, record_all
from webapp.orders.models import Order, OrderEvent

_ACTOR = Actor.job("messages")
SITUATIONS: Mapping[str, str] = {INVOICE: "invoice", CREDIT_MEMO: "credit_memo", SHIPMENT: "shipped"}


class NothingToFillIn(Refusal):
    """The text of a template has variables without a value for the order."""

    code = "template_without_values"
    sentence = _l("The template uses variables for which this order has no value: %(variables)s")


class TextNotAllowed(Refusal):
    """The text of a template, filled in for the order, has what the channel forbids."""

    code = "template_text_not_allowed"
    sentence = _l("With the values of this order, the template's text has content that the channel does not allow.")


def mail_documents(kind: str, ids: Sequence[int]) -> bool:
    """Queue a mail with each of these issued documents of one kind, where its store wants it, in the transaction that
    issued them; returns whether any was queued.
    """
    if not ids or not stores_that_mail(kind):
        return False
    documents = [one for one in documents_by_id(MODELS[kind], ids, _ACTOR) if goes_by_itself(one.order.store, kind)]
    written = [
        (one.order, _write(one.order, kind, partial(label_of, one), names=[f"{kind}:{one.number}"]))
        for one in documents
    ]
    return _any_queued(kind, written)


def mail_shipments(ids: Sequence[int]) -> bool:
    """Queue a mail about each of these shipments, where its store wants it, in the transaction that recorded them;
    returns whether any was queued.
    """
    stores = stores_that_mail(SHIPMENT) if ids else []
    if not stores:
        return False
    shipments = select(Shipment).join(Order, Order.id == Shipment.order_id).where(among(Shipment.id, ids))
    shipments = shipments.where(Order.store_id.in_(stores)).order_by(Shipment.id)
    written: list[tuple[Order, Message | DeskError]] = []
    for one in db.session.scalars(shipments).all():
        if not goes_by_itself(one.order.store, SHIPMENT):
            continue
        hold = SHIP_HOLD.of(one.order.store)
        message = _write(one.order, SHIPMENT, partial(str, _l("Shipped")), hold=hold)
        if isinstance(message, Message):
            db.session.add(MessageDocument(message_id=message.id, kind=SHIPMENT, document_id=one.id))
        written.append((one.order, message))
    return _any_queued(SHIPMENT, written)


def undo_mails_about_gone_shipments(order_ids: Sequence[int]) -> None:
    """Undo the mails of these orders that wait and are about a shipment that was taken back; the caller holds the
    orders' locks.
    """
    gone = ~exists().where(Shipment.id == MessageDocument.document_id)
    query = select(Message).join(Mail, Mail.id == Message.mail_id).order_by(Message.id)
    query = query.join(MessageDocument, MessageDocument.message_id == Message.id)
    query = query.where(among(Message.order_id, order_ids), Mail.state == MailState.QUEUED)
    for message in db.session.scalars(query.where(MessageDocument.kind == SHIPMENT, gone)).all():
        if queue.take_back(message.mail_id or 0, ShipmentTakenBack()):
            record(message.order, UNDONE.code, actor=_ACTOR, values={"id": message.id})


def _write(
    order: Order, kind: str, label: Callable[[], str], *, names: Sequence[str] = (), hold: int = 0
) -> Message | DeskError:
    """Queue one mail; returns why if it can't be written. The label is asked for in the buyer's language."""
    try:
        with db.session.begin_nested():
            found = filled_for(order, SITUATIONS[kind], _ACTOR)
            if found.without:
                variables = ", ".join(f"{{{name}}}" for name in found.without)
                raise NothingToFillIn(variables=variables)
            with spoken(buyer_language(order)):
                subject = _("%(what)s: your order %(number)s", what=label(), number=order.channel_order_number)
            return write_mail(
                order,
                found.text,
                subject=subject,
                names=names,
                started_from=found.template.started_from,
                hold=max(hold, MESSAGE_HOLD.of(order.store)),
                actor=_ACTOR,
            )
    except DeskError as why:
        return why


def _any_queued(kind: str, written: Sequence[tuple[Order, Message | DeskError]]) -> bool:
    """Whether any mail of a kind was queued. Records why the others were not, unless the order's timeline has this
    cause already. What is wrong with the text is not quoted: it may name the buyer.
    """
    problems = [
        (order, {"problem": (TextNotAllowed() if isinstance(why, Invalid) else why).stored()})
        for order, why in written
        if isinstance(why, DeskError)
    ]
    if problems:
        code = NOT_MAILED[kind].code
        query = select(OrderEvent.order_id, OrderEvent.data).where(OrderEvent.code == code)
        query = query.where(among(OrderEvent.order_id, [order.id for order, _values in problems]))
        known: dict[int, list[Any]] = {}
        for order_id, data in db.session.execute(query):
            known.setdefault(order_id, []).append(data.get("values"))
        new: list[tuple[Order, dict[str, Any]]] = []
        for order, values in problems:
            of_order = known.setdefault(order.id, [])
            if values not in of_order:
                of_order.append(values)
                new.append((order, values))
        record_all([order for order, _values in new], code, actor=_ACTOR, each=[values for _order, values in new])
    return len(problems) < len(written)
