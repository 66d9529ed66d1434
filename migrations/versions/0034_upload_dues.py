"""`upload_dues` names the orders of which a job uploads issued documents to their channels.

What is due is not kept on the way back, and the stores' settings are: after it and the next way forward, save each
store's *Upload of invoices* again to have its orders looked at.

Revision ID: 0034
Revises: 0033
Create Date: 2026-11-30 13:20:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import UtcDateTime

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "upload_dues",
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_upload_dues_order_id_orders"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_upload_dues")),
    )
    op.create_index("ix_upload_dues_next", "upload_dues", ["next_at", "order_id"])


def downgrade() -> None:
    op.drop_index("ix_upload_dues_next", "upload_dues")
    op.drop_table("upload_dues")
