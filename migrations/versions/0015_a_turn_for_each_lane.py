"""A store is read lane by lane: each has a lease, a run, a next time and a place of its own; orders are the first

Revision ID: 0015
Revises: 0014
Create Date: 2026-11-29 13:20:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import Json, UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

KEPT = "store_id, run_id, next_at, lease_owner, lease_until, failures, last_failure, last_success_at"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.add_column("store_syncs", sa.Column("lane", sa.String(), nullable=False, server_default="orders"))
        op.alter_column("store_syncs", "lane", server_default=None)
        op.add_column("store_syncs", sa.Column("place", sa.String(), nullable=True))
        op.drop_constraint(op.f("pk_store_syncs"), "store_syncs", type_="primary")
        op.create_primary_key(op.f("pk_store_syncs"), "store_syncs", ["store_id", "lane"])
        return
    _make_again(f"{KEPT}, lane", f"SELECT {KEPT}, 'orders'", lanes=True)


def downgrade() -> None:
    op.execute("DELETE FROM store_syncs WHERE lane <> 'orders'")  # the version before knows nobody who reads them
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f("pk_store_syncs"), "store_syncs", type_="primary")
        op.drop_column("store_syncs", "place")
        op.drop_column("store_syncs", "lane")
        op.create_primary_key(op.f("pk_store_syncs"), "store_syncs", ["store_id"])
        return
    _make_again(KEPT, f"SELECT {KEPT}", lanes=False)


def _make_again(columns: str, rows: str, *, lanes: bool) -> None:
    """SQLite changes no primary key: the table is made again, and its rows are copied."""
    op.drop_index(op.f("ix_store_syncs_next_at"), "store_syncs")
    op.rename_table("store_syncs", "store_syncs_before")
    of_lanes = [sa.Column("lane", sa.String(), nullable=False), sa.Column("place", sa.String(), nullable=True)]
    op.create_table(
        "store_syncs",
        sa.Column("store_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_failure", Json, nullable=True),
        sa.Column("last_success_at", UtcDateTime(), nullable=True),
        *(of_lanes if lanes else ()),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_store_syncs_run_id_runs")),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_store_syncs_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(*(("store_id", "lane") if lanes else ("store_id",)), name=op.f("pk_store_syncs")),
    )
    op.execute(f"INSERT INTO store_syncs ({columns}) {rows} FROM store_syncs_before")
    op.drop_table("store_syncs_before")
    op.create_index(op.f("ix_store_syncs_next_at"), "store_syncs", ["next_at"])
