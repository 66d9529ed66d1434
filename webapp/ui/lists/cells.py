"""How the values of columns are drawn in a list: for a whole page at once, since a list has hundreds of cells.

Of two values that belong together, such as both order numbers or both statuses, the second is drawn below the first.
What is equal in all rows (words, icons, URLs, the reader's formats) is made once per table. A subject that draws its
values in another way has a table class of its own, such as that in `order_cells`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from flask import url_for
from markupsafe import Markup

from webapp.hooks.fence import PluginFailed, ask, failed
from webapp.i18n import gettext as _
from webapp.lists.contract import PlainRow
from webapp.lists.rows import Rows, values_of
from webapp.search.contract import Column, ColumnKind, Label
from webapp.search.registered import list_columns
from webapp.ui.frame.formats import reader

_DASH = '<span class="muted none">—</span>'
_RIGHT = (ColumnKind.NUMBER, ColumnKind.MONEY)
Draw = Callable[[PlainRow, Any], str]
Beneath = Callable[[PlainRow], str]


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column: its label, its width, and the sorting that a click requests."""

    code: str
    label: str
    width: int
    right: bool
    help: str
    sort: str = ""  # the sorting after a click
    direction: str = ""  # ascending or descending, if the list is sorted by this column
    added: bool = False  # by the view: it can't be moved or widened, since it is in no layout


class Table:
    """Draws the rows of one page."""

    def __init__(
        self,
        rows: Rows,
        chosen: Sequence[tuple[Column, int]],
        view: str = "",
        ticked: Collection[int] = (),
        *,
        choosable: bool = True,
    ) -> None:
        self.plain, self.subject, self._view, self._ticked = rows, rows.subject, view, ticked
        self._choosable = choosable  # whether anything can be done to rows that are chosen
        self._known = list_columns(self.subject.code)
        self._drawing = self.drawing()
        self._cells = [self._column(column) for column, _ in chosen] if rows else []

    @property
    def rows(self) -> list[Markup]:
        """The rows as HTML; each row reloads itself, not the whole list, when its order's topic is announced."""
        before, after = url_for(f"{self.subject.code}.row", row_id=0, view=self._view or None).split("/0", 1)
        return [Markup(self._row(row, before, escape(after))) for row in self.plain]  # noqa: S704 - escaped here

    def _row(self, row: PlainRow, before: str, after: str) -> str:
        id_, one = row.id, self.subject.one
        dim = ' class="dim"' if self.is_dim(row) else ""
        box, cells = self._box(row) if self._choosable else "", "".join([cell(row) for cell in self._cells])
        return (
            f'<tr id="{one}-{id_}"{dim} data-live="orders-{row.order_id}" hx-get="{before}/{id_}{after}"'
            f' hx-trigger="refresh consume" hx-target="this" hx-swap="morph:outerHTML">'
            f'<td class="tick">{box}</td>{cells}</tr>\n'
        )

    def _box(self, row: PlainRow) -> str:
        """The box by which a row is chosen."""
        name = ask(self.subject, "list", self.subject.reference, row, gives=str)
        ticked = " checked" if row.id in self._ticked else ""
        return f'<input type="checkbox" name="{self.subject.one}" value="{row.id}" aria-label="{escape(name)}"{ticked}>'

    def is_dim(self, row: PlainRow) -> bool:
        """Whether the row is drawn dim, since nothing can be done with it."""
        return False

    def drawing(self) -> "Drawing":
        """The object that draws the values."""
        return Drawing()

    def beneath(self, code: str) -> Beneath | None:
        """The function that draws what is below the value of this column; None for nothing."""
        return None

    def values(self, code: str) -> Mapping[int, Any]:
        """The values of another column for this page; empty if that column fails."""
        try:
            return values_of(self._known[code], self.plain, self.plain.actor) if code in self._known else {}
        except PluginFailed:
            return {}

    def _column(self, column: Column) -> Beneath:
        """The function that draws the column's cell of a row; if a value can't be drawn, the cell says so."""
        beneath = self.beneath(column.code)
        try:
            draw = ask(column, "column", self._drawing.of, column)
            values = values_of(column, self.plain, self.plain.actor)
        except PluginFailed as problem:
            values, draw = dict.fromkeys((row.id for row in self.plain), problem), self._drawing.failed
        side = "num" if column.kind in _RIGHT else "text"
        opening = f'<td class="{side} c-{escape(column.code)}" data-label="{escape(str(column.label))}">'
        empty = self._drawing.empty(column.code)

        def cell(row: PlainRow) -> str:
            try:
                value = values.get(row.id)
                drawn = empty(row) if value is None or value == "" or value == [] else draw(row, value)
            except Exception as error:
                drawn = self._drawing.failed(row, failed(column, "column", error))
            return f"{opening}{drawn}{beneath(row) if beneath else ''}</td>"

        return cell


# --- Values as HTML ---------------------------------------------------------------------------------------------------


class Drawing:
    """Draws the values of one page, in the language and the formats of its reader."""

    def __init__(self) -> None:
        self._reader = reader()
        self._sprite = escape(url_for("static", filename="icons.svg"))
        self._drawn: dict[Label, str] = {}  # hundreds of chips have the same few labels
        self._by_code = self.by_code()
        self._by_kind: dict[ColumnKind, Draw] = {
            ColumnKind.TEXT: self._text,
            ColumnKind.NUMBER: self._number,
            ColumnKind.MONEY: self._money,
            ColumnKind.TIME: self._time,
            ColumnKind.COUNTDOWN: self._time_left,
            ColumnKind.LABELS: self.chips,
            ColumnKind.LINK: self._link,
        }

    def by_code(self) -> Mapping[str, Draw]:
        """The functions that draw the values of single columns, instead of the function for their kind."""
        return {"number": self.number_link, "state": self.pills}

    def empty(self, code: str) -> Beneath:
        """The function that draws a cell of this column without a value."""
        return lambda row: _DASH

    def of(self, column: Column) -> Draw:
        return self._by_code.get(column.code) or self._by_kind[column.kind]

    def failed(self, row: PlainRow, value: Any) -> str:
        """A chip in place of a value whose plugin failed; the reason is its title."""
        return self._chip(Label(_("failed"), "warn", "alert-triangle", str(value)))

    def _text(self, row: PlainRow, value: Any) -> str:
        text = escape(str(value))
        return f'<span class="clip" title="{text}">{text}</span>'

    def _number(self, row: PlainRow, value: Any) -> str:
        return str(int(value)) if value else '<span class="zero">0</span>'

    def _money(self, row: PlainRow, value: Any) -> str:
        return escape(self._reader.money(value))

    def _time(self, row: PlainRow, value: Any) -> str:
        return self._reader.when(value)

    def age(self, row: PlainRow, value: Any) -> str:
        """The time since then, with the time itself."""
        return f'{self._reader.age(value)}<span class="sub">{self._reader.when(value)}</span>'

    def _time_left(self, row: PlainRow, value: Any) -> str:
        return f'{self._reader.countdown(value)}<span class="sub">{self._reader.when(value)}</span>'

    def _link(self, row: PlainRow, value: Any) -> str:
        return f'<a href="{escape(value.url)}">{escape(value.text)}</a>'

    def number_link(self, row: PlainRow, value: Any) -> str:
        return f'<a class="number" href="{escape(value.url)}">{escape(value.text)}</a>'

    def chips(self, row: PlainRow, value: Any) -> str:
        return f'<span class="chips">{"".join([self._chip(label) for label in value])}</span>' if value else ""

    def pills(self, row: PlainRow, value: Any) -> str:
        pills = [f'<span class="pill" data-tone="{escape(label.tone)}">{escape(label.text)}</span>' for label in value]
        return f'<span class="chips">{"".join(pills)}</span>'

    def _chip(self, label: Label) -> str:
        if label not in self._drawn:
            title = f' title="{escape(label.title)}"' if label.title else ""
            icon = self.icon(label.icon) if label.icon else ""
            tone = escape(label.tone)
            self._drawn[label] = f'<span class="chip" data-tone="{tone}"{title}>{icon}{escape(label.text)}</span>'
        return self._drawn[label]

    def icon(self, name: str) -> str:
        return f'<svg class="icon" aria-hidden="true"><use href="{self._sprite}#{escape(name)}"></use></svg>'


def heads(chosen: Sequence[tuple[Column, int]], sort: str, added: Collection[str] = ()) -> list[Head]:
    """The heads of a list's columns; a click sorts by the column, a second click reverses the order. `added` are the
    codes of the columns that the view adds.
    """
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    made = []
    for column, width in chosen:
        here = bool(column.sort) and column.sort == name
        turned = column.sort if here and descending else f"-{column.sort}"
        if column.kind is ColumnKind.COUNTDOWN and not here:
            turned = column.sort  # the nearest deadline first
        made.append(
            Head(
                column.code,
                str(column.label),
                width,
                column.kind in _RIGHT,
                str(column.help),
                turned if column.sort else "",
                ("descending" if descending else "ascending") if here else "",
                column.code in added,
            )
        )
    return made
