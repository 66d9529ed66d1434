"""Files of messages: where they are uploaded, and which of them a message may have."""

import base64
import hashlib
from typing import Any

import pytest
from werkzeug.test import TestResponse

from plugins.amazon.practice import MARKETPLACES
from tests.plugins.amazon.practice.seller import Clock, Seller
from tests.plugins.amazon.practice.test_messaging import path_of, sent, valid as valid_document

PDF = b"%PDF-1.7 an invoice"


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def asked(seller: Seller, order: dict[str, Any], kind: str = "invoice", **params: str) -> TestResponse:
    given = {"marketplaceIds": order["marketplace_id"], "contentMD5": md5(PDF), "contentType": "application/pdf"}
    seller.practice.throttle.refill()
    answer = seller.http.post(
        f"/uploads/2020-11-01/uploadDestinations{path_of(order)}/messages/{kind}",
        query_string={name: value for name, value in (given | params).items() if value},
        headers={"x-amz-access-token": seller.token},
    )
    valid_document("uploads_2020-11-01", "CreateUploadDestinationResponse", answer.get_json())
    return answer


def put(seller: Seller, place: dict[str, Any], content: bytes = PDF, **headers: str) -> TestResponse:
    return seller.http.put(place["url"], data=content, headers=place["headers"] | headers)


def uploaded(seller: Seller, order: dict[str, Any], content: bytes = PDF, **more: str) -> dict[str, str]:
    place = asked(seller, order, contentMD5=md5(content), **more).get_json()["payload"]
    assert put(seller, place, content).status_code == 200
    return {"uploadDestinationId": place["uploadDestinationId"], "fileName": "1001.pdf"}


def effects(seller: Seller, order: dict[str, Any]) -> list[str]:
    answer = seller.http.get(f"/practice/orders/{order['order_id']}/told").get_json()
    return [entry["effect"] for entry in answer["told"]]


def invoice(seller: Seller, order: dict[str, Any], *files: dict[str, str]) -> TestResponse:
    return sent(seller, order, "invoice", {"attachments": list(files)}, valid_form=0 < len(files) < 6)


def test_an_invoice_is_uploaded_sent_and_shown(seller: Seller) -> None:
    order = seller.place(status="SHIPPED")
    answer = invoice(seller, order, uploaded(seller, order))
    assert (answer.status_code, answer.get_json()) == (201, {})
    page = seller.http.get("/", query_string={"order": order["order_id"]}).text
    assert "201 messaged <code>invoice</code>" in page
    href = next(part.partition('"')[0] for part in page.split('href="') if "/attachments/" in part.partition('"')[0])
    file = seller.http.get(href)
    assert (file.data, file.headers["Content-Disposition"]) == (PDF, "attachment; filename=1001.pdf")
    assert "No messages yet." not in page


def test_a_place_takes_the_announced_content_alone_and_for_fifteen_minutes(seller: Seller, clock: Clock) -> None:
    order = seller.place(status="SHIPPED")
    place = asked(seller, order).get_json()["payload"]
    assert place["headers"] == {"Content-MD5": md5(PDF), "x-amz-server-side-encryption": "aws:kms"}
    for answer, status, code in (
        (put(seller, place, PDF + b"."), 400, "BadDigest"),
        (put(seller, place, **{"Content-MD5": md5(b"")}), 403, "SignatureDoesNotMatch"),
        (seller.http.put(place["url"], data=PDF), 403, "SignatureDoesNotMatch"),
        (put(seller, place, **{"x-amz-access-token": "Atza|secret"}), 403, "AccessDenied"),
        (put(seller, place | {"url": place["url"].partition("?")[0]}), 403, "SignatureDoesNotMatch"),
    ):
        assert (answer.status_code, f"<Code>{code}</Code>" in answer.text) == (status, True), answer.text
    in_hex = hashlib.md5(PDF, usedforsecurity=False).hexdigest()
    wrong = asked(seller, order, contentMD5=in_hex).get_json()["payload"]
    assert "<Code>InvalidDigest</Code>" in put(seller, wrong).text
    file = {"uploadDestinationId": place["uploadDestinationId"], "fileName": "1001.pdf"}
    assert "does not exist" in invoice(seller, order, file).text
    clock.now += 901
    assert "Request has expired" in put(seller, place).text


def test_which_files_a_message_may_not_have(seller: Seller) -> None:
    order, other = seller.place(status="SHIPPED"), seller.place(status="SHIPPED")
    good = uploaded(seller, order)
    for files, words in (
        ([], "1 to 5 are required"),
        ([good] * 6, "1 to 5 are required"),
        ([good, {"uploadDestinationId": "nothing", "fileName": "a.pdf"}], "Attachment with ID nothing does not exist."),
        ([uploaded(seller, other)], "is not for this message"),
        ([uploaded(seller, order, b"Hello", contentType="text/plain")], "is not of a supported type"),
        ([uploaded(seller, order, b"Hello")], "is not of a supported type"),
    ):
        answer = invoice(seller, order, *files)
        assert (answer.status_code, words in answer.get_json()["errors"][0]["message"]) == (400, True), answer.text
    named = sent(seller, order, "invoice", {"attachments": [{"fileName": "a.pdf"}]}, valid_form=False)
    assert named.status_code == 400
    text = {"text": "Which color?", "attachments": [good]}
    assert "takes none" in sent(seller, order, "unexpectedProblem", text, valid_form=False).text
    assert set(effects(seller, order)) == {"refused"}
    assert invoice(seller, order, *[good] * 5).status_code == 201


def test_an_invoice_before_shipping_is_denied(seller: Seller) -> None:
    order = seller.place(status="UNSHIPPED")
    answer = invoice(seller, order, uploaded(seller, order))
    assert (answer.status_code, effects(seller, order)) == (403, ["refused"])


@pytest.mark.parametrize(
    ("kind", "params", "status"),
    [
        ("invoice", {"contentMD5": ""}, 400),
        ("unexpectedProblem", {}, 400),
        ("invoice", {"marketplaceIds": MARKETPLACES["CA"].id}, 400),
    ],
)
def test_places_that_are_refused(seller: Seller, kind: str, params: dict[str, str], status: int) -> None:
    assert asked(seller, seller.place(), kind, **params).status_code == status


def test_places_need_the_role_and_ones_own_orders(seller: Seller) -> None:
    assert asked(seller, seller.place(marketplace="DE")).status_code == 404
    seller.http.post("/practice/settings", json={"lacks_communication": True})
    assert asked(seller, seller.place()).status_code == 403


@pytest.mark.parametrize(
    ("operation", "kind", "status"), [("createUploadDestination", "429", 429), ("uploadAttachment", "503", 503)]
)
def test_both_calls_fail_on_purpose(seller: Seller, operation: str, kind: str, status: int) -> None:
    order = seller.place(status="SHIPPED")
    seller.fault(operation, status)
    answer = asked(seller, order)
    if operation == "uploadAttachment":
        answer = put(seller, answer.get_json()["payload"])
    assert answer.status_code == status
    assert uploaded(seller, order)
