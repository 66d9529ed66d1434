"""Pick lists: the open units of orders that may leave, by SKU; without buyers and prices."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from tests.documents.test_golden import same_sheets
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.documents import pick_list
from webapp.documents.composed import Document, texts
from webapp.documents.pick_list import Pick, PickList, composed_list, orders_to_pick, pick_list_of
from webapp.errors import Forbidden
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import JANE, FakeChannel, incoming_line, incoming_order

Take = Callable[..., list[Order]]
AT = datetime(2026, 11, 30, 10, 5, tzinfo=UTC)


@pytest.fixture
def orders(take: Take) -> list[Order]:
    return take(
        incoming_order([incoming_line("MUG", 2), incoming_line("CUP", 1)], buyer=JANE),
        incoming_order([incoming_line("MUG", 1)], buyer=JANE),
        incoming_order([incoming_line("BOWL", 4)], buyer=JANE),
    )


def picked(actor: Actor, orders: list[Order]) -> PickList:
    return pick_list_of(actor, orders_to_pick(actor, ids=[order.id for order in orders]))


def test_units_are_added_up_by_sku_with_the_orders_that_want_them(orders: list[Order], mia: Actor) -> None:
    found = picked(mia, orders)
    first, second, third = (str(order.number) for order in orders)
    assert [(pick.sku, pick.units, pick.orders) for pick in found.picks] == [
        ("BOWL", 4, {third: 4}),
        ("CUP", 1, {first: 1}),
        ("MUG", 3, {first: 2, second: 1}),
    ]
    assert (found.units, len(found.orders), found.refused, found.more) == (8, 3, [], False)
    text = list(texts(composed_list(found, "a4", AT, "en")))
    assert f"{first}\xa0×\xa02, {second}" in text
    assert not any("Quixelworth" in one or "€" in one for one in text)


def test_what_must_not_leave_is_left_out_with_its_reason_and_what_has_left_without(
    orders: list[Order], mia: Actor, channel: FakeChannel
) -> None:
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == orders[1].id).values(on_hold=True))
        row = locked(orders[2])
        ship_order(row, [PackageInput("DHL", "JD1", lines={row.lines[0].id: 1})], actor=mia)
    found = picked(mia, orders)
    assert [(pick.sku, pick.units) for pick in found.picks] == [("BOWL", 3), ("CUP", 1), ("MUG", 2)]
    assert [(order.id, why.code) for order, why in found.refused] == [(orders[1].id, "on_hold")]
    with unit_of_work():
        row = locked(orders[2])
        ship_order(row, [PackageInput("DHL", "JD2", lines={row.lines[0].id: 3})], actor=mia)
    found = picked(mia, [orders[2]])
    assert (found.picks, found.orders, found.refused) == ([], [], [])


def test_what_should_be_looked_at_is_said_with_its_orders(orders: list[Order], mia: Actor) -> None:
    assert composed_list(picked(mia, orders), "a4", AT, "en").notes == ()
    trouble = [{"kind": "odd_address", "values": {"missing": ["city"]}}]
    with unit_of_work():
        odd = [orders[0].id, orders[2].id]
        db.session.execute(update(Order).where(Order.id.in_(odd)).values(attention=trouble))
    [note] = composed_list(picked(mia, orders), "a4", AT, "en").notes
    assert note.text == f"Address incomplete: {orders[0].number}, {orders[2].number}"


def test_a_choice_is_cut_where_a_list_ends(orders: list[Order], mia: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pick_list, "MOST", 2)
    found = pick_list_of(mia, orders_to_pick(mia, sort="placed"))
    assert (len(found.orders), found.more) == (2, True)
    with pytest.raises(Forbidden):
        orders_to_pick(Actor(mia.kind), ids=[1])


def example(paper: str) -> Document:
    picks = [Pick("", "A product without a code", 2, {"WB-100000001": 2})]
    picks += [
        Pick("SKU-" + "0123456789" * 6, "東京の急須と湯呑み五客揃え、有田焼、木箱入り。" * 3, 1, {"WB-100000002": 1}),
        Pick("MUG", "한글 ★ Łódź Жук", 30, {f"WB-1000000{place:02}": 1 + place % 2 for place in range(3, 23)}),
    ]
    picks += [Pick(f"SKU-{place:03}", f"Product {place}", 1, {"WB-100000002": 1}) for place in range(500)]
    return composed_list(PickList(picks, [], [], more=False), paper, AT, "en")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("paper", ["a4", "letter"])
def test_the_sheets_are_those_that_were_found_good(app: object, paper: str) -> None:
    document = example(paper)
    assert len(document.rows) == 503
    same_sheets(replace(document, rows=document.rows[:9]), f"picks-{paper}")
