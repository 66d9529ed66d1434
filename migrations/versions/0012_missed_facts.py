"""Facts that listeners of plugins failed to hear

Revision ID: 0012
Revises: 0011
Create Date: 2026-11-29 12:10:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import Json, UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "missed_facts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("plugin", sa.String(), nullable=False),
        sa.Column("hook", sa.String(), nullable=False),
        sa.Column("facts", Json, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_missed_facts")),
    )
    op.create_index(op.f("ix_missed_facts_next_at"), "missed_facts", ["next_at"])


def downgrade() -> None:
    op.drop_table("missed_facts")
