"""Canceling in a real browser: three steps from the list, undo from the message, a refusal, and the keyboard alone."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from playwright.sync_api import expect

from tests.ui.frame.test_look import _flaws, desk, page, renew  # noqa: F401 - the fixtures of a desk in a browser
from webapp.audit.actor import Actor
from webapp.channels.outgoing import Refused
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment.canceling import cancel_orders
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.sync import jobs
from webapp.testing import FakeChannel, again, incoming_line, incoming_order, line_again

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def test_from_the_list_in_three_steps_and_undone_from_the_message(
    page: Any,  # noqa: F811
    make_order: Callable[..., Order],
) -> None:
    order = make_order()
    page.goto(f"/orders/{order.number}")  # the first: the list opens it by its number
    page.keyboard.press("ControlOrMeta+k")
    page.keyboard.type("Cancel order")
    page.keyboard.press("Enter")  # the second
    page.select_option("#cancel-reason", "NoInventory")
    page.click("#order-actions form.chosen button.main")
    banner = page.locator("#order-canceling")
    expect(banner).to_contain_text("The cancellation is sent to Fake channel at")
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
    page.focus("#order-actions summary")
    page.keyboard.press("Enter")
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
    page.click("#order-actions summary")
    expect(page.locator("#offer-cancel")).to_be_visible()


def test_a_request_that_somebody_answers_goes_from_the_open_dashboard(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
    operator: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FakeChannel, "unanswered_request", "Each hour counts.")
    told = [incoming_order([incoming_line("MUG", 1)]) for _ in range(2)]
    take(*told)
    with time_machine.travel(now() - timedelta(hours=3, minutes=5), tick=True):
        first, second = take(
            *(again(one, lines=line_again(one, cancel_requested=True, cancel_reason="Bought twice")) for one in told)
        )
    page.goto("/orders/?view=cancel")
    expect(page.get_by_text("Each hour counts.")).to_be_visible()
    expect(page.locator("td.c-cancel_since time[data-countdown]").first).to_have_text(re.compile("3 h [56] min"))
    assert _flaws(page) == []
    page.goto("/orders/ship-list")
    page.fill("textarea[name=list]", f"{first.number};DHL;JD1")
    page.click("form:has(textarea[name=list]) button.main")
    expect(page.get_by_label("Also ship 1 order whose buyer asked to cancel")).to_be_visible()
    assert _flaws(page) == []
    page.goto("/dashboard/")
    expect(page.locator(f"#request-{first.id} a.button")).to_have_count(2)
    expect(page.locator(f"#request-{first.id} time[data-countdown]")).to_have_text(re.compile("3 h [56] min"))
    assert _flaws(page) == []
    with unit_of_work():
        cancel_orders([locked(first)], "BuyerCanceled", actor=operator)
    renew(page, "#card-work")
    expect(page.locator(f"#request-{first.id}")).to_have_count(0)
    page.locator(f"#request-{second.id}").get_by_role("link", name="Cancel for the buyer").click()
    expect(page.locator("#cancel-reason")).to_have_value("BuyerCanceled")
