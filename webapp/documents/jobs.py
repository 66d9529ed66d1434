"""Background work of documents: the uploads that orders' documents are owed."""

from webapp.db import unit_of_work
from webapp.documents import upload_dues
from webapp.jobs import a_moment, job

CHUNK = 20  # orders in one transaction: few, so that nobody's work waits for it


@job("clock")
def owe_uploads() -> None:
    """Owe the uploads that are due; safe to run twice or on two workers."""
    for _ in a_moment():
        with unit_of_work():
            if upload_dues.work_off(CHUNK) < CHUNK:
                break
    else:
        owe_uploads.enqueue()
