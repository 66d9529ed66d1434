"""The outbox in a real browser, worked by keys alone."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.frame.test_look import _flaws, desk, page  # noqa: F401 - the fixtures of a desk in a browser
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import FakeChannel, incoming_order
from webapp.updates.models import ChannelUpdate, UpdateState

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


FOCUSED = "document.activeElement.getAttribute('aria-label') || document.activeElement.innerText.trim()"


def tab_to(page: Any, name: str) -> None:  # noqa: F811
    """Press Tab until what has this name has the focus."""
    seen = []
    for _ in range(150):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
        if seen[-1] == name:
            return
    pytest.fail(f"no {name} within 150 presses: {seen}")


def test_refused_updates_are_settled_by_keys_alone(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
    channel: FakeChannel,
    olga: Actor,
) -> None:
    orders = take(*[incoming_order() for _ in range(3)])
    with unit_of_work():
        for order in orders:
            ship_order(locked(order), [PackageInput("DHL", "JD1", lines={order.lines[0].id: 1})], actor=olga)
        db.session.query(ChannelUpdate).update({"state": UpdateState.REFUSED})
    page.goto("/dashboard/")
    page.keyboard.press("g")
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="Outbox", level=1)).to_be_visible()
    expect(page.locator("#list-rows tr")).to_have_count(3)
    page.wait_for_load_state()  # a key that is pressed before would have no effect
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator("#list-rows input:checked")).to_have_count(2)
    tab_to(page, "More actions")
    page.keyboard.press("Enter")
    tab_to(page, "Close without sending again")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Close without sending again", level=1)).to_be_visible()
    page.keyboard.press("Enter")  # the button has the focus
    expect(page.locator("main")).to_contain_text("Done: 2 updates")
    assert _flaws(page) == []
    tab_to(page, "Back to the outbox")
    page.keyboard.press("Enter")
    expect(page.locator("#list-rows tr")).to_have_count(3)
    [left] = db.session.query(ChannelUpdate).filter_by(state="refused")
    order = left.order
    tab_to(page, f"Close without sending again: {order.number}: Shipment confirmation")
    page.keyboard.press("Enter")
    expect(page.locator("#messages")).to_contain_text("The update is closed. It is not sent again.")
    assert _flaws(page) == []
    page.goto("/dashboard/")
    expect(page.locator("main")).to_contain_text("Updates refused or uncertain")
    db.session.rollback()
    assert {row.state for row in db.session.query(ChannelUpdate)} == {"withdrawn"}
