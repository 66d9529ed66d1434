"""What documents say of their buyers, kept where the law says so

There is no way back while some are kept: an earlier version would lose them.

Revision ID: 0035
Revises: 0034
Create Date: 2026-11-30 13:30:00.000000
"""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kept_buyers",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("shop_id", sa.Integer(), nullable=False),
        sa.Column("country", sa.String(), nullable=False),
        sa.Column("issued_year", sa.Integer(), nullable=False),
        sa.Column("kept_through", sa.Integer(), nullable=False),
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_kept_buyers_order_id_orders")),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_kept_buyers_shop_id_shops")),
        sa.PrimaryKeyConstraint("kind", "document_id", name=op.f("pk_kept_buyers")),
    )
    op.create_index("ix_kept_buyers_order", "kept_buyers", ["order_id"])
    op.create_index("ix_kept_buyers_due", "kept_buyers", ["kept_through"])


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT 1 FROM kept_buyers)")):
        raise CommandError("Documents keep their buyers, as the law says: an earlier version would lose them.")
    op.drop_table("kept_buyers")
