"""Canceling in a real browser: three steps from the list, undo from the message, a refusal, and the keyboard alone."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from playwright.sync_api import expect

from tests.ui.frame.test_look import desk, page, renew  # noqa: F401 - the fixtures of a desk in a browser
from webapp.channels.outgoing import Refused
from webapp.clock import now
from webapp.db import db
from webapp.orders.models import Order
from webapp.sync import jobs
from webapp.testing import FakeChannel

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def test_from_the_list_in_three_steps_and_undone_from_the_message(
    page: Any,  # noqa: F811
    make_order: Callable[..., Order],
) -> None:
    order = make_order()
    page.goto(f"/orders/{order.number}")  # the first: the list opens it by its number
    page.click("#offer-cancel")
    page.select_option("#cancel-reason", "NoInventory")
    page.click("#order-actions form.chosen button.main")
    banner = page.locator("#order-canceling")
    expect(banner).to_contain_text("Goes to Fake channel at")
    page.click("#messages .toast button:has-text('Undo')")
    expect(banner).to_have_count(0)
    db.session.expire_all()
    assert not db.session.get_one(Order, order.id).canceling


def test_undone_from_the_banner_and_asked_for_by_keyboard(
    page: Any,  # noqa: F811
    make_order: Callable[..., Order],
) -> None:
    order = make_order()
    page.goto(f"/orders/{order.number}")
    page.focus("#offer-cancel")
    page.keyboard.press("Enter")
    page.wait_for_selector("#cancel-reason")
    page.focus("#cancel-reason")
    page.keyboard.type("Not")
    page.keyboard.press("Tab")
    page.focus("#order-actions form.chosen button.main")
    page.keyboard.press("Enter")
    banner = page.locator("#order-canceling")
    expect(banner).to_contain_text("Not in stock")
    banner.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Enter")
    expect(banner).to_have_count(0)


def test_a_refusal_comes_to_the_open_page(
    page: Any,  # noqa: F811
    make_order: Callable[..., Order],
    channel: FakeChannel,
    work: Callable[[], int],
) -> None:
    order = make_order()
    page.goto(f"/orders/{order.number}/actions/cancel")
    page.select_option("#cancel-reason", "NoInventory")
    page.click("#order-actions form.chosen button.main")
    expect(page.locator("#order-canceling")).to_be_visible()
    channel.outcomes = [Refused("The order is packed.")]
    with time_machine.travel(now() + timedelta(seconds=61), tick=True):
        jobs.find_due()
        work()
    renew(page, "#order-live")
    expect(page.locator("#order-canceling")).to_have_count(0)
    expect(page.locator("#order-summary")).to_contain_text("did not cancel this order: The order is packed.")
    expect(page.locator("#offer-cancel")).to_be_visible()
