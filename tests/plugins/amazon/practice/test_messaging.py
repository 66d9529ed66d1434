"""The Messaging API: which messages an order allows, what is sent, and everything that is refused."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from plugins.amazon.practice import MARKETPLACES
from plugins.amazon.practice.mail_reading import read
from tests.plugins.amazon.practice.seller import Clock, Seller, valid

DAY = 24 * 3600
REQUESTS = {
    "confirmCustomizationDetails": "CreateConfirmCustomizationDetails",
    "confirmDeliveryDetails": "CreateConfirmDeliveryDetails",
    "confirmOrderDetails": "CreateConfirmOrderDetails",
    "confirmServiceDetails": "CreateConfirmServiceDetails",
    "digitalAccessKey": "CreateDigitalAccessKey",
    "unexpectedProblem": "CreateUnexpectedProblem",
    "invoice": "Invoice",
}
BEFORE_SHIPPING = {
    "confirmCustomizationDetails",
    "confirmDeliveryDetails",
    "confirmOrderDetails",
    "digitalAccessKey",
    "unexpectedProblem",
}
OF_FILES = {"invoice", "legalDisclosure", "warranty"}


def path_of(order: dict[str, Any]) -> str:
    return f"/messaging/v1/orders/{order['order_id']}"


def allowed(seller: Seller, order: dict[str, Any]) -> set[str]:
    answer = seller.get(path_of(order), marketplaceIds=order["marketplace_id"])
    assert answer.status_code == 200, answer.text
    found = answer.get_json()
    valid("messaging_v1", "GetMessagingActionsForOrderResponse", found)
    names = [link["name"] for link in found["_links"]["actions"]]
    assert names[-1] == "attributes"
    assert [one["payload"]["name"] for one in found["_embedded"]["actions"]] == names[:-1]
    return set(names[:-1])


def sent(seller: Seller, order: dict[str, Any], kind: str, body: Any, *, valid_form: bool = True) -> TestResponse:
    if valid_form:
        valid("messaging_v1", f"{REQUESTS[kind]}Request", body)
    seller.practice.throttle.refill()
    answer = seller.http.post(
        f"{path_of(order)}/messages/{kind}",
        query_string={"marketplaceIds": order["marketplace_id"]},
        json=body,
        headers={"x-amz-access-token": seller.token},
    )
    valid("messaging_v1", f"{REQUESTS.get(kind, REQUESTS['unexpectedProblem'])}Response", answer.get_json())
    return answer


def told(seller: Seller, order: dict[str, Any]) -> list[tuple[str, Any]]:
    answer = seller.http.get(f"/practice/orders/{order['order_id']}/told").get_json()
    return [(entry["effect"], entry["body"].get("text")) for entry in answer["told"]]


@pytest.mark.parametrize(
    ("wish", "kinds"),
    [
        ({"status": "PENDING"}, set()),
        ({"status": "CANCELLED"}, set()),
        ({"status": "UNSHIPPED"}, BEFORE_SHIPPING),
        ({"status": "PARTIALLY_SHIPPED", "quantity": 2}, BEFORE_SHIPPING),
        (
            {"status": "SHIPPED"},
            {"confirmDeliveryDetails", "digitalAccessKey", "unexpectedProblem"} | OF_FILES,
        ),
        ({"status": "SHIPPED", "placed_ago": 31 * DAY}, set()),
        ({"status": "UNSHIPPED", "fulfilled_by": "AMAZON"}, set()),
        ({"status": "SHIPPED", "fulfilled_by": "AMAZON"}, {"digitalAccessKey"} | OF_FILES),
        ({"status": "SHIPPED", "fulfilled_by": "AMAZON", "non_amazon": True}, set()),
    ],
)
def test_what_is_allowed_depends_on_the_order(seller: Seller, wish: dict[str, Any], kinds: set[str]) -> None:
    assert allowed(seller, seller.place(**wish)) == kinds


def test_it_ends_with_delivery_and_thirty_days_after_shipping(seller: Seller, clock: Clock) -> None:
    order = seller.place(placed_ago=20 * DAY)
    seller.happen(order, "ship")
    clock.now += 29 * DAY
    seller.token = seller.sign_in().get_json()["access_token"]
    assert "confirmDeliveryDetails" in allowed(seller, order)
    seller.happen(order, "deliver")
    assert allowed(seller, order) == {"digitalAccessKey", "unexpectedProblem"} | OF_FILES
    clock.now += 2 * DAY
    seller.token = seller.sign_in().get_json()["access_token"]
    assert allowed(seller, order) == set()


def test_what_is_sent_is_kept_and_shown_each_time(seller: Seller) -> None:
    order = seller.place()
    text = 'Which color?\n<3 & "quotes" <script'

    for _ in range(2):  # Amazon has nothing that would make the second one the first
        answer = sent(seller, order, "confirmOrderDetails", {"text": text})
        assert (answer.status_code, answer.get_json()) == (201, {})

    assert told(seller, order) == [("messaged", text)] * 2
    for query in ({}, {"order": order["order_id"]}):
        page = seller.http.get("/", query_string=query).text
        assert page.count("Which color?\n&lt;3 &amp; &#34;quotes&#34; &lt;script") == 2
        assert "201 messaged <code>confirmOrderDetails</code>" in page
    assert "No messages yet." in seller.http.get("/", query_string={"order": seller.place()["order_id"]}).text


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("confirmOrderDetails", "x" * 2001, "2000 characters"),
        ("confirmCustomizationDetails", "x" * 801, "800 characters"),
        ("digitalAccessKey", "x" * 401, "400 characters"),
        ("confirmOrderDetails", "", "text: Missing"),
        ("confirmOrderDetails", " ", "text: Missing"),
        ("confirmOrderDetails", 5, "text: Missing"),
        ("confirmOrderDetails", "Write to me@shop.example", "e-mail"),
        ("confirmOrderDetails", "See HTTPS://shop.example", "links"),
        ("confirmOrderDetails", "See www.shop.example", "links"),
        ("confirmOrderDetails", "<b>Now</b>", "HTML"),
        ("warranty", "No text", "attachments: 1 to 5 are required"),
    ],
)
def test_texts_are_refused(seller: Seller, kind: str, text: Any, words: str) -> None:
    order = seller.place()
    answer = sent(seller, order, kind, {"text": text}, valid_form=False)
    assert answer.status_code == 400
    [error] = answer.get_json()["errors"]
    assert (error["code"], words in error["message"]) == ("InvalidInput", True)
    assert told(seller, order) == [("refused", None)]


def test_kinds_that_the_order_does_not_allow_are_denied(seller: Seller) -> None:
    order = seller.place(status="SHIPPED")
    for kind in ("confirmOrderDetails", "confirmServiceDetails"):
        answer = sent(seller, order, kind, {"text": "Which color?"})
        assert answer.status_code == 403
        [error] = answer.get_json()["errors"]
        assert (error["code"], error["message"]) == (
            "Unauthorized", "Invalid amazonOrderId and template combination.",
        )  # fmt: skip
    assert [effect for effect, _ in told(seller, order)] == ["refused"] * 2


def test_other_orders_marketplaces_and_kinds(app: Flask, seller: Seller) -> None:
    order, elsewhere = seller.place(), seller.place(marketplace="DE")
    body = {"text": "Which color?"}
    assert sent(seller, elsewhere, "confirmOrderDetails", body).status_code == 404
    assert sent(seller, order | {"order_id": "nothing"}, "confirmOrderDetails", body).status_code == 400
    other = order | {"marketplace_id": MARKETPLACES["CA"].id}
    assert sent(seller, other, "confirmOrderDetails", body).status_code == 400
    assert seller.get(path_of(order)).status_code == 400
    assert seller.get(path_of(elsewhere), marketplaceIds=elsewhere["marketplace_id"]).status_code == 404
    assert sent(seller, order, "amazonMotors", body, valid_form=False).status_code == 404
    assert told(seller, order) == []


def test_without_the_role_messages_alone_are_denied(seller: Seller) -> None:
    order = seller.place()
    seller.http.post("/practice/settings", json={"lacks_communication": True})
    assert seller.get(path_of(order), marketplaceIds=order["marketplace_id"]).status_code == 403
    assert sent(seller, order, "confirmOrderDetails", {"text": "Which color?"}).status_code == 403
    assert seller.order(order["order_id"])
    seller.http.post("/practice/settings", json={"lacks_communication": False, "lacks_tracking": True})
    assert allowed(seller, order) == BEFORE_SHIPPING


def test_five_at_once_and_one_a_second(seller: Seller, clock: Clock) -> None:
    seller.http.post("/practice/settings", json={"rates": 1})
    order = seller.place()
    seller.endless = False

    def asked() -> int:
        return seller.get(path_of(order), marketplaceIds=order["marketplace_id"]).status_code

    assert [asked() for _ in range(6)] == [200] * 5 + [429]
    clock.now += 1
    assert [asked() for _ in range(2)] == [200, 429]


def test_buyers_answer_messages_by_themselves_where_they_should(seller: Seller, clock: Clock) -> None:
    order, box = seller.place(), seller.practice.mail
    sent(seller, order, "unexpectedProblem", {"text": "The mug comes later."})
    seller.http.post("/practice/settings", json={"answers_after": 60})
    sent(seller, order, "unexpectedProblem", {"text": "The mug comes even later."})
    sent(seller, order, "unexpectedProblem", {"text": ""}, valid_form=False)
    clock.now += 59
    seller.practice.catch_up()
    assert box.mailbox() == []
    clock.now += 2
    seller.practice.catch_up()
    [mail] = box.mailbox()
    said = read(box.text(mail.uid) or b"")
    assert f"{order['order']['buyer']['buyerName']} - Amazon Marketplace" in said.header("From")
    assert "> The mug comes even later." in said.text
    assert mail.at_ms == int(clock.now * 1000) - 1000
