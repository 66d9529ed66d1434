"""What a store's settings would invoice of the orders that were there before: a preview, and by choice a run.

Switching invoices on issues nothing by itself: facts alone make an order due. Here a person sees which documents would
be issued, and issues them as a bulk run, which can be paused and stopped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, or_, select, text

from webapp.audit.actor import Actor
from webapp.billing.automatic import OF_CHANNEL, SINCE, WHEN, When, due_parts
from webapp.billing.models import Invoice
from webapp.billing.remaining import read_amounts
from webapp.channels.incoming import FulfilledBy
from webapp.channels.models import Store
from webapp.channels.shops import get_shop
from webapp.db import db
from webapp.errors import Refusal
from webapp.jobs.models import Run
from webapp.money import Money
from webapp.orders import bulk
from webapp.orders.models import ARCHIVED, SHOWN, Order, OrderAmount, OrderLine
from webapp.orders.queries import AROUND, visible
from webapp.orders.services import find_action, read_input
from webapp.orders.states import OrderState

LOOKED_AT = 500  # orders of which the preview computes the documents
_ACTION = "invoice"


@dataclass(frozen=True, slots=True)
class DueInvoice:
    """An invoice that would be issued."""

    order: Order
    units: int
    total: Money


@dataclass(frozen=True, slots=True)
class Backlog:
    """The invoices that would be issued now, with their totals by currency. `more`: further orders were not looked
    at.
    """

    due: Sequence[DueInvoice]
    totals: Sequence[Money]
    more: bool


def preview(store: Store, actor: Actor) -> Backlog:
    """What the store's settings would invoice now of its orders, those placed first at first."""
    ids = _candidates(store, actor, LOOKED_AT + 1)
    query = visible(actor).where(Order.id.in_(ids[:LOOKED_AT])).order_by(Order.placed_at, Order.id)
    orders = list(db.session.scalars(query.options(*AROUND)))
    read_amounts(orders)
    due = []
    for order in orders:
        try:
            parts = due_parts(order, actor)
        except Refusal:
            continue
        total = Money(sum(part.amount.net for part in parts), order.currency or "")
        due.append(DueInvoice(order, sum(part.units for part in parts), total))
    return Backlog(due, list(_sums(due)), len(ids) > LOOKED_AT)


def issue_all(store: Store, ids: Sequence[int], *, actor: Actor, key: str = "") -> Run:
    """Start a run that invoices what is due of these orders as they stand then. A repeated `key` returns the first
    run. Raises `NothingChosen`.
    """
    actor.needs_shops(store.shop_ids)
    return bulk.start_bulk(_ACTION, read_input(find_action(_ACTION), {"due": True}), actor=actor, ids=ids, key=key)


def due_ids(store: Store, actor: Actor) -> list[int]:
    """The orders of the store of which something may be due. Raises `TooManyForOneRun`."""
    found = _candidates(store, actor, bulk.CAP + 1)
    if len(found) > bulk.CAP:
        raise bulk.TooManyForOneRun(cap=bulk.CAP)
    return found


def _sums(due: Sequence[DueInvoice]) -> Iterator[Money]:
    for currency in sorted({one.total.currency for one in due}):
        yield Money(sum(one.total.minor for one in due if one.total.currency == currency), currency)


def _candidates(store: Store, actor: Actor, limit: int) -> list[int]:
    """The ids of orders of which something may be due, those of the archive first."""
    if WHEN.of(store) == When.BY_HAND:
        return []
    found: list[int] = []
    for part in (ARCHIVED, SHOWN):  # each has its index
        query = _may_be_due(store, actor).where(text(f"orders.{part}")).limit(limit - len(found))
        found += db.session.scalars(query)
    return found


def _may_be_due(store: Store, actor: Actor) -> Select[int]:
    left = OrderLine.ordered - OrderLine.canceled - OrderLine.withdrawn - OrderLine.invoiced
    units: list[ColumnElement[bool]] = [left > 0]
    if WHEN.of(store) == When.SHIPPED:
        units.append(OrderLine.shipped > OrderLine.invoiced)
    paid = OrderAmount.charged + OrderAmount.tax - OrderAmount.discount
    invoiced = OrderAmount.invoiced_charged + OrderAmount.invoiced_tax - OrderAmount.invoiced_discount
    amounts = select(OrderAmount.id).where(OrderAmount.order_id == Order.id, paid > invoiced)
    kept_off = select(Invoice.id).where(
        Invoice.order_id == Order.id, Invoice.terms["left_out"].as_string().is_not(None)
    )
    query = visible(actor).where(
        Order.store_id == store.id,
        Order.placed_at >= _earliest(store),
        Order.number.is_not(None),
        Order.total_minor > 0,
        ~Order.arrived_complete,
        ~Order.canceling,
        ~Order.on_hold,
        Order.state.not_in([OrderState.PENDING, OrderState.CANCELED]),
        or_(
            select(OrderLine.id).where(OrderLine.order_id == Order.id, *units).exists(),
            amounts.exists() & kept_off.exists(),
        ),
    )
    if not OF_CHANNEL.of(store):
        query = query.where(Order.fulfilled_by != FulfilledBy.CHANNEL)
    return query.with_only_columns(Order.id).order_by(Order.placed_at, Order.id)


def _earliest(store: Store) -> datetime:
    """The beginning of the day from which the store is invoiced, in that of its shops' zones where it begins first."""
    day = date.fromisoformat(SINCE.of(store))
    return min(datetime.combine(day, time(), ZoneInfo(get_shop(id_).zone)) for id_ in store.shop_ids)
