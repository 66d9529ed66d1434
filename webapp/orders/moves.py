"""Units that moved: the facts that follow from what a line's counters gained, in an act or by a channel's news."""

from collections.abc import Mapping
from typing import Any

from webapp.orders.contract import Move, Origin, UnitsMoved

_MOVES = {  # by a line's counter, and whether it gained; others are never counted down
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
    """The moves of one line, from its counters before and after; what `after` does not name did not change."""
    gains = {name: after[name] - before[name] for name in COUNTERS if name in after}
    return [
        UnitsMoved(order_id, line_id, _MOVES[name, gain > 0], abs(gain), origin) for name, gain in gains.items() if gain
    ]
