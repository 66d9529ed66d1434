"""What a channel declares about its orders: its own product code, and its flags; with two channels side by side."""

import csv
import io
from collections.abc import Callable
from types import MethodType
from typing import Any

import pytest
from flask import Flask

from tests.cli.conftest import Command
from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.contract import Channel, Flag, ProductCode
from webapp.channels.incoming import OrdersPage
from webapp.channels.models import Store
from webapp.channels.registered import OF_LINES, channels
from webapp.channels.services import access, add_store, remember_marketplaces
from webapp.cli.presenting import order_line
from webapp.clock import iso, now
from webapp.db import db, unit_of_work
from webapp.hooks import hooks
from webapp.hooks.failures import Failure
from webapp.hooks.registered import faults_of, owner_of
from webapp.lists import exporting
from webapp.lists.listing import list_page
from webapp.lists.saved_views import save_view
from webapp.orders.badges import Badges, badges
from webapp.orders.line_rows import LINES
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.registrations import check_all
from webapp.search.compiling import compile_query
from webapp.search.query import QueryMistake, parse
from webapp.search.registered import query_keys, word_sources
from webapp.sync.taking_in.pages import prepare, take_in
from webapp.testing import FakeChannel, FakeChannelPlugin, incoming_line, incoming_order
from webapp.ui.orders.timeline import value_of

EAN = ProductCode("ean", "EAN")
COLD = Flag(code="keep_cool", label="Keep cool", help="%(channel)s asks for ice.", icon="package", tone="info")
COLLECTED = Flag(code="collected", label="Collected", key=False)
OWN_LABEL = Flag(code="label_required", label="Our label", key=False, row=False)


class Grocer(FakeChannel):
    code, label = "grocer", "Grocer"
    product_code, flags = EAN, (COLD, COLLECTED, OWN_LABEL)


class Dairy(FakeChannel):
    """A channel with the product code of the other, and with a flag of the same code under another label."""

    code, label = "dairy", "Dairy"
    product_code, flags = EAN, (Flag(code="keep_cool", label="Below 7 °C"),)


class Books(FakeChannel):
    code, label = "books", "Books"
    product_code = ProductCode("isbn", "ISBN")


Placed = Callable[..., Order]


@pytest.fixture
def placed(app: Flask) -> Placed:
    """Import an order into a store of a channel; the first call connects the store."""
    known: dict[str, Store] = {}

    def take(channel: FakeChannel, product_code: str = "", **more: Any) -> Order:
        if channel.code not in known:
            if channel.code not in channels():
                hooks.manager.register(FakeChannelPlugin(channel), name=channel.code)
            with unit_of_work():
                store = add_store(channel.code, channel.code, {"key": "k-secret-9"}, actor=Actor.operator())
                remember_marketplaces(store, channel.connect(access(store)))
            known[channel.code] = store
        told = incoming_order([incoming_line("MUG", product_code=product_code)], **more)
        ready = prepare(known[channel.code], OrdersPage([told]))
        with unit_of_work():
            take_in(known[channel.code], ready)
        return db.session.query(Order).filter_by(channel_order_number=told.number).one()

    return take


@pytest.fixture
def find(mia: Actor) -> Callable[[str], set[int]]:
    """Find the ids of the orders that match a query."""
    return lambda text: {order.id for order in list_page(ORDER_LIST, mia, compile_query(parse(text), mia)).rows}


def test_each_product_code_has_its_key_among_the_orders_of_its_channels(
    placed: Placed, find: Callable[[str], set[int]]
) -> None:
    cream, milk = placed(Grocer(), "4006381"), placed(Dairy(), "4006382")
    novel, plain = placed(Books(), "4006381"), placed(FakeChannel(), "4006381")

    assert find("ean:4006381") == {cream.id}
    assert find("ean:400638*") == {cream.id, milk.id}
    assert find("isbn:4006381") == {novel.id}
    assert find("asin:4006381") == set()
    assert find("4006381") == {cream.id, novel.id, plain.id}
    assert [code for code in query_keys() if code in ("sku", "asin", "ean", "isbn", "title")] == [
        "sku", "asin", "ean", "isbn", "title",
    ]  # fmt: skip
    assert str(word_sources()["listing"].label) == "SKU, ASIN, EAN, ISBN, title"


def test_a_flag_gives_badge_key_word_and_row_in_the_words_of_its_channel(
    placed: Placed,
    find: Callable[[str], set[int]],
    browser: Browser,
) -> None:
    cream = placed(Grocer(), flags=("keep_cool", "label_required"))
    milk = placed(Dairy(), flags=("keep_cool",))
    plain = placed(FakeChannel(), flags=("label_required",))

    shown = Badges().of_all([cream, milk, plain])
    assert [(label.text, label.tone, label.icon, label.title) for label in shown[cream.id]] == [
        ("Keep cool", "info", "package", "Grocer asks for ice."), ("Our label", "calm", "", ""),
    ]  # fmt: skip
    assert [label.text for label in shown[milk.id]] == ["Below 7 °C"]
    assert [label.text for label in shown[plain.id]] == ["Label required"]
    assert find("keep-cool:yes") == {cream.id, milk.id}
    assert find("keep-cool:no") == {plain.id}
    assert (str(query_keys()["keep-cool"].label), str(query_keys()["keep-cool"].help)) == (
        "Keep cool",
        "Grocer asks for ice.",
    )
    assert "collected" not in query_keys()
    assert value_of(cream, "flags", ["keep_cool", "gift", "odd"]) == "Keep cool, Gift, odd"
    assert value_of(milk, "flags", ["keep_cool"]) == "Below 7 °C"
    page = browser.get(f"/orders/{cream.number}?tab=channel").text
    assert "<dt>Keep cool</dt><dd>Yes</dd><dt>Collected</dt><dd>No</dd>" in page
    assert "<dt>Our label</dt>" not in page
    assert "<dt>Keep cool</dt>" not in browser.get(f"/orders/{plain.number}?tab=channel").text


def test_lines_name_the_code_as_their_channel_does(
    placed: Placed,
    browser: Browser,
    cli: Command,
) -> None:
    for order, name, label in (
        (placed(Grocer(), "4006381"), "ean", "EAN"),
        (placed(FakeChannel(), "4006381"), "product_code", "Product code"),
    ):
        for place in ("", "?tab=channel", f"?at={iso(now())}"):
            assert f'{label} <span class="code">4006381</span>' in browser.get(f"/orders/{order.number}{place}").text
        [line] = cli("--json", "orders", "show", order.number).document["lines"]
        assert line[name] == "4006381"
        assert line.keys() - {name} == OF_LINES


def test_a_name_that_lines_have_already_is_not_taken(placed: Placed) -> None:
    assert order_line(placed(Grocer()).lines[0], "ean").keys() - {"ean"} == OF_LINES


@pytest.mark.parametrize(
    ("used", "heading"),
    [
        ([FakeChannel], "Product code"),
        ([Grocer], "EAN"),
        ([Grocer, Dairy], "EAN"),
        ([Grocer, FakeChannel], "EAN"),  # which declares no product code
        ([Grocer, Books], "Product code"),
    ],
)
def test_exports_have_one_column_under_the_name_on_which_the_stores_channels_agree(
    placed: Placed,
    olga: Actor,
    used: list[type[FakeChannel]],
    heading: str,
) -> None:
    ids = [placed(kind(), "4006381").id for kind in used]

    table = exporting.Table(ORDER_LIST, olga, LINES.code, [])
    head, *rows = csv.reader(io.StringIO("".join(exporting.stream_csv(table, ids))))

    at = head.index(heading)
    assert head[at - 1 : at + 2] == ["SKU", heading, "Title"]
    assert [row[at] for row in rows] == ["4006381"] * len(used)


def test_what_follows_from_a_channel_is_its_plugins(placed: Placed) -> None:
    assert owner_of(badges()["prime"]) == owner_of(query_keys()["asin"]) == "amazon"
    placed(Grocer())
    assert owner_of(badges()["keep_cool"]) == owner_of(query_keys()["ean"]) == "grocer"


def test_views_and_orders_of_a_channel_that_was_taken_away_are_still_there(
    placed: Placed,
    browser: Browser,
    olga: Actor,
    find: Callable[[str], set[int]],
) -> None:
    order = placed(Grocer(), "4006381", flags=("keep_cool",))
    with unit_of_work():
        [code, flag] = [
            save_view(name, parse(query), actor=olga).id
            for name, query in (("Cream", "ean:4006381 state:open"), ("Ice", "keep-cool:yes"))
        ]
    hooks.manager.unregister(name="grocer")

    assert browser.get("/orders/views/").status_code == 200
    for view in (code, flag):
        assert "Cream" in browser.get(f"/orders/?view={view}").text
    with pytest.raises(QueryMistake):
        find("ean:4006381")
    assert find("sku:MUG") == {order.id}
    page = browser.get(f"/orders/{order.number}").text
    assert 'Product code <span class="code">4006381</span>' in page
    assert "Keep cool" in page
    hooks.manager.register(FakeChannelPlugin(Grocer()), name="grocer")
    assert find("ean:4006381") == find("keep-cool:yes") == {order.id}


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"product_code": "ean"}, "gave “str” where “ProductCode” is needed"),
    ({"product_code": ProductCode("EAN-13", "EAN")}, "a code is small letters, digits and _, and begins with a letter"),
    ({"product_code": ProductCode("sku", "SKU")}, "a line has sku already"),
    ({"product_code": ProductCode("ean", "")}, "the label of ean is empty"),
    ({"product_code": ProductCode("ean", 7)}, "gave “int” where “str” is needed"),  # type: ignore[arg-type]
    ({"flags": None}, "gave nothing where “Sequence” is needed"),
    ({"flags": ["cold"]}, "gave “str” where “Flag” is needed"),
    ({"flags": (COLD, COLD)}, "the flag keep_cool is there already"),
    ({"flags": (Flag(code="", label="Cold"),)}, "a code is small letters, digits and _, and begins with a letter"),
    ({"refund_plan": MethodType(Channel.refund_plan, "none")}, "it carries the kind refund, and has no refund_plan"),
    (
        {"has_transactions": True, "fetch_transactions": MethodType(Channel.fetch_transactions, "none")},
        "it has_transactions, and has no fetch_transactions",
    ),
]


@pytest.mark.parametrize(("declared", "why"), BROKEN)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_broken_declaration_leaves_the_channel_out_by_name(
    app: Flask, plugin_failures: list[Failure], declared: dict[str, Any], why: str
) -> None:
    broken = Grocer()
    vars(broken).update(declared)
    hooks.manager.register(FakeChannelPlugin(broken), name="broken")
    check_all(app)

    assert faults_of("broken") == [f"register_channels: {why}"]
    assert "grocer" not in channels()
    assert "keep_cool" not in badges()
    assert "ean" not in query_keys()
    plugin_failures.clear()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_the_desk_has_stays_the_desks(app: Flask) -> None:
    """A key of the desk is not replaced by one derived from a channel."""
    state, country = query_keys()["state"], query_keys()["country"]
    odd = Grocer()
    vars(odd).update(product_code=ProductCode("country", "Country code"), flags=(Flag(code="state", label="S"),))
    hooks.manager.register(FakeChannelPlugin(odd), name="odd")

    assert (query_keys()["state"], query_keys()["country"]) == (state, country)
    assert faults_of("odd") == []
