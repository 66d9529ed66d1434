"""Facts of a channel's own stand with its order, and each account is connected once

Revision ID: 0019
Revises: 0018
Create Date: 2026-11-29 17:20:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import Json

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("channel_orders", sa.Column("extra", Json, nullable=False, server_default="{}"))
    op.add_column("stores", sa.Column("account_state", sa.String(), nullable=False, server_default="unasked"))
    op.execute("UPDATE stores SET account_state = 'known' WHERE account <> ''")
    # Connected before accounts were told: whatever account it is, the store keeps working.
    connected = "EXISTS (SELECT 1 FROM store_marketplaces WHERE store_id = stores.id)"
    op.execute(f"UPDATE stores SET account_state = 'older' WHERE account = '' AND archived_at IS NULL AND {connected}")


def downgrade() -> None:
    op.drop_column("stores", "account_state")
    op.drop_column("channel_orders", "extra")
