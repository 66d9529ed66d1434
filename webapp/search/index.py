"""The index of terms: each row says that an order is indexed under a term. Rows are written in sets, one statement a
page.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Integer, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY

from webapp.db import db, table_of
from webapp.search.models import SearchTerm

_TYPES = (BigInteger, BigInteger, Integer)  # of term, placed, order_id


@dataclass(frozen=True, slots=True)
class Indexed:
    """An order with the terms that are added to the index for it, or removed."""

    order_id: int
    placed_at: datetime
    terms: frozenset[int]

    @property
    def placed(self) -> int:
        return int(self.placed_at.timestamp())


def add(entries: Iterable[Indexed]) -> None:
    """Index orders under their terms; a row that exists is skipped."""
    rows = sorted(_rows(entries))  # neighbors in the tree are written together, and all writers lock in one order
    if not rows:
        return
    table = table_of(SearchTerm)
    if db.engine.dialect.name == "sqlite":
        db.session.connection().exec_driver_sql(
            "INSERT OR IGNORE INTO search_terms (term, placed, order_id) VALUES (?, ?, ?)", rows
        )
        return
    columns = zip(_TYPES, zip(*rows, strict=True), strict=True)
    unnested = select(*(func.unnest(bindparam(None, list(values), ARRAY(kind))) for kind, values in columns))
    names = [column.name for column in table.primary_key]
    db.session.execute(postgresql.insert(table).from_select(names, unnested).on_conflict_do_nothing())


def take_away(entries: Iterable[Indexed]) -> None:
    """Remove orders from terms; each row is deleted by its whole key, since the table has no index by order."""
    rows = _rows(entries)
    if rows:
        table = table_of(SearchTerm)
        statement = delete(table).where(*(column == bindparam(f"of_{column.name}") for column in table.primary_key))
        names = [f"of_{column.name}" for column in table.primary_key]
        db.session.connection().execute(statement, [dict(zip(names, row, strict=True)) for row in rows])


def _rows(entries: Iterable[Indexed]) -> list[tuple[int, int, int]]:
    keyed = ((entry.placed, entry) for entry in entries)
    return [(term, placed, entry.order_id) for placed, entry in keyed for term in entry.terms]
