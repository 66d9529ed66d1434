"""Parts that renew themselves, in a real browser: the focus stays where it is, and the page shows what arrives."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import expect

from tests.ui.frame.test_look import _flaws, desk, page, renew  # noqa: F401 - the fixtures of a desk in a browser
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.orders.bulk import start_bulk
from webapp.orders.holds import hold
from webapp.orders.models import Order
from webapp.orders.services import find_action, read_input
from webapp.testing import incoming_order

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def held(olga: Actor, *orders: Order) -> int:
    """A run that holds these orders."""
    with unit_of_work():
        given = read_input(find_action("hold"), {"reason": "fraud check"})
        return start_bulk("hold", given, actor=olga, ids=[order.id for order in orders]).id


def focus_through_news(page: Any, selector: str, url: str, part: str) -> bool:  # noqa: F811
    """Whether an element has the focus still, and from first to last, after its part was told to renew itself."""
    page.locator(selector).focus()
    page.evaluate("window.lost = document.activeElement.addEventListener('blur', () => (window.lost = true))")
    with page.expect_response(f"**{url}*"):
        renew(page, part)
    return bool(page.evaluate("document.activeElement !== document.body && !window.lost"))


def test_news_leave_the_focus_on_an_orders_page_where_it_is(
    page: Any,  # noqa: F811
    make_order: Callable[..., Order],
) -> None:
    order = make_order()
    page.goto(f"/orders/{order.number}")
    page.wait_for_selector("#order-packages")
    copy = f"#order-summary button[data-copy='{order.number}']"
    assert focus_through_news(page, "#offer-ship", "/actions/", "#order-actions")
    assert focus_through_news(page, copy, "/parts", "#order-live")
    assert focus_through_news(page, "#order-timeline a >> nth=0", "/aside", "#order-aside")


def test_an_answer_that_newer_rows_overtook_is_asked_for_again(page: Any, take: Callable[..., list[Order]]) -> None:  # noqa: F811
    take(incoming_order())
    page.goto("/orders/")
    before = page.locator("#list-news").get_attribute("hx-get")
    [order] = take(incoming_order())
    asked: list[Any] = []
    page.route("**/orders/news?*", lambda route: asked.append(route) if not asked else route.continue_())
    with page.expect_request("**/orders/news?*"):
        page.evaluate("htmx.trigger('#list-news', 'refresh')")
    page.evaluate("htmx.trigger('#list-rows', 'refresh')")
    page.wait_for_selector(f"#order-{order.id}")
    page.wait_for_function("url => document.querySelector('#list-news').getAttribute('hx-get') !== url", arg=before)
    with page.expect_response(lambda answer: "/orders/news" in answer.url and before not in answer.url):
        asked[0].continue_()
    expect(page.locator("#list-news")).to_have_text("")


def test_an_answer_that_finds_another_tab_is_asked_for_again(page: Any, make_order: Callable[..., Order]) -> None:  # noqa: F811
    order = make_order()
    page.goto(f"/orders/{order.number}")
    asked: list[Any] = []
    page.route(f"**/orders/{order.number}/parts*", lambda route: route.continue_() if asked else asked.append(route))
    with page.expect_request("**/parts*"):
        page.evaluate("htmx.trigger('#order-live', 'refresh')")
    page.get_by_role("link", name="Timeline", exact=True).click()
    expect(page).to_have_url(re.compile("tab=timeline"))
    expect(page.locator("#timeline-heading")).to_be_visible()
    with page.expect_response(lambda answer: "/parts" in answer.url and answer.request != asked[0].request):
        asked[0].continue_()


def test_news_leave_the_focus_on_a_running_run_and_a_store(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
    olga: Actor,
    store: Store,
) -> None:
    run = held(olga, *take(incoming_order()))
    page.goto(f"/runs/{run}")
    assert focus_through_news(page, "#run-stop", "/progress", f"#run-{run}")
    page.goto(f"/stores/{store.id}/traffic")
    button = f"#store-{store.id}-status form[action$=test] button"
    assert focus_through_news(page, button, "/status", f"#store-{store.id}-status")
    page.goto(f"/orders/?run={run}")
    page.wait_for_selector("#run-strip[data-live]")
    assert focus_through_news(page, "#run-strip-details", "/strip", "#run-strip")


def test_a_runs_page_shows_its_results_as_they_come(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
    olga: Actor,
    work: Callable[[], int],
) -> None:
    orders = take(incoming_order(), incoming_order())
    with unit_of_work():
        hold(db.session.get_one(Order, orders[0].id), "fraud check", actor=olga)
    run = held(olga, *orders)
    with page.expect_response("**/live?*"):
        page.goto(f"/runs/{run}")
    expect(page.locator("#run-results .pill:text-is('Not done yet')")).to_have_count(2)
    work()
    page.wait_for_selector("#run-results button:has-text('Try 1 order again')")
    expect(page.locator("#run-results .pill:text-is('Done')")).to_have_count(1)
    expect(page.locator("#run-results .pill:text-is('Not done yet')")).to_have_count(0)
    assert _flaws(page) == []


def test_a_card_that_did_not_load_says_so_and_is_tried_again(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
) -> None:
    take(incoming_order())
    away = "**/dashboard/cards/*"
    page.route(away, lambda route: route.fulfill(status=404, body="away"))
    page.goto("/dashboard/")
    page.wait_for_selector("#card-work [data-failed]:not([hidden])")
    page.wait_for_selector("#card-sales [data-failed]:not([hidden])")
    expect(page.locator("main")).not_to_contain_text("Loading", use_inner_text=True)
    assert _flaws(page) == []
    page.unroute(away)
    page.click("#card-sales a:has-text('Try again')")
    page.wait_for_selector("#card-sales .tiles")
    page.wait_for_selector("#card-sales-heading:focus", state="attached")
    page.evaluate("htmx.trigger('#card-work', 'refresh')")
    page.wait_for_selector("#card-work .stats")
    expect(page.locator("#card-work[aria-busy]")).to_have_count(0)


def test_what_changes_while_a_page_is_on_its_way_is_shown(
    app: Flask,
    page: Any,  # noqa: F811
    make_order: Callable[..., Order],
    olga: Actor,
) -> None:
    order = make_order()
    order_id = order.id

    def change_first(route: Any) -> None:
        with app.app_context(), unit_of_work():
            hold(db.session.get_one(Order, order_id), "fraud check", actor=olga)
        route.continue_()

    page.route("**/live*", change_first, times=1)
    page.goto(f"/orders/{order.number}")
    page.locator("#order-summary").get_by_text("fraud check").wait_for()
