"""What is stored of settings. All of one scope is read at once, once a transaction: a desk has few shops and stores."""

from sqlalchemy import select

from webapp.db import db, forget_read, once_a_transaction
from webapp.settings.models import StoredSetting

Rows = dict[tuple[str, str], StoredSetting]


def rows_of(scope: str, scope_id: int) -> Rows:
    """What is stored of the desk, a shop or a store, by group and name."""

    def read_rows() -> dict[int, Rows]:
        found: dict[int, Rows] = {}
        for row in db.session.scalars(select(StoredSetting).where(StoredSetting.scope == scope)):
            found.setdefault(row.scope_id, {})[row.group, row.name] = row
        return found

    return once_a_transaction(_kept_as(scope), read_rows).get(scope_id, {})


def forget_rows(scope: str) -> None:
    """Read the rows again, since they were just changed."""
    forget_read(_kept_as(scope))


def _kept_as(scope: str) -> str:
    return f"settings of each {scope}"
