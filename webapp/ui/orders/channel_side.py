"""The channel's own side of an order: what it lists, in its words and with its figures, read-only.

The other tabs show the desk's own figures. The raw answer is opened from the vault only when a person asks for it.
"""

import json
from dataclasses import dataclass
from typing import Any

from webapp.audit.actor import Actor
from webapp.channels import described
from webapp.channels.incoming import Component
from webapp.channels.models import ChannelLine, ChannelOrder, ChannelPackage
from webapp.i18n import gettext as _
from webapp.money import Money
from webapp.orders.models import Order, OrderLine
from webapp.ui.orders.shown import LINES, amount_of
from webapp.vault import services as vault


@dataclass(slots=True)
class ChannelSide:
    """A channel order with the words of a page; `lines` may be only the first ones."""

    there: ChannelOrder
    lines: list[dict[str, Any]]
    parcels: list[dict[str, Any]]
    flags: list[tuple[str, str]]  # what the channel's flags are called, and whether it set them

    @property
    def total(self) -> Money | None:
        there = self.there
        known = there.total_minor is not None and there.currency is not None
        return Money(there.total_minor or 0, there.currency or "") if known else None

    @property
    def shipped(self) -> int:
        return sum(line.fulfilled for line in self.there.lines)

    @property
    def unshipped(self) -> int | None:
        counts = [line.unfulfilled for line in self.there.lines]
        return None if None in counts else sum(units or 0 for units in counts)

    def fact(self, name: str) -> str:
        """A fact that the channel gave of the order: programs, payment methods, the order that it replaces."""
        value = self.there.facts.get(name) or ""
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def channel_side(order: Order, *, whole: bool = False) -> ChannelSide:
    """What the channel lists of this order."""
    there = order.channel_order
    ours = {line.channel_line_number: line for line in order.lines}
    drawn = there.lines if whole else there.lines[:LINES]
    lines = [_line(line, ours.get(line.number)) for line in drawn]
    channel = order.store.channel
    titles = {number: line.title for number, line in ours.items()}
    parcels = [row for package in there.packages for row in _rows(package, titles, channel)]
    declared = [flag for flag in described.flags_of(channel) if flag.row]
    flags = [
        (described.flag_label(channel, flag), _("Yes") if flag.code in order.flags else _("No")) for flag in declared
    ]
    return ChannelSide(there, lines, parcels, flags)


def _line(line: ChannelLine, own: OrderLine | None) -> dict[str, Any]:
    """A line with the channel's counters; title, codes and money are those of the desk's line, which copies them."""
    amounts = {amount.component: amount for amount in own.amounts} if own else {}
    item, shipping = amounts.get(Component.ITEM), amounts.get(Component.SHIPPING)
    currency = own.currency if own else None
    return {
        "title": own.title if own else line.number,
        "sku": own.sku if own else "",
        "product_code": own.product_code if own else "",
        "ordered": line.ordered,
        "first_ordered": line.first_ordered,
        "fulfilled": line.fulfilled,
        "unfulfilled": line.unfulfilled,
        "programs": line.facts.get("programs") or [],
        "promotions": line.facts.get("promotions") or [],
        "condition": line.facts.get("condition") or "",
        "cancel_requested": bool(line.facts.get("cancel_requested")),
        "cancel_reason": line.facts.get("cancel_reason") or "",
        "price": amount_of(item.charged if item else None, currency),
        "tax": amount_of(item.tax if item else None, currency),
        "shipping": amount_of(shipping.charged if shipping else None, currency),
    }


def _rows(package: ChannelPackage, titles: dict[str, str], channel: str) -> list[dict[str, Any]]:
    """A row for each item of a parcel; one for the parcel itself if its contents are unknown."""
    common = {
        "number": package.number,
        "carrier": package.carrier,
        "service": package.service,
        "tracking_number": package.tracking_number,
        "shipped_at": package.shipped_at,
        "status": described.package_status_label(channel, package.status) if package.status else "",
    }
    items = [(titles.get(number, number), units) for number, units in package.lines.items()] or [("", None)]
    return [common | {"title": title, "units": units} for title, units in items]


def raw_answer(order: Order, actor: Actor) -> str | None:
    """The channel's last answer as it was received, by its own right and with an access record; None if it was
    erased.
    """
    actor.needs("orders.raw")
    answer = vault.reveal(actor, [order.id], purpose="raw", kind=vault.RAW).get(order.id)
    return None if answer is None else json.dumps(answer, indent=2, ensure_ascii=False, sort_keys=True)
