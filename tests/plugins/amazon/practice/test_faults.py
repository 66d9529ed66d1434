"""What is broken on purpose, token buckets, and the record of calls."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from plugins.amazon.practice.answers import iso
from tests.plugins.amazon.practice.seller import Clock, Seller, valid

EVER = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (429, 429, "QuotaExceeded"),
        (500, 500, "InternalFailure"),
        (403, 403, "Unauthorized"),
        ("expired", 403, "Unauthorized"),
        (400, 400, "InvalidInput"),
        (404, 404, "NotFound"),
    ],
)
def test_the_next_calls_are_answered_wrongly_and_then_well_again(
    seller: Seller, kind: str | int, status: int, code: str
) -> None:
    seller.fault("searchOrders", kind, times=2)

    answers = [seller.search(createdAfter=EVER) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [status, status, 200]
    valid("orders_2026-01-01", "ErrorList", answers[0].get_json())
    assert answers[0].get_json()["errors"][0]["code"] == code
    assert "x-amzn-RequestId" in answers[0].headers


def test_an_html_page_instead_of_json(seller: Seller) -> None:
    seller.fault("*", 503)

    answer = seller.search(createdAfter=EVER)

    assert (answer.status_code, answer.mimetype) == (503, "text/html")


def test_half_a_document(seller: Seller) -> None:
    seller.fault("getOrder", "garbage")
    order = seller.place()

    answer = seller.get(f"/orders/2026-01-01/orders/{order['order_id']}")

    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.text)


@pytest.mark.parametrize(("kind", "when", "shipped"), [(500, "before", False), (500, "after", True)])
def test_an_error_before_or_after_the_effect(seller: Seller, kind: int, when: str, shipped: bool) -> None:
    order = seller.place()
    seller.fault("confirmShipment", kind, when=when)

    assert seller.confirm(order).status_code == 500
    assert ("packages" in seller.order(order["order_id"])) == shipped


@pytest.mark.parametrize(("when", "shipped"), [("before", False), ("after", True)])
def test_a_connection_dropped_before_or_after_the_effect(seller: Seller, when: str, shipped: bool) -> None:
    order = seller.place()
    seller.fault("confirmShipment", "drop", when=when)

    with pytest.raises(ConnectionAbortedError):
        seller.confirm(order)

    assert ("packages" in seller.order(order["order_id"])) == shipped
    calls = seller.http.get("/practice/calls?operation=confirmShipment").get_json()["calls"]
    assert [(call["status"], call["fault"]) for call in calls] == [(None, "drop")]


def test_a_slow_answer(seller: Seller) -> None:
    seller.fault("searchOrders", "slow", seconds=0.1)
    started = time.monotonic()

    assert seller.search(createdAfter=EVER).status_code == 200
    assert time.monotonic() - started >= 0.1


def test_a_good_page_token_is_refused(seller: Seller) -> None:
    seller.fault("searchOrders", "page_token")
    first = seller.search(createdAfter=EVER, maxResultsPerPage=1)
    token = first.get_json()["pagination"]["nextToken"]

    assert seller.search(createdAfter=EVER, maxResultsPerPage=1, paginationToken=token).status_code == 400
    assert seller.search(createdAfter=EVER, maxResultsPerPage=1, paginationToken=token).status_code == 200


def test_one_data_set_is_refused(seller: Seller) -> None:
    seller.fault("searchOrders", "dataset", dataset="FULFILLMENT", times=9)

    assert seller.search(createdAfter=EVER, includedData="BUYER,FULFILLMENT").status_code == 400
    assert seller.search(createdAfter=EVER, includedData="BUYER").status_code == 200


def test_an_order_comes_twice_on_a_page(seller: Seller) -> None:
    seller.fault("searchOrders", "repeat")

    orders = [order["orderId"] for order in seller.search(createdAfter=EVER).get_json()["orders"]]

    assert orders[0] == orders[-1]


def test_a_stale_answer_shows_the_order_as_it_was(seller: Seller, clock: Clock) -> None:
    order = seller.place()
    clock.now += 60
    seller.confirm(order)
    clock.now += 5
    seller.fault("getOrder", "stale", seconds=30)

    assert "packages" not in seller.order(order["order_id"])
    assert "packages" in seller.order(order["order_id"])


def test_a_fault_can_wait_for_one_order(seller: Seller) -> None:
    first, second = seller.place(), seller.place()
    seller.fault("confirmShipment", 500, order_id=second["order_id"])

    assert seller.confirm(first).status_code == 204
    assert seller.confirm(second).status_code == 500


@pytest.mark.parametrize(("kind", "named"), [("marketplace", True), ("marketplace_unnamed", False)])
def test_one_marketplace_is_denied_to_whoever_searches_in_it(seller: Seller, kind: str, named: bool) -> None:
    us, canada = "ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"
    seller.fault("*", kind, marketplace="CA", times=9)
    order = seller.place()

    denied = [seller.search(createdAfter=EVER, **asked) for asked in ({}, {"marketplaceIds": f"{us},{canada}"})]
    assert [answer.status_code for answer in denied] == [403, 403]
    assert (canada in denied[0].text) is named
    assert seller.search(createdAfter=EVER, marketplaceIds=us).status_code == 200
    assert seller.confirm(order).status_code == 204


@pytest.mark.parametrize(("kind", "named"), [("dataset_denied", True), ("dataset_denied_unnamed", False)])
def test_one_data_set_is_denied_to_whoever_asks_for_it(seller: Seller, kind: str, named: bool) -> None:
    seller.fault("searchOrders", kind, dataset="RECIPIENT", times=9)

    denied = seller.search(createdAfter=EVER, includedData="BUYER,RECIPIENT")
    assert (denied.status_code, "RECIPIENT" in denied.text) == (403, named)
    assert seller.search(createdAfter=EVER, includedData="BUYER").status_code == 200
    assert seller.search(createdAfter=EVER).status_code == 200


def test_an_order_that_changes_while_paging_by_offset_lets_another_slip(seller: Seller) -> None:
    """What changed comes with its new time; what slipped over the page border was never told."""
    seller.http.post("/practice/settings", json={"offset_paging": True, "edge": 0})
    there = {order["orderId"] for order in seller.all(lastUpdatedAfter=EVER)}
    seller.fault("searchOrders", "shift", times=2)

    told = [order["orderId"] for order in seller.all(lastUpdatedAfter=EVER, maxResultsPerPage=10)]

    assert len(set(told)) == len(there) - 2
    assert {order["orderId"] for order in seller.all(lastUpdatedAfter=EVER)} == there


def test_a_marketplace_that_nobody_knows_is_not_denied(seller: Seller) -> None:
    answer = seller.http.post("/practice/faults", json={"operation": "*", "kind": "marketplace", "marketplace": "XX"})
    assert (answer.status_code, "XX" in answer.get_json()["error"]) == (400, True)


def test_everything_is_mended(seller: Seller) -> None:
    seller.fault("*", 500, times=100)
    assert len(seller.http.get("/practice/faults").get_json()["faults"]) == 1

    seller.http.delete("/practice/faults")

    assert seller.search(createdAfter=EVER).status_code == 200


@pytest.mark.parametrize("body", [{"operation": "x", "kind": 500}, {"operation": "*", "kind": "x"}, {"what": 1}])
def test_what_cannot_be_broken_is_said(seller: Seller, body: dict[str, Any]) -> None:
    answer = seller.http.post("/practice/faults", json=body)

    assert answer.status_code == 400
    assert answer.get_json()["error"]


def test_buckets_follow_the_published_plan(make_app: Callable[..., Flask], clock: Clock) -> None:
    app = make_app(orders=20, settings={"rates": 1})
    seller, other = Seller(app), Seller(app, "eu")
    seller.endless = other.endless = False

    answers = [seller.search(createdAfter=EVER) for _ in range(21)]

    assert [answer.status_code for answer in answers] == [200] * 20 + [429]
    assert answers[0].headers["x-amzn-RateLimit-Limit"] == "0.0056"
    assert "x-amzn-RateLimit-Limit" not in answers[-1].headers
    assert answers[-1].get_json()["errors"][0]["code"] == "QuotaExceeded"
    assert other.search(createdAfter=EVER).status_code == 200
    clock.now += 178
    assert seller.search(createdAfter=EVER).status_code == 429
    clock.now += 1
    assert seller.search(createdAfter=EVER).status_code == 200


def test_rates_have_a_factor(make_app: Callable[..., Flask], clock: Clock) -> None:
    seller = Seller(make_app(orders=20, settings={"rates": 60}))
    seller.endless = False
    seller.search(createdAfter=EVER)
    seller.http.post("/practice/buckets/empty", json={"operation": "searchOrders"})

    assert seller.search(createdAfter=EVER).status_code == 429
    clock.now += 3
    answer = seller.search(createdAfter=EVER)
    assert (answer.status_code, answer.headers["x-amzn-RateLimit-Limit"]) == (200, "0.336")


def test_settings_are_kept_and_odd_ones_refused(make_app: Callable[..., Flask]) -> None:
    seller = Seller(make_app(orders=20))

    changed = seller.http.post("/practice/settings", json={"edge": 7, "shuffle": True, "arrivals": 3}).get_json()
    assert (changed["edge"], changed["shuffle"], changed["arrivals"]) == (7, True, 3)
    assert seller.http.post("/practice/settings", json={"colour": 1}).status_code == 400
    assert seller.http.post("/practice/settings", json={"edge": "soon"}).status_code == 400

    kept = settings_of(make_app())
    assert (kept["shuffle"], kept["arrivals"]) == (True, 3)


def settings_of(app: Flask) -> dict[str, Any]:
    answer: dict[str, Any] = app.test_client().get("/practice/settings").get_json()
    return answer


def test_time_passes_at_once(seller: Seller) -> None:
    before = seller.practice.now_ms()

    seller.http.post("/practice/advance", json={"seconds": 3600})

    assert seller.practice.now_ms() - before == 3_600_000


def test_reset_undoes_what_was_done(seller: Seller) -> None:
    order = seller.place()
    untouched = seller.all(createdAfter=EVER)
    seller.fault("*", 500)

    seller.http.post("/practice/reset")

    assert seller.http.get(f"/practice/orders/{order['order_id']}").status_code == 404
    assert seller.http.get("/practice/calls").get_json()["calls"] == []
    assert seller.all(createdAfter=EVER) == untouched


@pytest.mark.parametrize(
    "wish",
    [
        {"marketplace": "XX"},
        {"marketplace": "MX"},
        {"fulfilled_by": "ME"},
        {"traits": ["loud"]},
        {"lines": 0},
        {"lines": 1000},
        {"quantity": 0},
        {"lines": [{"quantity": -1}]},
        {"lines": "two"},
        {"lines": [1]},
        {"lines": [{"unit_price": "much"}]},
        {"placed_ago": "a while"},
        {"colour": "red"},
    ],
)
def test_wishes_that_cannot_be_placed_are_said(seller: Seller, wish: dict[str, Any]) -> None:
    answer = seller.http.post("/practice/orders", json=wish)

    assert answer.status_code == 400
    assert answer.get_json()["error"]


def test_wishes_are_granted(seller: Seller) -> None:
    lines = [{"sku": "A/B %#é 日本", "quantity": 2, "unit_price": "3.50", "title": "T"}, {}]
    order = seller.place(
        marketplace="CA", lines=lines, buyer_name="O", address={"city": "Here"}, total="99.99", programs=["NEW_WORD"],
        placed_ago=7200, ship_within=-1, traits=["replacement"], replaces="111-1111111-1111111",
    )["order"]  # fmt: skip

    assert order["orderItems"][0]["product"]["sellerSku"] == "A/B %#é 日本"
    assert order["buyer"]["buyerName"] == "O"
    assert order["recipient"]["deliveryAddress"]["city"] == "Here"
    assert order["proceeds"]["grandTotal"] == {"amount": "99.99", "currencyCode": "CAD"}
    assert "NEW_WORD" in order["programs"]
    assert order["associatedOrders"][0]["orderId"] == "111-1111111-1111111"
    assert order["createdTime"] == iso(seller.practice.now_ms() - 7_200_000)


def test_a_pending_order_is_paid_later(seller: Seller, clock: Clock) -> None:
    order = seller.place(status="PENDING", verify_after=60)
    assert order["status"] == "PENDING"

    clock.now += 61

    assert seller.order(order["order_id"])["fulfillment"]["fulfillmentStatus"] == "UNSHIPPED"


def test_amazons_paths_answer_errors_in_amazons_form(seller: Seller) -> None:
    for answer in (seller.get("/orders/v0/orders"), seller.http.post("/sellers/v1/marketplaceParticipations")):
        assert answer.status_code in (404, 405)
        valid("orders_2026-01-01", "ErrorList", answer.get_json())
