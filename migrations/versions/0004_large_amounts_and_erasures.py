"""Large amounts and erasures: money in 64 bits, and which orders' buyers were erased

On PostgreSQL every table with money is written anew, once, and locked meanwhile: minutes for a desk of a million
orders, and as much room again on the disk. SQLite's integers hold 64 bits as they are. An order without a data key has
been erased before; one that was commented on since can't be told from the others.

Down again, PostgreSQL refuses amounts that 32 bits don't hold.

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

MONEY = {
    "channel_orders": ["total_minor"],
    "orders": ["total_minor", "residual_minor"],
    "order_lines": ["unit_price_minor", "total_minor"],
    "order_amounts": ["charged", "tax", "discount"],
}


def keep_money_as(kind: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, columns in MONEY.items():  # in one statement, so that a table is written once
            op.execute(f"ALTER TABLE {table} " + ", ".join(f"ALTER COLUMN {name} TYPE {kind}" for name in columns))


def upgrade() -> None:
    keep_money_as("bigint")
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
    keep_money_as("integer")
