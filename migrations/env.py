"""Alembic's environment: the desk's own engine and tables, for the desk's one chain and for each plugin's own.

A plugin's chain (`webapp.plugin_tables`) notes its place in a version table of its own, and runs as one transaction: of
one that fails nothing is left, and of two that run at once the second waits and finds nothing to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from alembic import context
from sqlalchemy import Connection

from webapp.db import Json, UtcDateTime, db

PLUGINS_AT_ONCE = 5_114_501  # PostgreSQL's advisory lock: any number that nothing else takes


def _render(kind: str, item: object, autogen_context: object) -> str | bool:
    if kind != "type":
        return False
    return "UtcDateTime()" if isinstance(item, UtcDateTime) else "Json" if item is Json else False


def run(connection: Connection) -> None:
    of_plugin = context.config.attributes.get("history")
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        render_as_batch=True,
        render_item=_render,
        compare_type=False,
        version_table=of_plugin.version_table if of_plugin else "alembic_version",
        transaction_per_migration=not of_plugin,
        transactional_ddl=True if of_plugin else None,  # on SQLite, where Alembic would leave each statement for itself
    )
    with context.begin_transaction():
        if of_plugin and connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({PLUGINS_AT_ONCE})")
        with of_plugin.watch(connection) if of_plugin else nullcontext():
            context.run_migrations()


@contextmanager
def foreign_keys_off(connection: Connection) -> Iterator[None]:
    """On SQLite, let a table be rebuilt without its children: dropping the former one would delete or empty their rows.

    The driver is asked directly: SQLAlchemy would begin a transaction first, in which SQLite ignores the pragma.
    """
    driver = connection.connection.driver_connection if connection.dialect.name == "sqlite" else None
    if driver is None:
        yield
        return
    driver.execute("PRAGMA foreign_keys=off")
    try:
        yield
    finally:
        connection.rollback()
        driver.execute("PRAGMA foreign_keys=on")


with db.engine.connect().execution_options(writes=True) as connection, foreign_keys_off(connection):
    run(connection)
