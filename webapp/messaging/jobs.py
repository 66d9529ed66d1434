"""Background work of messaging: reading mailboxes, forgetting mails past their date, and the reviews that stores
request by themselves.
"""

from webapp.db import unit_of_work
from webapp.jobs import a_moment, job
from webapp.mail.mailboxes import any_due
from webapp.messaging import receiving, review_rule

CHUNK = 20  # orders of a store in one transaction: few, so that nobody's work waits for it


@job("asking")
def read_mailboxes() -> None:
    """Read new mails of the mailbox that is due; safe to run twice or on two workers. Another job reads the rest."""
    if receiving.read_next() is not None and any_due():
        read_mailboxes.enqueue()


@job("clock")
def forget_received_mails() -> None:
    """Forget mails of the inbox, and of orders whose buyers were erased, after 30 days."""
    for _ in a_moment():
        with unit_of_work():
            if not receiving.forget_expired():
                break
    else:
        forget_received_mails.enqueue()


@job("clock")
def request_reviews() -> None:
    """Request the reviews that are due; safe to run twice or on two workers."""
    for _ in a_moment():
        with unit_of_work():
            if not review_rule.work_off(CHUNK):
                break
    else:
        request_reviews.enqueue()
