"""The handle of an attempt, updates that are sent as soon as the channel allows, and the place where the desk runs

Revision ID: 0022
Revises: 0021
Create Date: 2026-11-29 23:05:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import UtcDateTime

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("update_attempts", sa.Column("handle", sa.String(), nullable=True))
    op.add_column("channel_updates", sa.Column("urgent", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "desk_places",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("database", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_desk_places")),
    )
    op.execute(
        "UPDATE update_attempts SET handle = (SELECT max(u.handle) FROM channel_updates u"
        " WHERE u.attempt_id = update_attempts.id)"
    )


def downgrade() -> None:
    op.drop_table("desk_places")
    op.execute("ALTER TABLE channel_updates DROP COLUMN urgent")
    op.execute("ALTER TABLE update_attempts DROP COLUMN handle")
