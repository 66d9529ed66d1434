"""Many orders shipped by a list of parcels: pasted, looked at, mended, and shipped as it was looked at."""

import html
import io
import re
from collections.abc import Callable

import pytest
import xlsxwriter

from tests.ui.conftest import Browser, ids, runs_of, tells_both
from webapp.audit.actor import Actor
from webapp.billing.models import Invoice
from webapp.channels.incoming import ChannelStage
from webapp.db import db, unit_of_work
from webapp.fulfillment import ship_rows
from webapp.fulfillment.models import Package, Shipment
from webapp.orders.models import Order
from webapp.testing import again, incoming_line, incoming_order


def test_shipping_many_needs_a_list(browser: Browser, orders: list[Order]) -> None:
    answer = browser.get("/orders/bulk", {"order": ids(orders), "action": "ship"})
    assert answer.status_code == 409
    assert runs_of() == []


def test_a_list_of_parcels_is_looked_at_before_it_ships(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    text = "\n".join(f"{order.number};DHL;JD{order.id}" for order in orders) + "\n999;DHL;JD9"
    file = (io.BytesIO(text.encode("utf-8-sig")), "parcels.csv")
    looked = browser.post("/orders/ship-list", {"file": file, "list": ""})
    assert "3 parcels can be shipped" in looked.text
    assert "999" in looked.text
    assert all(tells_both(looked.text, order) for order in orders)
    assert db.session.query(Shipment).count() == 0
    kept = "\n".join(f"{order.number}\tDHL\tJD{order.id}\t" for order in orders)
    for _ in range(2):
        sent = browser.post("/orders/ship-list/start", {"list": kept, "submission_key": "k1"})
    [run] = runs_of()
    assert sent.location == f"/orders/?run={run.id}"
    assert "3 orders are being shipped" in browser.get(sent.location).text
    work()
    assert "3 shipped" in browser.get(sent.location).text
    assert db.session.query(Shipment).count() == 3
    assert browser.post("/orders/ship-list/start", {"list": kept, "submission_key": "k2"}).status_code == 422


def test_what_a_list_ships_is_invoiced_if_that_is_ticked(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    kept = "\n".join(f"{order.number}\tDHL\tJD{order.id}\t" for order in orders)
    assert "Invoice the shipped items" in browser.post("/orders/ship-list", {"list": kept}).text
    browser.post("/orders/ship-list/start", {"list": kept, "submission_key": "k1", "invoice": "1"})
    work()
    assert {row.order_id for row in db.session.query(Invoice)} == {order.id for order in orders}
    again = browser.post("/orders/ship-list", {"list": kept}).text
    assert "Invoice the shipped items" not in again  # nothing fits


def test_an_order_that_is_canceled_between_look_and_press_is_named_and_the_others_ship(
    browser: Browser, take: Callable[..., list[Order]], work: Callable[[], int]
) -> None:
    incoming = [incoming_order() for _ in range(2)]
    gone, stays = take(*incoming)
    text = "\n".join(f"{order.number}\tDHL\tJD{order.id}\t" for order in (gone, stays))
    assert "2 parcels can be shipped" in browser.post("/orders/ship-list", {"list": text}).text
    take(again(incoming[0], stage=ChannelStage.CANCELED, status="Canceled"))
    browser.post("/orders/ship-list/start", {"list": text, "submission_key": "k1"})
    work()
    [run] = runs_of()
    told = browser.get(f"/runs/{run.id}").text
    assert tells_both(told, gone)
    assert "This order is canceled." in told
    assert [row.order_id for row in db.session.query(Shipment)] == [stays.id]
    late = browser.post("/orders/ship-list/start", {"list": text, "submission_key": "k2"})
    assert late.status_code == 422
    assert "This order is canceled." in late.text
    assert "Nothing is left to ship." in late.text


@pytest.mark.parametrize("fitting", [True, False])
def test_orders_whose_buyers_asked_to_cancel_ship_by_one_tick(
    browser: Browser, take: Callable[..., list[Order]], work: Callable[[], int], fitting: bool
) -> None:
    wanting = [incoming_order([incoming_line(cancel_requested=True)]) for _ in range(2)]
    orders = take(*wanting, *([incoming_order()] if fitting else []))
    text = "\n".join(f"{order.number};DHL;JD{order.id}" for order in orders)
    looked = browser.post("/orders/ship-list", {"list": text}).text
    assert "Also ship 2 orders whose buyers asked to cancel" in looked
    kept = dict(re.findall(r'<textarea name="(list|anyway)" hidden>(.*?)</textarea>', looked, re.DOTALL))
    given = {name: html.unescape(value) for name, value in kept.items()}
    answer = browser.post("/orders/ship-list/start", given | {"submission_key": "k1"})
    assert answer.status_code == (302 if fitting else 422)
    assert fitting or "No row of this list can be shipped." in answer.text
    work()
    assert db.session.query(Shipment).count() == int(fitting)
    looked = browser.post("/orders/ship-list", {"list": text}).text
    kept = dict(re.findall(r'<textarea name="(list|anyway)" hidden>(.*?)</textarea>', looked, re.DOTALL))
    given = {name: html.unescape(value) for name, value in kept.items()}
    answer = browser.post("/orders/ship-list/start", given | {"submission_key": "k2", "ship_anyway": "1"})
    assert answer.status_code == 302
    work()
    assert db.session.query(Shipment).count() == len(orders)
    assert "asked to cancel" not in browser.post("/orders/ship-list", {"list": "999;DHL;JD9"}).text


def test_a_workbook_is_looked_at_like_any_list(browser: Browser, orders: list[Order], work: Callable[[], int]) -> None:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet()
    rounded, named, kept = orders
    sheet.write_row(0, 0, ("Order number", "Carrier", "Tracking number"))
    sheet.write_row(1, 0, (rounded.number, "DHL", 9400111899223000000001))
    sheet.write_row(2, 0, (named.number, "GLS <Hungary>", 940011189922339))
    sheet.write_row(3, 0, (int(str(kept.number)), "DHL", "9400 1118 9922 3000 0000 01"))
    book.close()
    looked = browser.post("/orders/ship-list", {"file": (io.BytesIO(file.getvalue()), "parcels.xlsx"), "list": ""}).text
    assert "A spreadsheet rounded this number: 9.40011E+21." in looked
    assert "it is sent as “Other”, with its name" in looked
    [text] = re.findall(r'<textarea name="list" hidden>(.*?)</textarea>', looked, re.DOTALL)
    browser.post("/orders/ship-list/start", {"list": html.unescape(text), "submission_key": "k1"})
    work()
    packages = {row.order_id: (row.tracking_number, row.carrier_name) for row in db.session.query(Package)}
    assert packages == {
        named.id: ("940011189922339", "GLS <Hungary>"),
        kept.id: ("9400111899223000000001", ""),
    }
    broken = browser.post("/orders/ship-list", {"file": (io.BytesIO(b"PK\x03\x04"), "parcels.xlsx"), "list": "1;DHL"})
    assert (broken.status_code, "Excel workbook (.xlsx)" in broken.text, "1;DHL" in broken.text) == (422, True, True)


def test_two_parcels_of_an_order_are_one_order_that_ships(
    browser: Browser, take: Callable[..., list[Order]], work: Callable[[], int]
) -> None:
    [order] = take(incoming_order([incoming_line("MUG", 10)]))
    text = f"order-id,quantity,tracking-number,carrier-code\n{order.number},4,A1,DHL\n{order.number},6,B2,DHL"
    looked = browser.post("/orders/ship-list", {"list": text}).text
    assert "2 parcels can be shipped" in looked
    assert "Ship 1 order<" in looked
    [kept] = re.findall(r'<textarea name="list" hidden>(.*?)</textarea>', looked, re.DOTALL)
    browser.post("/orders/ship-list/start", {"list": html.unescape(kept), "submission_key": "k1"})
    work()
    rows = db.session.query(Package).order_by(Package.number)
    assert [(row.tracking_number, row.lines[0].quantity) for row in rows] == [("A1", 4), ("B2", 6)]


def test_what_ships_is_what_was_looked_at_whatever_its_cells_hold(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    service = "Next day, signed, insured, weekend, upstairs"
    looked = browser.post(
        "/orders/ship-list", {"list": f'Order;Carrier;Tracking\n{orders[0].number};DHL;JD1;"{service}"'}
    ).text
    [kept] = re.findall(r'<textarea name="list" hidden>(.*?)</textarea>', looked, re.DOTALL)
    browser.post("/orders/ship-list/start", {"list": html.unescape(kept), "submission_key": "k1"})
    work()
    [package] = db.session.query(Package)
    assert (package.tracking_number, package.service) == ("JD1", service)


def test_a_list_that_was_looked_at_comes_back_to_be_mended(browser: Browser, orders: list[Order]) -> None:
    text = f'Order;Carrier;Tracking\n{orders[0].number};DHL;"JD <1>"\n999;DHL;JD9'
    file = (io.BytesIO(text.encode("cp1252")), "parcels.csv")
    looked = browser.post("/orders/ship-list", {"file": file, "list": ""}).text
    [kept] = re.findall(r'<textarea name="mend" hidden>(.*?)</textarea>', looked, re.DOTALL)
    assert html.unescape(kept) == text

    back = browser.post("/orders/ship-list", {"mend": html.unescape(kept)})

    assert back.status_code == 200
    assert f">{kept}</textarea>" in back.text


def test_a_list_that_is_too_long_comes_back_whole(
    browser: Browser, orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ship_rows, "LONGEST", 2)
    text = "\n".join(f"{number};DHL;JD{'0' * 50}{number}" for number in range(400))
    assert text in browser.post("/orders/ship-list", {"list": text}).text


def long_list(orders: list[Order], cell: str = "") -> str:
    """5,000 rows, of which the last are these orders', by numbers without prefix and zeros."""
    unknown = (str(900_000 + row) for row in range(5_000 - len(orders)))
    ours = (str(int(re.sub(r"\D", "", str(order.number)))) for order in orders)
    return "\n".join(f"{number};DHL;JD0146000{number:>08};{cell}" for number in (*unknown, *ours))


def test_five_thousand_parcels_are_looked_at_and_shipped(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    """In few questions to the database, and fewer while others wait for it; also where each row is long."""
    looked = browser.post("/orders/ship-list", {"list": long_list(orders, "DHL Paket International Premium " * 3)})
    assert looked.status_code == 200
    assert "3 parcels can be shipped" in looked.text
    assert len(browser.queries) < 60
    [kept] = re.findall(r'<textarea name="list" hidden>(.*?)</textarea>', looked.text, re.DOTALL)
    assert [line.split("\t")[0] for line in html.unescape(kept).splitlines()] == [order.number for order in orders]

    assert browser.post("/orders/ship-list/start", {"list": html.unescape(kept), "submission_key": "k"}).location
    assert len(browser.queries) < 25
    work()
    assert db.session.query(Shipment).count() == 3


def test_a_list_that_takes_too_long_comes_back_whole(
    browser: Browser, orders: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.ui.lists.ship_list._LONGEST", 0.0)
    text = long_list(orders)
    answer = browser.post("/orders/ship-list", {"list": text})
    assert (answer.status_code, "Split the list and send the parts" in answer.text) == (422, True)
    assert text in html.unescape(answer.text)


def test_a_workbook_that_takes_too_long_to_read_is_a_sentence(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        for at in range(2_000):
            sheet.write_row(at, 0, ("000001", "DHL", f"JD{at}"))
    monkeypatch.setattr("webapp.ui.lists.ship_list._LONGEST", 0.05)
    sent = {"file": (io.BytesIO(file.getvalue()), "parcels.xlsx"), "list": "1;DHL"}
    monkeypatch.setattr("webapp.ui.lists.ship_list.read_rows", pytest.fail)  # it is never reached
    answer = browser.post("/orders/ship-list", sent)
    assert (answer.status_code, "Split the list and send the parts" in answer.text, "1;DHL" in answer.text) == (
        422,
        True,
        True,
    )


def test_a_cell_without_end_is_a_sentence(browser: Browser, orders: list[Order]) -> None:
    for path in ("/orders/ship-list", "/orders/ship-list/start"):
        answer = browser.post(path, {"list": '000001;DHL;"' + "J" * 140_000})
        assert (answer.status_code, "closing quotation mark is missing" in answer.text) == (422, True)


def test_chosen_orders_begin_a_list_of_parcels(
    browser: Browser, orders: list[Order], make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    held = orders[0]
    with unit_of_work():
        db.session.execute(db.update(Order).where(Order.id == held.id).values(on_hold=True))
    bar = re.search(r'<button[^>]* formaction="([^"]+)">[^<]*<svg.*?</svg>Ship<', browser.get("/orders/").text)
    assert bar is not None

    page = browser.get(bar[1], {"order": ids(orders)})

    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    begun = page.text.partition("<textarea")[2].partition("</textarea>")[0].partition(">")[2]
    assert begun.split("\n") == [f"{order.number}; ; " for order in orders[1:]]
    left_out = page.text.partition("1 order can't be shipped now:")[2].partition("<textarea")[0]
    assert tells_both(left_out, held)
    assert "This order is on hold" in left_out
    looked = browser.post("/orders/ship-list", {"list": begun.replace("; ;", "; DHL; JD1", 1)})
    assert "1 parcel can be shipped" in looked.text
    assert "1 row can't be shipped" in looked.text  # its row was left as it was begun
    assert f"{orders[1].number}; ; " in browser.get("/orders/ship-list?all=1").text
    reader = make_browser(make_user("read_only", "Rob"))
    assert bar[1] not in reader.get("/orders/").text


@pytest.mark.parametrize("given", ["", "  \n ", "\x00\x01"])
def test_a_list_of_nothing_is_a_sentence(browser: Browser, orders: list[Order], given: str) -> None:
    answer = browser.post("/orders/ship-list", {"list": given})
    assert answer.status_code in (200, 422)
    assert "This list is empty" in answer.text or "No row of this list" in answer.text
