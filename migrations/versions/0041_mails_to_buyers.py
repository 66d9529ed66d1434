"""Mails that are made of something when they leave, and messages that go as mail

Revision ID: 0041
Revises: 0040
Create Date: 2026-11-30 19:40:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

ALONE = {
    "recreate": "always",
    "reflect_kwargs": {"resolve_fks": False},  # the tables it refers to are not rebuilt
    "table_kwargs": {"sqlite_autoincrement": True},
}
NAME = "ck_mails_sealed_until_sent"
SEALED_ONES = sa.text("source_id IS NULL")


def upgrade() -> None:
    with op.batch_alter_table("mails", **ALONE) as batch:
        batch.add_column(sa.Column("source_id", sa.Integer(), nullable=True))
        batch.drop_constraint(op.f(NAME), type_="check")
        batch.create_check_constraint(op.f(NAME), "sealed IS NOT NULL OR source_id IS NOT NULL OR state = 'sent'")
    op.create_index(
        "ix_mails_forgotten", "mails", ["created_at"], sqlite_where=SEALED_ONES, postgresql_where=SEALED_ONES
    )
    op.add_column("messages", sa.Column("mail_id", sa.Integer(), nullable=True))
    op.add_column("messages", sa.Column("answers_id", sa.Integer(), nullable=True))
    op.create_index("uq_messages_mail_id", "messages", ["mail_id"], unique=True)
    op.create_table(
        "message_documents",
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_message_documents_message_id_messages"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message_id", "kind", "document_id", name=op.f("pk_message_documents")),
    )
    op.create_index("ix_message_documents_document", "message_documents", ["kind", "document_id"])


def downgrade() -> None:
    op.drop_table("message_documents")
    op.drop_index("uq_messages_mail_id", "messages")
    op.drop_column("messages", "answers_id")
    op.drop_column("messages", "mail_id")
    op.execute("DELETE FROM messages WHERE route = 'mail'")
    op.execute("DELETE FROM mails WHERE sealed IS NULL AND state != 'sent' OR state = 'undone'")
    op.drop_index("ix_mails_forgotten", "mails")
    with op.batch_alter_table("mails", **ALONE) as batch:
        batch.drop_constraint(op.f(NAME), type_="check")
        batch.create_check_constraint(op.f(NAME), "sealed IS NOT NULL OR state = 'sent'")
        batch.drop_column("source_id")
