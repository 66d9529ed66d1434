"""Live news tells which things changed, by ids alone, once they are committed."""

import json
from collections.abc import Iterator

import pytest
from flask import Flask
from structlog.testing import capture_logs

from webapp import live, log
from webapp.config import configuration
from webapp.db import unit_of_work


@pytest.fixture
def news(app: Flask) -> Iterator[Iterator[dict[str, object] | None]]:
    heard = live.listen()
    assert next(heard) is None  # listens from now on
    yield heard
    heard.close()  # type: ignore[attr-defined]


def test_news_come_after_the_commit(news: Iterator[dict[str, object] | None]) -> None:
    with unit_of_work():
        live.publish("orders", [3, 1, 3])
        with live.connection().pubsub(ignore_subscribe_messages=True) as other:
            other.subscribe(live.key("live"))
            other.get_message(timeout=0.2)
            assert other.get_message(timeout=0.2) is None
    assert next(news) == {"kind": "orders", "ids": [1, 3]}


def test_no_news_of_what_was_rolled_back(news: Iterator[dict[str, object] | None]) -> None:
    with pytest.raises(ValueError, match="stop"), unit_of_work():  # noqa: PT012
        live.publish("orders", [1])
        raise ValueError("stop")
    with unit_of_work():
        live.publish("stores", [2])
    assert next(news) == {"kind": "stores", "ids": [2]}


def test_ids_travel_and_nothing_else(app: Flask) -> None:
    with live.connection().pubsub(ignore_subscribe_messages=True) as raw:
        raw.subscribe(live.key("live"))
        raw.get_message(timeout=1)
        live.publish("orders", [9])
        message = None
        while message is None:
            message = raw.get_message(timeout=1)
    assert json.loads(message["data"]) == {"kind": "orders", "ids": [9]}


def test_without_a_queue_the_work_goes_on(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    configuration.cache_clear()
    log.configure(configuration().model_copy(update={"log_level": "warning"}))
    with capture_logs() as entries, unit_of_work():
        live.publish("orders", [1])
    assert [entry["event"] for entry in entries] == ["live_news_lost"]
