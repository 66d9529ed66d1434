"""Automatic invoices, what an invoice says beside its amounts, and numbers that restart each year

`invoice_dues` names the orders that a job looks at. The trigger of invoices keeps `terms`, too.

On the way back, the terms of invoices are kept in a table that the earlier version does not know, and a sequence that
restarts each year under a kind from which it does not draw, with its year; the shop's earlier sequence, if there is
one, goes on. What is due is not kept: save the settings of automatic invoices again to have all orders looked at.

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
TERMS = "kept_invoice_terms"  # the table of the earlier version, where there are invoices
SEQUENCES = sa.table(
    "number_sequences",
    *map(sa.column, ("id", "shop_id", "prefix", "year")),
    sa.column("kind", sa.String()),
    sa.column("yearly", sa.Boolean()),
)


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
    allow_changes()
    if sa.inspect(op.get_bind()).has_table(TERMS):
        kept = f"SELECT terms FROM {TERMS} WHERE {TERMS}.id = invoices.id"
        op.execute(f"UPDATE invoices SET terms = ({kept}) WHERE id IN (SELECT id FROM {TERMS})")
        op.drop_table(TERMS)
    keep((*KEPT, "terms"))
    restore_yearly_sequences()


def restore_yearly_sequences() -> None:
    """Turn `invoice:yearly-2026:INV-` into a sequence of the year 2026 that the desk finds by its settings."""
    rows = op.get_bind().execute(
        sa.select(SEQUENCES.c.id, SEQUENCES.c.kind).where(SEQUENCES.c.kind.like("%:yearly-%:%"))
    )
    for id_, kind in list(rows):
        of, form, prefix = kind.split(":", 2)
        values = {"kind": f"{of}:yearly:{prefix}", "yearly": True, "year": int(form.removeprefix("yearly-")) or None}
        op.get_bind().execute(SEQUENCES.update().where(SEQUENCES.c.id == id_).values(**values))


def set_yearly_sequences_aside() -> None:
    """Name every sequence that restarts each year `invoice:yearly-2026:INV-` (0: nothing was drawn), and let the shop's
    newest other sequence go on in place of one that was drawn from.
    """
    bind, rows = op.get_bind(), SEQUENCES.c
    query = sa.select(rows.id, rows.shop_id, rows.kind, rows.prefix, rows.year).where(rows.yearly)
    for id_, shop_id, kind, prefix, year in list(bind.execute(query)):
        of, retired, _form = kind.partition(":")
        bind.execute(SEQUENCES.update().where(rows.id == id_).values(kind=f"{of}:yearly-{year or 0}:{prefix}"))
        if not retired:
            plain = sa.select(sa.func.max(rows.id)).where(
                rows.shop_id == shop_id, rows.kind.startswith(f"{of}:", autoescape=True), sa.not_(rows.yearly)
            )
            bind.execute(SEQUENCES.update().where(rows.id == bind.scalar(plain)).values(kind=of))


def allow_changes() -> None:
    op.execute("DROP TRIGGER invoices_stay" if on_sqlite() else "DROP TRIGGER invoices_stay ON invoices")


def keep(columns: tuple[str, ...]) -> None:
    """Keep these columns of an invoice as they are, by a trigger."""
    new, old = (", ".join(f"{row}.{name}" for name in columns) for row in ("NEW", "OLD"))
    if on_sqlite():
        op.execute(
            "CREATE TRIGGER invoices_stay BEFORE UPDATE ON invoices WHEN NEW.sealed IS NOT NULL"
            f" OR ({new}) IS NOT ({old}) BEGIN SELECT RAISE(ABORT, 'invoices is append-only'); END"
        )
        return
    op.execute(
        "CREATE TRIGGER invoices_stay BEFORE UPDATE ON invoices FOR EACH ROW WHEN (NEW.sealed IS NOT NULL"
        f" OR ({new}) IS DISTINCT FROM ({old})) EXECUTE FUNCTION forbid_rewriting()"
    )


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT 1 FROM invoices)")):
        op.execute(f"CREATE TABLE {TERMS} AS SELECT id, terms FROM invoices")
    allow_changes()
    keep(KEPT)
    op.drop_index("ix_invoice_dues_next", "invoice_dues")
    op.drop_table("invoice_dues")
    op.drop_column("invoices", "terms")
    set_yearly_sequences_aside()
    op.drop_column("number_sequences", "year")
    op.drop_column("number_sequences", "yearly")
