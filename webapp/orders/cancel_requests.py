"""Buyers' requests to cancel: which of them are decided at the desk.

What answers a request is an order action that says so (`OrderAction.answers_cancel_request`).
"""

from webapp.channels.incoming import FulfilledBy
from webapp.lists.contract import PlainRow
from webapp.orders.models import Order

# The requests that somebody decides here. Those that `is_answered_elsewhere` names are not among them.
TO_DECIDE = "state:open buyer-cancel:yes unshipped:>0 canceling:no fulfilled-by:merchant managed:no"


def is_answered_elsewhere(order: Order | PlainRow) -> bool:
    """Whether a request can only be answered at the channel, which ships the order or where it is managed."""
    return bool(order.managed_at_channel) or order.fulfilled_by == FulfilledBy.CHANNEL
