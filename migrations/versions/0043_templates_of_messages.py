"""From which template a message was started

Revision ID: 0043
Revises: 0042
Create Date: 2026-11-30 23:20:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("template_situation", sa.String(), nullable=True))
    op.add_column("messages", sa.Column("template_name", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("messages", "template_name")
    op.drop_column("messages", "template_situation")
