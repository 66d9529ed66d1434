"""Exports: the rows of a list as a table of chosen columns, streamed at once or written by a run.

A file has the values of the list's columns in plain form: numbers as numbers, money as decimals with their currency in
the next column, times in the shop's zone, as ISO 8601 in CSV. The subject defines which columns every file has, such as
both order numbers and both statuses. Text that a spreadsheet would read as a formula is escaped. Rows are read in
parts, as plain values: mapped objects would take twice the time. What the chosen columns read of each row is read in
one statement, so that all values are of one moment.
"""

import csv
import io
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from webapp.audit.actor import Actor
from webapp.db import db
from webapp.hooks.failures import NotTaken, WrongType
from webapp.hooks.fence import PluginFailed, ask, label_of
from webapp.hooks.registered import OfPlugin, owner_of
from webapp.i18n import gettext as _
from webapp.lists.contract import Cell, Expansion, PlainRow, Sorting, Subject
from webapp.lists.listing import first, matching_ids
from webapp.lists.rows import EXPORT, Rows, read_rows, values_of
from webapp.lists.saved_views import list_state, may_show, shown_columns
from webapp.money import Money
from webapp.search.compiling import Compiled
from webapp.search.contract import Column, ColumnKind
from webapp.search.registered import list_columns

PART = 1_000  # rows read at once
BYTE_ORDER_MARK = "\ufeff"  # by which Excel recognizes UTF-8
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MAYBE_FORMULA = frozenset({" ", *_FORMULA})
_CELLS = (str, int, Decimal, datetime, type(None))


def rows_labels(subject: Subject) -> dict[str, str]:
    """What a file may have a row for, by codes that are stored: the subject's own, or an expansion's."""
    return {subject.code: str(subject.each)} | {
        one.code: label_of(_part_of(subject, one)) for one in subject.expansions
    }


def _part_of(subject: Subject, expansion: Expansion) -> OfPlugin:
    """An expansion as the fence calls it: it fails for the plugin that brought the subject."""
    return OfPlugin(owner_of(subject), expansion.code, expansion.label)


def optional_columns(subject: Subject, actor: Actor) -> list[Column]:
    """The columns that this person can choose, without those that every file has."""
    known = list_columns(subject.code).values()
    return [column for column in known if column.code not in subject.always and may_show(column, actor)]


def required_columns(subject: Subject, actor: Actor) -> list[Column]:
    """The columns of every file of the subject that this person may see."""
    known = list_columns(subject.code)
    return [known[code] for code in subject.always if code in known and may_show(known[code], actor)]


def default_columns(subject: Subject, actor: Actor, view: str = "") -> list[str]:
    """The codes of the columns that the person's list shows in the view of this code, if they can be chosen."""
    state = list_state(actor, subject=subject.code)
    opened = next((known for known in state.views if known.code == view), None)
    offers = {column.code for column in optional_columns(subject, actor)}
    shown = shown_columns(state.layout, list_columns(subject.code), actor, opened)
    return [column.code for column, _width in shown if column.code in offers]


def ids_of(
    subject: Subject,
    actor: Actor,
    *,
    ids: Sequence[int] | None = None,
    compiled: Compiled | None = None,
    sort: str | None = None,
) -> Any:
    """The ids of the exported rows, in the list's order, as a compact array."""
    query = matching_ids(subject, actor, compiled, sort)
    if ids is not None:
        usual = Sorting.parse(subject)
        query = subject.visible(actor).with_only_columns(subject.model.id).where(subject.model.id.in_(ids))
        query = first(query, usual.by(usual.column, subject.model.id), not usual.descending, None)
    return array("q", db.session.connection().execute(query, execution_options={"yield_per": 10_000}).scalars())


class Table:
    """The rows of an export for one person, without the columns that they may not see."""

    def __init__(self, subject: Subject, actor: Actor, rows: str, codes: Iterable[str]) -> None:
        actor.needs("orders.export")
        offers = {column.code: column for column in optional_columns(subject, actor)}
        chosen = [offers[code] for code in dict.fromkeys(codes) if code in offers]
        self.subject, self.actor = subject, actor
        self.columns = [*required_columns(subject, actor), *chosen]
        self._expansion = next((one for one in subject.expansions if one.code == rows), None)

    @property
    def head(self) -> list[str]:
        """The heads of the columns, in the reader's language."""
        words = [word for column in self.columns for word in _heads(column)]
        words.insert(len(self.subject.always), str(_("Practice")))
        return [*words, *self._expansion_head]

    @cached_property
    def _expansion_head(self) -> list[str]:
        """The words over the cells of the expansion; where its plugin fails, one that says so."""
        if self._expansion is None:
            return []
        try:
            return ask(_part_of(self.subject, self._expansion), "export", _head, self._expansion)
        except PluginFailed:
            return [str(_("failed"))]

    def cells(self, ids: Sequence[int]) -> Iterator[Sequence[Cell]]:
        """The rows of these ids, in this order; the number of queries does not depend on the number of rows."""
        part = read_rows(self.subject, self.actor, ids, self.columns, EXPORT)
        cells = [cells for column in self.columns for cells in self._cells_of(column, part)]
        mark = str(_("Practice"))
        cells.insert(len(self.subject.always), [mark if row.store.practice else None for row in part])
        known = [row.id for row in part]
        rows: Iterator[tuple[Cell, ...]] = zip(*cells, strict=True)
        if self._expansion is None:
            yield from rows
            return
        expanded = self._expanded(self._expansion, known)
        for row_id, row in zip(known, rows, strict=True):
            for more in expanded.get(row_id, ()):
                yield (*row, *more)

    def _expanded(self, expansion: Expansion, ids: Sequence[int]) -> Mapping[int, Sequence[Sequence[Cell]]]:
        """The cells of the expansion for each of these rows; where its plugin fails, one row that says so."""
        width = len(self._expansion_head)
        try:
            return ask(_part_of(self.subject, expansion), "export", _expanded, expansion, ids, width)
        except PluginFailed:
            return dict.fromkeys(ids, ([str(_("failed"))] * width,))

    def _cells_of(self, column: Column, part: Rows) -> list[list[Cell]]:
        """The cells of a column; if its plugin fails, each cell says so."""
        try:
            values = values_of(column, part, self.actor)
            return ask(column, "column", _cells, column, values, part)
        except PluginFailed:
            return [[str(_("failed"))] * len(part) for _word in _heads(column)]


def as_csv(rows: Iterable[Sequence[Cell]]) -> str:
    """Rows as CSV text that no spreadsheet reads as formulas."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([[safe(cell) for cell in row] for row in rows])
    return text.getvalue().encode(errors="replace").decode()  # UTF-8 can't hold half a character, as cut texts end in


def safe(cell: Cell) -> Cell:
    """The cell for CSV: an apostrophe precedes text that a spreadsheet would calculate, and times become ISO 8601."""
    if isinstance(cell, str):
        return f"'{cell}" if cell[:1] in _MAYBE_FORMULA and cell.lstrip(" ").startswith(_FORMULA) else cell
    return cell.isoformat(timespec="seconds") if isinstance(cell, datetime) else cell


def stream_csv(table: Table, ids: Sequence[int], *, mark: bool = False) -> Iterator[str]:
    """The whole file in parts; each part is read in its own transaction, so that no snapshot stays open for long."""
    yield (BYTE_ORDER_MARK if mark else "") + as_csv([table.head])
    for start in range(0, len(ids), PART):
        yield as_csv(table.cells(ids[start : start + PART]))
        db.session.rollback()


def _head(expansion: Expansion) -> list[str]:
    return [str(word) for word in expansion.head()]


def _expanded(expansion: Expansion, ids: Sequence[int], width: int) -> Mapping[int, Sequence[Sequence[Cell]]]:
    """What an expansion gives for these rows. Raises `WrongType` and `NotTaken` for what no file can hold."""
    found: Any = expansion.cells(ids)
    if not isinstance(found, Mapping):
        raise WrongType(found, Mapping)
    for cells in (cells for rows in found.values() for cells in rows):
        if len(cells) != width:
            raise NotTaken(f"gave {len(cells)} cells under {width} heads")
        for cell in cells:
            if isinstance(cell, bool) or not isinstance(cell, _CELLS):
                raise WrongType(cell, _CELLS)
    return found


def _heads(column: Column) -> list[str]:
    label = str(column.label)
    if column.kind is ColumnKind.MONEY:
        return [label, str(_("%(column)s: currency", column=label))]
    return [label]


def _cells(column: Column, values: Mapping[int, Any], part: Rows) -> list[list[Cell]]:
    """The values of a column for the rows of a part; amounts have their currency in a second column."""
    found = [values.get(row.id) for row in part]
    if column.kind is ColumnKind.MONEY:
        amounts = [(value.decimal, value.currency) if isinstance(value, Money) else (None, None) for value in found]
        return [[amount for amount, _currency in amounts], [currency for _amount, currency in amounts]]
    if column.kind is ColumnKind.LABELS:
        return [["; ".join([str(label.text) for label in labels]) if labels else None for labels in found]]
    if column.kind is ColumnKind.LINK:
        return [[str(link.text) if link else None for link in found]]
    return [[_cell(value, row) for value, row in zip(found, part, strict=True)]]


def _cell(value: Any, row: PlainRow) -> Cell:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value.astimezone(row.zone)
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)
