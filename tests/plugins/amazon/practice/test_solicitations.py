"""The Solicitations API: when an order takes a request for a review, once, and everything that is refused."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from plugins.amazon.practice import MARKETPLACES
from plugins.amazon.practice.solicitations import ACTION, TOO_EARLY, TOO_LATE, TWICE
from tests.plugins.amazon.practice.seller import Seller

DAY = 24 * 3600


def path_of(order: dict[str, Any]) -> str:
    return f"/solicitations/v1/orders/{order['order_id']}"


def actions(seller: Seller, order: dict[str, Any]) -> list[str]:
    answer = seller.get(path_of(order), marketplaceIds=order["marketplace_id"])
    assert answer.status_code == 200
    return [link["name"] for link in answer.get_json()["_links"]["actions"]]


def request(seller: Seller, order: dict[str, Any]) -> TestResponse:
    seller.practice.throttle.refill()
    return seller.http.post(
        f"{seller.host}{path_of(order)}/solicitations/{ACTION}",
        query_string={"marketplaceIds": order["marketplace_id"]},
        headers={"x-amz-access-token": seller.token},
    )


def test_an_order_takes_one_request_within_its_days(seller: Seller) -> None:
    def placed(days: float) -> dict[str, Any]:
        """An order that was to be delivered one to four days after it was placed."""
        return seller.place(status="SHIPPED", ship_within=0, placed_ago=days * DAY)

    for days, sentence in ((5.9, TOO_EARLY), (34.1, TOO_LATE)):
        order = placed(days)
        assert actions(seller, order) == []
        answer = request(seller, order)
        assert (answer.status_code, answer.get_json()["errors"][0]["message"]) == (403, sentence)
    order = placed(6.1)
    assert actions(seller, order) == [ACTION]
    assert "No review was requested yet." in seller.http.get("/").text
    answer = request(seller, order)
    assert (answer.status_code, answer.get_json()) == (201, {})
    assert actions(seller, order) == []
    again = request(seller, order)
    assert (again.status_code, again.get_json()["errors"][0]["message"]) == (403, TWICE)
    page = seller.http.get("/").text
    assert "No review was requested yet." not in page
    assert (
        f"201 solicited <code>{ACTION}</code>" in seller.http.get("/", query_string={"order": order["order_id"]}).text
    )


@pytest.mark.parametrize("status", ["UNSHIPPED", "PENDING", "CANCELLED"])
def test_what_was_not_shipped_takes_none(seller: Seller, status: str) -> None:
    order = seller.place(status=status, placed_ago=12 * DAY)
    assert actions(seller, order) == []
    assert request(seller, order).status_code == 403


def test_other_orders_and_a_missing_role(seller: Seller) -> None:
    order, elsewhere = (seller.place(marketplace=code, status="SHIPPED", placed_ago=12 * DAY) for code in ("US", "DE"))
    assert request(seller, elsewhere).status_code == 404
    assert request(seller, order | {"order_id": "nothing"}).status_code == 400
    assert request(seller, order | {"marketplace_id": MARKETPLACES["CA"].id}).status_code == 400
    seller.http.post("/practice/settings", json={"lacks_solicitation": True})
    assert seller.get(path_of(order), marketplaceIds=order["marketplace_id"]).status_code == 403
    assert request(seller, order).status_code == 403
    seller.http.post("/practice/settings", json={"lacks_solicitation": False, "lacks_communication": True})
    assert actions(seller, order) == [ACTION]
