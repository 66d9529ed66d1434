"""What all workers share by way of Redis: how to reach it, how keys are named, and how secrets are sealed there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis import Redis

from webapp.api import open_secret, redis, redis_key, seal_secret


@dataclass(frozen=True, slots=True)
class Shared:
    """The desk's own by default; tests give others."""

    connection: Callable[[], "Redis[Any]"] = redis
    key: Callable[..., str] = redis_key
    seal: Callable[[str], str] = seal_secret
    unseal: Callable[[str], str] = open_secret
