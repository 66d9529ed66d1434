"""Limits on the number of tries of a secret.

Each try is counted before any work is done for it: in the desk's Redis for all processes together, in this process's
memory while Redis can't be reached. A successful try is not counted, nor is one that was never made because another
limit refused it. One limit applies to the source of the tries, one to their account. A browser in which the account
signed in before has a limit of its own only, so that tries of others can't lock its owner out.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from flask import request
from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter
from redis import RedisError

from webapp.accounts.services import LinkRefused, SignInRefused
from webapp.addresses import source_of
from webapp.config import configuration
from webapp.errors import DeskError
from webapp.i18n import lazy_gettext as _l
from webapp.live import connection, key
from webapp.ui.frame.known_browsers import account_key, known_browser

_BY_SOURCE = tuple(parse_many("10 per minute; 60 per hour"))
_BY_ACCOUNT = tuple(parse_many("10 per 15 minutes"))
_alone = FixedWindowRateLimiter(MemoryStorage())


class TooManyTries(DeskError):
    """The number of failed tries has reached its limit."""

    code, status = "too_many_tries", 429
    sentence = _l("Too many tries failed. Wait some minutes, then try again, or ask for a one-time link.")


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many tries may fail in which time, and by whom."""

    limits: tuple[RateLimitItem, ...]
    whose: str


def of_source() -> Allowance:
    """The limit for this network address; with IPv6, for its network."""
    return Allowance(_BY_SOURCE, f"source:{source_of(request.remote_addr or '')}")


def of_person(person_id: int) -> Allowance:
    """The limit for a signed-in person who gives the present password."""
    return Allowance(_BY_ACCOUNT, f"person:{person_id}")


def of_sign_in(email: str) -> tuple[Allowance, ...]:
    """The limits for signing in to an account: that of a known browser, else those of the source and of the account."""
    account = account_key(email)
    if browser := known_browser(email):
        return (Allowance(_BY_ACCOUNT, f"browser:{browser}:{account}"),)
    return of_source(), Allowance(_BY_ACCOUNT, f"account:{account}")


@contextmanager
def tries(*allowances: Allowance) -> Iterator[None]:
    """Count a try of a secret, then make it; raises `TooManyTries` instead if a limit is reached."""
    counted: list[tuple[RateLimitItem, str]] = []
    try:
        for limit, whose in ((limit, allowance.whose) for allowance in allowances for limit in allowance.limits):
            _count(limit, whose)
            counted.append((limit, whose))
        yield
    except (SignInRefused, LinkRefused):
        raise
    except BaseException:
        _give_back(counted)
        raise
    _give_back(counted)


def _count(limit: RateLimitItem, whose: str) -> None:
    counter = _shared(configuration().queue)
    try:
        fits = counter.hit(limit, whose)
    except RedisError:
        counter = _alone
        fits = counter.hit(limit, whose)
    if not fits:
        ends = counter.get_window_stats(limit, whose).reset_time
        raise TooManyTries(retry_after=max(1, round(ends - time.time())))


def _give_back(counted: list[tuple[RateLimitItem, str]]) -> None:
    for limit, whose in counted:
        entry = limit.key_for(whose), limit.get_expiry()
        try:
            _shared(configuration().queue).storage.incr(*entry, amount=-1)
        except RedisError:
            _alone.storage.incr(*entry, amount=-1)


@lru_cache(maxsize=4)
def _shared(queue: str) -> FixedWindowRateLimiter:
    pool = connection().connection_pool
    return FixedWindowRateLimiter(RedisStorage(queue, connection_pool=pool, key_prefix=key("limits")))
