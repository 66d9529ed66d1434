"""Indexes for the sortings of the outbox: since when, when due, and by deadline.

Revision ID: 0024
Revises: 0023
Create Date: 2026-11-30 00:10:00.000000
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

SORTED = ("created_at", "due_at", "deadline")


def upgrade() -> None:
    for column in SORTED:
        op.create_index(f"ix_channel_updates_{column}", "channel_updates", [column, "id"])


def downgrade() -> None:
    for column in SORTED:
        op.drop_index(f"ix_channel_updates_{column}", table_name="channel_updates")
