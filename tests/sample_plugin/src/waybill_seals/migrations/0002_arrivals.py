"""How many orders arrived together."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.create_table(
        "seals_arrivals",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("orders", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("seals_arrivals")
