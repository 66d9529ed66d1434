"""Refunds by feed: what Amazon books, what it refuses, and what goes wrong with what it books."""

from typing import Any

import pytest

from tests.plugins.amazon.practice.feeder import ADJUSTMENT, Feeder, refund
from tests.plugins.amazon.practice.seller import Clock, Seller

LINES = [{"sku": "MUG", "quantity": 2, "unit_price": 10}, {"sku": "TEE", "quantity": 1, "unit_price": 5}]


def shipped(feeder: Feeder, **wish: Any) -> tuple[dict[str, Any], list[str]]:
    """A shipped order of two mugs at 10.00 and a shirt at 5.00, and the ids of its lines."""
    order = feeder.seller.place(**{"lines": LINES, "status": "SHIPPED"} | wish)
    return order, [item["order_item_id"] for item in order["items"]]


def booked(feeder: Feeder, order: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = feeder.state(order)["refunds"]
    return found


def test_a_refund_is_booked_after_its_feed_with_the_tax_that_amazon_computes(feeder: Feeder, clock: Clock) -> None:
    order, [mug, tee] = shipped(feeder)

    report = feeder.run(ADJUSTMENT, refund(order, {mug: {"Principal": "10.00"}, tee: {"Principal": "5.00"}}))

    assert (report.processed, report.successful, report.errors) == (1, 1, 0)
    [one] = booked(feeder, order)
    assert one["kind"] == "refund"
    assert one["amounts"] == {mug: {"Principal": 1000}, tee: {"Principal": 500}}
    assert one["taxes"] == {mug: {"Principal": 80}, tee: {"Principal": 40}}
    [told] = feeder.http.get(f"/practice/orders/{order['order_id']}/told").get_json()["told"]
    assert (told["effect"], told["body"]["action"], told["body"]["reason"]) == ("refunded", "Refund", "CustomerReturn")
    assert told["body"]["lines"][mug] == {"Principal": "10.00 USD"}


def test_the_parts_of_a_tax_add_up_to_it(feeder: Feeder) -> None:
    order, [mug] = shipped(feeder, lines=[{"sku": "MUG", "quantity": 1, "unit_price": 9.99}])
    parts = ["3.33", "3.33", "3.33"]

    feeder.run(ADJUSTMENT, *(refund(order, {mug: {"Principal": part}}, memo=f"{n}") for n, part in enumerate(parts)))

    assert sum(one["taxes"][mug]["Principal"] for one in booked(feeder, order)) == 80  # 8 % of 9.99


def test_prices_that_include_the_tax_are_refunded_with_it(feeder: Feeder, make_app: Any, clock: Clock) -> None:
    eu = Feeder(Seller(make_app("eu"), "eu"), clock)
    order, [mug, _] = shipped(eu, marketplace="DE")
    eu.run(ADJUSTMENT, refund(order, {mug: {"Principal": "20.00"}}, currency="EUR"))

    [one] = booked(eu, order)
    assert (one["total"], one["taxes"]) == (2000, {})


def test_a_fee_is_withheld_and_goodwill_given(feeder: Feeder) -> None:
    order, [mug, tee] = shipped(feeder)

    report = feeder.run(
        ADJUSTMENT,
        refund(order, {mug: {"Principal": "20.00", "RestockingFee": "-4.00"}}),
        refund(order, {tee: {"Goodwill": "1.50"}}, memo="2"),
    )

    assert report.successful == 2
    assert [one["amounts"] for one in booked(feeder, order)] == [
        {mug: {"Principal": 2000, "RestockingFee": -400}},
        {tee: {"Goodwill": 150}},
    ]


@pytest.mark.parametrize(
    ("components", "changes", "words"),
    [
        ({"Principal": "20.01"}, {}, "more than what is left"),
        ({"Shipping": "999.00"}, {}, "more than what is left"),
        ({"Goodwill": "99.00"}, {}, "more than what was paid"),
        ({"Tax": "1.00"}, {}, "more than what is left"),
        ({"Gold": "1.00"}, {}, "Component Gold"),
        ({"Principal": "0.00"}, {}, "Amount 0.00"),
        ({"Principal": "-1.00"}, {}, "Amount -1.00"),
        ({"Principal": "1.001"}, {}, "Amount 1.001"),
        ({"Principal": "1.00", "RestockingFee": "1.00"}, {}, "RestockingFee"),
        ({"Principal": "1.00", "RestockingFee": "-1.00"}, {}, "not a credit"),
        ({"Principal": "1.00"}, {"currency": "EUR"}, "Currency EUR"),
        ({"Principal": "1.00"}, {"reason": "BuyerCanceled"}, "BuyerCanceled"),
    ],
)
def test_what_amazon_does_not_book(
    feeder: Feeder, components: dict[str, str], changes: dict[str, str], words: str
) -> None:
    order, [mug, _] = shipped(feeder)
    report = feeder.run(ADJUSTMENT, refund(order, {mug: components}, **changes))
    assert words in report.results[0][3]
    assert booked(feeder, order) == []


def test_all_refunds_together_are_limited_also_those_made_elsewhere(feeder: Feeder) -> None:
    order, [mug, _] = shipped(feeder)
    elsewhere = {"kind": "elsewhere", "items": {mug: {"Principal": 1500}}}
    assert feeder.http.post(f"/practice/orders/{order['order_id']}/refund", json=elsewhere).status_code == 201

    report = feeder.run(
        ADJUSTMENT,
        refund(order, {mug: {"Principal": "5.01"}}),
        refund(order, {mug: {"Principal": "5.00"}}, memo="2"),
        refund(order, {mug: {"Principal": "0.01"}}, memo="3"),
    )

    assert [result[0] for result in report.results] == [1, 3]
    assert report.successful == 1


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"status": "UNSHIPPED"}, "not been shipped"),
        ({"status": "CANCELLED"}, "has been canceled"),
        ({"fulfilled_by": "AMAZON"}, "fulfilled by Amazon"),
    ],
)
def test_orders_that_are_not_refunded(feeder: Feeder, wish: dict[str, Any], words: str) -> None:
    order, [mug, _] = shipped(feeder, **wish)
    assert words in feeder.run(ADJUSTMENT, refund(order, {mug: {"Principal": "1.00"}})).results[0][3]


def test_unknown_lines_and_repeated_ids_are_refused(feeder: Feeder) -> None:
    order, [mug, tee] = shipped(feeder)

    report = feeder.run(
        ADJUSTMENT,
        refund(order, {"00000000000001": {"Principal": "1.00"}}),
        refund(order, {mug: {"Principal": "1.00"}}, memo="7"),
        refund(order, {tee: {"Principal": "1.00"}, mug: {"Principal": "1.00"}}, memo="7"),
    )

    assert [(result[0], "used before" in result[3]) for result in report.results] == [(1, False), (3, True)]
    assert len(booked(feeder, order)) == 1


@pytest.mark.parametrize(
    ("mark", "amount", "tax"), [("refund_less", 500, 40), ("refund_more", 1100, 88), ("refund_other_tax", 1000, 87)]
)
def test_amazon_books_something_else(feeder: Feeder, mark: str, amount: int, tax: int) -> None:
    order, [mug, _] = shipped(feeder)
    feeder.mark(ADJUSTMENT, mark)

    feeder.run(ADJUSTMENT, refund(order, {mug: {"Principal": "10.00"}}))

    [one] = booked(feeder, order)
    assert (one["amounts"][mug]["Principal"], one["taxes"][mug]["Principal"]) == (amount, tax)


def test_an_amount_without_a_currency_breaks_the_schema(feeder: Feeder) -> None:
    order, [mug, _] = shipped(feeder)
    feed = feeder.submit(ADJUSTMENT, [refund(order, {mug: {"Principal": "1.00"}}).replace(' currency="USD"', "")])
    assert feeder.wait(feed)["processingStatus"] == "FATAL"


# --- Other ways -------------------------------------------------------------------------------------------------------


def test_money_goes_back_by_other_ways(feeder: Feeder) -> None:
    order, [mug, tee] = shipped(feeder)
    path = f"/practice/orders/{order['order_id']}/refund"
    before = feeder.state(order)["refunds"]

    half = feeder.http.post(path, json={"share": 0.5}).get_json()
    rest = feeder.http.post(path, json={"kind": "claim"}).get_json()

    assert before == []
    assert (half["kind"], half["amounts"][mug]["Principal"]) == ("elsewhere", 1000)
    assert (rest["kind"], rest["amounts"][mug]["Principal"]) == ("claim", 1000)
    assert rest["amounts"][tee]["Principal"] == 250
    assert "nothing of its prices is left" in feeder.http.post(path, json={}).get_json()["error"]


@pytest.mark.parametrize(
    "body", [{"kind": "gift"}, {"share": 0}, {"share": 2}, {"items": {"x": {"Principal": 1}}}, {"items": [1]}]
)
def test_impossible_refunds_are_refused(feeder: Feeder, body: dict[str, Any]) -> None:
    order, _ = shipped(feeder)
    assert feeder.http.post(f"/practice/orders/{order['order_id']}/refund", json=body).status_code == 400
    assert feeder.http.post("/practice/orders/111-0000000-0000000/refund", json={}).status_code == 404


def test_the_page_refunds_and_shows_it(feeder: Feeder) -> None:
    order, _ = shipped(feeder)
    form = {"act": "refund_half", "order": "1"}
    path = f"/practice/form/orders/{order['order_id']}"

    text = feeder.http.post(path, data=form, follow_redirects=True).text

    assert "Refunded " in text
    assert "(elsewhere)" in text
    assert "A-to-z claim" in text
    feeder.http.post(path, data={"act": "refund"})
    assert "not possible" in feeder.http.post(path, data={"act": "claim"}, follow_redirects=True).text
