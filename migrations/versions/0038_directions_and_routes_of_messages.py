"""Directions and routes of messages

Revision ID: 0038
Revises: 0037
Create Date: 2026-11-30 19:35:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("direction", sa.String(), nullable=False, server_default="out"))
    op.add_column("messages", sa.Column("route", sa.String(), nullable=False, server_default="channel"))


def downgrade() -> None:
    op.drop_column("messages", "route")
    op.drop_column("messages", "direction")
