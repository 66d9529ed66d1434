"""Amounts of an order by their place (a line or the order itself, and a component), and their form in events.

The table `order_amounts` mirrors what the channel says now, and only the import writes it. Every change of an amount is
in an event, so that the amounts at any moment can be rebuilt.
"""

from collections.abc import Mapping
from typing import Any

from webapp.orders.contract import Amount, AmountChange

OWN = 0  # in place of a line's id: the order itself
NOTHING = Amount()
Place = tuple[int, str]  # a line's id, or OWN, and the component
Amounts = dict[Place, Amount]


def pack_amounts(amounts: Mapping[Place, Amount]) -> dict[str, dict[str, Amount]]:
    """Amounts in the form in which an event keeps them: by line, then by component, in JSON [charged, tax,
    discount].
    """
    lines: dict[str, dict[str, Amount]] = {}
    for (line_id, component), amount in amounts.items():
        lines.setdefault(str(line_id), {})[component] = amount
    return lines


def unpack_amounts(lines: Mapping[str, Mapping[str, Any]]) -> Amounts:
    """Amounts by their place, from the form in which an event keeps them."""
    return {
        (int(line), component): Amount(*figures)
        for line, components in lines.items()
        for component, figures in components.items()
    }


def amount_changes(order_id: int, before: Mapping[Place, Amount], after: Mapping[Place, Amount]) -> list[AmountChange]:
    """The changes of an order's amounts from `before` to `after`; both have the same places."""
    return [
        AmountChange(order_id, None if line_id == OWN else line_id, component, before[line_id, component], amount)
        for (line_id, component), amount in after.items()
    ]
