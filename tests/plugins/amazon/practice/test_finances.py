"""listTransactions: its parameters, what is posted of an order, and when it shows."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from plugins.amazon.practice.finances_api import PATH
from tests.plugins.amazon.practice.seller import Clock, Seller, valid

LINES = [{"sku": "MUG", "quantity": 2, "unit_price": 10}, {"sku": " ", "quantity": 1, "unit_price": 5}]
DAY = 86_400


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(orders=600, settings={"edge": 120.0, "transactions_late": 0, "refund_after": 0})


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def asked(seller: Seller, **params: str) -> TestResponse:
    answer = seller.get(PATH, **params)
    if answer.status_code == 200:
        valid("finances_2024-06-19", "listTransactionsQuery", params)
        valid("finances_2024-06-19", "ListTransactionsResponse", answer.get_json())
    else:
        valid("finances_2024-06-19", "ErrorList", answer.get_json())
    return answer


def pages(seller: Seller, **params: str) -> Iterator[list[dict[str, Any]]]:
    token: dict[str, str] = {}
    while True:
        payload = asked(seller, **params, **token).get_json()["payload"]
        yield payload["transactions"]
        if "nextToken" not in payload:
            return
        token = {"nextToken": payload["nextToken"]}


def of(seller: Seller, order: dict[str, Any], **params: str) -> list[dict[str, Any]]:
    about = {"relatedIdentifierName": "ORDER_ID", "relatedIdentifierValue": order["order_id"]}
    found: list[dict[str, Any]] = asked(seller, **about, **params).get_json()["payload"]["transactions"]
    return found


def leaves(item: dict[str, Any]) -> dict[str, float]:
    return {
        one["breakdownType"]: one["breakdownAmount"]["currencyAmount"]
        for group in item["breakdowns"]
        for one in group["breakdowns"]
    }


def elsewhere(seller: Seller, order: dict[str, Any], **body: Any) -> None:
    path = f"/practice/orders/{order['order_id']}/refund"
    assert seller.http.post(path, json=body).status_code == 201


def test_a_payment_follows_a_shipment(seller: Seller) -> None:
    order = seller.place(lines=LINES)
    assert of(seller, order) == []
    seller.confirm(order)

    [payment] = of(seller, order)

    assert (payment["transactionType"], payment["transactionStatus"]) == ("Shipment", "RELEASED")
    mug, other = payment["items"]
    assert leaves(mug)["OurPricePrincipal"] == 20.0
    assert leaves(mug)["OurPriceTax"] == 1.6
    assert leaves(mug)["MarketplaceFacilitatorTax-Principal"] == -1.6
    assert leaves(mug)["Commission"] == -3.0 or "ShippingPrincipal" in leaves(mug)
    assert mug["contexts"][0]["quantityShipped"] == 2
    assert other["contexts"][0]["sku"] == " "
    whole = round(sum(item["totalAmount"]["currencyAmount"] for item in payment["items"]), 2)
    assert payment["totalAmount"]["currencyAmount"] == whole
    ids = {one["itemRelatedIdentifierValue"] for item in payment["items"] for one in item["relatedIdentifiers"]}
    assert not ids & {item["order_item_id"] for item in order["items"]}  # Amazon tells no lines of the order


def test_each_package_is_paid_and_the_whole_is_what_the_buyer_pays(seller: Seller) -> None:
    order = seller.place(lines=[{"sku": "MUG", "quantity": 3, "unit_price": 10}])
    for act in ("ship_part", "ship"):
        seller.happen(order, act)

    first, second = of(seller, order)

    assert first["transactionId"] != second["transactionId"]
    units = [one["items"][0]["contexts"][0]["quantityShipped"] for one in (first, second)]
    assert units == [1, 2]
    [total] = [sum(leaves(one["items"][0])["OurPricePrincipal"] for one in (first, second))]
    assert total == 30.0


@pytest.mark.parametrize(("included", "principal", "tax"), [("split", 16.81, 3.19), ("hidden", 20.0, 0)])
def test_included_tax_is_split_off_or_hidden(
    make_app: Callable[..., Flask], included: str, principal: float, tax: float
) -> None:
    settings = {"edge": 120.0, "transactions_late": 0, "included_tax": included}
    seller = Seller(make_app("eu", orders=0, settings=settings), "eu")
    order = seller.place(marketplace="DE", lines=LINES[:1], status="SHIPPED")
    [payment] = of(seller, order)
    found = leaves(payment["items"][0])
    assert (found["OurPricePrincipal"], found.get("OurPriceTax", 0)) == (principal, tax)


@pytest.mark.parametrize(
    ("kind", "word", "seller_pays"),
    [
        ("elsewhere", "Refund", True),
        ("claim", "GuaranteeClaim", True),
        ("chargeback", "Chargeback", True),
        ("funded", "Refund", False),
    ],
)
def test_what_goes_back_is_posted_with_its_word(seller: Seller, kind: str, word: str, seller_pays: bool) -> None:
    order = seller.place(lines=LINES, status="SHIPPED")
    elsewhere(seller, order, kind=kind, items={order["items"][0]["order_item_id"]: {"Principal": 1000}})

    [posted] = [one for one in of(seller, order) if one["transactionType"] != "Shipment"]

    assert posted["transactionType"] == word
    [item] = posted["items"]
    assert leaves(item)["OurPricePrincipal"] == -10.0
    assert leaves(item)["OurPriceTax"] == -0.8
    assert (posted["totalAmount"]["currencyAmount"] < 0) == seller_pays


def test_a_refund_shows_at_a_delay_of_its_own(make_app: Callable[..., Flask], clock: Clock) -> None:
    settings = {"rates": 1.0, "edge": 120.0, "feed_queue": 0, "feed_processing": 0}
    seller = Seller(make_app("late", orders=0, settings=settings))
    orders = [seller.place(lines=LINES, status="SHIPPED") for _ in range(8)]
    counts = []
    for _ in range(5):
        counts.append(sum(len(of(seller, one)) for one in orders))
        clock.now += 0.5 * DAY
        seller.token = seller.sign_in().get_json()["access_token"]

    assert counts[0] == 0
    assert counts[-1] == 8
    assert counts == sorted(counts)
    assert len(set(counts)) > 2


def test_what_is_deferred_is_told_twice(seller: Seller, clock: Clock) -> None:
    seller.http.post("/practice/settings", json={"rates": 1, "deferred": 7 * DAY})
    order = seller.place(lines=LINES, status="SHIPPED")
    [payment] = of(seller, order)
    assert payment["transactionStatus"] == "DEFERRED"
    assert payment["contexts"][0]["contextType"] == "DeferredContext"
    clock.now += 8 * DAY
    seller.token = seller.sign_in().get_json()["access_token"]

    before, released = of(seller, order)

    assert before["transactionId"] == payment["transactionId"]
    assert (before["transactionStatus"], released["transactionStatus"]) == ("DEFERRED_RELEASED", "RELEASED")
    about = {one["relatedIdentifierName"]: one["relatedIdentifierValue"] for one in released["relatedIdentifiers"]}
    assert about["DEFERRED_TRANSACTION_ID"] == payment["transactionId"]
    assert of(seller, order, transactionStatus="RELEASED") == [released]


def test_pages_hold_every_transaction_once_and_in_order(seller: Seller, clock: Clock) -> None:
    placed = seller.place(lines=LINES, status="SHIPPED")
    elsewhere(seller, placed)
    clock.now += 600
    window = {"postedAfter": at(clock.now - 31 * DAY), "postedBefore": at(clock.now - 130)}

    found = [one for page in pages(seller, **window) for one in page]

    ids = [one["transactionId"] for one in found]
    assert len(ids) == len(set(ids)) > 10
    assert [one["postedDate"] for one in found] == sorted(one["postedDate"] for one in found)
    assert {one["transactionId"] for one in of(seller, placed)} <= set(ids)
    assert all(one["marketplaceDetails"]["marketplaceId"] != "A1PA6795UKMFR9" for one in found)
    part = [one for page in pages(seller, **window | {"marketplaceId": "A2EUQ1WTGCTBG2"}) for one in page]
    assert {one["transactionId"] for one in part} < set(ids)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "Start date cannot be null"),
        ({"postedAfter": "yesterday"}, "ISO 8601"),
        ({"postedAfter": -60}, "two minutes"),
        ({"postedAfter": -300, "postedBefore": -60}, "two minutes"),
        ({"postedAfter": -300, "postedBefore": -400}, "later than"),
        ({"postedAfter": -300, "marketplaceId": "A1PA6795UKMFR9"}, "not valid"),
        ({"postedAfter": -300, "transactionStatus": "GONE"}, "transactionStatus"),
        ({"postedAfter": -300, "nextToken": "made-up"}, "nextToken"),
        ({"relatedIdentifierName": "ORDER_ID"}, "together"),
        ({"relatedIdentifierName": "REFUND_ID", "relatedIdentifierValue": "1"}, "relatedIdentifierName"),
    ],
)
def test_parameters_that_amazon_refuses(seller: Seller, clock: Clock, params: dict[str, Any], words: str) -> None:
    given = {name: at(clock.now + value) if isinstance(value, int) else value for name, value in params.items()}
    answer = asked(seller, **given)
    assert answer.status_code == 400
    assert words in answer.get_json()["errors"][0]["message"]


def test_too_long_a_time_has_no_transactions_and_a_token_its_own_window(seller: Seller, clock: Clock) -> None:
    assert list(pages(seller, postedAfter=at(clock.now - 200 * DAY))) == [[]]
    window = {"postedAfter": at(clock.now - 179 * DAY)}
    token = asked(seller, **window).get_json()["payload"]["nextToken"]
    other = asked(seller, postedAfter=at(clock.now - 5 * DAY), nextToken=token)
    assert other.status_code == 400
    clock.now += 25 * 3600
    seller.token = seller.sign_in().get_json()["access_token"]
    assert "expired" in asked(seller, **window, nextToken=token).get_json()["errors"][0]["message"]


def test_another_sellers_orders_and_groups_are_unknown(seller: Seller) -> None:
    german = seller.place(marketplace="DE", lines=LINES, status="SHIPPED")
    assert of(seller, german) == []
    group = {"relatedIdentifierName": "FINANCIAL_EVENT_GROUP_ID", "relatedIdentifierValue": "x"}
    assert asked(seller, **group).get_json()["payload"]["transactions"] == []


def test_without_its_role_nothing_is_told(seller: Seller, clock: Clock) -> None:
    seller.http.post("/practice/settings", json={"lacks_finance": True})
    assert asked(seller, postedAfter=at(clock.now - 300)).status_code == 403


def test_it_is_throttled_and_broken_as_any_call(seller: Seller, clock: Clock) -> None:
    seller.fault("listTransactions", "500")
    assert asked(seller, postedAfter=at(clock.now - 300)).status_code == 500
    order = seller.place(lines=LINES, status="SHIPPED")
    seller.fault("listTransactions", "repeat")
    assert len(of(seller, order)) == 2
    seller.endless = False
    seller.practice.throttle.empty("listTransactions")
    assert asked(seller, postedAfter=at(clock.now - 300)).status_code == 429
