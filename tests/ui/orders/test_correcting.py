"""Correcting a package in the browser: its form among the packages, with and without JavaScript."""

import re
from collections.abc import Callable

import pytest

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.models import Package
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import locked


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
    assert "This carrier needs a name." in answer.text
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
