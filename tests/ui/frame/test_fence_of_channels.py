"""The fence around channels' calls over the network, and around what plugins run beside the desk: a matrix like that
of `test_fence`.

A failing plugin disconnects no store and delays no other; the store's page, the command line and the page of plugins
say what happened.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from supervisor.preparing import prepare
from tests.ui.conftest import Browser
from tests.ui.frame.test_fence import Faulty, seconds
from webapp.audit.actor import Actor
from webapp.channels.connecting import Connection
from webapp.channels.incoming import OrdersPage, UnreadableOrder
from webapp.channels.models import Store
from webapp.channels.services import add_store
from webapp.cli.main import main
from webapp.clock import now
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.hooks import fence, hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.hooks.processes import PracticeStore, Process
from webapp.jobs import JobFailed, TimeOver, perform
from webapp.orders.models import Order
from webapp.sync import jobs, order_windows, proving, runs
from webapp.sync.models import QuarantinedOrder
from webapp.sync.taking_in.quarantine import quarantine
from webapp.testing import FakeChannel, FakeChannelPlugin, incoming_order

FAILED = "“Moody channel” of the plugin “moods” failed. The Plugins page shows the reason."
TEMPERS = ("raises", "wrong_type", "attribute_error", "wrong_sql")  # a worker may be told to exit, and has its time


class MoodyChannel(FakeChannel):
    """A channel whose network calls make the error of its temper; the fake channel beside it works."""

    code, label = "moody", "Moody channel"

    def __init__(self, temper: str) -> None:
        super().__init__()
        self.faulty = Faulty(temper)

    def connect(self, store: Any) -> Connection:
        found: Connection = self.faulty.do(super().connect(store))
        return found

    def fetch_orders(self, store: Any, window: Any) -> OrdersPage:
        page: OrdersPage = self.faulty.do(super().fetch_orders(store, window))
        return page

    def fetch_order(self, store: Any, number: str) -> Any:
        return self.faulty.do(super().fetch_order(store, number))

    def practice_settings(self, url: str) -> Any:
        return self.faulty.do({"key": url})


@pytest.fixture(params=TEMPERS)
def temper(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def moody(temper: str, store: Store) -> MoodyChannel:
    """The failing channel, beside the fake one with its store."""
    channel = MoodyChannel(temper)
    hooks.manager.register(FakeChannelPlugin(channel), name="moods")
    return channel


@pytest.fixture
def failing(moody: MoodyChannel) -> int:
    """A store of the failing channel."""
    with unit_of_work():
        return add_store("moody", "Moody store", {"key": "k"}, actor=Actor.operator()).id


def noted(found: list[Failure], *places: str) -> None:
    """The failures were recorded with this plugin and these places, with the stack."""
    assert {(one.plugin, one.place) for one in found} == {("moods", place) for place in places}
    assert all(one.where for one in found if one.problem not in ("WrongType", "slow"))
    found.clear()


def test_connecting(
    failing: int,
    moody: MoodyChannel,
    store: Store,
    channel: FakeChannel,
    browser: Browser,
    work: Callable[[], int],
    plugin_failures: list[Failure],
) -> None:
    """The store says so and is tried again by its sync, until its marketplaces are known; the other store is read."""
    channel.offer(incoming_order(number="302-1"))
    moody.offer(incoming_order(number="302-2"))
    jobs.connect.enqueue(failing)
    jobs.connect.enqueue(store.id)
    work()
    noted(plugin_failures, "connection", "stream")
    db.session.expire_all()
    assert db.session.get_one(Store, failing).problem is None
    page = unescape(browser.get(f"/stores/{failing}").text)
    assert "Failing" in page
    assert "The plugin for Moody channel failed. The Plugins page shows the reason." in page
    assert 'Connection<span class="sub code">moody' in browser.get("/plugins/").text.partition("moods")[2]
    assert list(db.session.scalars(select(Order.channel_order_number))) == ["302-1"]

    moody.faulty.temper = "quick"
    with time_machine.travel(now() + timedelta(minutes=5)):
        jobs.find_due()
        work()
    db.session.expire_all()
    assert [row.country for row in db.session.get_one(Store, failing).marketplaces] == ["DE", "JP"]
    assert set(db.session.scalars(select(Order.channel_order_number))) == {"302-1", "302-2"}
    assert "Failing" not in browser.get(f"/stores/{failing}").text


def test_connecting_alone(
    failing: int,
    moody: MoodyChannel,
    browser: Browser,
    work: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    plugin_failures: list[Failure],
) -> None:
    """Its orders are read all the same, and the store still says that its connection fails."""
    monkeypatch.setattr(MoodyChannel, "fetch_orders", FakeChannel.fetch_orders)
    moody.offer(incoming_order())
    jobs.connect.enqueue(failing)
    work()
    assert len(list(db.session.scalars(select(Order)))) == 1
    assert FAILED in unescape(browser.get(f"/stores/{failing}").text)
    noted(plugin_failures, "connection")


def test_testing_a_store(
    failing: int, browser: Browser, capsys: pytest.CaptureFixture[str], plugin_failures: list[Failure]
) -> None:
    """In the browser and on the command line; it is not disconnected."""
    for htmx in (True, False):
        answer = browser.post(f"/stores/{failing}/test", htmx=htmx)
        assert answer.status_code == 200
        assert FAILED in unescape(answer.text)
    assert main(["--json", "store", "test", "Moody store"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"ok": False, "marketplaces": [], "problem": FAILED, "checks": []}
    assert printed.err.strip() == FAILED
    db.session.expire_all()
    assert db.session.get_one(Store, failing).problem is None
    noted(plugin_failures, "connection")


@pytest.mark.parametrize("temper", ["slow"], indirect=True)
def test_a_slow_test(
    failing: int, browser: Browser, monkeypatch: pytest.MonkeyPatch, plugin_failures: list[Failure]
) -> None:
    """Its answer is used."""
    monkeypatch.setattr(fence, "LONG", seconds("slow"))
    assert "The connection works" in browser.post(f"/stores/{failing}/test", htmx=True).text
    assert ("moods", "connection", "slow") in {(one.plugin, one.place, one.problem) for one in plugin_failures}
    plugin_failures.clear()


@pytest.mark.parametrize("call", ["fetch_order", "fetch_orders"])
def test_a_job_that_a_plugin_holds_up_until_its_time_is_over(
    call: str, app: object, store: Store, monkeypatch: pytest.MonkeyPatch, plugin_failures: list[Failure]
) -> None:
    def endless(*_: object) -> None:
        raise TimeOver

    monkeypatch.setattr(MoodyChannel, call, endless)
    hooks.manager.register(sys.modules[__name__], name="moods")
    hooks.manager.register(FakeChannelPlugin(MoodyChannel("quick")))
    with unit_of_work():
        late = add_store("moody", "Late store", {"key": "k"}, actor=Actor.operator()).id
        proving.begin(runs.sync_of(late).store_id, now())
        runs.sync_of(late).next_at = now() + timedelta(minutes=1)
    jobs_of: dict[str, tuple[str, list[Any]]] = {
        "fetch_order": ("webapp.sync.fetch_order", [late, "302-1"]),
        "fetch_orders": ("webapp.sync.read_more", [late]),
    }
    name, given = jobs_of[call]
    with pytest.raises(JobFailed):
        perform(name, given, {})
    db.session.rollback()
    assert runs.sync_of(late).lease_owner is None
    assert [(one.plugin, one.place, one.code, one.problem) for one in plugin_failures] == [
        ("moods", "job", name, "slow")
    ]
    plugin_failures.clear()


def test_a_connection_that_takes_all_the_time_of_its_job(
    app: object,
    browser: Browser,
    store: Store,
    work: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    plugin_failures: list[Failure],
) -> None:
    """The store says so, and its orders are read all the same."""

    def endless(*_: object) -> None:
        raise TimeOver

    monkeypatch.setattr(MoodyChannel, "connect", endless)
    moody = MoodyChannel("quick")
    hooks.manager.register(FakeChannelPlugin(moody), name="moods")
    moody.offer(incoming_order())
    with unit_of_work():
        late = add_store("moody", "Late store", {"key": "k"}, actor=Actor.operator()).id
        jobs.connect.enqueue(late)
    work()
    assert len(list(db.session.scalars(select(Order)))) == 1
    page = unescape(browser.get(f"/stores/{late}").text)
    assert "Moody channel did not answer within 300 seconds. Waybill retries automatically." in page
    assert {(one.plugin, one.place, one.code, one.problem) for one in plugin_failures} == {
        ("moods", "connection", "moody", "slow")
    }
    plugin_failures.clear()


def test_one_order(
    failing: int,
    moody: MoodyChannel,
    browser: Browser,
    work: Callable[[], int],
    plugin_failures: list[Failure],
) -> None:
    """A quarantined order stays listed, and says why it could not be read again."""
    with unit_of_work():
        quarantine(failing, [("302-7", "total", "not_money", {})])
    row = db.session.scalars(select(QuarantinedOrder)).one()
    browser.post(f"/stores/{failing}/asides/{row.id}/retry")
    work()
    noted(plugin_failures, "order")
    page = unescape(browser.get(f"/stores/{failing}/traffic").text)
    assert "302-7" in page
    assert "The channel's plugin failed to read the order. The Plugins page shows the reason." in page
    assert "2 attempts" in page
    jobs.fetch_order(failing, "302-8")  # nor is one there because of it
    assert [one.number for one in db.session.scalars(select(QuarantinedOrder))] == ["302-7"]
    plugin_failures.clear()

    moody.faulty.temper = "quick"
    moody.offer(incoming_order(number="302-7"))
    browser.post(f"/stores/{failing}/asides/{row.id}/retry")
    work()
    db.session.rollback()
    assert list(db.session.scalars(select(QuarantinedOrder))) == []
    assert list(db.session.scalars(select(Order.channel_order_number))) == ["302-7"]


def test_what_no_window_reads(failing: int, moody: MoodyChannel, plugin_failures: list[Failure]) -> None:
    """The lane is free again, and the page is asked for once more after a minute."""
    with unit_of_work():
        runs.sync_of(failing).next_at = now() + timedelta(minutes=5)
        proving.begin(failing, now() - timedelta(days=1))
    assert order_windows.due_for_more() == [failing]
    jobs.read_more(failing)
    noted(plugin_failures, "stream")
    assert runs.sync_of(failing).lease_owner is None
    assert order_windows.due_for_more() == []
    moody.faulty.temper = "quick"
    with time_machine.travel(now() + timedelta(seconds=61)):
        assert order_windows.due_for_more() == [failing]


@pytest.mark.parametrize("temper", ["quick"], indirect=True)
@pytest.mark.parametrize(
    "page",
    [OrdersPage(None), OrdersPage(["302-1"]), OrdersPage([], ["302-1"]), OrdersPage([], bound="today")],  # type: ignore[list-item, arg-type]
)
def test_a_page_of_the_wrong_things(
    page: OrdersPage, failing: int, monkeypatch: pytest.MonkeyPatch, plugin_failures: list[Failure]
) -> None:
    monkeypatch.setattr(MoodyChannel, "fetch_orders", lambda *_: page)
    with unit_of_work():
        runs.start(db.session.get_one(Store, failing), actor=Actor.operator())
    jobs.import_orders(failing)  # which tests it first
    jobs.import_orders(failing)
    noted(plugin_failures, "stream")
    assert runs.sync_of(failing).failures == 1


@pytest.mark.parametrize("temper", ["quick"], indirect=True)
@pytest.mark.parametrize(
    "answer",
    [
        Connection(["DE"]),  # type: ignore[list-item]
        Connection(problem="no"),  # type: ignore[arg-type]
        Connection(account=5),  # type: ignore[arg-type]
        UnreadableOrder("302-1", "total", "not_money"),
    ],
)
def test_a_connection_of_the_wrong_things(
    answer: object, failing: int, browser: Browser, monkeypatch: pytest.MonkeyPatch, plugin_failures: list[Failure]
) -> None:
    monkeypatch.setattr(MoodyChannel, "connect", lambda *_: answer)
    assert FAILED in unescape(browser.post(f"/stores/{failing}/test", htmx=True).text)
    noted(plugin_failures, "connection")


@pytest.mark.parametrize("temper", ["raises", "wrong_type", "attribute_error"], indirect=True)
def test_how_far_a_window_reaches_back(
    failing: int, moody: MoodyChannel, work: Callable[[], int], temper: str, plugin_failures: list[Failure]
) -> None:
    """A property that fails: the window reaches as far back as most."""
    moody.faulty.temper = "quick"
    for _ in range(2):  # the first finds its marketplaces, and what is open is read once more
        with unit_of_work():
            runs.start(db.session.get_one(Store, failing), actor=Actor.operator())
        jobs.import_orders.enqueue(failing)
        work()
    asked = len(moody.asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MoodyChannel, "overlap", property(lambda self: self.faulty.do(5)))
        moody.faulty.temper = temper
        patch.setattr(MoodyChannel, "fetch_orders", FakeChannel.fetch_orders)
        with unit_of_work():
            runs.sync_of(failing).next_at = now()
        jobs.import_orders(failing)
    assert len(moody.asked) == asked + 1
    noted(plugin_failures, "stream")


class Beside:
    """A plugin whose process can't say what belongs to it, and one whose process can."""

    def __init__(self, temper: str, fails: str) -> None:
        self.faulty, self.fails = Faulty(temper), fails

    @hookimpl
    def register_processes(self) -> list[Process]:
        def odd(name: str, right: Any) -> Any:
            return lambda *_: self.faulty.do(right) if name == self.fails else right

        store = PracticeStore("moody", "Practice", {"key": "k"})
        return [
            Process(
                "odd",
                odd("argv", ["-c", "0"]),
                preferred_port=9801,
                variables=odd("variables", {}),
                wanted=odd("wanted", True),
                stores=odd("stores", []),
            ),
            Process("fine", lambda *_: ["-c", "0"], preferred_port=9802, stores=lambda url: [store]),
        ]


def test_practice_stores(
    moody: MoodyChannel,
    temper: str,
    capsys: pytest.CaptureFixture[str],
    plugin_failures: list[Failure],
    store: Store,
) -> None:
    """A process that can't name its stores keeps no other's back, nor does a store that can't be tested."""
    hooks.manager.register(Beside(temper, "stores"), name="beside")
    assert main(["--json", "store", "practice"]) == 0
    [document] = [one for one in json.loads(capsys.readouterr().out) if one["channel"] == "moody"]
    assert (document["name"], document["disconnected"]) == ("Practice", None)
    assert "“Moody channel” of the plugin" in document["last_failure"]
    assert {one.place for one in plugin_failures} == {"process", "connection"}
    plugin_failures.clear()


@pytest.mark.parametrize("fails", ["argv", "variables", "stores", "wanted"])
def test_a_process_that_can_not_start_keeps_no_desk_back(
    fails: str,
    moody: MoodyChannel,
    temper: str,
    tmp_path: Path,
    plugin_failures: list[Failure],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if (fails, temper) == ("wanted", "wrong_type"):
        pytest.skip("whatever it gives is taken for yes or no")
    hooks.manager.register(Beside(temper, fails), name="beside")
    monkeypatch.setattr(os, "environ", os.environ.copy())  # it sets what the plugins' processes name
    prepare(tmp_path / "prepared")
    started = [one["name"] for one in json.loads((tmp_path / "prepared").read_text())["processes"]]
    assert "fine" in started
    assert ("odd" in started) is (fails == "stores")
    assert {one.place for one in plugin_failures} == {"process"}
    plugin_failures.clear()


def test_the_offer_of_a_practice_marketplace(
    moody: MoodyChannel, browser: Browser, monkeypatch: pytest.MonkeyPatch, plugin_failures: list[Failure]
) -> None:
    monkeypatch.setenv("WAYBILL_PRACTICE_URL", "http://127.0.0.1:9")
    configuration.cache_clear()
    page = browser.get("/stores/add")
    assert page.status_code == 200
    assert "Moody channel" in page.text
    assert browser.post("/stores/add/moody/practice").status_code == 404
    noted(plugin_failures, "connection")
