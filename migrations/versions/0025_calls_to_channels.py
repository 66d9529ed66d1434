"""Calls to channels: the communication log.

Revision ID: 0025
Revises: 0024
Create Date: 2026-11-30 02:20:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import UtcDateTime

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

TABLE = "channel_calls"
PARTIAL = (
    ("order", ["order_id", "at"], "order_id IS NOT NULL"),
    ("failed", ["at", "id"], "outcome <> 'ok'"),
    ("quiet", ["at"], "outcome = 'ok' AND order_id IS NULL"),
)


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("store_id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=True),
        sa.Column("update_id", sa.Integer(), nullable=True),
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("took", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("problem", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_channel_calls_store_id_stores"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_channel_calls_order_id_orders"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_calls")),
    )
    op.create_index(f"ix_{TABLE}_at", TABLE, ["at", "id"])
    op.create_index(f"ix_{TABLE}_store", TABLE, ["store_id", "at", "id"])
    for name, columns, where in PARTIAL:
        op.create_index(
            f"ix_{TABLE}_{name}", TABLE, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )


def downgrade() -> None:
    op.drop_table(TABLE)
