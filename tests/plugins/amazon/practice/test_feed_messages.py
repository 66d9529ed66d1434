"""The rules of the XML of feeds: what rejects a whole feed, and how it is said."""

import pytest

from plugins.amazon.practice.marketplaces import SELLERS
from tests.plugins.amazon.practice.feeder import (
    ACKNOWLEDGEMENT,
    ADJUSTMENT,
    FULFILLMENT,
    Feeder,
    acknowledgement,
    adjustment,
    envelope,
    fulfillment,
)

AT = "2026-11-23T09:00:00Z"
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


def rejected(feeder: Feeder, feed_type: str, xml: str | bytes) -> tuple[int, int, str]:
    """Submit a feed that is not processed; the message id, the code and the sentence of its report."""
    feed = feeder.create(feed_type, feeder.upload(xml)).get_json()["feedId"]
    assert feeder.wait(feed)["processingStatus"] == "FATAL"
    report = feeder.report(feed)
    assert (report.processed, report.successful, report.errors, len(report.results)) == (0, 0, 1, 1)
    [(message_id, word, code, sentence)] = report.results
    assert (word, feeder.http.get("/practice/told").get_json()["told"]) == ("Error", [])
    return message_id, code, sentence


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<AmazonOrderID>", "<OrderID>1</OrderID><AmazonOrderID>"),
        ("<StatusCode>Failure</StatusCode>", ""),
        ("<StatusCode>Failure</StatusCode>", "<StatusCode>Maybe</StatusCode>"),
        ("<StatusCode>Failure</StatusCode>", "<StatusCode>Failure</StatusCode><StatusCode>Failure</StatusCode>"),
        ("<StatusCode>Failure</StatusCode>", "<StatusCode>Failure</StatusCode><MerchantOrderID>1</MerchantOrderID>"),
        ("<StatusCode>Failure</StatusCode>", "<StatusCode>Failure<b/></StatusCode>"),
        ("<StatusCode>Failure</StatusCode>", "<StatusCode>Failure</StatusCode>text"),
        ("<CancelReason>NoInventory</CancelReason>", "<CancelReason></CancelReason>"),
        ("<CancelReason>NoInventory</CancelReason>", "<Quantity>0</Quantity>"),
        ("<CancelReason>NoInventory</CancelReason>", "<Quantity>1</Quantity><CancelReason>NoInventory</CancelReason>"),
        ("</Item>", "</Item><Item/>"),
        ("-", "_"),
        ("OrderAcknowledgement>", "OrderAdjustment>"),
    ],
)
def test_one_message_that_breaks_the_schema_rejects_the_whole_feed(feeder: Feeder, old: str, new: str) -> None:
    good, bad = feeder.seller.place(), feeder.seller.place()
    message = f"<OrderAcknowledgement>{acknowledgement(bad)}</OrderAcknowledgement>"
    assert old in message
    xml = envelope(ACKNOWLEDGEMENT, {1: acknowledgement(good), 2: acknowledgement(bad), 3: acknowledgement(good)})

    message_id, code, sentence = rejected(feeder, ACKNOWLEDGEMENT, xml.replace(message, message.replace(old, new)))

    assert (message_id, code) == (2, 25)
    assert "We are unable to process the XML feed" in sentence
    assert feeder.state(good)["status"] == "UNSHIPPED"


@pytest.mark.parametrize("id", ["0", "-1", "x", "1.5", "", "1"])
def test_message_ids_are_unique_numbers_above_zero(feeder: Feeder, id: str) -> None:
    order = feeder.seller.place()
    xml = envelope(ACKNOWLEDGEMENT, {1: acknowledgement(order), 2: acknowledgement(order)})

    assert rejected(feeder, ACKNOWLEDGEMENT, xml.replace("<MessageID>2", f"<MessageID>{id}"))[1] == 25


@pytest.mark.parametrize(
    ("feed_type", "old", "new"),
    [
        (ADJUSTMENT, "<ActionType>Cancel", "<ActionType>Delete"),
        (ADJUSTMENT, "<AdjustmentReason>NoInventory</AdjustmentReason>", ""),
        (ADJUSTMENT, "<QuantityCancelled>1", "<QuantityCancelled>1.5"),
        (ADJUSTMENT, "<QuantityCancelled>1", "<QuantityCancelled>" + "9" * 5000),
        (ADJUSTMENT, "<QuantityCancelled>", "<Quantity>1</Quantity><QuantityCancelled>"),
        (FULFILLMENT, f"<FulfillmentDate>{AT}</FulfillmentDate>", ""),
        (FULFILLMENT, AT, "yesterday"),
        (FULFILLMENT, "<MerchantFulfillmentID>1", "<MerchantFulfillmentID>A"),
        (FULFILLMENT, "<FulfillmentData>", "<FulfillmentData><ShippingMethod>x</ShippingMethod>"),
    ],
)  # fmt: skip
def test_the_other_types_have_their_schemas(feeder: Feeder, feed_type: str, old: str, new: str) -> None:
    order = feeder.seller.place()
    xml = envelope(feed_type, {7: adjustment(order) if feed_type == ADJUSTMENT else fulfillment(order, at=AT)})
    assert old in xml

    assert rejected(feeder, feed_type, xml.replace(old, new))[:2] == (7, 25)


def test_everything_that_the_schemas_know_is_read(feeder: Feeder) -> None:
    order = feeder.seller.place(traits=["transparency"], quantity=1)
    item = order["items"][0]["order_item_id"]
    refund = (
        f"<AmazonOrderID>{order['order_id']}</AmazonOrderID><ActionType>Refund</ActionType>"
        "<CODCollectionMethod>DirectPayment</CODCollectionMethod>"
        f"<AdjustedItem><AmazonOrderItemCode>{item}</AmazonOrderItemCode>"
        "<MerchantAdjustmentItemID>5</MerchantAdjustmentItemID><AdjustmentReason>CustomerReturn</AdjustmentReason>"
        '<ItemPriceAdjustments><Component><Type>Principal</Type><Amount currency="USD">1.00</Amount></Component>'
        "</ItemPriceAdjustments><PromotionAdjustments><Component/></PromotionAdjustments><Quantity>1</Quantity>"
        "</AdjustedItem>"
    )
    shipment = (
        f"<AmazonOrderID>{order['order_id']}</AmazonOrderID><FulfillmentDate>{AT}</FulfillmentDate>"
        "<FulfillmentData><CarrierName>Bike</CarrierName><ShippingMethod>Fast</ShippingMethod>"
        "<ShipperTrackingNumber>T</ShipperTrackingNumber></FulfillmentData>"
        f"<Item><AmazonOrderItemCode>{item}</AmazonOrderItemCode><MerchantFulfillmentItemID>9</MerchantFulfillmentItemID>"
        "<Quantity>1</Quantity><TransparencyCode>A</TransparencyCode></Item><ShipFromAddress><Name>x</Name></ShipFromAddress>"
    )
    success = (
        f"<AmazonOrderID>{order['order_id']}</AmazonOrderID><MerchantOrderID>W-1</MerchantOrderID>"
        f"<StatusCode>Success</StatusCode><Item><AmazonOrderItemCode>{item}</AmazonOrderItemCode>"
        "<MerchantOrderItemID>5</MerchantOrderItemID><Quantity>1</Quantity></Item>"
    )

    assert feeder.run(ACKNOWLEDGEMENT, success).successful == 1
    assert feeder.run(FULFILLMENT, shipment).successful == 1
    assert feeder.run(ADJUSTMENT, refund).successful == 1
    [package] = feeder.state(order)["packages"]
    assert (package["carrier"], package["service"], package["codes"]) == ("Bike", "Fast", {item: ["A"]})


def test_a_message_may_say_its_operation_and_be_set_out_in_lines(feeder: Feeder) -> None:
    order = feeder.seller.place()
    xml = envelope(ACKNOWLEDGEMENT, {1: acknowledgement(order)})
    xml = xml.replace("</MessageID>", "</MessageID>\n<!-- a note --><OperationType>Update</OperationType>")
    xml = xml.replace("><", ">\n  <").replace("<AmazonEnvelope>", '<AmazonEnvelope xmlns:xsi="urn:x" xsi:a="b">')

    feed = feeder.submit(ACKNOWLEDGEMENT, "\ufeff" + xml)

    assert feeder.wait(feed)["processingStatus"] == "DONE"
    assert feeder.state(order)["status"] == "CANCELLED"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<DocumentVersion>1.01", "<DocumentVersion>2.00", "DocumentVersion"),
        ("<DocumentVersion>1.01</DocumentVersion>", "", "DocumentVersion"),
        ("<MessageType>OrderAcknowledgement</MessageType>", "", "MessageType"),
        ("<MessageType>OrderAcknowledgement", "<MessageType>OrderAdjustment", "OrderAcknowledgement"),
        ("AmazonEnvelope", "Envelope", "AmazonEnvelope"),
        ("</AmazonEnvelope>", "", "Line 1"),
        ("</AmazonEnvelope>", "<Header/></AmazonEnvelope>", "Header"),
        ("<AmazonEnvelope>", BOMB + "<AmazonEnvelope>", "DOCTYPE"),
        ("<StatusCode>Failure", "<StatusCode>&b;", "Line 1"),
    ],
)
def test_an_envelope_that_cannot_be_read_is_fatal_with_another_code(
    feeder: Feeder, old: str, new: str, words: str
) -> None:
    xml = envelope(ACKNOWLEDGEMENT, {1: acknowledgement(feeder.seller.place())})
    assert old in xml

    message_id, code, sentence = rejected(feeder, ACKNOWLEDGEMENT, xml.replace(old, new))

    assert (message_id, code, words in sentence) == (0, 5000, True)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe<\0a\0/\0>\0", b"PDF", "<é/>".encode("latin-1"), b"<a>\0</a>"])
def test_documents_that_are_no_xml_are_fatal(feeder: Feeder, data: bytes) -> None:
    assert rejected(feeder, ACKNOWLEDGEMENT, data)[1] == 5000


def test_a_feed_without_messages_is_fatal(feeder: Feeder) -> None:
    assert rejected(feeder, ACKNOWLEDGEMENT, envelope(ACKNOWLEDGEMENT, {}))[:2] == (0, 5000)


def test_another_sellers_identifier_is_fatal(feeder: Feeder) -> None:
    xml = envelope(ACKNOWLEDGEMENT, {1: acknowledgement(feeder.seller.place())}, seller=SELLERS["eu"])

    assert rejected(feeder, ACKNOWLEDGEMENT, xml)[:2] == (0, 5002)
