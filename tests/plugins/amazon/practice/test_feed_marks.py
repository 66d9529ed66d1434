"""What goes wrong with whole feeds on purpose, and the faults of single calls of the Feeds API."""

import json
import time
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import ParseError

import pytest
from werkzeug.test import TestResponse

from plugins.amazon.practice import MARKETPLACES
from plugins.amazon.practice.marks import MARKS, TIMED
from tests.plugins.amazon.practice.feeder import ACKNOWLEDGEMENT, ADJUSTMENT, Feeder, acknowledgement
from tests.plugins.amazon.practice.seller import Clock


def spoiled(feeder: Feeder, mark: str, seconds: float = 0, count: int = 3) -> tuple[str, list[dict[str, Any]]]:
    """A feed with this mark that cancels some orders."""
    orders = [feeder.seller.place() for _ in range(count)]
    feeder.mark(ACKNOWLEDGEMENT, mark, seconds)
    return feeder.submit(ACKNOWLEDGEMENT, [acknowledgement(order) for order in orders]), orders


def canceled(feeder: Feeder, orders: list[dict[str, Any]]) -> list[bool]:
    return [feeder.state(order)["status"] == "CANCELLED" for order in orders]


def test_a_mark_waits_for_the_next_feed_of_its_type_and_stays_on_it(feeder: Feeder) -> None:
    feeder.mark(ACKNOWLEDGEMENT, "fatal_silent")
    other = feeder.submit(ADJUSTMENT, "<x/>")
    marked, plain = (feeder.submit(ACKNOWLEDGEMENT, [acknowledgement(feeder.seller.place())]) for _ in range(2))
    for feed in (other, marked, plain):
        feeder.wait(feed)

    known = feeder.http.get("/practice/feeds").get_json()
    assert {feed["feedId"]: feed["mark"] for feed in known["feeds"]} == {
        other: None,
        marked: "fatal_silent",
        plain: None,
    }
    assert known["marks"] == []


def test_the_code_of_a_broken_message_may_name_another(feeder: Feeder) -> None:
    feed, orders = spoiled(feeder, "fatal_25_wrong")

    assert feeder.wait(feed)["processingStatus"] == "FATAL"
    report = feeder.report(feed)
    assert (report.processed, report.errors, report.results[0][0], report.results[0][2]) == (0, 1, 3, 25)
    assert canceled(feeder, orders) == [False] * 3

    feeder.mark(ACKNOWLEDGEMENT, "fatal_25_wrong")
    broken = acknowledgement(orders[0]).replace("Failure", "Maybe")
    feed = feeder.submit(ACKNOWLEDGEMENT, {4: acknowledgement(orders[1]), 5: broken})
    feeder.wait(feed)
    assert feeder.report(feed).results[0][0] == 4


def test_some_messages_may_be_processed_before_code_25(feeder: Feeder) -> None:
    feed, orders = spoiled(feeder, "fatal_25_processed")

    assert feeder.wait(feed)["processingStatus"] == "FATAL"
    report = feeder.report(feed)
    assert (report.processed, report.successful, report.errors, report.results[0][2]) == (2, 2, 1, 25)
    assert canceled(feeder, orders) == [True, True, False]


@pytest.mark.parametrize(("mark", "done"), [("fatal_silent", False), ("fatal_silent_processed", True)])
def test_a_feed_may_end_without_a_report(feeder: Feeder, mark: str, done: bool) -> None:
    feed, orders = spoiled(feeder, mark)

    shown = feeder.wait(feed)
    assert (shown["processingStatus"], "resultFeedDocumentId" in shown) == ("FATAL", False)
    assert canceled(feeder, orders) == [done] * 3


def test_a_feed_may_end_with_another_code(feeder: Feeder) -> None:
    feed, orders = spoiled(feeder, "fatal_other")

    assert feeder.wait(feed)["processingStatus"] == "FATAL"
    assert feeder.report(feed).results[0][2] == 5000
    assert canceled(feeder, orders) == [False] * 3


def test_a_feed_may_be_canceled_before_it_is_processed(feeder: Feeder) -> None:
    feed, orders = spoiled(feeder, "canceled")

    shown = feeder.wait(feed)
    assert shown["processingStatus"] == "CANCELLED"
    assert not {"processingStartTime", "resultFeedDocumentId"} & set(shown)
    assert canceled(feeder, orders) == [False] * 3


def test_a_report_may_be_cut_in_half(feeder: Feeder) -> None:
    feed, orders = spoiled(feeder, "report_cut")
    feeder.wait(feed)

    with pytest.raises(ParseError):
        feeder.report(feed)
    assert canceled(feeder, orders) == [True] * 3


@pytest.mark.parametrize(
    ("mark", "counters", "results"),
    [
        ("report_miscounted", (3, 3, 1, 0), []),
        ("report_too_few", (2, 3, 0, 0), []),
        ("report_foreign_message", (3, 2, 1, 0), [(1003, "Error")]),
        ("warning", (3, 3, 0, 1), [(1, "Warning")]),
    ],
)
def test_a_report_may_say_odd_things(
    feeder: Feeder, mark: str, counters: tuple[int, ...], results: list[tuple[int, str]]
) -> None:
    feed, orders = spoiled(feeder, mark)

    assert feeder.wait(feed)["processingStatus"] == "DONE"
    report = feeder.report(feed)
    assert (report.processed, report.successful, report.errors, report.warnings) == counters
    assert [result[:2] for result in report.results] == results
    assert canceled(feeder, orders) == [True] * 3


def test_a_report_may_be_lost_for_a_while(feeder: Feeder, clock: Clock) -> None:
    feed, _ = spoiled(feeder, "report_lost", seconds=60)
    report = feeder.wait(feed)["resultFeedDocumentId"]

    assert feeder.send("GET", f"/documents/{report}", None).status_code == 404
    clock.now += 60
    assert feeder.report(feed).successful == 3


def test_a_feed_may_stay_in_the_queue(feeder: Feeder, clock: Clock) -> None:
    feed, orders = spoiled(feeder, "slow_queue", seconds=60)

    clock.now += 60
    assert feeder.feed(feed)["processingStatus"] == "IN_QUEUE"
    feeder.wait(feed)
    assert canceled(feeder, orders) == [True] * 3


def test_a_feed_may_be_listed_late(feeder: Feeder, clock: Clock) -> None:
    feed, _ = spoiled(feeder, "listed_late", seconds=60)

    assert feeder.feed(feed)["feedId"] == feed
    clock.now += 59
    assert feeder.ids() == []
    clock.now += 1
    assert feeder.ids() == [feed]


@pytest.mark.parametrize(
    "body",
    [
        {"feedType": "X", "mark": "warning"},
        {"feedType": ACKNOWLEDGEMENT, "mark": "x"},
        {"feedType": ACKNOWLEDGEMENT, "mark": "warning", "seconds": "x"},
        *({"feedType": ACKNOWLEDGEMENT, "mark": mark} for mark in TIMED),
    ],
)
def test_marks_that_make_no_sense_are_said(feeder: Feeder, body: dict[str, Any]) -> None:
    answer = feeder.http.post("/practice/feeds/next", json=body)

    assert (answer.status_code, bool(answer.get_json()["error"])) == (400, True)


def test_marks_are_mended_with_the_faults(feeder: Feeder) -> None:
    for mark in MARKS:
        feeder.mark(ADJUSTMENT, mark, 1)
    assert len(feeder.http.get("/practice/feeds").get_json()["marks"]) == len(MARKS)

    feeder.http.delete("/practice/faults")

    assert feeder.http.get("/practice/feeds").get_json()["marks"] == []


# --- Faults of single calls -----------------------------------------------------------------------------------------

CALLS = ("createFeedDocument", "createFeed", "getFeed", "getFeeds", "getFeedDocument", "cancelFeed")
PLACES = ("upload", "download")


def prepared(feeder: Feeder, operation: str) -> Callable[[], TestResponse]:
    """A call that would be answered well."""
    if operation == "createFeedDocument":
        return lambda: feeder.send("POST", "/documents", None, json={"contentType": "x"})
    if operation == "getFeeds":
        return lambda: feeder.send("GET", "/feeds", None, query_string={"feedTypes": ACKNOWLEDGEMENT})
    if operation == "upload":
        url = feeder.make_document()["url"]
        return lambda: feeder.put(url, "<x/>")
    document = feeder.upload("<x/>")
    if operation == "createFeed":
        body = {
            "feedType": ACKNOWLEDGEMENT,
            "marketplaceIds": feeder.marketplaces,
            "inputFeedDocumentId": document,
        }
        return lambda: feeder.send("POST", "/feeds", None, json=body)
    feed = feeder.create(ACKNOWLEDGEMENT, document).get_json()["feedId"]
    if operation == "cancelFeed":
        return lambda: feeder.send("DELETE", f"/feeds/{feed}", None)
    if operation == "getFeed":
        return lambda: feeder.send("GET", f"/feeds/{feed}", None)
    report = f"/documents/{feeder.wait(feed)['resultFeedDocumentId']}"
    if operation == "download":
        url = feeder.send("GET", report, None).get_json()["url"]
        return lambda: feeder.http.get(url)
    return lambda: feeder.send("GET", report, None)


@pytest.mark.parametrize("operation", CALLS + PLACES)
@pytest.mark.parametrize(
    ("kind", "status"), [(429, 429), (500, 500), (403, 403), ("expired", 403), (400, 400), (404, 404)]
)
def test_every_call_can_fail(feeder: Feeder, operation: str, kind: str | int, status: int) -> None:
    call = prepared(feeder, operation)
    feeder.seller.fault(operation, kind)

    first, again = call(), call()

    assert (first.status_code, again.status_code < 300) == (status, True)
    assert first.mimetype == ("application/xml" if operation in PLACES else "application/json")


@pytest.mark.parametrize("operation", CALLS + PLACES)
def test_every_call_can_be_slow_or_answered_by_a_page_or_by_half(feeder: Feeder, operation: str) -> None:
    call = prepared(feeder, operation)
    feeder.seller.fault(operation, "slow", seconds=0.05)
    started = time.monotonic()
    whole = prepared(feeder, operation)()
    assert (whole.status_code < 300, time.monotonic() - started >= 0.05) == (True, True)

    feeder.seller.fault(operation, 503)
    page = call()
    assert (page.status_code, page.mimetype) == (503, "text/html")

    feeder.seller.fault(operation, "garbage")
    half = call()
    assert half.status_code < 300
    if operation in CALLS:
        with pytest.raises(json.JSONDecodeError):
            json.loads(half.text)
    elif operation == "download":
        assert len(half.data) == len(whole.data) // 2


@pytest.mark.parametrize("operation", CALLS + PLACES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_can_drop_before_or_after_the_effect(feeder: Feeder, operation: str, when: str) -> None:
    call = prepared(feeder, operation)
    feeder.seller.fault(operation, "drop", when=when)
    feeds = len(feeder.ids()) if operation == "createFeed" else 0

    with pytest.raises(ConnectionAbortedError):
        call()

    calls = feeder.http.get(f"/practice/calls?operation={operation}").get_json()["calls"]
    assert (calls[-1]["status"], calls[-1]["fault"]) == (None, "drop")
    if operation == "createFeed":
        assert len(feeder.ids()) == feeds + (when == "after")
    elif operation == "cancelFeed":
        states = [feed["processingStatus"] for feed in feeder.http.get("/practice/feeds").get_json()["feeds"]]
        assert states == ["CANCELLED" if when == "after" else "IN_QUEUE"]
    elif operation == "upload":
        document = calls[-1]["params"]["feedDocumentId"]
        assert feeder.create(ACKNOWLEDGEMENT, document).status_code == (202 if when == "after" else 400)


def test_lists_of_feeds_can_be_odd(feeder: Feeder, clock: Clock) -> None:
    first = feeder.submit(ACKNOWLEDGEMENT, "<x/>")
    clock.now += 60
    second = feeder.submit(ACKNOWLEDGEMENT, "<x/>")

    feeder.seller.fault("getFeeds", "repeat")
    assert feeder.ids() == [second, first, second]
    feeder.seller.fault("getFeeds", "stale", seconds=30)
    assert feeder.ids() == [first]
    feeder.seller.fault("getFeed", "stale", seconds=30)
    assert feeder.send("GET", f"/feeds/{second}", None).status_code == 404
    feeder.seller.fault("getFeeds", "page_token")
    token = feeder.listing(feedTypes=ACKNOWLEDGEMENT, pageSize=1).get_json()["nextToken"]
    assert feeder.listing(nextToken=token).status_code == 400
    assert feeder.listing(nextToken=token).status_code == 200


def test_a_marketplace_can_be_denied_to_feeds(feeder: Feeder) -> None:
    feeder.seller.fault("createFeed", "marketplace", marketplace="CA", times=9)
    document, us = feeder.upload("<x/>"), MARKETPLACES["US"].id

    assert feeder.create(ACKNOWLEDGEMENT, document).status_code == 403
    assert feeder.create(ACKNOWLEDGEMENT, document, marketplaceIds=[us]).status_code == 202


def test_the_record_of_calls_names_feeds_but_no_signature(feeder: Feeder) -> None:
    feed = feeder.submit(ACKNOWLEDGEMENT, "<x/>")
    feeder.feed(feed)

    calls = feeder.http.get("/practice/calls").get_json()["calls"]
    assert [call["operation"] for call in calls][-4:] == ["createFeedDocument", "upload", "createFeed", "getFeed"]
    assert calls[-1]["params"] == {"feedId": feed}
    assert set(calls[-3]["params"]) == {"feedDocumentId"}
    assert calls[-3]["seller"] == calls[-1]["seller"] == "A1PRACTICENA"
