"""The queue before Argon2. A hash takes 64 MiB and a tenth of a second of a core, so each process makes one at a time.

Whoever waits holds no database connection. Few may wait, since each waiting request holds a thread that pages need;
people who are known have places of their own, so that no crowd of strangers keeps them out.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from webapp.db import release_connection
from webapp.errors import DeskError
from webapp.i18n import lazy_gettext as _l

PLACES = 12  # of each kind, the one whose turn it is among them: more than the tries that one account has
_AGAIN = 5  # seconds after which a place is likely to be free
_turn = threading.Lock()
_places = {known: threading.BoundedSemaphore(PLACES) for known in (True, False)}


class TooManyAtOnce(DeskError):
    """More people sign in at this moment than can wait."""

    code, status = "too_many_at_once", 429
    sentence = _l("Too many people are signing in just now. Try again in a moment.")


@contextmanager
def turn(*, known: bool) -> Iterator[None]:
    """Wait until it is this thread's turn to hash; raises `TooManyAtOnce` where all places are taken."""
    release_connection()
    if not _places[known].acquire(blocking=False):
        raise TooManyAtOnce(retry_after=_AGAIN)
    try:
        with _turn:
            yield
    finally:
        _places[known].release()
