"""Deleting attempts that nobody needs any more: old ones whose updates have all ended.

An attempt is read to find out the results of its updates, and after a backup was restored, since when they may have
left; in both cases while one of its updates is open. Ids are never reused, so the stored highest id stays right.
"""

from datetime import timedelta

from sqlalchemy import ColumnElement, delete, select, text, update

from webapp.clock import now
from webapp.db import any_row, db
from webapp.updates.models import ENDED, OPEN_UPDATES, ChannelUpdate, UpdateAttempt

KEPT = timedelta(days=90)
_AT_ONCE = 200


def any_to_forget() -> bool:
    """Whether there are attempts that nobody needs any more."""
    return any_row(UpdateAttempt, *_forgettable())


def forget_some() -> bool:
    """Delete a few of them in the open unit of work; returns whether more may be left."""
    ids = list(db.session.scalars(select(UpdateAttempt.id).where(*_forgettable()).limit(_AT_ONCE)))
    if not ids:
        return False
    theirs = select(ChannelUpdate.id).where(ChannelUpdate.attempt_id.in_(ids), ChannelUpdate.state.in_(ENDED))
    rows = list(db.session.scalars(theirs.order_by(ChannelUpdate.id).with_for_update()))
    db.session.execute(update(ChannelUpdate).where(ChannelUpdate.id.in_(rows)).values(attempt_id=None))
    db.session.execute(delete(UpdateAttempt).where(UpdateAttempt.id.in_(ids)))
    return len(ids) == _AT_ONCE


def _forgettable() -> tuple[ColumnElement[bool], ...]:
    needed = select(ChannelUpdate.attempt_id).where(text(OPEN_UPDATES), ChannelUpdate.attempt_id.is_not(None))
    return UpdateAttempt.at < now() - KEPT, UpdateAttempt.id.not_in(needed)
