"""Background work of billing: invoices and corrections that orders get by themselves."""

from webapp.billing import dues
from webapp.db import unit_of_work
from webapp.jobs import a_moment, job

CHUNK = 50  # orders in one transaction: few, so that nobody's work waits for it


@job("clock")
def issue_due() -> None:
    """Correct and invoice what is due; safe to run twice or on two workers."""
    for _ in a_moment():
        with unit_of_work():
            if dues.work_off(CHUNK) < CHUNK:
                break
    else:
        issue_due.enqueue()
