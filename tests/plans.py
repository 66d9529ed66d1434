"""The statements of a test, and the plans that the database makes for them."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import event

from webapp.db import db


def plans_of(ask: Callable[[], object], table: str) -> list[str]:
    """The database's plan for each statement that reads or deletes rows of the table. PostgreSQL reads small tables
    whole, and needs enough rows and statistics to use an index.
    """
    plans: list[str] = []
    words = "EXPLAIN" if db.engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "DELETE")) and f"FROM {table}" in statement:
            cursor.execute(f"{words} {statement}", parameters)
            plans.append(" ".join(str(row[-1]) for row in cursor.fetchall()))

    event.listen(db.engine, "before_cursor_execute", explain)
    try:
        ask()
    finally:
        event.remove(db.engine, "before_cursor_execute", explain)
    return plans


def statements_of(ask: Callable[[], object]) -> list[str]:
    """The statements that a call makes."""
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    return statements
