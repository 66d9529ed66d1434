"""The documents that go to buyers with messages: naming them, and drawing them as files."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, Invoice
from webapp.billing.queries import invoices_of, memos_of
from webapp.db import among, db
from webapp.documents.drawing import drawing_of
from webapp.errors import Refusal
from webapp.fulfillment.models import Shipment
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.mail.composing import AttachedFile
from webapp.messaging.models import Message, MessageDocument
from webapp.orders.models import Order

INVOICE, CREDIT_MEMO, SHIPMENT = "invoice", "credit_memo", "shipment"
ALL: Mapping[str, LazyString] = {INVOICE: _l("Invoices of the order"), CREDIT_MEMO: _l("Credit memos of the order")}
LABELS: Mapping[str, LazyString] = {INVOICE: _l("Invoice %(number)s"), CREDIT_MEMO: _l("Credit memo %(number)s")}
MODELS: Mapping[str, type[Invoice | CreditMemo]] = {INVOICE: Invoice, CREDIT_MEMO: CreditMemo}


class ShipmentTakenBack(Refusal):
    code = "message_shipment_taken_back"
    sentence = _l("The shipment that this e-mail is about was undone.")


class NoSuchDocument(Refusal):
    """The order has no document of this name that could go with a message."""

    code = "message_document_unknown"
    field = "attach"
    sentence = _l("This order has no document “%(name)s” to attach. Its documents are: %(documents)s")


def documents_of(order: Order, kinds: Iterable[str]) -> dict[str, Invoice | CreditMemo]:
    """The issued documents of an order that are of these kinds, by their names, such as `invoice:1001`."""
    found: dict[str, Invoice | CreditMemo] = {}
    for kind, listed in ((INVOICE, invoices_of), (CREDIT_MEMO, memos_of)):
        if kind in kinds:
            found |= {f"{kind}:{row.number}": row for row in listed(order) if row.number}
    return found


def chosen(order: Order, kinds: Iterable[str], names: Sequence[str]) -> list[Invoice | CreditMemo]:
    """The documents of these names; a kind alone means all of it. Raises `NoSuchDocument`."""
    known = documents_of(order, kinds) if names else {}
    names = [one for name in names for one in ([each for each in known if each.startswith(f"{name}:")] or [name])]
    if unknown := [name for name in names if name not in known]:
        raise NoSuchDocument(name=unknown[0], documents=", ".join(known) or "—")
    return [known[name] for name in dict.fromkeys(names)]


def kind_of(document: Invoice | CreditMemo) -> str:
    return INVOICE if isinstance(document, Invoice) else CREDIT_MEMO


def label_of(document: Invoice | CreditMemo) -> str:
    """The name of a document for people."""
    return str(LABELS[kind_of(document)]) % {"number": document.number}


def names_of(rows: Sequence[MessageDocument]) -> dict[tuple[str, int], str]:
    """The names of documents that went with messages, for people, by kind and id."""
    found = {(SHIPMENT, row.document_id): str(_l("Shipment")) for row in rows if row.kind == SHIPMENT}
    for kind, model in MODELS.items():
        ids = sorted({row.document_id for row in rows if row.kind == kind})
        numbers = db.session.execute(select(model.id, model.number).where(among(model.id, ids))).all() if ids else []
        found |= {(kind, id_): str(LABELS[kind]) % {"number": number} for id_, number in numbers}
    return found


def attach(message: Message, documents: Sequence[Invoice | CreditMemo]) -> None:
    """Note which documents go with a message."""
    db.session.add_all(
        MessageDocument(message_id=message.id, kind=kind_of(one), document_id=one.id) for one in documents
    )


def files_of(message: Message, actor: Actor) -> list[AttachedFile]:
    """The documents of a message as files, which are drawn later, without the database. Raises `ShipmentTakenBack` if
    it is about a shipment that is none any more.
    """
    rows = db.session.scalars(
        select(MessageDocument)
        .where(MessageDocument.message_id == message.id)
        .order_by(MessageDocument.kind.desc(), MessageDocument.document_id)
    ).all()
    if any(row.kind == SHIPMENT and db.session.get(Shipment, row.document_id) is None for row in rows):
        raise ShipmentTakenBack
    return [_file(db.session.get_one(MODELS[row.kind], row.document_id), actor) for row in rows if row.kind in MODELS]


def _file(document: Any, actor: Actor) -> AttachedFile:
    name = str(document.number).replace("/", "-")
    return AttachedFile(f"{name}.pdf", "application/pdf", drawing_of(document, actor))
