"""The list of shipments in the browser: its page, filters, views, columns and files, all below its own address."""

import re
from collections.abc import Callable
from urllib.parse import unquote

import pytest

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.errors import TooSlow
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.lists.models import ListLayout, SavedView
from webapp.orders.models import Order
from webapp.orders.queries import find_order
from webapp.testing import FakeChannel, incoming_line, incoming_order
from webapp.ui.lists import list_pages

Take = Callable[..., list[Order]]
Ship = Callable[..., list[Order]]


@pytest.fixture
def ship(take: Take, channel: FakeChannel, mia: Actor) -> Ship:
    """Take in so many orders, and ship each in two packages."""

    def take_and_ship(count: int) -> list[Order]:
        orders = take(*[incoming_order([incoming_line(f"SKU{n}", 3)]) for n in range(count)])
        for at, order in enumerate(orders):
            for units in (1, 2):
                with unit_of_work():
                    locked = find_order(str(order.number), mia, lock=True)
                    package = PackageInput("DHL", f"JD{at:03}{units}", lines={locked.lines[0].id: units})
                    ship_order(locked, [package], actor=mia)
        return orders

    return take_and_ship


def packages_of(page: str) -> list[str]:
    return re.findall(r"JD\d{4}", page)


def test_the_page_of_shipments_costs_few_queries(ship: Ship, browser: Browser) -> None:
    ship(30)
    browser.get("/shipments/")
    for url in ("/shipments/", "/shipments/?q=store:1+carrier:DHL&sort=shipped", "/shipments/?view=today"):
        page = browser.get(url)
        assert page.text.count('<tr id="package-') == 50, url
        assert "Jane Quixelworth" in page.text
        assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert page.text.count("Queued") >= 50
    assert 'aria-label="Shipments by state"' in page.text
    assert 'href="/orders/' in page.text


def test_it_pages_counts_and_renews_a_row(ship: Ship, browser: Browser) -> None:
    order = ship(26)[0]
    page = browser.get("/shipments/").text
    older = re.search(r'rel="next" href="([^"]+)"', page)
    assert older is not None
    assert browser.get(older[1].replace("&amp;", "&")).text.count('<tr id="package-') == 2
    assert "52 packages" in browser.get("/shipments/count").text
    assert "52" in browser.get("/shipments/counts").text
    row = re.search(rf'data-live="orders-{order.id}" hx-get="([^"]+)"', browser.get("/shipments/?sort=shipped").text)
    assert row is not None
    assert "JD0001" in browser.get(row[1]).text
    assert browser.get("/shipments/rows/999").status_code == 404


def test_words_are_looked_for_and_stay_out_of_the_address(ship: Ship, browser: Browser) -> None:
    ship(2)
    answer = browser.post("/shipments/search", {"text": "quixelworth tracking:JD0011"})
    assert answer.status_code == 303
    assert answer.location.startswith("/shipments/?")
    assert "quixel" not in answer.location
    assert "JD0" not in answer.location
    assert packages_of(browser.get(answer.location).text)[:1] == ["JD0011"]
    assert "JD0001" not in browser.get(answer.location).text
    mistaken = browser.post("/shipments/search", {"text": "nothing:here"})
    assert mistaken.status_code == 422
    assert "There is no key" in mistaken.text
    assert 'action="/shipments/search"' in mistaken.text
    completed = browser.post("/shipments/complete", {"text": "confirm", "at": "7"}).text
    assert "confirmation:" in completed


def test_filters_offer_what_is_the_packages_own(ship: Ship, browser: Browser) -> None:
    ship(1)
    page = browser.get("/shipments/filters").text
    assert 'name="f-confirmation"' in page
    assert 'name="f-store"' in page
    assert 'name="f-attention"' not in page
    answer = browser.post("/shipments/filters", {"f-confirmation": "owed", "f-carrier": "DHL"})
    assert "confirmation:owed" in answer.location.replace("%3A", ":")
    assert "JD0001" in browser.get(answer.location).text


def test_a_list_that_takes_too_long_is_narrowed_by_the_packages_own_day(
    ship: Ship, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(1)

    def slow(*_: object, **__: object) -> None:
        raise TooSlow

    monkeypatch.setattr(list_pages, "list_page", slow)
    answer = browser.get("/shipments/?q=country:DE")
    assert answer.status_code == 422
    [url] = [url for url in re.findall(r'href="([^"]+)"', answer.text) if "90d" in url]
    assert "shipped:" in unquote(url)


def test_views_and_columns_are_its_own(ship: Ship, browser: Browser, olga: Actor) -> None:
    ship(1)
    saved = browser.post("/shipments/views/", {"name": "Mine", "q": "carrier:DHL", "sort": "shipped"})
    view = db.session.query(SavedView).one()
    assert (view.subject, view.query) == ("shipments", "carrier:DHL")
    assert saved.location == f"/shipments/?view={view.id}"
    assert "Mine" in browser.get("/shipments/views/").text
    assert "Mine" not in browser.get("/orders/views/").text
    browser.post("/shipments/columns", {"column": ["number", "tracking"], "dense": "1"})
    assert [row.name for row in db.session.query(ListLayout)] == ["shipments"]
    heads = re.findall(r'data-column="(\w+)"', browser.get("/shipments/").text)
    assert heads == ["number", "tracking"]
    assert browser.get("/shipments/?view=" + str(view.id)).status_code == 200


def test_what_is_chosen_becomes_a_file(ship: Ship, browser: Browser) -> None:
    ship(2)
    page = browser.get("/shipments/").text
    assert 'formaction="/shipments/export"' in page
    [first, *_] = re.findall(r'name="package" value="(\d+)"', page)
    form = browser.get(f"/shipments/export?package={first}").text
    assert "1 package" in form
    stream = browser.post(
        "/shipments/export/start", {"package": first, "format": "csv", "rows": "items", "column": "tracking"}
    )
    text = browser.get(stream.location).text
    assert len(text.splitlines()) == 2
    assert "JD0012" in text
    assert browser.get(stream.location).headers["Content-Disposition"].startswith('attachment; filename="shipments-')
    empty = browser.get("/shipments/export")
    assert empty.status_code == 302


def test_it_can_be_begun_with(ship: Ship, browser: Browser) -> None:
    ship(1)
    browser.post("/shipments/views/", {"name": "Mine", "q": "carrier:DHL"})
    view = db.session.query(SavedView).one()
    browser.post("/shipments/views/start", {"code": str(view.id)})
    assert browser.get("/").location == f"/shipments/?view={view.id}"


def test_without_packages_it_says_what_will_come(take: Take, browser: Browser) -> None:
    take(incoming_order())
    assert "Nothing has shipped yet" in browser.get("/shipments/").text


def test_rows_are_chosen_only_where_something_can_be_done_to_them(
    ship: Ship, browser: Browser, make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    [order] = ship(1)
    packer = make_browser(make_user("packer", "Pat"))
    for reader, boxes in ((browser, 2), (packer, 0)):
        page = reader.get("/shipments/").text
        assert page.count('name="package"') == boxes
        assert ("data-all" in page) is ("bulk-bar" in page) is bool(boxes)
        assert set(packages_of(page)) == {"JD0001", "JD0002"}
        row = re.search(rf'data-live="orders-{order.id}" hx-get="([^"]+)"', page)
        assert row is not None
        assert ('name="package"' in reader.get(row[1]).text) is bool(boxes)
    assert 'name="order"' in packer.get("/orders/").text
