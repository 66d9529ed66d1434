"""Folding the changes into the daily figures, and counting again from the orders themselves.

Folding moves rows from one table to the other in one transaction: a killed process has folded them or has not. Counting
again compares orders and figures at one moment, and appends the differences as changes; clerks and the import append
their own changes meanwhile, so nobody waits and nothing is counted twice. Only one process does either, while it renews
its lease: before each step, never inside one that writes, since the lease is a lock in Redis. A process that no longer
renews the lease, dead or alive, loses it a minute later.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from redis.exceptions import LockError
from redis.lock import Lock
from sqlalchemy import Connection, Table, delete, func, select, union_all

from webapp.channels.models import Shop
from webapp.db import db, insert_into, table_of
from webapp.errors import DeskError
from webapp.i18n import lazy_gettext as _l
from webapp.live import connection, key
from webapp.orders.models import Order
from webapp.reporting.changes import COLUMNS, Cell, Counts, Sums, add, append, place_of
from webapp.reporting.models import DailyFigure, FigureChange, FigureZone

log = structlog.get_logger(__name__)
CHUNK = 2000
LEASE = 60  # seconds after which a lease ends: longer than any step between two calls of `keep`
_ROWS_AT_ONCE = 5000


class LeaseLost(DeskError):
    """Another process may be counting by now: nothing more may be written."""

    code = "turn_lost"
    sentence = _l(
        "Calculating the figures took so long that another process may have started again. Try again in a minute."
    )


class Lease:
    """The exclusive right to fold and count, while it is renewed."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock

    def keep(self) -> None:
        """Renew the lease; called outside any unit of work. Raises `LeaseLost`."""
        try:
            self._lock.extend(LEASE, replace_ttl=True)
        except LockError as error:
            raise LeaseLost from error


@contextmanager
def only_one(*, wait: float = 0) -> Iterator[Lease | None]:
    """The lease, or None if another process has it; waits up to `wait` seconds for it."""
    lock = connection().lock(key("figures"), timeout=LEASE, blocking=wait > 0, blocking_timeout=wait or None)
    if not lock.acquire():
        yield None
        return
    try:
        yield Lease(lock)
    finally:
        with suppress(LockError):  # a lost lease belongs to another process
            lock.release()


def anything_to_fold() -> bool:
    return db.session.scalar(select(FigureChange.id).limit(1)) is not None


def fold(limit: int = CHUNK) -> int:
    """Move the oldest changes into the daily figures, in the open unit of work; returns their number. The caller has
    just renewed its lease.
    """
    changes, daily = table_of(FigureChange), table_of(DailyFigure)
    oldest = select(changes.c.id).order_by(changes.c.id).limit(limit).scalar_subquery()
    taken = delete(changes).where(changes.c.id.in_(oldest)).returning(*_columns(changes))
    sums: Sums = {}
    rows = db.session.execute(taken).all()
    for row in rows:
        add(sums, Cell(*row[:6]), Counts(*row[6:]))
    values = [{**cell._asdict(), **counts._asdict()} for cell, counts in sorted(sums.items()) if any(counts)]
    if values:
        insert = insert_into(DailyFigure)
        more = {name: daily.c[name] + insert.excluded[name] for name in Counts._fields}
        db.session.execute(insert.on_conflict_do_update(index_elements=list(Cell._fields), set_=more), values)
    return len(rows)


def shops_to_count() -> dict[int, str | None]:
    """Shops whose days must be counted again, with the zone of the last count: their zone was changed, or they were
    never counted.
    """
    zones = select(Shop.id, FigureZone.zone).outerjoin(FigureZone, FigureZone.shop_id == Shop.id)
    query = zones.where(FigureZone.zone.is_distinct_from(Shop.zone))
    return {row.id: row.zone for row in db.session.execute(query)}


def missing(lease: Lease, shop_ids: Sequence[int] | None = None) -> tuple[Sums, dict[int, str]]:
    """The differences between orders and figures (negative where the figures are too high), and the zones in which
    the days were counted. Takes about a second per 100,000 orders; holds no locks that others wait for.
    """
    with _one_moment() as reading:
        shops = select(Shop.id, Shop.zone)
        orders = select(Order.id, *COLUMNS)
        if shop_ids is not None:
            shops, orders = shops.where(Shop.id.in_(shop_ids)), orders.where(Order.shop_id.in_(shop_ids))
        zones = {row.id: row.zone for row in reading.execute(shops)}
        sums: Sums = {}
        found = reading.execute(orders, execution_options={"yield_per": _ROWS_AT_ONCE}).mappings()
        for rows in found.partitions():
            lease.keep()
            for row in rows:
                add(sums, *place_of(dict(row), zones[row["shop_id"]]))
        for cell, counts in _stored(reading, shop_ids):
            add(sums, cell, counts, sign=-1)
    return {cell: counts for cell, counts in sums.items() if any(counts)}, zones


@contextmanager
def _one_moment() -> Iterator[Connection]:
    """A snapshot of the database, for any number of readings."""
    with db.engine.connect() as reading:
        if db.engine.dialect.name == "postgresql":
            reading = reading.execution_options(isolation_level="REPEATABLE READ")
        yield reading


def _stored(reading: Connection, shop_ids: Sequence[int] | None) -> Iterator[tuple[Cell, Counts]]:
    tables = [table_of(DailyFigure), table_of(FigureChange)]
    parts = [select(*_columns(table)) for table in tables]
    if shop_ids is not None:
        parts = [part.where(table.c.shop_id.in_(shop_ids)) for part, table in zip(parts, tables, strict=True)]
    both = union_all(*parts).subquery()
    cells = [both.c[name] for name in Cell._fields]
    sums = [func.sum(both.c[name]) for name in Counts._fields]
    for row in reading.execute(select(*cells, *sums).group_by(*cells)):
        yield Cell(*row[:6]), Counts(*(int(number) for number in row[6:]))


def _columns(table: Table) -> list[Any]:
    return [table.c[name] for name in (*Cell._fields, *Counts._fields)]


def correct(sums: Sums, zones: dict[int, str]) -> None:
    """Append the differences, in the open unit of work; from now on the shops' days are counted in these zones. The
    caller has just renewed its lease.
    """
    append(sums)
    for shop_id, zone in zones.items():
        db.session.merge(FigureZone(shop_id=shop_id, zone=zone))
