"""Credit memos with their lines, what of each amount and order is refunded or about to be, and each role's limit

A memo without a number may change; one that has its number is kept as it is by triggers, like an invoice. New columns
of existing tables need no new table on SQLite: their constraints are the last column's own.

Revision ID: 0029
Revises: 0028
Create Date: 2026-11-30 09:00:00.000000
"""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

from webapp.db import Json, UtcDateTime

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

MINOR = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OF_AMOUNTS = tuple(f"{what}_{name}" for what in ("refunded", "pending") for name in ("charged", "tax", "discount"))
OF_ORDERS = ("refunded_minor", "refunding_minor", "refund_ceiling_minor")
# By table: the new columns, whether they are whole numbers of minor units, and the constraints.
COLUMNS = {
    "order_amounts": (
        OF_AMOUNTS,
        True,
        {
            "never_refund_more": "refunded_charged + refunded_tax - refunded_discount"
            " + pending_charged + pending_tax - pending_discount <= ceiling"
        },
    ),
    "order_lines": (
        ("refunding",),
        False,
        {"never_refund_twice": "refunding >= 0 AND refunded + refunding <= ordered"},
    ),
    "orders": (
        OF_ORDERS,
        True,
        {
            "refunds_never_negative": "refunding_minor >= 0 AND refunded_minor >= 0",
            "never_refund_more": "refunded_minor + refunding_minor <= refund_ceiling_minor",
        },
    ),
}
KEPT = (
    "id", "order_id", "shop_id", "purpose", "state", "origin", "number", "invoice_id", "corrects_id", "reason",
    "recorded_at", "issued_at", "currency", "total_minor", "seller", "terms", "actor_kind", "actor_id",
)  # fmt: skip


def on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def upgrade() -> None:
    for table, (names, is_minor, checks) in COLUMNS.items():
        kind = "BIGINT" if is_minor and not on_sqlite() else "INTEGER"
        words = [f"CONSTRAINT ck_{table}_{name} CHECK ({check})" for name, check in checks.items()]
        for name in names:
            within = " ".join(["", *words]) if on_sqlite() and name == names[-1] else ""
            op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind} DEFAULT 0 NOT NULL{within}")
        if not on_sqlite():
            for constraint in words:
                op.execute(f"ALTER TABLE {table} ADD {constraint}")
    op.add_column("roles", sa.Column("refund_limits", Json, nullable=True))
    op.create_table(
        "credit_memos",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("shop_id", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("record_only", sa.Boolean(), nullable=False),
        sa.Column("number", sa.String(), nullable=True),
        sa.Column("invoice_id", sa.Integer(), nullable=True),
        sa.Column("corrects_id", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("plan", Json, nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("issued_at", UtcDateTime(), nullable=True),
        sa.Column("effective_at", UtcDateTime(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("total_minor", MINOR, nullable=False),
        sa.Column("channel_minor", MINOR, nullable=True),
        sa.Column("seller", Json, nullable=True),
        sa.Column("terms", Json, nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("decided_by_id", sa.Integer(), nullable=True),
        sa.Column("problem", Json, nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "(number IS NOT NULL) = (state = 'issued') AND (number IS NULL OR issued_at IS NOT NULL)",
            name=op.f("ck_credit_memos_number_once_issued"),
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_credit_memos_order_id_orders")),
        sa.ForeignKeyConstraint(["shop_id"], ["shops.id"], name=op.f("fk_credit_memos_shop_id_shops")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name=op.f("fk_credit_memos_invoice_id_invoices")),
        sa.ForeignKeyConstraint(
            ["corrects_id"], ["credit_memos.id"], name=op.f("fk_credit_memos_corrects_id_credit_memos")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_memos")),
        sa.UniqueConstraint("number", name=op.f("uq_credit_memos_number")),
        sa.UniqueConstraint("corrects_id", name=op.f("uq_credit_memos_corrects_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_credit_memos_order", "credit_memos", ["order_id", "id"])
    op.create_index(
        "ix_credit_memos_proposed",
        "credit_memos",
        ["id"],
        sqlite_where=sa.text("state = 'proposed'"),
        postgresql_where=sa.text("state = 'proposed'"),
    )
    op.create_table(
        "credit_memo_lines",
        sa.Column("memo_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("line_id", sa.Integer(), nullable=True),
        sa.Column("component", sa.String(), nullable=False),
        sa.Column("sku", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("restock", sa.Integer(), nullable=False),
        sa.Column("charged", MINOR, nullable=False),
        sa.Column("tax", MINOR, nullable=False),
        sa.Column("discount", MINOR, nullable=False),
        sa.Column("tax_rate", sa.Integer(), nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "units = 0 OR component = 'item' AND line_id IS NOT NULL", name=op.f("ck_credit_memo_lines_units")
        ),
        sa.CheckConstraint("restock >= 0 AND restock <= abs(units)", name=op.f("ck_credit_memo_lines_restock")),
        sa.CheckConstraint("tax_rate >= 0", name=op.f("ck_credit_memo_lines_tax_rate")),
        sa.ForeignKeyConstraint(
            ["memo_id"], ["credit_memos.id"], name=op.f("fk_credit_memo_lines_memo_id_credit_memos")
        ),
        sa.ForeignKeyConstraint(["line_id"], ["order_lines.id"], name=op.f("fk_credit_memo_lines_line_id_order_lines")),
        sa.PrimaryKeyConstraint("memo_id", "position", name=op.f("pk_credit_memo_lines")),
    )
    op.create_index(op.f("ix_credit_memo_lines_line_id"), "credit_memo_lines", ["line_id"])
    forbid_changes()


def forbid_changes() -> None:
    """Memos are never deleted; one with a number, and its lines, stay as they were issued."""
    new, old = (", ".join(f"{row}.{name}" for name in KEPT) for row in ("NEW", "OLD"))
    issued = "EXISTS (SELECT 1 FROM credit_memos WHERE id = {}.memo_id AND number IS NOT NULL)"
    changed = "OLD.number IS NOT NULL AND ((NEW.sealed IS NOT NULL AND {distinct}) OR ({new}) {differs} ({old}))"
    if on_sqlite():
        refuse = "BEGIN SELECT RAISE(ABORT, '{} is append-only'); END"
        when = changed.format(distinct="NEW.sealed IS NOT OLD.sealed", new=new, differs="IS NOT", old=old)
        op.execute(
            f"CREATE TRIGGER credit_memos_stay BEFORE UPDATE ON credit_memos WHEN {when}"
            f" {refuse.format('credit_memos')}"
        )
        op.execute(
            f"CREATE TRIGGER credit_memos_no_delete BEFORE DELETE ON credit_memos {refuse.format('credit_memos')}"
        )
        for verb, row in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD")):
            op.execute(
                f"CREATE TRIGGER credit_memo_lines_no_{verb.lower()} BEFORE {verb} ON credit_memo_lines"
                f" WHEN {issued.format(row)} {refuse.format('credit_memo_lines')}"
            )
        return
    when = changed.format(
        distinct="NEW.sealed IS DISTINCT FROM OLD.sealed", new=new, differs="IS DISTINCT FROM", old=old
    )
    refuse = "EXECUTE FUNCTION forbid_rewriting()"
    op.execute(f"CREATE TRIGGER credit_memos_stay BEFORE UPDATE ON credit_memos FOR EACH ROW WHEN ({when}) {refuse}")
    op.execute(f"CREATE TRIGGER credit_memos_no_delete BEFORE DELETE ON credit_memos FOR EACH ROW {refuse}")
    op.execute(
        "CREATE FUNCTION forbid_issued_memo_lines() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF TG_OP <> 'INSERT' AND {issued.format('OLD')} THEN"
        " RAISE EXCEPTION 'credit_memo_lines is append-only'; END IF;"
        f" IF TG_OP <> 'DELETE' AND {issued.format('NEW')} THEN"
        " RAISE EXCEPTION 'credit_memo_lines is append-only'; END IF;"
        " IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER credit_memo_lines_stay BEFORE INSERT OR UPDATE OR DELETE ON credit_memo_lines"
        " FOR EACH ROW EXECUTE FUNCTION forbid_issued_memo_lines()"
    )


def downgrade() -> None:
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT 1 FROM credit_memos)")):
        raise CommandError(
            "Credit memos were recorded: a version without them would lose them, and refund what is refunded already."
        )
    op.drop_table("credit_memo_lines")
    op.drop_table("credit_memos")
    if not on_sqlite():
        op.execute("DROP FUNCTION forbid_issued_memo_lines()")
    op.execute("DELETE FROM number_sequences WHERE kind LIKE 'credit_memo%'")
    op.drop_column("roles", "refund_limits")
    op.execute("UPDATE order_lines SET refunded = 0 WHERE refunded <> 0")
    for table, (names, _is_minor, checks) in COLUMNS.items():
        if not on_sqlite():
            for name in checks:
                op.drop_constraint(f"ck_{table}_{name}", table)
        for name in reversed(names):
            op.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
