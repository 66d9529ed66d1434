"""One account is connected once: who comes second is refused in plain words, and nothing is read or told of it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from tests.cli.conftest import Command, Ended
from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.connecting import ChannelError, Connection, StoreAccess
from webapp.channels.models import AccountState, Store
from webapp.channels.services import AccountConnected, access, add_store, change_store, remember_marketplaces
from webapp.cli.main import main
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import sentence_of
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.hooks import hooks
from webapp.jobs import queue
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.sync import activity, delivering, jobs, runs
from webapp.sync.streams import due
from webapp.testing import FakeChannel, FakeChannelPlugin, incoming_order

Work = Callable[[], int]
SAID = "The store “First” is already connected to this account."


class SellerChannel(FakeChannel):
    """Names the account by the key's first word; an empty one is named by none."""

    def __init__(self) -> None:
        super().__init__()
        self.tested: list[int] = []
        self.read: list[int] = []
        self.away = False

    def connect(self, store: StoreAccess) -> Connection:
        self.tested.append(store.id)
        if self.away:
            return Connection(problem=ChannelError(channel="Fake", problem="away"))
        name = str(store.settings["key"]).partition(" ")[0]
        return Connection(self.marketplaces, account="" if name == "nobody" else name)

    def fetch_orders(self, store: StoreAccess, window: object) -> object:  # type: ignore[override]
        self.read.append(store.id)
        return super().fetch_orders(store, window)  # type: ignore[arg-type]


@pytest.fixture
def channel(app: Flask) -> SellerChannel:
    fake = SellerChannel()
    hooks.manager.register(FakeChannelPlugin(fake))
    fake.offer(incoming_order())
    return fake


def added(name: str, key: str = "seller", *, practice: bool = False) -> int:
    """A store as a door adds it: its test waits in the queue."""
    with unit_of_work():
        store = add_store("fake", name, {"key": key}, actor=Actor.operator(), practice=practice)
        jobs.connect.enqueue(store.id)
        return store.id


def the(store_id: int) -> Store:
    db.session.expire_all()
    return db.session.get_one(Store, store_id)


def problem_of(store_id: int) -> str:
    return sentence_of(the(store_id).problem) or ""


def go_on(work: Work) -> None:
    for minutes in (2, 20, 60):
        with time_machine.travel(now() + timedelta(minutes=minutes), tick=True):
            jobs.find_due()
            work()


@pytest.fixture
def command(app: Flask, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command on this test's desk."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        return Ended(int(main([str(argument) for argument in arguments])), *capsys.readouterr())

    return run


@pytest.fixture
def pair(channel: SellerChannel, work: Work) -> tuple[int, int]:
    """Two stores of one account, added one after the other and tested."""
    first = added("First")
    work()
    second = added("Second", "seller again")
    work()
    return first, second


def test_the_second_is_refused_and_nothing_is_read_of_it(
    pair: tuple[int, int], channel: SellerChannel, work: Work, operator: Actor
) -> None:
    first, second = pair
    assert (problem_of(first), the(first).account) == ("", "seller")
    assert problem_of(second).startswith(SAID)
    assert the(second).marketplaces == []
    go_on(work)
    with pytest.raises(AccountConnected, match="First"), unit_of_work():
        runs.start(the(second), actor=operator)
    jobs.import_orders(second)
    jobs.fetch_order(second, "302-1")
    assert set(channel.read) == {first}
    assert second not in {store_id for store_id, _lane in due()}
    assert len(db.session.scalars(select(Order)).all()) == 1


def test_it_is_connected_once_the_other_is_archived(
    pair: tuple[int, int],
    channel: SellerChannel,
    work: Work,
    browser: Browser,
) -> None:
    first, second = pair
    channel.away = True
    browser.post(f"/stores/{first}/archive")
    jobs.find_due()
    work()
    assert second not in channel.read
    channel.away = False
    go_on(work)
    assert (problem_of(second), the(second).account) == ("", "seller")
    assert second in channel.read
    with pytest.raises(AccountConnected, match="Second"), unit_of_work():
        activity.restore(the(first), actor=Actor.operator())
    assert the(first).archived_at is not None
    assert "The store “Second” is already connected" in browser.post(f"/stores/{first}/restore").text


def test_it_is_connected_once_it_is_another_account(pair: tuple[int, int], channel: SellerChannel, work: Work) -> None:
    first, second = pair
    for key, connected in (("seller still", False), ("other", True)):
        with unit_of_work():
            change_store(the(second), {"key": key}, actor=Actor.operator())
        assert bool(the(second).problem)  # until the test says otherwise
        work()
        assert (the(second).problem is None) is connected
        assert (second in channel.read) is connected
    assert (the(first).account, the(second).account) == ("seller", "other")


def test_page_command_and_json_say_whose_account_it_is(
    pair: tuple[int, int],
    browser: Browser,
    command: Command,
    work: Work,
) -> None:
    _first, second = pair
    assert SAID in browser.get(f"/stores/{second}").text
    answer = browser.post(f"/stores/{second}/test", HX_Request="true")
    assert SAID in answer.text
    assert "The connection works" not in answer.text
    tested = command("store", "test", second)
    assert tested.code != 0
    assert SAID in tested.err
    document = command("store", "test", second, "--json").document
    assert document["ok"] is False
    assert document["problem"].startswith(SAID)
    [row] = [row for row in command("store", "list", "--json").document if row["id"] == second]
    assert row["disconnected"].startswith(SAID)
    assert SAID in command("sync", second).err
    assert SAID in browser.post(f"/stores/{second}/sync").text
    command("store", "archive", "First")
    jobs.find_due()
    work()
    assert the(second).problem is None
    assert SAID.replace("First", "Second") in command("store", "restore", "First").err


def test_a_store_whose_settings_become_those_of_another_is_refused_and_finds_back(
    channel: SellerChannel, work: Work, operator: Actor
) -> None:
    _first, second = added("First"), added("Second", "other")
    work()
    [order] = db.session.scalars(select(Order).where(Order.store_id == second)).all()
    with unit_of_work():
        change_store(the(second), {"key": "seller"}, actor=operator)
        ship_order(locked(order), [PackageInput("DHL", "JD0001")], actor=operator)
    channel.read.clear()
    jobs.import_orders(second)  # whichever job comes first asks whose account it is
    work()
    go_on(work)
    assert problem_of(second).startswith(SAID)
    assert second not in channel.read
    assert channel.told("shipment") == []
    with unit_of_work():
        assert delivering.claim_due(second, "shipment", "me") is None
        change_store(the(second), {"key": "other"}, actor=operator)
    work()
    go_on(work)
    assert (problem_of(second), the(second).account) == ("", "other")
    assert len(channel.told("shipment")) == 1


def test_what_can_not_be_asked_stays_refused_and_is_asked_again(
    pair: tuple[int, int], channel: SellerChannel, work: Work
) -> None:
    _first, second = pair
    channel.away = True
    with unit_of_work():
        change_store(the(second), {"key": "other"}, actor=Actor.operator())
    work()
    assert problem_of(second).startswith(SAID)
    assert second not in channel.read
    assert queue("asking").scheduled_job_registry.count == 1


def test_one_that_could_not_be_tested_at_first_is_tested_before_it_is_read(channel: SellerChannel, work: Work) -> None:
    added("First")
    work()
    channel.away = True
    second = added("Second")
    with unit_of_work():  # the test, but not yet the reading that it begins
        connection = channel.connect(access(the(second)))
        activity.connected(the(second), connection)
        runs.start(the(second), actor=Actor.operator())
    channel.read.clear()
    jobs.import_orders(second)
    assert channel.read == []
    channel.away = False
    go_on(work)
    assert problem_of(second).startswith(SAID)
    channel.read = [store_id for store_id in channel.read if store_id == second]
    assert channel.read == []


def test_of_two_that_are_added_at_the_same_moment_one_wins(app: Flask, channel: SellerChannel) -> None:
    with unit_of_work():
        ids = [add_store("fake", f"Store {n}", {"key": "seller"}, actor=Actor.operator()).id for n in range(4)]
    together = Barrier(len(ids))

    def connect(store_id: int) -> None:
        with app.app_context():
            together.wait(60)
            jobs.connect(store_id)

    with ThreadPoolExecutor(len(ids)) as pool:
        for task in [pool.submit(connect, store_id) for store_id in ids]:
            task.result(60)
    connected = [store_id for store_id in ids if the(store_id).problem is None]
    assert len(connected) == 1
    assert {store_id for store_id in ids if the(store_id).account} == set(connected)
    assert all(f"“{the(connected[0]).name}”" in problem_of(store_id) for store_id in ids if store_id not in connected)


def test_of_two_added_and_tested_within_one_unit_of_work_one_wins_too(app: Flask, channel: SellerChannel) -> None:
    """Neither sees the row of the other before it is there."""
    together = Barrier(2)

    def connect(name: str) -> None:
        with app.app_context():
            together.wait(60)
            with unit_of_work():
                store = add_store("fake", name, {"key": "seller"}, actor=Actor.operator())
                remember_marketplaces(store, channel.connect(access(store)))

    with unit_of_work():
        add_store("fake", "There", {"key": "there"}, actor=Actor.operator())  # and with it the shop
    with ThreadPoolExecutor(2) as pool:
        for task in [pool.submit(connect, name) for name in ("One", "Other")]:
            task.result(60)
    db.session.expire_all()
    accounts = db.session.scalars(select(Store.account).where(Store.name != "There")).all()
    assert sorted(accounts) == ["", "seller"]


def test_a_paused_one_keeps_its_account_and_practice_is_apart(channel: SellerChannel, work: Work) -> None:
    first = added("First")
    work()
    with unit_of_work():
        activity.deactivate(the(first), actor=Actor.operator())
    second, practice = added("Second"), added("Practice", practice=True)
    work()
    assert problem_of(second).startswith(SAID)
    assert (problem_of(practice), the(practice).account) == ("", "seller")


def older(name: str, key: str) -> int:
    """A store that was connected and read by a desk that asked for no account."""
    with unit_of_work():
        store = add_store("fake", name, {"key": key}, actor=Actor.operator())
        store.account_state = AccountState.OLDER
        connection = Connection(SellerChannel().marketplaces, account="")
        remember_marketplaces(store, connection)
        store.account_state = AccountState.OLDER
        runs.start(store, actor=Actor.operator())
        return store.id


@pytest.mark.parametrize(("key", "account"), [("seller", "seller"), ("nobody", "")])
def test_stores_of_before_get_their_account_once_and_keep_working_beside_each_other(
    channel: SellerChannel, work: Work, key: str, account: str
) -> None:
    ids = [older("First", key), older("Second", key)]
    for _ in range(2):
        jobs.find_due()
        work()
        go_on(work)
    assert sorted(channel.tested) == ids
    for store_id in ids:
        assert (the(store_id).account, problem_of(store_id)) == (account, "")
        assert channel.read.count(store_id) > 2
        jobs.connect(store_id)  # tested again, it still is what it was
        assert (the(store_id).account, problem_of(store_id)) == (account, "")
    third = added("Third", key)
    work()
    assert problem_of(third).startswith(SAID) is (key == "seller")


def test_a_restored_store_of_before_is_no_longer_one_of_those(channel: SellerChannel, work: Work) -> None:
    first = added("First")
    work()
    second = older("Second", "seller")
    with unit_of_work():
        store = the(second)
        for act in (activity.archive, activity.restore, activity.activate):
            act(store, actor=Actor.operator())
        jobs.connect.enqueue(second)
    work()
    assert problem_of(second).startswith(SAID)
    assert problem_of(first) == ""
    assert queue("asking").count == 0
