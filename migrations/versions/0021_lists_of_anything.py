"""Saved views and exports are of lists of any subject, and packages are listed by their day

Revision ID: 0021
Revises: 0020
Create Date: 2026-11-29 20:00:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("exports", sa.Column("subject", sa.String(), nullable=False, server_default="orders"))
    op.add_column("saved_views", sa.Column("subject", sa.String(), nullable=False, server_default="orders"))
    op.create_index("ix_packages_shipped_at", "packages", ["shipped_at", "id"])


def downgrade() -> None:
    op.execute("UPDATE users SET start_view = '' WHERE start_view LIKE '%:%'")
    op.drop_index("ix_packages_shipped_at", "packages")
    op.execute("DELETE FROM saved_views WHERE subject <> 'orders'")
    op.execute("DELETE FROM list_layouts WHERE name <> 'orders'")
    op.execute("DELETE FROM exports WHERE subject <> 'orders'")
    op.drop_column("saved_views", "subject")
    op.drop_column("exports", "subject")
