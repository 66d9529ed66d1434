"""An order as it was at a moment, in words for its page. `orders.asof` rebuilds its values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webapp.channels.incoming import Component
from webapp.orders.asof import Then
from webapp.orders.events import event_words
from webapp.orders.models import Order, OrderEvent
from webapp.ui.frame.formats import moment
from webapp.ui.orders.shown import amount_of, author_of, component_rows, goods
from webapp.ui.orders.timeline import label_of, sentence_of, value_of

HEAD = ("state", "status", "channel_status", "on_hold", "canceling", "buyer_wants_cancel")
FACTS = (
    "number", "placed_at", "ship_by", "deliver_by", "service_level", "fulfilled_by", "flags", "country",
    "address_state", "items", "unshipped", "total_minor", "residual_minor", "assignee_id", "due_at", "tags",
    "archived_at", "attention",
)  # fmt: skip
LINE = ("ordered", "shipped", "canceled", "withdrawn", "invoiced", "refunded", "returned")
MOST = 200  # moments to choose from


@dataclass(frozen=True, slots=True)
class ShownThen:
    """The head and the lines of that moment, every value as text."""

    head: list[tuple[str, str]]
    facts: list[tuple[str, str]]
    stages: list[str]
    lines: list[dict[str, Any]]
    totals: list[dict[str, Any]] | None  # by component; None if events of that time stored no amounts
    last: str


def shown_then(order: Order, then: Then | None) -> ShownThen | None:
    """The order at that moment; None before the desk knew it."""
    if then is None:
        return None
    drawn = [name for name in LINE if name == "ordered" or any(line.get(name) for line in then.lines.values())]
    currency = then.order.get("currency")
    totals = None
    if then.amounts is not None:
        totals = component_rows(((component, amount) for (_line, component), amount in then.amounts.items()), currency)
    return ShownThen(
        head=_rows(order, then.order, HEAD),
        facts=_rows(order, then.order, FACTS),
        stages=[label_of(name) for name in drawn],
        lines=[
            {
                "title": line.get("title") or "",
                "sku": line.get("sku") or "",
                "product_code": line.get("product_code") or "",
                "counts": [line.get(name) or 0 for name in drawn],
                "money": [amount_of(line.get("unit_price_minor"), currency), *_money(then, line_id, line)],
            }
            for line_id, line in then.lines.items()
        ],
        totals=totals,
        last=sentence_of(order, then.last),
    )


def _money(then: Then, line_id: int, line: Mapping[str, Any]) -> Sequence[str]:
    """The price of a line's goods, as on the order's page; if no amounts are known, the channel's total of the line."""
    currency, total = then.order.get("currency"), line.get("total_minor")
    if then.amounts is None:
        return [amount_of(total, currency)]
    return goods(then.amounts.get((line_id, Component.ITEM)), total, currency)


def _rows(order: Order, columns: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, str]]:
    """Label and value of the columns that were not empty."""
    values = [(name, columns.get(name)) for name in names]
    held = [(name, value) for name, value in values if value is not False and value not in (None, "", [])]
    held = [(name, value) for name, value in held if (name, value) != ("residual_minor", 0)]
    return [(label_of(name), value_of(order, name, value)) for name, value in held]


def moments(order: Order, events: Sequence[OrderEvent]) -> list[tuple[datetime, str]]:
    """The newest moments to choose from: when, by whom and what."""
    known = event_words()
    found = []
    for event in events[:MOST]:
        words_of_it = (moment(event.seen_at), author_of(event, order.store), sentence_of(order, event, known))
        found.append((event.seen_at, " · ".join(words_of_it)))
    return found
