"""Return requests with their lines and credit memos, and how many units of each order line are on their way back

The new column of `order_lines` needs no new table on SQLite: its constraint is the column's own.

Revision ID: 0033
Revises: 0032
Create Date: 2026-11-30 13:00:00.000000
"""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

from webapp.db import UtcDateTime

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

TWICE = "CONSTRAINT ck_order_lines_never_return_twice CHECK (to_return >= 0 AND returned + to_return <= shipped)"


def on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def upgrade() -> None:
    op.execute(
        f"ALTER TABLE order_lines ADD COLUMN to_return INTEGER DEFAULT 0 NOT NULL{f' {TWICE}' if on_sqlite() else ''}"
    )
    if not on_sqlite():
        op.execute(f"ALTER TABLE order_lines ADD {TWICE}")
    op.create_table(
        "returns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name=op.f("ck_returns_closed")),
        sa.CheckConstraint("state <> 'requested' OR decided_at IS NULL", name=op.f("ck_returns_requested")),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_returns_order_id_orders"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_returns")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_returns_order", "returns", ["order_id", "id"])
    op.create_index("ix_returns_requested_at", "returns", ["requested_at", "id"])
    op.create_index("ix_returns_state", "returns", ["state", "id"])
    op.create_table(
        "return_lines",
        sa.Column("return_id", sa.Integer(), nullable=False),
        sa.Column("line_id", sa.Integer(), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("authorized", sa.Integer(), nullable=False),
        sa.Column("received", sa.Integer(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("condition", sa.String(), nullable=False),
        sa.Column("resolution", sa.String(), nullable=False),
        sa.CheckConstraint("asked > 0 AND authorized BETWEEN 0 AND asked", name=op.f("ck_return_lines_authorized")),
        sa.CheckConstraint("received BETWEEN 0 AND authorized", name=op.f("ck_return_lines_received")),
        sa.CheckConstraint(
            "accepted >= 0 AND rejected >= 0 AND accepted + rejected <= received",
            name=op.f("ck_return_lines_inspected"),
        ),
        sa.ForeignKeyConstraint(
            ["return_id"], ["returns.id"], name=op.f("fk_return_lines_return_id_returns"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["line_id"], ["order_lines.id"], name=op.f("fk_return_lines_line_id_order_lines"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("return_id", "line_id", name=op.f("pk_return_lines")),
    )
    op.create_index(op.f("ix_return_lines_line_id"), "return_lines", ["line_id"])
    op.create_table(
        "return_memos",
        sa.Column("memo_id", sa.Integer(), nullable=False),
        sa.Column("return_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["memo_id"], ["credit_memos.id"], name=op.f("fk_return_memos_memo_id_credit_memos")),
        sa.ForeignKeyConstraint(
            ["return_id"], ["returns.id"], name=op.f("fk_return_memos_return_id_returns"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("memo_id", name=op.f("pk_return_memos")),
    )
    op.create_index(op.f("ix_return_memos_return_id"), "return_memos", ["return_id"])


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT 1 FROM returns)")):
        raise CommandError("Returns were recorded: an earlier version would lose them.")
    op.drop_table("return_memos")
    op.drop_table("return_lines")
    op.drop_table("returns")
    op.execute("UPDATE order_lines SET returned = 0 WHERE returned <> 0")
    if not on_sqlite():
        op.drop_constraint("ck_order_lines_never_return_twice", "order_lines")
    op.execute("ALTER TABLE order_lines DROP COLUMN to_return")
