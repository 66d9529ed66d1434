"""Amazon denies one thing while the credentials are good: it is left out by name, and everything else goes on."""

import itertools
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import given, strategies as st

from plugins.amazon import errors, shipping
from plugins.amazon.asking import Place
from plugins.amazon.channel import AmazonChannel
from plugins.amazon.client import Answer, Client
from plugins.amazon.datasets import ALL, DataSetMemory, denied_among
from plugins.amazon.practice import PracticeClient
from plugins.amazon.practice.marketplaces import BY_ID
from plugins.amazon.shared import Shared
from webapp.api import (
    DeniedThing,
    Disconnected,
    IncomingOrder,
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
    """The pages of a window, each requested with the results of the one before."""
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
    made = []
    for _ in range(30):
        before = len(amazon.calls("searchOrders"))
        token = channel.fetch_orders(eu, OrdersWindow(now() - MONTH, token)).next_page
        made.append([status for status, _ in searches(amazon)[before:]])
        if token is None:
            break
    assert made.pop(0) == [403, 403, 403]  # once more with a new token, and once without data: it is not about data
    assert made.count([403, 403]) == 1
    assert {tuple(statuses) for statuses in made} == {(200,), (403, 403)}
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
    assert len(searches(amazon)) == 3 * (1 + len(eu.marketplaces))


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


@pytest.mark.parametrize(
    ("sets", "most"),
    [(["RECIPIENT"], 5), (["BUYER", "RECIPIENT"], 6), (["FULFILLMENT"], 8), (["FULFILLMENT_ORDERS"], 9), (ALL, 14)],
    ids=["RECIPIENT", "both personal ones", "FULFILLMENT", "the last", "all"],
)
def test_data_sets_that_are_denied_without_a_name_are_found(
    sets: Sequence[str], most: int, channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient
) -> None:
    """One missing role never means that no orders come, and finding out which costs few searches."""
    for name in sets:
        amazon.fault("searchOrders", "dataset_denied_unnamed", dataset=name, times=1000)
    first = channel.fetch_orders(store, OrdersWindow(now() - MONTH))
    assert first.orders
    assert denied([first]) == {("data", name) for name in sets}
    assert [status for status, _ in searches(amazon)].count(403) >= 2
    assert len(searches(amazon)) - 1 <= most
    asked = len(searches(amazon))
    pages = read(channel, store)
    assert denied(pages) == {("data", name) for name in sets}
    assert all(set(order.missing) == set(sets) for page in pages for order in page.orders)
    assert {status for status, _ in searches(amazon)[asked:]} == {200}
    amazon.mend()
    assert channel.connect(store).ok
    assert denied(read(channel, store)) == set()


@pytest.mark.parametrize("marketplace", ["marketplace", "marketplace_unnamed"])
@pytest.mark.parametrize("dataset", ["dataset_denied", "dataset_denied_unnamed"])
@pytest.mark.parametrize("first", ["marketplace", "data"])
@pytest.mark.parametrize("place", [0, -1], ids=["the first", "the last"])
def test_a_marketplace_and_a_data_set_denied_at_once_are_both_found(
    place: int,
    first: str,
    dataset: str,
    marketplace: str,
    channel: AmazonChannel,
    eu: StoreAccess,
    amazon: PracticeClient,
) -> None:
    id_ = list(eu.marketplaces)[place]
    everything = sites(read(channel, eu)) - {""}
    asked = len(searches(amazon))
    faults: list[tuple[str, dict[str, Any]]] = [
        (marketplace, {"marketplace": BY_ID[id_].code}),
        (dataset, {"dataset": "RECIPIENT"}),
    ]
    for kind, which in faults if first == "marketplace" else reversed(faults):
        amazon.fault("searchOrders", kind, times=1000, **which)

    pages = read(channel, eu)

    assert denied(pages) == {("marketplace", id_), ("data", "RECIPIENT")}
    assert sites(pages) == everything - {id_}
    assert all(order.missing == ("RECIPIENT",) for page in pages for order in page.orders)
    assert [status for status, _ in searches(amazon)[asked:]].count(403) <= 10


def test_one_marketplace_tried_by_itself_leaves_out_what_was_denied_until_lately(
    channel: AmazonChannel, eu: StoreAccess, amazon: PracticeClient
) -> None:
    """Else the denial of data, which is to be asked for again just then, would be taken for the marketplace's."""
    amazon.fault("searchOrders", "dataset_denied_unnamed", dataset="TAX", times=1000)
    placed = amazon.place(marketplace="DE")
    channel.fetch_orders(eu, OrdersWindow(now() - MONTH))
    with time_machine.travel(now() + timedelta(hours=6.1), tick=True):
        pages = read(channel, eu, only=GERMANY, open_only=True)
        assert denied(pages) == {("data", "TAX")}
        order = channel.fetch_order(eu, placed["order_id"])
        assert isinstance(order, IncomingOrder)
        assert order.missing == ("TAX",)
        amazon.mend()
        assert denied(read(channel, eu)) == set()
        assert denied(read(channel, eu, only=GERMANY)) == set()


def test_a_worker_that_is_throttled_while_it_looks_for_the_data_pays_for_nothing_twice(
    shared: Shared, store: StoreAccess, amazon: PracticeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call is followed by a throttled one, which ends the job; the next goes on where that stopped."""
    request, calls = Client.request, itertools.count()

    def throttled(client: Client, *args: Any, **more: Any) -> Answer:
        if next(calls) % 2:
            raise Throttled(channel="Amazon", seconds=179)
        return request(client, *args, **more)

    monkeypatch.setattr(Client, "request", throttled)
    for name in ("BUYER", "TAX"):
        amazon.fault("searchOrders", "dataset_denied_unnamed", dataset=name, times=1000)
    pages: list[OrdersPage] = []
    for _ in range(40):
        with suppress(Throttled):
            pages.append(AmazonChannel(shared).fetch_orders(store, OrdersWindow(now() - MONTH)))
            break
    assert denied(pages) == {("data", "BUYER"), ("data", "TAX")}
    tried = [call["params"].get("includedData") for call in amazon.calls("searchOrders")]
    assert len(tried) - len(set(tried)) <= 2  # the first was asked with a new token, too; the last is the page itself


@pytest.mark.parametrize("times", [2, 3, 4])
def test_a_denial_that_passes_leaves_out_nothing(
    times: int, channel: AmazonChannel, make_store: Callable[..., StoreAccess], amazon: PracticeClient
) -> None:
    store = make_store(marketplaces="US")
    amazon.fault("searchOrders", "403", times=times)
    pages = []
    for _ in range(2):
        try:
            pages = read(channel, store)
        except errors.AccessDenied:
            continue
    assert pages
    assert denied(pages) == set()


@given(denied=st.sets(st.sampled_from(ALL), min_size=1))
def test_whatever_is_denied_is_left_out_and_little_else(denied: set[str]) -> None:
    asked = set[frozenset[str]]()

    def is_allowed(names: Collection[str]) -> bool:
        asked.add(frozenset(names))
        return not denied & set(names)

    assert denied_among((), is_allowed) == ()  # where all of them are left out, and a denial of the search passed
    assert set(denied_among(ALL, is_allowed)) == denied
    assert len(asked) <= 21


def test_sets_that_are_refused_one_after_another_each_have_their_own_end(shared: Shared) -> None:
    memory, started = DataSetMemory(shared), now()

    def after(hours: float) -> time_machine.travel:
        return time_machine.travel(started + timedelta(hours=hours), tick=True)

    def missing(hours: float, *, with_lapsed: bool = True) -> tuple[str, ...]:
        with after(hours):
            return memory.read("a", with_lapsed=with_lapsed).missing

    for hours, name in ((0, "TAX"), (1, "RECIPIENT"), (2, "FULFILLMENT")):
        with after(hours):
            memory.leave_out("a", [name])
    assert missing(5.9) == ("RECIPIENT", "FULFILLMENT", "TAX")
    assert missing(6.1) == ("RECIPIENT", "FULFILLMENT")
    assert missing(6.1, with_lapsed=False) == ("RECIPIENT", "FULFILLMENT", "TAX")  # by what would find out nothing
    assert missing(7.1) == ("FULFILLMENT",)
    assert missing(8.1) == ()
    memory.allowed_again("a", ["TAX"])
    assert missing(8.1, with_lapsed=False) == ("RECIPIENT", "FULFILLMENT")
    memory.forget("a")
    assert missing(3) == ()


@pytest.mark.parametrize("fault", ["dataset_denied", "dataset_denied_unnamed", "dataset"])
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
            sets = [call["params"].get("includedData", "").split(",") for call in amazon.calls("searchOrders")[asked:]]
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
