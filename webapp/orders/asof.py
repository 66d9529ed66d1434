"""An order as it stood at a moment of the past, rebuilt from its events.

"Stood" means what the desk knew: an event counts from when the desk learned of it, so that the answer fits what was on
the screen, or on the paper that was printed. Events carry the plain columns of the order and its lines, and its
amounts. What lies in other tables of its own (packages, comments) and what is sealed are not among them.
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
    """The plain columns of an order and of its lines, as events keep them, and its amounts; None where events of that
    time kept none. Lines stand by their ids, in the order of their positions.
    """

    at: datetime
    order: Mapping[str, Any]
    lines: Mapping[int, Mapping[str, Any]]
    amounts: Mapping[Place, Amount] | None
    last: OrderEvent  # the one that made it so


def as_of(events: Sequence[OrderEvent], at: datetime) -> Then | None:
    """What these events (newest first) had made of their order at that moment; None before the desk knew of it."""
    until = [event for event in reversed(events) if event.seen_at <= at]
    if not until:
        return None
    order, lines, amounts = rebuild(until)
    ordered = sorted(lines.items(), key=lambda line: line[1].get("position", 0))
    return Then(at, order, {int(line_id): columns for line_id, columns in ordered}, amounts, until[-1])
