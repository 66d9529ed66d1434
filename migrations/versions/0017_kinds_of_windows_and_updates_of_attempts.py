"""The kind of a window is called so, and the updates of an attempt are found by an index

Revision ID: 0017
Revises: 0016
Create Date: 2026-11-29 16:40:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_ATTEMPTED = sa.text("attempt_id IS NOT NULL")


def upgrade() -> None:
    op.execute("ALTER TABLE sync_windows RENAME COLUMN stream TO kind")
    op.create_index(
        "ix_channel_updates_attempt",
        "channel_updates",
        ["attempt_id"],
        sqlite_where=_ATTEMPTED,
        postgresql_where=_ATTEMPTED,
    )


def downgrade() -> None:
    op.drop_index("ix_channel_updates_attempt", "channel_updates")
    op.execute("ALTER TABLE sync_windows RENAME COLUMN kind TO stream")
