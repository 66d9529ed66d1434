"""The page of an order says which plugin failed to hear of a change to it, and when it is told again."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape

import pytest
import time_machine

from tests.ui.conftest import Browser
from webapp.clock import now
from webapp.db import db
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.jobs import telling
from webapp.jobs.models import MissedFactOrder
from webapp.jobs.telling import missed_of, tell_again
from webapp.orders.contract import OrdersChange
from webapp.orders.models import Order
from webapp.testing import incoming_order

NOTICE = "The plugin “deaf” could not process a change to this order. Waybill tries again: "


class Deaf:
    """A plugin that hears nothing until it is mended."""

    mended = False

    @hookimpl
    def orders_changed(self, changes: list[OrdersChange]) -> None:
        if not self.mended:
            raise ValueError("Quixelworth")

    @hookimpl
    def orders_imported(self, orders: list[int]) -> None:
        self.orders_changed([])


@pytest.fixture
def deaf(app: object, plugin_failures: list[Failure]) -> Iterator[Deaf]:
    plugin = Deaf()
    hooks.manager.register(plugin, name="deaf")
    yield plugin
    plugin_failures.clear()


def shown(browser: Browser, order: Order) -> bool:
    """Beside the overview, and above the whole timeline."""
    beside = NOTICE in unescape(browser.get(f"/orders/{order.number}/aside", htmx=True).text)
    assert beside is (NOTICE in unescape(browser.get(f"/orders/{order.number}?tab=timeline").text))
    return beside


def comment(browser: Browser, order: Order) -> str:
    return browser.post(f"/orders/{order.number}/actions/comment", {"text": "Hello"}, htmx=True).text


def test_the_order_says_so_until_it_was_heard(browser: Browser, make_order: Callable[..., Order], deaf: Deaf) -> None:
    deaf.mended = True
    order, other = make_order(), make_order()
    deaf.mended = False
    assert not shown(browser, order)
    assert NOTICE in unescape(comment(browser, order))  # the very answer of the act
    assert shown(browser, order)
    assert not shown(browser, other)
    assert NOTICE not in unescape(browser.get("/orders/").text)
    first = missed_of(order.id)["deaf"]
    db.session.rollback()

    with time_machine.travel(now() + timedelta(minutes=2), tick=True):
        tell_again()
        assert missed_of(order.id)["deaf"] > first + timedelta(minutes=2)
        db.session.rollback()
        assert shown(browser, order)
    deaf.mended = True
    with time_machine.travel(now() + timedelta(minutes=9), tick=True):
        tell_again()
        assert not shown(browser, order)
    assert db.session.query(MissedFactOrder).count() == 0


def test_the_order_says_so_until_a_month_has_passed(
    browser: Browser, take: Callable[..., list[Order]], deaf: Deaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = take(incoming_order(), incoming_order())
    assert [shown(browser, order) for order in orders] == [True, True]
    monkeypatch.setattr(telling, "KEPT", timedelta(0))
    tell_again()
    assert [shown(browser, order) for order in orders] == [False, False]


def test_several_plugins_are_named_once_each(browser: Browser, make_order: Callable[..., Order], deaf: Deaf) -> None:
    hooks.manager.register(Deaf(), name="also deaf")
    order = make_order()
    comment(browser, order)
    page = unescape(browser.get(f"/orders/{order.number}/aside", htmx=True).text)
    assert page.count("could not process") == 2
    assert "“also deaf”" in page


def test_an_act_that_is_refused_leaves_no_mark(browser: Browser, make_order: Callable[..., Order], deaf: Deaf) -> None:
    deaf.mended = True
    order = make_order()
    deaf.mended = False
    refused = browser.post(f"/orders/{order.number}/actions/release", htmx=True)
    assert refused.status_code == 409
    assert missed_of(order.id) == {}
