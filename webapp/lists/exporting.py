"""Exports: the rows of a list as a table of chosen columns, streamed at once or written by a run.

A file holds what the list's columns say, in plain form: numbers as numbers, money as decimals beside their currency,
times in the shop's zone, as ISO 8601 in CSV. The subject says which columns are always there, such as both numbers and
both statuses. Text that a spreadsheet would take for a formula is defused. Rows are read a part at a time as plain
values: mapped objects would cost twice the time. What the chosen columns ask of each row is read in one statement, so
that it tells of one moment.
"""

import csv
import io
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from webapp.audit.actor import Actor
from webapp.db import db
from webapp.hooks.fence import PluginFailed, ask
from webapp.i18n import LazyString, gettext as _
from webapp.lists.contract import Cell, PlainRow, Sorting, Subject
from webapp.lists.listing import first, matching_ids
from webapp.lists.rows import EXPORT, Rows, read_rows, values_of
from webapp.lists.saved_views import kept_for, may_show, shown_columns
from webapp.money import Money
from webapp.search.compiling import Compiled
from webapp.search.contract import Column, ColumnKind
from webapp.search.registered import list_columns

PART = 1_000  # rows read at once
BYTE_ORDER_MARK = "\ufeff"  # by which Excel knows that a file is UTF-8
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_SUSPECT = frozenset({" ", *_FORMULA})


def rows_labels(subject: Subject) -> dict[str, LazyString]:
    """What a file may have a row for, by codes that are stored: the subject's own, or an expansion's."""
    return {subject.code: subject.each} | {one.code: one.label for one in subject.expansions}


def offered(subject: Subject, actor: Actor) -> list[Column]:
    """The columns that this person may choose from; the ones that are always there not among them."""
    known = list_columns(subject.code).values()
    return [column for column in known if column.code not in subject.always and may_show(column, actor)]


def always(subject: Subject, actor: Actor) -> list[Column]:
    """The columns of every file of the subject that this person may see."""
    known = list_columns(subject.code)
    return [known[code] for code in subject.always if code in known and may_show(known[code], actor)]


def usual(subject: Subject, actor: Actor, view: str = "") -> list[str]:
    """The columns that the person's list shows in the view of this code, where they may be exported."""
    kept = kept_for(actor, subject=subject.code)
    opened = next((known for known in kept.views if known.code == view), None)
    offers = {column.code for column in offered(subject, actor)}
    shown = shown_columns(kept.layout, list_columns(subject.code), actor, opened)
    return [column.code for column, _width in shown if column.code in offers]


def ids_of(
    subject: Subject,
    actor: Actor,
    *,
    ids: Sequence[int] | None = None,
    compiled: Compiled | None = None,
    sort: str | None = None,
) -> Any:
    """The ids of what is exported, in the list's order, as a compact array."""
    query = matching_ids(subject, actor, compiled, sort)
    if ids is not None:
        usual = Sorting.parse(subject)
        query = subject.visible(actor).with_only_columns(subject.model.id).where(subject.model.id.in_(ids))
        query = first(query, usual.by(usual.column, subject.model.id), not usual.descending, None)
    return array("q", db.session.connection().execute(query, execution_options={"yield_per": 10_000}).scalars())


class Table:
    """The rows of an export, for one person: what they may not see is no column of it."""

    def __init__(self, subject: Subject, actor: Actor, rows: str, codes: Iterable[str]) -> None:
        actor.needs("orders.export")
        offers = {column.code: column for column in offered(subject, actor)}
        chosen = [offers[code] for code in dict.fromkeys(codes) if code in offers]
        self.subject, self.actor = subject, actor
        self.columns = [*always(subject, actor), *chosen]
        self._expansion = next((one for one in subject.expansions if one.code == rows), None)

    @property
    def head(self) -> list[str]:
        """The words over the columns, in the reader's language."""
        words = [word for column in self.columns for word in _words(column)]
        words.insert(len(self.subject.always), str(_("Practice")))
        return [*words, *(self._expansion.head() if self._expansion else ())]

    def cells(self, ids: Sequence[int]) -> Iterator[Sequence[Cell]]:
        """The rows of these ids, in this order, in a number of queries that does not depend on theirs."""
        part = read_rows(self.subject, self.actor, ids, self.columns, EXPORT)
        cells = [cells for column in self.columns for cells in self._said(column, part)]
        mark = str(_("Practice"))
        cells.insert(len(self.subject.always), [mark if row.store.practice else None for row in part])
        known = [row.id for row in part]
        rows: Iterator[tuple[Cell, ...]] = zip(*cells, strict=True)
        if self._expansion is None:
            yield from rows
            return
        expanded = self._expansion.cells(known)
        for row_id, row in zip(known, rows, strict=True):
            for more in expanded.get(row_id, ()):
                yield (*row, *more)

    def _said(self, column: Column, part: Rows) -> list[list[Cell]]:
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


def _cells(column: Column, values: Mapping[int, Any], part: Rows) -> list[list[Cell]]:
    """What a column says of a part's rows; amounts have their currency in a column of its own."""
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
