"""Stores from the command line: added, tested, changed, synced, and their buyers erased."""

import io
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.cli.conftest import ON_SQLITE, Command
from webapp.accounts import people
from webapp.audit.actor import Actor
from webapp.channels.connecting import ChannelError, Check, Connection, Denied, Disconnected
from webapp.channels.incoming import ChannelStage
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import unit_of_work
from webapp.orders.models import Order
from webapp.sync import jobs
from webapp.testing import FakeChannel, incoming_order
from webapp.vault.services import erased

RUN = {
    "id", "kind", "store", "state", "started", "ended", "pages", "seen", "new", "changed", "aside", "calls",
    "throttled", "next_at", "message",
}  # fmt: skip


def test_a_store_is_added_tested_changed_and_synced(
    cli: Command, channel: FakeChannel, work: Callable[[], int]
) -> None:
    store_id = cli("store", "add", "fake", "--name", "Mine", "--set", "key=k1", "--json").document["id"]
    tested = cli("store", "test", store_id, "--json")
    assert tested.document["ok"] is True
    assert tested.document["problem"] is None
    assert cli("store", "set", store_id, "--name", "Ours", "--set", "key=k2", "--json").document["name"] == "Ours"
    [row] = cli("store", "list", "--json").document
    assert (row["id"], row["marketplaces"]) == (store_id, tested.document["marketplaces"])

    channel.offer(incoming_order())
    started = cli("sync", "ours", "--json").document
    assert started.keys() == RUN
    assert started["state"] == "queued"
    joined = cli("sync", store_id, "--wait", "--seconds", "0.1", "--json")
    assert joined.code == 5
    assert joined.document["id"] == started["id"]
    work()
    [run] = cli("runs", "list", "--json").document
    assert run.keys() == RUN
    assert (run["state"], run["new"], run["next_at"] is None) == ("done", 1, False)
    assert cli("status", "--json").document["stores"][0]["running"] is False


def test_a_test_of_a_store_names_what_it_looked_at(
    cli: Command, store: Store, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Check(name="buyers", label="Names of buyers", ok=False, sentence="The role “Tax” is missing.")
    asked = Connection(channel.marketplaces, checks=[missing])
    monkeypatch.setattr(FakeChannel, "test", lambda self, store: asked, raising=False)
    said = cli("store", "test", store.name, "--json").document
    assert said["checks"] == [{"name": "buyers", "ok": False, "sentence": "The role “Tax” is missing."}]
    assert "NO  Names of buyers: The role “Tax” is missing." in cli("store", "test", store.name).out


@ON_SQLITE
def test_a_store_says_apart_what_waits_for_a_person_and_what_goes_by_itself(
    cli: Command, store: Store, channel: FakeChannel, work: Callable[[], int]
) -> None:
    def told() -> tuple[str | None, str | None, list[str], bool]:
        for [row] in (cli("status", "--json").document["stores"], cli("store", "list", "--json").document):
            assert "problem" not in row
        return row["disconnected"], row["last_failure"], [one["name"] for one in row["denied"]], row["proven_complete"]

    def read(*failures: Exception) -> None:
        channel.failures += failures
        cli("sync", store.id)
        work()

    assert told() == (None, None, [], False)
    read(ChannelError(channel="Fake", problem="HTTP 503"))
    assert told() == (None, "Fake sent an answer that Waybill can't process: HTTP 503", [], False)
    read(Denied(channel="Fake", problem="no role", name="search"))
    assert told() == (None, "Fake denies Waybill access: no role", ["search"], False)
    read(Disconnected(channel="Fake", problem="gone"))
    gone = "Fake refuses Waybill's credentials: gone"
    assert told() == (gone, gone, ["search"], False)
    cli("store", "set", store.id, "--set", "key=k9")  # new credentials are tried at once
    work()
    assert told() == (None, None, [], False)
    jobs.read_more(store.id)
    assert told() == (None, None, [], True)


@ON_SQLITE
def test_settings_may_come_by_standard_input(
    cli: Command, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("key=a=b\n"))
    assert cli("store", "add", "fake", "--name", "Mine", "--set-stdin").code == 0


@ON_SQLITE
def test_a_channel_that_refuses_is_a_problem_in_words(
    cli: Command, store: Store, channel: FakeChannel, work: Callable[[], int]
) -> None:
    channel.failures.append(Disconnected(channel="Fake", problem="gone"))
    cli("sync", store.id)
    work()
    ended = cli("runs", "list", "--json").document[0]
    assert (ended["state"], ended["message"]) == ("failed", "Fake refuses Waybill's credentials: gone")


def test_stores_are_shown_to_those_who_work_for_their_shops(cli: Command, store: Store, mia: Actor) -> None:
    for shop_id, shown in ((store.shop_id, [store.name]), (store.shop_id + 1, [])):
        with unit_of_work():
            people.change_shops(mia.id or 0, [shop_id], actor=Actor.operator())
        found = cli("store", "list", "--as", "mia@desk.test", "--json").document
        assert [row["name"] for row in found] == shown
        assert [row["name"] for row in cli("status", "--as", "mia@desk.test", "--json").document["stores"]] == shown


def test_buyers_past_their_date_are_previewed_and_erased(
    cli: Command, take: Callable[..., list[Order]], store: Store, work: Callable[[], int]
) -> None:
    at = now() - timedelta(days=60)
    [order] = take(incoming_order(created_at=at, stage=ChannelStage.CANCELED, status="CANCELLED"))
    order_id, waits = order.id, dict.fromkeys(("open", "on_hold", "canceling", "under_way"), 0) | {"more": False}
    seen = {"store": "Fake store", "days": 30, "due": 1, "more": False, "unplaced": 0, "waiting": waits, "run": None}
    assert cli("store", "erase", "Fake store", "--preview", "--json").document == seen
    assert cli("store", "set", "Fake store", "--set", "erase_buyers_after_days=70").code == 0
    assert cli("store", "erase", store.id, "--preview", "--json").document == seen | {"days": 70, "due": 0}
    assert "or less" in cli("store", "set", "Fake store", "--set", "erase_buyers_after_days=9999").err
    cli("store", "set", "Fake store", "--set", "erase_buyers_after_days=30")
    begun = cli("store", "erase", "Fake store", "--json")
    assert begun.document["run"] is not None
    work()
    assert erased([order_id]) == {order_id}
    assert "days" in cli("store", "erase", "Fake store").out
