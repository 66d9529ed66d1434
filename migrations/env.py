"""Alembic's environment: the desk's own engine and tables, one chain for both databases."""

from alembic import context
from sqlalchemy import Connection

from webapp.db import Json, UtcDateTime, db


def _render(kind: str, item: object, autogen_context: object) -> str | bool:
    if kind != "type":
        return False
    return "UtcDateTime()" if isinstance(item, UtcDateTime) else "Json" if item is Json else False


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        render_as_batch=True,
        render_item=_render,
        compare_type=False,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


with db.engine.connect().execution_options(writes=True) as connection:
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:
        connection.exec_driver_sql("PRAGMA foreign_keys=off")  # a rebuilt table must not take others with it
        connection.commit()
    run(connection)
    if sqlite:
        connection.exec_driver_sql("PRAGMA foreign_keys=on")
        connection.commit()
