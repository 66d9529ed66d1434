"""The list of shipments: packages of all orders, found by what finds their orders and by what is their own."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, IncomingPackage
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, Invalid
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.models import Package
from webapp.fulfillment.services import ship_order
from webapp.fulfillment.shipment_list import SHIPMENT_LIST, SHIPMENTS, SHIPPED
from webapp.lists.exporting import Table, as_csv, ids_of
from webapp.lists.listing import count_rows, list_page, matching_ids
from webapp.lists.rows import read_rows, values_of
from webapp.lists.saved_views import change_view, list_state, save_view
from webapp.orders.models import Order
from webapp.orders.queries import find_order
from webapp.search.compiling import compile_query
from webapp.search.contract import ORDERS, KeyKind
from webapp.search.query import QueryMistake, parse
from webapp.search.registered import choices_of, filter_keys, list_columns, query_keys
from webapp.testing import FakeChannel, incoming_line, incoming_order
from webapp.updates.models import ChannelUpdate

Take = Callable[..., list[Order]]
TANAKA = {"name": "Bo Tanaka"}
DAY = datetime(2026, 11, 10, 9, tzinfo=UTC)


@pytest.fixture
def parcels(take: Take, channel: FakeChannel, mia: Actor) -> list[int]:
    """Two packages of one order that left from the desk, and one that was read from the channel; ids, oldest first."""
    line = incoming_line("CUP", 1, fulfilled=1)
    there = IncomingPackage("1", {line.number: 1}, "DHL", tracking_number="JD0009", shipped_at=DAY, status="IN_TRANSIT")
    desk, _elsewhere = take(
        incoming_order([incoming_line("MUG", 10)]),
        incoming_order(
            [line], stage=ChannelStage.SHIPPED, status="SHIPPED", packages=(there,), buyer={"name": "Bo Tanaka"}
        ),
    )
    for units, number in ((4, "JD0001"), (6, "JD0002")):
        with unit_of_work():
            order = find_order(str(desk.number), mia, lock=True)
            ship_order(order, [PackageInput("DHL", number, lines={order.lines[0].id: units})], actor=mia)
    return list(db.session.scalars(matching_ids(SHIPMENT_LIST, mia, sort="shipped")))


def found(text: str, actor: Actor) -> list[str]:
    """Tracking numbers of the packages that a query finds, newest first."""
    asked = compile_query(parse(text, SHIPMENTS), actor)
    rows = list_page(SHIPMENT_LIST, actor, asked).rows
    assert count_rows(SHIPMENT_LIST, actor, asked) == (len(rows), False)
    assert list(db.session.scalars(matching_ids(SHIPMENT_LIST, actor, asked))) == [row.id for row in rows]
    return [row.tracking_number for row in rows]


def said(code: str, ids: list[int], actor: Actor) -> list[object]:
    column = list_columns(SHIPMENTS)[code]
    values = values_of(column, read_rows(SHIPMENT_LIST, actor, ids, [column]), actor)
    return [values.get(id_) for id_ in ids]


def test_each_package_says_what_is_its_own_and_what_its_order_is(
    parcels: list[int], mia: Actor, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "package_status_label", {"IN_TRANSIT": "On its way"}.__getitem__)
    assert said("package", parcels, mia) == [1, 1, 2]
    assert said("tracking", parcels, mia) == ["JD0009", "JD0001", "JD0002"]
    assert said("units", parcels, mia) == [1, 4, 6]
    assert said("carrier", parcels, mia) == ["DHL", "DHL", "DHL"]
    assert [len(set(map(str, said(code, parcels, mia)))) for code in ("number", "channel_number")] == [2, 2]
    assert said("buyer", parcels, mia)[1:] == ["Jane Quixelworth"] * 2
    states = [[label.text for label in labels] for labels in said("at_channel", parcels, mia)]  # type: ignore[attr-defined]
    assert states == [["Shipped elsewhere", "On its way"], ["Queued"], ["Queued"]]
    with unit_of_work():
        db.session.query(ChannelUpdate).filter_by(reference="2").update({"state": "effective"})
    assert [label.text for label in said("at_channel", parcels, mia)[2]] == ["Confirmed"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", ["JD0002", "JD0001", "JD0009"]),
        ("quixelworth", ["JD0002", "JD0001"]),
        ("JD0001", ["JD0002", "JD0001"]),  # what finds an order finds its packages
        ("tracking:JD0001", ["JD0001"]),
        ('tracking:"jd 00 01"', ["JD0001"]),  # with the spaces of its label
        ('tracking:"JD 00*"', ["JD0002", "JD0001", "JD0009"]),
        ("tracking:JD00*", ["JD0002", "JD0001", "JD0009"]),
        ("-tracking:jd0001", ["JD0002", "JD0009"]),
        ("sku:CUP", ["JD0009"]),
        ("-quixelworth", ["JD0009"]),
        ("state:complete elsewhere:yes", ["JD0009"]),
        ("elsewhere:no", ["JD0002", "JD0001"]),
        ("carrier:dhl shipped:<=2026-11-10", ["JD0009"]),
        ("shipped:today", ["JD0002", "JD0001"]),
        ("confirmation:owed", ["JD0002", "JD0001"]),
        ("confirmation:none", ["JD0009"]),
        ("confirmation:none,owed", ["JD0002", "JD0001", "JD0009"]),
        ("confirmation:effective", []),
        ("hold", []),
    ],
)
def test_packages_are_found(parcels: list[int], mia: Actor, query: str, numbers: list[str]) -> None:
    assert found(query, mia) == numbers


def test_every_key_divides_the_list(parcels: list[int], mia: Actor) -> None:
    """Also by conditions that the index which SQLite is told to take does not serve."""
    texts = {
        KeyKind.YES_NO: ["yes", "no"],
        KeyKind.NUMBER: [">=0", "7..9"],
        KeyKind.MONEY: [">=0"],
        KeyKind.DATE: ["today", ">=2020-01-01"],
        KeyKind.DEADLINE: ["late", ">=2020-01-01"],
        KeyKind.TEXT: ["JD0001", "MUG"],
    }
    asked = 0
    for code, key in query_keys(SHIPMENTS).items():
        for text in texts.get(key.kind) or choices_of(key, mia):
            try:
                ours, others = found(f"{code}:{text}", mia), found(f"-{code}:{text}", mia)
            except QueryMistake:  # such as a carrier that is no choice
                continue
            assert sorted(ours + others) == ["JD0001", "JD0002", "JD0009"], (code, text)
            asked += 1
    assert asked > 60


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("query", "walked"), [("", True), ("country:DE shipped:today", True), ("state:on_hold", False)]
)
def test_the_index_of_the_day_is_walked_for_what_many_packages_are(mia: Actor, query: str, walked: bool) -> None:
    asked = compile_query(parse(query, SHIPMENTS), mia)
    [part] = SHIPMENT_LIST.walk.parts(SHIPMENT_LIST, mia, asked, SHIPPED).parts
    assert ("INDEXED BY ix_packages_shipped_at" in str(part.compile(db.engine))) is walked


def test_the_keys_of_orders_hold_but_are_not_all_offered(parcels: list[int], mia: Actor) -> None:
    assert set(query_keys(ORDERS)) < set(query_keys(SHIPMENTS))
    assert "shipped" not in query_keys(ORDERS)
    assert {"shipped", "confirmation", "store", "state"} <= set(filter_keys(SHIPMENTS))
    assert "attention" not in filter_keys(SHIPMENTS)
    assert query_keys(SHIPMENTS)["carrier"].subject == SHIPMENTS


def test_whoever_works_for_one_shop_sees_its_packages_alone(parcels: list[int], mia: Actor) -> None:
    assert found("", replace(mia, shops=frozenset())) == []
    with pytest.raises(Forbidden):
        list_page(SHIPMENT_LIST, Actor(mia.kind))


def test_a_list_of_packages_is_sorted_by_their_day_alone(parcels: list[int], mia: Actor) -> None:
    with pytest.raises(Invalid):
        list_page(SHIPMENT_LIST, mia, sort="-placed")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=st.lists(st.integers(0, 3), min_size=3, max_size=3), limit=st.integers(1, 4))
def test_pages_walk_over_every_package_once(parcels: list[int], mia: Actor, days: list[int], limit: int) -> None:
    with unit_of_work():
        for id_, day in zip(parcels, days, strict=True):
            db.session.get_one(Package, id_).shipped_at = DAY + timedelta(days=day)
    for sort in ("shipped", "-shipped"):
        every = [row.id for row in list_page(SHIPMENT_LIST, mia, sort=sort, limit=0).rows]
        walked, page = [], list_page(SHIPMENT_LIST, mia, sort=sort, limit=limit)
        while True:
            walked += [row.id for row in page.rows]
            if page.older is None:
                break
            page = list_page(SHIPMENT_LIST, mia, sort=sort, after=page.older, limit=limit)
        assert walked == every
        assert sorted(walked) == sorted(parcels)


def test_a_file_has_a_row_for_each_package_or_for_each_product_in_it(
    parcels: list[int], make_user: Callable[..., Actor]
) -> None:
    max_ = make_user("manager", "Max")
    ids = ids_of(SHIPMENT_LIST, max_)
    for rows, units in ((SHIPMENTS, None), ("items", ["6", "4", "1"])):
        table = Table(SHIPMENT_LIST, max_, rows, ("tracking", "units", "shipped"))
        read = list(csv.DictReader(io.StringIO(as_csv([table.head]) + as_csv(table.cells(ids)))))
        assert [row["Tracking number"] for row in read] == ["JD0002", "JD0001", "JD0009"]
        assert all(row["Order"] and row["Channel order number"] and row["Channel status"] for row in read)
        assert [row.get("Quantity") for row in read] == (units or [None] * 3)


def test_views_of_one_list_are_none_of_another(parcels: list[int], mia: Actor) -> None:
    with unit_of_work():
        view = save_view("Mine", parse("carrier:dhl quixelworth", SHIPMENTS), actor=mia)
        save_view("Mine", parse("state:open"), actor=mia)  # the name is free there
        code = str(view.id)
    [kept] = list_state(mia, subject=SHIPMENTS).views
    assert (kept.code, kept.query, kept.text) == (code, "carrier:dhl", "carrier:dhl quixelworth")
    [other] = list_state(mia).views
    assert other.query == "state:open"
    with unit_of_work():
        change_view(code, actor=mia, query=parse("shipped:today", SHIPMENTS))
    assert list_state(mia, subject=SHIPMENTS).views[0].query == "shipped:today"
