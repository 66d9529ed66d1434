"""Seals."""

import sqlalchemy as sa
from alembic import op

from webapp.api import UtcDateTime

revision, down_revision = "0001", None
needs_desk = "0018"


def upgrade() -> None:
    op.create_table(
        "seals_put",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("order_id", sa.Integer(), sa.ForeignKey("orders.id", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("seals_put")
