"""Background work of messages: reading mailboxes, and forgetting mails past their date."""

from webapp.db import unit_of_work
from webapp.jobs import a_moment, job
from webapp.mail.mailboxes import any_due
from webapp.messaging import receiving


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
