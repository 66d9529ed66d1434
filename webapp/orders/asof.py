"""An order at a moment of the past, rebuilt from its events.

The rebuilt order shows what the desk knew at that moment: an event counts from when the desk learned of it, so that the
answer fits what was on the screen, or on the paper that was printed. Events carry the plain columns of the order and
its lines, and its amounts. They carry nothing of other tables (packages, comments) and nothing that is sealed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webapp.orders.amounts import Place
from webapp.orders.contract import Amount
from webapp.orders.events import rebuild
from webapp.orders.models import OrderEvent


@dataclass(frozen=True, slots=True)
class Then:
    """The plain columns of an order and of its lines, as events keep them, and its amounts; None if events of that
    time kept no amounts. Lines are by their ids, in the order of their positions.
    """

    at: datetime
    order: Mapping[str, Any]
    lines: Mapping[int, Mapping[str, Any]]
    amounts: Mapping[Place, Amount] | None
    last: OrderEvent  # the last one that counts


def as_of(events: Sequence[OrderEvent], at: datetime) -> Then | None:
    """The order at that moment, from these events of it (newest first); None before the desk knew of it."""
    until = [event for event in reversed(events) if event.seen_at <= at]
    if not until:
        return None
    order, lines, amounts = rebuild(until)
    ordered = sorted(lines.items(), key=lambda line: line[1].get("position", 0))
    return Then(at, order, {int(line_id): columns for line_id, columns in ordered}, amounts, until[-1])
