"""Shipping from a list: what fits is told before anything is shipped, and no list ships an order twice."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st

from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Forbidden, sentence_of
from webapp.fulfillment import ship_rows
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.models import Package, Shipment
from webapp.fulfillment.services import ship_order
from webapp.fulfillment.ship_list import NothingFits, check, start
from webapp.fulfillment.ship_rows import EmptyList, ListTooLong, Row, read_rows, write_rows
from webapp.jobs import runs
from webapp.lists.uploaded import CellTooLong
from webapp.orders.bulk import act_on_chunk, result_counts, results_of, try_again
from webapp.orders.events import record
from webapp.orders.holds import hold, release
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
    monkeypatch.setattr(ship_rows, "LONGEST", 2)
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
    assert "Row 1 already ships this order" in problems[2]
    assert "asked to cancel" in problems[3]
    assert problems[4] == ""  # it goes by its name
    assert "nonsense-9" in problems[5]
    assert "already ships this order" in problems[6]
    db.session.rollback()


def test_only_ticked_rows_ship_although_their_buyers_asked_to_cancel(
    orders: list[Order], mia: Actor, work: Callable[[], int]
) -> None:
    with unit_of_work():
        for order in orders[1:]:
            locked(order).buyer_wants_cancel = True
            record(order, "synced", actor=mia)
    first, *asking = [Row(line, str(order.number), "DHL", f"JD{line}") for line, order in enumerate(orders, 1)]
    asking[-1] = replace(asking[-1], carrier="Other")
    looked_at = check([first, *asking], mia)
    assert [one.asks_to_cancel for one in looked_at] == [False, True, True, False]
    assert "Enter the name of the carrier" in str(looked_at[-1].problem)  # the tick would not help it
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
    assert "Row 1 already ships this order" in str(long.problem)
    assert "9" in told("9;DHL;JD1", mia)[0]


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        ("9.40011E+21", "rounded this number"),
        ("9,40011e+21", "rounded this number"),
        ("9E+21", "rounded this number"),
        ("9400111899223000000000", "replaced the last digits of this number with zeros"),
        ("9 400 111 899 223 000 000 000", "replaced the last digits of this number with zeros"),
        ("12-Mar", "converted this number to a date"),
        ("12. Mrz 26", "converted this number to a date"),
        ("2026-03-12", "converted this number to a date"),
    ],
)
def test_a_number_that_a_spreadsheet_damaged_does_not_fit(
    orders: list[Order], mia: Actor, number: str, cure: str
) -> None:
    [problem] = told(f"{orders[0].number}\tDHL\t{number}", mia)
    assert cure in problem
    assert "Format its column as text" in problem
    with pytest.raises(DeskError, match=cure), unit_of_work():
        ship_order(locked(orders[0]), [PackageInput("DHL", number)], actor=mia)
    assert cure in told(f"{number};DHL;JD1", mia)[0]  # a number of an order


def test_a_column_that_was_rounded_shows_also_in_its_shorter_numbers(orders: list[Order], mia: Actor) -> None:
    ending = ["450", "210", "980"]
    rows = [f"{order.number};DHL;1234567890123{end}" for order, end in zip(orders, ending, strict=False)]
    assert all("rounded this number" in problem for problem in told("\n".join(rows), mia))
    assert told("\n".join([*rows, f"{orders[3].number};DHL;1234567890123456"]), mia) == [""] * 4


def test_a_number_is_told_without_the_spaces_of_its_label(
    orders: list[Order], mia: Actor, channel: FakeChannel, work: Callable[[], int]
) -> None:
    with unit_of_work():
        start(read_rows(f"'{orders[0].number},DHL,94001\u00a01189 9223 39\u200b"), actor=mia)
    work()
    [payload] = channel.told("shipment")
    assert payload["package"]["tracking_number"] == "940011189922339"
    assert db.session.query(Package).one().tracking_number == "940011189922339"


def test_a_carrier_that_the_marketplace_does_not_list_goes_by_its_name(
    orders: list[Order], mia: Actor, channel: FakeChannel, work: Callable[[], int]
) -> None:
    assert "in the fifth cell" in told(f"{orders[0].number},Other,TRK123", mia)[0]
    cells = ("GLS Hungary,TRK1", "Other,TRK2,,GLS Hungary", ",TRK3,,GLS Hungary", "d.h.l,TRK4")
    rows = read_rows("\n".join(f"{order.number},{more}" for order, more in zip(orders, cells, strict=True)))
    assert [one.unlisted for one in check(rows, mia)] == ["Other", "", "Other", ""]
    assert read_rows(write_rows(rows), written=True) == rows
    with unit_of_work():
        start(rows, actor=mia)
    work()
    sent = {one["package"]["tracking_number"]: one["package"] for one in channel.told("shipment")}
    assert [(sent[f"TRK{at}"]["carrier"], sent[f"TRK{at}"]["carrier_name"]) for at in (1, 2, 3, 4)] == [
        ("Other", "GLS Hungary"),
        ("Other", "GLS Hungary"),
        ("Other", "GLS Hungary"),
        ("DHL", ""),
    ]


# As marketplaces write their own file of shipments: a line about the file, a head of words, a head of codes.
OWN_FILE = (
    "TemplateType=OrderFulfillment\tVersion=2011.1102\tDo not modify this row, please\n"
    "Nummer\tPosition\tMenge\tDatum\tCode\tName\tSendung\tVersand\n"
    "order-id\torder-item-id\tquantity\tship-date\tcarrier-code\tcarrier-name\ttracking-number\tship-method\n"
)


def test_several_rows_pack_several_parcels_of_one_order(
    take: Callable[..., list[Order]], mia: Actor, channel: FakeChannel, work: Callable[[], int]
) -> None:
    order, single = take(
        incoming_order([incoming_line("MUG", 10), incoming_line("CUP", 1)]), incoming_order([incoming_line("MUG", 3)])
    )
    mug, cup = order.lines
    day = now().date().isoformat()
    rows = read_rows(
        OWN_FILE
        + f"{order.channel_order_number}\t{mug.channel_line_number}\t4\t{day}\tDHL\t\tPARCEL-A\tExpress\n"
        + f"{order.channel_order_number}\t{mug.channel_line_number}\t6\t{day}\tDHL\t\tPARCEL-B\t\n"
        + f"{order.channel_order_number}\t{cup.channel_line_number}\t\t{day}\tDHL\t\tPARCEL-B\t\n"
        + f"{single.channel_order_number}\t\t\t{day}\tOther\tGLS Hungary\tPARCEL-C\t\n"
    )
    assert [one.problem for one in check(rows, mia)] == [None] * 4
    with unit_of_work():
        start(read_rows(write_rows(rows), written=True), actor=mia)
    work()
    sent = {one["package"]["tracking_number"]: one for one in channel.told("shipment")}
    assert {number: sorted(one["lines"].values()) for number, one in sent.items()} == {
        "PARCEL-A": [4],
        "PARCEL-B": [1, 6],
        "PARCEL-C": [3],
    }
    assert [sent["PARCEL-A"]["package"]["service"], sent["PARCEL-C"]["package"]["carrier_name"]] == [
        "Express",
        "GLS Hungary",
    ]


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        (("MUG;2;JD1", "MUG;2;JD2", "CUP;1;JD2"), ["", "", ""]),
        (("MUG;2;JD1", ";;JD2"), ["", ""]),  # the rest
        (("MUG;2;JD1", "MUG;3;JD2"), ["Row 3 of this order has a mistake", "Units of MUG left to ship: 2"]),
        (("MUG;2;JD1", "JAR;1;JD2"), ["Row 3 of this order has a mistake", "no item “JAR”"]),
        (("MUG;2;JD1", "CUP;1;9.4E+21"), ["Row 3 of this order has a mistake", "rounded this number"]),
        ((";2;JD1",), ["several items"]),
        (("MUG;two;JD1",), ["not a number of units"]),
        ((";;JD1", ";;JD2"), ["", "Row 2 already ships this order"]),
    ],
)
def test_what_rows_name_of_an_order_must_be_there(
    take: Callable[..., list[Order]], mia: Actor, rows: tuple[str, ...], problems: list[str]
) -> None:
    [order] = take(incoming_order([incoming_line("MUG", 4), incoming_line("CUP", 1)]))
    text = "SKU;Qty;Tracking;Order number;Carrier\n" + "\n".join(f"{row};{order.number};DHL" for row in rows)
    for said, expected in zip(told(text, mia), problems, strict=True):
        assert (expected in said) if expected else not said


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{today}", ""),
        ("2001-03-12", "between the order's arrival and now"),
        ("12/03/2026", "can be 2026-03-12 or 2026-12-03. Write it with the year first"),
        ("31/02/2026", "Enter the year first"),
        ("46093", "Enter the year first"),
        ("31.02.2026", "Enter the year first"),
    ],
)
def test_a_list_says_when_its_parcels_left(orders: list[Order], mia: Actor, text: str, problem: str) -> None:
    today = now().astimezone(ZoneInfo(orders[0].shop.zone)).date()
    row = f"{orders[0].number};DHL;JD1;;;{text.format(today=today)}"
    [said] = told(row, mia)
    assert (problem in said) if problem else not said


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["12/03/2026", "25/3/2026", "2026-03-01", ""], ["2026-03-12", "2026-03-25", "2026-03-01", ""]),
        (["12/03/2026", "3/25/2026", "05/05/2026"], ["2026-12-03", "2026-03-25", "2026-05-05"]),
        (["12/03/2026", "25/03/2026", "03/25/2026"], ["12/03/2026", "2026-03-25", "2026-03-25"]),
        (["12/03/2026", "05/05/2026", "30/02/2026"], ["12/03/2026", "2026-05-05", "30/02/2026"]),
    ],
)
def test_other_rows_say_whether_the_day_comes_first(written: list[str], read: list[str]) -> None:
    text = "\n".join(f"00000{place};DHL;JD{place};;;{day}" for place, day in enumerate(written, start=1))
    assert [row.ship_date for row in read_rows(text)] == read


@pytest.mark.parametrize("row", ["{};Pigeon;77", "{}\tDHL\t77", "{}; DHL, Express; 77", '"{};DHL";77'])
def test_a_row_that_is_separated_otherwise_says_so(orders: list[Order], mia: Actor, row: str) -> None:
    problems = told(f"{orders[0].number},DHL,JD1\n{row.format(orders[1].number)}", mia)
    assert problems == ["", "This row does not use the same separator as the first row."]


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


def test_a_list_that_is_sent_again_ships_nothing_twice(take: Callable[..., list[Order]], mia: Actor) -> None:
    [order] = take(incoming_order([incoming_line("MUG", quantity=4)]))
    numbers = ["JD1", "JD2"]
    parcels = [PackageInput("DHL", number, lines={order.lines[0].id: 1}) for number in numbers]
    with unit_of_work():
        ship_order(locked(order), parcels, actor=mia)
    rows = [Row(line, order.number, "DHL", number, item="MUG", units="1") for line, number in enumerate(numbers, 1)]
    assert [type(one.problem).__name__ for one in check(rows, mia)] == ["ShippedAlready"] * 2
    with pytest.raises(NothingFits), unit_of_work():
        start(rows, actor=mia)


def test_a_row_that_can_not_be_packed_takes_no_units_from_the_next(orders: list[Order], mia: Actor) -> None:
    number = orders[0].number
    first, second = told(f"{number};DHL;9.40011E+21\n{number};DHL;JD1", mia)
    assert "spreadsheet" in first
    assert second == "Row 1 of this order has a mistake. The rows of one order ship together or not at all."


def test_what_is_held_meanwhile_ships_as_the_list_says_once_it_is_tried_again(
    orders: list[Order], mia: Actor, work: Callable[[], int]
) -> None:
    free, held, rounded = orders[:3]
    for order in (held, rounded):
        with unit_of_work():
            hold(locked(order), "Count", actor=mia)
    rows = [Row(line, str(order.number), "DHL", f"JD{line}") for line, order in enumerate((free, held, rounded), 1)]
    rows[2] = replace(rows[2], rounded=True)
    with unit_of_work():
        run_id = start(rows, actor=mia).id
    work()
    for order in (held, rounded):
        with unit_of_work():
            release(locked(order), actor=mia)
    with unit_of_work():
        try_again(db.session.get_one(runs.Run, run_id), actor=mia)
    work()
    shipped = db.session.query(Package.order_id, Package.tracking_number).order_by(Package.id)
    assert [tuple(row) for row in shipped] == [(free.id, "JD1"), (held.id, "JD2")]
