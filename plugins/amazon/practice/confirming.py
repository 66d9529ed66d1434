"""Confirming a package: what Amazon refuses, and what takes effect; by confirmShipment, or by a message of a feed.

A known package reference edits its package; a repeated confirmation changes nothing. The sentences are Amazon's where
merchants' reports have them, and similar otherwise.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from plugins.amazon.practice.fates import Fate, Package

if TYPE_CHECKING:
    from plugins.amazon.practice.practice import Practice

NOT_FOUND_TO_UPDATE: Final = (
    "Failed to create package due to not finding a matching package or order already fulfilled. "
    "ErrorMessage(errorCode=GeneralError, errorDescription=Unable to find package to update for order ({order}), "
    "errorMetric=PackageToUpdateNotFound, packageIndex=null)"
)
NUMBER: Final = re.compile("[0-9]{1,18}")
CLOCK_SLACK_MS: Final = 60_000


class Refused(Exception):
    """Amazon refuses the confirmation; its text is the message."""

    def __init__(self, message: str, *, status: int = 400, code: str = "InvalidInput") -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True)
class Confirmation:
    """A request with a valid form."""

    marketplace_id: str
    reference: str
    carrier: str
    service: str | None
    tracking: str
    ship_ms: int
    items: dict[str, int]
    codes: dict[str, list[str]]


def confirm(practice: "Practice", order_id: str, region: str, body: Any) -> str:
    """Take a confirmation; returns "new", "edited" or "same", or raises Refused. It is recorded in any case."""
    with practice.alone() as now:
        try:
            confirmation = read_form(body)
            effect = take(practice, order_id, region, confirmation, now)
        except Refused as refused:
            outcome: tuple[int, str, str] = (refused.status, "refused", str(refused))
            error: Refused | None = refused
        else:
            outcome, error = (204, effect, ""), None
        practice.store.tell(now, order_id, "confirmShipment", *outcome, _plain(body))
    if error:
        raise error
    return outcome[1]


def take(practice: "Practice", order_id: str, region: str, confirmation: Confirmation, at_ms: int) -> str:
    """Let a confirmation take effect at a moment, as `confirm` returns it; raises Refused. The caller is alone."""
    fate = practice.find(order_id, at_ms)
    if fate is None or fate.order.market.region != region:
        raise Refused(f"Order {order_id} is not found.", status=404, code="NotFound")
    before = fate.packages.get(confirmation.reference)
    if before and _same(before, confirmation):
        return "same"
    check(fate, confirmation, at_ms)
    practice.store.act(
        fate.order.index,
        at_ms,
        "confirm",
        {
            "reference": confirmation.reference,
            "carrier": confirmation.carrier,
            "service": confirmation.service,
            "tracking": confirmation.tracking,
            "ship_ms": confirmation.ship_ms,
            "items": confirmation.items,
            "codes": confirmation.codes,
        },
    )
    return "edited" if before else "new"


def check(fate: Fate, confirmation: Confirmation, now_ms: int) -> None:
    """Raise Refused if Amazon would not accept the confirmation for this order in this state."""
    order = fate.order
    if confirmation.marketplace_id != order.market.id or order.non_amazon:
        raise Refused(f"The marketplaceId {confirmation.marketplace_id} does not match order {order.id}.")
    if order.fulfilled_by == "AMAZON":
        raise Refused(f"Order {order.id} is fulfilled by Amazon and cannot be confirmed by the seller.")
    if fate.canceled_by:
        raise Refused(f"Order {order.id} has been canceled and cannot be confirmed.")
    if not fate.verified or fate.status in ("PENDING", "PENDING_AVAILABILITY"):
        raise Refused(f"Order {order.id} is in Pending status and cannot be confirmed.")
    if "FBM_SHIP_PLUS" in order.programs:
        raise Refused(f"Order {order.id} is a Ship+ order: buy its label through Amazon Buy Shipping.")
    if confirmation.ship_ms < order.created_ms // 1000 * 1000:
        raise Refused("shipDate is before the order was placed.")
    if confirmation.ship_ms > now_ms + CLOCK_SLACK_MS:
        raise Refused("shipDate cannot be in the future.")
    for item, quantity in confirmation.items.items():
        line = order.line_of.get(item)
        if line is None:
            raise Refused(f"orderItemId {item} does not belong to order {order.id}.")
        if quantity > fate.left(item, but=confirmation.reference):
            raise Refused(NOT_FOUND_TO_UPDATE.format(order=order.id))
        if "TRANSPARENCY" in line.programs and len(set(confirmation.codes.get(item, []))) != quantity:
            raise Refused(f"Transparency codes are missing for orderItemId {item}: one for each unit is required.")


def _same(package: Package, confirmation: Confirmation) -> bool:
    return (
        (package.carrier, package.service, package.tracking, package.ship_ms)
        == (confirmation.carrier, confirmation.service, confirmation.tracking, confirmation.ship_ms)
        and package.items == confirmation.items
        and package.codes == confirmation.codes
    )  # fmt: skip


def read_form(body: Any) -> Confirmation:
    """Read a request by the rules of Amazon's model; raises Refused."""
    if not isinstance(body, dict) or not isinstance(body.get("packageDetail"), dict):
        raise Refused("Invalid request body: packageDetail is required.")
    detail: dict[str, Any] = body["packageDetail"]
    reference = detail.get("packageReferenceId")
    if not isinstance(reference, str) or not NUMBER.fullmatch(reference) or int(reference) < 1:
        raise Refused("PackageReferenceId: is invalid, must be a positive numeric value.")
    carrier = _text(detail, "carrierCode")
    name = detail.get("carrierName")
    if carrier == "Other":
        if not isinstance(name, str) or not name.strip():
            raise Refused("carrierName is required when carrierCode is Other.")
        carrier = name.strip()
    if body.get("codCollectionMethod") not in (None, "DirectPayment"):
        raise Refused("codCollectionMethod is invalid.")
    method = detail.get("shippingMethod")
    if method is not None and not isinstance(method, str):
        raise Refused("shippingMethod is invalid.")
    items, codes = _items(detail.get("orderItems"))
    return Confirmation(
        marketplace_id=_text(body, "marketplaceId"),
        reference=str(int(reference)),
        carrier=carrier,
        service=method,
        tracking=_text(detail, "trackingNumber"),
        ship_ms=_time(_text(detail, "shipDate")),
        items=items,
        codes=codes,
    )


def _text(holder: dict[str, Any], name: str) -> str:
    value = holder.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refused(f"{name} is missing or empty.")
    return value.strip()


def _time(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Refused("shipDate is invalid, must be in ISO 8601 date/time format.") from None


def _items(value: Any) -> tuple[dict[str, int], dict[str, list[str]]]:
    if not isinstance(value, list) or not value:
        raise Refused("orderItems is missing or empty.")
    items: dict[str, int] = {}
    codes: dict[str, list[str]] = {}
    for entry in value:
        if not isinstance(entry, dict) or not isinstance(entry.get("orderItemId"), str):
            raise Refused("orderItemId is missing.")
        quantity = entry.get("quantity")
        if not isinstance(quantity, int) or isinstance(quantity, bool) or quantity < 1:
            raise Refused("quantity is invalid, must be a positive number.")
        item = entry["orderItemId"]
        items[item] = items.get(item, 0) + quantity
        if given := entry.get("transparencyCodes"):
            if not isinstance(given, list) or not all(isinstance(code, str) for code in given):
                raise Refused("transparencyCodes is invalid.")
            codes.setdefault(item, []).extend(given)
    return items, codes


def _plain(body: Any) -> dict[str, Any]:
    return body if isinstance(body, dict) else {}
