"""Background work of billing: documents that orders get by themselves, refunds that channels' accounts show, and the
end of what documents keep of their buyers.
"""

from webapp.billing import dues, kept_buyers, matching
from webapp.db import unit_of_work
from webapp.jobs import a_moment, job

CHUNK = 50  # orders in one transaction: few, so that nobody's work waits for it

_ROWS = 500  # documents in one transaction


@job("clock")
def issue_due() -> None:
    """Correct and invoice what is due; safe to run twice or on two workers."""
    for _ in a_moment():
        with unit_of_work():
            if dues.work_off(CHUNK) < CHUNK:
                break
    else:
        issue_due.enqueue()


@job("clock")
def match_refunds() -> None:
    """Match what channels refunded with credit memos; safe to run twice or on two workers."""
    for _ in a_moment():
        with unit_of_work():
            if not matching.match_some(1):
                break
    else:
        match_refunds.enqueue()


@job("clock")
def end_keeping() -> None:
    """Delete what documents kept of their buyers through a year that is over; safe to run twice or on two workers."""
    for _ in a_moment():
        with unit_of_work():
            if kept_buyers.end_some(_ROWS) < _ROWS:
                break
    else:
        end_keeping.enqueue()
