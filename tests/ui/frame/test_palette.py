"""Doing anything by name: what is offered follows from rights, and nothing that is typed reaches a URL unasked."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.db import db
from webapp.jobs.models import Run
from webapp.orders.models import Order

JSON = {"Accept": "application/json"}


def _ways(browser: Browser) -> dict[str, dict[str, Any]]:
    return {way["label"]: way for way in browser.get("/palette/", **JSON).get_json()["ways"]}


def _labels(browser: Browser) -> set[str]:
    return set(_ways(browser))


def test_the_ways_are_those_of_the_person(
    browser: Browser, make_browser: Callable[..., Browser], make_user: Callable[..., Actor], store: Any
) -> None:
    reader = make_browser(make_user("read_only", "Rita"))

    assert _labels(browser) >= {"Dashboard", "Orders", "Stores", "Runs", "Plugins", "Add a store", store.name}
    assert _labels(reader) >= {"Orders", "Stores", store.name}
    assert not _labels(reader) & {"Plugins", "Settings", "Add a store", "Add a tag", "Export all orders"}
    assert f"Sync {store.name} now" in _labels(browser)
    assert not [label for label in _labels(reader) if label.startswith(("Sync", "Export", "Settings of"))]
    assert reader.get("/palette/", **JSON).get_json()["acts"] == []


def test_every_way_leads_somewhere(browser: Browser, store: Any) -> None:
    ways = _ways(browser)
    for label, way in ways.items():
        if label == "Sign out":
            continue
        url = way["url"].partition("#")[0]
        answer = browser.get(url) if way["fields"] is None else browser.post(url, way["fields"])
        assert answer.status_code in (200, 302), way
    assert browser.post(ways["Sign out"]["url"]).status_code == 302
    assert browser.get("/palette/").location.startswith("/sign-in")


def test_what_is_posted_needs_the_token_of_a_page(browser: Browser, store: Any) -> None:
    way = _ways(browser)[f"Sync {store.name} now"]

    assert browser.post(way["url"], way["fields"], token=False).status_code == 400
    assert db.session.query(Run).count() == 0

    assert browser.post(way["url"], way["fields"]).location == f"/stores/{store.id}/traffic"
    assert db.session.query(Run).count() == 1


def test_stores_that_rest_are_not_synced(browser: Browser, store: Any, olga: Actor) -> None:
    browser.post(f"/stores/{store.id}/deactivate")

    assert f"Sync {store.name} now" not in _labels(browser)
    assert f"Traffic of {store.name}" in _labels(browser)


def test_a_view_is_exported_by_its_name(browser: Browser, store: Any) -> None:
    browser.post("/orders/views/", {"name": "Mugs", "q": "sku:MUG"})

    assert "q=sku:MUG" in _ways(browser)["Export “Mugs”"]["url"]
    assert "1 order" not in browser.get(_ways(browser)["Export “Mugs”"]["url"]).text


def test_words_are_offered_to_the_search_box_of_the_page(browser: Browser, store: Any) -> None:
    for page, words, about in (
        ("/dashboard/", "Search orders for “{text}”", "Orders"),
        ("/shipments/", "Search shipments: {text}", "Shipments"),
    ):
        drawn = browser.get(page).text
        assert f'data-search="{words}"' in drawn
        assert f'data-searched="{about}"' in drawn


def test_views_of_the_other_lists_are_reached_by_their_names(
    browser: Browser, make_browser: Callable[..., Browser], make_user: Callable[..., Actor], store: Any
) -> None:
    browser.post("/shipments/views/", {"name": "Big ones", "q": "carrier:DHL"})
    ways = _ways(browser)
    assert ways["Shipped today"]["url"] == "/shipments/?view=today"
    assert ways["Big ones"]["about"] == ways["Filter the shipments"]["about"] == "Shipments"
    assert "1 package" not in browser.get(ways["Big ones"]["url"]).text
    others = _labels(make_browser(make_user("read_only", "Rita")))
    assert "Shipped today" in others
    assert not {"Big ones", "Export", "Roles"} & others


def test_a_view_is_exported_with_its_own_columns(browser: Browser, store: Any) -> None:
    browser.post("/orders/columns", {"column": ["number", "country"]})
    browser.post("/orders/views/", {"name": "Where to", "q": "state:open", "columns": "1"})
    browser.post("/orders/columns", {"column": ["number", "total"]})

    ticked = r'name="column" value="(\w+)" checked'
    assert re.findall(ticked, browser.get(_ways(browser)["Export “Where to”"]["url"]).text) == ["country"]
    assert re.findall(ticked, browser.get(_ways(browser)["Export all orders"]["url"]).text) == ["total"]


def test_every_way_out_forgets_what_was_typed(browser: Browser, store: Any) -> None:
    assert [label for label, way in _ways(browser).items() if way["forget"]] == ["Sign out"]
    for path, count in (("/palette/", 2), ("/orders/", 1), ("/dashboard/", 1)):
        ways = re.findall(r'<form[^>]*action="/sign-out"[^>]*>', browser.get(path).text)
        assert len(ways) == count, path
        assert all("data-forget" in way for way in ways), path


def test_an_act_by_its_name_and_a_number(
    browser: Browser,
    make_order: Callable[..., Order],
    make_browser: Callable[..., Browser],
    make_user: Callable[..., Actor],
) -> None:
    order = make_order()
    acts = {act["code"]: act["label"] for act in browser.get("/palette/", **JSON).get_json()["acts"]}
    assert acts["hold"] == "Hold"
    assert not acts.keys() & {"correct_shipment", "approve_refund", "accept_return"}  # done beside a part of an order

    sent = browser.post("/palette/", {"text": str(order.number), "act": "hold"})

    assert sent.location == f"/orders/{order.number}/actions/hold#order-actions"
    assert 'name="reason"' in browser.get(sent.location.partition("#")[0]).text
    reader = make_browser(make_user("read_only", "Rita"))
    looked = _posted_on(reader, {"text": str(order.number), "act": "hold"})
    assert looked.location == f"/orders/{order.number}"


def test_a_page_reached_from_an_order_begins_with_its_acts(browser: Browser, make_order: Callable[..., Order]) -> None:
    order = make_order()
    assert f'href="/palette/?order={order.number}" data-palette' in browser.get(f"/orders/{order.number}").text

    page = browser.get(f"/palette/?order={order.number}").text

    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert f"Order {order.number}" in page
    assert f'href="/orders/{order.number}/actions/ship#order-actions">Ship</a>' in page
    assert 'action="/sign-out"' in page


def test_without_a_script_the_ways_stand_on_a_page(browser: Browser, store: Any) -> None:
    page = browser.get("/palette/")

    assert f'href="/stores/{store.id}"' in page.text
    assert len(browser.queries) <= 8


def _posted_on(browser: Browser, given: dict[str, str]) -> TestResponse:
    """What the search answers to what the palette posts on to it."""
    sent = browser.post("/palette/", given)
    assert (sent.status_code, sent.location) == (307, "/orders/search")
    return browser.post(sent.location, given)


def test_an_order_is_opened_by_its_number(browser: Browser, make_order: Callable[..., Order]) -> None:
    order = make_order()

    assert _posted_on(browser, {"text": f" {order.number} "}).location == f"/orders/{order.number}"


@pytest.mark.parametrize("act", ["", "hold"])
@pytest.mark.parametrize("typed", ["0612345678", "75001", "jane_doe1", "Jane Quixelworth", "12 Zanzibar Mews"])
def test_what_is_no_orders_number_is_searched_for_and_stays_out_of_the_url(
    browser: Browser, store: Any, typed: str, act: str
) -> None:
    found = _posted_on(browser, {"text": typed, "act": act})

    assert re.fullmatch(r"/orders/\?q=&w=[\w-]+&sort=-placed", found.location)
    assert typed in browser.get(found.location).text
