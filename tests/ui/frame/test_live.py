"""Live news: ids and nothing else, to those who may see them, within the cap; and the health of the desk."""

import json
import queue
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from tests.ui.conftest import Browser, wait_for_subscription
from webapp import live as news
from webapp.accounts import people
from webapp.accounts.models import User, UserSession
from webapp.accounts.services import open_session
from webapp.audit.actor import Actor
from webapp.channels.shops import create_shop
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.jobs import schedule
from webapp.orders.models import Order
from webapp.ui.frame import health, live


@pytest.fixture(autouse=True)
def own_pump(monkeypatch: pytest.MonkeyPatch) -> Iterator[live.Pump]:
    monkeypatch.setattr(live, "pump", live.Pump())
    yield live.pump
    live.pump._streams.clear()
    if listener := live.pump._thread:
        listener.join()


def _next(stream: Any) -> dict[str, Any]:
    for told in stream:
        if told.startswith("data: "):
            found: dict[str, Any] = json.loads(told[6:])
            return found
    raise AssertionError("the stream ended")


def test_a_change_reaches_every_stream_with_its_id_alone(
    app: Flask, make_order: Callable[..., Order], olga: Actor
) -> None:
    order = make_order()
    streams = [live.pump.join(10) for _ in range(2)]
    told = [live._stream_of(app, olga, own) for own in streams if own]
    wait_for_subscription()
    news.publish("orders", [order.id])

    assert [_next(one) for one in told] == [{"kind": "orders", "ids": [order.id]}] * 2


def test_what_changed_before_a_page_listens_is_told_to_it(
    app: Flask, browser: Browser, make_order: Callable[..., Order], olga: Actor
) -> None:
    order = make_order()
    page = browser.get(f"/orders/{order.number}").text
    [drawn_at] = re.findall(r'data-live-url="/live\?since=(\d+)"', page)
    with unit_of_work():
        news.publish("orders", [order.id])
        news.publish("orders", [order.id + 1])

    with browser.client.get(f"/live?since={drawn_at}") as stream:
        assert _next(part.decode() for part in stream.response) == {"kind": "orders", "ids": [order.id, order.id + 1]}
    later = {"Last-Event-ID": str(int(drawn_at) + 3_600_000)}
    assert live.now_in_ms() >= int(drawn_at)
    with app.test_request_context("/live?since=1", headers=later):
        assert live._drawn_at() == pytest.approx(live.now_in_ms() / 1000, abs=5)
    assert news.since(time.time() + 60) == {}


@pytest.mark.parametrize("asked", ["", "?since=", "?since=x", "?since=-1", f"?since={9**50}", "?since=1.5"])
def test_odd_times_are_no_harm(browser: Browser, asked: str) -> None:
    with browser.client.get(f"/live{asked}") as stream:
        assert stream.status_code == 200
        assert next(iter(stream.response)) == b"retry: 3000\n\n"


def test_ids_of_other_shops_are_not_told(app: Flask, make_order: Callable[..., Order], olga: Actor) -> None:
    order = make_order()
    with unit_of_work():
        another = create_shop("Another shop", prefix="A-").id
    own: queue.Queue[dict[str, Any] | None] = queue.Queue()
    elsewhere, here = (replace(olga, shops=frozenset({shop})) for shop in (another, order.shop_id))
    for kind, id_ in (("orders", order.id), ("stores", order.store_id)):
        own.put({"kind": kind, "ids": [id_]})
        own.put(None)
        assert list(live._stream_of(app, elsewhere, own))[1:] == []
        own.put({"kind": kind, "ids": [id_]})
        assert _next(live._stream_of(app, here, own))["ids"] == [id_]
    with unit_of_work():
        order.store.marketplaces[0].shop_id = another
    own.put({"kind": "stores", "ids": [order.store_id]})
    assert _next(live._stream_of(app, elsewhere, own))["ids"] == [order.store_id]


def test_a_stream_that_began_with_earlier_rights_ends(app: Flask, mia: Actor, olga: Actor) -> None:
    with unit_of_work():
        open_session(db.session.get_one(User, mia.id), how="test")
    [session_id] = db.session.scalars(select(UserSession.id))

    def told(actor: Actor) -> list[str]:
        own: queue.Queue[dict[str, Any] | None] = queue.Queue()
        for one in ({"kind": live._LISTENING}, {"kind": "orders", "ids": [1]}, None):
            own.put(one)
        return [line for line in live._stream_of(app, actor, own, session_id) if line.startswith("data")]

    assert told(mia)
    with unit_of_work():
        people.change_shops(mia.id or 0, [7], actor=olga)
    assert not told(mia)


def test_beyond_the_cap_and_without_redis_a_page_looks_by_itself(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYBILL_LIVE_STREAMS", "1")
    configuration.cache_clear()
    with browser.client.get("/live") as first:
        assert first.status_code == 200
        assert first.mimetype == "text/event-stream"
        assert browser.client.get("/live").status_code == 204
    assert browser.client.get("/live").status_code == 200
    monkeypatch.setenv("REDIS_URL", "unix:///nowhere.sock")
    configuration.cache_clear()
    assert browser.client.get("/live").status_code == 204


def test_live_pages_leave_threads_for_others(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as few:
        few.setenv("WAYBILL_WEB_THREADS", "4")
        configuration.cache_clear()
        with browser.client.get("/live") as first, browser.client.get("/live") as second:
            assert (first.status_code, second.status_code) == (200, 200)
            assert browser.client.get("/live").status_code == 204
    configuration.cache_clear()


def test_a_stream_that_is_not_read_is_ended_and_not_filled_forever(olga: Actor) -> None:
    own = live.pump.join(10)
    assert own is not None
    for _ in range(500):
        live.pump._hand_out({"kind": "orders", "ids": [1]})

    last = None
    while not own.empty():
        last = own.get()
    assert last is None
    assert live.pump.join(1) is not None


def test_a_live_desk_says_so(browser: Browser) -> None:
    assert browser.get("/healthz").json == {"status": "ok", "version": configuration().version}


def test_readiness_names_every_check(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = browser.get("/readyz")
    assert silent.status_code == 200
    assert silent.json is not None
    assert silent.json["checks"]["scheduler"] == {"ok": False, "last_tick_seconds": None}
    schedule.enqueue_due(schedule.registered())

    answer = browser.get("/readyz")

    assert answer.json is not None
    assert answer.json["status"] == "ok"
    assert {name: check["ok"] for name, check in answer.json["checks"].items()} == dict.fromkeys(
        ("database", "queue", "disk", "scheduler"), True
    )
    assert answer.json["checks"]["scheduler"]["last_tick_seconds"] < 30


def test_a_desk_that_can_not_work_is_not_ready(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    from webapp import schema

    monkeypatch.setattr(schema, "needed", lambda: "9999")
    answer = browser.get("/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["checks"]["database"] == {"ok": False, "problem": "schema_differs"}
    monkeypatch.undo()
    monkeypatch.setenv("REDIS_URL", "unix:///nowhere.sock")
    configuration.cache_clear()
    assert browser.get("/readyz").status_code == 503


def test_a_disk_that_is_nearly_full_is_told_and_takes_no_page_away(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "LEAST_DISK", 2**80)
    answer = browser.get("/readyz")
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["checks"]["disk"]["ok"] is False
