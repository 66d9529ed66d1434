"""The mail at which reading a mailbox ended, and mails that no longer refer to their mailbox

Removing a mailbox emptied the reference in each of its mails, a million in one transaction. SQLite, which can't drop a
reference, copies both tables; there, ids of mailboxes are never reused from now on.

On PostgreSQL the numbers of outgoing mails go on after the last one: 0041 copied their table, and the numbers began
again at 1, which mails had already.

Revision ID: 0044
Revises: 0043
Create Date: 2026-11-30 23:20:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

ALONE = {
    "reflect_kwargs": {"resolve_fks": False},  # the tables it refers to are not rebuilt
    "table_kwargs": {"sqlite_autoincrement": True},
}
REFERENCE = "fk_received_mails_mailbox_id_mailboxes"
INDEX = "ix_received_mails_mailbox_id"
OF_MAILS = "pg_get_serial_sequence('mails', 'id')"
GO_ON = f"SELECT setval({OF_MAILS}, greatest((SELECT max(id) FROM mails) + 1, nextval({OF_MAILS})), false)"


def upgrade() -> None:
    op.add_column("mailboxes", sa.Column("trying", sa.String(), nullable=True))
    op.add_column("mailboxes", sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("received_mails", **ALONE) as batch:
        batch.drop_constraint(op.f(REFERENCE), type_="foreignkey")
        batch.drop_index(INDEX)
    if op.get_bind().dialect.name == "sqlite":
        with op.batch_alter_table("mailboxes", recreate="always", **ALONE):
            pass
    else:
        op.execute(GO_ON)


def downgrade() -> None:
    op.execute("UPDATE received_mails SET mailbox_id = NULL WHERE mailbox_id NOT IN (SELECT id FROM mailboxes)")
    with op.batch_alter_table("received_mails", **ALONE) as batch:
        batch.create_foreign_key(op.f(REFERENCE), "mailboxes", ["mailbox_id"], ["id"], ondelete="SET NULL")
        batch.create_index(INDEX, ["mailbox_id"])
    op.drop_column("mailboxes", "tries")
    op.drop_column("mailboxes", "trying")
