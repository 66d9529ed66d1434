"""Exports: orders or their lines as a table of chosen columns, streamed at once or written by a run.

A file holds what the list's columns say, in plain form: numbers as numbers, money as decimals beside their currency,
times in the shop's zone, as ISO 8601 in CSV. Both numbers and both statuses are always there. Text that a spreadsheet
would take for a formula is defused. Orders are read a part at a time as plain rows: mapped objects would cost twice the
time. Which columns of an order's row the chosen ones ask for is learned from the first part, and every part's rows are
read in one statement, so that they tell of one moment.
"""

import csv
import io
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy import JSON, Row, Text, cast, select
from sqlalchemy.orm import lazyload

from webapp.audit.actor import Actor
from webapp.channels.described import product_code_heading
from webapp.channels.models import Shop, Store
from webapp.db import among, db, table_of
from webapp.hooks.failures import NO_FAULTS
from webapp.hooks.fence import PluginFailed, ask
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l, lazy_pgettext
from webapp.lists.listing import matching_ids
from webapp.lists.saved_views import kept_for, shown_columns
from webapp.money import Money, money
from webapp.orders.listing import NEWEST, ORDER_LIST
from webapp.orders.models import Order, OrderLine
from webapp.orders.queries import orders_by_id, visible
from webapp.orders.states import open_units
from webapp.search.compiling import Compiled
from webapp.search.contract import Column, ColumnKind
from webapp.search.registered import list_columns, values_of

Cell: TypeAlias = str | int | Decimal | datetime | None  # a time in its shop's zone
ORDERS, LINES = "orders", "lines"
ROWS_LABELS: dict[str, LazyString] = {ORDERS: _l("One row per order"), LINES: _l("One row per line")}
PART = 1_000  # orders read at once
ALWAYS = ("number", "channel_number", "state", "channel_status", "store")  # promise 3: in every file
BYTE_ORDER_MARK = "\ufeff"  # by which Excel knows that a file is UTF-8
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_SUSPECT = frozenset({" ", *_FORMULA})

_LINE_CELLS: tuple[tuple[str, LazyString], ...] = (
    ("sku", _l("SKU")),
    ("product_code", LazyString(product_code_heading)),
    ("title", _l("Title")),
    ("ordered", _l("Ordered")),
    ("canceled", lazy_pgettext("units", "Canceled")),
    ("shipped", lazy_pgettext("units", "Shipped")),
    ("refunded", lazy_pgettext("units", "Refunded")),
    ("open", _l("Open")),
)


def offered(actor: Actor) -> list[Column]:
    """The columns that this person may choose from; the ones that are always there not among them."""
    seen = [column for column in list_columns().values() if column.code not in ALWAYS]
    return [column for column in seen if not column.personal or actor.may("buyers.see")]


def usual(actor: Actor, view: str = "") -> list[str]:
    """The columns that the person's list shows in the view of this code, where they may be exported."""
    kept = kept_for(actor)
    opened = next((known for known in kept.views if known.code == view), None)
    offers = {column.code for column in offered(actor)}
    shown = shown_columns(kept.layout, list_columns(), actor, opened)
    return [column.code for column, _width in shown if column.code in offers]


def ids_of(
    actor: Actor, *, ids: Sequence[int] | None = None, compiled: Compiled | None = None, sort: str = NEWEST
) -> Any:
    """The ids of what is exported, in the list's order, as a compact array."""
    query = matching_ids(ORDER_LIST, actor, compiled, sort)
    if ids is not None:
        query = visible(actor).with_only_columns(Order.id).where(Order.id.in_(ids))
        query = query.order_by(Order.placed_at.desc(), Order.id.desc())
    return array("q", db.session.connection().execute(query, execution_options={"yield_per": 10_000}).scalars())


class Table:
    """The rows of an export, for one person: what they may not see is no column of it."""

    def __init__(self, actor: Actor, rows: str, codes: Iterable[str]) -> None:
        actor.needs("orders.export")
        known = list_columns()
        offers = {column.code for column in offered(actor)}
        chosen = [code for code in dict.fromkeys(codes) if code in offers]
        self.actor, self.rows = actor, rows
        self.columns = [known[code] for code in (*ALWAYS, *chosen) if code in known]
        self._asked: dict[str, None] = {}  # names of the orders' own columns that these turned out to read

    @property
    def head(self) -> list[str]:
        """The words over the columns, in the reader's language."""
        words = [word for column in self.columns for word in _words(column)]
        words.insert(len(ALWAYS), str(_("Practice")))
        if self.rows == LINES:
            words += [str(label) for _code, label in _LINE_CELLS]
            words += [str(_("Price each")), str(_("Line total")), str(_("Currency"))]
        return words

    def cells(self, ids: Sequence[int]) -> Iterator[Sequence[Cell]]:
        """The rows of these orders, in this order, in a number of queries that does not depend on theirs."""
        part, cells = self._of(ids)
        mark = str(_("Practice"))
        cells.insert(len(ALWAYS), [mark if order.store.practice else None for order in part])
        known = [order.id for order in part]
        part.clear()  # it and its orders know each other: without this they would wait for the collector
        rows: Iterator[tuple[Cell, ...]] = zip(*cells, strict=True)
        if self.rows == ORDERS:
            yield from rows
            return
        lines = _lines(known)
        for order_id, row in zip(known, rows, strict=True):
            for line in lines.get(order_id, ()):
                yield (*row, *_line_cells(line))

    def _of(self, ids: Sequence[int]) -> tuple["Part", list[list[Cell]]]:
        """These orders, and what each column says of them."""
        while True:
            part = Part(ids, self.actor, self._asked)
            try:
                return part, [cells for column in self.columns for cells in self._said(column, part)]
            except _ReadAgain:
                part.clear()

    def _said(self, column: Column, part: "Part") -> list[list[Cell]]:
        """The cells of a column; where its plugin fails, each says so."""
        try:
            values = values_of(column, part, self.actor)
            return ask(column, "column", _cells, column, values, part)
        except PluginFailed:
            return [[str(_("failed"))] * len(part) for _word in _words(column)]


def as_csv(rows: Iterable[Sequence[Cell]]) -> str:
    """Rows as CSV text that no spreadsheet takes for formulas."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([[safe(cell) for cell in row] for row in rows])
    return text.getvalue().encode(errors="replace").decode()  # half a character, as cut texts end in, is none of UTF-8


def safe(cell: Cell) -> Cell:
    """Text as text: what a spreadsheet would reckon gets an apostrophe before it. Numbers stay, times become ISO."""
    if isinstance(cell, str):
        return f"'{cell}" if cell[:1] in _SUSPECT and cell.lstrip(" ").startswith(_FORMULA) else cell
    return cell.isoformat(timespec="seconds") if isinstance(cell, datetime) else cell


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


def _cells(column: Column, values: Mapping[int, Any], part: "Part") -> list[list[Cell]]:
    """What a column says of a part's orders; amounts have their currency in a column of its own."""
    found = [values.get(order.id) for order in part]
    if column.kind is ColumnKind.MONEY:
        amounts = [(value.decimal, value.currency) if isinstance(value, Money) else (None, None) for value in found]
        return [[amount for amount, _currency in amounts], [currency for _amount, currency in amounts]]
    if column.kind is ColumnKind.LABELS:
        return [["; ".join([str(label.text) for label in labels]) if labels else None for labels in found]]
    if column.kind is ColumnKind.LINK:
        return [[str(link.text) if link else None for link in found]]
    return [[_cell(value, order.zone) for value, order in zip(found, part, strict=True)]]


def _cell(value: Any, zone: ZoneInfo) -> Cell:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value.astimezone(zone)
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _line_cells(line: Row[Any]) -> list[Cell]:
    values = line._mapping
    row: list[Cell] = [open_units(line) if code == "open" else values[code] for code, _l in _LINE_CELLS]
    for minor in (line.unit_price_minor, line.total_minor):
        row.append(Money(minor, line.currency).decimal if minor is not None and line.currency else None)
    return [*row, line.currency]


# --- Reading ----------------------------------------------------------------------------------------------------------


_ROW = table_of(Order).c
_parsed = lru_cache(maxsize=4096)(json.loads)  # flags, tags and troubles repeat themselves


class _ReadAgain(Exception):
    """What was read of a part does not answer its columns: it is to be read again."""


NO_FAULTS.append(_ReadAgain)


class PlainOrder:
    """What columns read of an order, from one plain row; whatever else one asks for is read from the order itself."""

    total = money("total_minor")
    residual = money("residual_minor")
    shown_state = Order.shown_state
    managed_at_channel = Order.managed_at_channel

    def __init__(self, part: "Part", related: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        self.__dict__.update(related, _part=part, _row=row)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in _ROW:
            self._part.asked[name] = None
            if name not in self._row:
                raise _ReadAgain
            value = self.__dict__[name] = self._row[name]
            return value
        found = orders_by_id([self.__dict__["id"]], self._part.actor)
        if not found:  # it went meanwhile to where the actor doesn't see it
            raise _ReadAgain
        return getattr(found[0], name)


class Part(list[Any]):
    """Some of the orders of an export that the actor may see, in this order and as plain rows.

    What its columns ask of the rows is noted in `asked`; a part that finds nothing there reads whole rows. One that is
    asked for more than it read raises `_ReadAgain`.
    """

    def __init__(self, ids: Sequence[int], actor: Actor, asked: dict[str, None]) -> None:
        self.actor, self.asked = actor, asked
        stores = {store.id: store for store in db.session.scalars(select(Store).options(lazyload(Store.marketplaces)))}
        shops = {shop.id: shop for shop in db.session.scalars(select(Shop))}
        zones = {shop_id: ZoneInfo(shop.zone) for shop_id, shop in shops.items()}
        found = self._rows(ids, list(dict.fromkeys(["id", "store_id", "shop_id", *(asked or _ROW.keys())])))
        super().__init__()
        for row in (found[order_id] for order_id in ids if order_id in found):
            store, shop, zone = stores[row["store_id"]], shops[row["shop_id"]], zones[row["shop_id"]]
            related = {"id": row["id"], "store": store, "shop": shop, "zone": zone}
            self.append(PlainOrder(self, row | related if asked else related, row))

    def _rows(self, ids: Sequence[int], names: Sequence[str]) -> dict[int, dict[str, Any]]:
        plain = [cast(_ROW[name], Text) if isinstance(_ROW[name].type, JSON) else _ROW[name] for name in names]
        query = visible(self.actor).with_only_columns(*plain).where(among(_ROW.id, ids))
        parsed = [place for place, name in enumerate(names) if isinstance(_ROW[name].type, JSON)]
        found = {}
        for row in db.session.connection().execute(query):
            values = dict(zip(names, row, strict=True))
            for place in parsed:
                values[names[place]] = _parsed(row[place])
            found[row[0]] = values
        return found


def _lines(order_ids: Sequence[int]) -> dict[int, list[Row[Any]]]:
    query = select(table_of(OrderLine)).where(among(OrderLine.order_id, order_ids)).order_by(OrderLine.position)
    found: dict[int, list[Row[Any]]] = {}
    for line in db.session.execute(query):
        found.setdefault(line.order_id, []).append(line)
    return found
