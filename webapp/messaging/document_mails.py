"""Mails that go by themselves, where a store wants it: with each document once it is issued, and about each shipment.

They are queued in the transaction in which that happens, from the template of the situation in the buyer's language.
One that can't be written, since the order has no address or the text lacks a value, is left out, and the order's
timeline has why.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

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
from webapp.orders.events import record
from webapp.orders.models import Order, OrderEvent

_ACTOR = Actor.job("messages")
SITUATIONS: Mapping[str, str] = {INVOICE: "invoice", CREDIT_MEMO: "credit_memo", SHIPMENT: "shipped"}


class NothingToFillIn(Refusal):
    """The text of a template has variables without a value for the order."""

    code = "template_without_values"
    sentence = _l("The template's text needs what the order does not have: %(variables)s")


class TextNotAllowed(Refusal):
    """The text of a template, filled in for the order, has what the channel forbids."""

    code = "template_text_not_allowed"
    sentence = _l("The template's text, filled in for this order, has what the channel does not allow.")


def mail_documents(kind: str, ids: Sequence[int]) -> bool:
    """Queue a mail with each of these issued documents of one kind, where its store wants it, in the transaction that
    issued them; returns whether any was queued.
    """
    if not ids or not stores_that_mail(kind):
        return False
    documents = [one for one in documents_by_id(MODELS[kind], ids, _ACTOR) if goes_by_itself(one.order.store, kind)]
    written = [_write(one.order, kind, partial(label_of, one), names=[f"{kind}:{one.number}"]) for one in documents]
    return any(written)


def mail_shipments(ids: Sequence[int]) -> bool:
    """Queue a mail about each of these shipments, where its store wants it, in the transaction that recorded them;
    returns whether any was queued.
    """
    stores = stores_that_mail(SHIPMENT) if ids else []
    if not stores:
        return False
    shipments = select(Shipment).join(Order, Order.id == Shipment.order_id).where(among(Shipment.id, ids))
    shipments = shipments.where(Order.store_id.in_(stores)).order_by(Shipment.id)
    queued = False
    for one in db.session.scalars(shipments).all():
        if not goes_by_itself(one.order.store, SHIPMENT):
            continue
        hold = SHIP_HOLD.of(one.order.store)
        message = _write(one.order, SHIPMENT, partial(str, _l("Shipped")), hold=hold)
        if message is not None:
            db.session.add(MessageDocument(message_id=message.id, kind=SHIPMENT, document_id=one.id))
            queued = True
    return queued


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
) -> Message | None:
    """Queue one mail; None if it can't be written. The label is asked for in the buyer's language."""
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
        _record_once(order, NOT_MAILED[kind].code, why)
        return None


def _record_once(order: Order, code: str, why: DeskError) -> None:
    """Record why a mail was not written, unless the order's timeline has this cause already. What is wrong with the
    text is not quoted: it may name the buyer.
    """
    values = {"problem": (TextNotAllowed() if isinstance(why, Invalid) else why).stored()}
    query = select(OrderEvent.data).where(OrderEvent.order_id == order.id, OrderEvent.code == code)
    if all(data.get("values") != values for data in db.session.scalars(query)):
        record(order, code, actor=_ACTOR, values=values)
