"""confirmShipment: what it changes, that repeats are harmless, and everything it refuses."""

from typing import Any

import pytest
from flask import Flask

from plugins.amazon.practice import MARKETPLACES
from tests.plugins.amazon.practice.seller import Clock, Seller, confirmation


def status(seller: Seller, order: dict[str, Any]) -> str:
    return str(seller.order(order["order_id"])["fulfillment"]["fulfillmentStatus"])


def told(seller: Seller, order: dict[str, Any]) -> list[str]:
    answer = seller.http.get(f"/practice/orders/{order['order_id']}/told").get_json()
    return [entry["effect"] for entry in answer["told"]]


def test_a_confirmation_ships_the_order(seller: Seller, clock: Clock) -> None:
    order = seller.place(lines=2, quantity=3)
    clock.now += 60

    answer = seller.confirm(order, shippingMethod="Ground")

    assert (answer.status_code, answer.text) == (204, "")
    shown = seller.order(order["order_id"])
    assert shown["fulfillment"]["fulfillmentStatus"] == "SHIPPED"
    assert shown["lastUpdatedTime"] > order["order"]["lastUpdatedTime"]
    assert [item["fulfillment"] for item in shown["orderItems"]] == [
        {"quantityFulfilled": 3, "quantityUnfulfilled": 0}
    ] * 2
    [package] = shown["packages"]
    assert (package["packageReferenceId"], package["carrier"]) == ("1", "UPS")
    assert (package["trackingNumber"], package["shippingService"]) == ("1Z999AA10123456784", "Ground")
    assert [item["quantity"] for item in package["packageItems"]] == [3, 3]


def test_parts_are_shipped_in_packages(seller: Seller) -> None:
    order = seller.place(quantity=3)
    item = order["items"][0]["order_item_id"]

    assert seller.confirm(order, orderItems=[{"orderItemId": item, "quantity": 1}]).status_code == 204
    assert status(seller, order) == "PARTIALLY_SHIPPED"
    rest: dict[str, Any] = {"packageReferenceId": "2", "orderItems": [{"orderItemId": item, "quantity": 2}]}
    assert seller.confirm(order, **rest).status_code == 204
    assert status(seller, order) == "SHIPPED"


def test_the_same_again_has_one_effect(seller: Seller, clock: Clock) -> None:
    order = seller.place()
    body = confirmation(order, seller.practice.now_ms())["packageDetail"]
    seller.confirm(order, **body)
    before = seller.order(order["order_id"])
    clock.now += 60

    assert seller.confirm(order, **body).status_code == 204
    assert seller.order(order["order_id"]) == before
    assert told(seller, order) == ["new", "same"]


def test_a_known_reference_edits_its_package(seller: Seller) -> None:
    order = seller.place(quantity=2)
    item = order["items"][0]["order_item_id"]
    seller.confirm(order)

    fewer: dict[str, Any] = {"trackingNumber": "CORRECTED", "orderItems": [{"orderItemId": item, "quantity": 1}]}
    assert seller.confirm(order, **fewer).status_code == 204

    [package] = seller.order(order["order_id"])["packages"]
    assert package["trackingNumber"] == "CORRECTED"
    assert status(seller, order) == "PARTIALLY_SHIPPED"
    assert told(seller, order) == ["new", "edited"]


def test_other_carriers_go_by_their_name(seller: Seller) -> None:
    order = seller.place()

    assert seller.confirm(order, carrierCode="Other", carrierName="Bike Courier").status_code == 204
    assert seller.order(order["order_id"])["packages"][0]["carrier"] == "Bike Courier"


def test_transparency_codes_are_needed_one_for_each_unit(seller: Seller) -> None:
    order = seller.place(quantity=2, traits=["transparency"])
    item = {"orderItemId": order["items"][0]["order_item_id"], "quantity": 2}

    assert "Transparency" in seller.confirm(order).get_json()["errors"][0]["message"]
    assert seller.confirm(order, orderItems=[item | {"transparencyCodes": ["A"]}]).status_code == 400
    assert seller.confirm(order, orderItems=[item | {"transparencyCodes": ["A", "B"]}]).status_code == 204
    package = seller.order(order["order_id"])["packages"][0]
    assert package["packageItems"][0]["transparencyCodes"] == ["A", "B"]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"status": "PENDING"}, "Pending"),
        ({"status": "CANCELLED"}, "canceled"),
        ({"fulfilled_by": "AMAZON"}, "fulfilled by Amazon"),
        ({"traits": ["ship_plus"]}, "Ship+"),
    ],
)
def test_orders_that_cannot_be_confirmed(seller: Seller, wish: dict[str, Any], words: str) -> None:
    order = seller.place(**wish)
    one = [{"orderItemId": order["items"][0]["order_item_id"], "quantity": 1}]

    answer = seller.confirm(order, orderItems=one)

    assert answer.status_code == 400
    assert words in answer.get_json()["errors"][0]["message"]
    assert told(seller, order) == ["refused"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shipDate": "2026-11-20T00:00:00Z"}, "before the order"),
        ({"shipDate": "2026-11-24T00:00:00Z"}, "future"),
        ({"shipDate": "02/21/2022"}, "ISO 8601"),
        ({"shipDate": None}, "shipDate"),
        ({"marketplaceId": MARKETPLACES["CA"].id}, "marketplaceId"),
        ({"carrierCode": None}, "carrierCode"),
        ({"carrierCode": " "}, "carrierCode"),
        ({"carrierCode": "Other"}, "carrierName"),
        ({"trackingNumber": ""}, "trackingNumber"),
        ({"packageReferenceId": "0"}, "positive numeric"),
        ({"packageReferenceId": "A1"}, "positive numeric"),
        ({"packageReferenceId": 1}, "positive numeric"),
        ({"packageReferenceId": "9" * 5000}, "positive numeric"),
        ({"shipDate": "0001-01-01T00:00:00+23:00"}, "before the order"),
        ({"orderItems": []}, "orderItems"),
        ({"orderItems": [{"orderItemId": "00000000000001", "quantity": 1}]}, "does not belong"),
        ({"orderItems": [{"orderItemId": "1", "quantity": 0}]}, "quantity"),
    ],
)
def test_packages_that_are_refused(seller: Seller, changes: dict[str, Any], words: str) -> None:
    order = seller.place()

    answer = seller.confirm(order, valid_form=False, **changes)

    assert answer.status_code == 400
    assert words in answer.get_json()["errors"][0]["message"]
    assert "packages" not in seller.order(order["order_id"])


def test_more_than_is_left_is_refused_as_amazon_words_it(seller: Seller) -> None:
    order = seller.place(quantity=2)
    item = order["items"][0]["order_item_id"]

    for items in (
        [{"orderItemId": item, "quantity": 3}],
        [{"orderItemId": item, "quantity": 1}, {"orderItemId": item, "quantity": 2}],
    ):
        answer = seller.confirm(order, orderItems=items)
        assert answer.status_code == 400
        assert "PackageToUpdateNotFound" in answer.get_json()["errors"][0]["message"]
    seller.happen(order, "ship")
    assert seller.confirm(order, packageReferenceId="2").status_code == 400


def test_an_order_of_nobody_or_of_another_region_is_not_found(app: Flask, seller: Seller) -> None:
    order = seller.place()

    assert seller.confirm(order | {"order_id": "111-0000000-0000001"}).status_code == 404
    assert seller.confirm(order | {"order_id": "nonsense"}).status_code == 400
    assert Seller(app, "eu").confirm(order).status_code == 404


def test_an_old_order_that_is_open_again_is_found(seller: Seller, clock: Clock) -> None:
    old = next(
        order
        for order in seller.all(createdAfter="2026-10-01T00:00:00Z", includedData="PACKAGES")
        if order.get("packages")
    )
    order = seller.http.get(f"/practice/orders/{old['orderId']}").get_json()
    item = order["items"][0]
    seller.happen(order, "quantity", item=item["order_item_id"], quantity=item["ordered"] + 1)
    clock.now += 121

    for start in ("createdAfter", "lastUpdatedAfter"):
        found = seller.all(**{start: "2026-10-01T00:00:00Z", "fulfillmentStatuses": "PARTIALLY_SHIPPED"})
        assert old["orderId"] in [one["orderId"] for one in found]


def test_past_orders_can_be_confirmed_too(seller: Seller) -> None:
    shown = next(
        order
        for order in seller.all(createdAfter="2026-11-20T00:00:00Z", includedData="FULFILLMENT")
        if order["fulfillment"]["fulfillmentStatus"] == "UNSHIPPED"
        and order["fulfillment"]["fulfilledBy"] == "MERCHANT"
        and not {"FBM_SHIP_PLUS"} & set(order.get("programs", []))
        and not any("programs" in item for item in order["orderItems"])
    )
    order = seller.http.get(f"/practice/orders/{shown['orderId']}").get_json()

    assert seller.confirm(order).status_code == 204
    assert status(seller, order) == "SHIPPED"


def test_what_others_do_shows(seller: Seller) -> None:
    order = seller.place(quantity=2)
    item = order["items"][0]["order_item_id"]

    assert seller.happen(order, "ship_part", carrier="DPD", tracking="T1")["status"] == "PARTIALLY_SHIPPED"
    assert seller.order(order["order_id"])["packages"][0]["trackingNumber"] == "T1"
    assert seller.happen(order, "cancel")["status"] == "PARTIALLY_SHIPPED"  # too late
    assert seller.happen(order, "quantity", item=item, quantity=1)["status"] == "SHIPPED"
    assert seller.happen(order, "deliver")["order"]["packages"][0]["packageStatus"] == {"status": "DELIVERED"}

    other = seller.place(status="PENDING")
    assert seller.happen(other, "verify")["status"] == "UNSHIPPED"
    asked = seller.happen(other, "request_cancel", reason="Wrong color")["order"]["orderItems"][0]["cancellation"]
    assert asked == {"cancellationRequest": {"requester": "BUYER", "cancelReason": "Wrong color"}}
    assert seller.happen(other, "cancel", by="BUYER")["status"] == "CANCELLED"
    assert seller.happen(seller.place(), "word", status="TELEPORTED")["status"] == "TELEPORTED"
