"""The documents of feeds, and the reports on them: what is written, and what is believed."""

import gzip
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given, strategies as st

from plugins.amazon import canceling
from plugins.amazon.feeds import reports
from plugins.amazon.feeds.messages import ACKNOWLEDGEMENT, ADJUSTMENT, BadMessage, envelope
from plugins.amazon.feeds.reports import Unclear
from webapp.api import Update

ORDER = "302-1234567-1234567"
LINES = {"00000000000011": 2, "00000000000022": 1}


def written(feed_type: str, update: Update) -> Xml.Element:
    """The document of a feed with this update alone."""
    return Xml.fromstring(envelope("A1SELLER12345", feed_type, [(update.id, canceling.message(update))]))  # noqa: S314


def cancellation(number: int = 7, *, order: str = ORDER, version: int = 1, **payload: Any) -> Update:
    told = {"version": version, "whole": True, "reason": "NoInventory", "lines": LINES} | payload
    return Update(number, "cancel", order, "A1PA6795UKMFR9", "1", told)


def report(
    *results: tuple[int, str, str, str], processed: int, errors: int | None = None, warnings: int | None = None
) -> bytes:
    wrong = len({number for number, kind, *_ in results if kind == "Error"}) if errors is None else errors
    odd = len({number for number, kind, *_ in results if kind == "Warning"}) if warnings is None else warnings
    body = "".join(
        f"<Result><MessageID>{number}</MessageID><ResultCode>{kind}</ResultCode>"
        f"<ResultMessageCode>{code}</ResultMessageCode><ResultDescription>{words}</ResultDescription></Result>"
        for number, kind, code, words in results
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><AmazonEnvelope><Header/><MessageType>ProcessingReport</MessageType>'
        "<Message><MessageID>1</MessageID><ProcessingReport><DocumentTransactionID>1</DocumentTransactionID>"
        "<StatusCode>Complete</StatusCode><ProcessingSummary>"
        f"<MessagesProcessed>{processed}</MessagesProcessed>"
        f"<MessagesSuccessful>{processed - wrong}</MessagesSuccessful>"
        f"<MessagesWithError>{wrong}</MessagesWithError><MessagesWithWarning>{odd}</MessagesWithWarning>"
        f"</ProcessingSummary>{body}</ProcessingReport></Message></AmazonEnvelope>"
    ).encode()


# --- Documents --------------------------------------------------------------------------------------------------------


def test_a_whole_order_is_acknowledged_with_failure_for_every_line() -> None:
    update = cancellation()
    root = written(ACKNOWLEDGEMENT, update)
    assert [one.tag for one in root] == ["Header", "MessageType", "Message"]
    assert [(one.tag, one.text) for one in root[0]] == [
        ("DocumentVersion", "1.01"),
        ("MerchantIdentifier", "A1SELLER12345"),
    ]
    assert root.findtext("MessageType") == "OrderAcknowledgement"
    assert root.findtext("Message/MessageID") == "7"
    [body] = root.iter("OrderAcknowledgement")
    assert [one.tag for one in body] == ["AmazonOrderID", "StatusCode", "Item", "Item"]
    assert (body.findtext("AmazonOrderID"), body.findtext("StatusCode")) == (ORDER, "Failure")
    assert [[(one.tag, one.text) for one in item] for item in body.iter("Item")] == [
        [("AmazonOrderItemCode", line), ("CancelReason", "NoInventory")] for line in LINES
    ]


def test_units_of_lines_are_an_adjustment_with_its_own_reason() -> None:
    update = cancellation(whole=False, reason="BuyerCanceled", lines={"00000000000011": 1})
    root = written(ADJUSTMENT, update)
    [body] = root.iter("OrderAdjustment")
    assert [one.tag for one in body] == ["AmazonOrderID", "ActionType", "AdjustedItem"]
    assert body.findtext("ActionType") == "Cancel"
    assert [(one.tag, one.text) for one in body[2]] == [
        ("AmazonOrderItemCode", "00000000000011"),
        ("AdjustmentReason", "CustomerCancel"),
        ("QuantityCancelled", "1"),
    ]


@pytest.mark.parametrize(
    "update",
    [
        cancellation(reason="Mood"),
        cancellation(reason=None),
        cancellation(lines={}),
        cancellation(lines={"1</AmazonOrderItemCode>": 1}),
        cancellation(lines={"00000000000011": 0}),
        cancellation(lines={"00000000000011": "1"}),
        cancellation(lines=["00000000000011"]),
        cancellation(order="<order>"),
        cancellation(version=2),
    ],
)
def test_what_breaks_the_schema_is_never_written(update: Update) -> None:
    with pytest.raises(BadMessage):
        canceling.message(update)


def test_every_reason_has_one_for_adjustments_and_the_lane_follows_the_payload() -> None:
    for reason in canceling.REASONS:
        for whole, lane in ((True, ACKNOWLEDGEMENT), (False, ADJUSTMENT)):
            update = cancellation(whole=whole, reason=reason.code)
            assert canceling.lane(update.payload) == lane
            assert canceling.message(update).tag
    assert [reason.code for reason in canceling.REASONS if reason.for_buyer] == ["BuyerCanceled"]


# --- Reports ----------------------------------------------------------------------------------------------------------


def test_messages_without_a_result_succeeded() -> None:
    read = reports.read(report((2, "Error", "8560", "Not  found\n"), (3, "Warning", "1", "Late"), processed=3))
    assert read.fits(3, {1, 2, 3})
    assert {number: (one.is_error, one.sentence) for number, one in read.results.items()} == {
        2: (True, "Not found"),
        3: (False, "Late"),
    }


def test_an_error_goes_before_a_warning_of_the_same_message() -> None:
    for results in (
        [(1, "Warning", "1", "w"), (1, "Error", "2", "e")],
        [(1, "Error", "2", "e"), (1, "Warning", "1", "w")],
    ):
        read = reports.read(report(*results, processed=1))
        assert read.fits(1, {1})
        assert read.results[1].is_error


@pytest.mark.parametrize(
    ("odd", "messages", "mine"),
    [
        (report(processed=2), 3, {1, 2, 3}),  # too few were processed
        (report(processed=4), 3, {1, 2, 3}),
        (report((9, "Error", "1", "x"), processed=3), 3, {1, 2, 3}),  # not one of ours
        (report((1, "Error", "1", "x"), processed=3, errors=2), 3, {1, 2, 3}),  # counted, and not listed
        (report((1, "Error", "1", "x"), processed=3, errors=0), 3, {1, 2, 3}),  # listed, and not counted
        (report((1, "Warning", "1", "x"), processed=3, warnings=0), 3, {1, 2, 3}),
    ],
)
def test_a_report_that_does_not_fit_is_not_believed(odd: bytes, messages: int, mine: set[int]) -> None:
    assert not reports.read(odd).fits(messages, mine)


@given(cut=st.integers(0, len(report((1, "Error", "1", "x"), processed=3)) - 1))
def test_a_report_cut_anywhere_is_unclear(cut: int) -> None:
    with pytest.raises(Unclear):
        reports.read(report((1, "Error", "1", "x"), processed=3)[:cut])


@given(st.binary(max_size=300))
def test_anything_else_is_unclear(junk: bytes) -> None:
    for compressed in (False, True):
        with pytest.raises(Unclear):
            reports.read(junk, compressed=compressed)


def test_a_document_type_is_refused_in_any_encoding() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><AmazonEnvelope>&a;</AmazonEnvelope>'
    for content in (bomb.encode(), bomb.encode("utf-16"), b"<!--" + b"x" * 9000 + b"-->" + bomb.encode()):
        with pytest.raises(Unclear):
            reports.read(content)


def test_a_packed_report_is_unpacked_and_a_cut_one_is_unclear() -> None:
    packed = gzip.compress(report(processed=1))
    assert reports.read(packed, compressed=True).fits(1, {1})
    with pytest.raises(Unclear):
        reports.read(packed[: len(packed) // 2], compressed=True)


def test_only_code_25_without_any_message_says_that_the_schema_broke() -> None:
    assert reports.read(report((1, "Error", "25", "Invalid"), processed=0)).broke_the_schema
    assert not reports.read(report((1, "Error", "25", "Invalid"), processed=2)).broke_the_schema
    assert not reports.read(report((1, "Error", "5001", "Invalid"), processed=0)).broke_the_schema
