"""Invoices with their lines, and what of each amount is invoiced

An issued invoice is kept as it is by triggers; only the sealed snapshot of its buyer can be erased. New columns of
`order_amounts` need no new table on SQLite: their constraint is the last column's own.

Revision ID: 0027
Revises: 0026
Create Date: 2026-11-30 06:20:00.000000
"""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

from webapp.db import Json, UtcDateTime

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

MINOR = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FIGURES = ("invoiced_charged", "invoiced_tax", "invoiced_discount")
WITHIN = (
    "CONSTRAINT ck_order_amounts_never_invoice_more"
    " CHECK (invoiced_charged + invoiced_tax - invoiced_discount <= ceiling)"
)
KEPT = (
    "id", "order_id", "shop_id", "number", "issued_at", "currency", "total_minor", "seller", "actor_kind", "actor_id",
)  # fmt: skip


def on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def upgrade() -> None:
    kind = "INTEGER" if on_sqlite() else "BIGINT"
    for name in FIGURES:
        within = f" {WITHIN}" if on_sqlite() and name == FIGURES[-1] else ""
        op.execute(f"ALTER TABLE order_amounts ADD COLUMN {name} {kind} DEFAULT 0 NOT NULL{within}")
    if not on_sqlite():
        op.execute(f"ALTER TABLE order_amounts ADD {WITHIN}")
    op.create_table(
        "invoices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("shop_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("total_minor", MINOR, nullable=False),
        sa.Column("seller", Json, nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_invoices_order_id_orders")),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_invoices_shop_id_shops")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoices")),
        sa.UniqueConstraint("number", name=op.f("uq_invoices_number")),
    )
    op.create_index("ix_invoices_order", "invoices", ["order_id", "id"])
    op.create_table(
        "invoice_lines",
        sa.Column("invoice_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("line_id", sa.Integer(), nullable=True),
        sa.Column("component", sa.String(), nullable=False),
        sa.Column("sku", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("charged", MINOR, nullable=False),
        sa.Column("tax", MINOR, nullable=False),
        sa.Column("discount", MINOR, nullable=False),
        sa.Column("tax_rate", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "units >= 0 AND (units = 0 OR component = 'item' AND line_id IS NOT NULL)",
            name=op.f("ck_invoice_lines_units"),
        ),
        sa.CheckConstraint("tax_rate >= 0", name=op.f("ck_invoice_lines_tax_rate")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name=op.f("fk_invoice_lines_invoice_id_invoices")),
        sa.ForeignKeyConstraint(["line_id"], ["order_lines.id"], name=op.f("fk_invoice_lines_line_id_order_lines")),
        sa.PrimaryKeyConstraint("invoice_id", "position", name=op.f("pk_invoice_lines")),
    )
    op.create_index(op.f("ix_invoice_lines_line_id"), "invoice_lines", ["line_id"])
    forbid_changes()


def forbid_changes() -> None:
    new, old = (", ".join(f"{row}.{name}" for name in KEPT) for row in ("NEW", "OLD"))
    whole = (("invoices", "DELETE"), ("invoice_lines", "UPDATE"), ("invoice_lines", "DELETE"))
    if on_sqlite():
        refuse = "BEGIN SELECT RAISE(ABORT, '{} is append-only'); END"
        op.execute(
            "CREATE TRIGGER invoices_stay BEFORE UPDATE ON invoices WHEN NEW.sealed IS NOT NULL"
            f" OR ({new}) IS NOT ({old}) {refuse.format('invoices')}"
        )
        for table, verb in whole:
            op.execute(f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} {refuse.format(table)}")
        return
    refuse = "EXECUTE FUNCTION forbid_rewriting()"
    op.execute(
        "CREATE TRIGGER invoices_stay BEFORE UPDATE ON invoices FOR EACH ROW WHEN (NEW.sealed IS NOT NULL"
        f" OR ({new}) IS DISTINCT FROM ({old})) {refuse}"
    )
    for table, verb in whole:
        op.execute(f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} FOR EACH ROW {refuse}")


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT 1 FROM invoices)")):
        raise CommandError("Invoices were issued, and have to be kept: an earlier version would lose them.")
    op.drop_table("invoice_lines")
    op.drop_table("invoices")
    op.execute("DELETE FROM number_sequences WHERE kind LIKE 'invoice%'")  # also those that were drawn from earlier
    op.execute("UPDATE order_lines SET invoiced = 0 WHERE invoiced <> 0")
    if not on_sqlite():
        op.drop_constraint("ck_order_amounts_never_invoice_more", "order_amounts")
    for name in reversed(FIGURES):
        op.execute(f"ALTER TABLE order_amounts DROP COLUMN {name}")
