"""The allowance of calls, shared by all workers of a desk.

One token bucket per account and operation is kept in Redis, like Amazon's own; a script takes a token or returns the
time to wait, by Redis' clock. A worker sleeps through a short wait; a longer one ends the job (`Throttled`), so that no
worker is blocked. Without Redis, each process has a bucket of its own at half the rate. The operations and their costs
are listed in `client`.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from redis.exceptions import RedisError

from plugins.amazon.shared import Shared
from webapp.api import Throttled

log = structlog.get_logger(__name__)
PATIENCE = 2.0  # seconds that a worker sleeps for a token
LONGEST_HOLD = 600.0
SLACK = 0.5  # seconds by which the time to Amazon may vary without our full bucket being ahead of Amazon's
COLD = 2.0  # tokens in a slow bucket whose last use is unknown
SOON = 60.0  # seconds

_TAKE = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local b = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'rate', 'hold', 'refusals')
local rate, burst, reserve = tonumber(b[3] or ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = math.max(1, burst - math.min(burst / 4, rate * tonumber(ARGV[5])))
local tokens = math.min(full, (tonumber(b[1]) or tonumber(ARGV[4])) + math.max(0, now - (tonumber(b[2]) or now)) * rate)
local hold, wait = tonumber(b[4]) or 0, 0
reserve = math.max(0, math.min(reserve, full - 1))
if now < hold then wait = hold - now
elseif tokens - reserve >= 1 then tokens = tokens - tonumber(ARGV[6])
else wait = (1 + reserve - tokens) / rate end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(now))
redis.call('EXPIRE', KEYS[1], 86400)
return {tostring(wait), tostring(rate), b[5] or '0'}
"""
_REFUSED = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local rate = tonumber(redis.call('HGET', KEYS[1], 'rate') or ARGV[1])
local standing = tonumber(redis.call('HGET', KEYS[1], 'hold') or '0')
local n = tonumber(redis.call('HGET', KEYS[1], 'refusals') or '0')
if now >= standing then n = redis.call('HINCRBY', KEYS[1], 'refusals', 1) end
local hold = math.min(tonumber(ARGV[3]), tonumber(ARGV[2]) / rate * 2 ^ (math.max(n, 1) - 1))
redis.call('HSET', KEYS[1], 'tokens', '0', 'at', tostring(now), 'hold', tostring(math.max(standing, now + hold)))
redis.call('EXPIRE', KEYS[1], 86400)
return tostring(math.max(standing - now, hold))
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """The allowance that Amazon publishes: calls per second, and how many at once after a rest."""

    rate: float
    burst: float

    @property
    def cold(self) -> float:
        """The tokens in a bucket without a record: all, if it fills up faster than Redis comes back after a loss."""
        return self.burst if self.burst / self.rate <= SOON else COLD


@dataclass(frozen=True, slots=True)
class Granted:
    """A token, and the bucket's data at that moment."""

    rate: float
    refusals: int = 0
    alone: bool = False  # from this process, without Redis


@dataclass(slots=True)
class _OwnBucket:
    tokens: float
    at: float
    hold: float = 0.0


class Throttle:
    """Gives out tokens for calls, from buckets named by keys; safe between threads and processes."""

    def __init__(self, shared: Shared, sleep: Callable[[float], None] = time.sleep) -> None:
        self._shared = shared
        self._sleep = sleep
        self._own: dict[str, _OwnBucket] = {}
        self._lock = threading.Lock()
        self._said = False

    def take(
        self, key: str, plan: Plan, *, reserve: float = 0, start: float | None = None, patience: float = PATIENCE
    ) -> Granted:
        """Take a token, after a short sleep if needed; raises Throttled with the seconds to wait if it takes longer.

        `reserve` tokens are left for more important calls; `start` is the number of tokens in a bucket without a
        record.
        """
        left = patience
        while True:
            wait, granted = self._ask(key, plan, reserve, plan.cold if start is None else start)
            if wait <= 0:
                return granted
            if wait > left:
                raise Throttled(channel="Amazon", seconds=wait)
            pause = wait + random.uniform(0, min(0.05, wait))  # noqa: S311 - so that waiting workers don't collide
            left -= pause
            self._sleep(pause)

    def wait(self, key: str, plan: Plan) -> float:
        """Seconds until there is a token; none is taken."""
        return self._ask(key, plan, 0, plan.cold, taken=0)[0]

    def refused(self, key: str, plan: Plan) -> float:
        """Record that Amazon refused in spite of a token, since others use the same quota: no tokens for some
        seconds, which it returns.
        """
        factor = random.uniform(1, 1.5)  # noqa: S311
        try:
            return float(self._eval(_REFUSED, key, plan.rate, factor, LONGEST_HOLD))
        except RedisError as error:
            self._alone(error)
            hold = min(LONGEST_HOLD, 2 * factor / plan.rate)
            with self._lock:
                bucket = self._own.setdefault(key, _OwnBucket(0, time.monotonic()))
                bucket.tokens, bucket.hold = 0, time.monotonic() + hold
            return hold

    def answered(self, key: str, granted: Granted, rate: float | None) -> None:
        """Record a successful call: earlier refusals no longer count, and the rate in Amazon's answer is used from
        now on.
        """
        known = rate is None or abs(rate - granted.rate) < 1e-9
        if granted.alone or (known and not granted.refusals):
            return
        facts: dict[Any, Any] = {"refusals": "0"}
        if rate is not None:
            facts["rate"] = repr(rate)
        try:
            self._shared.ask(lambda redis: redis.hset(key, mapping=facts))
        except RedisError as error:
            self._alone(error)

    def _ask(self, key: str, plan: Plan, reserve: float, start: float, *, taken: int = 1) -> tuple[float, Granted]:
        try:
            answer = self._eval(_TAKE, key, plan.rate, plan.burst, reserve, start, SLACK, taken)
        except RedisError as error:
            self._alone(error)
            return self._ask_own(key, plan, taken)
        self._said = False
        wait, rate, refusals = (float(part) for part in answer)
        return wait, Granted(rate, int(refusals))

    def _eval(self, script: str, key: str, *values: float) -> Any:
        return self._shared.ask(lambda redis: redis.eval(script, 1, key, *values))

    def _ask_own(self, key: str, plan: Plan, taken: int) -> tuple[float, Granted]:
        rate, now = plan.rate / 2, time.monotonic()
        with self._lock:
            bucket = self._own.setdefault(key, _OwnBucket(COLD, now))
            bucket.tokens = min(plan.burst / 2, bucket.tokens + (now - bucket.at) * rate)
            bucket.at = now
            if now < bucket.hold:
                return bucket.hold - now, Granted(rate, alone=True)
            if bucket.tokens >= 1:
                bucket.tokens -= taken
                return 0.0, Granted(rate, alone=True)
            return (1 - bucket.tokens) / rate, Granted(rate, alone=True)

    def _alone(self, error: RedisError) -> None:
        if not self._said:
            self._said = True
            log.warning("amazon_throttle_alone", problem=type(error).__name__)
