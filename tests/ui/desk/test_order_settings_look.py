"""The order settings of a store in a real browser: what is typed is previewed, and what does not count is disabled."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.frame.test_look import _flaws, desk, page  # noqa: F401 - the fixtures of a desk in a browser
from webapp.channels.models import Store
from webapp.testing import incoming_order

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def test_rules_are_previewed_then_saved_and_disabled_with_importing(page: Any, store: Store, take: Any) -> None:  # noqa: F811
    known = {"name": "Jane Quixelworth", "email": "k7x@marketplace.test", "address": {"country": "DE"}}
    first, order = take(incoming_order(buyer=known), incoming_order(buyer=known))
    page.goto(f"/stores/{store.id}/settings")
    preview = page.locator("#order-preview")
    expect(preview.get_by_text("000003")).to_be_visible()
    rules = page.get_by_role("region", name="Orders of the store")
    rules.get_by_label("Order numbers").select_option("channel")
    rules.get_by_role("button", name="Preview").click()
    expect(preview.locator("dd strong")).to_have_text(order.channel_order_number)
    rules.get_by_label("Import orders").uncheck()
    expect(rules.get_by_label("Order numbers")).to_be_disabled()
    rules.get_by_role("button", name="Preview").click()
    expect(preview.get_by_text("Importing is off")).to_be_visible()
    for width, scheme in ((1440, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert _flaws(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    with page.expect_navigation():
        rules.get_by_role("button", name="Save").click()
    expect(rules.get_by_label("Shop")).to_be_disabled()
    rules.get_by_label("Import orders").check()
    expect(rules.get_by_label("Shop")).to_be_enabled()

    page.goto(f"/orders/{order.number}")
    page.get_by_role("link", name="Other orders of this buyer").press("Enter")
    expect(page.locator("#other-orders").get_by_role("link", name=first.number)).to_be_visible()
    expect(page.locator("#other-orders [data-focus]")).to_be_focused()
    assert _flaws(page) == []
