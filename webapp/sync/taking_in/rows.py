"""An incoming order as the rows that it becomes: only columns, no database."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from operator import add
from typing import Any

from webapp.channels.incoming import IncomingLine, IncomingOrder
from webapp.orders.amounts import OWN, Amounts, Place
from webapp.orders.contract import Amount
from webapp.orders.models import Order, OrderLine
from webapp.orders.states import OrderState
from webapp.sync.taking_in import facts
from webapp.sync.taking_in.facts import LineFacts

# What no reading changes, for the first event of an order and of a line:
NEW_ORDER = {"refunded_minor": 0, "refunding_minor": 0, "refund_ceiling_minor": 0}
NEW_LINE = {"invoiced": 0, "refunded": 0, "refunding": 0, "returned": 0, "to_return": 0}
_COLUMNS_OF_PARTS = {  # the columns of each part of the answer: if a part is withheld, they stay as they were
    "recipient": ("address_state", "country"),
    "proceeds": ("currency", "total_minor", "residual_minor", "unit_price_minor"),
    "fulfillment": (
        "ship_from",
        "ship_by",
        "deliver_from",
        "deliver_by",
        "service_level",
        "state",
        "channel_status",
        "fulfilled_by",
    ),
    "cancellation": ("buyer_wants_cancel",),
}


def channel_order_columns(order: IncomingOrder, fingerprint: bytes, seen_at: datetime) -> dict[str, Any]:
    return {
        "number": order.number,
        "marketplace": order.marketplace,
        "stage": order.stage.value,
        "status": order.status,
        "fulfilled_by": order.fulfilled_by.value,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
        "seen_at": seen_at,
        "content_hash": fingerprint,
        "currency": order.currency,
        "total_minor": order.total,
        "is_sale": order.is_sale,
        "service_level": order.service_level,
        "facts": facts.channel_facts(order),
        "extra": dict(order.extra),
    }


def channel_line_rows(channel_order_id: int, order: IncomingOrder) -> list[dict[str, Any]]:
    return [
        {
            "channel_order_id": channel_order_id,
            "number": line.number,
            "position": position,
            "first_ordered": line.ordered,
            "ordered": line.ordered,
            "fulfilled": line.fulfilled,
            "unfulfilled": line.unfulfilled,
            "facts": facts.channel_line_facts(line),
        }
        for position, line in enumerate(order.lines)
    ]


def channel_package_rows(
    channel_order_id: int, order: IncomingOrder, arrived: Mapping[str, datetime]
) -> list[dict[str, Any]]:
    """The rows of an order's parcels. `arrived` gives, by number, when a parcel was delivered that is known as
    delivered.
    """
    return [
        {
            "channel_order_id": channel_order_id,
            "number": package.number,
            "carrier": package.carrier,
            "service": package.service,
            "tracking_number": package.tracking_number,
            "shipped_at": package.shipped_at,
            "delivered_at": arrived.get(package.number, order.updated_at) if package.delivered else None,
            "status": package.status,
            "lines": dict(package.lines),
        }
        for package in order.packages
    ]


def order_columns(
    order: IncomingOrder, lines: Sequence[LineFacts], state: OrderState, attention: list[dict[str, Any]]
) -> dict[str, Any]:
    """The columns of the order row that only the import writes."""
    problems = any(facts.line_problems(line) for line in order.lines)
    return {
        "state": state.value,
        "channel_order_number": order.number,
        "channel_status": order.status,
        "marketplace": order.marketplace,
        "fulfilled_by": order.fulfilled_by.value,
        "flags": list(order.flags),
        "buyer_wants_cancel": any(line.cancel_requested and not line.canceled_by for line in order.lines),
        "address_state": facts.address_state(order),
        "placed_at": order.created_at,
        "ship_from": order.ship_from,
        "ship_by": order.ship_by,
        "deliver_from": order.deliver_from,
        "deliver_by": order.deliver_by,
        "service_level": order.service_level,
        "currency": order.currency,
        "total_minor": order.total,
        "residual_minor": facts.residual(order),
        "items": sum(line.ordered for line in lines),
        "unshipped": sum(line.open for line in lines),
        "country": str((order.buyer.get("address") or {}).get("country") or ""),
        "attention": attention,
        "needs_attention": bool(attention) or problems,
    }


def without_withheld(columns: dict[str, Any], row: Order | OrderLine, parts: Collection[str]) -> dict[str, Any]:
    """The columns, without those of the withheld `parts` of the answer: an absent value is not an empty one."""
    kept = {name for part in parts for name in _COLUMNS_OF_PARTS.get(part, ())} & columns.keys()
    return columns | {name: getattr(row, name) for name in kept}


def line_columns(order: IncomingOrder, line: IncomingLine, counts: LineFacts) -> dict[str, Any]:
    return {
        "sku": line.sku,
        "product_code": line.product_code,
        "title": line.title,
        "needs_codes": line.needs_codes,
        "gift": line.gift,
        "ordered": counts.ordered,
        "canceled": counts.canceled,
        "withdrawn": counts.withdrawn,
        "shipped": counts.shipped,
        "currency": order.currency,
        "unit_price_minor": line.unit_price,
        "total_minor": line.total,
        "problems": facts.line_problems(line),
    }


def amounts_of(order: IncomingOrder, lines: Mapping[str, int]) -> Amounts:
    """What the channel charges, by the ids of the order's lines; a component that is listed twice is added up."""
    found: Amounts = {}
    for line_id, amounts in ((OWN, order.amounts), *((lines[line.number], line.amounts) for line in order.lines)):
        for amount in amounts:
            place, figures = (line_id, amount.component.value), Amount(amount.charged, amount.tax, amount.discount)
            if place in found:
                figures = Amount(*map(add, found[place], figures))
            found[place] = figures
    return {place: amount for place, amount in found.items() if any(amount)}


def amount_row(order_id: int, place: Place, amount: Amount) -> dict[str, Any]:
    """The first row of a component."""
    line_id, component = place
    return {
        "order_id": order_id,
        "line_id": None if line_id == OWN else line_id,
        "component": component,
        "charged": amount.charged,
        "tax": amount.tax,
        "discount": amount.discount,
        "ceiling": max(0, amount.net),
    }
