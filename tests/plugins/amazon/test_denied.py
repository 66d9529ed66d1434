"""Amazon denies one thing while the credentials are good: it is left out by name, and everything else goes on."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from plugins.amazon import errors, shipping
from plugins.amazon.asking import Place
from plugins.amazon.channel import AmazonChannel
from plugins.amazon.datasets import DataSetMemory
from plugins.amazon.practice import PracticeClient
from plugins.amazon.shared import Shared
from webapp.api import (
    DeniedThing,
    Disconnected,
    NotYet,
    OrdersPage,
    OrdersWindow,
    Sent,
    StoreAccess,
    Throttled,
    Update,
    now,
)

US, CANADA, GERMANY = "ATVPDKIKX0DER", "A2EUQ1WTGCTBG2", "A1PA6795UKMFR9"
MONTH = timedelta(days=30)


def read(channel: AmazonChannel, store: StoreAccess, **window: Any) -> list[OrdersPage]:
    """The pages of a window, each asked for with what the one before said."""
    low, pages, token = now() - MONTH, list[OrdersPage](), None
    while True:
        pages.append(channel.fetch_orders(store, OrdersWindow(low, token, **window)))
        token = pages[-1].next_page
        if token is None:
            return pages


def denied(pages: list[OrdersPage]) -> set[tuple[str, str]]:
    return {(denial.thing, denial.name) for page in pages for denial in page.denied}


def sites(pages: list[OrdersPage]) -> set[str]:
    return {order.marketplace for page in pages for order in page.orders}


def searches(amazon: PracticeClient) -> list[tuple[int, str | None]]:
    return [(call["status"], call["params"].get("marketplaceIds")) for call in amazon.calls("searchOrders")]


@pytest.fixture
def eu(make_store: Callable[..., StoreAccess], channel: AmazonChannel) -> StoreAccess:
    store = make_store("eu")
    served = [marketplace.id for marketplace in channel.connect(store).marketplaces]
    return StoreAccess(store.id, store.settings, practice=True, marketplaces=served)


@pytest.mark.parametrize("known", [True, False], ids=["connected", "never connected"])
@pytest.mark.parametrize("kind", ["marketplace", "marketplace_unnamed"])
def test_a_denied_marketplace_is_found_and_the_others_are_read(
    kind: str, known: bool, channel: AmazonChannel, eu: StoreAccess, amazon: PracticeClient
) -> None:
    everything = sites(read(channel, eu)) - {""}  # orders from elsewhere are listed only where no marketplace is named
    amazon.fault("searchOrders", kind, marketplace="DE", times=1000)
    store = eu if known else StoreAccess(eu.id, eu.settings, practice=True)

    pages = read(channel, store)

    assert denied(pages) == {("marketplace", GERMANY)}
    assert sites(pages) == everything - {GERMANY}
    assert all(page.bound for page in pages if page.orders)
    asked = len(amazon.calls("searchOrders"))
    again = read(channel, store, without=[GERMANY])
    assert (sites(again), denied(again)) == (everything - {GERMANY}, set())
    assert {status for status, _ in searches(amazon)[asked:]} == {200}


def test_an_answer_that_names_the_marketplace_costs_one_search(
    channel: AmazonChannel, eu: StoreAccess, amazon: PracticeClient
) -> None:
    amazon.fault("searchOrders", "marketplace", marketplace="FR", times=1000)
    first = channel.fetch_orders(eu, OrdersWindow(now() - MONTH))
    assert (first.orders, first.bound, denied([first])) == ([], None, {("marketplace", "A13V1IB3VIYZZH")})
    assert "Amazon.fr" in str(errors.MarketplaceDenied(channel="Amazon", problem="", site="Amazon.fr"))
    second = channel.fetch_orders(eu, OrdersWindow(now() - MONTH, first.next_page))
    assert second.orders


def test_each_step_of_finding_the_denied_one_is_a_page_of_its_own(
    channel: AmazonChannel, eu: StoreAccess, amazon: PracticeClient
) -> None:
    """A worker that is throttled or dies in between never pays twice for what was found out."""
    amazon.fault("searchOrders", "marketplace_unnamed", marketplace="DE", times=1000)
    token: str | None = None
    for _ in range(30):
        before = len(amazon.calls("searchOrders"))
        token = channel.fetch_orders(eu, OrdersWindow(now() - MONTH, token)).next_page
        made = [status for status, _ in searches(amazon)[before:]]
        assert made in ([200], [403, 403])  # a denial is asked about once more with a new token
        if token is None:
            break
    assert [status for status, ids in searches(amazon) if ids in (None, GERMANY)][-4:] == [403] * 4


def test_denied_everywhere_is_the_operation_and_disconnects_nothing(
    channel: AmazonChannel, eu: StoreAccess, amazon: PracticeClient
) -> None:
    amazon.fault("searchOrders", "403", times=1000)
    with pytest.raises(errors.AccessDenied) as caught:
        read(channel, eu)
    assert not isinstance(caught.value, Disconnected)
    assert (caught.value.thing, caught.value.name) == (DeniedThing.OPERATION, "searchOrders")
    assert caught.value.retry_after == 6 * 3600


def test_the_only_marketplace_denied_is_the_operation(
    channel: AmazonChannel, make_store: Callable[..., StoreAccess], amazon: PracticeClient
) -> None:
    amazon.fault("searchOrders", "marketplace", marketplace="JP", times=1000)
    with pytest.raises(errors.AccessDenied):
        read(channel, make_store("fe", marketplaces="JP"))


def test_a_marketplace_is_tried_by_itself(channel: AmazonChannel, eu: StoreAccess, amazon: PracticeClient) -> None:
    amazon.fault("searchOrders", "marketplace_unnamed", marketplace="DE", times=2)
    with pytest.raises(errors.MarketplaceDenied) as caught:
        read(channel, eu, only=GERMANY, open_only=True)
    assert caught.value.denial.name == GERMANY
    assert sites(read(channel, eu, only=GERMANY)) == {GERMANY}
    chosen = StoreAccess(eu.id, {**eu.settings, "marketplaces": "FR"}, practice=True)
    assert read(channel, chosen, only=GERMANY) == [OrdersPage([])]  # the store no longer wants it


def test_everything_denied_by_name_asks_nothing(
    channel: AmazonChannel, eu: StoreAccess, amazon: PracticeClient
) -> None:
    asked = len(amazon.calls("searchOrders"))
    with pytest.raises(errors.AccessDenied):
        read(channel, eu, without=list(eu.marketplaces))
    assert len(amazon.calls("searchOrders")) == asked


def test_a_denied_data_set_is_left_out_and_said(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient
) -> None:
    amazon.fault("searchOrders", "dataset_denied", dataset="RECIPIENT", times=1000)
    pages = read(channel, store)
    assert denied(pages) == {("data", "RECIPIENT")}
    assert all("RECIPIENT" in order.missing for page in pages for order in page.orders)
    amazon.mend()
    assert denied(read(channel, store)) == {("data", "RECIPIENT")}  # it is tried every six hours
    assert channel.connect(store).ok  # or at once, where somebody asks whether it works
    assert denied(read(channel, store)) == set()


def test_sets_that_are_refused_one_after_another_each_have_their_own_end(shared: Shared) -> None:
    memory, started = DataSetMemory(shared), now()

    def after(hours: float) -> time_machine.travel:
        return time_machine.travel(started + timedelta(hours=hours), tick=True)

    def missing(hours: float) -> tuple[str, ...]:
        with after(hours):
            return memory.read("a").missing

    for hours, name in ((0, "TAX"), (1, "RECIPIENT")):
        with after(hours):
            memory.keep("a", replace(memory.read("a"), named=memory.read("a").named | {name}))
    with after(2):
        memory.keep("a", replace(memory.read("a"), trial=2))
    assert missing(5.9) == ("RECIPIENT", "FULFILLMENT", "TAX")
    assert missing(6.1) == ("RECIPIENT", "FULFILLMENT")
    assert missing(7.1) == ("FULFILLMENT",)
    assert missing(8.1) == ()
    memory.forget("a")
    assert missing(3) == ()


@pytest.mark.parametrize("fault", ["dataset_denied", "dataset"], ids=["403 names it", "400 does not"])
def test_a_data_set_is_tried_again_every_six_hours(
    fault: str, channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient
) -> None:
    """However Amazon says no: the page of the store promises it, and each try costs one of few searches."""
    read(channel, store)
    amazon.fault("searchOrders", fault, dataset="RECIPIENT", times=1000)
    assert "RECIPIENT" in {name for _, name in denied(read(channel, store))}
    for hours, tried in ((1, False), (5.9, False), (6.1, True), (7, False), (12.0, False), (12.3, True)):
        with time_machine.travel(now() + timedelta(hours=hours), tick=True):
            asked = len(amazon.calls("searchOrders"))
            read(channel, store)
            sets = [call["params"]["includedData"].split(",") for call in amazon.calls("searchOrders")[asked:]]
            assert any("RECIPIENT" in asked_for for asked_for in sets) is tried, hours


def test_one_order_denied_is_one_order(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, make_update: Callable[..., Update]
) -> None:
    orders = [amazon.place(marketplace="US") for _ in range(3)]
    amazon.fault("confirmShipment", "403", order_id=orders[0]["order_id"], times=1000)
    told = [make_update(order) for order in orders]
    outcomes = channel.deliver(store, told)
    assert [type(outcomes[one.id]) for one in told] == [NotYet, Sent, Sent]
    waiting = outcomes[told[0].id]
    assert isinstance(waiting, NotYet)
    assert waiting.denial
    assert (waiting.denial.thing, waiting.denial.name) == (DeniedThing.ORDER, orders[0]["order_id"])
    assert waiting.seconds == 6 * 3600


def test_confirming_denied_is_not_tried_order_by_order(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, make_update: Callable[..., Update]
) -> None:
    amazon.fault("confirmShipment", "403", times=1000)
    told = [make_update(amazon.place(marketplace="US")) for _ in range(8)]
    outcomes = channel.deliver(store, told)
    things = [outcome.denial.thing for outcome in outcomes.values() if isinstance(outcome, NotYet) and outcome.denial]
    assert things == [DeniedThing.ORDER] * (shipping.DENIALS - 1) + [DeniedThing.OPERATION] * 6
    assert channel.connect(store).ok


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("Access to marketplace A1PA6795UKMFR9 is denied.", {GERMANY}),
        ("You may not search in www.amazon.de.", {GERMANY}),
        ("amazon.de, amazon.fr", {GERMANY, "A13V1IB3VIYZZH"}),
        ("See amazon.de.example or XA1PA6795UKMFR9Y", set()),
        ("Access to requested resource is denied.", set()),
    ],
)
def test_marketplaces_are_found_in_amazons_words(words: str, named: set[str]) -> None:
    ids = (GERMANY, "A13V1IB3VIYZZH", "APJ6JRA9NG5V4")
    place = Place().without(words, ids)
    assert place is not None
    assert (place.alone, set(place.found)) == (not named, named)
    assert Place.of(place.page, ()) == place


def test_a_spare_search_takes_a_quarter_and_leaves_half_of_the_burst(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient
) -> None:
    """Of 20 searches at once, reading again gets five, and none once ten are gone."""
    amazon.settings(rates=1)
    spare, urgent = (OrdersWindow(now() - MONTH, open_only=True, spare=spare) for spare in (True, False))
    waits = []
    for _ in range(7):
        try:
            channel.fetch_orders(store, spare)
        except Throttled as throttled:
            waits.append(throttled.retry_after or 0)
    assert len(waits) >= 2
    assert min(waits) > 4 * 178 - 10  # one in four of those that come every 179 seconds
    channel.fetch_orders(store, urgent)
