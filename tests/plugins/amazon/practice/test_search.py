"""searchOrders and getOrder: windows, pages, parameters, sets, and answers that fit Amazon's model."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st

from plugins.amazon.practice import MARKETPLACES
from plugins.amazon.practice.answers import SETS, iso
from plugins.amazon.practice.world import HOUR
from tests.plugins.amazon.practice.seller import ORDERS, Clock, Seller, valid

EVER = "2026-01-01T00:00:00Z"
ALL = ",".join(SETS)


def ids(orders: list[dict[str, Any]]) -> list[str]:
    return [order["orderId"] for order in orders]


@pytest.mark.parametrize("paging", [{}, {"offset_paging": True}, {"shuffle": True}])
@pytest.mark.parametrize("start", ["createdAfter", "lastUpdatedAfter"])
def test_pages_hold_every_order_of_the_region_once(
    make_app: Callable[..., Flask], start: str, paging: dict[str, bool]
) -> None:
    app = make_app(orders=250, settings=paging)
    found = [order for region in ("na", "eu", "fe") for order in Seller(app, region).all(**{start: EVER})]

    world = app.extensions["practice"].world
    now = app.extensions["practice"].now_ms()
    placed = [i for i in range(250) if (world.created_ms(i) or 0) <= now - 120_000]
    assert len(found) == len(set(ids(found))) == len(placed)


@given(hours_ago=st.integers(1, 31 * 24), hours=st.integers(1, 31 * 24), size=st.integers(1, 100), by=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_window_in_pages_of_any_size_holds_what_lies_in_it(
    seller: Seller, hours_ago: int, hours: int, size: int, by: bool
) -> None:
    now = seller.practice.now_ms()
    low, high = now - hours_ago * HOUR, min(now - hours_ago * HOUR + hours * HOUR, now - 120_000)
    start, end, field = (
        ("lastUpdatedAfter", "lastUpdatedBefore", "lastUpdatedTime")
        if by
        else ("createdAfter", "createdBefore", "createdTime")
    )
    everything = seller.all(**{start: EVER})

    found = seller.all(**{start: iso(low), end: iso(high), "maxResultsPerPage": size})

    assert sorted(ids(found)) == sorted(ids([o for o in everything if iso(low) <= o[field] <= iso(high)]))


def test_orders_come_oldest_change_first_unless_shuffled(seller: Seller) -> None:
    times = [order["lastUpdatedTime"] for order in seller.all(lastUpdatedAfter=EVER)]
    assert times == sorted(times)

    seller.http.post("/practice/settings", json={"shuffle": True})
    shuffled = [order["lastUpdatedTime"] for order in seller.all(lastUpdatedAfter=EVER)]
    assert shuffled != times
    assert sorted(shuffled) == times


def test_an_order_that_changes_while_paging_comes_again_in_the_next_window(seller: Seller, clock: Clock) -> None:
    orders = [seller.place() for _ in range(4)]
    clock.now += 200
    first = seller.search(lastUpdatedAfter=iso(seller.practice.now_ms() - 300_000), maxResultsPerPage=2).get_json()
    late = next(order for order in orders if order["order_id"] not in ids(first["orders"]))
    seller.happen(late, "touch")
    clock.now += 121

    rest = seller.search(
        lastUpdatedAfter=iso(seller.practice.now_ms() - 421_000),
        maxResultsPerPage=100,
        paginationToken=first["pagination"]["nextToken"],
    ).get_json()
    following = seller.all(lastUpdatedAfter=first["lastUpdatedBefore"])

    assert late["order_id"] not in ids(rest["orders"])
    assert rest["lastUpdatedBefore"] == first["lastUpdatedBefore"]
    assert late["order_id"] in ids(following)


def test_an_order_that_was_bought_days_ago_is_news_when_it_is_placed(seller: Seller, clock: Clock) -> None:
    since = iso(seller.practice.now_ms())
    orders = [seller.place(status=status, placed_ago=3 * 86_400) for status in ("UNSHIPPED", "PENDING")]
    clock.now += 121

    assert sorted(ids(seller.all(lastUpdatedAfter=since))) == sorted(order["order_id"] for order in orders)


def test_with_offset_paging_a_change_shifts_another_order_over_the_border(
    make_app: Callable[..., Flask], clock: Clock
) -> None:
    seller = Seller(make_app(orders=0, settings={"offset_paging": True}))
    orders = [seller.place() for _ in range(4)]
    clock.now += 200
    window = {"lastUpdatedAfter": EVER, "maxResultsPerPage": 2}
    first = seller.search(**window).get_json()
    moved = next(order for order in orders if order["order_id"] == first["orders"][0]["orderId"])
    seller.happen(moved, "touch")
    clock.now += 121

    rest = seller.search(**window, paginationToken=first["pagination"]["nextToken"]).get_json()

    assert len(rest["orders"]) == 1  # the third order slipped onto the page that was read already


def test_a_change_shows_in_searches_after_the_edge_but_at_once_in_get_order(seller: Seller, clock: Clock) -> None:
    order = seller.place()
    since = iso(seller.practice.now_ms() - 1)

    assert seller.order(order["order_id"])["orderId"] == order["order_id"]
    clock.now += 119
    assert seller.all(lastUpdatedAfter=since) == []
    clock.now += 2
    assert ids(seller.all(lastUpdatedAfter=since)) == [order["order_id"]]


def test_filters(make_app: Callable[..., Flask]) -> None:
    seller = Seller(make_app(orders=300), "eu")
    germany = MARKETPLACES["DE"].id
    everything = seller.all(createdAfter=EVER, includedData="FULFILLMENT")

    def those(**params: str) -> list[str]:
        return sorted(ids(seller.all(createdAfter=EVER, **params)))

    def such(**wanted: Any) -> list[str]:
        return sorted(
            o["orderId"] for o in everything if all(o["fulfillment"][key] in values for key, values in wanted.items())
        )

    assert those(fulfillmentStatuses="UNSHIPPED,PENDING") == such(fulfillmentStatus=("UNSHIPPED", "PENDING"))
    assert those(fulfillmentStatuses="SHIPPED") == such(fulfillmentStatus=("SHIPPED",)) != []
    assert those(fulfilledBy="AMAZON") == such(fulfilledBy=("AMAZON",)) != []
    in_germany = [o["orderId"] for o in everything if o["salesChannel"].get("marketplaceId") == germany]
    assert those(marketplaceIds=germany) == sorted(in_germany) != []


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"createdAfter": EVER, "lastUpdatedAfter": EVER},
        {"createdAfter": EVER, "lastUpdatedBefore": "2026-11-01T00:00:00Z"},
        {"lastUpdatedBefore": "2026-11-01T00:00:00Z"},
        {"lastUpdatedAfter": EVER, "lastUpdatedBefore": "2026-11-23T08:58:01Z"},
        {"lastUpdatedAfter": "2026-11-02T00:00:00Z", "lastUpdatedBefore": "2026-11-01T00:00:00Z"},
        {"lastUpdatedAfter": "yesterday"},
        {"lastUpdatedAfter": "2026-11-01T00:00:00 00:00"},
        {"lastUpdatedAfter": "2027-01-01T00:00:00Z"},
        {"createdAfter": EVER, "maxResultsPerPage": "0"},
        {"createdAfter": EVER, "maxResultsPerPage": "101"},
        {"createdAfter": EVER, "maxResultsPerPage": "many"},
        {"createdAfter": EVER, "fulfillmentStatuses": "Shipped"},
        {"createdAfter": EVER, "fulfilledBy": "MFN"},
        {"createdAfter": EVER, "includedData": "EVERYTHING"},
        {"createdAfter": EVER, "marketplaceIds": "A2ZV50J4W1RKNI"},
        {"createdAfter": EVER, "marketplaceIds": ",".join(["ATVPDKIKX0DER"] * 51)},
        {"createdAfter": EVER, "paginationToken": "made-up"},
    ],
)
def test_parameters_outside_the_rules_are_refused(seller: Seller, params: dict[str, str]) -> None:
    answer = seller.get(ORDERS, **params)

    assert answer.status_code == 400
    assert answer.get_json()["errors"][0]["code"] == "InvalidInput"


def test_unknown_parameters_are_ignored(seller: Seller) -> None:
    assert seller.get(ORDERS, createdAfter=EVER, MarketplaceId="x").status_code == 200


def test_a_marketplace_of_another_region_is_denied(seller: Seller) -> None:
    assert seller.get(ORDERS, createdAfter=EVER, marketplaceIds=MARKETPLACES["DE"].id).status_code == 403


def test_a_page_token_holds_its_parameters_for_a_day(make_app: Callable[..., Flask], clock: Clock) -> None:
    seller = Seller(make_app(orders=60, settings={"token_life": 10**6}))
    token = seller.search(createdAfter=EVER, maxResultsPerPage=1).get_json()["pagination"]["nextToken"]

    free = seller.search(createdAfter=EVER, maxResultsPerPage=9, includedData="BUYER", paginationToken=token)
    assert free.status_code == 200
    assert seller.search(createdAfter=EVER, fulfilledBy="AMAZON", paginationToken=token).status_code == 400
    assert seller.search(createdAfter="2026-01-02T00:00:00Z", paginationToken=token).status_code == 400
    clock.now += 24 * 3600 + 1
    assert seller.search(createdAfter=EVER, paginationToken=token).status_code == 400


def test_every_drawn_order_fits_the_model_and_its_money_adds_up(make_app: Callable[..., Flask]) -> None:
    app = make_app(orders=800, settings={"unknown_words": True, "edge": 2})
    seen: set[str] = set()
    for region in ("na", "eu", "fe"):
        for order in Seller(app, region).all(createdAfter=EVER, includedData=ALL):
            status = order["fulfillment"]["fulfillmentStatus"]
            seen |= {status, order["fulfillment"]["fulfilledBy"], *order.get("programs", [])}
            seen |= {key for key in ("packages", "associatedOrders", "payment", "tax") if key in order}
            if status == "PENDING":
                assert not {"buyer", "recipient", "proceeds", "packages"} & set(order)
                assert all("price" not in item["product"] for item in order["orderItems"])
            if "proceeds" in order:
                adds_up(order)
    assert {"PENDING", "UNSHIPPED", "SHIPPED", "CANCELLED", "MERCHANT", "AMAZON", "packages"} <= seen
    assert {"PRIME", "AMAZON_BUSINESS", "FBM_SHIP_PLUS", "associatedOrders", "FUTURE_PROGRAM"} <= seen


def adds_up(order: dict[str, Any]) -> None:
    total = Decimal(order["proceeds"]["grandTotal"]["amount"])
    assert total == sum(Decimal(part["subtotal"]["amount"]) for part in order["proceeds"]["breakdowns"])
    items = [item["proceeds"] for item in order["orderItems"]]
    assert total == sum(Decimal(item["proceedsTotal"]["amount"]) for item in items)
    for item in items:
        parts = item["breakdowns"]
        assert Decimal(item["proceedsTotal"]["amount"]) == sum(Decimal(p["subtotal"]["amount"]) for p in parts)
        for part in parts:
            if details := part.get("detailedBreakdowns"):
                assert Decimal(part["subtotal"]["amount"]) == sum(Decimal(d["value"]["amount"]) for d in details)
    if order["proceeds"]["grandTotal"]["currencyCode"] == "JPY":
        assert "." not in order["proceeds"]["grandTotal"]["amount"]


@pytest.mark.parametrize(
    ("data", "fields", "item_fields"),
    [
        ("", set(), set()),
        ("BUYER", {"buyer"}, set()),
        ("RECIPIENT", {"recipient"}, set()),
        ("PROCEEDS", {"proceeds"}, {"proceeds"}),
        ("PROMOTION", set(), {"promotion"}),
        ("EXPENSE", set(), {"expense"}),
        ("CANCELLATION", set(), {"cancellation"}),
        ("FULFILLMENT", {"fulfillment"}, {"fulfillment"}),
        ("PACKAGES", {"packages"}, set()),
        ("PAYMENT", {"payment"}, set()),
        ("TAX", {"tax"}, set()),
    ],
)
def test_fields_come_only_with_their_set(app: Flask, data: str, fields: set[str], item_fields: set[str]) -> None:
    seller = Seller(app, "fe")
    order = seller.place(
        marketplace="JP", quantity=2, traits=["gift", "promotion", "business"], status="PARTIALLY_SHIPPED",
        cancel_request="Too late",
    )  # fmt: skip
    always = {"orderId", "createdTime", "lastUpdatedTime", "salesChannel", "orderItems", "programs"}

    shown = seller.order(order["order_id"], data)

    assert set(shown) - {"orderAliases"} == always | fields
    assert set(shown["orderItems"][0]) == {"orderItemId", "quantityOrdered", "product"} | item_fields


def test_amazon_fulfilled_orders_tell_little_about_the_buyer(seller: Seller) -> None:
    order = seller.order(seller.place(fulfilled_by="AMAZON", status="SHIPPED")["order_id"])

    assert set(order["recipient"]["deliveryAddress"]) == {"city", "stateOrRegion", "postalCode", "countryCode"}
    assert set(order["buyer"]) == {"buyerEmail"}
    assert "packages" not in order


def test_multi_channel_orders_are_not_amazons(seller: Seller) -> None:
    order = seller.order(seller.place(fulfilled_by="AMAZON", non_amazon=True)["order_id"])

    assert order["orderId"].startswith("S01-")
    assert order["salesChannel"] == {"channelName": "NON_AMAZON"}
    assert order["fulfillmentOrders"]


def test_get_order_knows_what_is_there_and_yours(app: Flask, seller: Seller) -> None:
    placed = seller.place()

    assert seller.get(f"{ORDERS}/123").status_code == 400
    assert seller.get(f"{ORDERS}/111-0000000-0000001").status_code == 404
    assert Seller(app, "eu").get(f"{ORDERS}/{placed['order_id']}").status_code == 404
    other_prefix = "999" + placed["order_id"][3:]
    assert seller.get(f"{ORDERS}/{other_prefix}").status_code == 400
    assert seller.get(f"{ORDERS}/{placed['order_id']}", includedData="X").status_code == 400


def test_500_lines_and_a_million_orders_are_answered(make_app: Callable[..., Flask]) -> None:
    seller = Seller(make_app(orders=1_000_000))
    placed = seller.place(lines=500)

    assert len(seller.order(placed["order_id"])["orderItems"]) == 500
    world = seller.practice.world
    index = next(i for i in range(777_777, 778_000) if MARKETPLACES[world.market(i)].region == "na")
    order_id = world.order_id(index, world.market(index), world.is_non_amazon(index))
    assert seller.order(order_id)["orderId"] == order_id
    assert len(next(iter(seller.pages(lastUpdatedAfter="2026-11-01T00:00:00Z")))) == 100
    still_open = seller.search(createdAfter=EVER, fulfillmentStatuses="UNSHIPPED,PARTIALLY_SHIPPED")
    assert len(still_open.get_json()["orders"]) == 100


def test_orders_arrive_and_are_paid_by_themselves(make_app: Callable[..., Flask], clock: Clock) -> None:
    app = make_app(orders=0, arrivals=6, settings={"edge": 2})
    sellers = [Seller(app, region) for region in ("na", "eu", "fe")]

    def statuses() -> list[str]:
        found = [o for s in sellers for o in s.all(createdAfter="2026-11-23T08:00:00Z", includedData="FULFILLMENT")]
        return [order["fulfillment"]["fulfillmentStatus"] for order in found]

    clock.now += 30
    assert set(statuses()) == {"PENDING"}
    clock.now += 600
    assert 60 <= len(statuses()) <= 64
    assert {"PENDING", "UNSHIPPED"} <= set(statuses())

    before = len(statuses())
    sellers[0].http.post("/practice/settings", json={"arrivals": 0})
    clock.now += 600
    assert before <= len(statuses()) <= before + 1


def test_the_seller_reads_its_marketplaces(app: Flask) -> None:
    for region, countries in (("na", {"US", "CA"}), ("eu", {"GB", "DE", "FR", "IT", "ES"}), ("fe", {"JP"})):
        answer = Seller(app, region).get("/sellers/v1/marketplaceParticipations").get_json()
        valid("sellers_v1", "GetMarketplaceParticipationsResponse", answer)
        taking_part = [one for one in answer["payload"] if one["participation"]["isParticipating"]]
        assert {one["marketplace"]["countryCode"] for one in taking_part} == countries
