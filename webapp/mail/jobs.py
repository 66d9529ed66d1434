"""Background work of outgoing mail."""

from webapp.db import unit_of_work
from webapp.jobs import a_moment, job
from webapp.mail import queue

AT_ONCE = 5  # over one conversation with the server, which may be slow: others wait for the same worker


@job("asking")
def send_mail() -> None:
    """Send the mails that are due; safe to run twice or on two workers."""
    if queue.send_due(AT_ONCE) == AT_ONCE:
        send_mail.enqueue()


@job("clock")
def forget_mail() -> None:
    """Delete mails that ended long ago."""
    for _ in a_moment():
        with unit_of_work():
            if not queue.forget_old():
                break
    else:
        forget_mail.enqueue()
