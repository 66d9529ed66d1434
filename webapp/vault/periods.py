"""Destroying a past week's key once nothing is sealed under it, which also makes that part of older backups unreadable;
and a past month's, once none of its documents is kept any more.

The weeks still needed are read from every column of the type `PeriodName`, of every floor, the months from those of the
type `MonthName`. Only periods under which this database has sealed something are destroyed: a desk that was started
with another database and the same key file would otherwise destroy the keys of the other desk.
"""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.clock import now
from webapp.db import after_commit, db, insert_into
from webapp.vault.key_file import is_month, key_file, month_of, period_of
from webapp.vault.models import MonthName, PeriodName, VaultPeriod

_REST = timedelta(days=2)  # after a week's end: longer than any transaction, and than a deleted view is kept


def in_use() -> set[str]:
    """The weeks under whose keys something is sealed."""
    return _named_in(PeriodName)


def months_in_use() -> set[str]:
    """The months of documents that are kept."""
    return _named_in(MonthName)


def _named_in(kind: type[PeriodName] | type[MonthName]) -> set[str]:
    found: set[str] = set()
    for table in db.metadata.tables.values():
        for column in table.columns:
            if isinstance(column.type, kind):
                query = select(column).where(column.is_not(None), column != "").distinct()
                found.update(db.session.scalars(query))
    return found


def note(periods: Collection[str]) -> None:
    """Record in the open unit of work that this database has sealed something under the keys of these periods."""
    if periods:
        rows = [{"period": period} for period in sorted(periods)]
        db.session.execute(insert_into(VaultPeriod).values(rows).on_conflict_do_nothing())


def destroy_unused(needed: set[str]) -> list[str]:
    """Destroy the keys of past weeks that nothing needs any more, once the open unit of work is committed; returns
    the weeks.

    `needed` may have been read before (`in_use`): nothing new is sealed under a week that has ended. A destroyed week
    that is present again, in an older copy of the key file, is destroyed again.
    """
    return _destroy(needed, period_of(now() - _REST), "week_key_destroyed")


def destroy_unused_months(needed: set[str]) -> list[str]:
    """Destroy the keys of past months of which no document is kept any more, as `destroy_unused` does those of weeks;
    `needed` are the months in use.
    """
    return _destroy(needed, month_of(now() - _REST), "month_key_destroyed")


def _destroy(needed: set[str], ended: str, code: str) -> list[str]:
    """Destroy the keys of the noted periods of the class of `ended` that ended before it and are not needed."""
    found = db.session.scalars(select(VaultPeriod.period))
    noted = {period for period in found if is_month(period) == is_month(ended)}
    note(needed - noted)
    keys = key_file()
    unused = [period for period in sorted(noted - needed) if period < ended and keys.key(period) is not None]
    for period in unused:
        audit(code, actor=Actor.job("vault"), period=period)
        after_commit(lambda period=period: keys.destroy(period))  # type: ignore[misc]
    return unused
