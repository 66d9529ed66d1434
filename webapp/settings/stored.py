"""The stored values of settings. All values are read at once, once a transaction: shops and stores are few, and pages
about an order need the settings of both.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, select

from webapp.db import db, forget_read, insert_into, once_a_transaction
from webapp.settings.models import StoredSetting

Values = Mapping[tuple[str, str], Any]
_KEPT = "settings"


def values_of(scope: str, scope_id: int) -> Values:
    """The stored values of the desk, a shop or a store, by group and name; secrets stay sealed."""
    return once_a_transaction(_KEPT, _read_values).get((scope, scope_id), {})


def stored_everywhere(scope: str, group: str, name: str) -> Mapping[int, Any]:
    """The stored values of one setting, by the ids of the shops or stores that have one."""
    found = once_a_transaction(_KEPT, _read_values)
    return {id_: values[group, name] for (of, id_), values in found.items() if of == scope and (group, name) in values}


def read_anew() -> None:
    """Have the values read once more, since another transaction may have stored some meanwhile."""
    forget_read(_KEPT)


def _read_values() -> dict[tuple[str, int], dict[tuple[str, str], Any]]:
    found: dict[tuple[str, int], dict[tuple[str, str], Any]] = {}
    table = StoredSetting.__table__.c
    for row in db.session.execute(select(table.scope, table.scope_id, table.group, table.name, table.value)):
        found.setdefault((row.scope, row.scope_id), {})[row.group, row.name] = row.value
    return found


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
    forget_read(_KEPT)
