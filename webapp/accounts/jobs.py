"""Noting when a session was used last: a job, since pages that only read write nothing."""

from webapp.accounts.services import touch_session
from webapp.db import unit_of_work
from webapp.jobs import job


@job("desk")
def touch(session_id: int) -> None:
    """Note that a session is in use."""
    with unit_of_work():
        touch_session(session_id)
