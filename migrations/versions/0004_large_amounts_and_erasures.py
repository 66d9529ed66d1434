"""Erasures: which orders' buyers were erased

An order without a data key has been erased before; one that was commented on since can't be told from the others.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-25 22:31:40.077215
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vault_erasures",
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_vault_erasures_order_id_orders"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_vault_erasures")),
    )
    op.execute(
        "INSERT INTO vault_erasures (order_id) SELECT id FROM orders"
        " WHERE NOT EXISTS (SELECT 1 FROM vault_keys WHERE vault_keys.order_id = orders.id)"
    )


def downgrade() -> None:
    op.drop_table("vault_erasures")
