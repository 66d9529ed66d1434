"""Stores in the browser: adding, testing, syncing, changing; runs and plugins."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests.conftest import run_by_the_clock
from tests.ui.conftest import Browser, tells_both
from webapp.audit.actor import Actor
from webapp.channels.connecting import Check, Connection, Denial, Denied, DeniedThing, Disconnected, GuideStep
from webapp.channels.incoming import ChannelStage, UnreadableOrder
from webapp.channels.keeping import days_of
from webapp.channels.models import Store
from webapp.channels.services import access
from webapp.channels.shops import create_shop
from webapp.clock import now
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.hooks import hookimpl, hooks
from webapp.hooks.discovery import PluginState
from webapp.jobs.models import Run
from webapp.orders import erasing
from webapp.orders.models import Order
from webapp.orders.order_settings import IMPORT_ORDERS, OWN_NUMBERS, switched_off
from webapp.orders.queries import locked
from webapp.sync import denials, proving, runs
from webapp.sync.streams import Stream
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


def test_a_store_that_is_added_while_the_queue_is_away_is_read_once_it_is_there(
    browser: Browser, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel.offer(incoming_order())
    with monkeypatch.context() as away:
        away.setenv("REDIS_URL", "unix:///nowhere.sock")
        configuration.cache_clear()
        assert browser.post("/stores/add/fake", {"name": "Berlin", "key": "k"}).status_code == 302
    configuration.cache_clear()
    run_by_the_clock()
    assert db.session.query(Order).count() == 1


def test_the_channels_guide_stands_beside_the_form(
    browser: Browser, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Where to find this" not in browser.get("/stores/add/fake").text
    step = GuideStep(title="Open <it>", text="Choose Keys.", url="https://fake.example/keys")
    monkeypatch.setattr(FakeChannel, "guide", (step,))
    for path in ("/stores/add/fake", f"/stores/{store.id}/settings"):
        page = browser.get(path).text
        assert "Where to find this at Fake channel" in page
        assert "Open &lt;it&gt;" in page
        assert 'href="https://fake.example/keys" rel="noreferrer"' in page


def test_a_setting_that_is_missing_or_a_name_that_is_taken_comes_back(browser: Browser, store: Store) -> None:
    for data, said in (
        ({"name": "Other", "key": ""}, "Enter a value."),
        ({"name": "Fake store", "key": "k"}, "Another store has this name"),
        ({"name": "", "key": "k"}, "Enter a value."),
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
    for tab in ("", "/traffic", "/settings"):
        page = browser.get(answer.location + tab).text
        assert "Failing" in page
        assert page.count("refuses Waybill&#39;s credentials: wrong secret") == 1
    assert db.session.scalar(select(func.count()).select_from(Run)) == 0


def test_what_is_denied_and_what_is_not_proven_is_on_the_page(browser: Browser, store: Store) -> None:
    """Which and since when, each in a sentence, and the store is not called failing for it."""
    with unit_of_work():
        runs.sync_of(store.id)
        for thing, name in ((DeniedThing.MARKETPLACE, "JP"), (DeniedThing.DATA, "<RECIPIENT>")):
            problem = Denied(channel="Fake", problem="no role").stored()
            denials.note(store.id, denials.ORDERS, Denial(thing, name, problem))
        for number in range(7):
            denials.note(store.id, "shipment", Denial(DeniedThing.ORDER, f"302-000000{number}"))
        proving.begin(store.id, now())

    page = browser.get(f"/stores/{store.id}").text
    assert "Fake channel denies this store some access. Everything else continues." in page
    assert "Marketplace <strong>JP</strong>" in page
    assert "&lt;RECIPIENT&gt;" in page
    assert "Denied since " in page
    assert "Fake denies Waybill access: no role" in page
    assert page.count("302-000000") == 5  # of orders the first few
    assert "Waybill is still checking whether any order was missed: 0 of about 0 orders were read again." in page
    assert "Failing" not in page
    assert "9 access problems" in browser.get("/dashboard/cards/sync").text


def test_what_is_read_beside_the_orders_is_on_the_page_and_fails_by_itself(browser: Browser, store: Store) -> None:
    """A stream of a plugin: its name, when it was read, and, in a sentence, why it can't be; the store is well."""

    class Letters:
        @hookimpl
        def register_streams(self) -> list[Stream]:
            return [Stream("letters", lane="letters", label="Letters <of>", fetch=print, take_in=print)]

    hooks.manager.register(Letters(), name="letters")
    with unit_of_work():
        runs.sync_of(store.id).last_success_at = now()
        found = runs.lease_lane(store.id, "worker", "letters")
        assert found is not None
        sync, run = found
        runs.finish(sync, run, seconds=60)
    assert "Letters &lt;of&gt;: last read " in browser.get(f"/stores/{store.id}").text
    with unit_of_work():
        sync = runs.sync_of(store.id, "letters")
        sync.next_at = now()
        found = runs.lease_lane(store.id, "worker", "letters")
        assert found is not None
        runs.fail(*found, Disconnected(channel="Mail", problem="revoked"))
    page = browser.get(f"/stores/{store.id}").text
    assert "Letters &lt;of&gt; can't be read. Everything else continues." in page
    assert "Mail refuses Waybill&#39;s credentials: revoked" in page
    assert "Next try: " in page
    assert "Failing" not in page
    for path in (f"/stores/{store.id}/traffic", "/runs/"):
        assert "Letters &lt;of&gt;<span" in browser.get(path).text


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


def test_what_a_test_looked_at_is_on_the_page_one_by_one(
    browser: Browser, store: Store, monkeypatch: pytest.MonkeyPatch, channel: FakeChannel
) -> None:
    looked_at = [
        Check(name="orders", label="Reading orders", ok=True, sentence="Orders can be read."),
        Check(name="buyers", label="Names <of> buyers", ok=False, sentence="The role “Tax” is missing."),
        Check(name="shipments", label="Shipments", ok=None, sentence="Shows with the first."),
    ]
    found = Connection(channel.marketplaces, checks=looked_at)
    monkeypatch.setattr(FakeChannel, "test", lambda self, store: found, raising=False)
    for htmx in (True, False):
        page = browser.post(f"/stores/{store.id}/test", htmx=htmx).text
        assert "The connection works" in page
        rows = re.findall(
            r'<th scope="row">(.+?)</th>.*?data-tone="(\w+)".*?<span class="sub">([^<]+)<', page, re.DOTALL
        )
        assert rows == [
            ("Reading orders", "good", "Orders can be read."),
            ("Names &lt;of&gt; buyers", "bad", "The role “Tax” is missing."),
            ("Shipments", "gone", "Shows with the first."),
        ]


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
    for path in (
        "/stores/",
        f"/stores/{store.id}",
        f"/stores/{store.id}/traffic",
        f"/stores/{store.id}/settings",
        f"/stores/{store.id}/status",
        "/runs/",
        "/plugins/",
        "/orders/",
    ):
        browser.get(path)
        assert not [query for query in browser.queries if not query.lstrip().startswith(("SELECT", "SET LOCAL"))], path


def test_changed_settings_keep_a_secret_that_was_left_empty(
    browser: Browser, store: Store, work: Callable[[], int]
) -> None:
    answer = browser.post(f"/stores/{store.id}/settings", {"name": "Renamed", "key": ""})

    assert answer.status_code == 302
    db.session.rollback()
    assert db.session.get_one(Store, store.id).name == "Renamed"
    assert access(store).settings["key"] == "k-secret-9"
    work()
    assert browser.post(f"/stores/{store.id}/settings", {"name": "7", "key": ""}).status_code == 422


def test_a_quarantined_order_is_shown_and_read_again(
    browser: Browser, store: Store, channel: FakeChannel, work: Callable[[], int]
) -> None:
    channel.offer(UnreadableOrder("302-9", "total", "is not an amount", {"buyer": "Jane Quixelworth"}))
    browser.post(f"/stores/{store.id}/sync")
    work()
    page = browser.get(f"/stores/{store.id}/traffic").text
    assert "302-9" in page
    assert "is not an amount" in page
    assert "Quixelworth" not in page
    assert 'id="quarantined"' in page
    assert f'href="/stores/{store.id}/traffic#quarantined">1</a>' in browser.get("/dashboard/cards/sync").text
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
    assert "Not loaded" in page


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


def test_a_store_shows_its_sales_its_counts_and_its_orders(browser: Browser, store: Store, take: Any) -> None:
    [order] = take(incoming_order())
    take(incoming_order(marketplace="JP", currency="JPY"))
    page = browser.get(f"/stores/{store.id}").text
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert f">{order.number}</a>" in page
    assert "€12.00" in page
    assert "<strong>2</strong> Processing" in page
    assert f"/orders/?q=store:{store.id}" in unquote(page)
    assert unquote(browser.get(f"/stores/{store.id}/orders").location) == f"/orders/?q=store:{store.id}"
    for part in ("traffic", "settings"):
        assert browser.get(f"/stores/{store.id}/{part}").status_code == 200
        assert len(browser.queries) <= 8, "\n".join(browser.queries)
    browser.get(f"/stores/{store.id}/settings/erasing")
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert browser.get("/stores/99").status_code == 404


def test_a_store_is_paused_and_archived_and_restored(
    browser: Browser, store: Store, take: Any, operator: Actor, work: Callable[[], int]
) -> None:
    [order] = take(incoming_order())
    with unit_of_work():
        row = locked(order)
        ship_order(row, [PackageInput("DHL", "JD1", lines={row.lines[0].id: 1})], actor=operator)
    assert "Pause" in browser.get(f"/stores/{store.id}").text

    browser.post(f"/stores/{store.id}/deactivate")
    page = browser.get(f"/stores/{store.id}").text
    assert "This store is paused" in page
    assert "Sync now" not in page
    assert tells_both(browser.get(f"/stores/{store.id}/traffic").text, order)  # what it is owed waits and is listed
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert browser.post(f"/stores/{store.id}/sync", htmx=True).status_code == 409

    assert browser.post(f"/stores/{store.id}/archive").location == "/stores/"
    listed = browser.get("/stores/").text
    assert "1 archived store" in listed
    assert "No store in use" in listed
    assert browser.post(f"/stores/{store.id}/activate", htmx=True).status_code == 409

    browser.post(f"/stores/{store.id}/restore")
    browser.post(f"/stores/{store.id}/activate")
    work()
    assert "Connected" in browser.get(f"/stores/{store.id}").text


def test_what_becomes_of_its_orders_is_set(browser: Browser, store: Store, take: Any, work: Callable[[], int]) -> None:
    where = f"/stores/{store.id}/settings/orders"
    shop = {"shop_id": str(store.shop_id), "marketplace.DE": "y", "marketplace.JP": "y"}
    assert browser.post(where, shop | {"own_numbers": "own"}).status_code == 302
    [order] = take(incoming_order())
    assert order.number is None
    assert "Importing is off" in browser.get(f"/stores/{store.id}").text

    assert browser.post(where, shop | {"own_numbers": "own", "import_orders": "y"}).status_code == 302

    assert "get their numbers now" in browser.get(f"/stores/{store.id}/settings").text
    work()
    db.session.expire_all()
    assert db.session.get_one(Order, order.id).number == "000001"
    assert "Numbering orders" in browser.get(f"/stores/{store.id}/traffic").text
    assert browser.post(where, {"own_numbers": "own", "shop_id": "99"}).status_code == 422


def test_a_shop_per_marketplace_is_offered_once_there_are_two(browser: Browser, store: Store, operator: Actor) -> None:
    assert "Shop for JP" not in browser.get(f"/stores/{store.id}/settings").text
    with unit_of_work():
        tokyo = create_shop("Tokyo", prefix="T-", actor=operator).id
    assert "Shop for JP" in browser.get(f"/stores/{store.id}/settings").text
    told = {"import_orders": "y", "own_numbers": "channel", "shop_id": str(store.shop_id), "marketplace-JP": str(tokyo)}
    told |= {"marketplace.DE": "y", "marketplace.JP": "y"}
    assert browser.post(f"/stores/{store.id}/settings/orders", told).status_code == 302
    db.session.expire_all()
    changed = db.session.get_one(Store, store.id)
    assert {row.marketplace: row.shop_id for row in changed.marketplaces} == {"DE": None, "JP": tokyo}
    assert (IMPORT_ORDERS.of(changed), OWN_NUMBERS.of(changed)) == (True, False)


def test_a_marketplace_is_switched_off_alone(browser: Browser, store: Store) -> None:
    where = f"/stores/{store.id}/settings/orders"
    given = {"import_orders": "y", "own_numbers": "own", "shop_id": str(store.shop_id)}
    assert browser.post(where, given | {"marketplace.DE": "y"}).status_code == 302
    db.session.expire_all()
    assert switched_off(db.session.get_one(Store, store.id)) == {"JP"}
    assert "JP: off" in browser.get(f"/stores/{store.id}").text
    refused = browser.post(where, given)
    assert refused.status_code == 409
    assert "pause the store" in refused.text


def test_buyers_are_previewed_erased_and_kept_as_long_as_is_set(
    browser: Browser, store: Store, take: Any, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = now() - timedelta(days=60)
    page = f"/stores/{store.id}/settings/erasing"  # loaded after the settings
    assert page in browser.get(f"/stores/{store.id}/settings").text
    assert "No buyer data is due to be erased." in browser.get(f"/stores/{store.id}/settings?whole=1").text
    assert "No buyer data is due to be erased." in browser.get(page).text
    assert "No buyer data is due to be erased." in browser.get(browser.post(f"/stores/{store.id}/erase").location).text
    take(*(incoming_order(created_at=at, stage=ChannelStage.CANCELED, status="CANCELLED") for _ in range(2)))
    take(incoming_order(created_at=at))
    text = browser.get(page).text
    assert "Buyer data of 2 orders is due to be erased." in text
    assert "1 more order waits, since it is open." in text
    assert "not all of them were checked" not in text
    with monkeypatch.context() as patch:
        patch.setattr(erasing, "CAP", 1)
        text = browser.get(page).text
        assert "Buyer data of more than 1 orders is due to be erased." in text
        assert "not all of them were checked, and more of them may wait." in text

    run = browser.post(f"/stores/{store.id}/erase").location
    work()
    assert "Erasing buyer data" in browser.get(run).text
    assert "2 of 2" in browser.get(run).text
    text = browser.get(page).text
    assert "No buyer data is due to be erased." in text
    assert f'href="{run}"' in text
    assert "Erasing buyer data" in browser.get(f"/stores/{store.id}/traffic").text

    saved = browser.post(f"/stores/{store.id}/settings/buyers", {"erase_buyers_after_days": "7"})
    assert (saved.status_code, days_of(db.session.get_one(Store, store.id))) == (302, 7)
    answer = browser.post(f"/stores/{store.id}/settings/buyers", {"erase_buyers_after_days": "4000"})
    assert answer.status_code == 422
    assert "Enter 3650 or less." in answer.text
    assert 'value="4000"' in answer.text


def test_a_clerk_may_look_and_sync_but_not_change(
    make_browser: Callable[..., Browser], make_user: Callable[..., Actor], store: Store
) -> None:
    clerk = make_browser(make_user("clerk", "Cleo"))
    page = clerk.get(f"/stores/{store.id}").text
    assert "Sync now" in page
    assert "Archive" not in page
    for path in ("deactivate", "archive", "restore", "activate", "settings", "settings/orders"):
        assert clerk.post(f"/stores/{store.id}/{path}").status_code == 403
    assert clerk.get(f"/stores/{store.id}/settings").status_code == 403
