"""Indexes for the sortings of the list of invoices, and for reports of a period: by the time of issue, and by total.

Revision ID: 0030
Revises: 0029
Create Date: 2026-11-30 09:00:00.000000
"""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

SORTED = ("issued_at", "total_minor")


def upgrade() -> None:
    for column in SORTED:
        op.create_index(f"ix_invoices_{column}", "invoices", [column, "id"])


def downgrade() -> None:
    for column in SORTED:
        op.drop_index(f"ix_invoices_{column}", table_name="invoices")
