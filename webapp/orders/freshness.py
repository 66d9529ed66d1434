"""Orders that are about to leave are read from their channel first, if what is known of them is too old: the buyer may
have asked to cancel meanwhile, or the order may be canceled there.

The reading belongs to a floor above, which registers it here.
"""

from collections.abc import Callable, Collection

_askers: list[Callable[[Collection[int]], float]] = []


def asked_by(asker: Callable[[Collection[int]], float]) -> None:
    """Register the function that has orders read by workers; it returns the seconds to wait for the answer."""
    _askers.append(asker)


def ask_for(order_ids: Collection[int]) -> float:
    """Have those of the orders read again whose facts are too old, once the open unit of work is committed. Returns the
    seconds after which an act goes on without an answer: 0 if nothing is read. No act waits longer for a channel.
    """
    return max((asker(order_ids) for asker in _askers), default=0.0)
