"""The orders desk: search, views, statuses, tags, bulk work, exports and figures

A hold's reason moves under the order's key; no earlier version let anybody give one.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-23 04:44:14.897278
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import Json, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# What is found by its beginning is compared by its code points, so that a beginning is a range of its index.
COMPARED_PLAINLY = (("orders", "number"), ("orders", "channel_order_number"), ("packages", "tracking_number"))


def collate(collation: str) -> None:
    if op.get_bind().dialect.name == "postgresql":  # SQLite compares so by itself
        for table, column in COMPARED_PLAINLY:
            op.execute(f'ALTER TABLE {table} ALTER COLUMN {column} TYPE VARCHAR COLLATE "{collation}"')


def upgrade() -> None:
    collate("C")
    op.create_table(
        "order_statuses",
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("names", Json, nullable=False),
        sa.Column("tone", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("retired_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_order_statuses")),
    )
    op.create_table(
        "tags",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("tone", sa.String(), nullable=False),
        sa.Column("leaving", sa.Boolean(), nullable=False),
        sa.Column("heir_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["heir_id"], ["tags.id"], name=op.f("fk_tags_heir_id_tags"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
    )
    op.create_table(
        "bulk_acts",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_bulk_acts_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_bulk_acts")),
        sa.UniqueConstraint("key", name=op.f("uq_bulk_acts_key")),
    )
    op.create_table(
        "exports",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("rows", sa.String(), nullable=False),
        sa.Column("columns", Json, nullable=False),
        sa.Column("query", sa.String(), nullable=False),
        sa.Column("sort", sa.String(), nullable=False),
        sa.Column("period", sa.String(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("chosen", Json, nullable=True),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_exports_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_exports")),
    )
    op.create_table(
        "list_layouts",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("columns", Json, nullable=False),
        sa.Column("sort", sa.String(), nullable=False),
        sa.Column("dense", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_list_layouts_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "name", name=op.f("pk_list_layouts")),
    )
    op.create_table(
        "saved_views",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("query", sa.String(), nullable=False),
        sa.Column("period", sa.String(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("sort", sa.String(), nullable=False),
        sa.Column("columns", Json, nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_saved_views_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
    )
    with op.batch_alter_table("saved_views", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_saved_views_user_id"), ["user_id"], unique=False)

    op.create_table(
        "sealed_queries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_sealed_queries_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sealed_queries")),
        sa.UniqueConstraint("token", name=op.f("uq_sealed_queries_token")),
    )
    with op.batch_alter_table("sealed_queries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sealed_queries_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_sealed_queries_user_id"), ["user_id"], unique=False)

    op.create_table(
        "daily_figures",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("shop_id", sa.Integer(), nullable=False),
        sa.Column("store_id", sa.Integer(), nullable=False),
        sa.Column("marketplace", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_daily_figures_shop_id_shops")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_daily_figures_store_id_stores")),
        sa.PrimaryKeyConstraint(
            "day", "shop_id", "store_id", "marketplace", "state", "currency", name=op.f("pk_daily_figures")
        ),
    )
    with op.batch_alter_table("daily_figures", schema=None) as batch_op:
        batch_op.create_index("ix_daily_figures_store_day", ["store_id", "day"], unique=False)

    op.create_table(
        "figure_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("shop_id", sa.Integer(), nullable=False),
        sa.Column("store_id", sa.Integer(), nullable=False),
        sa.Column("marketplace", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_figure_changes_shop_id_shops")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_figure_changes_store_id_stores")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_figure_changes")),
    )
    op.create_table(
        "figure_zones",
        sa.Column("shop_id", sa.Integer(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_figure_zones_shop_id_shops")),
        sa.PrimaryKeyConstraint("shop_id", name=op.f("pk_figure_zones")),
    )
    op.create_table(
        "listings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("store_id", sa.Integer(), nullable=False),
        sa.Column("sku", sa.String(), nullable=False),
        sa.Column("asin", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_listings_store_id_stores")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_listings")),
        sa.UniqueConstraint("store_id", "sku", "asin", "title", name=op.f("uq_listings_store_id_sku_asin_title")),
    )
    with op.batch_alter_table("listings", schema=None) as batch_op:
        batch_op.create_index("ix_listings_asin", ["asin"], unique=False)

    op.create_table(
        "order_tags",
        sa.Column("tag_id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_order_tags_order_id_orders"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name=op.f("fk_order_tags_tag_id_tags"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tag_id", "order_id", name=op.f("pk_order_tags")),
    )
    with op.batch_alter_table("order_tags", schema=None) as batch_op:
        batch_op.create_index("ix_order_tags_order", ["order_id"], unique=False)

    op.create_table(
        "search_terms",
        sa.Column("term", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("placed", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("order_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("term", "placed", "order_id", name=op.f("pk_search_terms")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("order_comments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("status", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("pinned_at", UtcDateTime(), nullable=True))

    with op.batch_alter_table("order_holds", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sealed", sa.LargeBinary(), nullable=True))
        batch_op.create_index(
            "ix_order_holds_due",
            ["until"],
            unique=False,
            sqlite_where=sa.text("released_at IS NULL"),
            postgresql_where=sa.text("released_at IS NULL"),
        )
        batch_op.drop_column("reason")

    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.add_column(sa.Column("country", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("status", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("assignee_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("due_at", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("tags", Json, nullable=False, server_default=sa.text("'[]'")))
        batch_op.add_column(sa.Column("comments", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("archived_at", UtcDateTime(), nullable=True))
        batch_op.create_index(
            "ix_orders_assignee",
            ["assignee_id", "placed_at", "id"],
            unique=False,
            sqlite_where=sa.text("assignee_id IS NOT NULL"),
            postgresql_where=sa.text("assignee_id IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_orders_attention",
            ["placed_at", "id"],
            unique=False,
            sqlite_where=sa.text("needs_attention"),
            postgresql_where=sa.text("needs_attention"),
        )
        batch_op.create_index(
            "ix_orders_buyer_wants_cancel",
            ["placed_at", "id"],
            unique=False,
            sqlite_where=sa.text("buyer_wants_cancel"),
            postgresql_where=sa.text("buyer_wants_cancel"),
        )
        batch_op.create_index(
            "ix_orders_due",
            ["due_at", "id"],
            unique=False,
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_orders_on_hold",
            ["placed_at", "id"],
            unique=False,
            sqlite_where=sa.text("on_hold"),
            postgresql_where=sa.text("on_hold"),
        )
        batch_op.create_index(
            "ix_orders_open_placed",
            ["placed_at", "id"],
            unique=False,
            sqlite_where=sa.text("state IN ('pending', 'processing')"),
            postgresql_where=sa.text("state IN ('pending', 'processing')"),
        )
        batch_op.create_index(
            "ix_orders_open_ship_by",
            ["ship_by", "id"],
            unique=False,
            sqlite_where=sa.text("state IN ('pending', 'processing')"),
            postgresql_where=sa.text("state IN ('pending', 'processing')"),
        )
        batch_op.create_index(
            "ix_orders_open_total",
            ["total_minor", "id"],
            unique=False,
            sqlite_where=sa.text("state IN ('pending', 'processing')"),
            postgresql_where=sa.text("state IN ('pending', 'processing')"),
        )
        batch_op.create_index(
            "ix_orders_open_updated",
            ["updated_at", "id"],
            unique=False,
            sqlite_where=sa.text("state IN ('pending', 'processing')"),
            postgresql_where=sa.text("state IN ('pending', 'processing')"),
        )
        batch_op.create_index("ix_orders_ship_by", ["ship_by", "id"], unique=False)
        batch_op.create_index("ix_orders_state_ship_by", ["state", "ship_by", "id"], unique=False)
        batch_op.create_index("ix_orders_state_total", ["state", "total_minor", "id"], unique=False)
        batch_op.create_index("ix_orders_state_updated", ["state", "updated_at", "id"], unique=False)
        batch_op.create_index(
            "ix_orders_status",
            ["status", "placed_at", "id"],
            unique=False,
            sqlite_where=sa.text("status IS NOT NULL"),
            postgresql_where=sa.text("status IS NOT NULL"),
        )
        batch_op.create_index("ix_orders_store_ship_by", ["store_id", "ship_by", "id"], unique=False)
        batch_op.create_index("ix_orders_store_total", ["store_id", "total_minor", "id"], unique=False)
        batch_op.create_index("ix_orders_store_updated", ["store_id", "updated_at", "id"], unique=False)
        batch_op.create_index("ix_orders_total", ["total_minor", "id"], unique=False)
        batch_op.create_index("ix_orders_updated", ["updated_at", "id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_orders_assignee_id_users"), "users", ["assignee_id"], ["id"], ondelete="SET NULL"
        )

    op.execute("UPDATE orders SET comments = (SELECT count(*) FROM order_comments WHERE order_id = orders.id)")
    op.create_index("uq_tags_name_folded", "tags", [sa.text("lower(name)")], unique=True)
    with op.batch_alter_table("run_results", schema=None) as batch_op:
        batch_op.create_index("ix_run_results_state", ["run_id", "state", "position"], unique=False)

    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("turn", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("look_again_at", UtcDateTime(), nullable=True))

    # What is here already is indexed in the background: the run stands in its row, and the clock finds it.
    op.execute(
        "INSERT INTO runs (kind, actor_kind, state, started_at, look_again_at, quiet, total, done, failed, numbers)"
        " SELECT 'index', 'job', 'queued', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, false,"
        " (SELECT count(*) FROM orders), 0, 0, '{}' WHERE EXISTS (SELECT 1 FROM orders)"
    )

    with op.batch_alter_table("channel_updates", schema=None) as batch_op:
        batch_op.create_index(
            "ix_channel_updates_open",
            ["store_id", "state", "order_id"],
            unique=False,
            sqlite_where=sa.text("state IN ('held', 'owed', 'sent', 'refused', 'unknown')"),
            postgresql_where=sa.text("state IN ('held', 'owed', 'sent', 'refused', 'unknown')"),
        )

    with op.batch_alter_table("shops", schema=None) as batch_op:
        batch_op.add_column(sa.Column("address", sa.String(), nullable=False, server_default=""))

    with op.batch_alter_table("stores", schema=None) as batch_op:
        batch_op.add_column(sa.Column("archived_at", UtcDateTime(), nullable=True))

    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.add_column(sa.Column("start_view", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    collate("default")
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.drop_column("start_view")

    with op.batch_alter_table("stores", schema=None) as batch_op:
        batch_op.drop_column("archived_at")

    with op.batch_alter_table("shops", schema=None) as batch_op:
        batch_op.drop_column("address")

    with op.batch_alter_table("channel_updates", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_channel_updates_open",
            sqlite_where=sa.text("state IN ('held', 'owed', 'sent', 'refused', 'unknown')"),
            postgresql_where=sa.text("state IN ('held', 'owed', 'sent', 'refused', 'unknown')"),
        )

    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_column("look_again_at")
        batch_op.drop_column("turn")

    with op.batch_alter_table("run_results", schema=None) as batch_op:
        batch_op.drop_index("ix_run_results_state")

    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_orders_assignee_id_users"), type_="foreignkey")
        batch_op.drop_index("ix_orders_updated")
        batch_op.drop_index("ix_orders_total")
        batch_op.drop_index("ix_orders_store_updated")
        batch_op.drop_index("ix_orders_store_total")
        batch_op.drop_index("ix_orders_store_ship_by")
        batch_op.drop_index(
            "ix_orders_status",
            sqlite_where=sa.text("status IS NOT NULL"),
            postgresql_where=sa.text("status IS NOT NULL"),
        )
        batch_op.drop_index("ix_orders_state_updated")
        batch_op.drop_index("ix_orders_state_total")
        batch_op.drop_index("ix_orders_state_ship_by")
        batch_op.drop_index("ix_orders_ship_by")
        batch_op.drop_index(
            "ix_orders_open_updated",
            sqlite_where=sa.text("state IN ('pending', 'processing')"),
            postgresql_where=sa.text("state IN ('pending', 'processing')"),
        )
        batch_op.drop_index(
            "ix_orders_open_total",
            sqlite_where=sa.text("state IN ('pending', 'processing')"),
            postgresql_where=sa.text("state IN ('pending', 'processing')"),
        )
        batch_op.drop_index(
            "ix_orders_open_ship_by",
            sqlite_where=sa.text("state IN ('pending', 'processing')"),
            postgresql_where=sa.text("state IN ('pending', 'processing')"),
        )
        batch_op.drop_index(
            "ix_orders_open_placed",
            sqlite_where=sa.text("state IN ('pending', 'processing')"),
            postgresql_where=sa.text("state IN ('pending', 'processing')"),
        )
        batch_op.drop_index("ix_orders_on_hold", sqlite_where=sa.text("on_hold"), postgresql_where=sa.text("on_hold"))
        batch_op.drop_index(
            "ix_orders_due", sqlite_where=sa.text("due_at IS NOT NULL"), postgresql_where=sa.text("due_at IS NOT NULL")
        )
        batch_op.drop_index(
            "ix_orders_buyer_wants_cancel",
            sqlite_where=sa.text("buyer_wants_cancel"),
            postgresql_where=sa.text("buyer_wants_cancel"),
        )
        batch_op.drop_index(
            "ix_orders_attention", sqlite_where=sa.text("needs_attention"), postgresql_where=sa.text("needs_attention")
        )
        batch_op.drop_index(
            "ix_orders_assignee",
            sqlite_where=sa.text("assignee_id IS NOT NULL"),
            postgresql_where=sa.text("assignee_id IS NOT NULL"),
        )
        batch_op.drop_column("archived_at")
        batch_op.drop_column("comments")
        batch_op.drop_column("tags")
        batch_op.drop_column("due_at")
        batch_op.drop_column("assignee_id")
        batch_op.drop_column("status")
        batch_op.drop_column("country")

    with op.batch_alter_table("order_holds", schema=None) as batch_op:
        batch_op.add_column(sa.Column("reason", sa.String(), nullable=False, server_default=""))
        batch_op.drop_index(
            "ix_order_holds_due",
            sqlite_where=sa.text("released_at IS NULL"),
            postgresql_where=sa.text("released_at IS NULL"),
        )
        batch_op.drop_column("sealed")

    with op.batch_alter_table("order_comments", schema=None) as batch_op:
        batch_op.drop_column("pinned_at")
        batch_op.drop_column("status")

    op.drop_table("search_terms")
    with op.batch_alter_table("order_tags", schema=None) as batch_op:
        batch_op.drop_index("ix_order_tags_order")

    op.drop_table("order_tags")
    with op.batch_alter_table("listings", schema=None) as batch_op:
        batch_op.drop_index("ix_listings_asin")

    op.drop_table("listings")
    op.drop_table("figure_zones")
    op.drop_table("figure_changes")
    with op.batch_alter_table("daily_figures", schema=None) as batch_op:
        batch_op.drop_index("ix_daily_figures_store_day")

    op.drop_table("daily_figures")
    with op.batch_alter_table("sealed_queries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sealed_queries_user_id"))
        batch_op.drop_index(batch_op.f("ix_sealed_queries_at"))

    op.drop_table("sealed_queries")
    with op.batch_alter_table("saved_views", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_saved_views_user_id"))

    op.drop_table("saved_views")
    op.drop_table("list_layouts")
    op.drop_table("exports")
    op.drop_table("bulk_acts")
    op.drop_table("tags")
    op.drop_table("order_statuses")
