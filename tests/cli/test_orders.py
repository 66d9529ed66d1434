"""Orders from the command line: lists and single orders as documents whose keys stay, buyers only when asked for."""

import json
from collections.abc import Callable

import pytest

from plugins.amazon.channel import AmazonChannel
from tests.cli.conftest import ON_SQLITE, Command, MakeOrder, one_sentence
from webapp import live
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.db import unit_of_work
from webapp.orders.holds import hold
from webapp.orders.models import Order
from webapp.orders.queries import find_order
from webapp.testing import FakeChannel, incoming_line, incoming_order

ROW = {
    "id", "number", "channel_order_number", "store_id", "store", "shop", "marketplace", "fulfilled_by", "state",
    "channel_status", "placed_at", "updated_at", "ship_by", "deliver_by", "currency", "total", "items", "unshipped",
    "flags", "attention", "buyer_name", "status", "assignee", "due_at", "tags", "country", "archived_at",
}  # fmt: skip
WHOLE = ROW | {
    "version", "amounts", "residual", "lines", "shipments", "updates", "holds", "comments", "buyer", "addresses",
    "actions", "timeline", "troubles", "invoices", "credit_memos", "refundable", "returns",
}  # fmt: skip
LINE = {
    "id", "channel_line_id", "sku", "asin", "title", "ordered", "canceled", "shipped", "invoiced", "invoiceable",
    "refunded", "returned", "returnable", "open", "unit_price", "total", "problems",
}  # fmt: skip


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
    link = f"https://market.test/orders-v3/order/{order.channel_order_number}"
    for number in (order.number.lstrip("0"), f"No. {order.number}", link):
        assert shown == cli("orders", "show", number, "--json").document


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
