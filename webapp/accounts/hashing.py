"""The queue for Argon2. A hash takes 64 MiB and a tenth of a second of a core, so each process computes one at a time.

A waiting request holds no database connection, but a thread that pages need, so only a few may wait. Known people have
places of their own, so that many requests of strangers don't keep them out.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from webapp.config import configuration
from webapp.db import release_connection
from webapp.errors import DeskError
from webapp.i18n import lazy_gettext as _l

MOST_PLACES = 12  # of each kind, including the one that is hashing
_SHARE = 5 / 32  # of the threads: ten of 64, since an account has ten tries, and live pages have 40
_AGAIN = 5  # seconds after which a place is likely to be free
_turn = threading.Lock()


class TooManyAtOnce(DeskError):
    """More people are signing in at this moment than may wait."""

    code, status = "too_many_at_once", 429
    sentence = _l("Too many people are signing in just now. Try again in a moment.")


def places() -> int:
    """How many may wait of each kind: a small part of the threads, so that pages have some while many people sign
    in.
    """
    return min(MOST_PLACES, max(1, int(configuration().web_threads * _SHARE)))


@lru_cache(maxsize=4)
def _places(count: int) -> dict[bool, threading.BoundedSemaphore]:
    return {known: threading.BoundedSemaphore(count) for known in (True, False)}


@contextmanager
def turn(*, known: bool) -> Iterator[None]:
    """Wait until this thread may hash; raises `TooManyAtOnce` if all places are taken."""
    release_connection()
    place = _places(places())[known]
    if not place.acquire(blocking=False):
        raise TooManyAtOnce(retry_after=_AGAIN)
    try:
        with _turn:
            yield
    finally:
        place.release()
