"""Mirroring what the channel charges for known orders: one row per line (or order) and component, never deleted.

A reading changes rows and adds rows: a component that the channel no longer lists becomes zero. The ceiling of a row,
the highest amount that was ever to be paid, only rises. Unchanged amounts are not written.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select

from webapp.db import db, table_of, write_rows
from webapp.orders.amounts import NOTHING, OWN, Amounts, Place
from webapp.orders.contract import Amount
from webapp.orders.models import OrderAmount
from webapp.sync.taking_in.rows import amount_row


class _Standing(NamedTuple):
    row_id: int
    ceiling: int
    amount: Amount


class MirroredAmounts:
    """The amounts of some known orders, whose locks the caller holds."""

    def __init__(self, order_ids: Sequence[int]) -> None:
        self._rows: dict[int, dict[Place, _Standing]] = {}
        self._new: list[dict[str, Any]] = []
        self._changed: list[dict[str, Any]] = []
        table = table_of(OrderAmount)
        query = select(table).where(table.c.order_id.in_(order_ids))
        for row in db.session.execute(query):
            amount = Amount(row.charged, row.tax, row.discount)
            places = self._rows.setdefault(row.order_id, {})
            places[row.line_id or OWN, row.component] = _Standing(row.id, row.ceiling, amount)

    def follow(self, order_id: int, amounts: Amounts) -> tuple[Amounts, Amounts]:
        """Record what this reading changes; returns the amounts that differ, with their old and new values."""
        standing = self._rows.get(order_id, {})
        before: Amounts = {}
        after: Amounts = {}
        for place in sorted(standing.keys() | amounts.keys()):
            had, amount = standing.get(place), amounts.get(place, NOTHING)
            if amount == (had.amount if had else NOTHING):
                continue
            before[place], after[place] = had.amount if had else NOTHING, amount
            if had is None:
                self._new.append(amount_row(order_id, place, amount))
            else:
                ceiling = max(had.ceiling, amount.net)
                self._changed.append({"row_id": had.row_id, **amount._asdict(), "ceiling": ceiling})
        return before, after

    def write(self) -> None:
        """Write what was recorded."""
        write_rows(OrderAmount, self._new)
        if self._changed:
            table = table_of(OrderAmount)
            columns: dict[str, Any] = {name: bindparam(name) for name in (*Amount._fields, "ceiling")}
            statement = table.update().where(table.c.id == bindparam("row_id")).values(columns)
            db.session.connection().execute(statement, self._changed)
