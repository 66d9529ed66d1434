"""The product code of a channel is called so, whichever channel it is of

Lines change the name of a column and nothing of their rows, so that it takes no longer for a million orders. Of
listings, which are far fewer, SQLite copies the table, since it can't give a constraint another name.

Revision ID: 0020
Revises: 0019
Create Date: 2026-11-29 19:40:00.000000
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_OLD, _NEW = "asin", "product_code"


def upgrade() -> None:
    _rename(_OLD, _NEW)


def downgrade() -> None:
    _rename(_NEW, _OLD)


def _rename(had: str, has: str) -> None:
    op.execute(f"ALTER TABLE order_lines RENAME COLUMN {had} TO {has}")
    op.execute(f"ALTER TABLE listings RENAME COLUMN {had} TO {has}")
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("listings", recreate="always") as listings:
            listings.drop_index(f"ix_listings_{had}")
            listings.drop_constraint(_unique(had))
            listings.create_unique_constraint(_unique(has), ["store_id", "sku", has, "title"])
            listings.create_index(f"ix_listings_{has}", [has])
    else:
        op.execute(f"ALTER TABLE listings RENAME CONSTRAINT {_unique(had)} TO {_unique(has)}")
        op.execute(f"ALTER INDEX ix_listings_{had} RENAME TO ix_listings_{has}")


def _unique(code: str) -> str:
    return f"uq_listings_store_id_sku_{code}_title"
