"""The words for the facts of orders and lines that events change, and which of them news of a channel name."""

from collections.abc import Iterator, Mapping
from typing import Any

from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l, ngettext
from webapp.orders.events import after_of, amounts_of
from webapp.orders.models import OrderEvent

CHANGED_THERE = "changed_there"  # the event of a channel's news
FACT_LABELS: dict[str, LazyString] = {
    "number": _l("Number"),
    "state": _l("State"),
    "status": _l("Status"),
    "on_hold": _l("On hold"),
    "canceling": _l("Canceling"),
    "channel_status": _l("Status at the channel"),
    "fulfilled_by": _l("Fulfilled by"),
    "flags": _l("Flags"),
    "buyer_wants_cancel": _l("Buyer wants to cancel"),
    "address_state": _l("Address"),
    "country": _l("Country"),
    "placed_at": _l("Placed"),
    "ship_from": _l("Ship from"),
    "ship_by": _l("Ship by"),
    "deliver_from": _l("Deliver from"),
    "deliver_by": _l("Deliver by"),
    "service_level": _l("Service"),
    "assignee_id": _l("Assignee"),
    "due_at": _l("Due"),
    "tags": _l("Tags"),
    "archived_at": _l("Archived"),
    "unread": _l("Unread answers"),
    "currency": _l("Currency"),
    "total_minor": _l("Total"),
    "residual_minor": _l("Difference"),
    "items": _l("Units"),
    "unshipped": _l("Units to ship"),
    "attention": _l("Attention"),
    "ordered": _l("Units ordered"),
    "canceled": _l("Units canceled"),
    "withdrawn": _l("Units withdrawn"),
    "shipped": _l("Units shipped"),
    "invoiced": _l("Units invoiced"),
    "refunded": _l("Units refunded"),
    "refunding": _l("Units being refunded"),
    "refunded_minor": _l("Refunded"),
    "refunding_minor": _l("Being refunded"),
    "returned": _l("Units returned"),
    "to_return": _l("Units on their way back"),
    "unit_price_minor": _l("Price"),
    "problems": _l("Attention"),
    "sku": _l("SKU"),
    "title": _l("Title"),
}
# What the sentence about a channel's news names, in this order.
_NEWS = (
    "state",
    "channel_status",
    "buyer_wants_cancel",
    "ship_by",
    "deliver_by",
    "ship_from",
    "deliver_from",
    "address_state",
    "country",
    "service_level",
    "fulfilled_by",
    "total_minor",
    "flags",
    "placed_at",
)
_NEWS_OF_LINES = ("ordered", "canceled", "withdrawn", "shipped", "sku", "title", "unit_price_minor")
_MOST_NEWS = 5


def news_of(after: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    """The changed facts that a sentence about a channel's news names: line id, empty for the order's own, name, value.
    `after` are the changed columns by line id, as `after_of` returns them.
    """
    of_order = after.get("", {})
    yield from (("", name, of_order[name]) for name in _NEWS if name in of_order)
    for line_id, values in after.items():
        new = "channel_line_id" in values  # all columns of a new line are among them
        if line_id:
            yield from (
                (line_id, name, values[name])
                for name in _NEWS_OF_LINES
                if (values.get(name) if new else name in values)
            )


def shortened(facts: list[str]) -> list[str]:
    """The first few facts, and how many more there are."""
    more = len(facts) - _MOST_NEWS
    return facts if more <= 0 else [*facts[:_MOST_NEWS], ngettext("%(num)s more", "%(num)s more", more)]


def news_in_short(event: OrderEvent) -> str:
    """The sentence of a channel's news with the names of the changed facts; empty if none of them has one."""
    after, (before, charged) = after_of(event), amounts_of(event)
    found = [FACT_LABELS[name] for _line_id, name, _value in news_of(after)]
    if charged != before and "total_minor" not in after.get("", {}):
        found.append(_l("Amounts"))
    names = shortened(list(dict.fromkeys(map(str, found))))
    return str(_("News from the channel: %(facts)s", facts=" · ".join(names))) if names else ""
