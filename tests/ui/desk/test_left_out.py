"""A channel whose plugin was left out: its orders and stores are still there to read, and say what is missing."""

from collections.abc import Callable

import pytest

from tests.ui.conftest import Browser
from webapp.channels.models import Store
from webapp.hooks import hooks
from webapp.orders.models import Order
from webapp.testing import FakeChannel, FakeChannelPlugin


@pytest.fixture
def without_its_plugin(make_order: Callable[..., Order], channel: FakeChannel) -> Order:
    order = make_order()
    [plugin] = [one for one in hooks.manager.get_plugins() if isinstance(one, FakeChannelPlugin)]
    hooks.manager.unregister(plugin)
    return order


def test_lists_orders_and_stores_can_be_read(without_its_plugin: Order, store: Store, browser: Browser) -> None:
    for path in ("/orders/", f"/orders/{without_its_plugin.number}", "/stores/", f"/stores/{store.id}", "/runs/"):
        assert browser.get(path).status_code == 200, path


def test_shipping_is_refused_with_the_reason(without_its_plugin: Order, browser: Browser) -> None:
    why = "The plugin for “fake” is not loaded."
    assert why in browser.get(f"/orders/{without_its_plugin.number}").text
    answer = browser.post(
        f"/orders/{without_its_plugin.number}/actions/ship", {"carrier": "DHL", "tracking_number": "1"}
    )
    assert (answer.status_code, why in answer.text) == (409, True)


def test_its_store_says_so(without_its_plugin: Order, store: Store, browser: Browser) -> None:
    assert "The plugin for “fake” is not loaded." in browser.get(f"/stores/{store.id}").text
