"""Live news: which orders changed, published to whoever has a page open. Ids travel, nothing else ever does."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import redis
import structlog

from webapp.config import configuration
from webapp.db import after_commit

log = structlog.get_logger(__name__)
SESSIONS_ENDED = "sessions_ended"  # news for the streams of these sessions, which end; no browser is told
_connections: dict[str, redis.Redis] = {}


def connection() -> redis.Redis:
    """This process's connection to Redis, shared by its threads."""
    url = configuration().queue
    if url not in _connections:
        _connections[url] = redis.Redis.from_url(url, socket_connect_timeout=2, health_check_interval=30)
    return _connections[url]


def key(*parts: str) -> str:
    """A key of this desk's own: desks that share a Redis server have different databases or prefixes in its URL."""
    return ":".join(("waybill", *parts))


def publish(kind: str, ids: Iterable[int]) -> None:
    """Tell open pages that things of this kind changed, after the commit; without Redis they find out by themselves."""
    body = json.dumps({"kind": kind, "ids": sorted(set(ids))})

    def send() -> None:
        try:
            connection().publish(key("live"), body)
        except redis.RedisError as error:
            log.warning("live_news_lost", kind=kind, problem=type(error).__name__)

    after_commit(send)


def listen() -> Iterator[dict[str, Any] | None]:
    """News as it comes; None once nothing is missed any more, and about once a second, so that the caller can see
    whether anybody is still there.
    """
    with connection().pubsub() as channel:
        channel.subscribe(key("live"))
        while channel.get_message(timeout=1.0) is None:
            pass  # until the server has confirmed it
        yield None
        while True:
            message = channel.get_message(timeout=1.0)
            yield json.loads(message["data"]) if message and message["type"] == "message" else None
