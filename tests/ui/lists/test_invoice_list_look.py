"""The list of invoices in a real browser, worked by keys alone, on a telephone, dark and in French."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.frame.test_look import _flaws, desk, page  # noqa: F401 - the fixtures of a desk in a browser
from tests.ui.lists.test_outbox_look import tab_to
from webapp.audit.actor import Actor
from webapp.billing.services import issue_invoices
from webapp.db import unit_of_work
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import incoming_order

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


@pytest.fixture
def invoices(take: Callable[..., list[Order]], olga: Actor) -> None:
    for order in take(*[incoming_order() for _ in range(3)]):
        with unit_of_work():
            issue_invoices([locked(order)], actor=olga)


@pytest.mark.usefixtures("invoices")
def test_invoices_are_printed_by_keys_alone(page: Any) -> None:  # noqa: F811
    page.goto("/dashboard/")
    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page.get_by_role("heading", name="Invoices", level=1)).to_be_visible()
    expect(page.locator("#list-rows tr")).to_have_count(3)
    page.wait_for_load_state()  # by then the scripts take keys
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator("#list-rows input:checked")).to_have_count(2)
    tab_to(page, "Print")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="2 invoices", level=1)).to_be_visible()
    expect(page.locator("article.slip")).to_have_count(2)
    assert _flaws(page) == []
    tab_to(page, "Label 4 × 6 in")
    page.keyboard.press("Enter")
    expect(page.locator("article.slip[data-paper='4x6']")).to_have_count(2)


@pytest.mark.usefixtures("invoices")
def test_they_fit_a_telephone_in_the_dark_and_in_french(page: Any) -> None:  # noqa: F811
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    page.context.set_extra_http_headers({"Accept-Language": "fr"})
    for path, heading in (
        ("/invoices/", "Factures"),
        ("/invoices/print?all=1", "3 factures"),
        ("/orders/pick-list?all=1", "Liste de prélèvement"),
        ("/reports/taxes", "Rapport des taxes"),
        ("/reports/invoices", "Rapport des factures"),
    ):
        page.goto(path)
        expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
        expect(page.locator("main [aria-busy=true]")).to_have_count(0)
        assert _flaws(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), path
