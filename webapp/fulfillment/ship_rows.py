"""The rows of a list of parcels: which units of which order left with which carrier under which tracking number.

The titles of the columns are those of the desk or those that marketplaces give theirs in files of shipments. Whether a
row can be shipped is decided where the list is checked (`ship_list`).
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date

from webapp.errors import DeskError
from webapp.i18n import lazy_gettext as _l
from webapp.lists.spreadsheets import is_longer, rounded_together
from webapp.lists.uploaded import SEPARATORS, TAB, TableRow, TitledColumn, cells_of, placed, values_of, write_cells

LONGEST = 5_000  # rows of one list
_LONGEST_CELL = 100
_SLASHED = re.compile(r"(\d\d?)/(\d\d?)/(\d{4})", re.ASCII)  # some write the day first, some the month
COLUMNS = (
    TitledColumn("number", _l("Order number"), ("order number", "order", "order id")),
    TitledColumn("carrier", _l("Carrier"), ("carrier", "carrier code")),
    TitledColumn("tracking_number", _l("Tracking number"), ("tracking number", "tracking", "tracking id")),
    TitledColumn("service", _l("Service"), ("service", "ship method", "shipping method")),
    TitledColumn("carrier_name", _l("Carrier's name"), ("carrier name", "carrier's name")),
    TitledColumn("ship_date", _l("Shipped on"), ("ship date", "shipped on", "shipping date")),
    TitledColumn("item", _l("Item"), ("item", "order item id", "item id", "sku")),
    TitledColumn("units", _l("Units"), ("units", "quantity", "qty")),
)


class EmptyList(DeskError):
    code, status, field = "empty_ship_list", 422, "list"
    sentence = _l("This list is empty. Each row needs an order number, a carrier and a tracking number.")


class ListTooLong(DeskError):
    code, status, field = "ship_list_too_long", 422, "list"
    sentence = _l("A list can have up to %(longest)s rows, and this list has more. Split the list and send the parts.")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the list, with a cell of each of `COLUMNS`; `line` counts from 1."""

    line: int
    number: str
    carrier: str = ""
    tracking_number: str = ""
    service: str = ""
    carrier_name: str = ""  # if the marketplace does not list the carrier
    ship_date: str = ""
    item: str = ""  # the channel's number of an order line, or its SKU; empty: any
    units: str = ""  # empty: all that are left
    odd: bool = field(default=False, kw_only=True)  # its number contains a separator, which no order number does
    rounded: bool = field(default=False, kw_only=True)  # its tracking number is one of a column that was rounded


def read_rows(text: str, *, written: bool = False) -> list[Row]:
    """The rows of a pasted or uploaded list: separated by tabs, semicolons or commas, with or without a head. A list
    `written` by `write_rows` is read without guessing.

    Raises `EmptyList`, `ListTooLong` or `CellTooLong`.
    """
    rows = [_row(row, _values_written(row)) for row in cells_of(text, TAB)] if written else _read(cells_of(text))
    if not rows:
        raise EmptyList
    if len(rows) > LONGEST:
        raise ListTooLong(longest=LONGEST)
    return rows


def write_rows(rows: Sequence[Row]) -> str:
    """The rows as a text for the step between checking and shipping; `read_rows` reads it with `written`."""
    return write_cells([[getattr(row, column.code) for column in COLUMNS] for row in rows])


def _read(table: Sequence[TableRow]) -> list[Row]:
    below, places = placed(table, COLUMNS)
    rows = [replace(_row(row, values_of(row, places)), odd=_is_odd(row, places["number"])) for row in below]
    if rows and len(below) == len(table) and not any(map(str.isdigit, rows[0].number + rows[0].tracking_number)):
        rows = rows[1:]  # a head of other titles: order numbers contain digits, titles don't
    if rounded_together([row.tracking_number for row in rows]):
        rows = [replace(row, rounded=is_longer(row.tracking_number)) for row in rows]
    return _dated(rows)


def days_meant(text: str) -> list[date]:
    """The days that a text such as 12/03/2026 can mean: with the day first, then with the month first."""
    days: dict[date, None] = {}
    if found := _SLASHED.fullmatch(text):
        first, second, year = map(int, found.groups())
        for month, day in ((second, first), (first, second)):
            with suppress(ValueError):
                days[date(year, month, day)] = None
    return list(days)


def _dated(rows: list[Row]) -> list[Row]:
    """The rows with days such as 25/03/2026 written as ISO 8601. Where a row can mean two days, the rows that can mean
    one say whether the day comes first, if they agree.
    """
    meant = {row.line: days for row in rows if (days := days_meant(row.ship_date))}
    if not meant:
        return rows
    plain = [(row.ship_date, meant[row.line][0]) for row in rows if len(meant.get(row.line, ())) == 1]
    ways = {int(text.partition("/")[0]) == day.day for text, day in plain if day.day != day.month}
    known = {line: days[0] for line, days in meant.items() if len(days) == 1}
    if len(ways) == 1:
        known |= {line: days[0 if True in ways else -1] for line, days in meant.items()}
    return [replace(row, ship_date=known[row.line].isoformat()) if row.line in known else row for row in rows]


def _is_odd(row: TableRow, place: int) -> bool:
    return place < len(row.cells) and any(separator in row.cells[place].strip() for separator in SEPARATORS)


def _values_written(row: TableRow) -> dict[str, str]:
    cells = ["".join(filter(str.isprintable, cell)).strip() for cell in row.cells]
    return {column.code: cell for column, cell in zip(COLUMNS, cells, strict=False)}


def _row(row: TableRow, values: dict[str, str]) -> Row:
    texts = {code: text[:_LONGEST_CELL] for code, text in values.items()}
    return Row(row.line, *(texts.get(column.code, "") for column in COLUMNS))
