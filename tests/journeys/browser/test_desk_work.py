"""A merchant's day at the desk, in a real browser, each task in as few steps as promised.

A step is a click, or a page that loads without one; typing and keys that move are none.
"""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys.browser.conftest import LONG, PLAIN_ORDERS, Desk

SHIPPABLE = "state:processing fulfilled-by:merchant prime:no attention:no -hold buyer-cancel:no"
COLLEAGUE = "carl@example.org"


class Steps:
    """Counts a person's steps on a page."""

    def __init__(self, page: Page) -> None:
        self.page, self.taken = page, 0

    def click(self, target: Locator) -> None:
        target.click()
        self.taken += 1

    def search(self, text: str) -> None:
        """Type into the search box and press Enter: one page load."""
        self.page.keyboard.press("/")
        self.page.keyboard.insert_text(text)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")
        self.taken += 1


@pytest.fixture(scope="module")
def full_desk(desk: Desk) -> Desk:
    """A desk that has read its practice stores."""
    desk.wait_for_orders(200)
    return desk


@pytest.fixture
def at_the_list(full_desk: Desk, open_page: Callable[..., Page]) -> Steps:
    """A merchant at the list of orders."""
    page = open_page(accept_downloads=True)
    page.goto(f"{full_desk.url}/orders/")
    return Steps(page)


def _first_row(page: Page) -> Locator:
    return page.locator("#list tbody tr").first


def _number(row: Locator) -> str:
    return row.locator("a.number").inner_text()


def _tick_page(steps: Steps) -> None:
    steps.click(steps.page.locator("#list thead input[type=checkbox]"))


def _bulk(steps: Steps, label: str) -> None:
    """Choose an act on the ticked rows: one of those that stand in the bar, or one of its menu."""
    bar = steps.page.locator(".bulk-bar")
    button = bar.get_by_role("button", name=label, exact=True)
    if not button.is_visible():
        steps.click(bar.locator("summary"))
    steps.click(button)


def test_an_order_is_opened_by_its_number_in_one_step(desk: Desk, at_the_list: Steps) -> None:
    order = desk.open_order()
    for number in (order["number"], order["channel_order_number"]):
        at_the_list.taken = 0
        at_the_list.search(number)
        expect(at_the_list.page).to_have_url(re.compile(f"/orders/{order['number']}$"))
        assert at_the_list.taken == 1


def test_one_order_is_shipped_in_two_and_the_next_is_one_key_away(at_the_list: Steps) -> None:
    page = at_the_list.page
    page.goto(f"{page.url}?q={SHIPPABLE} country:DE")
    first, second = page.locator("#list tbody a.number").all_inner_texts()[:2]
    at_the_list.click(_first_row(page).locator("a.number"))
    at_the_list.click(page.locator("#order-actions").get_by_role("link", name="Ship", exact=True))
    page.locator("#order-actions select[name=carrier]").select_option("DHL")
    page.locator("#order-actions input[name=tracking_number]").fill("JD-WORK-1")
    page.keyboard.press("Enter")
    expect(page.locator("#order-summary")).to_contain_text("Complete")
    assert at_the_list.taken <= 2
    expect(page.get_by_role("link", name="Next", exact=True)).to_be_focused()
    page.keyboard.press("n")
    expect(page).to_have_url(re.compile(f"/orders/{second}$"))
    page.locator("#order-actions").get_by_role("link", name="Ship", exact=True).click()
    expect(page.locator("#order-actions select[name=carrier]")).to_have_value("DHL")  # as this person shipped before
    expect(page.locator("#order-actions input[name=tracking_number]")).to_be_focused()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Previous", exact=True).click()
    expect(page).to_have_url(re.compile(f"/orders/{first}$"))


def test_many_are_held_in_three_and_each_says_what_became_of_it(at_the_list: Steps) -> None:
    page = at_the_list.page
    page.goto(f"{page.url}?q={SHIPPABLE} total:<30")
    held = page.locator("#list tbody tr").count()
    _tick_page(at_the_list)
    _bulk(at_the_list, "Hold")
    page.locator("[name=reason]").fill("Waiting for the new boxes")
    at_the_list.click(page.locator("main form button.main"))
    assert at_the_list.taken <= 3
    strip = page.locator(".run-strip")
    expect(strip).to_contain_text(f"{held} put on hold", timeout=LONG)
    strip.get_by_role("link").first.click()
    expect(page.locator("#run-results .pill:has-text('Done')")).to_have_count(held)
    page.locator("#run-results a.number").first.click()
    expect(page.locator("#order-summary")).to_contain_text("Waiting for the new boxes")


def test_who_changed_what_is_found_in_two(at_the_list: Steps) -> None:
    page = at_the_list.page
    page.goto(f"{page.url}?q={SHIPPABLE}")
    at_the_list.click(_first_row(page).locator("a.number"))
    page.locator("#order-comments textarea").fill("Asked for a quote")
    page.get_by_role("button", name="Add comment").click()
    expect(page.locator("#order-comments")).to_contain_text("Asked for a quote")
    at_the_list.click(page.get_by_role("link", name="Timeline", exact=True))
    newest = page.locator(".timeline > li").first
    expect(newest).to_contain_text("Olive Owner")
    assert at_the_list.taken <= 2


def test_the_order_of_before_is_one_step_away_and_offers_no_act(at_the_list: Steps) -> None:
    page = at_the_list.page
    page.goto(f"{page.url}?q={SHIPPABLE}")
    _first_row(page).locator("a.number").click()
    page.goto(f"{page.url}?tab=timeline")
    at_the_list.click(page.locator(".timeline > li").last.get_by_role("link", name="Order at that time"))
    expect(page).to_have_url(re.compile("[?]at="))
    expect(page.get_by_role("heading", name="The order as it was")).to_be_visible()
    expect(page.locator("#order-actions form, #order-comments form")).to_have_count(0)


def test_a_list_is_saved_shared_and_opens_the_desk(desk: Desk, at_the_list: Steps) -> None:
    page = at_the_list.page
    at_the_list.search("state:processing total:>100")
    expect(page.locator(".filter-chip")).to_have_count(2)
    at_the_list.click(page.locator(".views details summary"))
    page.locator("#view-name").fill("Large ones")
    at_the_list.click(page.locator(".save-view button"))
    expect(page.get_by_role("heading", name="Large ones")).to_be_visible()
    assert at_the_list.taken <= 3
    page.goto(f"{desk.url}/orders/views/")
    page.locator("#start").select_option(label="Large ones")
    with page.expect_navigation():
        page.locator("form:has(#start) button").click()
    page.goto(desk.url)
    expect(page.get_by_role("heading", name="Large ones")).to_be_visible()
    page.goto(f"{desk.url}/orders/views/")
    page.locator("#start").select_option(label="Dashboard")
    with page.expect_navigation():
        page.locator("form:has(#start) button").click()
    page.goto(desk.url)
    expect(page.get_by_role("heading", name="Dashboard", level=1)).to_be_visible()


def test_what_is_ticked_is_exported(at_the_list: Steps, tmp_path: Path) -> None:
    page = at_the_list.page
    page.goto(f"{page.url}?q={SHIPPABLE} total:>20")
    wanted = [link.inner_text() for link in page.locator("#list tbody a.number").all()]
    _tick_page(at_the_list)
    _bulk(at_the_list, "Export")
    with page.expect_download() as coming:
        at_the_list.click(page.locator("main form button.main"))
    assert at_the_list.taken <= 4
    coming.value.save_as(tmp_path / "orders.csv")
    with (tmp_path / "orders.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows[1:]] == wanted


def test_the_slips_of_all_that_is_due_today_are_printed_in_three(full_desk: Desk, at_the_list: Steps) -> None:
    """Late ones are among them, and those on further pages of the list."""
    page = at_the_list.page
    at_the_list.click(page.locator(".views .tabs").get_by_role("link", name=re.compile("^To ship today")))
    at_the_list.click(page.locator("#list-query summary").filter(has_text="All results"))
    at_the_list.click(page.locator("#list-query").get_by_role("link", name="Packing slips", exact=True))
    assert at_the_list.taken <= 3
    expect(page.locator("article.slip").first).to_be_visible()
    late = f"{PLAIN_ORDERS.split('ORDER BY')[0]} AND datetime(ship_by) < datetime('now')"
    numbers = [row["number"] for row in full_desk.read(late)]
    assert numbers
    for number in numbers:
        expect(page.locator("main")).to_contain_text(number)


def test_the_slips_of_ticked_orders_are_printed_in_three(at_the_list: Steps) -> None:
    page = at_the_list.page
    at_the_list.search("state:processing fulfilled-by:merchant due:<3d")
    numbers = [link.inner_text() for link in page.locator("#list tbody a.number").all()]
    _tick_page(at_the_list)
    _bulk(at_the_list, "Packing slips")
    assert at_the_list.taken <= 3
    expect(page.locator("article.slip").first).to_be_visible()
    assert numbers
    for number in numbers:
        expect(page.locator("main")).to_contain_text(number)


def test_the_invoices_of_all_that_is_due_are_printed_in_three(full_desk: Desk, at_the_list: Steps) -> None:
    page = at_the_list.page
    page.goto(f"{full_desk.url}/orders/?q=state:processing fulfilled-by:merchant due:<3d")
    _tick_page(at_the_list)
    _bulk(at_the_list, "Invoice order")
    page.locator("main form button.main").click()
    expect(page.locator(".run-strip")).to_contain_text("invoiced", timeout=LONG)
    full_desk.until(
        lambda: not full_desk.read("SELECT 1 FROM runs WHERE kind = 'bulk' AND ended_at IS NULL"), "its end"
    )
    page.goto(f"{full_desk.url}/orders/")
    at_the_list.taken = 0
    at_the_list.search("state:processing fulfilled-by:merchant due:<3d invoiced")
    numbers = [link.inner_text() for link in page.locator("#list tbody a.number").all()]
    at_the_list.click(page.locator("#list-query summary").filter(has_text="All results"))
    at_the_list.click(page.locator("#list-query").get_by_role("link", name="Print invoices", exact=True))
    assert at_the_list.taken <= 3
    marks = ", ".join("?" * len(numbers))
    of_these = f"SELECT 1 FROM invoices JOIN orders ON orders.id = order_id WHERE orders.number IN ({marks})"
    expect(page.locator("article.slip")).to_have_count(len(full_desk.read(of_these, *numbers)))
    assert numbers
    for number in numbers:
        expect(page.locator("main")).to_contain_text(number)


def test_a_morning_by_keyboard_alone(desk: Desk, at_the_list: Steps) -> None:
    """Search, walk, select, hold what was selected, and open one of them, without a mouse."""
    page = at_the_list.page
    at_the_list.search(f"{SHIPPABLE} total:>30")
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator("#list tbody input:checked")).to_have_count(2)
    chosen = _number(page.locator("tr.at"))
    page.keyboard.press("Control+k")
    expect(page.locator("#palette")).to_be_visible()
    page.keyboard.type("hold")
    expect(page.locator("#palette [aria-selected=true]")).to_contain_text("Hold")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.locator("[name=reason]")).to_be_focused()
    page.keyboard.type("By keys")
    page.keyboard.press("Tab")
    for _ in range(10):
        if page.evaluate("document.activeElement.matches('main form button.main')"):
            break
        page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.locator(".run-strip")).to_contain_text("put on hold", timeout=LONG)
    at_the_list.search(chosen)
    expect(page.locator("#order-summary")).to_contain_text("By keys")
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page).to_have_url(f"{desk.url}/orders/")
    page.wait_for_load_state()  # a key that is pressed before would have no effect
    page.keyboard.press("j")
    expect(page.locator("tr.at")).to_be_visible()
    page.keyboard.press("o")
    expect(page.locator("#order-summary")).to_be_visible()


def test_single_keys_can_be_turned_off(desk: Desk, at_the_list: Steps) -> None:
    page = at_the_list.page
    page.keyboard.press("?")
    page.locator("#keys [data-keys-choice] input").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Control+k")
    expect(page.locator("#palette input")).to_be_focused()  # so the key before had its effect, too
    expect(page.locator("tr.at")).to_have_count(0)
    page.keyboard.type("stores")
    expect(page.locator("#palette [aria-selected=true]")).to_contain_text("Stores")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{desk.url}/stores/")


def test_the_same_without_javascript(full_desk: Desk, open_page: Callable[..., Page]) -> None:
    desk, page = full_desk, open_page(java_script_enabled=False)
    page.goto(f"{desk.url}/orders/")
    page.locator("#search").fill(f"{SHIPPABLE} total:<60")
    page.locator("#search").press("Enter")
    expect(page.locator(".filter-chip").first).to_be_visible()
    page.get_by_role("link", name="Filters").click()
    page.locator("main form").get_by_role("button", name="Apply filters").click()
    expect(page.locator("#list tbody tr").first).to_be_visible()
    number = _number(_first_row(page))
    _first_row(page).locator("input[name=order]").check()
    _bulk(Steps(page), "Hold")
    page.locator("[name=reason]").fill("No scripts here")
    with page.expect_navigation():
        page.locator("main form button.main").click()
    page.goto(f"{desk.url}/orders/{number}")
    page.locator("#order-comments textarea").fill("Plainly said")
    page.get_by_role("button", name="Add comment").click()
    expect(page.locator("#order-comments")).to_contain_text("Plainly said")
    for tab in ("Shipments", "Timeline", "Channel side"):
        page.locator(".tabs").get_by_role("link", name=tab, exact=True).click()
        expect(page.locator(".tabs [aria-current]")).to_contain_text(tab)
    page.goto(f"{desk.url}/palette/")
    page.get_by_label("Open an order by its number").fill(number)
    page.get_by_role("button", name="Open the order").click()
    expect(page).to_have_url(f"{desk.url}/orders/{number}")


@pytest.fixture(scope="module")
def colleague(desk: Desk) -> str:
    """A link that lets a clerk in."""
    desk.command("user", "create", "--email", COLLEAGUE, "--role", "clerk", "--name", "Carl Clerk")
    return str(desk.command("user", "link", "--email", COLLEAGUE)["url"])


def test_two_people_at_one_order_see_each_other_and_lose_nothing(
    desk: Desk, at_the_list: Steps, open_page: Callable[..., Any], colleague: str
) -> None:
    mine, theirs = at_the_list.page, open_page(storage_state=None)
    theirs.goto(colleague)
    theirs.locator("input[name=password]").fill("Correct-Horse-8")
    theirs.locator("main form button").click()
    expect(theirs.get_by_role("heading", name="Dashboard", level=1)).to_be_visible()
    mine.goto(f"{mine.url}?q={SHIPPABLE} total:>60")
    order = _number(_first_row(mine))
    for page in (mine, theirs):
        page.goto(f"{desk.url}/orders/{order}/actions/ship")
    expect(theirs.locator("#order-presence")).to_contain_text("Olive Owner", timeout=LONG)
    theirs.locator("[name=tracking_number]").fill("JD-TYPED-BY-CARL")
    mine.goto(f"{desk.url}/orders/{order}/actions/hold")
    mine.locator("[name=reason]").fill("Address looks odd")
    mine.locator("#order-actions form button.main").click()
    expect(mine.locator("#order-summary")).to_contain_text("On hold")
    form = theirs.locator("#order-actions form.chosen")  # the open form hears of it
    expect(form).to_contain_text("This order is on hold", timeout=LONG)
    expect(form.locator("button.main")).to_have_count(0)
    expect(theirs.locator("[name=tracking_number]")).to_have_value("JD-TYPED-BY-CARL")
    assert desk.packages(order) == 0


def test_many_are_shipped_by_an_uploaded_list_in_five(desk: Desk, at_the_list: Steps, tmp_path: Path) -> None:
    page, numbers = at_the_list.page, [desk.open_order(skip)["number"] for skip in range(10)]
    (tmp_path / "sent.csv").write_text("\n".join(f"{number};DHL;JD-FILE-{number}" for number in numbers))
    at_the_list.click(page.get_by_role("link", name="Ship from a list", exact=True))
    page.locator("main input[type=file]").set_input_files(tmp_path / "sent.csv")
    at_the_list.taken += 1  # the file is chosen
    at_the_list.click(page.get_by_role("button", name="Check the list", exact=True))
    at_the_list.click(page.locator("main form button.main"))
    assert at_the_list.taken <= 5
    expect(page.locator(".run-strip")).to_contain_text("10 shipped", timeout=LONG)
    assert [desk.packages(number) for number in numbers] == [1] * 10
