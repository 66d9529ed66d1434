"""Odd days of channels: what they deny, and whether all orders were read

A store that was disconnected is tried once more: until now, a permission that was missing for one thing disconnected it
for good. Stores that were read before are read again once, as far back as their first reading reached: the days that
their settings say, from now, or the oldest order that they have, whichever is earlier.

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-28 21:23:11.204417
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

from webapp.db import Json, UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

DAYS = 30  # of the first reading, where the store does not say


def upgrade() -> None:
    op.add_column("store_syncs", sa.Column("last_failure", Json, nullable=True))
    op.create_table(
        "store_denials",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("store_id", sa.Integer(), nullable=False),
        sa.Column("work", sa.String(), nullable=False),
        sa.Column("thing", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("problem", Json, nullable=True),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("again_at", UtcDateTime(), nullable=False),
        sa.Column("low", UtcDateTime(), nullable=True),
        sa.Column("page_token", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_store_denials_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store_denials")),
        sa.UniqueConstraint(
            "store_id", "work", "thing", "name", name=op.f("uq_store_denials_store_id_work_thing_name")
        ),
    )
    proofs = op.create_table(
        "order_proofs",
        sa.Column("store_id", sa.Integer(), nullable=False),
        sa.Column("low", UtcDateTime(), nullable=False),
        sa.Column("page_token", sa.String(), nullable=True),
        sa.Column("again_at", UtcDateTime(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("passes", sa.Integer(), nullable=False),
        sa.Column("found_before", sa.Integer(), nullable=False),
        sa.Column("proven_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_order_proofs_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("store_id", name=op.f("pk_order_proofs")),
    )
    op.execute("UPDATE stores SET problem = NULL WHERE problem IS NOT NULL")
    windows = sa.table("sync_windows", sa.column("store_id"), sa.column("stream"), sa.column("cursor", UtcDateTime()))
    read = sa.select(windows.c.store_id).where(windows.c.stream == "changes", windows.c.cursor.is_not(None))
    stored = sa.table(
        "settings", sa.column("scope"), sa.column("scope_id"), sa.column("name"), sa.column("value", Json)
    )
    orders = sa.table("channel_orders", sa.column("store_id"), sa.column("updated_at", UtcDateTime()))
    said = sa.select(stored.c.scope_id, stored.c.value).where(stored.c.scope == "store", stored.c.name == "import_from")
    held = sa.select(orders.c.store_id, sa.func.min(orders.c.updated_at), sa.func.count())
    bind, at = op.get_bind(), datetime.now(UTC)
    days = {store_id: int(value) for store_id, value in bind.execute(said) if value is not None}
    kept = {store_id: (oldest, total) for store_id, oldest, total in bind.execute(held.group_by(orders.c.store_id))}
    rows = []
    for [store_id] in bind.execute(read).all():
        oldest, total = kept.get(store_id, (at, 0))
        low = min(oldest, at - timedelta(days=days.get(store_id, DAYS)))
        progress = {"seen": 0, "found": 0, "total": total, "passes": 0, "found_before": 0}
        rows.append({"store_id": store_id, "low": low, "again_at": at, **progress})
    if rows:
        op.bulk_insert(proofs, rows)


def downgrade() -> None:
    op.drop_table("order_proofs")
    op.drop_table("store_denials")
    op.drop_column("store_syncs", "last_failure")
