"""How a column's values look in the order list: drawn for a whole page, since a list has hundreds of cells.

Where two things belong together, such as both numbers or both statuses, the second stands beneath the first. What
does not differ from row to row (words, icons, addresses, who reads) is made once a table.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from flask import url_for
from markupsafe import Markup

from webapp.audit.actor import Actor
from webapp.hooks.fence import PluginFailed, ask, failed
from webapp.i18n import gettext as _, ngettext
from webapp.orders.badges import PRACTICE
from webapp.orders.models import Order
from webapp.orders.queries import reference
from webapp.search.contract import Column, ColumnKind, Label
from webapp.search.registered import list_columns, values_of
from webapp.ui.frame.formats import reader

_DASH = '<span class="muted">—</span>'
_RIGHT = (ColumnKind.NUMBER, ColumnKind.MONEY)
_OPEN = ("pending", "processing")
Draw = Callable[[Order, Any], str]
Beneath = Callable[[Order], str]


@dataclass(frozen=True, slots=True)
class Head:
    """A column's head: its word, its width, and what sorting by it asks for."""

    code: str
    label: str
    width: int
    right: bool
    help: str
    sort: str = ""  # what a click sorts by
    direction: str = ""  # ascending or descending, where the list is sorted by it


class Table:
    """The rows of one page under its columns."""

    def __init__(
        self,
        orders: Sequence[Order],
        chosen: Sequence[tuple[Column, int]],
        actor: Actor,
        view: str,
        ticked: Collection[int] = (),
    ) -> None:
        self.orders, self._actor, self._view, self._ticked = orders, actor, view, ticked
        self._known = list_columns()
        self._drawing = Drawing()
        self._cells = [self._column(column) for column, _ in chosen] if orders else []

    @property
    def rows(self) -> list[Markup]:
        """Every order as a row that renews itself when its topic is announced, and not the list around it."""
        before, after = url_for("orders.row", order_id=0, view=self._view or None).split("/0", 1)
        return [Markup(self._row(order, before, escape(after))) for order in self.orders]  # noqa: S704 - escaped here

    def _row(self, order: Order, before: str, after: str) -> str:
        id_ = order.id
        dim = ' class="dim"' if order.number is None or order.state in ("pending", "canceled") else ""
        ticked = " checked" if id_ in self._ticked else ""
        cells = "".join([cell(order) for cell in self._cells])
        return (
            f'<tr id="order-{id_}"{dim} data-live="orders-{id_}" hx-get="{before}/{id_}{after}"'
            f' hx-trigger="refresh consume" hx-target="this" hx-swap="morph:outerHTML">'
            f'<td class="tick"><input type="checkbox" name="order"'
            f' value="{id_}" aria-label="{escape(reference(order))}"{ticked}></td>{cells}</tr>\n'
        )

    def values(self, code: str) -> Mapping[int, Any]:
        """What another column tells of the same page; nothing where it fails."""
        try:
            return values_of(self._known[code], self.orders, self._actor) if code in self._known else {}
        except PluginFailed:
            return {}

    def _column(self, column: Column) -> Beneath:
        """Draws a column's cell for an order. A value that can't be drawn says that its plugin failed."""
        beneath = _BENEATH[column.code](self) if column.code in _BENEATH else None
        try:
            draw = ask(column, "column", self._drawing.of, column)
            values = values_of(column, self.orders, self._actor)
        except PluginFailed as problem:
            values, draw = dict.fromkeys((order.id for order in self.orders), problem), self._drawing.failed
        side = "num" if column.kind in _RIGHT else "text"
        opening = f'<td class="{side} c-{escape(column.code)}" data-label="{escape(str(column.label))}">'
        empty = self._drawing.withheld() if column.code == "buyer" else _DASH

        def cell(order: Order) -> str:
            try:
                value = values.get(order.id)
                drawn = empty if value is None or value == "" or value == [] else draw(order, value)
            except Exception as error:
                drawn = self._drawing.failed(order, failed(column, "column", error))
            return f"{opening}{drawn}{beneath(order) if beneath else ''}</td>"

        return cell


# --- What stands beneath ----------------------------------------------------------------------------------------------


def _channel_number(table: Table) -> Beneath:
    return lambda order: f'<span class="sub">{escape(order.channel_order_number)}</span>'


def _channel_status(table: Table) -> Beneath:
    names, statuses = table.values("channel"), table.values("channel_status")
    pairs = {order.id: (names.get(order.id) or "—", statuses.get(order.id) or "—") for order in table.orders}
    words = {pair: escape(_("%(name)s: %(text)s", name=pair[0], text=pair[1])) for pair in set(pairs.values())}
    return lambda order: f'<span class="sub">{words[pairs[order.id]]}</span>'


def _to_ship(table: Table) -> Beneath:
    def beneath(order: Order) -> str:
        if order.unshipped and order.state == "processing" and order.fulfilled_by == "merchant":
            return f'<span class="sub">{words[order.unshipped]}</span>'
        return ""

    words = {
        count: escape(ngettext("%(num)s to ship", "%(num)s to ship", count))
        for count in {order.unshipped for order in table.orders}
    }
    return beneath


def _marketplace_and_shop(table: Table) -> Beneath:
    marketplaces = table.values("marketplace")
    word = _("Practice")
    practice = f' · <span class="tone-warn">{escape(word)}</span>'

    def beneath(order: Order) -> str:
        where = escape(f"{marketplaces.get(order.id, order.marketplace)} · {order.shop.name}")
        return f'<span class="sub">{where}{practice if order.store.practice else ""}</span>'

    return beneath


_BENEATH: Mapping[str, Callable[[Table], Beneath]] = {
    "number": _channel_number,
    "state": _channel_status,
    "units": _to_ship,
    "store": _marketplace_and_shop,
}


# --- How values look: text that is HTML already -----------------------------------------------------------------------


class Drawing:
    """Draws the values of one page for whoever reads it."""

    def __init__(self) -> None:
        self._reader = reader()
        self._sprite = escape(url_for("static", filename="icons.svg"))
        self._drawn: dict[Label, str] = {}  # hundreds of chips say the same few words
        self._by_code: dict[str, Draw] = {"number": self._number_link, "state": self._pills, "badges": self._badges}
        self._by_kind: dict[ColumnKind, Draw] = {
            ColumnKind.TEXT: self._text,
            ColumnKind.NUMBER: self._number,
            ColumnKind.MONEY: self._money,
            ColumnKind.TIME: self._time,
            ColumnKind.COUNTDOWN: self._time_left,
            ColumnKind.LABELS: self._chips,
            ColumnKind.LINK: self._link,
        }

    def of(self, column: Column) -> Draw:
        return self._by_code.get(column.code) or self._by_kind[column.kind]

    def withheld(self) -> str:
        """A buyer whom the channel does not name, or whose name was erased."""
        word = _("Withheld")
        return f'<span class="withheld">{self._icon("eye-off")}{escape(word)}</span>'

    def failed(self, order: Order, value: Any) -> str:
        """What stands where a plugin failed; its sentence is there for who points at it."""
        return self._chip(Label(_("failed"), "warn", "alert-triangle", str(value)))

    def _text(self, order: Order, value: Any) -> str:
        text = escape(str(value))
        return f'<span class="clip" title="{text}">{text}</span>'

    def _number(self, order: Order, value: Any) -> str:
        return str(int(value)) if value else '<span class="zero">0</span>'

    def _money(self, order: Order, value: Any) -> str:
        return escape(self._reader.money(value))

    def _time(self, order: Order, value: Any) -> str:
        return self._reader.when(value)

    def _time_left(self, order: Order, value: Any) -> str:
        """While the order is open, what is left until then; afterwards only when it was."""
        when = self._reader.when(value)
        if order.state in _OPEN and order.unshipped:
            return f'{self._reader.countdown(value)}<span class="sub">{when}</span>'
        return f'<span class="muted">{when}</span>'

    def _link(self, order: Order, value: Any) -> str:
        return f'<a href="{escape(value.url)}">{escape(value.text)}</a>'

    def _number_link(self, order: Order, value: Any) -> str:
        return f'<a class="number" href="{escape(value.url)}">{escape(value.text)}</a>'

    def _chips(self, order: Order, value: Any) -> str:
        return f'<span class="chips">{"".join([self._chip(label) for label in value])}</span>' if value else ""

    def _badges(self, order: Order, value: Any) -> str:
        """Practice is marked beside the store, which every row has."""
        return self._chips(order, [label for label in value if label.icon != PRACTICE.icon])

    def _pills(self, order: Order, value: Any) -> str:
        pills = [f'<span class="pill" data-tone="{escape(label.tone)}">{escape(label.text)}</span>' for label in value]
        return f'<span class="chips">{"".join(pills)}</span>'

    def _chip(self, label: Label) -> str:
        if label not in self._drawn:
            title = f' title="{escape(label.title)}"' if label.title else ""
            icon = self._icon(label.icon) if label.icon else ""
            tone = escape(label.tone)
            self._drawn[label] = f'<span class="chip" data-tone="{tone}"{title}>{icon}{escape(label.text)}</span>'
        return self._drawn[label]

    def _icon(self, name: str) -> str:
        return f'<svg class="icon" aria-hidden="true"><use href="{self._sprite}#{escape(name)}"></use></svg>'


def heads(chosen: Sequence[tuple[Column, int]], sort: str) -> list[Head]:
    """The heads of a list's columns; a click sorts, another turns it round."""
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
            )
        )
    return made
