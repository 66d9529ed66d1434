"""Language and address of a shop stand among its settings, and it may have a logo

Revision ID: 0013
Revises: 0012
Create Date: 2026-11-29 13:25:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import Json, UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

USUAL = {"language": "en", "address": ""}
SETTINGS = sa.table(
    "settings",
    sa.column("scope", sa.String()),
    sa.column("scope_id", sa.Integer()),
    sa.column("group", sa.String()),
    sa.column("name", sa.String()),
    sa.column("value", Json),
)
SHOPS = sa.table("shops", sa.column("id", sa.Integer()), *(sa.column(name, sa.String()) for name in USUAL))
OURS = (SETTINGS.c.scope == "shop") & (SETTINGS.c.group == "legal")


def upgrade() -> None:
    connection = op.get_bind()
    for name, usual in USUAL.items():  # what is as usual is not stored
        for shop_id, value in connection.execute(sa.select(SHOPS.c.id, SHOPS.c[name])).all():
            if value != usual:
                row = {"scope": "shop", "scope_id": shop_id, "group": "legal", "name": name, "value": value}
                connection.execute(SETTINGS.insert().values(row))
    for name in USUAL:
        op.execute(f"ALTER TABLE shops DROP COLUMN {name}")  # by itself: other tables refer to this one, so it stays
    op.create_table(
        "shop_logos",
        sa.Column("shop_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_shop_logos_shop_id_shops")),
        sa.PrimaryKeyConstraint("shop_id", name=op.f("pk_shop_logos")),
    )


def downgrade() -> None:
    op.drop_table("shop_logos")
    connection = op.get_bind()
    for name, usual in USUAL.items():
        op.add_column("shops", sa.Column(name, sa.String(), nullable=False, server_default=usual))
        of_name = OURS & (SETTINGS.c.name == name)
        for shop_id, value in connection.execute(sa.select(SETTINGS.c.scope_id, SETTINGS.c.value).where(of_name)).all():
            connection.execute(SHOPS.update().where(SHOPS.c.id == shop_id).values({name: value}))
        connection.execute(SETTINGS.delete().where(of_name))
