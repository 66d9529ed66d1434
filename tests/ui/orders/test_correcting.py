"""Correcting a package in the browser: its form among the packages, with and without JavaScript."""

import re
from collections.abc import Callable

import pytest

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.holding import SETTINGS
from webapp.fulfillment.models import Package
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import store_all
from webapp.sync import jobs
from webapp.testing import again, incoming_order, line_again

KEYS = ("submission_key", "order_version")


@pytest.fixture
def clerk(mia: Actor, make_browser: Callable[..., Browser]) -> Browser:
    return make_browser(mia)


@pytest.fixture
def order(make_order: Callable[..., Order], mia: Actor) -> Order:
    """An order in two parcels."""
    made = make_order(quantity=2)
    for number in (1, 2):
        with unit_of_work():
            package = PackageInput("DHL", f"JD{number}", service="Paket", lines={made.lines[0].id: 1})
            ship_order(locked(made), [package], actor=mia)
    return made


def hidden(page: str, code: str = "correct_shipment") -> dict[str, str]:
    names = ("submission_key", "order_version", "package")
    form = page[page.index(f"/actions/{code}") :]
    return {name: re.search(rf'name="{name}"[^>]*value="([^"]*)"', form)[1] for name in names}  # type: ignore[index]


def numbers() -> list[str]:
    db.session.expire_all()
    return [row.tracking_number for row in db.session.query(Package).order_by(Package.number)]


@pytest.mark.parametrize("htmx", [True, False])
def test_each_package_has_a_form_with_what_it_has(order: Order, clerk: Browser, htmx: bool) -> None:
    page = clerk.get(f"/orders/{order.number}?tab=shipments").text
    url = f"/orders/{order.number}/actions/correct_shipment"
    assert [f"{url}?package={number}" in page for number in (1, 2)] == [True, True]
    form = clerk.get(f"{url}?package=2", htmx=htmx).text
    assert re.search(r'name="tracking_number"[^>]*value="JD2"', form)
    assert re.search(r'<option selected value="DHL"', form)
    assert hidden(form)["package"] == "2"
    kept = {"carrier": "DHL", "service": "", "tracking_number": "JD9"}
    answer = clerk.post(url, hidden(form) | kept, htmx=htmx)
    page = answer.text if htmx else clerk.get(f"/orders/{order.number}?tab=shipments").text
    assert numbers() == ["JD1", "JD9"]
    assert "Package 2 corrected: DHL, JD9, before: DHL, Paket, JD2" in page
    assert "JD9" in page[page.index("packages-heading") :]


def test_an_error_stands_beside_its_field_and_what_was_typed_stays(order: Order, clerk: Browser) -> None:
    url = f"/orders/{order.number}/actions/correct_shipment"
    form = clerk.get(f"{url}?package=1", htmx=True).text
    answer = clerk.post(url, hidden(form) | {"carrier": "Other", "tracking_number": "JD9"}, htmx=True)
    assert answer.status_code == 422
    assert "Enter the name of the carrier." in answer.text
    assert re.search(r'name="tracking_number"[^>]*value="JD9"', answer.text)
    assert hidden(answer.text)["package"] == "1"
    again = clerk.post(url, hidden(answer.text) | {"carrier": "DHL", "tracking_number": "JD1"})
    assert numbers() == ["JD1", "JD2"]
    assert again.status_code in (200, 302, 422)


@pytest.mark.parametrize("package", ["", "x", "7", "99999999999"])
def test_another_package_is_a_sentence(order: Order, clerk: Browser, package: str) -> None:
    url = f"/orders/{order.number}/actions/correct_shipment"
    assert clerk.get(f"{url}?package={package}").status_code < 500
    form = clerk.get(f"{url}?package=1", htmx=True).text
    data = hidden(form) | {"package": package, "carrier": "DHL", "tracking_number": "JD9"}
    assert clerk.post(url, data, htmx=True).status_code in (422, 404)
    assert numbers() == ["JD1", "JD2"]


def test_somebody_else_was_quicker(
    order: Order, clerk: Browser, make_user: Callable[..., Actor], make_browser: Callable[..., Browser]
) -> None:
    url = f"/orders/{order.number}/actions/correct_shipment"
    form = clerk.get(f"{url}?package=1", htmx=True).text
    other = make_browser(make_user("clerk", "Bo"))
    theirs = other.get(f"{url}?package=1", htmx=True).text
    other.post(
        url,
        hidden(theirs) | {"carrier": "DHL", "service": "Paket", "tracking_number": "JD8"},
        htmx=True,
    )
    answer = clerk.post(url, hidden(form) | {"carrier": "DHL", "tracking_number": "JD9"}, htmx=True)
    assert answer.status_code == 409
    assert "Package 1 corrected: DHL, Paket, JD8" in answer.text
    assert numbers() == ["JD8", "JD2"]


# --- Taking back ------------------------------------------------------------------------------------------------------


def back_form(page: str) -> dict[str, str]:
    """The hidden fields of the form that takes the latest shipment back."""
    form = page[page.index("/actions/take_back") :]
    names = ("submission_key", "order_version")
    return {name: re.search(rf'name="{name}"[^>]*value="([^"]*)"', form)[1] for name in names}  # type: ignore[index]


@pytest.mark.parametrize("htmx", [True, False])
def test_a_package_is_taken_back_from_the_page(order: Order, clerk: Browser, htmx: bool) -> None:
    url = f"/orders/{order.number}/actions/take_back"
    form = clerk.get(f"{url}?package=2", htmx=htmx).text
    answer = clerk.post(url, hidden(form, "take_back"), htmx=htmx)
    page = answer.text if htmx else clerk.get(f"/orders/{order.number}?tab=shipments").text
    assert numbers() == ["JD1"]
    assert "Shipment undone: DHL, Paket, JD2 (units: 1)" in page


def test_once_it_has_left_the_page_says_that_it_can_not_and_what_to_do(
    order: Order, clerk: Browser, work: Callable[[], int]
) -> None:
    jobs.find_due()
    work()
    page = clerk.get(f"/orders/{order.number}?tab=shipments").text
    assert page.count("Fake channel can&#39;t undo a shipment. Correct the package;") == 2
    assert page.count(f"/orders/{order.number}/actions/correct_shipment?package=") == 4  # with and without JavaScript
    assert "/actions/take_back" not in page
    answer = clerk.get(f"/orders/{order.number}/actions/take_back?package=1")
    assert answer.status_code == 409
    assert "undo a shipment" in answer.text


def test_a_package_of_others_has_no_buttons(take: Callable[..., list[Order]], clerk: Browser) -> None:
    told = incoming_order()
    [made] = take(told)
    take(again(told, lines=line_again(told, fulfilled=1, unfulfilled=0)))
    page = clerk.get(f"/orders/{made.number}?tab=shipments").text
    assert "Shipped elsewhere" in page
    assert "/actions/correct_shipment" not in page


def ship_held(clerk: Browser, order: Order, store: Store, seconds: int = 60) -> str:
    """Ship the order at a store that holds shipments; returns the answer."""
    with unit_of_work():
        store_all(SETTINGS, {"ship_hold": seconds}, store)
    url = f"/orders/{order.number}/actions/ship"
    form = clerk.get(url, htmx=True).text
    data = {name: re.search(rf'name="{name}"[^>]*value="([^"]*)"', form)[1] for name in KEYS}  # type: ignore[index]
    return clerk.post(url, data | {"carrier": "DHL", "tracking_number": "JD1"}, htmx=True).text


def test_while_it_is_held_the_message_and_the_page_offer_to_undo_it(
    make_order: Callable[..., Order], clerk: Browser, store: Store
) -> None:
    made = make_order()
    answer = ship_held(clerk, made, store)
    assert numbers() == ["JD1"]
    assert f"/orders/{made.number}/actions/take_back" in answer[answer.index('id="messages"') :]
    page = clerk.get(f"/orders/{made.number}/aside", htmx=True).text
    assert re.search(r"The confirmation is sent to Fake channel at \d\d:\d\d:\d\d\.", page)
    clerk.post(f"/orders/{made.number}/actions/take_back", back_form(page))
    assert numbers() == []
    page = clerk.get(f"/orders/{made.number}/aside", htmx=True).text
    assert "Shipment undone: DHL, JD1 (units: 1)" in page
    assert "The confirmation is sent to" not in page


def test_what_goes_at_once_offers_no_undo(make_order: Callable[..., Order], clerk: Browser, store: Store) -> None:
    made = make_order()
    answer = ship_held(clerk, made, store, 0)
    assert "take_back" not in answer[answer.index('id="messages"') :]
    assert "The confirmation is sent to" not in clerk.get(f"/orders/{made.number}/aside", htmx=True).text


def test_the_outbox_undoes_it_too(
    make_order: Callable[..., Order],
    clerk: Browser,
    store: Store,
    make_user: Callable[..., Actor],
    make_browser: Callable[..., Browser],
) -> None:
    made = make_order()
    ship_held(clerk, made, store)
    boss = make_browser(make_user("manager", "Bo"))
    page = boss.get("/outbox/?q=sending:held").text
    ids = sorted(set(re.findall(r'name="update" value="(\d+)"', page)))
    assert len(ids) == 1
    boss.post("/outbox/decide/undo", {"update": ids, "q": "sending:held"})
    assert numbers() == []
    db.session.expire_all()
    assert db.session.get_one(Order, made.id).unshipped == 1
