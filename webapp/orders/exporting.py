"""Exports: orders or their lines as a table of chosen columns, streamed at once or written by a run.

A file holds what the list's columns say, in plain form: numbers as numbers, money as decimals beside their currency,
times as ISO 8601 in the shop's zone. Both numbers and both statuses are always there. Text that a spreadsheet would
take for a formula is defused. Orders are read a part at a time as plain rows: mapped objects would cost twice the time.
"""

import csv
import io
from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy import Row, select
from sqlalchemy.orm import lazyload

from webapp.audit.actor import Actor
from webapp.channels.models import Shop, Store
from webapp.db import db, table_of
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l
from webapp.money import Money, money
from webapp.orders.listing import NEWEST, Asked, matching_ids
from webapp.orders.models import Order, OrderLine
from webapp.orders.queries import orders_by_id, visible
from webapp.search.contract import Column, ColumnKind
from webapp.search.models import ListLayout
from webapp.search.registered import columns

Cell: TypeAlias = str | int | Decimal | None
ORDERS, LINES = "orders", "lines"
ROWS_LABELS: dict[str, LazyString] = {ORDERS: _l("One row per order"), LINES: _l("One row per line")}
PART = 1_000  # orders read at once
ALWAYS = ("number", "channel_number", "state", "channel_status", "store")  # promise 3: in every file
BYTE_ORDER_MARK = "\ufeff"  # by which Excel knows that a file is UTF-8
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_SUSPECT = frozenset({" ", *_FORMULA})

_LINE_CELLS: tuple[tuple[str, LazyString], ...] = (
    ("sku", _l("SKU")),
    ("asin", _l("ASIN")),
    ("title", _l("Title")),
    ("ordered", _l("Ordered")),
    ("canceled", _l("Canceled")),
    ("shipped", _l("Shipped")),
    ("refunded", _l("Refunded")),
    ("open", _l("Open")),
)


def offered(actor: Actor) -> list[Column]:
    """The columns that this person may choose from; the ones that are always there not among them."""
    seen = [column for column in columns().values() if column.code not in ALWAYS]
    return [column for column in seen if not column.personal or actor.may("buyers.see")]


def usual(actor: Actor) -> list[str]:
    """The columns that the person's list shows, where they may be exported."""
    layout = db.session.get(ListLayout, (actor.id, "orders")) if actor.id is not None else None
    shown = [told["code"] for told in layout.columns] if layout else None
    known = offered(actor)
    if shown is None:
        return [column.code for column in known if column.default]
    by_code = {column.code for column in known}
    return [code for code in shown if code in by_code]


def ids_of(actor: Actor, *, ids: Sequence[int] | None = None, compiled: Asked | None = None, sort: str = NEWEST) -> Any:
    """The ids of what is exported, in the list's order, as a compact array."""
    query = matching_ids(actor, compiled, sort)
    if ids is not None:
        query = visible(actor).with_only_columns(Order.id).where(Order.id.in_(ids))
        query = query.order_by(Order.placed_at.desc(), Order.id.desc())
    return array("q", db.session.scalars(query.execution_options(yield_per=10_000)))


class Table:
    """The rows of an export, for one person: what they may not see is no column of it."""

    def __init__(self, actor: Actor, rows: str, codes: Iterable[str]) -> None:
        actor.needs("orders.export")
        known = columns()
        offers = {column.code for column in offered(actor)}
        chosen = [code for code in dict.fromkeys(codes) if code in offers]
        self.actor, self.rows = actor, rows
        self.columns = [known[code] for code in (*ALWAYS, *chosen) if code in known]

    @property
    def head(self) -> list[str]:
        """The words over the columns, in the reader's language."""
        words = [word for column in self.columns for word in _words(column)]
        words.insert(len(ALWAYS), str(_("Practice")))
        if self.rows == LINES:
            words += [str(label) for _code, label in _LINE_CELLS]
            words += [str(_("Price each")), str(_("Line total")), str(_("Currency"))]
        return words

    def cells(self, ids: Sequence[int]) -> Iterator[list[Cell]]:
        """The rows of these orders, in this order, in a fixed number of queries."""
        orders = _orders(ids, self.actor)
        answers = [(column, column.values(orders, self.actor)) for column in self.columns]
        lines = _lines([order.id for order in orders]) if self.rows == LINES else {}
        mark = str(_("Practice"))
        for order in orders:
            row: list[Cell] = []
            for column, values in answers:
                row += _cells(column, values.get(order.id), order.zone)
            row.insert(len(ALWAYS), mark if order.store.practice else None)
            if self.rows == LINES:
                for line in lines.get(order.id, ()):
                    yield row + _line_cells(line)
            else:
                yield row


def as_csv(rows: Iterable[Sequence[Cell]]) -> str:
    """Rows as CSV text that no spreadsheet takes for formulas."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([[safe(cell) for cell in row] for row in rows])
    return text.getvalue().encode(errors="replace").decode()  # half a character, as cut texts end in, is none of UTF-8


def safe(cell: Cell) -> Cell:
    """Text as text: what a spreadsheet would reckon gets an apostrophe before it. Numbers stay numbers."""
    if isinstance(cell, str) and cell[:1] in _SUSPECT and cell.lstrip(" ").startswith(_FORMULA):
        return f"'{cell}"
    return cell


def stream_csv(table: Table, ids: Sequence[int], *, mark: bool = False) -> Iterator[str]:
    """The whole file, a part at a time; each is a reading of its own, so that no snapshot stays open for long."""
    yield (BYTE_ORDER_MARK if mark else "") + as_csv([table.head])
    for start in range(0, len(ids), PART):
        yield as_csv(table.cells(ids[start : start + PART]))
        db.session.rollback()


def _words(column: Column) -> list[str]:
    label = str(column.label)
    if column.kind is ColumnKind.MONEY:
        return [label, str(_("%(column)s: currency", column=label))]
    return [label]


def _cells(column: Column, value: Any, zone: ZoneInfo) -> list[Cell]:
    if column.kind is ColumnKind.MONEY:
        return [value.decimal, value.currency] if isinstance(value, Money) else [None, None]
    if value is None or value == "":
        return [None]
    if column.kind is ColumnKind.LABELS:
        return ["; ".join(str(label.text) for label in value)]
    if column.kind is ColumnKind.LINK:
        return [str(value.text)]
    if isinstance(value, datetime):
        return [value.astimezone(zone).isoformat(timespec="seconds")]
    return [value if isinstance(value, int) and not isinstance(value, bool) else str(value)]


def _line_cells(line: Row[Any]) -> list[Cell]:
    told = line._mapping
    row: list[Cell] = [
        line.ordered - line.canceled - line.withdrawn - line.shipped if code == "open" else told[code]
        for code, _l in _LINE_CELLS
    ]
    for minor in (line.unit_price_minor, line.total_minor):
        row.append(Money(minor, line.currency).decimal if minor is not None and line.currency else None)
    return [*row, line.currency]


# --- Reading ----------------------------------------------------------------------------------------------------------


_NAMES = tuple(table_of(Order).c.keys())


class PlainOrder:
    """What columns read of an order, from one plain row; whatever else one asks for is read from the order itself."""

    total = money("total_minor")
    residual = money("residual_minor")
    shown_state = Order.shown_state
    managed_at_channel = Order.managed_at_channel

    def __init__(self, row: Iterable[Any], store: Store, shop: Shop, zone: ZoneInfo, actor: Actor) -> None:
        self.__dict__.update(zip(_NAMES, row, strict=True))
        self.store, self.shop, self.zone, self._actor = store, shop, zone, actor

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        [order] = orders_by_id([self.__dict__["id"]], self._actor)
        return getattr(order, name)


def _orders(ids: Sequence[int], actor: Actor) -> list[Any]:
    """The orders of these ids that the actor may see, as plain rows and in this order."""
    stores = {store.id: store for store in db.session.scalars(select(Store).options(lazyload(Store.marketplaces)))}
    shops = {shop.id: shop for shop in db.session.scalars(select(Shop))}
    zones = {shop_id: ZoneInfo(shop.zone) for shop_id, shop in shops.items()}
    query = visible(actor).with_only_columns(*table_of(Order).c).where(Order.id.in_(list(ids)))
    found = {
        row.id: PlainOrder(row, stores[row.store_id], shops[row.shop_id], zones[row.shop_id], actor)
        for row in db.session.execute(query)
    }
    return [found[order_id] for order_id in ids if order_id in found]


def _lines(order_ids: Sequence[int]) -> dict[int, list[Row[Any]]]:
    query = select(table_of(OrderLine)).where(OrderLine.order_id.in_(order_ids)).order_by(OrderLine.position)
    found: dict[int, list[Row[Any]]] = {}
    for line in db.session.execute(query):
        found.setdefault(line.order_id, []).append(line)
    return found
