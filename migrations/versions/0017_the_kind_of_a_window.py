"""The kind of a window, named as such

Revision ID: 0017
Revises: 0016
Create Date: 2026-11-29 16:40:00.000000
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sync_windows RENAME COLUMN stream TO kind")


def downgrade() -> None:
    op.execute("ALTER TABLE sync_windows RENAME COLUMN kind TO stream")
