"""Roles that were added or changed, and the shops for which people work

Revision ID: 0018
Revises: 0017
Create Date: 2026-11-29 16:30:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import Json

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "roles",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("base", sa.String(), nullable=False),
        sa.Column("given", Json, nullable=False),
        sa.Column("taken", Json, nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_roles")),
    )
    op.add_column("users", sa.Column("shops", Json, nullable=True))


def downgrade() -> None:
    op.execute("ALTER TABLE users DROP COLUMN shops")
    # An earlier version knows the built-in roles alone: whoever has another one gets the one that may least.
    op.execute(
        "UPDATE users SET role = 'read_only' WHERE role NOT IN ('owner', 'manager', 'clerk', 'packer', 'read_only')"
    )
    op.drop_table("roles")
