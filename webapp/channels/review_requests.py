"""Requests for a review, which a channel sends to the buyer of an order in its own words, once.

A channel that carries them has the kind of update `review_request` and says in `review_window` when an order can have
one. The payload of an update has the moment after which the channel takes none, in ISO 8601, under `until`. Nothing
here uses the database or the network.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

REVIEW_REQUEST: Final = "review_request"  # the kind of update


@dataclass(frozen=True, slots=True)
class ReviewWindow:
    """The days in which an order can have a review request: from so many days after the earliest promised day of its
    delivery to so many days after the latest. `opens_after` is less than `closes_after`.
    """

    opens_after: int
    closes_after: int

    def opens(self, deliver_from: datetime | None, deliver_by: datetime) -> datetime:
        """The first moment, by the promised days of an order's delivery; an order may have only the latest."""
        return (deliver_from or deliver_by) + timedelta(days=self.opens_after)

    def closes(self, deliver_by: datetime) -> datetime:
        """The last moment."""
        return deliver_by + timedelta(days=self.closes_after)
