"""An index of the calls that a date ends: what is kept as long as its order is not read again at each deletion.

Revision ID: 0026
Revises: 0025
Create Date: 2026-11-30 05:30:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

DATED = "(outcome = 'ok' AND order_id IS NOT NULL OR outcome <> 'ok' AND order_id IS NULL)"


def upgrade() -> None:
    where = sa.text(DATED)
    op.create_index("ix_channel_calls_dated", "channel_calls", ["at"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_index("ix_channel_calls_dated", table_name="channel_calls")
