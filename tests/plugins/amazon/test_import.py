"""Reading orders from the practice Amazon over real HTTP."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from plugins.amazon import datasets
from plugins.amazon.channel import AmazonChannel
from plugins.amazon.plugin import practice_settings
from plugins.amazon.practice import PracticeClient, PracticeServer
from webapp.api import (
    ChannelStage,
    Component,
    FulfilledBy,
    IncomingOrder,
    OrdersPage,
    OrdersWindow,
    PageRefused,
    StoreAccess,
    now,
)

MONTH = timedelta(days=31)


def read_all(
    channel: AmazonChannel, store: StoreAccess, low_ago: timedelta = MONTH, **window: bool
) -> list[OrdersPage]:
    low, page, pages = now() - low_ago, None, []
    while True:
        pages.append(channel.fetch_orders(store, OrdersWindow(low, page, **window)))
        page = pages[-1].next_page
        if page is None:
            return pages


@pytest.mark.parametrize("region", ["na", "eu", "fe"])
def test_every_order_of_a_month_arrives_and_can_be_read(
    region: str, channel: AmazonChannel, make_store: Callable[..., StoreAccess], amazon: PracticeClient
) -> None:
    pages = read_all(channel, make_store(region))
    orders = [order for page in pages for order in page.orders]

    assert not [one for page in pages for one in page.unreadable]
    assert len({order.number for order in orders}) == len(orders) > 30
    assert all(page.bound == pages[0].bound for page in pages)
    assert {order.currency for order in orders if order.total} <= {
        "na": {"USD", "CAD"}, "eu": {"EUR", "GBP"}, "fe": {"JPY"},
    }[region]  # fmt: skip
    assert {ChannelStage.SHIPPED, ChannelStage.CANCELED} <= {order.stage for order in orders}


@pytest.mark.parametrize("region", ["na", "eu", "fe"])
def test_the_amounts_of_each_order_add_up_to_its_total(
    region: str, channel: AmazonChannel, make_store: Callable[..., StoreAccess], amazon: PracticeClient
) -> None:
    for page in read_all(channel, make_store(region)):
        for order in page.orders:
            amounts = [*order.amounts, *(amount for line in order.lines for amount in line.amounts)]
            assert all(amount.tax >= 0 and amount.discount >= 0 for amount in amounts)
            if order.total is not None:
                assert sum(amount.charged + amount.tax - amount.discount for amount in amounts) == order.total


def test_open_orders_come_first_when_a_store_is_new(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient
) -> None:
    placed = amazon.place(marketplace="US", status="PENDING")

    orders = [order for page in read_all(channel, store, open_only=True) for order in page.orders]

    assert placed["order_id"] in {order.number for order in orders}
    assert {order.stage for order in orders} <= {ChannelStage.AWAITING_PAYMENT, ChannelStage.OPEN}


def test_an_order_with_everything(channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient) -> None:
    lines = [{"sku": "MUG/1 ä%", "quantity": 2, "unit_price": "10.00", "transparency": True, "gift": True}]
    placed = amazon.place(
        marketplace="US", lines=lines, traits=["business", "prime", "ship_plus", "promotion"], gift_message="=1+1 <b>",
        buyer_name="Ōsaka 太郎", cancel_request="Too late",
    )  # fmt: skip

    order = channel.fetch_order(store, placed["order_id"])

    assert isinstance(order, IncomingOrder)
    [line] = order.lines
    assert (line.sku, line.ordered, line.unfulfilled, line.unit_price) == ("MUG/1 ä%", 2, 2, 1000)
    assert (line.needs_codes, line.gift, line.cancel_requested, line.cancel_reason) == (True, True, True, "Too late")
    assert {"business", "prime", "label_required", "gift"} <= set(order.flags)
    assert {"AMAZON_BUSINESS", "PRIME", "FBM_SHIP_PLUS"} == set(order.programs)
    assert order.buyer["name"] == order.buyer["address"]["name"] == "Ōsaka 太郎"
    assert order.buyer["gift_messages"] == {line.number: "=1+1 <b>"}
    assert order.buyer["purchase_order"].startswith("PO-")
    [item] = [amount for amount in line.amounts if amount.component is Component.ITEM]
    assert (item.charged, item.discount > 0, item.tax > 0) == (2000, True, True)
    assert line.promotions
    assert order.ship_by
    assert order.ship_from
    assert order.deliver_by
    assert order.raw["orderId"] == order.number


def test_a_pending_order_has_no_money_and_no_buyer(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient
) -> None:
    order = channel.fetch_order(store, amazon.place(marketplace="US", status="PENDING")["order_id"])

    assert isinstance(order, IncomingOrder)
    assert (order.stage, order.total, order.currency, order.buyer) == (ChannelStage.AWAITING_PAYMENT, None, None, {})
    assert order.lines[0].unit_price is None


def test_words_that_nobody_knows_are_kept(channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient) -> None:
    placed = amazon.place(marketplace="US", status="LEVITATING", programs=["FUTURE_PROGRAM"])

    order = channel.fetch_order(store, placed["order_id"])

    assert isinstance(order, IncomingOrder)
    assert (order.stage, order.status) == (ChannelStage.UNKNOWN, "LEVITATING")
    assert "FUTURE_PROGRAM" in order.programs
    assert channel.status_label("LEVITATING") == "LEVITATING"
    assert channel.package_status_label("LEVITATING") == "LEVITATING"
    assert str(channel.package_status_label("DELIVERED")) == "Delivered"
    assert channel.service_label("TELEPORT") == "TELEPORT"
    assert str(channel.service_label("SAME_DAY")) == "Same day"


def test_orders_of_other_channels_are_no_sales(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient
) -> None:
    placed = amazon.place(marketplace="US", fulfilled_by="AMAZON", non_amazon=True)

    order = channel.fetch_order(store, placed["order_id"])

    assert isinstance(order, IncomingOrder)
    assert (order.is_sale, order.marketplace, order.fulfilled_by) == (False, "", FulfilledBy.CHANNEL)


def test_packages_and_the_order_that_is_replaced(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient
) -> None:
    original = amazon.place(marketplace="US")
    placed = amazon.place(marketplace="US", traits=["replacement"], replaces=original["order_id"])
    amazon.ship_elsewhere(placed["order_id"], carrier="UPS", tracking="1ZELSEWHERE")

    order = channel.fetch_order(store, placed["order_id"])

    assert isinstance(order, IncomingOrder)
    assert (order.replaces, order.total) == (original["order_id"], 0)
    assert "replacement" in order.flags
    [package] = order.packages
    assert (package.carrier, package.tracking_number) == ("UPS", "1ZELSEWHERE")
    assert dict(package.lines) == {line.number: line.ordered for line in order.lines}


def test_only_the_chosen_marketplaces_are_asked_for(
    channel: AmazonChannel, make_store: Callable[..., StoreAccess], amazon: PracticeClient
) -> None:
    before = len(amazon.calls("searchOrders"))
    pages = read_all(channel, make_store("eu", marketplaces="de, uk"))
    read_all(channel, make_store("eu"), timedelta(hours=1))

    asked = [call["params"] for call in amazon.calls("searchOrders")[before:]]
    assert {order.marketplace for page in pages for order in page.orders} == {"A1PA6795UKMFR9", "A1F83G8C2ARO7P"}
    assert asked[0]["marketplaceIds"] == "A1PA6795UKMFR9,A1F83G8C2ARO7P"
    assert "marketplaceIds" not in asked[-1]
    assert not any(name.endswith("Before") for call in asked for name in call)
    assert {call["maxResultsPerPage"] for call in asked} == {"100"}


def test_a_page_that_amazon_no_longer_knows(channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient) -> None:
    with pytest.raises(PageRefused):
        channel.fetch_orders(store, OrdersWindow(now() - MONTH, "made-up"))
    first = channel.fetch_orders(store, OrdersWindow(low := now() - MONTH))
    assert first.next_page
    amazon.fault("searchOrders", "page_token")
    with pytest.raises(PageRefused):
        channel.fetch_orders(store, OrdersWindow(low, first.next_page))
    assert channel.fetch_orders(store, OrdersWindow(low, first.next_page)).orders


@pytest.mark.parametrize("dataset", ["TAX", "FULFILLMENT", "BUYER", "CANCELLATION"])
def test_a_refused_data_set_is_left_out_and_found_without_being_named(
    dataset: str, channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient
) -> None:
    placed = amazon.place(marketplace="US")
    channel.fetch_orders(store, OrdersWindow(now() - timedelta(hours=1)))  # tells the rates
    amazon.fault("*", "dataset", dataset=dataset, times=100)
    before = len(amazon.calls("searchOrders"))

    page = channel.fetch_orders(store, OrdersWindow(now() - timedelta(hours=1)))
    again = channel.fetch_orders(store, OrdersWindow(now() - timedelta(hours=1)))
    alone = channel.fetch_order(store, placed["order_id"])

    calls = amazon.calls("searchOrders")[before:]
    assert page.orders
    assert page.calls == len(calls) - 1
    assert again.calls == 1
    for order in (page.orders[0], again.orders[0], alone):
        assert isinstance(order, IncomingOrder)
        assert dataset in order.missing
        assert set(order.missing) <= set(datasets.ALL)


def test_an_unknown_number_is_none(channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient) -> None:
    placed = amazon.place(marketplace="DE")

    assert channel.fetch_order(store, placed["order_id"]) is None  # of another account
    assert channel.fetch_order(store, "../../tokens") is None
    assert channel.fetch_order(store, "") is None


def test_an_order_of_many_lines_and_a_page_twice_over(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient
) -> None:
    placed = amazon.place(marketplace="CA", lines=120)
    amazon.fault("searchOrders", "repeat")

    page = channel.fetch_orders(store, OrdersWindow(now() - timedelta(minutes=5)))

    numbers = [order.number for order in page.orders]
    assert numbers.count(placed["order_id"]) == 2 or len(numbers) == len(set(numbers)) + 1
    [order] = {order.number: order for order in page.orders if order.number == placed["order_id"]}.values()
    assert len(order.lines) == 120


def test_the_practice_store_is_connected_with_its_own_settings(
    channel: AmazonChannel, amazon_server: PracticeServer
) -> None:
    told = practice_settings(amazon_server.url + "/")
    known = {setting.name for setting in channel.settings}
    assert set(told) <= known
    assert channel.connect(StoreAccess(1, told, practice=True)).ok
