"""Background work on orders: releasing holds, the archive's rule, removing tags, deleting the keys of old forms and
old drafts.

Each job does one chunk and sends the next one; the schedule starts again what was lost in between.
"""

from datetime import datetime, timedelta

from sqlalchemy import Select, delete, select, update

from webapp.clock import iso, now, parse_instant
from webapp.db import among, db, unit_of_work
from webapp.jobs import a_moment, job
from webapp.jobs.models import Run
from webapp.orders import archiving, drafts, holds, tags
from webapp.orders.models import BulkAct, Submission

CHUNK = 50  # orders in one transaction: few, so that nobody's work waits for it
SUBMISSIONS_KEPT = timedelta(days=30)
_FORMS = 500  # keys that one transaction deletes


@job("clock")
def release_due() -> None:
    """Release the holds whose set time is over."""
    with unit_of_work():
        if holds.release_due(CHUNK) == CHUNK:
            release_due.enqueue()


def archives_by_rule() -> bool:
    """Whether the merchant has set up archiving by rule."""
    return archiving.AFTER_DAYS.of() > 0


@job("clock")
def archive_by_rule() -> None:
    """Start to archive orders that have rested for long enough."""
    for state in archiving.AT_REST:
        archive_chunk.enqueue(state, None, 0)


@job("clock")
def archive_chunk(state: str, at: str | None, order_id: int) -> None:
    """Archive orders of one state, from this place on."""
    after = (parse_instant(at), order_id) if at else None
    with unit_of_work():
        days = archiving.AFTER_DAYS.of()
        if not days:
            return
        place = archiving.archive_old(state, days, after, CHUNK)
        if place:
            archive_chunk.enqueue(state, iso(place[0]), place[1])


def any_tag_leaves() -> bool:
    """Whether a tag is being deleted or merged."""
    return bool(tags.leaving_tags())


@job("clock")
def clear_leaving_tags() -> None:
    """Remove tags that are being deleted or merged from their orders."""
    for tag_id in tags.leaving_tags():
        clear_tag.enqueue(tag_id)


@job("clock")
def clear_tag(tag_id: int) -> None:
    """Remove one tag from some of its orders."""
    with unit_of_work():
        if tags.clear_tag(tag_id, CHUNK):
            clear_tag.enqueue(tag_id)


def any_submission_to_forget() -> bool:
    """Whether a form's key, or a bulk run's input, is so old that nobody needs it any more. The table of keys is
    large and has no index by time, but its rows are in the order of time.
    """
    oldest = db.session.scalar(select(Submission.at).order_by(Submission.id).limit(1))
    before = now() - SUBMISSIONS_KEPT
    sealed = select(BulkAct.run_id).where(BulkAct.run_id.in_(_runs_ended(before)), BulkAct.sealed != b"")
    return (oldest is not None and oldest < before) or db.session.scalar(sealed.limit(1)) is not None


@job("clock")
def forget_submissions() -> None:
    """Delete the keys of forms that are too old to be sent again, and the inputs of old bulk runs: comments and
    reasons, which may name buyers.
    """
    before = now() - SUBMISSIONS_KEPT
    for _ in a_moment():
        with unit_of_work():
            untold = update(BulkAct).where(BulkAct.run_id.in_(_runs_ended(before)), BulkAct.sealed != b"")
            db.session.execute(untold.values(period="", sealed=b""))
            first = db.session.execute(select(Submission.id, Submission.at).order_by(Submission.id).limit(_FORMS)).all()
            old = [row.id for row in first if row.at < before]
            db.session.execute(delete(Submission).where(among(Submission.id, old)))
        if len(old) < _FORMS:
            break
    else:
        forget_submissions.enqueue()


@job("clock")
def forget_drafts() -> None:
    """Delete drafts that nobody has changed for long."""
    for _ in a_moment():
        with unit_of_work():
            if not drafts.forget_old_drafts():
                break
    else:
        forget_drafts.enqueue()


def _runs_ended(before: datetime) -> Select[int]:
    return select(Run.id).where(Run.ended_at < before)
