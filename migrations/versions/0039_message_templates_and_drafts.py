"""Message templates, drafts, and the language of buyers

Revision ID: 0039
Revises: 0038
Create Date: 2026-11-30 19:40:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import UtcDateTime

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages_allowed", sa.Column("language", sa.String(), server_default="", nullable=False))
    op.create_table(
        "message_templates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("shop_id", sa.Integer(), nullable=True),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("situation", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_message_templates_shop_id_shops")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_templates")),
    )
    _unique("ix_message_templates_of_all", ["language", "situation", "name"], "shop_id IS NULL")
    _unique("ix_message_templates_of_shop", ["shop_id", "language", "situation", "name"], "shop_id IS NOT NULL")
    op.create_table(
        "order_drafts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("saved_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_order_drafts_order_id_orders"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_order_drafts_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_drafts")),
        sa.UniqueConstraint("order_id", "user_id", "action", name=op.f("uq_order_drafts_order_id_user_id_action")),
    )
    op.create_index("ix_order_drafts_saved_at", "order_drafts", ["saved_at"])
    op.create_index(op.f("ix_order_drafts_user_id"), "order_drafts", ["user_id"])


def _unique(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "message_templates", columns, unique=True, sqlite_where=condition, postgresql_where=condition)


def downgrade() -> None:
    op.drop_table("order_drafts")
    op.drop_table("message_templates")
    op.drop_column("messages_allowed", "language")
