"""Open forms in a real browser: news of the order changes them under the hands of whoever types."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.mail_server import mail_server
from tests.ui.conftest import wait_for_subscription
from tests.ui.frame.test_look import _flaws, desk, page, renew  # noqa: F401 - the fixtures of a desk in a browser
from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, Component, IncomingAmount
from webapp.channels.models import Store
from webapp.channels.returns import ReturnReason
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.messaging.message_settings import BUYER_MAIL
from webapp.orders.holds import hold
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.orders.services import comment
from webapp.returns.contract import ReturnItem
from webapp.returns.services import authorize_return, receive_return, request_return
from webapp.settings.services import store_all
from webapp.sync.allowed_messages import ask_allowed
from webapp.testing import again, incoming_line, incoming_order, line_again

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]
FORM = "#order-actions form.chosen"
HEARS = f"{FORM} > [data-live]"


@pytest.fixture
def other(page: Any, desk: str) -> Iterator[Any]:  # noqa: F811
    """A tab of another browser."""
    context = page.context.browser.new_context(base_url=desk)
    context.set_default_timeout(60_000)
    context.add_cookies(page.context.cookies())
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(
    ("act", "part"), [("accept_return", "return_id=1"), ("correct_shipment", "package=1"), ("hold", "")]
)
def test_a_form_opened_by_its_address_hears_only_of_what_is_on_its_page(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
    mia: Actor,
    act: str,
    part: str,
) -> None:
    [order] = take(incoming_order([incoming_line(quantity=2)]))
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD0001", lines={order.lines[0].id: 1})], actor=mia)
        item = ReturnItem(order.lines[0].id, 1, ReturnReason.OTHER)
        returned = request_return(locked(order), [item], actor=mia)
        authorize_return(locked(order), returned.id, {}, actor=mia)
        receive_return(locked(order), returned.id, {}, actor=mia)
    page.goto(f"/orders/{order.number}/actions/{act}?{part}")
    expect(page.locator("#chosen-heading")).to_be_attached()
    page.wait_for_load_state("networkidle")
    renew(page, "#order-live")  # the console complains of a part that is not there
    expect(page.locator("#chosen-heading")).to_be_attached()


def test_an_open_ship_form_follows_the_order(page: Any, take: Callable[..., list[Order]]) -> None:  # noqa: F811
    incoming = incoming_order()
    [order] = take(incoming)
    page.goto(f"/orders/{order.number}")
    page.click("#offer-ship")
    page.select_option("#ship-carrier", "DHL")
    page.focus("#ship-tracking_number")
    page.keyboard.type("JD00")

    request = again(incoming, lines=line_again(incoming, cancel_requested=True))
    take(request)
    renew(page, HEARS)
    expect(page.locator(FORM)).to_contain_text("The buyer asked to cancel: ship anyway")
    expect(page.locator("#ship-tracking_number")).to_be_focused()
    page.keyboard.type("01")
    expect(page.locator("#ship-tracking_number")).to_have_value("JD0001")
    expect(page.locator("#ship-carrier")).to_have_value("DHL")

    # What is typed while the form renews itself is not overwritten by the answer, which does not know of it.
    page.route("**/renew?*", lambda route: (page.keyboard.type("9"), route.continue_()), times=1)
    take(again(request, minutes=9, stage=ChannelStage.CANCELED, status="Canceled"))
    page.evaluate(f"htmx.trigger(document.querySelector('{HEARS}'), 'refresh')")
    expect(page.locator(FORM)).to_contain_text("This order is canceled.")
    expect(page.locator("#ship-tracking_number")).to_have_value("JD00019")
    expect(page.locator(f"{FORM} button.main")).to_have_count(0)
    page.click(f"{FORM} >> text=Close")
    expect(page.locator(FORM)).to_have_count(0)


def test_a_ship_form_stops_while_another_session_cancels_the_order(
    page: Any,  # noqa: F811
    other: Any,
    take: Callable[..., list[Order]],
) -> None:
    [order] = take(incoming_order([incoming_line(quantity=3)]))
    page.goto(f"/orders/{order.number}")
    wait_for_subscription()
    page.click("#offer-ship")
    page.fill("#ship-tracking_number", "JD0001")
    page.check(f"{FORM} [value=some]")
    page.fill(f"{FORM} input[type=number]", "2")
    page.focus(f"{FORM} button.main")

    other.goto(f"/orders/{order.number}")
    other.click("#order-actions .offers summary")
    other.click("#offer-cancel")
    other.select_option("#cancel-reason", "NoInventory")
    other.click(f"{FORM} button.main")
    refusal = page.locator(f"{FORM} [role=alert]")
    expect(refusal).to_have_text(re.compile("is being canceled"))
    expect(page.locator(f"{FORM} button.main")).to_have_count(0)
    expect(refusal).to_be_focused()  # the button that had the focus is gone
    expect(page.locator("#ship-tracking_number")).to_have_value("JD0001")
    expect(page.locator(f"{FORM} output")).to_contain_text("2")
    page.focus("#ship-tracking_number")
    page.keyboard.press("Enter")  # sends nothing
    expect(page.locator(f"{FORM} [aria-invalid=true]")).to_have_count(0)
    assert _flaws(page) == []

    other.click("#messages .toast button:has-text('Undo')")
    expect(page.locator(f"{FORM} button.main")).to_be_enabled()
    expect(refusal).to_have_count(0)
    expect(page.locator("#ship-tracking_number")).to_be_focused()
    expect(page.locator(f"{FORM} input[type=number]")).to_have_value("2")


def test_a_busy_order_is_asked_for_seldom_and_its_form_is_left_alone(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
    mia: Actor,
) -> None:
    [order] = take(incoming_order())
    page.goto(f"/orders/{order.number}")
    wait_for_subscription()
    page.click("#offer-ship")
    page.focus("#ship-tracking_number")
    renewals: list[str] = []
    page.on("request", lambda request: "/ship/renew?" in request.url and renewals.append(request.url))
    page.evaluate(
        "new MutationObserver(() => (window.drawn = true)).observe($0, { childList: true })".replace(
            "$0", "document.querySelector('#order-actions form.chosen')"
        )
    )
    for number in range(30):
        with unit_of_work():
            comment(locked(order), f"Change {number}", actor=mia)
        page.keyboard.type("1")
        page.wait_for_timeout(100)
    page.wait_for_timeout(3500)
    assert 1 <= len(renewals) <= 3
    assert not page.evaluate("window.drawn")
    expect(page.locator("#ship-tracking_number")).to_be_focused()
    expect(page.locator("#ship-tracking_number")).to_have_value("1" * 30)


def test_a_preview_follows_the_order(page: Any, take: Callable[..., list[Order]]) -> None:  # noqa: F811
    told = incoming_order([incoming_line(amounts=(IncomingAmount(Component.ITEM, 1000),), total=1000)], total=1000)
    [order] = take(told)
    page.goto(f"/orders/{order.number}")
    wait_for_subscription()
    page.click("#order-actions .offers summary")
    page.click("#offer-invoice")
    expect(page.locator(".previewed")).to_contain_text("€10.00")
    cheaper = line_again(told, amounts=(IncomingAmount(Component.ITEM, 800),), total=800)
    take(again(told, lines=cheaper, total=800))
    expect(page.locator(".previewed")).to_contain_text("€8.00")
    expect(page.locator(".previewed")).not_to_contain_text("€10.00")


def test_a_field_that_is_hidden_just_now_keeps_what_was_typed(
    page: Any,  # noqa: F811
    take: Callable[..., list[Order]],
    mia: Actor,
) -> None:
    [order] = take(incoming_order())
    ask_allowed(order.id)
    with mail_server():
        with unit_of_work():
            store_all(BUYER_MAIL, {"by_mail": True}, db.session.get_one(Store, order.store_id))
        page.goto(f"/orders/{order.number}/actions/message?kind=mail")
        page.fill("#message-subject", "Your mug")
        page.fill("#message-text", "Dear Jane")
        page.select_option("#message-kind", "details")
        expect(page.locator("#message-subject")).to_be_hidden()
        with unit_of_work():
            hold(locked(order), "Look first", actor=mia)
        renew(page, HEARS)
        expect(page.locator("#offer-ship.off")).to_be_visible()
        page.select_option("#message-kind", "mail")
        expect(page.locator("#message-subject")).to_have_value("Your mug")
        expect(page.locator("#message-text")).to_have_value("Dear Jane")
