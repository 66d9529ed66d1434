"""Review requests in the browser: requested, planned and stopped; and counted by reason for many orders."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tests.ui.conftest import Browser
from tests.ui.orders.test_order_acts import undo_of
from webapp.channels.incoming import ChannelStage
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.messaging.review_settings import REVIEWS
from webapp.orders.models import Order
from webapp.settings.services import store_all
from webapp.testing import FakeChannel, sync_now


@pytest.fixture
def delivered(make_order: Callable[..., Order]) -> Callable[..., Order]:
    """A shipped order whose latest promised day of delivery was so many days ago."""

    def make(days: float, **more: Any) -> Order:
        at = now() - timedelta(days=days)
        values = {"stage": ChannelStage.SHIPPED, "status": "SHIPPED", "created_at": at - timedelta(days=6)}
        return make_order(**values | {"deliver_by": at} | more)

    return make


def switch_on(order: Order) -> None:
    with unit_of_work():
        store_all(REVIEWS, {"request_reviews": True}, db.session.get_one(Store, order.store_id))


def test_a_review_is_requested_and_undone(
    browser: Browser, delivered: Callable[..., Order], channel: FakeChannel
) -> None:
    order = delivered(10)
    url = f"/orders/{order.number}"
    assert "Request review" in browser.get(url).text
    shown = browser.post(f"{url}/actions/request_review/preview", {}).text
    assert "Fake channel asks the buyer once for a review, with a text of its own." in shown
    assert "You can undo it until then" in shown
    done = browser.post(f"{url}/actions/request_review", {}, htmx=True).text
    tab = browser.get(f"{url}?tab=messages").text
    assert "Scheduled for" in tab
    assert "Stop review request" in tab
    assert browser.post(*undo_of(done), htmx=True).status_code == 200
    tab = browser.get(f"{url}?tab=messages").text
    assert "No review is requested automatically: Somebody stopped the review request." in " ".join(tab.split())
    sync_now(order.store)
    assert channel.told("review_request") == []


@pytest.mark.parametrize(
    ("days", "more", "sentence"),
    [
        (1, {}, "A review of this order can be requested from "),
        (31, {}, "It is too late to request a review. A review could be requested until "),
        (10, {"stage": ChannelStage.CANCELED}, "The order is canceled, so there is nothing to review."),
    ],
)
def test_the_button_says_why_not(
    browser: Browser, delivered: Callable[..., Order], days: float, more: dict[str, Any], sentence: str
) -> None:
    order = delivered(days, **more)
    assert sentence in browser.get(f"/orders/{order.number}").text
    refused = browser.post(f"/orders/{order.number}/actions/request_review", {})
    assert (refused.status_code, sentence in refused.text) == (409, True)


def test_what_the_rule_plans_is_shown_and_stopped(browser: Browser, delivered: Callable[..., Order]) -> None:
    order = delivered(3)
    switch_on(order)
    url = f"/orders/{order.number}"
    for path in (url, f"{url}?tab=messages"):
        assert "Review request planned for" in browser.get(path).text
        assert len(browser.queries) <= 8
    assert browser.post(f"{url}/actions/stop_review", {}).location == f"{url}?tab=messages"
    assert "Review request planned for" not in browser.get(url).text
    assert "Review request stopped" in browser.get(f"{url}?tab=timeline").text
    again = browser.post(f"{url}/actions/stop_review", {})
    assert (again.status_code, "No review request for this order is planned or waiting." in again.text) == (409, True)


def test_the_preview_warns_of_a_refunded_order(browser: Browser, delivered: Callable[..., Order]) -> None:
    order = delivered(10)
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == order.id).values(state="closed"))
    shown = browser.post(f"/orders/{order.number}/actions/request_review/preview", {}).text
    assert "This order was refunded in full, so its buyer may not want to be asked." in shown


def test_many_orders_are_counted_by_reason(browser: Browser, delivered: Callable[..., Order]) -> None:
    orders = [delivered(10), delivered(1), delivered(2), delivered(40)]
    chosen = [str(one.id) for one in orders]
    form = browser.get("/orders/bulk", {"order": chosen, "action": "request_review"}).text
    found = " ".join(form.split())
    assert 'It is too early to request a review. <span class="muted">(2)</span>' in found
    assert 'It is too late to request a review. <span class="muted">(1)</span>' in found
    assert "Request review: 1 of 4 orders" in found
