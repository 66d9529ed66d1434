"""Expressions of plugins on the rows of a list: they may only speak of tables that the list joins.

Any other table would be joined with all its rows, so that the list had each of its own many times. What belongs to
another table is asked by a subquery of its own.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, FromClause, select

from webapp.db import sources_of
from webapp.hooks.failures import NotTaken


def check_joined(expression: ColumnElement[Any], joined: Collection[FromClause]) -> None:
    """Raise `NotTaken` for an expression that speaks of a table that is not joined."""
    for source in sources_of(select(expression)):
        if source not in joined:
            raise NotTaken(f"the list does not join {getattr(source, 'name', 'what is read')}")
