"""Stores in the browser: adding, testing, syncing, changing; runs and plugins."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests.ui.conftest import Browser
from webapp.channels.contract import Connection, Disconnected, UnreadableOrder
from webapp.channels.models import Store
from webapp.channels.services import access
from webapp.config import configuration
from webapp.db import db
from webapp.hooks.discovery import PluginState
from webapp.jobs.models import Run
from webapp.orders.models import Order
from webapp.testing import FakeChannel, incoming_order


def test_a_store_is_added_tested_and_read_by_itself(
    browser: Browser, channel: FakeChannel, work: Callable[[], int]
) -> None:
    channel.offer(incoming_order())
    assert "Fake channel" in browser.get("/stores/add").text
    form = browser.get("/stores/add/fake").text
    assert 'type="password"' in form

    answer = browser.post("/stores/add/fake", {"name": "Berlin", "key": "k-secret-1"})

    assert answer.status_code == 302
    assert "Being tested" in browser.get(answer.location).text
    work()
    page = browser.get(answer.location).text
    assert "Connected" in page
    assert "k-secret-1" not in page
    assert "<dd>1</dd>" in page
    assert db.session.scalar(select(func.count()).select_from(Order)) == 1
    assert [row.country for row in db.session.scalars(select(Store)).one().marketplaces] == ["DE", "JP"]


def test_a_setting_that_is_missing_or_a_name_that_is_taken_comes_back(browser: Browser, store: Store) -> None:
    for data, said in (
        ({"name": "Other", "key": ""}, "is needed."),
        ({"name": "Fake store", "key": "k"}, "is taken"),
        ({"name": "", "key": "k"}, "is needed."),
    ):
        answer = browser.post("/stores/add/fake", data)
        assert answer.status_code == 422
        assert said in answer.text
        assert f'value="{data["name"]}"' in answer.text
    assert db.session.scalar(select(func.count()).select_from(Store)) == 1


def test_a_refused_account_is_told_in_plain_words(
    browser: Browser, channel: FakeChannel, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = Connection(problem=Disconnected(channel="Fake", problem="wrong secret"))
    monkeypatch.setattr(FakeChannel, "connect", lambda self, store: refused)

    answer = browser.post("/stores/add/fake", {"name": "Berlin", "key": "k"})
    work()
    page = browser.get(answer.location).text

    assert "Failing" in page
    assert "refuses the desk&#39;s credentials: wrong secret" in page
    assert db.session.scalar(select(func.count()).select_from(Run)) == 0


def test_testing_asks_the_channel_outside_of_a_transaction(
    browser: Browser, store: Store, monkeypatch: pytest.MonkeyPatch, channel: FakeChannel
) -> None:
    open_then = []

    def connect(self: FakeChannel, reach: Any) -> Connection:
        open_then.append(db.session().in_transaction())
        return Connection(channel.marketplaces)

    monkeypatch.setattr(FakeChannel, "connect", connect)
    answer = browser.post(f"/stores/{store.id}/test", htmx=True)

    assert open_then == [False]
    assert "The connection works. Marketplaces: Fake Germany (DE), Fake Japan (JP)." in answer.text
    assert "The connection works" in browser.post(f"/stores/{store.id}/test").text


def test_sync_now_starts_a_run_and_joins_one(
    browser: Browser, store: Store, channel: FakeChannel, work: Callable[[], int]
) -> None:
    channel.offer(incoming_order())
    answers = [browser.post(f"/stores/{store.id}/sync", htmx=True) for _ in range(2)]

    assert all("Syncing" in answer.text for answer in answers)
    assert db.session.scalar(select(func.count()).select_from(Run)) == 1
    work()
    run = db.session.scalars(select(Run)).one()
    assert "Done" in browser.get("/runs/").text
    assert "Reading orders" in browser.get(f"/runs/{run.id}").text
    assert browser.get(f"/runs/{run.id}/progress", htmx=True).status_code == 200
    assert browser.get("/runs/99").status_code == 404
    assert browser.get("/stores/").status_code == 200
    assert len(browser.queries) <= 8, "\n".join(browser.queries)


def test_a_get_writes_nothing(browser: Browser, store: Store) -> None:
    for path in ("/stores/", f"/stores/{store.id}", f"/stores/{store.id}/status", "/runs/", "/plugins/", "/orders/"):
        browser.get(path)
        assert not [query for query in browser.queries if not query.lstrip().startswith("SELECT")], path


def test_changed_settings_keep_a_secret_that_was_left_empty(
    browser: Browser, store: Store, work: Callable[[], int]
) -> None:
    answer = browser.post(f"/stores/{store.id}", {"name": "Renamed", "key": ""})

    assert answer.status_code == 302
    db.session.rollback()
    assert db.session.get_one(Store, store.id).name == "Renamed"
    assert access(store).settings["key"] == "k-secret-9"
    work()
    assert browser.post(f"/stores/{store.id}", {"name": "7", "key": ""}).status_code == 422


def test_an_order_put_aside_is_shown_and_read_again(
    browser: Browser, store: Store, channel: FakeChannel, work: Callable[[], int]
) -> None:
    channel.offer(UnreadableOrder("302-9", "total", "is no amount", {"buyer": "Jane Quixelworth"}))
    browser.post(f"/stores/{store.id}/sync")
    work()
    page = browser.get(f"/stores/{store.id}").text
    assert "302-9" in page
    assert "is no amount" in page
    assert "Quixelworth" not in page
    channel.offer(incoming_order(number="302-9"))

    answer = browser.post(f"/stores/{store.id}/asides/1/retry")
    work()
    db.session.rollback()

    assert answer.status_code == 302
    assert db.session.scalar(select(Order.channel_order_number)) == "302-9"
    assert browser.post(f"/stores/{store.id}/asides/99/retry").status_code == 404


def test_a_practice_store_is_connected_by_one_click(
    browser: Browser, channel: FakeChannel, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert browser.post("/stores/add/fake/practice").status_code == 404
    monkeypatch.setenv("WAYBILL_PRACTICE_URL", "http://127.0.0.1:9")
    configuration.cache_clear()
    monkeypatch.setattr(FakeChannel, "practice_settings", lambda self, url: {"key": url})
    assert "Connect with one click" in browser.get("/stores/add").text

    answers = [browser.post("/stores/add/fake/practice") for _ in range(2)]
    work()

    assert [answer.status_code for answer in answers] == [302, 302]
    stores = list(db.session.scalars(select(Store).order_by(Store.id)))
    assert [store.name for store in stores] == ["Practice Fake channel"]  # twice it would bring every order twice
    assert all(store.practice for store in stores)
    assert "invented" in browser.get("/orders/").text


def test_a_broken_plugin_is_named_with_its_reason(app: Flask, browser: Browser) -> None:
    app.extensions["waybill.plugins"] = [PluginState("ebay", "plugins/ebay", "ImportError: no ebay")]

    page = browser.get("/plugins/").text

    assert "ebay" in page
    assert "ImportError: no ebay" in page
    assert "Left out" in page


def test_a_store_that_failed_at_first_is_read_once_its_test_works(
    browser: Browser, channel: FakeChannel, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    channel.offer(incoming_order())
    with monkeypatch.context() as patch:
        refused = Connection(problem=Disconnected(channel="Fake", problem="asleep"))
        patch.setattr(FakeChannel, "connect", lambda self, store: refused)
        answer = browser.post("/stores/add/fake", {"name": "Berlin", "key": "k"})
        work()

    browser.post(f"{answer.location}/test", htmx=True)
    work()
    db.session.rollback()

    assert db.session.scalar(select(func.count()).select_from(Order)) == 1
    assert "Connected" in browser.get(answer.location).text
