"""What becomes of a store's orders stands among its settings

Revision ID: 0011
Revises: 0010
Create Date: 2026-11-29 11:30:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import Json

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NAMES = ("import_orders", "own_numbers")
SETTINGS = sa.table(
    "settings",
    sa.column("scope", sa.String()),
    sa.column("scope_id", sa.Integer()),
    sa.column("group", sa.String()),
    sa.column("name", sa.String()),
    sa.column("value", Json),
)
STORES = sa.table("stores", sa.column("id", sa.Integer()), *(sa.column(name, sa.Boolean()) for name in NAMES))
OURS = (SETTINGS.c.scope == "store") & (SETTINGS.c.group == "orders")


def upgrade() -> None:
    connection = op.get_bind()
    for name in NAMES:  # what is as usual is not stored
        off = connection.scalars(sa.select(STORES.c.id).where(sa.not_(STORES.c[name]))).all()
        for store_id in off:
            row = {"scope": "store", "scope_id": store_id, "group": "orders", "name": name, "value": False}
            connection.execute(SETTINGS.insert().values(row))
    for name in NAMES:
        op.execute(f"ALTER TABLE stores DROP COLUMN {name}")  # by itself: orders refer to the table, so it stays


def downgrade() -> None:
    connection = op.get_bind()
    for name in NAMES:
        op.add_column("stores", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.true()))
    for name in NAMES:
        rows = connection.execute(sa.select(SETTINGS.c.scope_id).where(OURS, SETTINGS.c.name == name)).scalars().all()
        connection.execute(STORES.update().where(STORES.c.id.in_(rows)).values({name: False}))
    connection.execute(SETTINGS.delete().where(OURS))
