"""Refusals from plugins: hooks that are called with orders and return a reason for each order that must wait."""

from webapp.db import once_a_transaction
from webapp.errors import Refusal
from webapp.hooks.asking import refusals
from webapp.hooks.registered import listeners
from webapp.orders.models import Order
from webapp.orders.queries import loaded_with


def kept_now(hook: str, order: Order) -> Refusal | None:
    """The refusal with which a listener of this hook holds one order back now. Since pages and runs ask this of each
    of many orders, the answers for all loaded orders are read at once and kept until the transaction ends.
    """
    if not listeners(hook):
        return None
    known: dict[tuple[int, int], Refusal | None] = once_a_transaction(hook, dict)
    if (order.id, order.version) not in known:
        at_hand = {row.id: row.version for row in loaded_with(order)}
        kept = refusals(hook, list(at_hand))
        known |= {place: kept.get(place[0]) for place in at_hand.items()}
    return known[order.id, order.version]
