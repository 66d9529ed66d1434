"""Saved views are of lists of any subject

Revision ID: 0021
Revises: 0019
Create Date: 2026-11-29 20:00:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("saved_views", sa.Column("subject", sa.String(), nullable=False, server_default="orders"))


def downgrade() -> None:
    op.execute("DELETE FROM saved_views WHERE subject <> 'orders'")
    op.execute("DELETE FROM list_layouts WHERE name <> 'orders'")
    op.drop_column("saved_views", "subject")
