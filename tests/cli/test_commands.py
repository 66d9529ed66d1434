"""Every command on a desk with the fake channel: documents keep their keys, refusals their codes."""

import io
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import click
import pytest

from plugins.amazon.channel import AmazonChannel
from tests.cli.conftest import Command, one_sentence
from webapp import live
from webapp.accounts import people
from webapp.audit.actor import Actor
from webapp.channels.connecting import ChannelError, Check, Connection, Denied, Disconnected
from webapp.channels.incoming import ChannelStage, UnreadableOrder
from webapp.channels.models import Store
from webapp.channels.outgoing import Refused, Unknown
from webapp.cli.main import cli as tree
from webapp.clock import now
from webapp.config import configuration
from webapp.db import unit_of_work
from webapp.errors import Refusal
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.live import connection
from webapp.orders.contract import OrderAction
from webapp.orders.holds import hold
from webapp.orders.inputs import Offered
from webapp.orders.models import Order
from webapp.orders.queries import find_order
from webapp.sync import jobs, runs
from webapp.sync.streams import Stream
from webapp.testing import FakeChannel, incoming_line, incoming_order
from webapp.vault.services import erased

ROW = {
    "id", "number", "channel_order_number", "store_id", "store", "shop", "marketplace", "fulfilled_by", "state",
    "channel_status", "placed_at", "updated_at", "ship_by", "deliver_by", "currency", "total", "items", "unshipped",
    "flags", "attention", "buyer_name", "status", "assignee", "due_at", "tags", "country", "archived_at",
}  # fmt: skip
WHOLE = ROW | {
    "version", "amounts", "residual", "lines", "shipments", "updates", "holds", "comments", "buyer", "addresses",
    "actions", "timeline", "troubles",
}  # fmt: skip
LINE = {
    "id", "channel_line_id", "sku", "asin", "title", "ordered", "canceled", "shipped", "invoiced", "refunded", "open",
    "unit_price", "total", "problems",
}  # fmt: skip
PACKAGE = {"number", "carrier", "carrier_name", "service", "tracking_number", "shipped_at", "lines"}
UPDATE = {
    "id", "order", "kind", "state", "due_at", "sent_at", "effective_at", "attempts", "reference", "revision", "lane",
    "message", "deadline",
}  # fmt: skip
RUN = {
    "id", "kind", "store", "state", "started", "ended", "pages", "seen", "new", "changed", "aside", "calls",
    "throttled", "next_at", "message",
}  # fmt: skip
PARCEL = '{"carrier": "DHL", "tracking_number": "JD1"}'
MakeOrder = Callable[..., Order]
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # the other database answers the same


def test_a_list_shows_orders_newest_first_without_buyers(cli: Command, make_order: MakeOrder) -> None:
    numbers = [make_order().number for _ in range(3)]
    rows = cli("orders", "list", "--json").document
    assert {row["number"] for row in rows} == set(numbers)
    assert [row["placed_at"] for row in rows] == sorted((row["placed_at"] for row in rows), reverse=True)
    assert all(row.keys() == ROW and row["buyer_name"] is None for row in rows)
    assert rows[0]["placed_at"].endswith("Z")
    assert rows[0]["total"].count(".") == 1


@ON_SQLITE
def test_pages_of_a_list_follow_each_other(cli: Command, make_order: MakeOrder) -> None:
    for _ in range(5):
        make_order()
    every = [row["number"] for row in cli("--json", "orders", "list", "--limit", 0).document]
    first = [row["number"] for row in cli("orders", "list", "--json", "--limit", 2).document]
    then = [row["number"] for row in cli("orders", "list", "--json", "--limit", 2, "--after", first[-1]).document]
    assert len(every) == 5
    assert first + then == every[:4]


def test_a_list_is_of_a_store_and_a_state(cli: Command, make_order: MakeOrder, store: Store) -> None:
    order = make_order()
    with unit_of_work():
        hold(find_order(order.number or "", Actor.operator(), lock=True), "waiting", actor=Actor.operator())
    assert cli("orders", "list", "--state", "processing", "--json").document == []
    [row] = cli("orders", "list", "--store", store.name, "--state", "on_hold", "--json").document
    assert row["state"] == "on_hold"
    assert cli("orders", "list", "--store", "nowhere").code == 3
    for beyond in ("0", str(2**31), "9" * 30):
        assert cli("updates", "wait", beyond).code == 3
        assert cli("quarantine", "retry", beyond).code == 3


def test_buyers_are_revealed_when_asked_for_and_that_is_recorded(cli: Command, make_order: MakeOrder) -> None:
    order = make_order()
    name = cli("orders", "list", "--reveal", "--json").document[0]["buyer_name"]
    shown = cli("orders", "show", order.number, "--reveal", "--json").document
    assert name == shown["buyer_name"] == shown["addresses"]["delivery"]["name"]
    records = [json.loads(entry) for entry in live.connection().lrange(live.key("audit"), 0, -1)]  # type: ignore[union-attr]
    assert [record["data"]["orders"] for record in records] == [[order.id], [order.id]]
    assert records[0]["actor_kind"] == "operator"
    assert name not in cli("orders", "show", order.number).out


def test_an_order_is_shown_whole_by_either_number(
    cli: Command, make_order: MakeOrder, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "product_code", AmazonChannel.product_code)
    order = make_order(quantity=2)
    shown = cli("orders", "show", order.channel_order_number, "--json").document
    assert shown.keys() == WHOLE
    assert shown == cli("orders", "show", order.number, "--json").document
    assert shown["buyer"] is shown["addresses"] is None
    assert shown["lines"][0].keys() == LINE
    assert shown["actions"][0] == {"code": "ship", "label": "Ship", "offered": True, "why": None}
    assert [event["code"] for event in shown["timeline"]] == ["placed"]
    assert "Items" in cli("orders", "show", order.number).out


@ON_SQLITE
def test_yen_have_no_decimals_and_what_is_withheld_is_null(cli: Command, take: Callable[..., list[Order]]) -> None:
    line = incoming_line(unit_price=None, total=None, amounts=())
    yen, unsaid = take(
        incoming_order([incoming_line(price=1500)], currency="JPY", total=1500),
        incoming_order([line], currency=None, total=None),
    )
    shown = cli("orders", "show", yen.number, "--json").document
    assert (shown["total"], shown["lines"][0]["unit_price"]) == ("1500", "1500")
    assert cli("orders", "show", unsaid.number, "--json").document["total"] is None


def test_shipping_tells_what_the_channel_is_owed(
    cli: Command, make_order: MakeOrder, channel: FakeChannel, work: Callable[[], int]
) -> None:
    order = make_order(quantity=2)
    done = cli("orders", "act", order.number, "ship", "--data", PARCEL, "--json").document
    assert done.keys() == {"order", "updates", "message"}
    [update] = done["updates"]
    assert (done["order"], update["kind"], update["state"]) == (order.number, "shipment", "owed")

    shown = cli("orders", "show", order.number, "--json").document
    [package] = shown["shipments"][0]["packages"]
    assert shown["state"] == "complete"
    assert package.keys() == PACKAGE
    assert package["lines"] == {str(shown["lines"][0]["id"]): 2}
    assert shown["shipments"][0]["origin"] == "desk"
    assert shown["updates"][0].keys() == UPDATE
    assert shown["actions"][0]["why"] == "Nothing is left to ship."

    work()
    assert cli("updates", "wait", update["id"], "--until", "sent", "--seconds", 0).code == 0
    assert len(channel.told("shipment")) == 1


@ON_SQLITE
def test_canceling_and_taking_it_back(cli: Command, make_order: MakeOrder) -> None:
    order = make_order(quantity=2)
    line = cli("orders", "show", order.number, "--json").document["lines"][0]["id"]
    act = ("orders", "act", order.number, "cancel", "--data")
    assert one_sentence(cli(*act, '{"reason": "Whim"}')) == "reason: must be one of those that Fake channel accepts."
    done = cli(*act, json.dumps({"reason": "NoInventory", "lines": {str(line): 1}}), "--json").document
    [update] = done["updates"]
    assert (update["kind"], update["state"]) == ("cancel", "held")
    assert cli("orders", "show", order.number, "--json").document["state"] == "canceling"
    assert [row["number"] for row in cli("orders", "list", "--state", "canceling", "--json").document] == [order.number]
    assert cli("orders", "act", order.number, "undo_cancel").code == 0
    assert cli("orders", "show", order.number, "--json").document["state"] == "processing"


@ON_SQLITE
def test_the_same_key_answers_with_the_first_result(cli: Command, make_order: MakeOrder) -> None:
    order = make_order()
    ship = ("orders", "act", order.number, "ship", "--data", PARCEL, "--key", "k1", "--json")
    first, second = cli(*ship), cli(*ship)
    assert first.document == second.document
    other = cli("orders", "act", order.number, "comment", "--data", '{"text": "a"}', "--key", "k1")
    assert (other.code, one_sentence(other)) == (1, "This key was used for another act already. Send a new one.")


@ON_SQLITE
def test_comments_are_told_and_named(cli: Command, make_order: MakeOrder, mia: Actor) -> None:
    order = make_order()
    said = cli("orders", "act", order.number, "comment", "--data", '{"text": "Fragile"}', "--as", "mia@desk.test")
    assert said.code == 0
    [hidden] = cli("orders", "show", order.number, "--json").document["comments"]
    assert hidden["text"] is None
    assert "shown with --reveal" in cli("orders", "show", order.number).out
    [comment] = cli("orders", "show", order.number, "--reveal", "--json").document["comments"]
    assert comment["text"] == "Fragile"
    assert comment["by"] == {"kind": "person", "id": mia.id, "name": "Mia"}


@ON_SQLITE
def test_every_act_goes_through_the_same_command(cli: Command, make_order: MakeOrder, mia: Actor) -> None:
    order = make_order()
    acts = (
        ("hold", {"reason": "Ask Mrs. Quixelworth", "until": "2031-01-01"}),
        ("release", {}),
        ("assign", {"assignee": "mia@desk.test"}),
        ("tag", {"new": "gift"}),
        ("due", {"due": "2031-01-01T10:00:00Z"}),
        ("address", {"name": "J", "line1": "1 Way", "city": "Berlin", "postal_code": "10115", "country": "DE"}),
    )
    for action, data in acts:
        done = cli("orders", "act", order.number, action, "--data", json.dumps(data))
        assert (done.code, done.err) == (0, ""), action
    shown = cli("orders", "show", order.number, "--json").document
    assert (shown["assignee"], shown["tags"], shown["due_at"]) == ("Mia", ["gift"], "2031-01-01T10:00:00Z")
    assert [entry["text"] for entry in shown["timeline"]][1:4] == [
        "Due 2031-01-01T10:00:00Z",
        "Tagged: gift",
        "Assigned to Mia",
    ]
    assert shown["holds"][0]["reason"] is shown["addresses"] is None
    revealed = cli("orders", "show", order.number, "--json", "--reveal").document
    assert revealed["holds"][0]["reason"] == "Ask Mrs. Quixelworth"
    assert (revealed["addresses"]["delivery"]["line1"], revealed["addresses"]["channel"]["line1"]) == (
        "1 Way",
        "7 Zanzibar Mews",
    )
    text = cli("orders", "show", order.number).out
    assert "Quixelworth" not in text
    refused = cli("orders", "act", order.number, "archive")
    assert (refused.code, one_sentence(refused).startswith("This order is still open.")) == (1, True)


@ON_SQLITE
def test_a_list_is_asked_as_the_search_box_is(cli: Command, make_order: MakeOrder) -> None:
    order = make_order()
    cli("orders", "act", order.number, "tag", "--data", '{"new": "gift"}')
    make_order()
    [row] = cli("orders", "list", "--query", "tag:gift", "--json").document
    assert (row["number"], row["tags"]) == (order.number, ["gift"])
    wrong = cli("orders", "list", "--query", "colour:red")
    assert (wrong.code, "colour" in one_sentence(wrong)) == (1, True)


@ON_SQLITE
def test_a_whole_list_is_read_in_parts(
    cli: Command, take: Callable[..., list[Order]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from webapp.cli import door, orders

    for module in (door, orders):
        monkeypatch.setattr(module, "PART", 2)
    assert cli("orders", "list", "--limit", 0, "--json").document == []
    assert cli("orders", "list", "--limit", 0).out == "No order.\n"
    take(*(incoming_order() for _ in range(5)))
    every = cli("orders", "list", "--limit", 0, "--json").document
    assert len({row["number"] for row in every}) == 5
    assert len(cli("orders", "list", "--limit", 3, "--json").document) == 3
    assert cli("orders", "list", "--limit", 0).out.count("CHANNEL ORDER NUMBER") == 3


@ON_SQLITE
@pytest.mark.parametrize(
    ("data", "code", "sentence"),
    [
        ("{", 2, "--data must be a JSON object"),
        ("[]", 2, "--data must be a JSON object"),
        ('{"x": 1}', 1, "x: is not known here"),
        ('{"carrier": "DHL", "tracking_number": ""}', 1, "A tracking number is needed"),
        ('{"carrier": "Pigeon", "tracking_number": "1"}', 1, "“Pigeon” is no carrier"),
        ('{"packages": []}', 1, "needs at least one"),
        ('{"carrier": "DHL", "tracking_number": "1", "lines": {"999": 1}}', 1, "Line 999 is not on this order"),
        ('{"carrier": "DHL", "tracking_number": "1", "ship_date": "soon"}', 1, "must be a date and time"),
    ],
)
def test_bad_input_ships_nothing(cli: Command, make_order: MakeOrder, data: str, code: int, sentence: str) -> None:
    order = make_order()
    ended = cli("orders", "act", order.number, "ship", "--data", data, "--json")
    assert ended.code == code
    assert sentence in one_sentence(ended)
    assert cli("orders", "show", order.number, "--json").document["shipments"] == []


@ON_SQLITE
def test_too_many_units_are_refused(cli: Command, make_order: MakeOrder) -> None:
    order = make_order(quantity=2)
    line = cli("orders", "show", order.number, "--json").document["lines"][0]["id"]
    data = json.dumps({"carrier": "DHL", "tracking_number": "1", "lines": {line: 3}})
    ended = cli("orders", "act", order.number, "ship", "--data", data)
    assert (ended.code, one_sentence(ended)) == (1, "Only 2 of MUG are left to ship.")


@ON_SQLITE
@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["orders", "show", "nothing"], 3, "Nothing here goes by “nothing”."),
        (["orders", "list", "--state", "lost"], 2, "is not one of 'pending'"),
        (["orders", "list", "--limit", "-1"], 2, "Invalid value for '--limit'"),
        (["orders", "list", "--as", "nobody@desk.test"], 3, "Nothing here goes by “nobody@desk.test”."),
        (["orders", "list", "--wrong"], 2, "No such option '--wrong'"),
        (["dance"], 2, "No such command 'dance'"),
        (["updates", "wait", "77"], 3, "Nothing here goes by “77”."),
        (["quarantine", "retry"], 2, "Name the orders by their ids, or say --all."),
        (["quarantine", "retry", "77"], 3, "Nothing here goes by “77”."),
        (["user", "create", "--email", "a@desk.test", "--role", "king"], 1, "Role: must be one of: owner, manager"),
        (["user", "create", "--email", "a", "--role", "clerk"], 1, "E-mail: this is no e-mail address."),
        (["user", "link", "--email", "nobody@desk.test"], 3, "Nothing here goes by “nobody@desk.test”."),
        (["store", "add", "nowhere", "--name", "x"], 3, "Nothing here goes by “nowhere”."),
        (["store", "add", "fake", "--name", "x", "--set", "key"], 2, "A setting is given as NAME=VALUE."),
        (["store", "add", "fake", "--name", "x", "--set", "colour=red"], 1, "colour: is no setting here"),
        (["store", "add", "fake", "--name", "x"], 1, "is needed."),
        (["store", "add", "fake", "--name", "Fake store", "--set", "key=k"], 1, "Name: is taken"),
        (["store", "test", "77"], 3, "Nothing here goes by “77”."),
        (["sync", "77"], 3, "Nothing here goes by “77”."),
    ],
)
def test_what_cannot_be_is_one_sentence_and_a_code(
    cli: Command, store: Store, arguments: list[str], code: int, sentence: str
) -> None:
    ended = cli(*arguments)
    assert ended.code == code
    assert sentence in one_sentence(ended)


@ON_SQLITE
def test_a_number_that_fits_several_orders_names_the_choice(
    cli: Command, store: Store, channel: FakeChannel, work: Callable[[], int]
) -> None:
    other = cli("store", "add", "fake", "--name", "Other", "--set", "key=k", "--json").document["id"]
    order = incoming_order()
    channel.offer(order)
    for store_id in (store.id, other):
        cli("sync", store_id)
    work()
    ended = cli("orders", "show", order.number)
    assert ended.code == 4
    for row in cli("orders", "list", "--json").document:
        assert row["number"] in one_sentence(ended)
        assert cli("orders", "show", row["number"]).code == 0


@ON_SQLITE
def test_rights_hold_for_who_acts(cli: Command, make_order: MakeOrder, make_user: Callable[..., Actor]) -> None:
    order = make_order()
    make_user("read_only", "Rae")
    ship = cli("orders", "act", order.number, "ship", "--data", PARCEL, "--as", "rae@desk.test")
    assert (ship.code, one_sentence(ship)) == (1, "You don't have the right to do this (ship orders).")
    assert cli("orders", "list", "--reveal", "--as", "rae@desk.test").code == 1
    assert cli("orders", "show", order.number, "--as", "rae@desk.test", "--json").document["actions"] == []


@ON_SQLITE
def test_people_are_added_and_let_in(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cli("user", "link", "--json").document
    assert first["url"].startswith("http://127.0.0.1:8000/")
    monkeypatch.setattr("sys.stdin", io.StringIO("Correct-Horse-7-Battery\n"))
    made = cli("user", "create", "--email", "Olga@desk.test", "--role", "owner", "--password-stdin", "--json").document
    assert (made["email"], made["role"]) == ("Olga@desk.test", "owner")
    assert cli("user", "link", "--email", "olga@desk.test").out.startswith("http://127.0.0.1:8000/")
    added = cli("user", "create", "--email", "rae@desk.test", "--role", "clerk")
    assert added.out.splitlines()[-1].startswith("http://127.0.0.1:8000/")
    assert made["url"] is None
    assert cli("user", "link").code == 1  # there is an owner now


def test_a_test_of_a_store_names_what_it_looked_at(
    cli: Command, store: Store, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Check(name="buyers", label="Names of buyers", ok=False, sentence="The role “Tax” is missing.")
    asked = Connection(channel.marketplaces, checks=[missing])
    monkeypatch.setattr(FakeChannel, "test", lambda self, store: asked, raising=False)
    said = cli("store", "test", store.name, "--json").document
    assert said["checks"] == [{"name": "buyers", "ok": False, "sentence": "The role “Tax” is missing."}]
    assert "NO  Names of buyers: The role “Tax” is missing." in cli("store", "test", store.name).out


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
    assert told() == (None, "Fake answered in a way the desk can't use: HTTP 503", [], False)
    read(Denied(channel="Fake", problem="no role", name="search"))
    assert told() == (None, "Fake denies the desk this: no role", ["search"], False)
    read(Disconnected(channel="Fake", problem="gone"))
    gone = "Fake refuses the desk's credentials: gone"
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
    assert (ended["state"], ended["message"]) == ("failed", "Fake refuses the desk's credentials: gone")


def test_updates_are_waited_for_and_sent_again(
    cli: Command, make_order: MakeOrder, channel: FakeChannel, work: Callable[[], int]
) -> None:
    order = make_order()
    channel.outcomes.append(Refused("The channel says no."))
    [update] = cli("orders", "act", order.number, "ship", "--data", PARCEL, "--json").document["updates"]
    early = cli("updates", "wait", update["id"], "--seconds", 0)
    assert (early.code, early.err) == (5, "The update was still owed after 0 seconds.\n")
    work()
    refused = cli("updates", "wait", update["id"])
    assert (refused.code, refused.err) == (1, "The update is refused: The channel says no.\n")
    assert cli("updates", "list", "--order", order.number, "--state", "effective", "--json").document == []
    [again] = cli("updates", "retry", update["id"], "--json").document
    assert again["state"] == "owed"
    twice = cli("updates", "retry", update["id"])
    assert (twice.code, "nothing to send again" in twice.err) == (1, True)
    early = cli("updates", "close", update["id"])
    assert (early.code, "nothing to close" in early.err) == (1, True)
    channel.outcomes.append(Refused("The channel says no."))
    work()
    [closed] = cli("updates", "close", update["id"], "--json").document
    assert (closed["state"], closed["message"]) == ("withdrawn", "The channel says no.")


def test_an_update_is_shown_with_its_steps_and_what_can_be_decided(
    cli: Command, make_order: MakeOrder, channel: FakeChannel, work: Callable[[], int]
) -> None:
    order = make_order()
    channel.outcomes.append(Unknown())
    [update] = cli("orders", "act", order.number, "ship", "--data", PARCEL, "--json").document["updates"]
    shown = cli("updates", "show", update["id"], "--json").document
    assert shown.keys() == UPDATE | {"store", "created_at", "goes_at", "refused_at", "can"}
    assert (shown["state"], shown["goes_at"], shown["can"]) == ("owed", None, ["undo"])
    work()
    shown = cli("updates", "show", update["id"])
    assert "retry, confirm, close" in shown.out
    both = cli("updates", "close", update["id"], "--happened", "--did-not")
    assert (both.code, "not both" in both.err) == (2, True)
    [closed] = cli("updates", "close", update["id"], "--did-not", "--json").document
    assert closed["state"] == "withdrawn"
    assert cli("updates", "show", 77).code == 3


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
    assert "must be at most" in cli("store", "set", "Fake store", "--set", "erase_buyers_after_days=9999").err
    cli("store", "set", "Fake store", "--set", "erase_buyers_after_days=30")
    begun = cli("store", "erase", "Fake store", "--json")
    assert begun.document["run"] is not None
    work()
    assert erased([order_id]) == {order_id}
    assert "days" in cli("store", "erase", "Fake store").out


def test_quarantined_orders_are_listed_and_tried_again(
    cli: Command, store: Store, work: Callable[[], int], channel: FakeChannel
) -> None:
    order = incoming_order()
    channel.offer(UnreadableOrder(order.number, "total", "no number", {}))
    cli("sync", store.id)
    work()
    [quarantined] = cli("quarantine", "list", "--store", store.id, "--json").document
    assert (quarantined["number"], quarantined["field"], quarantined["problem"]) == (order.number, "total", "no number")
    channel.offer(order)
    assert cli("quarantine", "retry", "--all").code == 0
    work()
    assert cli("quarantine", "list", "--json").document == []
    assert cli("orders", "show", order.number).code == 0


def test_calls_are_listed_and_tried_again(
    cli: Command, store: Store, work: Callable[[], int], channel: FakeChannel, make_order: Callable[..., Order]
) -> None:
    order = make_order()
    channel.offer(incoming_order())
    channel.failures.append(ChannelError(channel="Fake", problem="a web page"))
    cli("sync", store.id)
    work()
    [failed] = cli("calls", "list", "--failed", "--store", store.id, "--json").document
    assert (failed["operation"], failed["outcome"], failed["code"]) == ("orders", "failed", "channel_failed")
    assert failed["message"].startswith("Fake channel answered in a way the desk can't use")
    assert (failed["order"], failed["status"], failed["tries"]) == (None, None, 1)
    jobs.fetch_order(store.id, order.channel_order_number)
    [single] = cli("calls", "list", "--order", order.number, "--json").document
    assert (single["order"], single["status"], single["outcome"]) == (order.number, 200, "ok")
    assert "channel_failed" in cli("calls", "list").out
    assert "The store is being read." in cli("calls", "retry", failed["id"]).out
    assert cli("calls", "retry", single["id"]).code != 0
    assert cli("calls", "retry", 99999).code == 3


def test_commands_of_the_version_before_are_understood(cli: Command) -> None:
    assert cli("asides", "list", "--json").document == []
    assert "asides" not in cli("--help").out


@ON_SQLITE
def test_status_names_a_lane_that_fails_and_why(cli: Command, store: Store) -> None:
    class Letters:
        @hookimpl
        def register_streams(self) -> list[Stream]:
            return [Stream("letters", lane="letters", label="Letters", fetch=print, take_in=print)]

    assert "Also read" not in cli("status").out
    hooks.manager.register(Letters(), name="letters")
    with unit_of_work():
        held = runs.lease_lane(store.id, "worker", "letters")
        assert held is not None
        runs.fail(*held, ChannelError(channel="Mail", problem="HTTP 503"))
    told = cli("status").out
    assert "Also read" in told
    assert "Mail answered in a way the desk can't use" in told
    [run] = cli("runs", "list", "--json").document
    assert (run["kind"], run["store"], run["state"], run["next_at"]) == ("stream", store.name, "failed", None)


def test_status_counts_what_is_owed(cli: Command, make_order: MakeOrder) -> None:
    cli("orders", "act", make_order().number, "ship", "--data", PARCEL)
    told = cli("status", "--json").document
    assert told["updates"]["owed"] == 1
    assert told["backlog"].keys() == {"now", "channel", "clock"}
    assert told["backlog"]["channel"]["waiting"] == 1
    assert "owed: 1" in cli("status").out


def test_check_masks_secrets_and_asks_for_a_copy_of_the_keys(cli: Command, make_order: MakeOrder) -> None:
    make_order()
    before = cli("check", "--json")
    assert before.code == 0
    assert {one["name"]: one["ok"] for one in before.document["checks"]} == dict.fromkeys(
        ("database", "queue", "keys", "plugins", "disk"), True
    )
    assert any("No copy of the key file" in warning for warning in before.document["warnings"])
    after = cli("check", "--key-copied", "--json").document
    assert not any("No copy of the key file" in warning for warning in after["warnings"])
    assert len(after["backup"]) == (3 if configuration().secret.get_secret_value() else 2)


def test_check_warns_of_a_queue_that_forgets(cli: Command) -> None:
    def warned() -> list[str]:
        return [told for told in cli("check", "--json").document["warnings"] if "The queue" in told]

    before = connection().config_get("maxmemory-policy")["maxmemory-policy"]
    assert not any("maxmemory-policy" in told for told in warned())
    connection().config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert any("maxmemory-policy is allkeys-lru" in told for told in warned())
    finally:
        connection().config_set("maxmemory-policy", before)


@ON_SQLITE
def test_check_names_what_other_users_could_read(cli: Command) -> None:
    def warned() -> list[str]:
        return [text for text in cli("check", "--json").document["warnings"] if "other users" in text]

    for path in configuration().data_dir.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert warned() == []
    configuration().keys.chmod(0o640)
    [warning] = warned()
    assert str(configuration().keys) in warning


class Greeting:
    """A plugin with a command of its own."""

    @hookimpl
    def register_commands(self, cli: click.Group) -> None:
        cli.add_command(click.Command("greet", callback=lambda: click.echo("Hello."), help="Say hello."))


@ON_SQLITE
def test_plugins_add_commands(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "commands", {})
    monkeypatch.setattr(tree, "_plugins_asked", False)
    hooks.manager.register(Greeting())
    assert cli("greet").out == "Hello.\n"
    assert "greet" in cli("--help").out


def test_stores_are_shown_to_those_who_work_for_their_shops(cli: Command, store: Store, mia: Actor) -> None:
    for shop_id, shown in ((store.shop_id, [store.name]), (store.shop_id + 1, [])):
        with unit_of_work():
            people.change_shops(mia.id or 0, [shop_id], actor=Actor.operator())
        found = cli("store", "list", "--as", "mia@desk.test", "--json").document
        assert [row["name"] for row in found] == shown
        assert [row["name"] for row in cli("status", "--as", "mia@desk.test", "--json").document["stores"]] == shown


def test_actions_say_what_they_take(cli: Command, make_order: MakeOrder) -> None:
    order = make_order(quantity=2)
    told = {one["code"]: one for one in cli("orders", "actions", order.number, "--json").document}
    assert told["ship"]["why_not"] is None
    assert told["release"]["why_not"] == "This order is not on hold."
    parcel = told["ship"]["input"]["$defs"]["PackageFields"]["properties"]
    assert (parcel["carrier"]["title"], parcel["tracking_number"]["title"]) == ("Carrier", "Tracking number")
    assert "DHL" in [choice["value"] for choice in parcel["carrier"]["choices"]]
    assert told["hold"]["input"]["required"] == ["reason"]
    many = {one["code"]: one for one in cli("orders", "actions", "--json").document}
    assert "why_not" not in many["ship"]
    assert "choices" not in many["ship"]["input"]["$defs"]["PackageFields"]["properties"]["carrier"]
    assert "Hold" in cli("orders", "actions").out


class Formless(OrderAction):
    code, label, right = "formless", "Formless", "orders.ship"

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return None

    def perform(self, order: Order, data: Any, actor: Actor) -> None:
        raise AssertionError("nobody does it")

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        raise KeyError("Quixelworth")


class FormlessPlugin:
    @hookimpl
    def register_order_actions(self) -> list[OrderAction]:
        return [Formless()]


def test_actions_go_on_past_one_whose_form_fails(cli: Command, app: object, plugin_failures: list[Failure]) -> None:
    hooks.manager.register(FormlessPlugin(), name="odd")
    ended = cli("orders", "actions", "--json")
    told = {one["code"]: one for one in ended.document}
    assert (ended.code, "“Formless” of the plugin “odd” failed" in ended.err) == (1, True)
    assert (told["formless"]["input"], told["hold"]["input"]["required"]) == (None, ["reason"])
    plugin_failures.clear()


def test_all_that_is_wrong_with_an_input_is_said_at_once(cli: Command, make_order: MakeOrder) -> None:
    given = '{"packages": [{"carrier": 7}, {"lines": {"x": 1}, "odd": 1}], "ship_anyway": "perhaps"}'
    refused = cli("orders", "act", make_order().number, "ship", "--data", given)
    assert refused.code == 1
    for said in (
        "packages.0.carrier: must be text.",
        "packages.1.odd: is not known here.",
        "ship_anyway: must be yes or no.",
    ):
        assert said in refused.err
