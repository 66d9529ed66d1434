"""Switching invoices on, and the preview of an invoice, in a real browser: wide and narrow, light and dark."""

from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.frame.test_look import _flaws, desk, page  # noqa: F401 - the fixtures of a desk in a browser
from webapp.channels.incoming import Component, IncomingAmount
from webapp.channels.models import Store
from webapp.clock import now
from webapp.testing import incoming_line, incoming_order

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def test_what_would_be_issued_is_shown_before_it_is(page: Any, store: Store, take: Any) -> None:  # noqa: F811
    amounts = (IncomingAmount(Component.ITEM, 3000, 570), IncomingAmount(Component.SHIPPING, 500, 95))
    first, *_ = take(incoming_order([incoming_line("MUG", 3, amounts=amounts, total=4165)]), incoming_order())
    page.goto(f"/stores/{store.id}/settings")
    group = page.get_by_role("region", name="Invoices", exact=True)
    group.get_by_label("Issue invoices").select_option("on_import")
    group.get_by_label("Invoice from").fill((now() - timedelta(days=3)).date().isoformat())
    group.get_by_role("button", name="Save").click()
    expect(page.get_by_text("2 invoices would be issued now.")).to_be_visible()
    _fits(page)

    page.goto(f"/orders/{first.number}/actions/invoice")
    expect(page.get_by_role("heading", name="Preview")).to_be_visible()
    expect(page.get_by_text("This is a preview")).to_be_visible()
    _fits(page)
    page.get_by_role("button", name="Invoice order").click()
    expect(page.get_by_text("Invoice INV-000001 issued").first).to_be_visible()


def _fits(page: Any) -> None:  # noqa: F811
    for width, scheme in ((1440, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert _flaws(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    page.set_viewport_size({"width": 1440, "height": 900})
