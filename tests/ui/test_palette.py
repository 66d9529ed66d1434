"""Doing anything by name: what is offered follows from rights, and nothing that is typed reaches a URL unasked."""

from collections.abc import Callable
from typing import Any

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.orders.models import Order

JSON = {"Accept": "application/json"}


def _labels(browser: Browser) -> set[str]:
    return {way["label"] for way in browser.get("/palette/", **JSON).get_json()}


def test_the_ways_are_those_of_the_person(
    browser: Browser, make_browser: Callable[..., Browser], make_user: Callable[..., Actor], store: Any
) -> None:
    reader = make_browser(make_user("read_only", "Rita"))

    assert _labels(browser) >= {"Dashboard", "Orders", "Stores", "Runs", "Plugins", "Add a store", store.name}
    assert _labels(reader) >= {"Orders", "Stores", store.name}
    assert not _labels(reader) & {"Plugins", "Settings", "Add a store"}


def test_every_way_leads_somewhere(browser: Browser, store: Any) -> None:
    for way in browser.get("/palette/", **JSON).get_json():
        answer = browser.get(way["url"].partition("#")[0])
        assert answer.status_code in (200, 302), way


def test_without_a_script_the_ways_stand_on_a_page(browser: Browser, store: Any) -> None:
    page = browser.get("/palette/")

    assert f'href="/stores/{store.id}"' in page.text
    assert len(browser.queries) <= 8


def test_an_order_is_opened_by_its_number(browser: Browser, make_order: Callable[..., Order]) -> None:
    order = make_order()

    answer = browser.post("/palette/", {"number": f" {order.number} "})

    assert answer.location == f"/orders/{order.number}"


def test_a_name_typed_as_a_number_stays_out_of_the_url(browser: Browser) -> None:
    for typed in ("Jane Quixelworth", "Quixelworth", "12 Zanzibar Mews", ""):
        answer = browser.post("/palette/", {"number": typed})

        assert answer.status_code == 422
        assert "That is no order number" in answer.text
        assert 'aria-describedby="number-error"' in answer.text
