"""Feeds as a desk writes, submits and reads them: their XML, and a seller who knows the Feeds API."""

import gzip
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from werkzeug.test import TestResponse

from plugins.amazon.practice.marketplaces import MARKETPLACES, SELLERS
from tests.plugins.amazon.practice.seller import Clock, Seller, valid

ACKNOWLEDGEMENT = "POST_ORDER_ACKNOWLEDGEMENT_DATA"
ADJUSTMENT = "POST_PAYMENT_ADJUSTMENT_DATA"
FULFILLMENT = "POST_ORDER_FULFILLMENT_DATA"
ELEMENTS = {ACKNOWLEDGEMENT: "OrderAcknowledgement", ADJUSTMENT: "OrderAdjustment", FULFILLMENT: "OrderFulfillment"}
PATH = "/feeds/2021-06-30"
CONTENT_TYPE = "text/xml; charset=UTF-8"


def envelope(feed_type: str, messages: dict[int, str], *, seller: str = SELLERS["na"], version: str = "1.01") -> str:
    """A feed of these messages, each by its id."""
    element = ELEMENTS[feed_type]
    parts = (
        f"<Message><MessageID>{id}</MessageID><{element}>{body}</{element}></Message>" for id, body in messages.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><AmazonEnvelope>'
        f"<Header><DocumentVersion>{version}</DocumentVersion><MerchantIdentifier>{seller}</MerchantIdentifier></Header>"
        f"<MessageType>{element}</MessageType>{''.join(parts)}</AmazonEnvelope>"
    )


def acknowledgement(
    order: dict[str, Any], *, status: str = "Failure", reason: str = "NoInventory", **changes: Any
) -> str:
    """The message that cancels an order, or accepts it; `items` replaces the ids of its lines."""
    items = changes.get("items", [item["order_item_id"] for item in order["items"]])
    lines = "".join(
        f"<Item><AmazonOrderItemCode>{item}</AmazonOrderItemCode><CancelReason>{reason}</CancelReason></Item>"
        for item in items
    )
    return f"<AmazonOrderID>{order['order_id']}</AmazonOrderID><StatusCode>{status}</StatusCode>{lines}"


def adjustment(
    order: dict[str, Any],
    units: dict[str, int] | None = None,
    *,
    action: str | None = "Cancel",
    reason: str = "NoInventory",
) -> str:
    """The message that cancels units of lines: those given, or one of the first line."""
    units = {order["items"][0]["order_item_id"]: 1} if units is None else units
    lines = "".join(
        f"<AdjustedItem><AmazonOrderItemCode>{item}</AmazonOrderItemCode><AdjustmentReason>{reason}</AdjustmentReason>"
        f"<QuantityCancelled>{count}</QuantityCancelled></AdjustedItem>"
        for item, count in units.items()
    )
    kind = f"<ActionType>{action}</ActionType>" if action else ""
    return f"<AmazonOrderID>{order['order_id']}</AmazonOrderID>{kind}{lines}"


def refund(
    order: dict[str, Any],
    amounts: dict[str, dict[str, str]],
    *,
    currency: str = "USD",
    reason: str = "CustomerReturn",
    memo: str | None = "1",
) -> str:
    """The message that refunds these amounts, by line and component."""
    lines = ""
    for item, components in amounts.items():
        adjustment_id = f"<MerchantAdjustmentItemID>{memo}-{item}</MerchantAdjustmentItemID>" if memo else ""
        prices = "".join(
            f'<Component><Type>{code}</Type><Amount currency="{currency}">{amount}</Amount></Component>'
            for code, amount in components.items()
        )
        lines += (
            f"<AdjustedItem><AmazonOrderItemCode>{item}</AmazonOrderItemCode>{adjustment_id}"
            f"<AdjustmentReason>{reason}</AdjustmentReason>"
            f"<ItemPriceAdjustments>{prices}</ItemPriceAdjustments></AdjustedItem>"
        )
    return f"<AmazonOrderID>{order['order_id']}</AmazonOrderID><ActionType>Refund</ActionType>{lines}"


def fulfillment(
    order: dict[str, Any],
    units: dict[str, int] | None = None,
    *,
    at: str,
    reference: int | None = 1,
    carrier: str = "UPS",
) -> str:
    """The message that confirms a package: of these units, or of everything that is left."""
    number = f"<MerchantFulfillmentID>{reference}</MerchantFulfillmentID>" if reference else ""
    lines = "".join(
        f"<Item><AmazonOrderItemCode>{item}</AmazonOrderItemCode><Quantity>{count}</Quantity></Item>"
        for item, count in (units or {}).items()
    )
    return (
        f"<AmazonOrderID>{order['order_id']}</AmazonOrderID>{number}<FulfillmentDate>{at}</FulfillmentDate>"
        f"<FulfillmentData><CarrierCode>{carrier}</CarrierCode>"
        f"<ShipperTrackingNumber>1Z999AA10123456784</ShipperTrackingNumber></FulfillmentData>{lines}"
    )


@dataclass(frozen=True)
class Told:
    """A processing report as a desk reads it."""

    processed: int
    successful: int
    errors: int
    warnings: int
    results: list[tuple[int, str, int, str]]  # message id, Error or Warning, code, sentence


def read_report(data: bytes) -> Told:
    report = ElementTree.fromstring(data).find("Message/ProcessingReport")  # noqa: S314 our own
    assert report is not None
    number = {name: int(report.findtext(f"ProcessingSummary/Messages{name}", "")) for name in
              ("Processed", "Successful", "WithError", "WithWarning")}  # fmt: skip
    results = [
        (int(one.findtext("MessageID", "")), one.findtext("ResultCode", ""), int(one.findtext("ResultMessageCode", "")),
         one.findtext("ResultDescription", ""))
        for one in report.findall("Result")
    ]  # fmt: skip
    return Told(*number.values(), results)


class Feeder:
    """Submits feeds for a seller and checks each request and answer against Amazon's model."""

    def __init__(self, seller: Seller, clock: Clock) -> None:
        self.seller, self.clock, self.http = seller, clock, seller.http
        self.marketplaces = [m.id for m in MARKETPLACES.values() if m.region == seller.region and m.weight]

    def send(self, method: str, path: str, answers: str | None, **options: Any) -> TestResponse:
        if self.seller.endless:
            self.seller.practice.throttle.refill()
        url = self.seller.host + PATH + path
        headers = {"x-amz-access-token": self.seller.token}
        answer = self.http.open(url, method=method, headers=headers, **options)
        if answer.status_code >= 400 and answer.mimetype == "application/json":
            valid("feeds_2021-06-30", "ErrorList", answer.get_json())
        elif answers:
            valid("feeds_2021-06-30", answers, answer.get_json())
        return answer

    def make_document(self, content_type: str = CONTENT_TYPE) -> dict[str, str]:
        body = {"contentType": content_type}
        valid("feeds_2021-06-30", "CreateFeedDocumentSpecification", body)
        answer = self.send("POST", "/documents", "CreateFeedDocumentResponse", json=body)
        assert answer.status_code == 201, answer.text
        document: dict[str, str] = answer.get_json()
        return document

    def put(self, url: str, text: str | bytes, content_type: str = CONTENT_TYPE, **headers: str) -> TestResponse:
        return self.http.put(url, data=text, headers={"Content-Type": content_type} | headers)

    def upload(self, text: str | bytes) -> str:
        document = self.make_document()
        assert self.put(document["url"], text).status_code == 200
        return document["feedDocumentId"]

    def create(self, feed_type: str, document: str, **changes: Any) -> TestResponse:
        body = {"feedType": feed_type, "marketplaceIds": self.marketplaces, "inputFeedDocumentId": document} | changes
        return self.send("POST", "/feeds", "CreateFeedResponse", json=body)

    def submit(self, feed_type: str, messages: list[str] | dict[int, str] | str) -> str:
        """Submit a feed of these messages (numbered from 1), or of this XML; returns its id."""
        if not isinstance(messages, str):
            numbered = messages if isinstance(messages, dict) else dict(enumerate(messages, 1))
            messages = envelope(feed_type, numbered, seller=SELLERS[self.seller.region])
        answer = self.create(feed_type, self.upload(messages))
        assert answer.status_code == 202, answer.text
        return str(answer.get_json()["feedId"])

    def feed(self, feed_id: str) -> dict[str, Any]:
        answer = self.send("GET", f"/feeds/{feed_id}", "Feed")
        assert answer.status_code == 200, answer.text
        feed: dict[str, Any] = answer.get_json()
        return feed

    def listing(self, **params: Any) -> TestResponse:
        lists = ("feedTypes", "marketplaceIds", "processingStatuses")
        asked = {name: value.split(",") if name in lists else value for name, value in params.items()}
        answer = self.send("GET", "/feeds", "GetFeedsResponse", query_string=params)
        if answer.status_code == 200:
            valid("feeds_2021-06-30", "getFeedsQuery", asked)
        return answer

    def ids(self, **params: Any) -> list[str]:
        answer = self.listing(**{"feedTypes": ",".join(ELEMENTS)} | params)
        assert answer.status_code == 200, answer.text
        return [feed["feedId"] for feed in answer.get_json()["feeds"]]

    def wait(self, feed_id: str) -> dict[str, Any]:
        """Let the feed be processed."""
        self.clock.now += 1
        feed = self.feed(feed_id)
        assert feed["processingStatus"] in ("DONE", "FATAL", "CANCELLED"), feed
        return feed

    def download(self, document_id: str) -> bytes:
        answer = self.send("GET", f"/documents/{document_id}", "FeedDocument")
        assert answer.status_code == 200, answer.text
        document = answer.get_json()
        got = self.http.get(document["url"])
        assert got.status_code == 200, got.text
        return gzip.decompress(got.data) if document.get("compressionAlgorithm") == "GZIP" else got.data

    def report(self, feed_id: str) -> Told:
        return read_report(self.download(self.feed(feed_id)["resultFeedDocumentId"]))

    def run(self, feed_type: str, *messages: str) -> Told:
        """Submit messages, let them be processed, and read the report."""
        feed = self.submit(feed_type, list(messages))
        assert self.wait(feed)["processingStatus"] == "DONE"
        return self.report(feed)

    def mark(self, feed_type: str, mark: str, seconds: float = 0) -> None:
        body = {"feedType": feed_type, "mark": mark, "seconds": seconds}
        assert self.http.post("/practice/feeds/next", json=body).status_code == 201

    def set(self, **settings: Any) -> None:
        assert self.http.post("/practice/settings", json=settings).status_code == 200

    def state(self, order: dict[str, Any]) -> dict[str, Any]:
        """The order as the control API has it."""
        answer: dict[str, Any] = self.http.get(f"/practice/orders/{order['order_id']}").get_json()
        return answer
