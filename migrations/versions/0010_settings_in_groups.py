"""Settings in groups: values are stored under the group of their setting

Rows of the desk belong to the first group that declares a setting of their name, since that one was read until now.
Those of a plugin that is not there keep an empty group and are read by nobody.

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-29 11:20:00.000000
"""

import sqlalchemy as sa
from alembic import op

from webapp.settings.declared import DESK
from webapp.settings.services import groups

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

LOSSES = (  # what the version before knows no place for
    "DELETE FROM settings WHERE scope = 'shop' OR (scope = 'store' AND \"group\" NOT IN ('connection', 'buyers'))",
    "DELETE FROM settings WHERE id NOT IN (SELECT min(id) FROM settings GROUP BY scope, scope_id, name)",
)


def upgrade() -> None:
    with op.batch_alter_table("settings") as settings:
        settings.add_column(sa.Column("group", sa.String(), nullable=False, server_default=""))
        settings.drop_constraint(OLD, type_="unique")
        settings.create_unique_constraint(NEW, ["scope", "scope_id", "group", "name"])
    for statement in GROUPS:
        op.execute(statement)
    adopt = sa.text("""UPDATE settings SET "group" = :code WHERE scope = 'desk' AND "group" = '' AND name = :name""")
    for group in groups(DESK):
        for setting in group.declared():
            op.get_bind().execute(adopt, {"code": group.code, "name": setting.name})
    with op.batch_alter_table("settings") as settings:
        settings.alter_column("group", server_default=None)


def downgrade() -> None:
    for statement in LOSSES:
        op.execute(statement)
    with op.batch_alter_table("settings") as settings:
        settings.drop_constraint(NEW, type_="unique")
        settings.create_unique_constraint(OLD, ["scope", "scope_id", "name"])
        settings.drop_column("group")
