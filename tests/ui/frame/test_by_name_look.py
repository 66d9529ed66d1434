"""Doing anything by name in a real browser, with scripts and without; and what a list keeps of what was chosen."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.frame.test_look import _flaws, desk, page, plain  # noqa: F401 - the fixtures of a desk in a browser
from webapp.clock import now
from webapp.db import db
from webapp.jobs.models import Run
from webapp.orders.models import Order
from webapp.testing import incoming_order

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def by_name(page: Any, text: str, entry: str) -> None:  # noqa: F811
    """Ctrl K, a few letters, Enter."""
    page.keyboard.press("Control+k")
    page.wait_for_selector("#palette[open]")
    page.keyboard.type(text)
    page.wait_for_selector(f"#palette-list [aria-selected=true]:has-text('{entry}')")
    page.keyboard.press("Enter")


def test_ctrl_k_runs_acts_of_other_pages(page: Any, take: Callable[..., list[Order]]) -> None:  # noqa: F811
    [order] = take(incoming_order())
    page.goto("/orders/")
    by_name(page, "sync now", "Sync Fake store now")
    page.wait_for_url("**/traffic")
    db.session.rollback()
    assert db.session.query(Run).count() == 1
    by_name(page, f"hold {order.number}", f"Hold: order {order.number}")
    page.wait_for_selector("[name=reason]")
    page.goto("/dashboard/")
    by_name(page, f"{order.number}", f"Open order {order.number}")
    page.wait_for_url(f"**/orders/{order.number}")
    by_name(page, "0612345678", "Open order 0612345678")
    page.wait_for_url("**/orders/?q=&w=*")
    assert page.input_value("#search") == "0612345678"
    page.goto("/dashboard/")
    by_name(page, "new saved", "New saved view")
    page.wait_for_url("**/orders/#view-name")
    page.wait_for_function("document.activeElement.id === 'view-name'")
    by_name(page, "export late", "Export “Late”")
    page.wait_for_url("**/orders/export?*")
    by_name(page, "dark", "Theme: dark")
    page.wait_for_selector("html[data-theme=dark]")
    page.keyboard.press("Control+k")
    page.wait_for_selector("#palette-list li:has-text('Sign out')")
    assert _flaws(page) == []


def test_without_a_script_the_list_counts_and_the_same_acts_stand_on_a_page(
    plain: Any,  # noqa: F811
    take: Callable[..., list[Order]],
) -> None:
    [order] = take(incoming_order())
    plain.goto("/orders/")
    plain.wait_for_url("**/orders/?whole=1")
    assert plain.locator("[data-none]").count() == 0
    assert plain.inner_text("#count-view-to_ship") == "1"
    assert plain.inner_text("#list-count") == "1 order"
    plain.locator("#list-rows a.number").click()
    plain.wait_for_url(f"**/orders/{order.number}")
    plain.locator(".bar details.menu summary").last.click()
    plain.locator("a[data-palette]").click()
    plain.wait_for_url("**/palette/?order=*")
    plain.get_by_role("link", name="Comment", exact=True).click()
    expect(plain.locator("#order-comments [name=text]")).to_be_visible()
    plain.goto("/palette/")
    plain.get_by_role("button", name="Sync Fake store now").click()
    plain.wait_for_url("**/traffic")


def test_what_was_chosen_by_hand_stays_when_everything_found_is_given_up(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
) -> None:
    take(*[incoming_order(created_at=now() - timedelta(hours=n)) for n in range(1, 7)])
    page.goto("/orders/")
    ticked = page.locator("#list-rows input:checked")
    for row in (2, 5):
        page.click(f"#list-rows tr:nth-child({row}) td.tick input")
    page.check("input[name=all]")
    expect(ticked).to_have_count(6)
    page.uncheck("input[name=all]")
    expect(ticked).to_have_count(2)
    page.check("input[name=all]")
    page.click("#list-rows tr:nth-child(1) td.tick input")
    expect(page.locator("input[name=all]")).not_to_be_checked()
    expect(ticked).to_have_count(5)


def test_signing_out_by_name_forgets_what_was_typed(page: Any) -> None:  # noqa: F811
    page.goto("/dashboard/")
    page.evaluate("sessionStorage.setItem('kept:/orders/1::text', 'Jane')")
    page.evaluate("document.querySelector('form[data-forget]').remove()")  # the desk's own entry, not this page's act
    by_name(page, "sign out", "Sign out")
    page.wait_for_url("**/sign-in*")
    assert page.evaluate("sessionStorage.getItem('kept:/orders/1::text')") is None
