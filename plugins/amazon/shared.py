"""What all workers share by way of Redis: how to reach it, how keys are named, and how secrets are sealed there.

Nothing kept here is needed: without Redis the plugin goes on more slowly. So once it was out of reach it is left alone
for a while, since finding that out again costs seconds.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from redis import Redis
from redis.exceptions import ConnectionError as NoConnection, LockError, RedisError

from webapp.api import open_secret, redis, redis_key, seal_secret

REST = 10.0  # seconds
T = TypeVar("T")


@dataclass(slots=True)
class Shared:
    """The desk's own by default; tests give others."""

    connection: Callable[[], Redis] = redis
    key: Callable[..., str] = redis_key
    seal: Callable[[str], str] = seal_secret
    unseal: Callable[[str], str] = open_secret
    _rests_until: float = field(default=0.0, init=False)

    def ask(self, work: Callable[[Redis], T]) -> T:
        """What the work brings back from Redis; raises RedisError, at once where it was out of reach just now."""
        if time.monotonic() < self._rests_until:
            raise NoConnection("left alone for a while")
        try:
            return work(self.connection())
        except LockError:
            raise
        except RedisError:
            self._rests_until = time.monotonic() + REST
            raise
