"""Token buckets with the rates of Amazon's published plan, one for each seller and operation.

They are kept in memory: a restarted Amazon has full buckets.
"""

from collections.abc import Callable
from threading import Lock
from typing import Final

PLAN: Final = {  # requests per second, burst
    "searchOrders": (0.0056, 20),
    "getOrder": (0.5, 30),
    "confirmShipment": (2.0, 10),
    "getMarketplaceParticipations": (0.016, 15),
    "createFeedDocument": (0.5, 15),
    "createFeed": (0.0083, 15),
    "createFeed UPLOAD_VAT_INVOICE": (0.33, 15),  # one in three seconds; how many at once is made up
    "getFeed": (2.0, 15),
    "getFeeds": (0.0222, 10),
    "getFeedDocument": (0.0222, 10),
    "cancelFeed": (2.0, 15),
    "listTransactions": (0.5, 10),
    "GetAttributes": (1.0, 5),
    "getMessagingActionsForOrder": (1.0, 5),
    "sendMessage": (1.0, 5),  # one bucket for all kinds; Amazon has one for each
    "createUploadDestination": (10.0, 10),
    "getSolicitationActionsForOrder": (1.0, 5),
    "createProductReviewAndSellerFeedbackSolicitation": (1.0, 5),
}


class Throttle:
    """All buckets of one practice Amazon."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = Lock()
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def take(self, seller: str, operation: str, factor: float) -> bool:
        """Take a token if there is one."""
        rate, burst = PLAN[operation]
        with self._lock:
            now = self._now()
            tokens, at = self._buckets.get((seller, operation), (float(burst), now))
            tokens = min(float(burst), tokens + max(0.0, now - at) * rate * factor)
            took = tokens >= 1
            self._buckets[seller, operation] = (tokens - 1 if took else tokens, now)
            return took

    def empty(self, operation: str) -> None:
        """Remove all tokens, as another program of the seller might."""
        with self._lock:
            for seller, name in list(self._buckets):
                if name == operation:
                    self._buckets[seller, name] = (0.0, self._now())

    def refill(self) -> None:
        """Fill all buckets."""
        with self._lock:
            self._buckets.clear()


def applied_rate(operation: str, factor: float) -> str:
    """The rate in the format of the header x-amzn-RateLimit-Limit."""
    return f"{PLAN[operation][0] * factor:.6g}"
