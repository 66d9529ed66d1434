"""An order's events as sentences, with what changed before and after. Stored are codes and values; words are here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webapp.clock import parse_instant
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l
from webapp.money import Money
from webapp.orders.attention import in_words
from webapp.orders.events import EventWords, words
from webapp.orders.models import Order, OrderEvent
from webapp.ui.formats import moment, money, state_label
from webapp.ui.shown import Names, channel_of

LONGEST = 200  # events on a page
_COLUMNS: dict[str, LazyString] = {
    "number": _l("Number"),
    "state": _l("State"),
    "on_hold": _l("On hold"),
    "canceling": _l("Canceling"),
    "channel_status": _l("Status at the channel"),
    "fulfilled_by": _l("Fulfilled by"),
    "flags": _l("Flags"),
    "buyer_wants_cancel": _l("Buyer wants to cancel"),
    "address_state": _l("Address"),
    "placed_at": _l("Placed"),
    "ship_from": _l("Ship from"),
    "ship_by": _l("Ship by"),
    "deliver_from": _l("Deliver from"),
    "deliver_by": _l("Deliver by"),
    "service_level": _l("Service"),
    "currency": _l("Currency"),
    "total_minor": _l("Total"),
    "residual_minor": _l("Difference"),
    "items": _l("Units"),
    "unshipped": _l("Units open"),
    "attention": _l("Attention"),
    "ordered": _l("Units ordered"),
    "canceled": _l("Units canceled"),
    "withdrawn": _l("Units withdrawn"),
    "shipped": _l("Units shipped"),
    "invoiced": _l("Units invoiced"),
    "refunded": _l("Units refunded"),
    "returned": _l("Units returned"),
    "unit_price_minor": _l("Price"),
    "problems": _l("Attention"),
    "sku": _l("SKU"),
    "title": _l("Title"),
}
_VALUES: dict[str, dict[str, LazyString]] = {
    "address_state": {"ok": _l("complete"), "partial": _l("incomplete"), "missing": _l("missing")},
    "fulfilled_by": {"merchant": _l("You"), "channel": _l("the channel")},
    "flags": {
        "prime": _l("Prime"),
        "business": _l("Business"),
        "replacement": _l("Replacement"),
        "gift": _l("Gift"),
        "label_required": _l("Ship+"),
        "cancel_requested": _l("Cancel requested"),
    },
}
_FOLLOWS = {"needs_attention", "arrived_complete", "shop_id", "store_id", "channel_order_id"}  # told by others


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in the timeline."""

    at: datetime
    actor: str
    by: str
    sentence: str
    changes: list[dict[str, str | None]]


def timeline_of(order: Order, events: Sequence[OrderEvent], names: Names) -> list[Entry]:
    known = words()
    return [
        Entry(
            at=event.at,
            actor=names.of(event.actor_kind, event.actor_id),
            by=event.actor_kind,
            sentence=sentence_of(order, event, known),
            changes=[] if event.code == "placed" else _changes(order, event),
        )
        for event in events
    ]


def sentence_of(order: Order, event: OrderEvent, known: Mapping[str, EventWords] | None = None) -> str:
    """What happened, in the reader's language; a code no longer known stands for itself."""
    entry = (known or words()).get(event.code)
    if entry is None:
        return event.code
    values = dict(event.data.get("values") or {})
    if "kind" in values:
        values["kind"] = update_label(order, str(values["kind"]))
    try:
        return str(entry.sentence) % values if values else str(entry.sentence)
    except (KeyError, TypeError, ValueError):  # recorded by another version, whose sentence had other values
        return event.code


def update_label(order: Order, kind: str) -> str:
    """What a kind of update is called."""
    channel = channel_of(order.store)
    return next((str(known.label) for known in (channel.kinds if channel else ()) if known.code == kind), kind)


def _changes(order: Order, event: OrderEvent) -> list[dict[str, str | None]]:
    after, before = event.data.get("after") or {}, event.data.get("before") or {}
    shown = _of_one(order, after.get("order") or {}, before.get("order"), "")
    titles = {str(line.id): line.sku or line.title for line in order.lines}
    for line_id, values in (after.get("lines") or {}).items():
        had = (before.get("lines") or {}).get(line_id) if before else None
        shown += _of_one(order, values, had, titles.get(line_id, ""))
    return shown


def _of_one(
    order: Order, after: Mapping[str, Any], before: Mapping[str, Any] | None, line: str
) -> list[dict[str, str | None]]:
    rows: list[dict[str, str | None]] = []
    for column, value in after.items():
        if column in _FOLLOWS or column not in _COLUMNS:
            continue
        label = str(_COLUMNS[column])
        had = _value(order, column, before[column]) if before and column in before else None
        if line:
            label = str(_("%(name)s: %(text)s", name=line, text=label))
        rows.append({"label": label, "before": had, "after": _value(order, column, value)})
    return rows


def _value(order: Order, column: str, value: Any) -> str:
    if value is None or value == "" or value == []:
        return "—"
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if column.endswith("_minor") and order.currency:
        return money(Money(int(value), order.currency))
    if column in ("attention", "problems"):
        return ", ".join(trouble.label for trouble in in_words(value))
    if column == "state":
        return state_label(str(value))
    if column == "channel_status":
        channel = channel_of(order.store)
        return str(channel.status_label(value)) if channel else str(value)
    if isinstance(value, list):
        return ", ".join(_word(column, part) for part in value)
    if isinstance(value, str) and (instant := _instant(column, value)):
        return moment(instant)
    return _word(column, value)


def _word(column: str, code: Any) -> str:
    """The word of a code; one that is not known here stands for itself."""
    word = _VALUES.get(column, {}).get(str(code))
    return str(word if word is not None else code)


def _instant(column: str, value: str) -> datetime | None:
    if not column.endswith(("_at", "_by", "_from")):
        return None
    try:
        return parse_instant(value)
    except ValueError:
        return None
