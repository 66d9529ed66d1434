"""The stored values of settings. All values of one scope are read at once, once a transaction: shops and stores are
few.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, select

from webapp.db import db, forget_read, insert_into, once_a_transaction
from webapp.settings.models import StoredSetting

Values = Mapping[tuple[str, str], Any]


def values_of(scope: str, scope_id: int) -> Values:
    """The stored values of the desk, a shop or a store, by group and name; secrets stay sealed."""

    def read_values() -> dict[int, dict[tuple[str, str], Any]]:
        found: dict[int, dict[tuple[str, str], Any]] = {}
        table = StoredSetting.__table__.c
        rows = select(table.scope_id, table.group, table.name, table.value).where(table.scope == scope)
        for row in db.session.execute(rows):
            found.setdefault(row.scope_id, {})[row.group, row.name] = row.value
        return found

    return once_a_transaction(_kept_as(scope), read_values).get(scope_id, {})


def write_values(scope: str, scope_id: int, group: str, values: Mapping[str, Any], gone: list[str]) -> None:
    """Store the values of a group, also while another transaction stores them, and delete others."""
    of_group = {"scope": scope, "scope_id": scope_id, "group": group}
    for name in sorted(values):  # in one order, so that two transactions that save one group don't deadlock
        insert = insert_into(StoredSetting).values(**of_group, name=name, value=values[name])
        known = [StoredSetting.scope, StoredSetting.scope_id, StoredSetting.group, StoredSetting.name]
        db.session.execute(insert.on_conflict_do_update(index_elements=known, set_={"value": insert.excluded.value}))
    if gone:
        rows = delete(StoredSetting).filter_by(**of_group).where(StoredSetting.name.in_(gone))
        db.session.execute(rows)
    forget_read(_kept_as(scope))


def _kept_as(scope: str) -> str:
    return f"settings of each {scope}"
