"""What the messages of feeds do to orders, what is refused, and what the record says of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from plugins.amazon.mapping import order_2026
from plugins.amazon.practice import Practice
from plugins.amazon.practice.answers import iso
from plugins.amazon.practice.server import application
from tests.plugins.amazon.practice.feeder import (
    ACKNOWLEDGEMENT,
    ADJUSTMENT,
    FULFILLMENT,
    Feeder,
    acknowledgement,
    adjustment,
    fulfillment,
)
from tests.plugins.amazon.practice.seller import Clock, Seller


def told(feeder: Feeder, order: dict[str, Any]) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = feeder.http.get(f"/practice/orders/{order['order_id']}/told").get_json()["told"]
    return answer


def executions(shown: dict[str, Any]) -> list[dict[str, Any] | None]:
    return [item.get("cancellation", {}).get("cancellationExecution") for item in shown["orderItems"]]


def ids(order: dict[str, Any]) -> list[str]:
    return [item["order_item_id"] for item in order["items"]]


# --- Whole orders ---------------------------------------------------------------------------------------------------


def test_failure_for_all_lines_cancels_the_order(feeder: Feeder, clock: Clock) -> None:
    order = feeder.seller.place(lines=2, quantity=3)

    report = feeder.run(ACKNOWLEDGEMENT, acknowledgement(order, reason="BuyerCanceled"))

    assert (report.processed, report.successful, report.errors, report.results) == (1, 1, 0, [])
    shown = feeder.seller.order(order["order_id"])
    assert shown["fulfillment"]["fulfillmentStatus"] == "CANCELLED"
    assert executions(shown) == [{"cancelledBy": "MERCHANT", "cancelReason": "BuyerCanceled"}] * 2
    assert shown["lastUpdatedTime"] == iso(int((clock.now - 1) * 1000) + 90)
    assert [(item["canceled"], item["left"]) for item in feeder.state(order)["items"]] == [(3, 0)] * 2


def test_the_record_holds_what_was_told(feeder: Feeder) -> None:
    order = feeder.seller.place(lines=2)
    first, second = ids(order)

    feed = feeder.submit(ACKNOWLEDGEMENT, {77: acknowledgement(order, reason="PricingError")})
    feeder.wait(feed)

    [entry] = told(feeder, order)
    assert (entry["order_id"], entry["operation"], entry["status"]) == (order["order_id"], ACKNOWLEDGEMENT, 200)
    assert (entry["effect"], entry["message"]) == ("canceled", "")
    assert entry["body"] == {
        "feed_id": feed,
        "message_id": 77,
        "status": "Failure",
        "reason": "PricingError",
        "lines": {first: None, second: None},
    }
    assert feeder.http.get(f"/practice/orders/{order['order_id']}/told").get_json()["effects"] == 1
    assert feeder.http.get("/practice/told").get_json()["told"][-1] == entry


def test_each_line_has_its_own_reason(feeder: Feeder) -> None:
    order = feeder.seller.place(lines=2)
    first, second = ids(order)
    lines = "".join(
        f"<Item><AmazonOrderItemCode>{item}</AmazonOrderItemCode><CancelReason>{reason}</CancelReason></Item>"
        for item, reason in ((first, "NoInventory"), (second, "WeatherDelay"))
    )
    body = f"<AmazonOrderID>{order['order_id']}</AmazonOrderID><StatusCode>Failure</StatusCode>{lines}"

    feeder.run(ACKNOWLEDGEMENT, body)

    reasons = [one and one["cancelReason"] for one in executions(feeder.seller.order(order["order_id"]))]
    assert reasons == ["NoInventory", "WeatherDelay"]
    assert told(feeder, order)[0]["body"]["reason"] == "NoInventory, WeatherDelay"


def test_success_changes_nothing(feeder: Feeder) -> None:
    order = feeder.seller.place()
    before = feeder.seller.order(order["order_id"])

    report = feeder.run(ACKNOWLEDGEMENT, acknowledgement(order, status="Success"))

    assert (report.successful, feeder.seller.order(order["order_id"])) == (1, before)
    assert [entry["effect"] for entry in told(feeder, order)] == ["acknowledged"]


@pytest.mark.parametrize("message", [acknowledgement, adjustment])
@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"status": "PENDING"}, "Pending"),
        ({"status": "PENDING_AVAILABILITY"}, "Pending"),
        ({"status": "CANCELLED"}, "canceled already"),
        ({"fulfilled_by": "AMAZON"}, "fulfilled by Amazon"),
        ({"marketplace": "DE"}, "cannot be found"),
    ],
)
def test_orders_that_cannot_be_canceled(
    feeder: Feeder, message: Callable[..., str], wish: dict[str, Any], words: str
) -> None:
    order = feeder.seller.place(**wish)
    before = feeder.state(order)

    report = feeder.run(ACKNOWLEDGEMENT if message is acknowledgement else ADJUSTMENT, message(order))

    assert (report.processed, report.successful, report.errors) == (1, 0, 1)
    [(message_id, word, code, sentence)] = report.results
    assert (message_id, word, code > 0, words in sentence) == (1, "Error", True, True)
    assert feeder.state(order) == before
    [entry] = told(feeder, order)
    assert (entry["status"], entry["effect"], entry["message"]) == (400, "refused", sentence)


def test_an_order_of_nobody_cannot_be_found(feeder: Feeder) -> None:
    order = feeder.seller.place() | {"order_id": "111-0000000-0000001"}

    report = feeder.run(ACKNOWLEDGEMENT, acknowledgement(order))

    assert (report.results[0][2], "cannot be found" in report.results[0][3]) == (18028, True)


def test_an_order_of_a_marketplace_that_the_feed_is_not_for_cannot_be_found(feeder: Feeder) -> None:
    order = feeder.seller.place(marketplace="CA")
    feeder.marketplaces = [feeder.seller.place()["marketplace_id"]]

    assert feeder.run(ACKNOWLEDGEMENT, acknowledgement(order)).results[0][2] == 18028


@pytest.mark.parametrize("act", ["ship", "ship_part"])
def test_an_order_of_which_something_was_shipped_is_not_canceled(feeder: Feeder, act: str) -> None:
    order = feeder.seller.place(quantity=2)
    feeder.seller.happen(order, act)

    report = feeder.run(ACKNOWLEDGEMENT, acknowledgement(order))

    assert "shipped" in report.results[0][3]
    assert feeder.state(order)["items"][0]["canceled"] == 0


def test_lines_and_reasons_must_be_right(feeder: Feeder) -> None:
    order = feeder.seller.place(lines=2)
    first, second = ids(order)

    report = feeder.run(
        ACKNOWLEDGEMENT,
        acknowledgement(order, items=[first]),
        acknowledgement(order, items=[]),
        acknowledgement(order, items=[first, second, second]),
        acknowledgement(order, items=[first, second, "00000000000001"]),
        acknowledgement(order, items=[first, "00000000000001"], status="Success"),
        acknowledgement(order, reason="BadWeather"),
        acknowledgement(order).replace("<CancelReason>NoInventory</CancelReason>", ""),
        acknowledgement(order).replace("</Item>", "<Quantity>99</Quantity></Item>"),
    )

    words = [
        "every item",
        "every item",
        "every item",
        "does not belong",
        "does not belong",
        "BadWeather",
        "(none)",
        "every unit",
    ]
    assert [word in result[3] for word, result in zip(words, report.results, strict=True)] == [True] * len(words)
    assert [result[0] for result in report.results] == list(range(1, 9))
    assert feeder.state(order)["status"] == "UNSHIPPED"


def test_messages_are_carried_out_in_their_order(feeder: Feeder) -> None:
    order = feeder.seller.place()

    report = feeder.run(ACKNOWLEDGEMENT, acknowledgement(order), acknowledgement(order))

    assert (report.processed, report.successful, report.errors) == (2, 1, 1)
    assert report.results[0][0] == 2


def test_a_feed_finds_the_order_as_it_is_when_it_is_processed(feeder: Feeder, clock: Clock) -> None:
    """The payment comes after the feed's turn, although both lie in the past when somebody looks."""
    feeder.set(rates=1)
    order = feeder.seller.place(status="PENDING", verify_after=100)
    feed = feeder.submit(ACKNOWLEDGEMENT, [acknowledgement(order)])

    clock.now += 200

    assert feeder.feed(feed)["processingStatus"] == "DONE"
    assert "Pending" in feeder.report(feed).results[0][3]
    assert feeder.state(order)["status"] == "UNSHIPPED"


def test_searches_find_what_feeds_changed(feeder: Feeder, clock: Clock) -> None:
    order = feeder.seller.place()
    feeder.submit(ACKNOWLEDGEMENT, [acknowledgement(order)])
    clock.now += 300  # nobody asks meanwhile

    since = iso(int((clock.now - 300) * 1000) + 1)
    found = feeder.seller.all(lastUpdatedAfter=since, includedData="FULFILLMENT")

    shown = [one["fulfillment"]["fulfillmentStatus"] for one in found if one["orderId"] == order["order_id"]]
    assert shown == ["CANCELLED"]


# --- Units of lines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("setting", "quantities"), [("ordered", (2, 2)), ("unfulfilled", (3, 2))])
def test_units_of_a_line_are_canceled(feeder: Feeder, setting: str, quantities: tuple[int, int]) -> None:
    feeder.set(canceled_units_in=setting)
    order = feeder.seller.place(lines=2, quantity=3)
    first, _ = ids(order)

    report = feeder.run(ADJUSTMENT, adjustment(order, {first: 1}, reason="CustomerCancel"))

    assert (report.successful, report.errors) == (1, 0)
    shown = feeder.seller.order(order["order_id"])
    assert shown["fulfillment"]["fulfillmentStatus"] == "UNSHIPPED"
    assert executions(shown) == [{"cancelledBy": "MERCHANT", "cancelReason": "CustomerCancel"}, None]
    item, other = shown["orderItems"]
    assert (item["quantityOrdered"], item["fulfillment"]["quantityUnfulfilled"]) == quantities
    assert (other["quantityOrdered"], other["fulfillment"]["quantityUnfulfilled"]) == (3, 3)
    [entry] = told(feeder, order)
    assert (entry["operation"], entry["effect"]) == (ADJUSTMENT, "canceled")
    assert (entry["body"]["action"], entry["body"]["reason"]) == ("Cancel", "CustomerCancel")
    assert entry["body"]["lines"] == {first: 1}


@pytest.mark.parametrize("setting", ["ordered", "unfulfilled"])
def test_the_desk_reads_a_partial_cancellation_of_either_kind(feeder: Feeder, setting: str) -> None:
    feeder.set(canceled_units_in=setting)
    order = feeder.seller.place(lines=2, quantity=3)
    feeder.run(ADJUSTMENT, adjustment(order, {ids(order)[0]: 2}))

    line, other = order_2026(feeder.seller.order(order["order_id"])).lines

    assert (line.unfulfilled, line.canceled_by, line.cancel_reason) == (1, "MERCHANT", "NoInventory")
    assert line.ordered == (1 if setting == "ordered" else 3)
    assert (other.ordered, other.unfulfilled, other.canceled_by) == (3, 3, "")


def test_what_is_left_of_a_partly_shipped_order_is_canceled(feeder: Feeder) -> None:
    order = feeder.seller.place(quantity=3)
    [item] = ids(order)
    feeder.seller.confirm(order, orderItems=[{"orderItemId": item, "quantity": 1}])

    report = feeder.run(ADJUSTMENT, adjustment(order, {item: 3}), adjustment(order, {item: 2}))

    assert [(result[0], result[2]) for result in report.results] == [(1, 18021)]
    state = feeder.state(order)
    assert (state["status"], state["items"][0]["canceled"], state["items"][0]["left"]) == ("SHIPPED", 2, 0)


def test_with_its_last_unit_the_order_is_canceled(feeder: Feeder) -> None:
    order = feeder.seller.place(lines=2, quantity=2)
    first, second = ids(order)

    feeder.run(ADJUSTMENT, adjustment(order, {first: 2}), adjustment(order, {second: 1}))
    assert feeder.state(order)["status"] == "UNSHIPPED"
    feeder.run(ADJUSTMENT, adjustment(order, {second: 1}, reason="Other"))

    assert feeder.state(order)["status"] == "CANCELLED"
    shown = feeder.seller.order(order["order_id"])
    assert [one and one["cancelReason"] for one in executions(shown)] == ["NoInventory", "Other"]
    assert {item["quantityOrdered"] for item in shown["orderItems"]} in ({0}, {2})
    assert [item["canceled"] for item in feeder.state(order)["items"]] == [2, 2]


def test_an_order_with_a_canceled_line_is_canceled_by_its_other_lines(feeder: Feeder) -> None:
    order = feeder.seller.place(lines=2, quantity=2)
    first, second = ids(order)
    feeder.run(ADJUSTMENT, adjustment(order, {first: 2}))

    assert feeder.run(ACKNOWLEDGEMENT, acknowledgement(order, items=[second])).successful == 1
    assert feeder.state(order)["status"] == "CANCELLED"


def test_adjustments_that_are_refused(feeder: Feeder) -> None:
    order = feeder.seller.place(quantity=2)
    [item] = ids(order)
    twice = adjustment(order, {item: 2})
    twice += twice[twice.index("<AdjustedItem>") :]

    report = feeder.run(
        ADJUSTMENT,
        adjustment(order, action="Refund"),
        adjustment(order, action=None),
        adjustment(order, {"00000000000001": 1}),
        adjustment(order, reason="BuyerCanceled"),
        adjustment(order).replace("<QuantityCancelled>1</QuantityCancelled>", ""),
        adjustment(order, {item: 3}),
        twice,
    )

    words = [
        "not been shipped",
        "not been shipped",
        "does not belong",
        "BuyerCanceled",
        "is missing",
        "larger",
        "larger",
    ]
    assert [word in result[3] for word, result in zip(words, report.results, strict=True)] == [True] * len(words)
    assert feeder.state(order)["items"][0]["canceled"] == 0


# --- Shipments ------------------------------------------------------------------------------------------------------


def test_a_fulfillment_ships_as_a_confirmation_does(feeder: Feeder, clock: Clock) -> None:
    order, other = feeder.seller.place(lines=2, quantity=3), feeder.seller.place(lines=2, quantity=3)
    at = iso(int(clock.now * 1000))
    feeder.seller.confirm(other, shipDate=at)

    units = dict.fromkeys(ids(order), 3)
    feed = feeder.submit(FULFILLMENT, [fulfillment(order, units, at=at)])
    assert feeder.wait(feed)["processingStatus"] == "DONE"

    states = [feeder.state(one) for one in (order, other)]
    assert [state["status"] for state in states] == ["SHIPPED"] * 2
    shown = [{name: state["packages"][0][name] for name in ("reference", "carrier", "tracking")} for state in states]
    assert shown[0] == shown[1]
    [entry] = told(feeder, order)
    assert (entry["operation"], entry["effect"], entry["body"]["reference"]) == (FULFILLMENT, "new", "1")
    assert entry["body"]["lines"] == units


def test_a_fulfillment_without_number_and_lines_ships_what_is_left(feeder: Feeder, clock: Clock) -> None:
    order = feeder.seller.place(quantity=3)
    at = iso(int(clock.now * 1000))
    feeder.seller.happen(order, "ship_part")

    first, second = (fulfillment(order, at=at, reference=None), fulfillment(order, at=at, reference=2))
    report = feeder.run(FULFILLMENT, first, second)

    assert (report.successful, report.errors) == (1, 1)
    assert [package["reference"] for package in feeder.state(order)["packages"]] == ["1", "2"]


def test_a_fulfillment_of_a_known_number_edits_its_package(feeder: Feeder, clock: Clock) -> None:
    order = feeder.seller.place(quantity=3)
    [item], at = ids(order), iso(int(clock.now * 1000))

    feeder.run(FULFILLMENT, fulfillment(order, {item: 3}, at=at))
    feeder.run(FULFILLMENT, *[fulfillment(order, {item: 2}, at=at)] * 2)

    assert [entry["effect"] for entry in told(feeder, order)] == ["new", "edited", "same"]
    assert feeder.state(order)["status"] == "PARTIALLY_SHIPPED"


def test_fulfillments_are_refused_as_confirmations_are(feeder: Feeder, clock: Clock) -> None:
    order, at = feeder.seller.place(quantity=2), iso(int(clock.now * 1000))
    pending, canceled = feeder.seller.place(status="PENDING"), feeder.seller.place(status="CANCELLED")
    [item], number = ids(order), "<MerchantFulfillmentID>1"

    report = feeder.run(
        FULFILLMENT,
        fulfillment(order, {item: 3}, at=at),
        fulfillment(order, {"00000000000001": 1}, at=at),
        fulfillment(pending, at=at),
        fulfillment(canceled, {ids(canceled)[0]: 1}, at=at),
        fulfillment(order, {item: 1}, at="2026-11-20T00:00:00Z"),
        fulfillment(order, {item: 1}, at="2026-12-20T00:00:00Z"),
        fulfillment(order, {item: 1}, at=at, carrier="Other"),
        fulfillment(order, {item: 1}, at=at, carrier="DHL").replace(number, "<MerchantFulfillmentID>0"),
        fulfillment(order | {"order_id": "111-0000000-0000001"}, at=at),
    )

    words = [
        "PackageToUpdateNotFound", "does not belong", "Pending", "canceled", "before the order", "future",
        "carrierName", "positive numeric", "cannot be found",
    ]  # fmt: skip
    assert [word in result[3] for word, result in zip(words, report.results, strict=True)] == [True] * len(words)
    assert report.results[0][2] == 18021
    assert feeder.state(order)["packages"] == []


# --- Seller Central -------------------------------------------------------------------------------------------------


def test_the_seller_cancels_units_in_seller_central(feeder: Feeder) -> None:
    order = feeder.seller.place(lines=2, quantity=3)
    first, second = ids(order)

    state = feeder.seller.happen(order, "cancel", by="MERCHANT", reason="NoInventory", items={first: 3, second: 1})
    assert [(item["ordered"], item["canceled"]) for item in state["items"]] == [(0, 3), (2, 1)]
    assert executions(state["order"]) == [{"cancelledBy": "MERCHANT", "cancelReason": "NoInventory"}] * 2
    assert feeder.seller.happen(order, "cancel", items={second: 3})["items"][1]["canceled"] == 1  # more than are left
    assert feeder.seller.happen(order, "cancel", items={second: 2})["status"] == "CANCELLED"


@pytest.mark.parametrize("items", [[], "x", {"a": 0}, {"a": True}, {"a": "1"}])
def test_units_that_make_no_sense_are_said(feeder: Feeder, items: Any) -> None:
    order = feeder.seller.place()

    answer = feeder.http.post(f"/practice/orders/{order['order_id']}/cancel", json={"items": items})

    assert (answer.status_code, "Items" in answer.get_json()["error"]) == (400, True)


# --- Whatever comes -------------------------------------------------------------------------------------------------

ORDERED = (3, 2)
units = st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(any)
steps = st.one_of(
    st.tuples(st.just("acknowledge"), st.sampled_from(["Failure", "Failure", "Success"])),
    st.tuples(st.just("adjust"), st.lists(units, min_size=1, max_size=3)),
    st.tuples(st.just("fulfill"), st.tuples(units, st.integers(1, 3))),
    st.tuples(st.just("confirm"), st.tuples(units, st.integers(1, 3))),
    st.tuples(st.just("seller_central"), units),
    st.tuples(st.just("wait"), st.none()),
)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feeder]:
    """A feeder for all examples; each has an order of its own."""
    clock = Clock()
    settings = {"rates": 1000.0, "token_life": 10**9}
    practice = Practice(tmp_path_factory.mktemp("feeds"), now=clock, orders=0, settings=settings)
    yield Feeder(Seller(application(practice)), clock)
    practice.close()


@given(st.lists(steps, max_size=12))
@settings(max_examples=60, deadline=None)
def test_no_shipped_unit_is_ever_canceled(lasting: Feeder, happened: list[tuple[str, Any]]) -> None:
    """Feeds that wait are processed in between, in an order of their own."""
    feeder = lasting
    order = feeder.seller.place(lines=[{"quantity": count} for count in ORDERED])
    shipped_before, canceled_before = (0, 0), (0, 0)
    for kind, data in [*happened, ("wait", None)]:
        _do(feeder, order, kind, data)

        items = feeder.state(order)["items"]
        shipped, canceled = tuple(item["shipped"] for item in items), tuple(item["canceled"] for item in items)
        for ordered, gone, off, item in zip(ORDERED, shipped, canceled, items, strict=True):
            assert gone + off + item["left"] == ordered
            assert min(gone, off, item["left"]) >= 0
        assert all(now >= before for now, before in zip(canceled, canceled_before, strict=True))
        if kind in ("acknowledge", "adjust", "seller_central"):  # what cancels never takes back what was shipped
            assert all(now >= before for now, before in zip(shipped, shipped_before, strict=True))
        shipped_before, canceled_before = shipped, canceled


def _do(feeder: Feeder, order: dict[str, Any], kind: str, data: Any) -> None:
    at = iso(int(feeder.clock.now * 1000))
    if kind == "wait":
        feeder.clock.now += 1
    elif kind == "acknowledge":
        feeder.submit(ACKNOWLEDGEMENT, [acknowledgement(order, status=data)])
    elif kind == "adjust":
        feeder.submit(ADJUSTMENT, [adjustment(order, _units(order, counts)) for counts in data])
    elif kind == "fulfill":
        feeder.submit(FULFILLMENT, [fulfillment(order, _units(order, data[0]), at=at, reference=data[1])])
    elif kind == "confirm":
        items = [{"orderItemId": item, "quantity": count} for item, count in _units(order, data[0]).items()]
        feeder.seller.confirm(order, packageReferenceId=str(data[1]), orderItems=items)
    else:
        feeder.seller.happen(order, "cancel", by="MERCHANT", items=_units(order, data))


def _units(order: dict[str, Any], counts: tuple[int, int]) -> dict[str, int]:
    return {item: count for item, count in zip(ids(order), counts, strict=True) if count}
