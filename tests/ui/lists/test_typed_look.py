"""What was typed, in a real browser: it stays until it is taken, in the form that it was typed for and in no other."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.frame.test_look import desk, page  # noqa: F401 - the fixtures of a desk in a browser
from webapp.orders.models import Order
from webapp.testing import incoming_order

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]
KEPT = "Object.keys(sessionStorage).filter((name) => name.startsWith('kept:')).length"


def holds(page: Any, selector: str, value: str) -> None:  # noqa: F811
    """Wait until a field holds this: what was typed is put back a moment after the form has come."""
    expect(page.locator(selector)).to_have_value(value)


def act_on(page: Any, act: str, *orders: Order) -> None:  # noqa: F811
    """Tick orders of the list and choose an act for them."""
    page.goto("/orders/")
    for order in orders:
        page.check(f"#order-{order.id} input[name=order]")
    page.click(".bulk-bar summary")
    with page.expect_navigation():
        page.click(f".bulk-bar button[value={act}]")
    expect(page.locator("main form textarea")).to_be_visible()


def act(page: Any, word: str) -> None:  # noqa: F811
    """Open the form of an act on the order's page."""
    link = page.locator(f"#order-actions .offers a:text-is('{word}')")
    if not link.is_visible():
        page.click("#order-actions .offers summary")
    link.click()
    page.wait_for_selector(f"form.chosen h2:text-is('{word}')", state="attached")


def test_text_for_some_orders_does_not_appear_in_a_form_for_others(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
) -> None:
    first, second = take(incoming_order(), incoming_order())
    act_on(page, "hold", first)
    page.fill("[name=reason]", "Fraud check")

    act_on(page, "hold", second)
    holds(page, "[name=reason]", "")

    act_on(page, "hold", first)
    holds(page, "[name=reason]", "Fraud check")


def test_a_plain_form_keeps_its_text_until_it_is_taken(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
) -> None:
    [order] = take(incoming_order())
    act_on(page, "comment", order)
    page.fill("main textarea", "Call the carrier")
    cookies = page.context.cookies()
    page.context.clear_cookies()
    with page.expect_navigation():
        page.click("main form button.main")
    expect(page.locator("[data-error]")).to_be_visible()
    page.context.add_cookies(cookies)

    act_on(page, "comment", order)
    holds(page, "main textarea", "Call the carrier")

    with page.expect_navigation():
        page.click("main form button.main")
    expect(page.locator("#run-strip")).to_be_visible()
    act_on(page, "comment", order)
    holds(page, "main textarea", "")


def test_a_half_filled_act_waits_while_one_looks_at_another(
    page: Any,  # noqa: F811
    make_order: Callable[..., Order],
) -> None:
    order = make_order(quantity=3)
    page.goto(f"/orders/{order.number}")
    act(page, "Ship")
    page.fill("form.chosen [name=tracking_number]", "JD0001")
    page.select_option("form.chosen [name=carrier]", "DHL")
    page.check("form.chosen [data-quantities] [value=some]")
    page.fill("form.chosen .picks input[type=number]", "2")

    act(page, "Hold")
    page.reload()
    act(page, "Ship")

    holds(page, "form.chosen [name=tracking_number]", "JD0001")
    holds(page, "form.chosen [name=carrier]", "DHL")
    holds(page, "form.chosen .picks input[type=number]", "2")
    expect(page.locator("form.chosen input[value=some]")).to_be_checked()
    page.click("form.chosen button.main")
    page.wait_for_selector(".toast[data-tone=good]")
    page.wait_for_function(f"{KEPT} === 0")


def test_a_half_changed_address_waits_while_one_looks_at_the_timeline(
    page: Any,  # noqa: F811
    make_order: Callable[..., Order],
) -> None:
    order = make_order()
    page.goto(f"/orders/{order.number}")
    for look in range(2):
        page.click("#order-addresses a:text-is('Change')")
        page.wait_for_selector("#order-addresses form")
        if not look:
            page.fill("#order-addresses form [name=city]", "Lyon")
            for tab in ("Timeline", "Overview"):
                page.get_by_role("link", name=tab, exact=True).click()
                expect(page.locator(".tabs [aria-current]")).to_have_text(tab)
    holds(page, "#order-addresses form [name=city]", "Lyon")


def test_what_was_typed_goes_from_every_tab_when_somebody_signs_out(
    page: Any,  # noqa: F811
    make_order: Callable[..., Order],
) -> None:
    order = make_order()
    page.goto(f"/orders/{order.number}")
    page.fill("#order-comments textarea", "Jane called")
    assert page.evaluate(KEPT) == 1
    assert not any("csrf" in kept for kept in page.evaluate("Object.values(sessionStorage)"))
    other = page.context.new_page()
    other.goto("/orders/")
    other.click("header.bar details.menu summary")
    other.click("form[data-forget] button")
    other.wait_for_url("**/sign-in*")
    page.wait_for_function(f"{KEPT} === 0")


def test_a_form_that_leaves_the_page_as_it_is_can_be_sent_again(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
) -> None:
    take(incoming_order())
    page.clock.install()
    page.goto("/orders/export?all=1")
    with page.expect_download():
        page.click("main form button.main")
    page.clock.run_for(2100)
    page.uncheck("main form input[name=column] >> nth=0")
    with page.expect_download():
        page.click("main form button.main")

    page.goto("/dashboard/report")
    show = page.get_by_role("button", name="Show", exact=True)
    show.click()
    page.wait_for_url("**/report?*by=*#card-sales")
    show.click()  # the same address: the page stays
    page.select_option("#sales-by", "month")
    show.click()
    page.wait_for_url("**/report?*by=month*")
