"""Indexes of the calls that a date ends, and of the outbox of a store.

Failed calls about orders are kept as long as their orders, and need not be read again at each deletion of others. The
outbox of one store has the sortings of the whole outbox.

Revision ID: 0026
Revises: 0025
Create Date: 2026-11-30 05:30:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

DATED = "(outcome = 'ok' AND order_id IS NOT NULL OR outcome <> 'ok' AND order_id IS NULL)"
SORTED = ("created_at", "due_at", "deadline")


def upgrade() -> None:
    where = sa.text(DATED)
    op.create_index("ix_channel_calls_dated", "channel_calls", ["at"], sqlite_where=where, postgresql_where=where)
    for column in SORTED:
        op.create_index(f"ix_channel_updates_store_{column}", "channel_updates", ["store_id", column, "id"])


def downgrade() -> None:
    for column in SORTED:
        op.drop_index(f"ix_channel_updates_store_{column}", table_name="channel_updates")
    op.drop_index("ix_channel_calls_dated", table_name="channel_calls")
