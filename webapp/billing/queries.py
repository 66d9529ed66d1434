"""Reading invoices and credit memos: every query starts from what the actor may see."""

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, Invoice
from webapp.db import among, db, once_a_transaction
from webapp.errors import NotFound
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.orders.queries import AROUND, visible_of

AnyDocument = TypeVar("AnyDocument", bound=Invoice | CreditMemo)


class UnknownInvoice(NotFound):
    """No invoice has this number or id, or none that this person may see."""

    code = "unknown_invoice"
    sentence = _l("There is no invoice “%(name)s”.")


class UnknownMemo(NotFound):
    """No credit memo has this number or id, or none that this person may see."""

    code = "unknown_memo"
    sentence = _l("There is no credit memo “%(name)s”.")


def unknown(document: type[AnyDocument], name: str | int) -> NotFound:
    """No document of this kind has this number or id."""
    return UnknownInvoice(name=name) if document is Invoice else UnknownMemo(name=name)


def list_documents(actor: Actor, document: type[AnyDocument], *, limit: int = 200) -> Sequence[AnyDocument]:
    """Documents with their lines and orders, newest first: invoices by their issue, credit memos by when they were
    recorded, also those without a number.
    """
    at = CreditMemo.recorded_at if document is CreditMemo else document.issued_at
    query = visible_of(document, actor).order_by(at.desc(), document.id.desc())
    around = (*_around(document), selectinload(document.lines), joinedload(document.order))
    return list(db.session.scalars(query.limit(limit).options(*around)))


def find_document(number: str, actor: Actor, document: type[AnyDocument]) -> AnyDocument:
    """The document with this number; raises `NotFound`."""
    number = number.strip()
    query = visible_of(document, actor).where(document.number == number)
    query = query.options(*_whole(document), joinedload(document.order))
    found = db.session.scalars(query).unique().one_or_none() if number.isprintable() else None
    if found is None:
        raise unknown(document, "".join(letter if letter.isprintable() else "�" for letter in number))
    return found


def get_document(document_id: int, actor: Actor, document: type[AnyDocument]) -> AnyDocument:
    """The document with this id, with its lines, order and shop; raises `NotFound`, also while it has no number."""
    whole = (*_whole(document), joinedload(document.shop), joinedload(document.order).options(*AROUND))
    query = visible_of(document, actor).where(document.id == document_id, document.number.is_not(None)).options(*whole)
    found = db.session.scalars(query).unique().one_or_none()
    if found is None:
        raise unknown(document, document_id)
    return found


def documents_by_id(document: type[AnyDocument], ids: Sequence[int], actor: Actor) -> list[AnyDocument]:
    """Those of the documents that the actor may see, in this order, each with its lines, order, store and shop; also
    those without a number.
    """
    around = (
        selectinload(document.lines),
        joinedload(document.order).joinedload(Order.store),
        joinedload(document.shop),
    )
    query = visible_of(document, actor).where(among(document.id, ids)).options(*around)
    found = {row.id: row for row in db.session.scalars(query)}
    return [found[id_] for id_ in ids if id_ in found]


def document_ids_of(document: type[AnyDocument], order_ids: Sequence[int]) -> dict[int, list[int]]:
    """The ids of these orders' documents with a number, by order and oldest first."""
    found: dict[int, list[int]] = {order_id: [] for order_id in order_ids}
    query = select(document.order_id, document.id).where(among(document.order_id, order_ids))
    for order_id, id_ in db.session.execute(query.where(document.number.is_not(None)).order_by(document.id)):
        found[order_id].append(id_)
    return found


def orders_of_documents(document: type[AnyDocument], ids: Sequence[int]) -> dict[int, int]:
    """The id of the order of each of these documents."""
    return dict(db.session.execute(select(document.id, document.order_id).where(among(document.id, ids))).all())


def invoices_of(order: Order) -> Sequence[Invoice]:
    """The order's invoices with their lines and people, oldest first, in one query."""
    name = f"invoices of {order.id} {order.version}"  # every invoice raises the version
    return once_a_transaction(name, lambda: _invoices_of(order))


def _invoices_of(order: Order) -> Sequence[Invoice]:
    query = select(Invoice).where(Invoice.order_id == order.id).order_by(Invoice.id).options(*_whole(Invoice))
    return list(db.session.scalars(query).unique())


def memos_of(order: Order) -> Sequence[CreditMemo]:
    """The order's credit memos with their lines and people, oldest first, in one query; also those without a number."""
    name = f"memos of {order.id} {order.version}"  # every change of a memo raises the version
    return once_a_transaction(name, lambda: _memos_of(order))


def _memos_of(order: Order) -> Sequence[CreditMemo]:
    query = select(CreditMemo).where(CreditMemo.order_id == order.id).order_by(CreditMemo.id)
    return list(db.session.scalars(query.options(*_whole(CreditMemo))).unique())


def _whole(document: type[AnyDocument]) -> tuple[Any, ...]:
    return joinedload(document.lines), *_around(document)


def _around(document: type[AnyDocument]) -> tuple[Any, ...]:
    person = joinedload(document.person)
    return (person, joinedload(CreditMemo.opposite)) if document is CreditMemo else (person,)
