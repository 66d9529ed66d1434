"""Where people sign in: the browser and the address of a session; a user's last sign-in under its own name

Revision ID: 0007
Revises: 0006
Create Date: 2026-11-28 21:20:11.402117
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE users RENAME COLUMN last_seen_at TO signed_in_at")
    for name in ("agent", "source"):
        op.add_column("user_sessions", sa.Column(name, sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    for name in ("source", "agent"):
        op.drop_column("user_sessions", name)
    op.execute("ALTER TABLE users RENAME COLUMN signed_in_at TO last_seen_at")
