"""Lists without the archive: indexes that lists are sorted by hold what they show, and what was archived apart

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-23 08:05:12.418330
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SORTED = {"placed": "placed_at", "ship_by": "ship_by", "updated": "updated_at", "total": "total_minor"}
SHOWN, ARCHIVED = "archived_at IS NULL", "archived_at IS NOT NULL"
NARROWED = {
    name: columns
    for sort, column in SORTED.items()
    for name, columns in (
        (f"ix_orders_{sort}", [column, "id"]),
        (f"ix_orders_store_{sort}", ["store_id", column, "id"]),
        (f"ix_orders_state_{sort}", ["state", column, "id"]),
    )
}
NEW = {
    **{name.replace("ix_orders_", "ix_orders_archived_"): (columns, ARCHIVED) for name, columns in NARROWED.items()},
    "ix_orders_open_buyer_wants_cancel": (
        ["placed_at", "id"],
        "state IN ('pending', 'processing') AND buyer_wants_cancel",
    ),
    "ix_orders_unnumbered": (["store_id", "placed_at", "id"], "number IS NULL"),
}


def create(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "orders", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def upgrade() -> None:
    for name, columns in NARROWED.items():
        op.drop_index(name, "orders")
        create(name, columns, SHOWN)
    for name, (columns, where) in NEW.items():
        create(name, columns, where)


def downgrade() -> None:
    for name in NEW:
        op.drop_index(name, "orders")
    for name, columns in NARROWED.items():
        op.drop_index(name, "orders")
        op.create_index(name, "orders", columns)
