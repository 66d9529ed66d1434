"""The fence around plugins that are told what happened, or asked whether it may happen: matrices like those of
`test_fence`.

A told listener can't refuse: acts and imports stay, and the listener is called again. An asked listener that fails
refuses.
"""

from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from tests.ui.conftest import Browser
from tests.ui.frame.test_fence import TEMPERS, Faulty, seconds
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Refusal
from webapp.fulfillment.services import shipping_refusal
from webapp.hooks import fence, hookimpl, hooks
from webapp.hooks.asking import refusals
from webapp.hooks.failures import Failure
from webapp.jobs import telling
from webapp.orders.models import Order, Tag
from webapp.orders.queries import find_order
from webapp.testing import incoming_order
from webapp.updates.models import ChannelUpdate


@pytest.fixture(params=TEMPERS)
def temper(request: pytest.FixtureRequest, app: object, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind of a plugin's error; for "slow", a twentieth of a second is too long."""
    monkeypatch.setattr(fence, "LONG", seconds(request.param))
    return str(request.param)


@pytest.fixture
def order(make_order: Callable[..., Order]) -> Order:
    return make_order()


class Told:
    """A plugin that is told what was done, writes, and then makes the error of its temper."""

    def __init__(self, temper: str) -> None:
        self.faulty, self.heard = Faulty(temper), 0

    def hear(self, facts: list[Any]) -> None:
        db.session.add(Tag(name=f"of what failed {len(facts)}"))
        db.session.flush()
        self.faulty.do(None)
        self.heard += 1

    @hookimpl
    def orders_changed(self, changes: list[Any]) -> None:
        self.hear(changes)

    @hookimpl
    def shipments_created(self, shipments: list[Any]) -> None:
        self.hear(shipments)


@pytest.mark.parametrize("hook", ["orders_changed", "shipments_created"])
def test_listener_of_an_act(
    browser: Browser,
    order: Order,
    temper: str,
    hook: str,
    plugin_failures: list[Failure],
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[], int],
) -> None:
    """The act stays, the channel is owed its confirmation, and the listener is called again."""
    told = Told(temper)
    monkeypatch.delattr(Told, "shipments_created" if hook == "orders_changed" else "orders_changed")
    hooks.manager.register(told, name="listening")
    fails = temper not in ("slow", "wrong_type")  # what a listener gives is not asked for

    answer = browser.post(
        f"/orders/{order.number}/actions/ship", {"carrier": "DHL", "tracking_number": "JD1"}, htmx=True
    )

    assert answer.status_code == 200
    assert "Shipped by DHL" in unescape(answer.text)
    db.session.rollback()
    assert find_order(str(order.number), Actor.operator()).state == "complete"
    assert list(db.session.scalars(select(ChannelUpdate.state))) == ["owed"]
    assert bool(db.session.scalars(select(Tag)).all()) is not fails  # what it wrote before it failed is undone
    assert telling.waiting() == ({"listening": 1} if fails else {})
    noted = [one for one in plugin_failures if one.plugin == "listening"]
    assert {(one.place, one.code) for one in noted} == (set() if temper == "wrong_type" else {("hook", hook)})
    if fails:
        page = browser.get("/plugins/").text
        assert f'Hook<span class="sub code">{hook}' in page.partition("<strong>listening</strong>")[2]
        told.faulty.temper = "quick"
        with time_machine.travel(now() + timedelta(minutes=2)):
            telling.tell_again()
        assert (telling.waiting(), told.heard) == ({}, 1)
    plugin_failures.clear()


@pytest.mark.parametrize("how", ["commit", "rollback", "close", "unit_of_work"])
def test_no_listener_ends_the_transaction_of_an_act(
    browser: Browser, order: Order, how: str, plugin_failures: list[Failure]
) -> None:
    """Otherwise half an act would be kept: a shipment that is never reported to the channel."""

    class Ending:
        @hookimpl
        def orders_changed(self, changes: list[Any]) -> None:
            if how == "unit_of_work":
                with unit_of_work():
                    pass
            getattr(db.session, how)()

        @hookimpl
        def keep_from_shipping(self, orders: list[int]) -> dict[int, Refusal]:
            return {}

    hooks.manager.register(Ending(), name="ending")
    packages = {"carrier": "DHL", "tracking_number": "JD1"}
    answer = browser.post(f"/orders/{order.number}/actions/ship", packages, htmx=True)
    assert answer.status_code == 200
    db.session.rollback()
    assert find_order(str(order.number), Actor.operator()).state == "complete"
    assert list(db.session.scalars(select(ChannelUpdate.state))) == ["owed"]
    assert telling.waiting() == {"ending": 1}
    assert [(one.plugin, one.problem) for one in plugin_failures] == [("ending", "RuntimeError")]
    plugin_failures.clear()


class Asked:
    """A plugin that is asked, and makes the error of its temper."""

    def __init__(self, temper: str) -> None:
        self.faulty = Faulty(temper)

    @hookimpl
    def keep_from_shipping(self, orders: list[int]) -> dict[int, Refusal]:
        answer: dict[int, Refusal] = self.faulty.do({})
        return answer

    @hookimpl
    def keep_from_archive(self, orders: list[int]) -> dict[int, Refusal]:
        return self.keep_from_shipping(orders)

    @hookimpl
    def keep_buyers(self, orders: list[int]) -> dict[int, Refusal]:
        return self.keep_from_shipping(orders)


def test_who_fails_to_say_whether_it_may_be_done_has_refused(
    browser: Browser, order: Order, temper: str, plugin_failures: list[Failure]
) -> None:
    """The order's page works and says why it can't be shipped; nothing of the act is kept."""
    hooks.manager.register(Asked(temper), name="asked")
    failed = "“keep_from_shipping” of the plugin “asked” failed"
    page = unescape(browser.get(f"/orders/{order.number}").text)
    assert (failed in page) is (temper != "slow")
    assert {"hook"} <= {one.place for one in plugin_failures if one.plugin == "asked"}

    packages = {"carrier": "DHL", "tracking_number": "JD1"}
    answer = browser.post(f"/orders/{order.number}/actions/ship", packages, htmx=True)
    assert answer.status_code == (200 if temper == "slow" else 500)
    assert (failed in unescape(answer.text)) is (temper != "slow")
    db.session.rollback()
    assert find_order(str(order.number), Actor.operator()).state == ("complete" if temper == "slow" else "processing")
    plugin_failures.clear()


@pytest.mark.parametrize("hook", ["keep_from_archive", "keep_from_shipping", "keep_buyers"])
def test_one_refusal_for_all_orders_may_be_raised(order: Order, hook: str, plugin_failures: list[Failure]) -> None:
    class Inventory(Refusal):
        sentence = "Nothing leaves while the shelves are counted."

    class Counting(Asked):
        @hookimpl
        def keep_from_shipping(self, orders: list[int]) -> dict[int, Refusal]:
            raise Inventory

    hooks.manager.register(Counting("quick"), name="counting")
    assert {order_id: str(why) for order_id, why in refusals(hook, [order.id, 7]).items()} == {
        order.id: Inventory.sentence,
        7: Inventory.sentence,
    }
    hooks.manager.register(Asked("raises"), name="asked")
    assert isinstance(refusals(hook, [order.id])[order.id], Refusal)
    plugin_failures.clear()


def test_what_is_no_refusal_is_no_answer(order: Order, mia: Actor, plugin_failures: list[Failure]) -> None:
    class Odd:
        @hookimpl
        def keep_from_shipping(self, orders: list[int]) -> dict[int, Any]:
            return dict.fromkeys(orders, "Don't.")

    hooks.manager.register(Odd(), name="odd")
    refusal = shipping_refusal(find_order(str(order.number), mia), mia)
    assert isinstance(refusal, fence.PluginFailed)
    assert [(one.plugin, one.problem) for one in plugin_failures] == [("odd", "WrongType")]
    plugin_failures.clear()


def test_listener_of_an_import(
    store: Store, browser: Browser, take: Callable[..., list[Order]], plugin_failures: list[Failure]
) -> None:
    """The orders are imported all the same, and the page of plugins shows the failure."""

    class Listening:
        @hookimpl
        def orders_imported(self, orders: list[int]) -> None:
            raise ValueError("Quixelworth")

    hooks.manager.register(Listening(), name="moods")
    assert len(take(incoming_order(), incoming_order())) == 2
    assert [(one.plugin, one.place) for one in plugin_failures] == [("moods", "hook")]
    plugin_failures.clear()
    assert "Hook" in browser.get("/plugins/").text
