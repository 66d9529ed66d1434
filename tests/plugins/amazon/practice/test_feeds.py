"""The life of a feed: its document, its states, the lists of feeds, and what is refused on the way."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from flask import Flask

from plugins.amazon.practice import MARKETPLACES, PracticeServer
from plugins.amazon.practice.answers import iso
from tests.plugins.amazon.practice.feeder import (
    ACKNOWLEDGEMENT,
    ADJUSTMENT,
    CONTENT_TYPE,
    FULFILLMENT,
    PATH,
    Feeder,
    acknowledgement,
    envelope,
)
from tests.plugins.amazon.practice.seller import Clock, Seller
from tests.plugins.amazon.practice.test_process import signed_in

UNKNOWN = "<AmazonOrderID>111-0000000-0000001</AmazonOrderID><StatusCode>Success</StatusCode>"


def test_a_feed_goes_from_the_queue_through_its_processing_to_its_report(feeder: Feeder, clock: Clock) -> None:
    feeder.set(rates=1)
    order = feeder.seller.place(lines=2)
    created = clock.now

    feed = feeder.submit(ACKNOWLEDGEMENT, [acknowledgement(order)])

    times = {"createdTime": iso(int(created * 1000))}
    shown = feeder.feed(feed)
    assert shown == times | {
        "feedId": feed,
        "feedType": ACKNOWLEDGEMENT,
        "marketplaceIds": feeder.marketplaces,
        "processingStatus": "IN_QUEUE",
    }
    clock.now = created + 30
    times["processingStartTime"] = iso(int(clock.now * 1000))
    assert feeder.feed(feed) == shown | times | {"processingStatus": "IN_PROGRESS"}
    clock.now = created + 89.9
    assert feeder.state(order)["status"] == "UNSHIPPED"
    clock.now = created + 90
    times["processingEndTime"] = iso(int(clock.now * 1000))
    clock.now += 500
    done = feeder.feed(feed)
    report = {"resultFeedDocumentId": done.get("resultFeedDocumentId")}
    assert done == shown | times | report | {"processingStatus": "DONE"}
    assert feeder.state(order)["order"]["lastUpdatedTime"] == times["processingEndTime"]
    assert feeder.report(feed).successful == 1


def test_feeds_of_a_seller_and_type_are_processed_one_after_another(feeder: Feeder, clock: Clock) -> None:
    feeder.set(rates=1)
    start = clock.now
    first, second = (feeder.submit(ACKNOWLEDGEMENT, [UNKNOWN]) for _ in range(2))
    other = feeder.submit(ADJUSTMENT, "<nonsense/>")

    clock.now = start + 91
    states = [feeder.feed(one)["processingStatus"] for one in (first, second, other)]
    assert states == ["DONE", "IN_PROGRESS", "FATAL"]
    clock.now = start + 150
    done = feeder.feed(second)
    assert (done["processingStatus"], done["processingStartTime"]) == ("DONE", feeder.feed(first)["processingEndTime"])


def test_feeds_are_processed_whatever_is_asked_next(feeder: Feeder, clock: Clock) -> None:
    order = feeder.seller.place()
    feeder.submit(ACKNOWLEDGEMENT, [acknowledgement(order)])
    clock.now += 1

    assert feeder.seller.confirm(order).status_code == 400
    page = feeder.http.get("/", query_string={"order": order["order_id"]}).text
    assert 'class="status cancelled"' in page


def test_an_uploaded_document_may_be_replaced_until_its_url_ends(feeder: Feeder, clock: Clock) -> None:
    document = feeder.make_document()
    assert urlsplit(document["url"]).netloc == "localhost"

    assert feeder.put(document["url"], "<first/>").status_code == 200
    clock.now += 299
    assert feeder.put(document["url"], envelope(ACKNOWLEDGEMENT, {1: UNKNOWN})).status_code == 200
    clock.now += 2
    late = feeder.put(document["url"], "<late/>")
    assert (late.status_code, "<Code>AccessDenied</Code>" in late.text) == (403, True)
    feed = feeder.create(ACKNOWLEDGEMENT, document["feedDocumentId"]).get_json()["feedId"]
    assert feeder.wait(feed)["processingStatus"] == "DONE"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"content_type": "text/xml"}, "SignatureDoesNotMatch"),
        ({"content_type": "text/xml; charset=utf-8"}, "SignatureDoesNotMatch"),
        ({"x-amz-access-token": "Atza|secret"}, "AccessDenied"),
    ],
)
def test_uploads_that_are_refused(feeder: Feeder, changes: dict[str, str], code: str) -> None:
    document = feeder.make_document()

    answer = feeder.put(document["url"], "<x/>", **changes)

    assert (answer.status_code, answer.mimetype) == (403, "application/xml")
    assert f"<Code>{code}</Code>" in answer.text
    assert feeder.create(ACKNOWLEDGEMENT, document["feedDocumentId"]).status_code == 400


def test_a_url_is_good_for_its_own_document_and_method(feeder: Feeder) -> None:
    first, second = feeder.make_document(), feeder.make_document()
    swapped = second["url"].replace(second["feedDocumentId"], first["feedDocumentId"])

    assert feeder.put(swapped, "<x/>").status_code == 403
    assert feeder.put(first["url"].partition("?")[0], "<x/>").status_code == 403
    assert feeder.http.get(first["url"]).status_code == 403
    assert feeder.put(first["url"], "<x/>").status_code == 200


def test_a_report_is_downloaded_by_its_url_for_five_minutes(feeder: Feeder, clock: Clock) -> None:
    feed = feeder.submit(ACKNOWLEDGEMENT, [UNKNOWN])
    report = feeder.wait(feed)["resultFeedDocumentId"]
    url = feeder.send("GET", f"/documents/{report}", "FeedDocument").get_json()["url"]

    assert feeder.http.get(url, headers={"x-amz-access-token": feeder.seller.token}).status_code == 403
    clock.now += 299
    assert feeder.http.get(url).content_type == "text/xml; charset=UTF-8"
    clock.now += 2
    assert feeder.http.get(url).status_code == 403


def test_a_report_can_be_compressed(feeder: Feeder) -> None:
    feeder.set(gzip_reports=True)
    feed = feeder.submit(ACKNOWLEDGEMENT, [UNKNOWN])
    report = feeder.wait(feed)["resultFeedDocumentId"]

    document = feeder.send("GET", f"/documents/{report}", "FeedDocument").get_json()
    assert document["compressionAlgorithm"] == "GZIP"
    assert feeder.http.get(document["url"]).data.startswith(b"\x1f\x8b")
    assert feeder.report(feed).errors == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"feedType": "POST_INVENTORY_AVAILABILITY_DATA"},
        {"feedType": None},
        {"marketplaceIds": []},
        {"marketplaceIds": "ATVPDKIKX0DER"},
        {"marketplaceIds": ["XX"]},
        {"marketplaceIds": [MARKETPLACES["US"].id, MARKETPLACES["DE"].id]},
        {"marketplaceIds": [MARKETPLACES["MX"].id]},
        {"marketplaceIds": [MARKETPLACES["US"].id] * 26},
        {"inputFeedDocumentId": "amzn1.tortuga.4.na.nothing"},
        {"inputFeedDocumentId": 7},
        {"feedOptions": {"a": 1}},
    ],
)
def test_feeds_that_are_not_taken(feeder: Feeder, changes: dict[str, Any]) -> None:
    document = feeder.upload("<x/>")

    assert feeder.create(ACKNOWLEDGEMENT, document, **changes).status_code == 400
    assert feeder.ids() == []


def test_other_bodies_are_refused(feeder: Feeder) -> None:
    assert feeder.send("POST", "/feeds", None, data="x").status_code == 415
    assert feeder.send("POST", "/feeds", None, json=[1]).status_code == 400
    assert feeder.send("POST", "/documents", None, json={"contentType": ""}).status_code == 400


def test_a_seller_has_no_part_in_anothers_feeds(app: Flask, feeder: Feeder, clock: Clock) -> None:
    document = feeder.upload(envelope(ACKNOWLEDGEMENT, {1: UNKNOWN}))
    feed = feeder.create(ACKNOWLEDGEMENT, document).get_json()["feedId"]
    report = feeder.wait(feed)["resultFeedDocumentId"]
    other = Feeder(Seller(app, "eu"), clock)

    assert other.create(ACKNOWLEDGEMENT, document).status_code == 400
    assert other.ids() == []
    assert other.send("GET", f"/feeds/{feed}", None).status_code == 404
    assert other.send("DELETE", f"/feeds/{feed}", None).status_code == 404
    assert other.send("GET", f"/documents/{report}", None).status_code == 404
    assert Feeder(Seller(app, "na", "/na"), clock).feed(feed)["feedId"] == feed
    assert (
        feeder.http.get(f"/eu{PATH}/feeds/{feed}", headers={"x-amz-access-token": feeder.seller.token}).status_code
        == 403
    )


def test_what_is_not_there_is_not_found(feeder: Feeder) -> None:
    document = feeder.upload("<x/>")

    for path in ("/feeds/50000000001", "/feeds/x", "/feeds/" + "9" * 40, f"/documents/{document}"):
        assert feeder.send("GET", path, None).status_code == 404
    assert feeder.send("DELETE", "/feeds/50000000001", None).status_code == 404


@pytest.mark.parametrize(("setting", "status"), [("taken", 202), ("refused", 400)])
def test_a_document_that_was_submitted_before(feeder: Feeder, setting: str, status: int) -> None:
    feeder.set(document_twice=setting)
    document = feeder.upload(envelope(ACKNOWLEDGEMENT, {1: UNKNOWN}))
    feeder.create(ACKNOWLEDGEMENT, document)

    again = feeder.create(ACKNOWLEDGEMENT, document)

    assert again.status_code == status
    assert len(feeder.ids()) == (2 if status == 202 else 1)


def test_a_feed_is_cancelled_in_the_queue_only(feeder: Feeder, clock: Clock) -> None:
    feeder.set(rates=1)
    order = feeder.seller.place()
    first, second = (feeder.submit(ACKNOWLEDGEMENT, [acknowledgement(order)]) for _ in range(2))

    answer = feeder.send("DELETE", f"/feeds/{first}", None)
    assert (answer.status_code, answer.text) == (200, "")
    assert feeder.feed(first)["processingStatus"] == "CANCELLED"
    assert "processingStartTime" not in feeder.feed(first)
    assert feeder.send("DELETE", f"/feeds/{first}", None).status_code == 400
    clock.now += 100
    assert feeder.send("DELETE", f"/feeds/{second}", None).status_code == 400
    clock.now += 100
    assert feeder.state(order)["status"] == "CANCELLED"
    assert len(feeder.http.get(f"/practice/orders/{order['order_id']}/told").get_json()["told"]) == 1


def test_feeds_are_listed_newest_first_page_by_page(feeder: Feeder, clock: Clock) -> None:
    made = []
    for number in range(7):
        clock.now += number % 2  # some at one moment
        made.append(feeder.submit(ACKNOWLEDGEMENT, [UNKNOWN]))
    first = feeder.listing(feedTypes=ACKNOWLEDGEMENT, pageSize=3).get_json()
    clock.now += 1
    feeder.submit(ACKNOWLEDGEMENT, [UNKNOWN])  # shifts nothing

    found, token = [feed["feedId"] for feed in first["feeds"]], first.get("nextToken")
    while token:
        page = feeder.listing(nextToken=token).get_json()
        found, token = found + [feed["feedId"] for feed in page["feeds"]], page.get("nextToken")

    assert found == made[::-1]
    assert feeder.listing(nextToken=first["nextToken"], pageSize=3).status_code == 400
    assert feeder.listing(nextToken=first["nextToken"][:-2]).status_code == 400
    calls = feeder.http.get("/practice/calls?operation=getFeeds").get_json()["calls"]
    assert calls[-1]["params"] == {"nextToken": True}


def test_lists_of_feeds_are_filtered(feeder: Feeder, clock: Clock) -> None:
    us, canada = MARKETPLACES["US"].id, MARKETPLACES["CA"].id
    old = feeder.submit(ACKNOWLEDGEMENT, [UNKNOWN])
    at = iso(int(clock.now * 1000))
    clock.now += 60
    fatal = feeder.submit(ADJUSTMENT, "<x/>")
    clock.now += 60
    new = feeder.create(FULFILLMENT, feeder.upload("<x/>"), marketplaceIds=[us]).get_json()["feedId"]

    assert feeder.ids() == [new, fatal, old]
    assert feeder.ids(feedTypes=ADJUSTMENT) == [fatal]
    assert feeder.ids(marketplaceIds=canada) == [fatal, old]
    assert feeder.ids(processingStatuses="FATAL,IN_QUEUE") == [new, fatal]
    assert feeder.ids(createdUntil=at) == [old]
    assert feeder.ids(createdSince=at, createdUntil=iso(int(clock.now * 1000) - 1)) == [fatal, old]
    clock.now += 90 * 24 * 3600 - 100
    feeder.seller.token = feeder.seller.sign_in().get_json()["access_token"]
    assert feeder.ids() == [new, fatal]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"feedTypes": "X"},
        {"feedTypes": ADJUSTMENT, "pageSize": "0"},
        {"feedTypes": ADJUSTMENT, "pageSize": "101"},
        {"feedTypes": ADJUSTMENT, "pageSize": "x"},
        {"feedTypes": ADJUSTMENT, "marketplaceIds": "X"},
        {"feedTypes": ADJUSTMENT, "processingStatuses": "LOST"},
        {"feedTypes": ADJUSTMENT, "createdSince": "yesterday"},
    ],
)
def test_lists_that_are_refused(feeder: Feeder, params: dict[str, str]) -> None:
    assert feeder.listing(**params).status_code == 400


@pytest.mark.parametrize("setting", ["listed", "hidden"])
def test_feeds_of_other_applications_are_listed_or_hidden(feeder: Feeder, setting: str) -> None:
    feeder.set(foreign_feeds=setting)
    body = {"feedType": ACKNOWLEDGEMENT, "messages": 3, "marketplaceIds": [MARKETPLACES["US"].id]}
    foreign = feeder.http.post("/practice/feeds", json=body).get_json()
    own = feeder.submit(ACKNOWLEDGEMENT, [UNKNOWN])

    seen = setting == "listed"
    assert feeder.ids() == ([own, foreign["feedId"]] if seen else [own])
    assert feeder.send("GET", f"/feeds/{foreign['feedId']}", None).status_code == (200 if seen else 404)
    feeder.wait(own)
    known = {feed["feedId"]: feed for feed in feeder.http.get("/practice/feeds").get_json()["feeds"]}
    assert (known[foreign["feedId"]]["foreign"], known[own]["foreign"]) == (True, False)
    report = known[foreign["feedId"]]["resultFeedDocumentId"]
    assert feeder.send("GET", f"/documents/{report}", None).status_code == (200 if seen else 404)
    if seen:
        assert feeder.report(foreign["feedId"]).processed == 3


def test_every_answer_has_the_date_of_amazons_clock(feeder: Feeder, clock: Clock) -> None:
    feeder.set(clock=1800)
    now = datetime.fromtimestamp(int(clock.now) + 1800, UTC)
    order = feeder.seller.place()
    feeder.seller.fault("getFeeds", 503)
    feeder.seller.fault("getOrder", 404)

    answers = [
        feeder.seller.sign_in(),
        feeder.http.get(PATH + "/feeds", headers={"x-amz-access-token": feeder.seller.token}),
        feeder.seller.get(f"/orders/2026-01-01/orders/{order['order_id']}"),
        feeder.seller.confirm(order),
        feeder.put(feeder.make_document()["url"], "<x/>"),
        feeder.http.get("/nowhere"),
        feeder.http.get("/practice/settings"),
    ]

    assert {parsedate_to_datetime(answer.headers["Date"]) for answer in answers} == {now}


def test_buckets_of_feeds_follow_the_published_plan(feeder: Feeder, clock: Clock) -> None:
    feeder.set(rates=1)
    feeder.seller.endless = False
    document = feeder.make_document()
    for _ in range(30):  # the place of documents has no bucket
        assert feeder.put(document["url"], "<x/>").status_code == 200

    answers = [feeder.create(ACKNOWLEDGEMENT, document["feedDocumentId"]) for _ in range(16)]

    assert [answer.status_code for answer in answers] == [202] * 15 + [429]
    assert answers[0].headers["x-amzn-RateLimit-Limit"] == "0.0083"


def test_documents_and_feeds_survive_a_kill(tmp_path: Path) -> None:
    settings = {"rates": 100, "edge": 0, "feed_queue": 0, "feed_processing": 30}
    server = PracticeServer(tmp_path, process=True, orders=30, settings=settings).start()
    try:
        order = server.client.place()
        server.client.mark_next_feed(ACKNOWLEDGEMENT, "warning")
        with signed_in(server) as http:
            document = http.post(PATH + "/documents", json={"contentType": CONTENT_TYPE}).json()
            assert urlsplit(document["url"]).netloc == f"127.0.0.1:{server.port}"
            xml = envelope(ACKNOWLEDGEMENT, {1: acknowledgement(order)})
            httpx.put(document["url"], content=xml, headers={"Content-Type": CONTENT_TYPE}).raise_for_status()
            server.kill()
            server.start()
            body = {
                "feedType": ACKNOWLEDGEMENT,
                "marketplaceIds": [order["marketplace_id"]],
                "inputFeedDocumentId": document["feedDocumentId"],
            }
            feed = http.post(PATH + "/feeds", json=body).json()["feedId"]
            server.kill()
            server.start()
            answer = http.get(f"{PATH}/feeds/{feed}")
            assert (answer.json()["feedId"], len(answer.headers.get_list("date"))) == (feed, 1)
            server.client.advance(1)
            assert server.client.order(order["order_id"])["status"] == "CANCELLED"
        [known] = server.client.feeds()
        assert (known["feedId"], known["mark"], known["warnings"]) == (feed, "warning", 1)
        assert server.client.effects(order["order_id"]) == 1
    finally:
        server.stop()


def test_of_many_calls_at_once_one_processes_a_feed(tmp_path: Path) -> None:
    with PracticeServer(tmp_path, orders=0, settings={"rates": 1000, "feed_processing": 200}) as server:
        order = server.client.place()
        with signed_in(server) as http, ThreadPoolExecutor(8) as pool:
            document = http.post(PATH + "/documents", json={"contentType": CONTENT_TYPE}).json()
            xml = envelope(ACKNOWLEDGEMENT, {1: acknowledgement(order)})
            httpx.put(document["url"], content=xml, headers={"Content-Type": CONTENT_TYPE}).raise_for_status()
            body = {
                "feedType": ACKNOWLEDGEMENT,
                "marketplaceIds": [order["marketplace_id"]],
                "inputFeedDocumentId": document["feedDocumentId"],
            }
            feed = http.post(PATH + "/feeds", json=body).json()["feedId"]
            answers = list(pool.map(lambda _: http.get(f"{PATH}/feeds/{feed}").json(), range(200)))
            server.client.advance(1)
            answers += pool.map(lambda _: http.get(f"{PATH}/feeds/{feed}").json(), range(16))

        assert {answer["processingStatus"] for answer in answers[-16:]} == {"DONE"}
        assert [entry["effect"] for entry in server.client.told(order["order_id"])] == ["canceled"]


def test_a_directory_of_an_earlier_version_is_opened(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    app = make_app("old", orders=0)
    store = app.extensions["practice"].store
    with store.transaction():
        store._db.execute("ALTER TABLE told DROP COLUMN operation")
        store._db.execute("ALTER TABLE feeds DROP COLUMN options")
        store._db.execute(
            "INSERT INTO told (at_ms, order_id, status, effect, message, body) VALUES (1, 'x', 204, 'new', '', '{}')"
        )
    store.close()

    again = make_app("old")

    assert again.test_client().get("/practice/told").get_json()["told"][0]["operation"] == "confirmShipment"
    assert again.test_client().post("/practice/feeds", json={"feedType": ACKNOWLEDGEMENT}).status_code == 201
    assert len(again.test_client().get("/practice/feeds").get_json()["feeds"]) == 1
