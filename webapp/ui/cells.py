"""How a column's values look in the order list: drawn for a whole page, since a list has hundreds of cells.

Where two things belong together, such as both numbers or both statuses, the second stands beneath the first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from flask import url_for
from markupsafe import Markup

from webapp.audit.actor import Actor
from webapp.i18n import gettext as _, ngettext
from webapp.orders.badges import PRACTICE
from webapp.orders.models import Order
from webapp.orders.queries import reference
from webapp.search.contract import Column, ColumnKind, Label
from webapp.search.registered import columns
from webapp.ui.formats import countdown, money, when

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


@dataclass(frozen=True, slots=True)
class Row:
    """An order as the list draws it."""

    id: int
    name: str
    url: str
    dim: bool
    cells: Markup


class Table:
    """The rows of one page under its columns."""

    def __init__(self, orders: Sequence[Order], chosen: Sequence[tuple[Column, int]], actor: Actor, view: str) -> None:
        self.orders, self._actor, self._view = orders, actor, view
        self._known = columns()
        self._cells = [self._column(column) for column, _ in chosen] if orders else []

    @property
    def rows(self) -> list[Row]:
        before, after = url_for("orders.row", order_id=0, view=self._view or None).split("/0", 1)
        return [
            Row(
                id=order.id,
                name=reference(order),
                url=f"{before}/{order.id}{after}",
                dim=order.number is None or order.state in ("pending", "canceled"),
                cells=Markup("".join([cell(order) for cell in self._cells])),  # noqa: S704 - made here, escaped below
            )
            for order in self.orders
        ]

    def values(self, code: str) -> Mapping[int, Any]:
        """What another column tells of the same page."""
        return self._known[code].values(self.orders, self._actor) if code in self._known else {}

    def _column(self, column: Column) -> Beneath:
        """Draws a column's cell for an order."""
        values = column.values(self.orders, self._actor)
        beneath = _BENEATH.get(column.code, _nothing)(self)
        draw = _BY_CODE.get(column.code) or _BY_KIND[column.kind]
        side = "num" if column.kind in _RIGHT else "text"
        opening = f'<td class="{side} c-{escape(column.code)}" data-label="{escape(str(column.label))}">'
        empty = _withheld() if column.code == "buyer" else _DASH

        def cell(order: Order) -> str:
            value = values.get(order.id)
            drawn = empty if value is None or value == "" or value == [] else draw(order, value)
            return f"{opening}{drawn}{beneath(order)}</td>"

        return cell


# --- What stands beneath ----------------------------------------------------------------------------------------------


def _nothing(table: Table) -> Beneath:
    return lambda order: ""


def _channel_number(table: Table) -> Beneath:
    return lambda order: f'<span class="sub">{escape(order.channel_order_number)}</span>'


def _channel_status(table: Table) -> Beneath:
    names, statuses = table.values("channel"), table.values("channel_status")
    words = {
        pair: escape(_("%(name)s: %(text)s", name=pair[0], text=pair[1] or "—"))
        for pair in {(names[order.id], statuses[order.id]) for order in table.orders}
    }
    return lambda order: f'<span class="sub">{words[names[order.id], statuses[order.id]]}</span>'


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


def _text(order: Order, value: Any) -> str:
    text = escape(str(value))
    return f'<span class="clip" title="{text}">{text}</span>'


def _number(order: Order, value: Any) -> str:
    return str(int(value)) if value else '<span class="zero">0</span>'


def _money(order: Order, value: Any) -> str:
    return escape(money(value))


def _time(order: Order, value: Any) -> str:
    return str(when(value))


def _time_left(order: Order, value: Any) -> str:
    """While the order is open, what is left until then; afterwards only when it was."""
    if order.state in _OPEN and order.unshipped:
        return f'{countdown(value)}<span class="sub">{when(value)}</span>'
    return f'<span class="muted">{when(value)}</span>'


def _link(order: Order, value: Any) -> str:
    return f'<a href="{escape(value.url)}">{escape(value.text)}</a>'


def _number_link(order: Order, value: Any) -> str:
    return f'<a class="number" href="{escape(value.url)}">{escape(value.text)}</a>'


def _chips(order: Order, value: Any) -> str:
    return f'<span class="chips">{"".join([_chip(label) for label in value])}</span>' if value else ""


def _badges(order: Order, value: Any) -> str:
    """Practice is told beside the store, which every row has."""
    return _chips(order, [label for label in value if label.icon != PRACTICE.icon])


def _pills(order: Order, value: Any) -> str:
    pills = [f'<span class="pill" data-tone="{escape(label.tone)}">{escape(label.text)}</span>' for label in value]
    return f'<span class="chips">{"".join(pills)}</span>'


def _chip(label: Label) -> str:
    title = f' title="{escape(label.title)}"' if label.title else ""
    icon = _icon(label.icon) if label.icon else ""
    return f'<span class="chip" data-tone="{escape(label.tone)}"{title}>{icon}{escape(label.text)}</span>'


def _withheld() -> str:
    """A buyer whom the channel does not name, or whose name was erased."""
    word = _("Withheld")
    return f'<span class="withheld">{_icon("eye-off")}{escape(word)}</span>'


def _icon(name: str) -> str:
    sprite = url_for("static", filename="icons.svg")
    return f'<svg class="icon" aria-hidden="true"><use href="{escape(sprite)}#{escape(name)}"></use></svg>'


_BY_KIND: Mapping[ColumnKind, Draw] = {
    ColumnKind.TEXT: _text,
    ColumnKind.NUMBER: _number,
    ColumnKind.MONEY: _money,
    ColumnKind.TIME: _time,
    ColumnKind.COUNTDOWN: _time_left,
    ColumnKind.LABELS: _chips,
    ColumnKind.LINK: _link,
}
_BY_CODE: Mapping[str, Draw] = {
    "number": _number_link,
    "state": _pills,
    "badges": _badges,
}


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
