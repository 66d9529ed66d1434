"""Columns of orders in lists of other things: each row has the value of its order, and none if it has no order."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from webapp.audit.actor import Actor
from webapp.lists.contract import PlainRow
from webapp.lists.rows import LIST, Rows, once
from webapp.orders.list_columns import COLUMNS
from webapp.orders.listing import ORDER_LIST, PlainOrder
from webapp.search.contract import Column

_BY_CODE = {column.code: column for column in COLUMNS}


def columns_of_orders(subject: str, codes: Sequence[str], shown: Collection[str]) -> Iterator[Column]:
    """The columns of orders with these codes, for a list whose rows read what `ORDER_LIST.row` names; those in `shown`
    are there by default.
    """
    for code in codes:
        yield _lent(_BY_CODE[code], subject, default=code in shown)


def order_row(row: PlainRow) -> PlainOrder:
    """The order of a row as a row of the list of orders."""
    return PlainOrder(vars(row) | {"id": row.order_id}, row.store, row.shop)


def _lent(column: Column, subject: str, *, default: bool) -> Column:
    def values(rows: Sequence[Any], actor: Actor) -> Mapping[int, Any]:
        said = column.values(once(rows, "orders", lambda: _order_rows(rows, actor)), actor)
        return {row.id: said[row.order_id] for row in rows if row.order_id in said}

    return replace(column, subject=subject, values=values, sort="", default=default)


def _order_rows(rows: Sequence[Any], actor: Actor) -> Rows:
    """The orders of these rows, each once."""
    plain = {row.order_id: order_row(row) for row in rows if row.order_id is not None}
    return Rows(plain.values(), ORDER_LIST, actor, rows.purpose if isinstance(rows, Rows) else LIST)
