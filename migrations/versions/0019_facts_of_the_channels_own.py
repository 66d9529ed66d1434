"""Facts of a channel's own stand with its order

Revision ID: 0019
Revises: 0018
Create Date: 2026-11-29 17:20:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import Json

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("channel_orders", sa.Column("extra", Json, nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("channel_orders", "extra")
