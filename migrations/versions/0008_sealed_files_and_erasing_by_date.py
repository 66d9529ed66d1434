"""Sealed files and erasing by date: files inside the vault, the weeks that are sealed under, and when parcels arrived

What an earlier version exported lies in the data directory in plain. Its rows are forgotten here, so that it has to be
exported again; the desk deletes the files (`vault.files.sweep`), once this is committed.

Revision ID: 0008
Revises: 0007
Create Date: 2026-11-28 21:20:11.502817
"""

import shutil

import sqlalchemy as sa
from alembic import op

from webapp.config import configuration
from webapp.db import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SEALED_UNDER = ("vault_keys", "asides", "bulk_acts", "exports", "sealed_queries", "saved_views")
# What counts as forgotten is never looked at again: neither may the words that were searched stay.
FORGET_EXPORTS = "UPDATE exports SET file = '', place = 'forgotten', period = NULL, sealed = NULL"


def upgrade() -> None:
    op.create_table(
        "vault_periods",
        sa.Column("period", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("period", name=op.f("pk_vault_periods")),
    )
    op.create_table(
        "vault_files",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("whole_id", sa.Integer(), nullable=True),
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["whole_id"], ["vault_files.id"], name=op.f("fk_vault_files_whole_id_vault_files"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vault_files")),
        sa.UniqueConstraint("name", name=op.f("uq_vault_files_name")),
    )
    op.create_index("ix_vault_files_subject", "vault_files", ["kind", "subject_id", "position"])
    op.create_index(op.f("ix_vault_files_whole_id"), "vault_files", ["whole_id"])
    op.create_index(op.f("ix_vault_files_expires_at"), "vault_files", ["expires_at"])
    op.create_table(
        "vault_file_orders",
        sa.Column("file_id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["file_id"], ["vault_files.id"], name=op.f("fk_vault_file_orders_file_id_vault_files"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_vault_file_orders_order_id_orders"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("file_id", "order_id", name=op.f("pk_vault_file_orders")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_vault_file_orders_order", "vault_file_orders", ["order_id"])
    with op.batch_alter_table("channel_packages") as table:
        table.add_column(sa.Column("delivered_at", UtcDateTime(), nullable=True))
    for name in SEALED_UNDER:  # before anything is cleared, or the weeks of it alone could never be destroyed
        op.execute(
            f"INSERT INTO vault_periods (period) SELECT DISTINCT period FROM {name} WHERE period <> ''"
            " AND NOT EXISTS (SELECT 1 FROM vault_periods known WHERE known.period = "
            f"{name}.period)"
        )
    op.execute("UPDATE bulk_acts SET period = '' WHERE length(sealed) = 0")
    op.execute(FORGET_EXPORTS)


def downgrade() -> None:
    op.execute(FORGET_EXPORTS)
    with op.batch_alter_table("channel_packages") as table:
        table.drop_column("delivered_at")
    op.drop_table("vault_file_orders")
    op.drop_table("vault_files")
    op.drop_table("vault_periods")
    shutil.rmtree(configuration().data_dir / "files", ignore_errors=True)  # last: nothing fails that needs them yet
