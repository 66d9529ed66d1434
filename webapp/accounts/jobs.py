"""Recording the last use of a session, in a job since pages only read; and deleting sessions and links that have
ended.
"""

from webapp.accounts.services import forget_ended, touch_session
from webapp.db import unit_of_work
from webapp.jobs import a_moment, job


@job("clock")
def touch(session_id: int) -> None:
    """Record that a session is in use."""
    with unit_of_work():
        touch_session(session_id)


@job("clock")
def clear_ended() -> None:
    """Delete sessions and links that are no longer valid."""
    for _ in a_moment():
        with unit_of_work():
            if not forget_ended():
                break
    else:
        clear_ended.enqueue()
