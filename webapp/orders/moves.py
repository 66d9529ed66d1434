"""Moved units: facts derived from the change of a line's counters, in an act or by news of a channel."""

from collections.abc import Mapping
from typing import Any

from webapp.orders.contract import Move, Origin, UnitsMoved

_MOVES = {  # by a line's counter, and whether it rose; the other counters never fall
    ("shipped", True): Move.SHIPPED,
    ("shipped", False): Move.UNSHIPPED,
    ("canceled", True): Move.CANCELED,
    ("withdrawn", True): Move.WITHDRAWN,
    ("returned", True): Move.RETURNED,
}
COUNTERS = tuple(dict.fromkeys(name for name, _ in _MOVES))


def moves_of(
    order_id: int, line_id: int, before: Mapping[str, Any], after: Mapping[str, Any], origin: Origin
) -> list[UnitsMoved]:
    """The moves of one line, from its counters before and after; counters that `after` doesn't name did not change."""
    gains = {name: after[name] - before[name] for name in COUNTERS if name in after}
    return [
        UnitsMoved(order_id, line_id, _MOVES[name, gain > 0], abs(gain), origin) for name, gain in gains.items() if gain
    ]
