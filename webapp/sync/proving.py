"""The proof that all orders are here: reading all pages does not mean having all orders.

If a channel pages by counting and orders change meanwhile, some slip past a page border and are never returned. So the
orders of the first reading are read again, a page at a time, while nothing else is due and with a quarter of the
request allowance, until a whole pass finds no order that an earlier reading should have brought.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, select, update

from webapp import live
from webapp.channels.incoming import OrdersPage
from webapp.channels.models import ChannelOrder
from webapp.clock import now
from webapp.db import db
from webapp.sync.models import OrdersProof, StoreDenial, SyncWindow, WindowKind


def begin(store_id: int, low: datetime) -> None:
    """Prove again everything that changed since `low`; what was still to be proven stays to be proven."""
    row = db.session.get(OrdersProof, store_id)
    if row is None:
        row = OrdersProof(store_id=store_id, low=low, again_at=now(), passes=0, found_before=0)
        db.session.add(row)
    elif row.proven_at is None:
        row.low = min(row.low, low)
    else:
        row.low, row.passes, row.found_before = low, 0, 0
    row.proven_at, row.again_at = None, now()
    since = select(func.count()).where(ChannelOrder.store_id == store_id, ChannelOrder.updated_at >= row.low)
    row.total = db.session.scalar(since) or 0
    restart(row)
    denied = update(StoreDenial).where(StoreDenial.store_id == store_id, StoreDenial.low > row.low)
    db.session.execute(denied.values(low=row.low))  # the passes leave it out: it gets its own once it is allowed
    db.session.flush()


def since(store_id: int, low: datetime) -> datetime:
    """The time since which orders may be missed if something is denied from now on: the time from which nothing is
    proven yet.
    """
    row = db.session.get(OrdersProof, store_id)
    return low if row is None or row.proven_at is not None else min(row.low, low)


def due(store_id: int) -> OrdersProof | None:
    """The proof for which a page may be read now."""
    row = db.session.get(OrdersProof, store_id)
    return row if row is not None and row.proven_at is None and row.again_at <= now() else None


def of_store(store_id: int) -> OrdersProof:
    """The proof that a page was read for."""
    return db.session.get_one(OrdersProof, store_id)


def read_before(store_id: int, page: OrdersPage) -> OrdersPage:
    """The orders of a page that earlier readings should have brought; those changed since belong to the next window."""
    cursor = db.session.scalar(
        select(SyncWindow.cursor).where(SyncWindow.store_id == store_id, SyncWindow.kind == WindowKind.CHANGES)
    )
    return replace(page, orders=[order for order in page.orders if cursor is not None and order.updated_at <= cursor])


def page_read(row: OrdersProof, *, seen: int, new: int, next_page: str | None) -> None:
    """Advance the pass after a page was written, in its transaction; a whole pass without new orders completes the
    proof.
    """
    row.seen += seen
    row.found += new
    row.page_token, row.again_at = next_page, now()
    if next_page is None:
        row.passes, row.total = row.passes + 1, row.seen
        if row.found == 0:
            row.proven_at = now()
        restart(row)
    live.publish("stores", [row.store_id])


def restart(row: OrdersProof) -> None:
    """Begin the pass again."""
    row.found_before += row.found or 0
    row.page_token, row.seen, row.found = None, 0, 0
