"""Shipping from a list: what fits is told before anything is shipped, and no list ships an order twice."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st

from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, sentence_of
from webapp.fulfillment import ship_list
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.models import Package, Shipment
from webapp.fulfillment.services import RoundedTrackingNumber, ship_order
from webapp.fulfillment.ship_list import (
    CellTooLong,
    EmptyList,
    ListTooLong,
    NothingFits,
    Row,
    check,
    read_rows,
    start,
    write_rows,
)
from webapp.jobs import runs
from webapp.orders.bulk import act_on_chunk, result_counts, results_of
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import FakeChannel, incoming_line, incoming_order


@pytest.fixture
def orders(take: Callable[..., list[Order]]) -> list[Order]:
    return take(*(incoming_order([incoming_line(quantity=2)]) for _ in range(4)))


def told(text: str, actor: Actor) -> list[str]:
    """The problem of each row as a sentence; empty if it fits."""
    return [str(row.problem or "") for row in check(read_rows(text), actor)]


@pytest.mark.parametrize("separator", ["\t", ";", ","])
@pytest.mark.parametrize("head", ["", "\ufeffOrder{0}Carrier{0}Tracking\r\n"])
def test_lists_are_read_as_spreadsheets_write_them(separator: str, head: str) -> None:
    text = head.format(separator) + separator.join(("000001", "DHL", '"JD 1"')) + "\r\n\r\n" + "000002"
    rows = read_rows(text)
    assert [(row.number, row.carrier, row.tracking_number) for row in rows] == [
        ("000001", "DHL", "JD 1"),
        ("000002", "", ""),
    ]
    assert read_rows(write_rows(rows), written=True) == [replace(row, line=line) for line, row in enumerate(rows, 1)]


_CELL = st.text(max_size=12) | st.sampled_from(["Next day, signed, insured, weekend, upstairs", 'a;b;c;d;e;"', "Order"])


@given(st.lists(st.builds(Row, st.just(1), st.just("X") | _CELL, _CELL, _CELL, _CELL), min_size=1, max_size=4))
def test_what_was_looked_at_is_what_is_shipped(rows: list[Row]) -> None:
    cells = [[_clean(cell) for cell in (row.number, row.carrier, row.tracking_number, row.service)] for row in rows]
    looked_at = [Row(line, *row) for line, row in enumerate(cells, start=1) if row[0]]
    if looked_at:
        again = read_rows(write_rows(looked_at), written=True)
        assert [replace(row, line=0) for row in again] == [replace(row, line=0) for row in looked_at]


def _clean(cell: str) -> str:
    return "".join(filter(str.isprintable, cell)).strip()


@given(st.text(max_size=200))
def test_any_text_is_a_list_or_a_sentence(text: str) -> None:
    try:
        rows = read_rows(text)
    except EmptyList:
        return
    assert all(row.number.isprintable() and len(row.tracking_number) <= 100 for row in rows)


def test_a_list_has_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ship_list, "LONGEST", 2)
    with pytest.raises(ListTooLong, match="up to 2 rows"):
        read_rows("1;a;1\n2;a;2\n3;a;3")
    with pytest.raises(EmptyList):
        read_rows(" \n ")
    with pytest.raises(CellTooLong, match="quotation mark"):
        read_rows('000001;DHL;"' + "J" * 140_000)


def test_the_right_to_ship_is_asked(orders: list[Order], make_user: Callable[..., Actor]) -> None:
    with pytest.raises(Forbidden):
        check([Row(1, "000001", "DHL", "1")], make_user("read_only", "Rob"))


def test_every_row_says_why_it_does_not_fit(orders: list[Order], mia: Actor) -> None:
    first, second, third, fourth = orders
    third.buyer_wants_cancel = True
    db.session.flush()
    text = "\n".join(
        (
            f"{first.number};DHL;JD1",
            f"{second.channel_order_number};dhl;JD2",
            f"{first.number};DHL;JD3",
            f"{third.number};DHL;JD4",
            f"{fourth.number};Pigeon;JD5",
            "nonsense-9;DHL;JD6",
            f"{fourth.number};DHL;",
        )
    )
    problems = told(text, mia)
    assert problems[:2] == ["", ""]
    assert "Row 1 ships this order already" in problems[2]
    assert "asked to cancel" in problems[3]
    assert "no carrier" in problems[4]
    assert "nonsense-9" in problems[5]
    assert "ships this order already" in problems[6]
    db.session.rollback()


def test_only_ticked_rows_ship_although_their_buyers_asked_to_cancel(
    orders: list[Order], mia: Actor, work: Callable[[], int]
) -> None:
    with unit_of_work():
        for order in orders[1:]:
            locked(order).buyer_wants_cancel = True
            record(order, "synced", actor=mia)
    first, *asking = [Row(line, str(order.number), "DHL", f"JD{line}") for line, order in enumerate(orders, 1)]
    asking[-1] = replace(asking[-1], carrier="Pigeon")
    looked_at = check([first, *asking], mia)
    assert [one.asks_to_cancel for one in looked_at] == [False, True, True, False]
    assert "no carrier" in str(looked_at[-1].problem)  # the tick would not help it
    with pytest.raises(NothingFits), unit_of_work():
        start(asking, actor=mia)
    with unit_of_work():
        run_id = start([first, asking[0]], actor=mia, anyway=[asking[1]]).id
    work()
    assert result_counts(runs.find_run(run_id))["done"] == 2
    db.session.expire_all()
    assert [order.unshipped for order in orders] == [0, 2, 0, 2]


def test_a_buyer_who_asks_after_the_check_is_not_passed_over(
    orders: list[Order], mia: Actor, work: Callable[[], int]
) -> None:
    first, second = (Row(1, str(order.number), "DHL", "JD") for order in orders[:2])
    with unit_of_work():
        run_id = start([first], actor=mia, anyway=[second]).id
        locked(orders[0]).buyer_wants_cancel = True
        record(orders[0], "synced", actor=mia)
    work()
    assert {code: count for code, count in result_counts(runs.find_run(run_id)).items() if count} == {
        "done": 1,
        "refused": 1,
    }


def test_a_number_of_ours_fits_without_its_zeros(orders: list[Order], mia: Actor) -> None:
    [short, long] = check([Row(1, "1", "DHL", "JD1"), Row(2, "000001", "DHL", "JD2")], mia)
    assert (short.order, short.problem) == (orders[0], None)
    assert "Row 1 ships this order already" in str(long.problem)
    assert "9" in told("9;DHL;JD1", mia)[0]


@pytest.mark.parametrize("rounded", ["9.40011E+21", "9,40011e+21", "9E+21"])
def test_a_number_that_a_spreadsheet_rounded_does_not_fit(orders: list[Order], mia: Actor, rounded: str) -> None:
    assert "A spreadsheet rounded this number" in told(f"{orders[0].number}\tDHL\t{rounded}", mia)[0]
    with pytest.raises(RoundedTrackingNumber), unit_of_work():
        ship_order(locked(orders[0]), [PackageInput("DHL", rounded)], actor=mia)


def test_a_number_is_told_without_the_spaces_of_its_label(
    orders: list[Order], mia: Actor, channel: FakeChannel, work: Callable[[], int]
) -> None:
    with unit_of_work():
        start(read_rows(f"{orders[0].number},DHL,94001 1189 9223 39"), actor=mia)
    work()
    [payload] = channel.told("shipment")
    assert payload["package"]["tracking_number"] == "940011189922339"
    assert db.session.query(Package).one().tracking_number == "940011189922339"


def test_a_list_names_a_carrier_that_the_marketplace_does_not_list(
    orders: list[Order], mia: Actor, channel: FakeChannel, work: Callable[[], int]
) -> None:
    first, second = orders[:2]
    problems = told(f"{first.number},Other,TRK123\n{second.number},GLS Hungary,TRK124", mia)
    assert "in the fifth cell" in problems[0]
    assert "no carrier" in problems[1]
    assert "Other" in problems[1]
    rows = read_rows(f"{first.number},Other,TRK123,,GLS Hungary")
    assert read_rows(write_rows(rows), written=True) == rows
    with unit_of_work():
        start(rows, actor=mia)
    work()
    assert db.session.query(Package).one().carrier_name == "GLS Hungary"
    [payload] = channel.told("shipment")
    assert payload["package"]["carrier_name"] == "GLS Hungary"


@pytest.mark.parametrize("row", ["{};Pigeon;77", "{}\tDHL\t77", "{}; DHL, Express; 77", '"{};DHL";77'])
def test_a_row_that_is_separated_otherwise_says_so(orders: list[Order], mia: Actor, row: str) -> None:
    problems = told(f"{orders[0].number},DHL,JD1\n{row.format(orders[1].number)}", mia)
    assert problems == ["", "The cells of this row are not separated as those of the first row are."]


def test_what_fits_is_shipped_and_told_to_the_channel(
    orders: list[Order], mia: Actor, channel: FakeChannel, work: Callable[[], int]
) -> None:
    ids, numbers = [order.id for order in orders], [order.number for order in orders]
    rows = read_rows("\n".join(f"{number};DHL;JD{place}" for place, number in enumerate(numbers)) + "\nX1;DHL;9")
    with unit_of_work():
        run_id = start(rows, actor=mia, key="k1").id
    with unit_of_work():
        assert start(rows, actor=mia, key="k1").id == run_id
    work()
    run = runs.find_run(run_id)
    assert (run.state, run.total, run.failed) == ("done", 4, 0)
    found = {row.order_id: row.tracking_number for row in db.session.query(Package)}
    assert found == {order_id: f"JD{place}" for place, order_id in enumerate(ids)}
    assert len(channel.told("shipment")) == 4
    with unit_of_work():  # the answer to the form when it is sent again
        assert start(rows, actor=mia, key="k1").id == run_id
    with pytest.raises(NothingFits), unit_of_work():
        start(rows, actor=mia, key="k2")


def test_an_order_that_changed_meanwhile_is_refused_with_its_reason(
    orders: list[Order], mia: Actor, work: Callable[[], int]
) -> None:
    number, order_id = orders[0].number, orders[0].id
    with unit_of_work():
        run_id = start([Row(1, str(number), "DHL", "JD1")], actor=mia).id
        db.session.execute(db.update(Order).where(Order.id == order_id).values(canceling=True))
    work()
    [result] = results_of(runs.find_run(run_id))
    assert (result.state, sentence_of(result.problem)) == ("refused", "This order is being canceled.")
    assert db.session.query(Shipment).count() == 0


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_list_ships_an_order_twice(
    app: Flask, take: Callable[..., list[Order]], mia: Actor, work: Callable[[], int], data: Any
) -> None:
    orders = take(*(incoming_order([incoming_line(quantity=2)]) for _ in range(3)))
    ids = [order.id for order in orders]
    names = [name for order in orders for name in (order.number, order.channel_order_number)]
    row = st.builds(Row, st.integers(1, 9), st.sampled_from(names), st.just("DHL"), st.sampled_from(["A1", "B2"]))
    for _ in range(data.draw(st.integers(1, 4), label="lists")):
        rows = data.draw(st.lists(row, min_size=1, max_size=6))
        try:
            with unit_of_work():
                run = start(rows, actor=mia, key=data.draw(st.sampled_from(["", "k1", "k2"])) and f"{ids}-k")
                run_id, chunk = run.id, run.chunk
        except NothingFits:
            continue
        for _ in range(data.draw(st.integers(0, 2), label="jobs that come twice")):
            act_on_chunk(run_id, chunk)
        if data.draw(st.booleans(), label="worked before the next"):
            work()
    work()
    db.session.expire_all()
    for order_id in ids:
        order = db.session.get_one(Order, order_id)
        assert order.lines[0].shipped in (0, 2)
        assert db.session.query(Shipment).filter_by(order_id=order_id).count() == (order.lines[0].shipped == 2)
    for run_ in db.session.query(runs.Run).filter_by(kind="bulk"):
        assert sum(result_counts(run_).values()) == run_.total
