"""What all workers share through Redis: the connection, the names of keys, and the sealing of secrets.

Nothing that is kept here is essential: without Redis the plugin works, but more slowly. After a failed connection,
Redis is not tried for some seconds, since each failure costs seconds.
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
    """Access to Redis; the desk's own by default, another one in tests."""

    connection: Callable[[], Redis] = redis
    key: Callable[..., str] = redis_key
    seal: Callable[[str], str] = seal_secret
    unseal: Callable[[str], str] = open_secret
    _rests_until: float = field(default=0.0, init=False)

    def ask(self, work: Callable[[Redis], T]) -> T:
        """Do the work with Redis and return its result. Raises RedisError, without a try if Redis failed just now."""
        if time.monotonic() < self._rests_until:
            raise NoConnection("left alone for a while")
        try:
            return work(self.connection())
        except LockError:
            raise
        except RedisError:
            self._rests_until = time.monotonic() + REST
            raise
