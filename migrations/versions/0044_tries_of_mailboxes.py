"""The mail at which reading a mailbox ended, and how often

Revision ID: 0044
Revises: 0042
Create Date: 2026-11-30 23:20:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("mailboxes", sa.Column("trying", sa.String(), nullable=True))
    op.add_column("mailboxes", sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("mailboxes", "tries")
    op.drop_column("mailboxes", "trying")
