"""The desk as a newcomer meets it, in a real browser: `up`, the link, practice orders, shipping one, Amazon has it."""

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.journeys.browser.conftest import LONG, Desk


def ship(page: Page, tracking: str) -> None:
    page.locator("#order-actions").get_by_text("Ship", exact=True).first.click()
    page.locator("#order-actions select[name=carrier]").select_option("DHL")
    page.locator("#order-actions input[name=tracking_number]").fill(tracking)
    page.locator("#order-actions form button.main").click()


def test_a_newcomer_ships_an_order_and_amazon_has_it(desk: Desk, open_page: Callable[..., Page]) -> None:
    order = desk.open_order()
    page = open_page()
    page.goto(f"{desk.url}/orders/")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.goto(f"{desk.url}/orders/{order['channel_order_number']}")
    expect(page.get_by_text(order["number"]).first).to_be_visible()
    ship(page, "JD-BROWSER-1")
    expect(page.locator("#order-summary")).to_contain_text("Complete")
    expect(page.locator("#order-updates .row").first).to_contain_text("Confirmed", timeout=LONG)
    packages = desk.told(order["channel_order_number"])
    assert {(package["carrierCode"], package["trackingNumber"]) for package in packages} == {("DHL", "JD-BROWSER-1")}


def test_the_same_by_the_command_line(desk: Desk, signed_in: dict[str, Any]) -> None:
    order = desk.open_order(skip=1)
    parcel = json.dumps({"carrier": "UPS", "tracking_number": "1Z-CLI-1"})
    done = desk.command("orders", "act", order["number"], "ship", "--data", parcel)
    [update] = done["updates"]
    desk.command("updates", "wait", str(update["id"]), "--until", "sent", "--seconds", "240")
    assert [package["trackingNumber"] for package in desk.told(order["channel_order_number"])] == ["1Z-CLI-1"]


def test_shipping_works_without_javascript(desk: Desk, open_page: Callable[..., Page]) -> None:
    order = desk.open_order(skip=2)
    page = open_page(java_script_enabled=False)
    page.goto(f"{desk.url}/orders/{order['number']}")
    ship(page, "JD-PLAIN-1")
    expect(page.locator("#order-summary")).to_contain_text("Complete")


def test_a_mistake_keeps_what_was_typed(desk: Desk, open_page: Callable[..., Page]) -> None:
    order = desk.open_order(skip=3)
    page = open_page()
    page.goto(f"{desk.url}/orders/{order['number']}/actions/ship")
    page.locator("#order-actions select[name=carrier]").select_option("Other")
    page.locator("#order-actions input[name=tracking_number]").fill("KEEP-ME")
    page.locator("#order-actions form button.main").click()
    expect(page.get_by_text("Enter the name of the carrier.").first).to_be_visible()
    expect(page.locator("#order-actions input[name=tracking_number]")).to_have_value("KEEP-ME")


def test_each_act_is_told_once_however_many_came_before(desk: Desk, open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto(f"{desk.url}/orders/{desk.open_order(skip=3)['number']}")
    for number in range(3):
        page.locator("#order-comments textarea").fill(f"Comment {number}")
        page.get_by_role("button", name="Add comment").click()
        expect(page.locator("#order-comments")).to_contain_text(f"Comment {number}")
    expect(page.locator("#messages")).to_have_count(1)
    assert page.locator("#messages .toast").count() <= 3


def test_the_same_form_sent_twice_ships_once(desk: Desk, open_page: Callable[..., Page]) -> None:
    order = desk.open_order(skip=3)
    first, second = open_page(), open_page()
    for page in (first, second):
        page.goto(f"{desk.url}/orders/{order['number']}/actions/ship")
        page.locator("#order-actions select[name=carrier]").select_option("DHL")
        page.locator("#order-actions input[name=tracking_number]").fill("JD-TWICE")
    for page in (first, second):
        page.locator("#order-actions form button.main").click()
    for page in (first, second):  # either may be the one that ships
        shipped = page.locator("#order-summary", has_text="Complete")
        refused = page.locator("#messages", has_text="Nothing is left to ship.")
        expect(shipped.or_(refused).first).to_be_visible()
    assert desk.packages(order["number"]) == 1


def test_news_appears_by_itself(desk: Desk, open_page: Callable[..., Page]) -> None:
    """An order placed on the practice Amazon's page is on the desk within ten seconds, and the open list says so."""
    page = open_page()
    page.goto(f"{desk.url}/orders/")
    answer = httpx.post(f"{desk.practice_url}/practice/orders", json={"marketplace": "DE", "count": 1})
    [placed] = answer.raise_for_status().json()["orders"]
    # If more than five rows change at once, all are drawn again, including this order's.
    said = re.compile(f"1 new order|{placed['order_id']}")
    expect(page.locator("main")).to_contain_text(said, timeout=LONG)


FULL_PAGES = ("/orders/", "/orders/{number}", "/orders/{number}/actions/ship", "/dashboard/", "/runs/")


@pytest.mark.parametrize(("theme", "language", "width"), [("light", "en", 1440), ("dark", "fr", 390)])
def test_axe_finds_nothing_on_a_full_desk_and_no_page_scrolls_sideways(
    desk: Desk, open_page: Callable[..., Page], theme: str, language: str, width: int
) -> None:
    """Every page is looked at with few rows, by `tests/ui/frame/test_look.py`."""
    number = desk.open_order(skip=3)["number"]
    page = open_page(color_scheme=theme, locale=language, viewport={"width": width, "height": 900})
    found = {}
    for path in FULL_PAGES:
        page.goto(desk.url + path.format(number=number))
        expect(page.locator("[aria-busy=true]")).to_have_count(0)  # cards and counts come after the page
        if violations := Axe().run(page).response["violations"]:
            found[path] = [(violation["id"], violation["nodes"][0]["html"][:120]) for violation in violations]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert found == {}


def test_an_order_can_be_shipped_by_keyboard_alone(desk: Desk, open_page: Callable[..., Page]) -> None:
    order = desk.open_order(skip=3)
    page = open_page()
    page.goto(f"{desk.url}/orders/{order['number']}")

    def tab_to(selector: str) -> None:
        for _ in range(80):
            if page.evaluate("s => document.activeElement && document.activeElement.matches(s)", selector):
                return
            page.keyboard.press("Tab")
        pytest.fail(f"Tab never reaches {selector}")

    tab_to("#order-actions a[href*='/actions/ship']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#order-actions input[name=tracking_number]")
    expect(page.locator("#order-actions :is(select[name=carrier], input[name=tracking_number]):focus")).to_have_count(1)
    tab_to("#order-actions select[name=carrier]")
    page.keyboard.type("DHL")
    tab_to("#order-actions input[name=tracking_number]")
    page.keyboard.type("JD-KEYS")
    page.keyboard.press("Enter")
    expect(page.locator("#order-summary")).to_contain_text("Complete")
