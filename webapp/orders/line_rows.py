"""Files with a row for each line of an order."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select

from webapp.channels.described import product_code_heading, product_code_words
from webapp.db import among, db, table_of
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l, lazy_pgettext
from webapp.lists.contract import Cell, Expansion
from webapp.money import Money
from webapp.orders.models import OrderLine
from webapp.orders.states import open_units

_CELLS: tuple[tuple[str, LazyString], ...] = (
    ("sku", _l("SKU")),
    ("product_code", LazyString(product_code_heading)),
    ("title", _l("Title")),
    ("ordered", _l("Ordered")),
    ("canceled", lazy_pgettext("units", "Canceled")),
    ("shipped", lazy_pgettext("units", "Shipped")),
    ("refunded", lazy_pgettext("units", "Refunded")),
    ("open", _l("Open")),
)


def _help() -> str:
    return str(
        _(
            "Exports with one row per order line also contain SKU, %(codes)s, title, quantities and prices.",
            codes=product_code_words(),
        )
    )


def _head() -> list[str]:
    return [*(str(label) for _code, label in _CELLS), str(_("Price each")), str(_("Line total")), str(_("Currency"))]


def _rows(order_ids: Sequence[int]) -> dict[int, list[list[Cell]]]:
    query = select(table_of(OrderLine)).where(among(OrderLine.order_id, order_ids)).order_by(OrderLine.position)
    found: dict[int, list[list[Cell]]] = {}
    for line in db.session.execute(query):
        found.setdefault(line.order_id, []).append(_cells(line))
    return found


def _cells(line: Row[Any]) -> list[Cell]:
    values = line._mapping
    row: list[Cell] = [open_units(line) if code == "open" else values[code] for code, _label in _CELLS]
    for minor in (line.unit_price_minor, line.total_minor):
        row.append(Money(minor, line.currency).decimal if minor is not None and line.currency else None)
    return [*row, line.currency]


LINES = Expansion(
    code="lines",
    label=_l("One row per line"),
    help=LazyString(_help),
    head=_head,
    cells=_rows,
)
