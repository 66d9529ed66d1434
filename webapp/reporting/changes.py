"""Changes of the figures by new and changed orders, as rows appended in the transaction of the change.

A page of the import becomes a few rows, an act two: the order is subtracted from its old cell and added to its new one.
`folding` adds the rows to the daily figures.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from webapp.channels.models import Shop
from webapp.clock import parse_instant
from webapp.db import db, table_of
from webapp.orders.contract import OrdersChange
from webapp.orders.models import Order
from webapp.reporting.models import FigureChange, FigureZone


class Cell(NamedTuple):
    """One cell of the figures: orders that agree in all of these values are added up."""

    day: date
    shop_id: int
    store_id: int
    marketplace: str
    state: str
    currency: str


class Counts(NamedTuple):
    """The sums of a cell, or a change of them."""

    orders: int = 0
    units: int = 0
    total_minor: int = 0


Sums = dict[Cell, Counts]
COUNTED = frozenset({"shop_id", "store_id", "marketplace", "placed_at", "state", "currency", "items", "total_minor"})
COLUMNS = tuple(getattr(Order, name) for name in sorted(COUNTED))


def add(sums: Sums, cell: Cell, counts: Counts, sign: int = 1) -> None:
    had = sums.get(cell, Counts())
    sums[cell] = Counts(*(mine + sign * more for mine, more in zip(had, counts, strict=True)))


def place_of(order: Mapping[str, Any], zone: str) -> tuple[Cell, Counts]:
    """The cell and the sums of an order; while the channel withholds its total it has no currency."""
    total = order["total_minor"] if order["currency"] else None
    cell = Cell(
        day_of(order["placed_at"], zone),
        order["shop_id"],
        order["store_id"],
        order["marketplace"],
        order["state"],
        order["currency"] if total is not None else "",
    )
    return cell, Counts(1, order["items"], total or 0)


def day_of(instant: datetime, zone: str) -> date:
    return instant.astimezone(_zone(zone)).date()


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def count_new(order_ids: Sequence[int]) -> None:
    """Count orders that were just imported."""
    sums: Sums = {}
    for row in _counted_columns(order_ids).values():
        add(sums, *place_of(row, row["zone"]))
    append(sums)


def count_changes(changes: Iterable[OrdersChange]) -> None:
    """Move orders to their present cells, if the changed columns concern the figures."""
    concerned = [change for change in changes if COUNTED & change.changed.keys()]
    if not concerned:
        return
    rows = _counted_columns([change.order_id for change in concerned])
    sums: Sums = {}
    for change in concerned:
        row = rows[change.order_id]
        had = {name: value for name, value in change.before.items() if name in COUNTED}
        if "placed_at" in had:
            had["placed_at"] = parse_instant(had["placed_at"])
        add(sums, *place_of({**row, **had}, row["zone"]), sign=-1)
        add(sums, *place_of(row, row["zone"]))
    append(sums)


def _counted_columns(order_ids: Sequence[int]) -> dict[int, Mapping[str, Any]]:
    """The columns of these orders that the figures need, as they are now, with the zone in which their days are
    counted.
    """
    query = (
        select(Order.id, *COLUMNS, func.coalesce(FigureZone.zone, Shop.zone).label("zone"))
        .join(Shop, Shop.id == Order.shop_id)
        .outerjoin(FigureZone, FigureZone.shop_id == Order.shop_id)
        .where(Order.id.in_(order_ids))
    )
    return {row["id"]: dict(row) for row in db.session.execute(query).mappings()}


def append(sums: Sums) -> None:
    """Append the changes of the cells; changes that cancel out leave no row."""
    rows = [{**cell._asdict(), **counts._asdict()} for cell, counts in sums.items() if any(counts)]
    if rows:
        db.session.execute(table_of(FigureChange).insert(), rows)
