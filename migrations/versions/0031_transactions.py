"""Transactions: what the accounts of channels say of orders, and which credit memos they prove or are recorded by.

Revision ID: 0031
Revises: 0030
Create Date: 2026-11-30 10:00:00.000000
"""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

from webapp.db import Json, UtcDateTime

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

MINOR = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PARTIAL = {
    "ix_transactions_not_placed": (["store_id", "order_number"], "order_id IS NULL AND order_number <> ''"),
    "ix_transactions_next": (["next_at"], "next_at IS NOT NULL"),
}


def upgrade() -> None:
    op.create_table(
        "transactions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("store_id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=True),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("order_number", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("word", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("posted_at", UtcDateTime(), nullable=False),
        sa.Column("marketplace", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("total_minor", MINOR, nullable=False),
        sa.Column("fees_minor", MINOR, nullable=False),
        sa.Column("parts", Json, nullable=False),
        sa.Column("memo_id", sa.Integer(), nullable=True),
        sa.Column("rest_id", sa.Integer(), nullable=True),
        sa.Column("next_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("rest_id IS NULL OR memo_id IS NOT NULL", name=op.f("ck_transactions_rest_after_memo")),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_transactions_store_id_stores"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_transactions_order_id_orders"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["memo_id"], ["credit_memos.id"], name=op.f("fk_transactions_memo_id_credit_memos")),
        sa.ForeignKeyConstraint(["rest_id"], ["credit_memos.id"], name=op.f("fk_transactions_rest_id_credit_memos")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transactions")),
        sa.UniqueConstraint("store_id", "number", name=op.f("uq_transactions_store_id_number")),
    )
    op.create_index("ix_transactions_order", "transactions", ["order_id", "posted_at"])
    for column in ("posted_at", "total_minor"):
        op.create_index(f"ix_transactions_{column}", "transactions", [column, "id"])
    for name, column in (("memo", "memo_id"), ("rest", "rest_id")):
        op.create_index(f"ix_transactions_{name}", "transactions", [column])
    for name, (columns, where) in PARTIAL.items():
        op.create_index(name, "transactions", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT 1 FROM transactions WHERE memo_id IS NOT NULL)")):
        raise CommandError(
            "Refunds in the accounts of channels are matched with credit memos: an earlier version would forget that, "
            "and this one would record them a second time."
        )
    op.execute("DELETE FROM store_syncs WHERE lane = 'finances'")  # once they are kept again, they are read again
    op.drop_table("transactions")
