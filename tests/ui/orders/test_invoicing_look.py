"""Invoicing by component in a real browser: folded away, opened by whoever needs it, by keyboard."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.frame.test_look import _flaws, desk, page  # noqa: F401 - the fixtures of a desk in a browser
from webapp.billing.models import Invoice
from webapp.channels.incoming import Component, IncomingAmount
from webapp.db import db
from webapp.orders.models import Order
from webapp.testing import incoming_line, incoming_order

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def test_shipping_is_invoiced_alone(page: Any, take: Callable[..., list[Order]]) -> None:  # noqa: F811
    amounts = (IncomingAmount(Component.ITEM, 2000), IncomingAmount(Component.SHIPPING, 500))
    [order] = take(incoming_order([incoming_line("MUG", 2, amounts=amounts, total=2500)], total=2500))
    page.goto(f"/orders/{order.number}/actions/invoice")
    form = page.locator("form.chosen")
    expect(form.locator(".previewed")).to_contain_text("€25.00")
    expect(form.get_by_label("Shipping", exact=True)).not_to_be_visible()
    form.get_by_label("All 2 units that are left").focus()
    page.keyboard.press("ArrowLeft")  # around to the last choice
    expect(form.get_by_label("No units, only amounts")).to_be_checked()
    expect(form.locator(".previewed")).to_contain_text("The invoice would be empty")
    for width, scheme in ((1200, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert _flaws(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    form.get_by_role("button", name="Invoice order").click()
    expect(form.get_by_label("No units, only amounts")).to_be_focused()
    form.get_by_label("Shipping", exact=True).focus()
    page.keyboard.press("ArrowDown")
    expect(form.locator(".previewed tbody tr")).to_have_count(1)
    form.get_by_role("button", name="Invoice order").click()
    expect(page.locator("#messages")).to_contain_text("Invoice INV-000001 issued: 5.00 EUR (units: 0)")
    db.session.rollback()
    [line] = db.session.query(Invoice).one().lines
    assert (line.component, line.units, line.charged) == ("shipping", 0, 500)
