"""Automatic invoices, what an invoice says beside its amounts, and numbers that restart each year

`invoice_dues` names the orders that a job looks at. The trigger of invoices keeps `terms`, too.

Revision ID: 0028
Revises: 0027
Create Date: 2026-11-30 09:00:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.db import Json, UtcDateTime

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

KEPT = (
    "id", "order_id", "shop_id", "number", "issued_at", "currency", "total_minor", "seller", "actor_kind", "actor_id",
)  # fmt: skip


def on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def upgrade() -> None:
    op.create_table(
        "invoice_dues",
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_invoice_dues_order_id_orders"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_invoice_dues")),
    )
    op.create_index("ix_invoice_dues_next", "invoice_dues", ["next_at", "order_id"])
    op.add_column("invoices", sa.Column("terms", Json, nullable=False, server_default="{}"))
    op.add_column("number_sequences", sa.Column("yearly", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("number_sequences", sa.Column("year", sa.Integer(), nullable=True))
    keep((*KEPT, "terms"))


def keep(columns: tuple[str, ...]) -> None:
    """Replace the trigger that keeps these columns of an invoice."""
    new, old = (", ".join(f"{row}.{name}" for name in columns) for row in ("NEW", "OLD"))
    if on_sqlite():
        op.execute("DROP TRIGGER invoices_stay")
        op.execute(
            "CREATE TRIGGER invoices_stay BEFORE UPDATE ON invoices WHEN NEW.sealed IS NOT NULL"
            f" OR ({new}) IS NOT ({old}) BEGIN SELECT RAISE(ABORT, 'invoices is append-only'); END"
        )
        return
    op.execute("DROP TRIGGER invoices_stay ON invoices")
    op.execute(
        "CREATE TRIGGER invoices_stay BEFORE UPDATE ON invoices FOR EACH ROW WHEN (NEW.sealed IS NOT NULL"
        f" OR ({new}) IS DISTINCT FROM ({old})) EXECUTE FUNCTION forbid_rewriting()"
    )


def downgrade() -> None:
    keep(KEPT)
    op.drop_index("ix_invoice_dues_next", "invoice_dues")
    op.drop_table("invoice_dues")
    op.drop_column("invoices", "terms")
    op.execute("DELETE FROM number_sequences WHERE yearly")
    op.drop_column("number_sequences", "year")
    op.drop_column("number_sequences", "yearly")
