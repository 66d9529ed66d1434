"""Plainer names: quarantined orders, with all that is named after their table, and the chunk at which a run is

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-29 10:25:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COLUMNS = "id, store_id, number, field, problem, at, attempts, period, payload"


def upgrade() -> None:
    _rename("asides", "quarantined_orders")
    op.execute("ALTER TABLE runs RENAME COLUMN turn TO chunk")


def downgrade() -> None:
    op.execute("ALTER TABLE runs RENAME COLUMN chunk TO turn")
    _rename("quarantined_orders", "asides")


def _rename(old: str, new: str) -> None:
    constraints = [(f"pk_{old}", f"pk_{new}"), (f"fk_{old}_store_id_stores", f"fk_{new}_store_id_stores")]
    constraints.append((f"uq_{old}_store_id_number", f"uq_{new}_store_id_number"))
    if op.get_bind().dialect.name == "postgresql":
        op.rename_table(old, new)
        op.execute(f"ALTER SEQUENCE {old}_id_seq RENAME TO {new}_id_seq")
        for name, renamed in constraints:  # indexes are renamed with them
            op.execute(f"ALTER TABLE {new} RENAME CONSTRAINT {name} TO {renamed}")
        return
    (_, primary), (_, foreign), (_, unique) = constraints  # SQLite renames no constraint: the table is made again
    op.create_table(
        new,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("store_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("problem", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f(foreign), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f(primary)),
        sa.UniqueConstraint("store_id", "number", name=op.f(unique)),
    )
    op.execute(f"INSERT INTO {new} ({COLUMNS}) SELECT {COLUMNS} FROM {old}")
    op.drop_table(old)
