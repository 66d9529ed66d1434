"""An order in Amazon's words: the JSON of Orders v2026-01-01, a field appearing only with its includedData set."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

from plugins.amazon.practice.composing import Line, Order
from plugins.amazon.practice.fates import Fate, Package
from plugins.amazon.practice.marketplaces import Marketplace
from plugins.amazon.practice.world import HOUR

SETS: Final = (
    "BUYER", "RECIPIENT", "PROCEEDS", "EXPENSE", "PROMOTION", "CANCELLATION", "FULFILLMENT", "PACKAGES", "TAX",
    "PAYMENT", "FULFILLMENT_ORDERS",
)  # fmt: skip
Json = dict[str, Any]


def iso(at_ms: int) -> str:
    """A time as v2026-01-01 writes it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def money(minor: int, market: Marketplace) -> Json:
    """An amount with the currency's decimals."""
    sign, digits = "-" if minor < 0 else "", f"{abs(minor):03}"
    amount = f"{digits[:-2]}.{digits[-2:]}" if market.decimals else str(abs(minor))
    return {"amount": sign + amount, "currencyCode": market.currency}


def breakdown(line: Line, quantity: int, market: Marketplace) -> dict[str, int]:
    """A line's amounts by type, in minor units; they sum to its proceeds."""
    amounts = {
        "ITEM": line.unit_price * quantity,
        "SHIPPING": line.shipping,
        "GIFT_WRAP": line.gift_wrap,
        "DISCOUNT": -(line.unit_discount * quantity + line.shipping_discount),
    }
    if not market.tax_included:
        amounts["TAX"] = sum(taxes(line, quantity, market).values())
    return amounts


def taxes(line: Line, quantity: int, market: Marketplace) -> dict[str, int]:
    """The tax of each component, rounded half up, where prices exclude tax."""
    parts = {
        "ITEM": line.unit_price * quantity,
        "SHIPPING": line.shipping,
        "GIFT_WRAP": line.gift_wrap,
        "DISCOUNT": -(line.unit_discount * quantity + line.shipping_discount),
    }
    return {name: tax_on(amount, market.tax_percent) for name, amount in parts.items()}


def tax_on(amount: int, percent: int) -> int:
    """The tax on an amount, rounded half up."""
    rounded = (abs(amount) * percent * 2 + 100) // 200
    return -rounded if amount < 0 else rounded


def total(fate: Fate) -> int:
    """The order's grand total in minor units, from its lines."""
    market = fate.order.market
    return sum(sum(breakdown(line, fate.ordered[line.id], market).values()) for line in fate.order.lines)


def answer(
    fate: Fate, sets: Collection[str], *, unknown_words: bool = False, canceled_units_in: str = "ordered"
) -> Json:
    """The order with these data sets; `canceled_units_in` is the quantity that partial cancellations lower."""
    order = fate.order
    json: Json = {"orderId": order.id}
    if order.alias:
        json["orderAliases"] = [{"aliasId": order.alias, "aliasType": "SELLER_ORDER_ID"}]
    json |= {"createdTime": iso(order.created_ms), "lastUpdatedTime": iso(fate.updated_ms)}
    programs = list(order.programs)
    if unknown_words and order.index % 20 == 0:
        programs.append("FUTURE_PROGRAM")
    if programs:
        json["programs"] = programs
    if order.replaces:
        json["associatedOrders"] = [{"orderId": order.replaces, "associationType": "REPLACEMENT_ORIGINAL_ID"}]
    json["salesChannel"] = {"channelName": "NON_AMAZON"}
    if not order.non_amazon:
        json["salesChannel"] = {
            "channelName": "AMAZON",
            "marketplaceId": order.market.id,
            "marketplaceName": order.market.name,
        }
    withheld = fate.status in ("PENDING", "PENDING_AVAILABILITY")
    canceled = fate.canceled_by is not None
    if "BUYER" in sets and not withheld and not canceled:
        json["buyer"] = _buyer(order)
    if "RECIPIENT" in sets and not withheld and not canceled and order.address:
        json["recipient"] = {"deliveryAddress": order.address}
    if "PROCEEDS" in sets and not withheld and not canceled and not order.non_amazon:
        json["proceeds"] = _proceeds(fate)
    if "PAYMENT" in sets and not withheld and not canceled and order.payment_method:
        amount = money(total(fate), order.market)
        json["payment"] = {"paymentExecutions": [{"paymentMethod": order.payment_method, "paymentAmount": amount}]}
    if "TAX" in sets and not withheld and order.company and order.market.tax_included:
        registration = {"entityType": "BUYER", "legalName": order.company, "taxRegistrationType": "VAT"}
        registration["taxRegistrationNumber"] = f"{order.market.country}{order.index % 10**9:09}"
        json["tax"] = {"taxRegistrations": [registration]}
    if "FULFILLMENT" in sets:
        json["fulfillment"] = _fulfillment(fate, withheld, unknown_words)
    json["orderItems"] = [_item(line, fate, sets, withheld, canceled_units_in) for line in order.lines]
    if "PACKAGES" in sets and order.fulfilled_by == "MERCHANT" and fate.packages:
        json["packages"] = [_package(package) for package in fate.packages.values()]
    if "FULFILLMENT_ORDERS" in sets and order.non_amazon:
        json["fulfillmentOrders"] = [{"fulfillmentOrderId": f"MCF-{order.index}"}]
    return json


def without_personal(json: Json, *, addresses: bool, names: bool) -> Json:
    """The order as an application gets it that lacks the role for addresses, or the one for names."""
    buyer, recipient = dict(json.get("buyer") or {}), json.get("recipient") or {}
    if names:
        buyer.pop("buyerName", None)
    if addresses and recipient:
        buyer.pop("buyerEmail", None)
        kept = ("city", "stateOrRegion", "countryCode")
        recipient = {"deliveryAddress": {name: recipient["deliveryAddress"].get(name) for name in kept}}
    return json | ({"buyer": buyer} if "buyer" in json else {}) | ({"recipient": recipient} if recipient else {})


def _buyer(order: Order) -> Json:
    buyer = {"buyerEmail": order.buyer_email}
    if order.fulfilled_by == "MERCHANT":
        buyer["buyerName"] = order.buyer_name
    if order.company:
        buyer["buyerCompanyName"] = order.company
    if order.purchase_order:
        buyer["buyerPurchaseOrderNumber"] = order.purchase_order
    return buyer


def _proceeds(fate: Fate) -> Json:
    order, sums = fate.order, dict.fromkeys(("ITEM", "SHIPPING", "GIFT_WRAP", "DISCOUNT", "TAX"), 0)
    for line in order.lines:
        for kind, minor in breakdown(line, fate.ordered[line.id], order.market).items():
            sums[kind] += minor
    grand = money(total(fate), order.market)
    if order.total_override is not None:
        grand["amount"] = order.total_override
    present = {kind: minor for kind, minor in sums.items() if minor or kind == "ITEM"}
    parts = [{"type": kind, "subtotal": money(minor, order.market)} for kind, minor in present.items()]
    return {"grandTotal": grand, "breakdowns": parts}


def _fulfillment(fate: Fate, withheld: bool, unknown_words: bool) -> Json:
    order = fate.order
    level = "TELEPORT" if unknown_words and order.index % 20 == 1 else order.service_level
    json: Json = {
        "fulfillmentStatus": fate.status,
        "fulfilledBy": order.fulfilled_by,
        "fulfillmentServiceLevel": level,
    }
    if not withheld:
        by = order.created_ms + int(order.ship_within_hours * HOUR)
        earliest = min(order.created_ms, by)
        json["shipByWindow"] = {"earliestDateTime": iso(earliest), "latestDateTime": iso(by)}
        earliest, latest = delivery_window(order)
        json["deliverByWindow"] = {"earliestDateTime": iso(earliest), "latestDateTime": iso(latest)}
    return json


def delivery_window(order: Order) -> tuple[int, int]:
    """The promised days of delivery."""
    by = order.created_ms + int(order.ship_within_hours * HOUR)
    return by + 24 * HOUR, by + 96 * HOUR


def _item(line: Line, fate: Fate, sets: Collection[str], withheld: bool, canceled_units_in: str) -> Json:
    order, market, quantity = fate.order, fate.order.market, fate.ordered[line.id]
    canceled = fate.canceled_by is not None
    shown = quantity
    if canceled:
        shown = 0 if order.cancel_shows_zero else fate.canceled(line.id)
    elif canceled_units_in == "unfulfilled":
        shown += fate.canceled(line.id)
    product: Json = {"asin": line.asin, "title": line.title, "sellerSku": line.sku}
    product["condition"] = {"conditionType": "NEW"}
    json: Json = {
        "orderItemId": line.id,
        "quantityOrdered": shown,
        "product": product,
    }
    if line.programs:
        json["programs"] = list(line.programs)
    if not withheld:
        product["price"] = {"unitPrice": money(line.unit_price, market)}
        if order.company:
            product["price"]["priceDesignation"] = "BUSINESS_PRICE"
    if "PROCEEDS" in sets and not withheld and not canceled and not order.non_amazon:
        json["proceeds"] = _item_proceeds(line, quantity, market)
    if "EXPENSE" in sets and not withheld and market.code == "JP":
        points = line.unit_price * quantity // 100
        json["expense"] = {
            "pointsCost": {"pointsGranted": {"pointsNumber": points, "pointsMonetaryValue": money(points, market)}}
        }
    if "PROMOTION" in sets and not withheld and line.promotion_ids:
        json["promotion"] = {"breakdowns": [{"promotionId": id} for id in line.promotion_ids]}
    if "CANCELLATION" in sets and (cancellation := _cancellation(fate, line)):
        json["cancellation"] = cancellation
    if "FULFILLMENT" in sets:
        fulfillment: Json = {
            "quantityFulfilled": fate.shipped(line.id),
            "quantityUnfulfilled": 0 if order.non_amazon and fate.status == "UNFULFILLABLE" else fate.left(line.id),
        }
        if line.gift_message is not None and not withheld:
            gift = {"giftMessage": line.gift_message, "giftWrapLevel": "Classic"}
            fulfillment["packing"] = {"giftOption": gift}
        json["fulfillment"] = fulfillment
    if "TAX" in sets and not withheld and not market.tax_included:
        party = "Amazon Services, Inc."
        json["tax"] = {"taxCollections": [{"model": "MARKETPLACE_FACILITATOR", "responsibleParty": party}]}
    return json


def _item_proceeds(line: Line, quantity: int, market: Marketplace) -> Json:
    amounts = breakdown(line, quantity, market)
    parts = []
    for kind, minor in amounts.items():
        if not minor and kind != "ITEM":
            continue
        part: Json = {"type": kind, "subtotal": money(minor, market)}
        detail: dict[str, int] = {}
        if kind == "TAX":
            detail = taxes(line, quantity, market)
        elif kind == "DISCOUNT":
            detail = {"ITEM": -line.unit_discount * quantity, "SHIPPING": -line.shipping_discount}
        if detail := {name: value for name, value in detail.items() if value}:
            part["detailedBreakdowns"] = [
                {"subtype": name, "value": money(value, market)} for name, value in detail.items()
            ]
        parts.append(part)
    return {"proceedsTotal": money(sum(amounts.values()), market), "breakdowns": parts}


def _cancellation(fate: Fate, line: Line) -> Json:
    json: Json = {}
    if fate.cancel_request is not None:
        json["cancellationRequest"] = {"requester": "BUYER", "cancelReason": fate.cancel_request}
    if line.id in fate.cancellations:
        by, reason = fate.cancellations[line.id]
        json["cancellationExecution"] = {"cancelledBy": by}
        if reason:
            json["cancellationExecution"]["cancelReason"] = reason
    return json


def _package(package: Package) -> Json:
    json: Json = {
        "packageReferenceId": package.reference,
        "createdTime": iso(package.created_ms),
        "packageStatus": {"status": package.status},
        "carrier": package.carrier,
        "shipTime": iso(package.ship_ms),
        "trackingNumber": package.tracking,
        "packageItems": [_package_item(package, item, quantity) for item, quantity in package.items.items()],
    }
    if package.service:
        json["shippingService"] = package.service
    return json


def _package_item(package: Package, item: str, quantity: int) -> Json:
    json: Json = {"orderItemId": item, "quantity": quantity}
    if codes := package.codes.get(item):
        json["transparencyCodes"] = codes
    return json
