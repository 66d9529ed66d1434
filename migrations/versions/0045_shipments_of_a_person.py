"""Shipments by who shipped them: the carrier of the last one is offered for the next

Revision ID: 0045
Revises: 0044
Create Date: 2026-11-30 23:20:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    some = sa.text("actor_kind = 'person'")
    op.create_index("ix_shipments_person", "shipments", ["actor_id", "id"], postgresql_where=some, sqlite_where=some)


def downgrade() -> None:
    op.drop_index("ix_shipments_person", "shipments")
