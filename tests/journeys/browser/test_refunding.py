"""Invoicing and refunding in a real browser: in as few steps as promised, by two people at once; what is refused."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.journeys.browser.conftest import LONG, Desk
from tests.journeys.browser.test_desk_work import Steps

SHIPPED = """
    SELECT number FROM orders
     WHERE state = 'complete' AND fulfilled_by = 'merchant' AND total_minor > 2000
       AND refunded_minor + refunding_minor = 0
       AND marketplace = 'A1PA6795UKMFR9'
     ORDER BY id LIMIT 1 OFFSET ?
"""
NOT_INVOICED = """
    SELECT number FROM orders
     WHERE state = 'processing' AND fulfilled_by = 'merchant' AND channel_status = 'UNSHIPPED'
       AND NOT (on_hold OR canceling OR buyer_wants_cancel) AND total_minor > 0
       AND NOT EXISTS (SELECT 1 FROM order_lines WHERE order_id = orders.id AND invoiced > 0)
     ORDER BY id DESC LIMIT 1
"""
PENDING = "SELECT refunding_minor FROM orders WHERE number = ?"


@pytest.fixture(scope="module")
def full_desk(desk: Desk) -> Desk:
    desk.wait_for_orders(200)
    desk.command("role", "change", "clerk", "--give", "orders.refund", "--refunds-up-to", "1 EUR")
    return desk


def shipped(desk: Desk, skip: int) -> str:
    """The number of an order that has shipped."""
    return str(desk.until(lambda: desk.read(SHIPPED, skip), "a shipped order")[0]["number"])


def pending(desk: Desk, number: str) -> int:
    return int(desk.read(PENDING, number)[0][0])


def compose(page: Page, units: str = "1") -> None:
    """Fill in the form of a refund: one unit of the first line."""
    page.locator("#order-actions select[name=reason]").select_option(index=1)
    boxes = page.locator("#order-actions input[name$='-units']")
    for place in range(boxes.count()):
        boxes.nth(place).fill(units if place == 0 else "0")


def test_one_line_is_refunded_in_four_and_the_total_follows_what_is_typed(
    full_desk: Desk, open_page: Callable[..., Page]
) -> None:
    page, number = open_page(), shipped(full_desk, 0)
    page.goto(f"{full_desk.url}/orders/")
    steps = Steps(page)
    steps.search(number)
    steps.click(page.locator("#order-actions .offers summary"))
    steps.click(page.locator("#order-actions").get_by_role("link", name="Refund buyer", exact=True))
    form = page.locator("#order-actions form.chosen")
    compose(page)
    expect(form).to_contain_text("The buyer gets", timeout=LONG)
    form.locator("details summary").first.click()  # an amount of one's own: not needed for the others
    amount = page.locator("#order-actions .amounts input[name$='-item']").first
    amount.fill("1,5")
    expect(form).to_contain_text(re.compile("The buyer gets €1[.]"), timeout=LONG)
    amount.fill("99999")
    expect(form).to_contain_text("The amount is too high. Left to refund of", timeout=LONG)
    amount.fill("")
    expect(form).to_contain_text("You can undo it until then", timeout=LONG)
    steps.click(form.locator("button.main"))
    expect(page.locator("#messages")).to_contain_text("Refund of")
    assert steps.taken <= 4
    assert pending(full_desk, number) > 0


def test_an_order_is_invoiced_in_three(full_desk: Desk, open_page: Callable[..., Page]) -> None:
    number, page = full_desk.until(lambda: full_desk.read(NOT_INVOICED), "an order")[0]["number"], open_page()
    page.goto(f"{full_desk.url}/orders/{number}")
    steps = Steps(page)
    steps.click(page.locator("#order-actions .offers summary"))
    steps.click(page.locator("#order-actions").get_by_role("link", name="Invoice order", exact=True))
    steps.click(page.locator("#order-actions form.chosen button.main"))
    expect(page.locator("#messages")).to_contain_text("issued")
    assert steps.taken <= 3
    page.goto(f"{full_desk.url}/orders/{number}?tab=invoices")
    page.get_by_role("button", name="Correct invoice").click()
    expect(page.locator("#order-tab")).to_contain_text("A credit memo already corrects everything")
    assert Axe().run(page).violations_count == 0


def test_an_order_that_has_not_shipped_says_to_cancel_it(full_desk: Desk, open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto(f"{full_desk.url}/orders/{full_desk.open_order(5)['number']}")
    expect(page.locator("#offer-refund")).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#order-actions")).to_contain_text("This order has not shipped. Cancel it instead")


@pytest.fixture(scope="module")
def colleague(full_desk: Desk) -> str:
    """A link that lets a clerk in who may refund 1 EUR without approval."""
    full_desk.command("user", "create", "--email", "rita@example.org", "--role", "clerk", "--name", "Rita Refund")
    return str(full_desk.command("user", "link", "--email", "rita@example.org")["url"])


def test_two_people_at_one_refund_and_one_approves(
    full_desk: Desk, open_page: Callable[..., Any], colleague: str
) -> None:
    mine, theirs, number = open_page(), open_page(storage_state=None), shipped(full_desk, 1)
    theirs.goto(colleague)
    theirs.locator("input[name=password]").fill("Correct-Horse-9")
    theirs.locator("main form button").click()
    expect(theirs.get_by_role("heading", name="Dashboard", level=1)).to_be_visible()
    for page in (mine, theirs):
        page.goto(f"{full_desk.url}/orders/{number}/actions/refund")
        compose(page)
    expect(theirs.locator("#order-actions")).to_contain_text("nother user must approve it", timeout=LONG)
    theirs.locator("#order-actions form.chosen button.main").click()
    expect(theirs.locator("#messages")).to_contain_text("proposed")
    taken = pending(full_desk, number)
    assert taken > 0

    mine.locator("#order-actions form.chosen button.main").click()  # of an order that is another one by now
    expect(mine.locator("#order-actions")).to_contain_text("proposed", timeout=LONG)
    assert pending(full_desk, number) == taken

    theirs.goto(f"{full_desk.url}/dashboard/")
    expect(theirs.locator("#card-work")).to_contain_text("You proposed this refund", timeout=LONG)
    mine.goto(f"{full_desk.url}/dashboard/")
    approve = mine.locator("#card-work").get_by_role("button", name=f"Approve refund {number}")
    expect(approve).to_be_visible(timeout=LONG)
    assert Axe().run(mine).violations_count == 0
    approve.focus()
    mine.keyboard.press("Enter")
    expect(mine.locator("#messages")).to_contain_text("approved", timeout=LONG)
    expect(mine.locator("[id^=proposal-]")).to_have_count(0, timeout=LONG)
    expect(mine).to_have_url(re.compile("/dashboard/"))
