"""The handle of an attempt, and updates that are sent as soon as the channel allows

Revision ID: 0022
Revises: 0021
Create Date: 2026-11-29 23:05:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("update_attempts", sa.Column("handle", sa.String(), nullable=True))
    op.add_column("channel_updates", sa.Column("urgent", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(
        "UPDATE update_attempts SET handle = (SELECT max(u.handle) FROM channel_updates u"
        " WHERE u.attempt_id = update_attempts.id)"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE channel_updates DROP COLUMN urgent")
    op.execute("ALTER TABLE update_attempts DROP COLUMN handle")
