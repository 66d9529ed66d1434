"""Mailboxes, and the mails read from them

Revision ID: 0040
Revises: 0039
Create Date: 2026-11-30 20:00:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import Json, UtcDateTime

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None
OPEN = sa.text("done_at IS NULL")
UNREAD = sa.text("unread > 0")


def upgrade() -> None:
    op.create_table(
        "mailboxes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("security", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("password", sa.String(), nullable=False),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("added_at", UtcDateTime(), nullable=False),
        sa.Column("uid_validity", sa.BigInteger(), nullable=True),
        sa.Column("last_uid", sa.BigInteger(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("claim", sa.String(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("problem", Json, nullable=True),
        sa.Column("read_at", UtcDateTime(), nullable=True),
        sa.Column("loops", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailboxes")),
    )
    op.create_table(
        "received_mails",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mailbox_id", sa.Integer(), nullable=True),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("sort", sa.String(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=True),
        sa.Column("matched", sa.String(), nullable=True),
        sa.Column("from_buyer", sa.Boolean(), nullable=False),
        sa.Column("bounced_id", sa.Integer(), nullable=True),
        sa.Column("problem", Json, nullable=True),
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.Column("done_by", sa.Integer(), nullable=True),
        sa.Column("assigned_to", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailboxes.id"], name=op.f("fk_received_mails_mailbox_id_mailboxes"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_received_mails_message_id_messages"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["bounced_id"], ["messages.id"], name=op.f("fk_received_mails_bounced_id_messages"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["done_by"], ["users.id"], name=op.f("fk_received_mails_done_by_users"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["assigned_to"], ["users.id"], name=op.f("fk_received_mails_assigned_to_users"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_received_mails")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_received_mails_fingerprint")),
        sa.UniqueConstraint("message_id", name=op.f("uq_received_mails_message_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_received_mails_mailbox_id"), "received_mails", ["mailbox_id"])
    op.create_index(op.f("ix_received_mails_bounced_id"), "received_mails", ["bounced_id"])
    op.create_index("ix_received_mails_reference", "received_mails", ["reference"])
    op.create_index("ix_received_mails_expires", "received_mails", ["expires_at"])
    op.create_index(
        "ix_received_mails_open", "received_mails", ["received_at", "id"], sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.add_column("orders", sa.Column("unread", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_orders_unread", "orders", ["placed_at", "id"], sqlite_where=UNREAD, postgresql_where=UNREAD)


def downgrade() -> None:
    op.drop_index("ix_orders_unread", "orders")
    op.drop_column("orders", "unread")
    op.drop_table("received_mails")
    op.drop_table("mailboxes")
