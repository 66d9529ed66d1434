"""The page for people: it shows and does the same as the control API, in two languages, for this computer only."""

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from plugins.amazon.practice.pages import VARIANTS
from tests.plugins.amazon.practice.feeder import ACKNOWLEDGEMENT, ADJUSTMENT, FULFILLMENT, Feeder, acknowledgement
from tests.plugins.amazon.practice.seller import Seller


def posted(seller: Seller, path: str, **form: str | int) -> TestResponse:
    return seller.http.post(f"/practice/form/{path}", data=form, follow_redirects=True)


def test_it_says_what_it_is(seller: Seller) -> None:
    answer = seller.http.get("/")

    assert answer.status_code == 200
    assert "This is a simulator. Nothing here reaches Amazon." in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert "<script" not in answer.text
    assert " style=" not in answer.text
    with seller.http.get("/practice/static/practice.css") as sheet:
        assert sheet.mimetype == "text/css"


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_button_places_its_order(seller: Seller, variant: str) -> None:
    answer = posted(seller, "place", variant=variant, market="US", count=1)

    assert answer.status_code == 200
    assert "was placed" in answer.text


def test_orders_are_played_with(seller: Seller) -> None:
    order = seller.place(status="PENDING", traits=["unusual_name"], buyer_name="<script>alert(1)</script>")
    path = f"orders/{order['order_id']}"

    assert "UNSHIPPED" in posted(seller, path, act="verify", order=1).text
    asked = posted(seller, path, act="request_cancel", order=1)
    assert "The buyer asked to cancel." in asked.text
    assert "<script>alert(1)" not in asked.text
    shipped = posted(seller, path, act="ship", order=1)
    assert 'class="status shipped"' in shipped.text
    assert "not possible" in posted(seller, path, act="cancel", order=1).text


def test_what_it_was_told_is_shown(seller: Seller) -> None:
    order = seller.place()
    seller.confirm(order, trackingNumber="TOLD-1")

    text = seller.http.get("/", query_string={"order": order["order_id"]}).text

    assert "UPS TOLD-1" in text
    assert "Calls: 1 · calls with effect: 1" in text


@pytest.mark.parametrize("package", [None, "UPS", {}, {"carrierCode": "UPS"}])
def test_a_confirmation_of_any_form_is_shown(seller: Seller, package: object) -> None:
    order = seller.place()
    url = f"{seller.host}/orders/v0/orders/{order['order_id']}/shipmentConfirmation"
    body = {"marketplaceId": "x", "packageDetail": package}

    assert seller.http.post(url, json=body, headers={"x-amz-access-token": seller.token}).status_code == 400

    page = seller.http.get("/", query_string={"order": order["order_id"]})
    assert (page.status_code, "400 refused" in page.text) == (200, True)


def test_things_are_broken_and_mended(seller: Seller) -> None:
    answer = posted(seller, "faults", operation="searchOrders", kind="500", times=3, when="before", seconds=1)
    assert "500: internal error × 3" in answer.text

    assert "No failures are active." in posted(seller, "mend").text
    assert posted(seller, "faults", operation="nothing", kind="500").status_code == 200


def test_arrivals_are_set(seller: Seller) -> None:
    assert 'value="2.5"' in posted(seller, "arrivals", arrivals="2.5").text
    assert "must be a number" in posted(seller, "arrivals", arrivals="-1").text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
    ],
)
@pytest.mark.parametrize("path", ["/practice/orders", "/practice/form/mend", "/practice/reset"])
def test_other_sites_pages_are_refused(app: Flask, path: str, headers: dict[str, str]) -> None:
    assert app.test_client().post(path, headers=headers).status_code == 403


def test_names_made_to_point_here_read_nothing(app: Flask) -> None:
    http = app.test_client()

    assert http.get("/", headers={"Host": "evil.example"}).status_code == 403
    assert http.get("/practice/calls", headers={"Host": "evil.example"}).status_code == 403
    assert http.get("/", headers={"Host": "localhost:9400"}).status_code == 200


def test_an_order_that_is_not_there(seller: Seller) -> None:
    answer = seller.http.get("/?order=<b>x</b>")

    assert answer.status_code == 200
    assert "There is no order &lt;b&gt;x&lt;/b&gt; here." in answer.text
    assert seller.http.post("/practice/form/orders/nothing", data={"act": "touch"}).status_code == 404


def test_feeds_are_shown_and_marked(feeder: Feeder) -> None:
    assert "No feeds yet." in feeder.http.get("/").text
    marked = posted(feeder.seller, "marks", feed_type=ACKNOWLEDGEMENT, mark="warning", seconds=0)
    assert f"{ACKNOWLEDGEMENT}: A warning" in marked.text
    unsaid = posted(feeder.seller, "marks", feed_type=ADJUSTMENT, mark="slow_queue", seconds=0)
    assert "needs its seconds" in unsaid.text
    order = feeder.seller.place()

    feed = feeder.submit(ACKNOWLEDGEMENT, [acknowledgement(order, reason="WeatherDelay")])
    feeder.http.post("/practice/feeds", json={"feedType": FULFILLMENT})
    assert '<span class="status in_queue">IN_QUEUE</span>' in feeder.http.get("/").text
    feeder.clock.now += 1
    page = feeder.http.get("/").text

    assert (feed in page, '<span class="status done">DONE</span>' in page) == (True, True)
    assert "Errors: 0 · warnings: 1" in page
    assert "from another application" in page
    assert "Waiting for a feed" not in page
    shown = feeder.http.get("/", query_string={"order": order["order_id"]}).text
    assert "200 canceled <code>WeatherDelay</code>" in shown
    assert "Calls: 1 · calls with effect: 1" in shown


def test_marks_are_mended_with_everything(feeder: Feeder) -> None:
    feeder.mark(ACKNOWLEDGEMENT, "warning")

    assert "Waiting for a feed" not in posted(feeder.seller, "mend").text
