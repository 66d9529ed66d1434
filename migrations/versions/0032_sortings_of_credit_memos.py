"""Indexes for the sortings of the list of credit memos, and for reports of a period: by the times of recording and of
issue, and by total.

Revision ID: 0032
Revises: 0031
Create Date: 2026-11-30 10:00:00.000000
"""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

SORTED = ("recorded_at", "issued_at", "total_minor")


def upgrade() -> None:
    for column in SORTED:
        op.create_index(f"ix_credit_memos_{column}", "credit_memos", [column, "id"])


def downgrade() -> None:
    for column in SORTED:
        op.drop_index(f"ix_credit_memos_{column}", table_name="credit_memos")
