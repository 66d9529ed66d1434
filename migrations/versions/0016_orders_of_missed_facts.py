"""Orders that missed facts are about

Revision ID: 0016
Revises: 0015
Create Date: 2026-11-29 13:40:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "missed_fact_orders",
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("missed_fact_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["missed_fact_id"],
            ["missed_facts.id"],
            name=op.f("fk_missed_fact_orders_missed_fact_id_missed_facts"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_missed_fact_orders_order_id_orders"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("order_id", "missed_fact_id", name=op.f("pk_missed_fact_orders")),
    )
    op.create_index(op.f("ix_missed_fact_orders_missed_fact_id"), "missed_fact_orders", ["missed_fact_id"])


def downgrade() -> None:
    op.drop_table("missed_fact_orders")
