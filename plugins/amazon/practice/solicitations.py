"""Requests for a review: when an order takes one, and why not.

Amazon publishes the days, and that an order takes one request. Its sentences of refusal are made up here, and so is
that an order must be shipped. Nothing is ever sent to anybody.
"""

from typing import Final

from plugins.amazon.practice.answers import delivery_window
from plugins.amazon.practice.fates import Fate

ACTION: Final = "productReviewAndSellerFeedback"
_DAY: Final = 24 * 3600 * 1000
_FROM, _UNTIL = 5 * _DAY, 30 * _DAY  # after the earliest, and after the latest day of delivery
NOT_SHIPPED: Final = "The order is not eligible for a solicitation."
TOO_EARLY: Final = "A solicitation can be sent 5 days after the earliest estimated delivery date at the earliest."
TOO_LATE: Final = "A solicitation can be sent 30 days after the latest estimated delivery date at the latest."
TWICE: Final = "A solicitation was already sent for this order."


def refusal(fate: Fate, now_ms: int, *, requested: bool) -> str:
    """Amazon's sentence why an order takes no request now; empty if it takes one."""
    earliest, latest = delivery_window(fate.order)
    reasons = (
        (fate.order.non_amazon or fate.status != "SHIPPED", NOT_SHIPPED),
        (requested, TWICE),
        (now_ms < earliest + _FROM, TOO_EARLY),
        (now_ms > latest + _UNTIL, TOO_LATE),
    )
    return next((sentence for applies, sentence in reasons if applies), "")
