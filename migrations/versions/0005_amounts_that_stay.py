"""Amounts that stay: one row per line (or order) and component for good, with the most that was ever to be paid for it

Until now the order's own amounts could stand twice, since no line equals another in a constraint: they are added up,
which changes no sum. What was to be paid before the last reading is not known any more, so that a ceiling begins with
what is to be paid now. The index of orders alone goes: the constraint's own begins with the order.

The table is written anew, once, and locked meanwhile: docs/performance.md says for how long. Down again, ceilings are
lost, and amounts that the channel no longer tells.

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-28 21:15:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

FIGURES = ("charged", "tax", "discount")
PAID = "charged + tax - discount"
NEVER_NEGATIVE = "tax >= 0 AND discount >= 0"
NEVER_ABOVE = f"ceiling >= 0 AND ceiling >= {PAID}"
OWN = "line_id IS NULL"


def on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def add_up_what_stands_twice() -> None:
    sums = ", ".join(f"sum({name}) AS {name}" for name in FIGURES)
    op.execute(
        f"UPDATE order_amounts SET {', '.join(f'{name} = sums.{name}' for name in FIGURES)} FROM"
        f" (SELECT min(id) AS first, {sums} FROM order_amounts WHERE {OWN} GROUP BY order_id, component"
        " HAVING count(*) > 1) AS sums WHERE order_amounts.id = sums.first"
    )
    op.execute(
        f"DELETE FROM order_amounts WHERE {OWN} AND id NOT IN"
        f" (SELECT min(id) FROM order_amounts WHERE {OWN} GROUP BY order_id, component)"
    )


def write_anew(*, ceiling: bool) -> None:
    """On SQLite, which can't add to a table what its rows don't meet yet: the table with or without ceilings."""
    op.execute("ALTER TABLE order_amounts RENAME TO former_amounts")
    op.create_table(
        "order_amounts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("line_id", sa.Integer(), nullable=True),
        sa.Column("component", sa.String(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in FIGURES),
        *([sa.Column("ceiling", sa.Integer(), nullable=False)] if ceiling else []),
        sa.CheckConstraint(NEVER_NEGATIVE, name=op.f("ck_order_amounts_never_negative")),
        *([sa.CheckConstraint(NEVER_ABOVE, name=op.f("ck_order_amounts_never_above_ceiling"))] if ceiling else []),
        sa.ForeignKeyConstraint(
            ["line_id"], ["order_lines.id"], name=op.f("fk_order_amounts_line_id_order_lines"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_order_amounts_order_id_orders"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_amounts")),
        sa.UniqueConstraint(
            "order_id", "line_id", "component", name=op.f("uq_order_amounts_order_id_line_id_component")
        ),
    )
    columns = f"id, order_id, line_id, component, {', '.join(FIGURES)}"
    op.execute(
        f"INSERT INTO order_amounts ({columns}{', ceiling' if ceiling else ''})"
        f" SELECT {columns}{f', max(0, {PAID})' if ceiling else ''} FROM former_amounts ORDER BY id"
    )
    op.execute("DROP TABLE former_amounts")


def upgrade() -> None:
    add_up_what_stands_twice()
    if on_sqlite():
        write_anew(ceiling=True)
    else:
        op.drop_index("ix_order_amounts_order_id", table_name="order_amounts")
        op.add_column("order_amounts", sa.Column("ceiling", sa.BigInteger(), nullable=True))
        op.execute(  # in one statement, so that the table is written once
            f"ALTER TABLE order_amounts ALTER COLUMN ceiling TYPE bigint USING greatest(0, {PAID}),"
            " ALTER COLUMN ceiling SET NOT NULL,"
            f" ADD CONSTRAINT ck_order_amounts_never_above_ceiling CHECK ({NEVER_ABOVE})"
        )
    op.create_index(
        "uq_order_amounts_order_id_component",
        "order_amounts",
        ["order_id", "component"],
        unique=True,
        sqlite_where=sa.text(OWN),
        postgresql_where=sa.text(OWN),
    )


def downgrade() -> None:
    op.drop_index("uq_order_amounts_order_id_component", table_name="order_amounts")
    op.execute(f"DELETE FROM order_amounts WHERE {' AND '.join(f'{name} = 0' for name in FIGURES)}")
    if on_sqlite():
        write_anew(ceiling=False)
    else:
        op.drop_column("order_amounts", "ceiling")  # with the constraint that names it
    op.create_index("ix_order_amounts_order_id", "order_amounts", ["order_id"])
