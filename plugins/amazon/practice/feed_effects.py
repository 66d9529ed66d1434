"""What each message of a feed does to its order, and what Amazon refuses; every message is recorded.

A shipment follows the rules of confirmShipment (`confirming.py`), what a refund books is in `refunds.py`. Amazon
publishes no list of result codes: 18021 and 18028 are seen in merchants' reports, the others are made up, as are most
sentences.
"""

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from plugins.amazon.practice import confirming, refunds
from plugins.amazon.practice.fates import Fate
from plugins.amazon.practice.feed_life import Feed
from plugins.amazon.practice.feed_messages import Message
from plugins.amazon.practice.feed_reports import Result
from plugins.amazon.practice.marketplaces import REGION_OF

if TYPE_CHECKING:
    from plugins.amazon.practice.practice import Practice

TOO_MANY: Final = 18021
NOT_FOUND: Final = 18028
BAD_STATE: Final = 18030
BAD_LINES: Final = 18031
BAD_REASON: Final = 18032
INCOMPLETE: Final = 18033
TOO_MUCH: Final = 18040
BAD_COMPONENT: Final = 18041
BAD_AMOUNT: Final = 18042
BAD_CURRENCY: Final = 18043
DUPLICATE: Final = 18044
CANCEL_REASONS: Final = frozenset({
    "NoInventory", "ShippingAddressUndeliverable", "CustomerExchange", "BuyerCanceled", "GeneralAdjustment",
    "CarrierCreditDecision", "RiskAssessmentInformationNotValid", "CarrierCoverageFailure", "CustomerReturn",
    "MerchandiseNotReceived", "CannotVerifyInformation", "PricingError", "RejectOrder", "WeatherDelay",
})  # fmt: skip
ADJUSTMENT_REASONS: Final = frozenset({
    "NoInventory", "CustomerReturn", "GeneralAdjustment", "CouldNotShip", "DifferentItem", "Abandoned",
    "CustomerCancel", "PriceError", "ProductOutofStock", "CustomerAddressIncorrect", "Exchange", "Other",
    "CarrierCreditDecision", "RiskAssessmentInformationNotValid", "CarrierCoverageFailure", "TransactionRecord",
    "Undeliverable", "RefusedDelivery",
})  # fmt: skip


class NotDone(Exception):
    """Amazon does not carry the message out; its text is the report's."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def carry_out(practice: "Practice", feed: Feed, message: Message) -> Result:
    """Carry a message out at the moment when its feed is processed, and record it."""
    order_id = message.body["AmazonOrderID"]
    work, plain = _WORK[feed.type], _PLAIN[feed.type]
    try:
        effect = work(practice, feed, message.body)
        result = Result(message.id)
    except NotDone as refused:
        effect, result = "refused", Result(message.id, refused.code, str(refused))
    body = {"feed_id": feed.id, "message_id": message.id} | plain(message.body)
    status = 400 if result.is_error else 200
    practice.store.tell(feed.end_ms, order_id, feed.type, status, effect, result.sentence, body)
    return result


def _order(practice: "Practice", feed: Feed, order_id: str) -> Fate:
    """The order, if it is one of this seller's in a marketplace of the feed."""
    fate = practice.find(order_id, feed.end_ms)
    if fate is None or fate.order.market.region != REGION_OF[feed.seller]:
        raise NotDone(NOT_FOUND, f"Your order cannot be found using Merchant ID {feed.seller} and order {order_id}.")
    if fate.order.market.id not in feed.marketplaces:
        raise NotDone(NOT_FOUND, f"Order {order_id} cannot be found in the marketplaces of this feed.")
    return fate


def _cancelable(practice: "Practice", feed: Feed, order_id: str) -> Fate:
    """The order, if its seller may cancel units of it."""
    fate = _order(practice, feed, order_id)
    if fate.order.fulfilled_by == "AMAZON":
        raise NotDone(BAD_STATE, f"Order {order_id} is fulfilled by Amazon and cannot be canceled by the seller.")
    if fate.canceled_by:
        raise NotDone(BAD_STATE, f"Order {order_id} has been canceled already.")
    if not fate.verified or fate.status in ("PENDING", "PENDING_AVAILABILITY"):
        raise NotDone(BAD_STATE, f"Order {order_id} is in Pending status and cannot be canceled by the seller.")
    return fate


def _known_lines(fate: Fate, items: list[dict[str, Any]]) -> None:
    for item in items:
        if item["AmazonOrderItemCode"] not in fate.ordered:
            code = item["AmazonOrderItemCode"]
            raise NotDone(BAD_LINES, f"AmazonOrderItemCode {code} does not belong to order {fate.order.id}.")


def _known_reasons(items: list[dict[str, Any]], name: str, known: frozenset[str]) -> None:
    for item in items:
        if item.get(name) not in known:
            given = item.get(name, "(none)")
            raise NotDone(BAD_REASON, f"{name} {given} is not valid for {item['AmazonOrderItemCode']}.")


def _acknowledge(practice: "Practice", feed: Feed, body: dict[str, Any]) -> str:
    """Failure for all lines cancels the order; Success changes nothing."""
    order_id, items = body["AmazonOrderID"], body["Item"]
    if body["StatusCode"] == "Success":
        _known_lines(_order(practice, feed, order_id), items)
        return "acknowledged"
    fate = _cancelable(practice, feed, order_id)
    if any(fate.shipped(item) for item in fate.ordered):
        raise NotDone(BAD_STATE, f"Order {order_id} has been shipped or partly shipped and cannot be canceled.")
    _known_lines(fate, items)
    reasons = {item["AmazonOrderItemCode"]: item.get("CancelReason") for item in items}
    if len(reasons) < len(items) or any(fate.ordered[item] and item not in reasons for item in fate.ordered):
        raise NotDone(BAD_LINES, f"To cancel order {order_id}, every item of it must be listed once.")
    for item in items:
        if item.get("Quantity", fate.ordered[item["AmazonOrderItemCode"]]) != fate.ordered[item["AmazonOrderItemCode"]]:
            raise NotDone(BAD_LINES, f"To cancel order {order_id}, every unit of it must be canceled.")
    _known_reasons(items, "CancelReason", CANCEL_REASONS)
    practice.store.act(fate.order.index, feed.end_ms, "cancel", {"by": "MERCHANT", "reasons": reasons})
    return "canceled"


def _adjust(practice: "Practice", feed: Feed, body: dict[str, Any]) -> str:
    """Refund amounts of lines, or cancel units of them; what is left to ship decides how many."""
    order_id, items = body["AmazonOrderID"], body["AdjustedItem"]
    if body.get("ActionType", "Refund") == "Refund":
        return _refund(practice, feed, body)
    fate = _cancelable(practice, feed, order_id)
    _known_lines(fate, items)
    _known_reasons(items, "AdjustmentReason", ADJUSTMENT_REASONS)
    units: Counter[str] = Counter()
    for item in items:
        if "QuantityCancelled" not in item:
            raise NotDone(INCOMPLETE, f"QuantityCancelled is missing for {item['AmazonOrderItemCode']}.")
        units[item["AmazonOrderItemCode"]] += item["QuantityCancelled"]
    if any(count > fate.left(item) for item, count in units.items()):
        raise NotDone(
            TOO_MANY,
            f"The quantities you provided for order id ({order_id}) were larger than the quantities that could be "
            "canceled. Please take into account any items that have been canceled or already fulfilled.",
        )
    reasons = {item["AmazonOrderItemCode"]: item["AdjustmentReason"] for item in items}
    data = {"by": "MERCHANT", "reasons": reasons, "items": dict(units)}
    practice.store.act(fate.order.index, feed.end_ms, "cancel", data)
    return "canceled"


def _refund(practice: "Practice", feed: Feed, body: dict[str, Any]) -> str:
    """Book a refund some time after the feed, if no component gets more back than was paid for it."""
    order_id, items = body["AmazonOrderID"], body["AdjustedItem"]
    fate = _order(practice, feed, order_id)
    if fate.order.fulfilled_by == "AMAZON":
        raise NotDone(BAD_STATE, f"Order {order_id} is fulfilled by Amazon and cannot be refunded by a feed.")
    if fate.canceled_by:
        raise NotDone(BAD_STATE, f"Order {order_id} has been canceled and cannot be refunded.")
    _known_lines(fate, items)
    for item in items:
        if not fate.shipped(item["AmazonOrderItemCode"]):
            code = item["AmazonOrderItemCode"]
            raise NotDone(BAD_STATE, f"Item {code} of order {order_id} has not been shipped and cannot be refunded.")
    _known_reasons(items, "AdjustmentReason", ADJUSTMENT_REASONS)
    ids = [item["MerchantAdjustmentItemID"] for item in items if "MerchantAdjustmentItemID" in item]
    repeated = [id for id, count in Counter(ids).items() if count > 1] or practice.store.adjusted(feed.seller, ids)
    if repeated:
        raise NotDone(DUPLICATE, f"MerchantAdjustmentItemID {repeated[0]} was used before.")
    amounts = _amounts(fate, items)
    _check_what_is_left(fate, amounts, practice.store.refunds(fate.order.index))
    booked = feed.end_ms + int(practice.settings.refund_after / practice.settings.rates * 1000)
    refunds.book(practice, fate, booked, "refund", amounts, feed.mark)
    practice.store.adjust(feed.seller, ids)
    return "refunded"


def _amounts(fate: Fate, items: list[dict[str, Any]]) -> refunds.Amounts:
    """The amounts of a refund in minor units; only a restocking fee is below zero."""
    found: refunds.Amounts = {}
    for item in items:
        line = item["AmazonOrderItemCode"]
        for component in item.get("ItemPriceAdjustments", {}).get("Component", ()):
            code, (text, currency) = component["Type"], component["Amount"]
            if code not in refunds.COMPONENTS:
                raise NotDone(BAD_COMPONENT, f"Component {code[:40]} is not valid for {line}.")
            if currency != fate.order.market.currency:
                raise NotDone(BAD_CURRENCY, f"Currency {currency[:3]} is not that of order {fate.order.id}.")
            minor = Decimal(text).scaleb(fate.order.market.decimals)
            if minor != int(minor) or not minor or (minor < 0) != (code == "RestockingFee"):
                raise NotDone(BAD_AMOUNT, f"Amount {text} of {code} is not valid for {line}.")
            of = found.setdefault(line, {})
            of[code] = of.get(code, 0) + int(minor)
    if not found or min(sum(of.values()) for of in found.values()) < 0 or sum(map(_sum, found.values())) <= 0:
        raise NotDone(BAD_AMOUNT, f"The adjustment of order {fate.order.id} is not a credit to the buyer.")
    return found


def _sum(amounts: dict[str, int]) -> int:
    return sum(amounts.values())


def _check_what_is_left(fate: Fate, amounts: refunds.Amounts, before: list[refunds.Refund]) -> None:
    """Raise NotDone where a component would get more back than was paid for it, or the order than was paid at all."""
    left = refunds.left(fate, before)
    for item, of in amounts.items():
        for code, minor in of.items():
            if code not in ("Goodwill", "RestockingFee") and minor > left[item].get(code, 0):
                raise NotDone(TOO_MUCH, f"The {code} refunded for {item} is more than what is left of its charge.")
    paid, gone = refunds.paid(fate), refunds.added(*(one.amounts for one in before), amounts)
    if sum(map(_sum, gone.values())) > sum(map(_sum, paid.values())):
        raise NotDone(TOO_MUCH, f"The refunds of order {fate.order.id} are more than what was paid.")


def _ship(practice: "Practice", feed: Feed, body: dict[str, Any]) -> str:
    """Confirm a package; without lines, everything that is left."""
    order_id, data = body["AmazonOrderID"], body.get("FulfillmentData", {})
    fate = _order(practice, feed, order_id)
    items = [
        {"orderItemId": item["AmazonOrderItemCode"], "quantity": item["Quantity"]}
        | ({"transparencyCodes": codes} if (codes := item["TransparencyCode"]) else {})
        for item in body["Item"]
    ]
    following = max((int(reference) for reference in fate.packages), default=0) + 1
    package = {
        "packageReferenceId": body.get("MerchantFulfillmentID", str(following)),
        "carrierCode": data.get("CarrierCode") or ("Other" if "CarrierName" in data else None),
        "carrierName": data.get("CarrierName"),
        "shippingMethod": data.get("ShippingMethod"),
        "trackingNumber": data.get("ShipperTrackingNumber"),
        "shipDate": body["FulfillmentDate"],
        "orderItems": items
        or [{"orderItemId": item, "quantity": left} for item in fate.ordered if (left := fate.left(item))],
    }
    try:
        confirmation = confirming.read_form({"marketplaceId": fate.order.market.id, "packageDetail": package})
        return confirming.take(practice, order_id, REGION_OF[feed.seller], confirmation, feed.end_ms)
    except confirming.Refused as refused:
        code = TOO_MANY if "PackageToUpdateNotFound" in str(refused) else BAD_STATE
        raise NotDone(code, str(refused)) from None


def _said_of_acknowledgement(body: dict[str, Any]) -> dict[str, Any]:
    lines = {item["AmazonOrderItemCode"]: item.get("Quantity") for item in body["Item"]}
    return {"status": body["StatusCode"], "reason": _reason(body["Item"], "CancelReason"), "lines": lines}


def _said_of_adjustment(body: dict[str, Any]) -> dict[str, Any]:
    items = body["AdjustedItem"]
    lines: dict[str, Any] = {item["AmazonOrderItemCode"]: item.get("QuantityCancelled") for item in items}
    if body.get("ActionType", "Refund") == "Refund":
        lines = {
            item["AmazonOrderItemCode"]: {
                one["Type"]: " ".join(one["Amount"])
                for one in item.get("ItemPriceAdjustments", {}).get("Component", ())
            }
            for item in items
        }
    return {"action": body.get("ActionType"), "reason": _reason(items, "AdjustmentReason"), "lines": lines}


def _said_of_fulfillment(body: dict[str, Any]) -> dict[str, Any]:
    data = body.get("FulfillmentData", {})
    return {
        "reference": body.get("MerchantFulfillmentID"),
        "carrier": data.get("CarrierCode") or data.get("CarrierName"),
        "tracking": data.get("ShipperTrackingNumber"),
        "lines": {item["AmazonOrderItemCode"]: item["Quantity"] for item in body["Item"]},
    }


def _reason(items: list[dict[str, Any]], name: str) -> str:
    """The reason of the lines; several are separated by commas."""
    return ", ".join(dict.fromkeys(item[name] for item in items if name in item))


_WORK: Final = {
    "POST_ORDER_ACKNOWLEDGEMENT_DATA": _acknowledge,
    "POST_PAYMENT_ADJUSTMENT_DATA": _adjust,
    "POST_ORDER_FULFILLMENT_DATA": _ship,
}
_PLAIN: Final = {
    "POST_ORDER_ACKNOWLEDGEMENT_DATA": _said_of_acknowledgement,
    "POST_PAYMENT_ADJUSTMENT_DATA": _said_of_adjustment,
    "POST_ORDER_FULFILLMENT_DATA": _said_of_fulfillment,
}
