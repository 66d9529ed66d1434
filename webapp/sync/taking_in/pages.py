"""A page of incoming orders: prepared outside any transaction, then taken in as a set, in one; every order once.

A page is mapped and checked before the transaction; an order that fails is quarantined with its cause and blocks
nothing. Known orders are read in one query per table, new rows are written per table. Unchanged content writes nothing,
and an older answer never replaces a newer one. Only if a page can't be written is it repeated order by order, so that
only the faulty order is quarantined.
"""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError, OperationalError

from webapp.channels.incoming import IncomingOrder, OrdersPage, UnreadableOrder
from webapp.channels.models import ChannelOrder, Store
from webapp.channels.services import draw_numbers
from webapp.db import db, table_of
from webapp.jobs.runs import passes
from webapp.orders.order_settings import treatment_of
from webapp.sync.models import QuarantinedOrder
from webapp.sync.taking_in import facts
from webapp.sync.taking_in.prepared import PreparedOrder, known_orders, same_or_stale
from webapp.sync.taking_in.quarantine import Entry, entry_of, quarantine
from webapp.sync.taking_in.search_terms import terms_of
from webapp.sync.taking_in.writing import Taken, write_page
from webapp.vault import services as vault
from webapp.vault.key_file import KeyProblem
from webapp.vault.services import BUYER, RAW

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class PreparedPage:
    """A page made ready outside any transaction."""

    store_id: int
    orders: list[PreparedOrder]
    quarantined: list[Entry] = field(default_factory=list)
    numbers: dict[int, list[str]] = field(default_factory=dict)  # shop -> order numbers drawn for new orders
    seen: int = 0
    readable: list[str] = field(default_factory=list)


def prepare(store: Store, page: OrdersPage) -> PreparedPage:
    """Check and pack a page, and draw the numbers for its new orders; leaves no transaction open."""
    ready = PreparedPage(store.id, [], seen=len(page.orders) + len(page.unreadable))
    ready.quarantined += [entry_of(unreadable) for unreadable in page.unreadable]
    last = {
        order.number: facts.without_odd_extra(order)
        for order in sorted(page.orders, key=lambda order: order.updated_at)
    }
    known = known_orders(store.id, (number for number in last if number.isprintable()))  # others can't be looked up
    for number, order in sorted(last.items()):  # all that take in lock in this order
        if number in known and same_or_stale(known[number], order, facts.fingerprint(order)):
            ready.readable.append(number)
        elif isinstance(packed := pack_order(order), PreparedOrder):
            ready.orders.append(packed)
        else:
            ready.quarantined.append(entry_of(packed))
    treatment = treatment_of(store)
    if treatment.import_orders and treatment.own_numbers:
        wanted: dict[int, int] = {}
        for order in (entry.order for entry in ready.orders):
            if order.number not in known and order.is_sale and treatment.imports(order.marketplace):
                shop = treatment.shop_for(order.marketplace)
                wanted[shop] = wanted.get(shop, 0) + 1
        db.session.commit()  # ends the reading transaction: numbers are drawn in a transaction of their own
        ready.numbers = {shop: draw_numbers(shop, count) for shop, count in wanted.items()}
    return ready


def pack_order(order: IncomingOrder) -> PreparedOrder | UnreadableOrder:
    """An order prepared for writing, or the part of it that the desk can't store; uses no database."""
    order = facts.without_odd_extra(order)
    if problem := facts.problem_of(order):
        return UnreadableOrder(order.number, *problem, order.raw)
    fingerprint, order = facts.fingerprint(order), facts.without_odd_times(order)
    buyer, raw = vault.pack(BUYER, dict(order.buyer)), vault.pack(RAW, dict(order.raw))
    return PreparedOrder(order, fingerprint, buyer, raw, terms_of(order))


def take_in(store: Store, page: PreparedPage) -> Taken:
    """Write a prepared page in the open unit of work; safe to repeat, and beside another worker."""
    taken = Taken(seen=page.seen)
    try:
        with db.session.begin_nested():
            taken += write_page(store, page.numbers, page.orders)
    except Exception as error:
        if not _is_an_orders(error):
            raise
        log.warning("page_not_written", store=store.id, kind=_kind(error))
        taken += _one_by_one(store, page)
    fetched = db.session.scalars(
        select(QuarantinedOrder).where(
            QuarantinedOrder.store_id == store.id, QuarantinedOrder.number.in_(page.readable)
        )
    )
    for readable in fetched:  # quarantined before, now readable
        db.session.delete(readable)
    db.session.flush()
    quarantine(store.id, page.quarantined)
    taken.quarantined += len(page.quarantined)
    return taken


def note_unchanged(store_id: int, numbers: Sequence[str], at: datetime) -> None:
    """Note that these orders were read singly at that time, though their content has not changed. Pages don't note it:
    what is not on a page of changes has not changed either.
    """
    row = table_of(ChannelOrder)
    seen = update(row).where(row.c.store_id == store_id, row.c.number.in_(numbers)).values(seen_at=at)
    if numbers:
        db.session.execute(seen)


def _one_by_one(store: Store, page: PreparedPage) -> Taken:
    taken = Taken()
    for entry in page.orders:
        try:
            with db.session.begin_nested():
                taken += write_page(store, page.numbers, [entry])
        except Exception as error:
            if not _is_an_orders(error):
                raise
            way = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
            log.error("order_not_written", store=store.id, kind=_kind(error), way=" ".join(way[1:]))
            problem = "refused_by_database" if isinstance(error, DBAPIError) else "not_written"
            page.quarantined.append((entry.order.number, "order", problem, entry.order.raw))
    return taken


def _is_an_orders(error: Exception) -> bool:
    """Whether the order causes the error, and not a database, queue, disk or key file that is unreachable or busy
    for a while.
    """
    if isinstance(error, OperationalError):  # the error that PostgreSQL also raises for values that are too large
        return str(getattr(error.orig, "sqlstate", None)).startswith("54")
    return not isinstance(error, KeyProblem) and not passes(error)


def _kind(error: Exception) -> str:
    return type(getattr(error, "orig", None) or error).__name__
