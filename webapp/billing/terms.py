"""What an invoice says beside its amounts: its dates, whether prices include tax, and its notes, as of its issue.

The date of supply is the day on which the last of its units left, in the shop's time zone; an invoice over units that
have not left yet has none.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from itertools import accumulate
from typing import Any, TypedDict
from zoneinfo import ZoneInfo

from webapp.billing.remaining import Part
from webapp.billing.tax_schemes import TaxTold
from webapp.billing.taxes import TaxedParts
from webapp.hooks.asking import ask_listeners
from webapp.orders.models import Order


class Terms(TypedDict, total=False):
    """The column `terms` of an invoice or a credit memo. Days are in ISO format; of earlier versions, it is empty."""

    issued_on: str
    supplied_on: str | None
    prices_include_tax: bool
    notes: list[str]
    tax: TaxTold
    left_out: list[str]  # components that somebody kept off an invoice, to follow once all has shipped
    documents: list[str]  # numbers of the invoices that a credit memo refers to, or of the memo that it takes back


Departures = Mapping[int, Sequence[tuple[datetime, int]]]


def departures(plans: Sequence[Sequence[Part]]) -> Departures:
    """When units of the lines of these invoices left, by line, the earliest first."""
    lines = sorted({part.line.id for parts in plans for part in parts if part.line is not None and part.units})
    found: dict[int, list[tuple[datetime, int]]] = {}
    for answer in ask_listeners("units_departed", lines, gives=dict) if lines else ():
        for line_id, moves in answer.items():
            found.setdefault(line_id, []).extend(moves)
    return {line_id: sorted(moves) for line_id, moves in found.items()}


def terms_of(order: Order, lines: TaxedParts, issued_at: datetime, left: Departures) -> Terms:
    """The terms of an invoice whose units are counted as invoiced already."""
    zone = ZoneInfo(order.shop.zone)
    supplied_on = _supplied_on([one.part for one in lines.lines], left, zone)
    return {
        "issued_on": issued_at.astimezone(zone).date().isoformat(),
        "supplied_on": supplied_on.isoformat() if supplied_on else None,
        "prices_include_tax": lines.included,
        "notes": [lines.note] if lines.note else [],
    }


def memo_terms(order: Order, issued_at: datetime, recorded: Mapping[str, Any]) -> Terms:
    """The terms of a credit memo, from those with which it was recorded."""
    return {
        "issued_on": issued_at.astimezone(ZoneInfo(order.shop.zone)).date().isoformat(),
        "prices_include_tax": bool(recorded.get("prices_include_tax")),
        "notes": list(recorded.get("notes", ())),
        "tax": recorded.get("tax", {}),
        "documents": list(recorded.get("documents", ())),
    }


def _supplied_on(parts: Sequence[Part], left: Departures, zone: ZoneInfo) -> date | None:
    """The day on which the last of the units left; None if some are still here, or no unit is on the invoice."""
    last: datetime | None = None
    for part in parts:
        if part.line is None or not part.units:
            continue
        upto = list(accumulate(units for _at, units in left.get(part.line.id, ())))
        place = bisect_left(upto, part.line.invoiced)  # invoices take units in the order in which they left
        if place == len(upto):
            return None
        at = left[part.line.id][place][0]
        last = at if last is None else max(last, at)
    return last.astimezone(zone).date() if last else None
