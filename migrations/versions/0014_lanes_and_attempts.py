"""Updates with revisions, lanes and attempts; accounts of stores, and stores that are read only

Revision ID: 0014
Revises: 0013
Create Date: 2026-11-29 14:00:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import Json, UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

OPEN_BEFORE = "state IN ('held', 'owed', 'sent', 'refused', 'unknown')"
OPEN_NOW = "state IN ('held', 'owed', 'sent', 'accepted', 'refused', 'unknown')"
LATEST = """
    SELECT id FROM (
        SELECT id, row_number() OVER (
            PARTITION BY order_id, kind, reference ORDER BY state = 'withdrawn', revision DESC
        ) AS place FROM channel_updates
    ) AS placed WHERE place = 1
"""  # of each reference the one that counts: before this there was only one
ALONE = {"recreate": "always", "reflect_kwargs": {"resolve_fks": False}}  # the tables it refers to are not rebuilt
IDS_STAY = ALONE | {"table_kwargs": {"sqlite_autoincrement": True}}


def upgrade() -> None:
    op.add_column("stores", sa.Column("read_only", Json, nullable=True))
    op.add_column("stores", sa.Column("account", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "update_lanes",
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "account", "lane", name=op.f("pk_update_lanes")),
    )
    op.create_table(
        "update_attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("store_id", sa.Integer(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("channel_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_update_attempts_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_update_attempts")),
        sqlite_autoincrement=True,
    )
    op.drop_index("ix_channel_updates_open", "channel_updates")
    op.drop_index("ix_channel_updates_due", "channel_updates")
    with op.batch_alter_table("channel_updates") as batch:
        batch.add_column(sa.Column("revision", sa.Integer(), nullable=False, server_default="1"))
        batch.add_column(sa.Column("lane", sa.String(), nullable=False, server_default=""))
        batch.add_column(sa.Column("looked_at", UtcDateTime(), nullable=True))
        batch.add_column(sa.Column("look_from", UtcDateTime(), nullable=True))
        batch.add_column(sa.Column("attempt_id", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("together", sa.Integer(), nullable=True))
    op.execute("UPDATE channel_updates SET lane = kind")
    with op.batch_alter_table("channel_updates", **_on_sqlite(IDS_STAY)) as batch:
        batch.alter_column("revision", server_default=None)
        batch.alter_column("lane", server_default=None)
        batch.drop_constraint(op.f("uq_channel_updates_order_id_kind_reference"), type_="unique")
        batch.create_unique_constraint(
            op.f("uq_channel_updates_order_id_kind_reference_revision"), ["order_id", "kind", "reference", "revision"]
        )
        batch.create_foreign_key(
            op.f("fk_channel_updates_attempt_id_update_attempts"), "update_attempts", ["attempt_id"], ["id"]
        )
    op.create_index("ix_channel_updates_due", "channel_updates", ["store_id", "lane", "state", "due_at"])
    _index_open(OPEN_NOW)


def downgrade() -> None:
    op.execute(f"DELETE FROM channel_updates WHERE id NOT IN ({LATEST})")
    op.execute("UPDATE channel_updates SET state = 'sent' WHERE state = 'accepted'")
    op.drop_index("ix_channel_updates_open", "channel_updates")
    op.drop_index("ix_channel_updates_due", "channel_updates")
    with op.batch_alter_table("channel_updates", **_on_sqlite(ALONE)) as batch:
        batch.drop_constraint(op.f("fk_channel_updates_attempt_id_update_attempts"), type_="foreignkey")
        batch.drop_constraint(op.f("uq_channel_updates_order_id_kind_reference_revision"), type_="unique")
        batch.create_unique_constraint(
            op.f("uq_channel_updates_order_id_kind_reference"), ["order_id", "kind", "reference"]
        )
        for name in ("revision", "lane", "looked_at", "look_from", "attempt_id", "together"):
            batch.drop_column(name)
    op.create_index("ix_channel_updates_due", "channel_updates", ["store_id", "kind", "state", "due_at"])
    _index_open(OPEN_BEFORE)
    op.drop_table("update_attempts")
    op.drop_table("update_lanes")
    for name in ("account", "read_only"):
        op.execute(f"ALTER TABLE stores DROP COLUMN {name}")  # by itself: orders refer to the table, so it stays


def _on_sqlite(options: dict[str, object]) -> dict[str, object]:
    return options if op.get_bind().dialect.name == "sqlite" else {}


def _index_open(states: str) -> None:
    op.create_index(
        "ix_channel_updates_open",
        "channel_updates",
        ["store_id", "state", "order_id"],
        sqlite_where=sa.text(states),
        postgresql_where=sa.text(states),
    )
