"""The page of an order in a real browser: what changes under somebody's eyes, and taking an act back."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.frame.test_look import _flaws, desk, page, renew  # noqa: F401 - the fixtures of a desk in a browser
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.orders.addresses import change_address
from webapp.orders.models import Order
from webapp.orders.queries import locked

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def _move(order: Order, street: str, mia: Actor) -> None:
    told = {"name": "Jane Roe", "line1": street, "city": "Berlin", "postal_code": "10115", "country": "DE"}
    with unit_of_work():
        change_address(locked(db.session.get_one(Order, order.id)), told, actor=mia)


def test_a_corrected_address_comes_to_an_open_page_and_not_into_its_form(
    page: Any,  # noqa: F811
    make_order: Callable[..., Order],
    mia: Actor,
) -> None:
    order = make_order()
    page.goto(f"/orders/{order.number}")
    _move(order, "2 New Road", mia)
    renew(page, "#order-live")
    expect(page.locator("#order-addresses address:has-text('2 New Road')")).to_be_visible()
    page.click("#order-addresses a[data-act]")
    page.fill("#address-line1", "typed by me")
    _move(order, "3 Newer Road", mia)
    with page.expect_response("**/parts?*"):
        renew(page, "#order-live")
    assert page.input_value("#address-line1") == "typed by me"


def test_a_form_stays_when_an_answer_comes_that_was_asked_for_before_it(
    page: Any,  # noqa: F811
    make_order: Callable[..., Order],
    mia: Actor,
) -> None:
    order = make_order()
    page.goto(f"/orders/{order.number}")
    _move(order, "2 New Road", mia)

    def open_the_form_first(route: Any) -> None:
        page.click("#order-addresses a[data-act]")
        page.fill("#address-line1", "typed by me")
        route.continue_()

    page.route("**/parts?*", open_the_form_first, times=1)
    renew(page, "#order-live")
    assert page.input_value("#address-line1") == "typed by me"


def test_news_that_come_while_an_act_is_being_opened_do_not_undo_it(
    page: Any,  # noqa: F811
    make_order: Callable[..., Order],
) -> None:
    order = make_order()
    page.goto(f"/orders/{order.number}")
    form = page.locator("#order-actions [name=tracking_number]")

    def renew_first(route: Any) -> None:
        renew(page, "#order-actions")
        route.continue_()

    page.route("**/actions/ship", renew_first, times=1)
    page.get_by_role("link", name="Ship", exact=True).click()
    form.fill("typed by me")

    page.reload()

    def open_first(route: Any) -> None:
        page.get_by_role("link", name="Ship", exact=True).click()
        expect(form).to_have_value("typed by me")  # put back, since nobody sent it
        form.fill("typed again")
        route.continue_()

    page.route("**/actions/", open_first, times=1)
    renew(page, "#order-actions")
    assert form.input_value() == "typed again"


def test_an_act_is_taken_back_from_its_message(page: Any, make_order: Callable[..., Order]) -> None:  # noqa: F811
    order = make_order()
    page.goto(f"/orders/{order.number}")
    page.get_by_role("link", name="Hold", exact=True).click()
    page.fill("[name=reason]", "wait")
    page.click("#order-actions form button.main")
    page.wait_for_selector("#order-summary:has-text('On hold')")
    assert _flaws(page) == []
    page.get_by_role("button", name="Undo").click()
    page.wait_for_selector(".toast:has-text('Hold released')")
    expect(page.locator(".alert:has-text('On hold')")).to_have_count(0)
    db.session.rollback()
    assert not db.session.get_one(Order, order.id).on_hold
