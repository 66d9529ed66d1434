"""The orders at which the job of automatic invoices and corrections has to look.

Whatever could make an invoice or its correction due writes the order's row in its own transaction, so that nothing is
lost with the queue; the clock finds the rows that are due by the index `ix_invoice_dues_next`. A row says no more than
*look*: the job locks the order, corrects what is invoiced too much and invoices what is due as it stands then, so a job
that runs twice, or on two workers, issues one document. Nothing is issued inside an import.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import structlog
from sqlalchemy import ColumnElement, delete, literal, select, update

from webapp.audit.actor import Actor
from webapp.billing.automatic import AUTOMATIC, WHEN, UnknownTax, due_parts
from webapp.billing.corrections import correct, excess_of
from webapp.billing.models import Invoice, InvoiceDue
from webapp.billing.remaining import read_amounts
from webapp.billing.services import MONEY, UNTAXED, issue
from webapp.clock import now
from webapp.db import among, any_row, db, insert_into
from webapp.errors import Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.runs import passes
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventWords, record
from webapp.orders.models import Order
from webapp.orders.queries import AROUND, locked_all
from webapp.orders.services import raise_attention
from webapp.settings.declared import STORE
from webapp.settings.stored import stored_everywhere

Plan = TypeVar("Plan")
log = structlog.get_logger(__name__)
AGAIN = timedelta(minutes=1)  # after an attempt that failed; the delay doubles with each further one
RAREST = timedelta(hours=6)
READ_ONLY = timedelta(minutes=10)  # until a store of which nothing is sent is looked at again
NOT_INVOICED = EventWords("not_invoiced", _l("Not invoiced automatically: its tax matches no declared rate"), MONEY)
UNKNOWN_TAX = AttentionKind(
    UNTAXED,
    _l("Not invoiced: its tax matches no declared rate"),
    _l(
        "Tax rates are declared for the country of delivery, but none of them matches the tax that the channel charged."
    ),
    _l("Correct the tax rates of the shop, and the order is invoiced automatically. Or invoice the order by hand."),
)


class Due(Protocol):
    """A row that says when a job looks again, and after how many attempts that failed."""

    next_at: Any
    tries: Any


def remember(order_ids: Sequence[int]) -> bool:
    """Have the job look at those of these orders whose stores are invoiced by themselves, in the open unit of work;
    returns whether there may be any. The caller holds the orders' locks.
    """
    stores = list(stored_everywhere(STORE, AUTOMATIC.code, WHEN.name))  # by hand is the default, which is not stored
    if not stores or not order_ids:
        return False
    _write(order_ids, Order.store_id.in_(stores), Order.number.is_not(None), ~Order.arrived_complete)
    return True


def remember_invoiced(order_ids: Sequence[int]) -> bool:
    """Have the job look at those of these orders that have invoices, in the open unit of work; returns whether there
    may be any. The caller holds the orders' locks.
    """
    if order_ids:
        _write(order_ids, select(Invoice.id).where(Invoice.order_id == Order.id).exists())
    return bool(order_ids)


def _write(order_ids: Sequence[int], *conditions: ColumnElement[bool]) -> None:
    chosen = select(Order.id, literal(now(), InvoiceDue.next_at.type), literal(0))
    chosen = chosen.where(among(Order.id, order_ids), *conditions)
    row = insert_into(InvoiceDue).from_select(["order_id", "next_at", "tries"], chosen)
    changed = {"next_at": row.excluded.next_at, "tries": 0}
    db.session.execute(row.on_conflict_do_update(index_elements=["order_id"], set_=changed))


def look_again(of: ColumnElement[bool]) -> None:
    """Have the job look at once at those of these orders that wait for another attempt."""
    waiting = select(Order.id).where(of, Order.id == InvoiceDue.order_id).exists()
    again = update(InvoiceDue).where(waiting).values(next_at=now())
    db.session.execute(again, execution_options={"synchronize_session": False})


def any_due() -> bool:
    """Whether the job has to look at an order."""
    return any_row(InvoiceDue, InvoiceDue.next_at <= now())


def work_off(limit: int) -> int:
    """Correct and invoice what is due of the next orders, in the open unit of work; returns how many were looked at."""
    next_ones = select(InvoiceDue.order_id).where(InvoiceDue.next_at <= now())
    ids = list(db.session.scalars(next_ones.order_by(InvoiceDue.next_at, InvoiceDue.order_id).limit(limit)))
    if not ids:
        return 0
    actor = Actor.job("billing")
    orders = locked_all(ids, actor, *AROUND)
    rows = select(InvoiceDue).where(among(InvoiceDue.order_id, ids)).order_by(InvoiceDue.order_id).with_for_update()
    rows = rows.execution_options(populate_existing=True)  # locked, so that `look_again` comes after a postponement
    waiting = {row.order_id: row for row in db.session.scalars(rows)}  # under the locks: another worker had the others
    orders = [order for order in orders if order.id in waiting]
    read_amounts(orders)
    for order in orders:
        if order.store.read_only is not None:  # this database may be a copy, or older than what was issued
            waiting[order.id].next_at = now() + READ_ONLY
    orders = [order for order in orders if order.store.read_only is None]
    too_much = [(order, excess) for order in orders if (excess := excess_of(order))]
    corrected = _done(too_much, lambda plans: correct(plans, actor=actor), waiting)
    failed = {order.id for order, _excess in too_much} - set(corrected)
    plans, over = [], []
    for order in (one for one in orders if one.id not in failed):
        due = waiting[order.id]
        try:
            plans.append((order, due_parts(order, actor)))
        except UnknownTax:
            _mark(order, actor)
            postpone(due)
        except Refusal:
            over.append(order.id)  # whatever makes it due later writes the row again
    over += _done(plans, lambda some: issue(some, actor=actor), waiting)
    db.session.flush()
    gone = delete(InvoiceDue).where(among(InvoiceDue.order_id, over))
    db.session.execute(gone, execution_options={"synchronize_session": False})
    return len(ids)


def _done(
    plans: Sequence[tuple[Order, Plan]],
    act: Callable[[Sequence[tuple[Order, Plan]]], object],
    waiting: dict[int, InvoiceDue],
) -> Sequence[int]:
    """Issue these documents together or, if that fails, each alone; returns the ids of orders that have theirs."""
    if not plans:
        return []
    try:
        with db.session.begin_nested():
            act(plans)
        return [order.id for order, _plan in plans]
    except Exception as error:
        if passes(error):
            raise
        if len(plans) == 1:
            [(order, _plan)] = plans
            log.error("order_not_invoiced", order=order.id, kind=type(error).__name__)
            postpone(waiting[order.id])
            return []
        return [id_ for plan in plans for id_ in _done([plan], act, waiting)]


def postpone(due: Due) -> None:
    """Have the job look again later, ever more seldom."""
    due.next_at = now() + min(AGAIN * 2**due.tries, RAREST)
    due.tries = min(due.tries + 1, 30)


def _mark(order: Order, actor: Actor) -> None:
    if not any(trouble["kind"] == UNTAXED for trouble in order.attention):
        raise_attention(order, UNTAXED)
        record(order, NOT_INVOICED.code, actor=actor)
