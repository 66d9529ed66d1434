"""The queue of outgoing mail

Revision ID: 0036
Revises: 0035
Create Date: 2026-11-30 16:50:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import Json, UtcDateTime

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None
UNSENT = sa.text("state IN ('queued', 'leaving')")


def upgrade() -> None:
    op.create_table(
        "mails",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("sealed", sa.String(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("claim", sa.String(), nullable=True),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("problem", Json, nullable=True),
        sa.CheckConstraint("sealed IS NOT NULL OR state = 'sent'", name=op.f("ck_mails_sealed_until_sent")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_mails_due", "mails", ["next_at", "id"], sqlite_where=UNSENT, postgresql_where=UNSENT)
    op.create_index("ix_mails_created_at", "mails", ["created_at", "id"])


def downgrade() -> None:
    op.drop_table("mails")
