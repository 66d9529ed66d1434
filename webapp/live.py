"""Live news: which orders changed, published to open pages. Only ids are sent, never anything else."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import redis
import structlog

from webapp.config import configuration
from webapp.db import after_commit

log = structlog.get_logger(__name__)
ACCESS_CHANGED = "access_changed"  # news for the streams of these sessions, which end; not sent to browsers
_KEPT = 1_000  # news for pages that were drawn before the news and began to listen after it
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
    """Publish, after the commit, that these things of a kind changed; without Redis open pages poll."""
    body = json.dumps({"kind": kind, "ids": sorted(set(ids))})

    def send() -> None:
        try:
            with connection().pipeline(transaction=False) as pipeline:
                pipeline.publish(key("live"), body)
                pipeline.xadd(key("news"), {"news": body}, maxlen=_KEPT)
                pipeline.execute()
        except redis.RedisError as error:
            log.warning("live_news_lost", kind=kind, problem=type(error).__name__)

    after_commit(send)


def since(at: float) -> dict[str, set[int]]:
    """The ids of the news since this time, by kind, for as long as news are kept. Raises `RedisError`."""
    found: dict[str, set[int]] = {}
    entries: Any = connection().xrange(key("news"), min=str(max(int(at * 1000), 0)))
    for _, fields in entries:
        news = json.loads(fields[b"news"])
        found.setdefault(news["kind"], set()).update(news["ids"])
    return found


def listen() -> Iterator[dict[str, Any] | None]:
    """News as it arrives; None once nothing can be missed any more, and about once a second, so that the caller can
    check whether anybody still listens.
    """
    with connection().pubsub() as channel:
        channel.subscribe(key("live"))
        while channel.get_message(timeout=1.0) is None:
            pass  # until the server has confirmed the subscription
        yield None
        while True:
            message = channel.get_message(timeout=1.0)
            yield json.loads(message["data"]) if message and message["type"] == "message" else None
