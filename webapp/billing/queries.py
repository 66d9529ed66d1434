"""Reading invoices: every query starts from what the actor may see."""

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import joinedload, selectinload

from webapp.audit.actor import Actor
from webapp.billing.models import Invoice
from webapp.db import db, once_a_transaction
from webapp.errors import NotFound
from webapp.orders.models import Order

_WHOLE = (joinedload(Invoice.lines), joinedload(Invoice.person))


def visible(actor: Actor) -> Select[Invoice]:
    """All invoices of orders that the actor may see; raises `Forbidden` if the actor may see none."""
    actor.needs("orders.view")
    query = select(Invoice)
    if actor.shops is None:
        return query
    return query.join(Order, Order.id == Invoice.order_id).where(Order.shop_id.in_(actor.shops))


def list_invoices(actor: Actor, *, limit: int = 200) -> Sequence[Invoice]:
    """Invoices with their lines and orders, newest first."""
    query = visible(actor).order_by(Invoice.id.desc()).limit(limit)
    around = (selectinload(Invoice.lines), joinedload(Invoice.person), joinedload(Invoice.order))
    return list(db.session.scalars(query.options(*around)))


def find_invoice(number: str, actor: Actor) -> Invoice:
    """The invoice with this number; raises `NotFound`."""
    number = number.strip()
    query = visible(actor).where(Invoice.number == number).options(*_WHOLE, joinedload(Invoice.order))
    found = db.session.scalars(query).unique().one_or_none() if number.isprintable() else None
    if found is None:
        raise NotFound(name="".join(letter if letter.isprintable() else "�" for letter in number))
    return found


def get_invoice(invoice_id: int, actor: Actor) -> Invoice:
    """The invoice with this id, with its lines, order and shop; raises `NotFound`."""
    whole = (*_WHOLE, joinedload(Invoice.shop), joinedload(Invoice.order).joinedload(Order.store))
    query = visible(actor).where(Invoice.id == invoice_id).options(*whole)
    found = db.session.scalars(query).unique().one_or_none()
    if found is None:
        raise NotFound(name=invoice_id)
    return found


def invoices_of(order: Order) -> Sequence[Invoice]:
    """The order's invoices with their lines and people, oldest first, in one query."""
    name = f"invoices of {order.id} {order.version}"  # every invoice raises the version
    return once_a_transaction(name, lambda: _invoices_of(order))


def _invoices_of(order: Order) -> Sequence[Invoice]:
    query = select(Invoice).where(Invoice.order_id == order.id).order_by(Invoice.id).options(*_WHOLE)
    return list(db.session.scalars(query).unique())
