"""Background work on orders: holds that end, the archive's rule, tags on their way out, forms long since answered.

Each job does one chunk and sends the next; the schedule finds whatever was lost in between.
"""

from datetime import timedelta

from sqlalchemy import delete, select, update

from webapp.clock import iso, now, parse_instant
from webapp.db import db, unit_of_work
from webapp.jobs import job
from webapp.jobs.models import Run
from webapp.orders import archiving, holds, tags
from webapp.orders.models import BulkAct, Submission
from webapp.settings.services import desk_setting

CHUNK = 100  # orders in one transaction: no clerk waits for it
SUBMISSIONS_KEPT = timedelta(days=30)


@job("clock")
def release_due() -> None:
    """End the holds whose own end has come, and those on orders that nothing is left of to keep back."""
    with unit_of_work():
        if CHUNK in (holds.release_due(CHUNK), holds.release_over(CHUNK)):
            release_due.enqueue()


@job("clock")
def archive_by_rule() -> None:
    """Begin the day's archiving, if the merchant wants any."""
    if desk_setting("archive_after_days"):
        for state in archiving.AT_REST:
            archive_chunk.enqueue(state, None, 0)


@job("clock")
def archive_chunk(state: str, at: str | None, order_id: int) -> None:
    """Archive orders of one state, from a place on."""
    after = (parse_instant(at), order_id) if at else None
    with unit_of_work():
        days = desk_setting("archive_after_days")
        if not days:
            return
        place = archiving.archive_old(state, days, after, CHUNK)
        if place:
            archive_chunk.enqueue(state, iso(place[0]), place[1])


@job("clock")
def clear_leaving_tags() -> None:
    """Take tags that were deleted or merged off their orders."""
    for tag_id in tags.leaving_tags():
        clear_tag.enqueue(tag_id)


@job("clock")
def clear_tag(tag_id: int) -> None:
    """Take one tag off some of its orders."""
    with unit_of_work():
        if tags.clear_tag(tag_id, CHUNK):
            clear_tag.enqueue(tag_id)


@job("clock")
def forget_submissions() -> None:
    """Delete the keys of forms that were sent so long ago that nobody sends them again, and what bulk runs were told:
    comments and reasons, which name buyers.
    """
    before = now() - SUBMISSIONS_KEPT
    with unit_of_work():
        db.session.execute(delete(Submission).where(Submission.at < before))
        ended = select(Run.id).where(Run.ended_at < before)
        db.session.execute(
            update(BulkAct).where(BulkAct.run_id.in_(ended), BulkAct.sealed != b"").values(period="", sealed=b"")
        )
