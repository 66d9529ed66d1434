"""Invoices for business buyers: what Amazon takes, and what it refuses, with its codes."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from plugins.amazon.practice.vat_invoices import TYPE
from tests.plugins.amazon.practice.feeder import Feeder
from tests.plugins.amazon.practice.seller import Clock, Seller

PDF = b"%PDF-1.7 an invoice"


@pytest.fixture
def feeder(make_app: Callable[..., Flask], clock: Clock) -> Feeder:
    return Feeder(Seller(make_app("eu", orders=0), "eu"), clock)


def upload(feeder: Feeder, order: dict[str, Any], *, body: bytes = PDF, **options: str | None) -> str:
    """Upload an invoice and read its report."""
    known = {"orderid": order["order_id"], "invoicenumber": "RE-1", "totalamount": "11.90", "totalvatamount": "1.90"}
    given = {
        name: value for name, value in (known | {"documenttype": "Invoice"} | options).items() if value is not None
    }
    document = feeder.make_document("application/pdf")
    assert feeder.put(document["url"], body, "application/pdf").status_code == 200
    options_of = {f"metadata:{name}": value for name, value in given.items()}
    answer = feeder.create(TYPE, document["feedDocumentId"], feedOptions=options_of)
    assert answer.status_code == 202, answer.text
    feed = feeder.wait(answer.get_json()["feedId"])
    assert feed["processingStatus"] == "DONE"
    return feeder.download(feed["resultFeedDocumentId"]).decode()


def test_an_invoice_and_a_credit_note_are_taken(feeder: Feeder) -> None:
    order = feeder.seller.place(marketplace="DE", status="SHIPPED")

    assert "records successful\t\t1" in upload(feeder, order)
    assert "records successful\t\t1" in upload(feeder, order, invoicenumber="GS-1", documenttype="CreditNote")

    told = feeder.http.get(f"/practice/orders/{order['order_id']}/told").get_json()
    assert told["effects"] == 2
    assert [one["body"]["invoicenumber"] for one in told["told"]] == ["RE-1", "GS-1"]
    assert {one["operation"] for one in told["told"]} == {TYPE}
    assert feeder.ids(feedTypes=TYPE)


@pytest.mark.parametrize(
    ("wish", "changes", "code"),
    [
        ({"status": "UNSHIPPED"}, {}, 79513),
        ({"status": "PARTIALLY_SHIPPED", "quantity": 3}, {}, 79513),
        ({}, {"orderid": "302-0000000-0000000"}, 79511),
        ({}, {"orderid": None}, 79502),
        ({}, {"invoicenumber": None}, 79502),
        ({}, {"documenttype": "Letter"}, 79502),
        ({}, {"totalamount": "much"}, 79502),
        ({}, {"body": b"<html>"}, 79501),
    ],
)
def test_what_amazon_does_not_take(feeder: Feeder, wish: dict[str, Any], changes: dict[str, Any], code: int) -> None:
    order = feeder.seller.place(**{"marketplace": "DE", "status": "SHIPPED"} | wish)
    report = upload(feeder, order, **changes)
    assert f"\t{code}\tError\t" in report
    assert "records successful\t\t0" in report


def test_a_number_is_used_once_and_another_order_may_have_it(feeder: Feeder) -> None:
    order, other = (feeder.seller.place(marketplace="DE", status="SHIPPED") for _ in range(2))
    upload(feeder, order)
    assert "records successful\t\t1" in upload(feeder, order)
    assert feeder.http.get(f"/practice/orders/{order['order_id']}/told").get_json()["effects"] == 1
    assert "\t79520\tError\t" in upload(feeder, order, totalamount="12.00")
    assert "\tError\t" not in upload(feeder, other)


def test_other_marketplaces_take_none(make_app: Callable[..., Flask], clock: Clock) -> None:
    feeder = Feeder(Seller(make_app("na", orders=0)), clock)
    order = feeder.seller.place(status="SHIPPED")
    assert "\t79530\tError\t" in upload(feeder, order)
