"""Settings in groups: values are stored under the group of their setting

Rows of the desk whose setting a plugin declares keep an empty group, since nobody here knows it: they are found by
their name until they are stored again.

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-29 11:20:00.000000
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

OLD, NEW = "uq_settings_scope_scope_id_name", "uq_settings_scope_scope_id_group_name"
GROUPS = (
    "UPDATE settings SET \"group\" = 'archive' WHERE scope = 'desk' AND name = 'archive_after_days'",
    "UPDATE settings SET \"group\" = 'buyers' WHERE scope = 'store' AND name = 'erase_buyers_after_days'",
    "UPDATE settings SET \"group\" = 'connection' WHERE scope = 'store' AND name <> 'erase_buyers_after_days'",
)


def upgrade() -> None:
    with op.batch_alter_table("settings") as settings:
        settings.add_column(sa.Column("group", sa.String(), nullable=False, server_default=""))
        settings.drop_constraint(OLD, type_="unique")
        settings.create_unique_constraint(NEW, ["scope", "scope_id", "group", "name"])
    for statement in GROUPS:
        op.execute(statement)
    with op.batch_alter_table("settings") as settings:
        settings.alter_column("group", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("settings") as settings:
        settings.drop_constraint(NEW, type_="unique")
        settings.create_unique_constraint(OLD, ["scope", "scope_id", "name"])
        settings.drop_column("group")
