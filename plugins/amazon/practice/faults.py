"""Faults on purpose: a number of the next calls of an operation fail.

Faults are kept in memory and used in the order in which they were queued.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from itertools import count
from threading import Lock
from typing import Any, Final

from plugins.amazon.practice.marketplaces import MARKETPLACES

KINDS: Final = (
    "429", "500", "503", "403", "400", "404",  # answered with this status and Amazon's words (503: an HTML page)
    "drop",  # the connection closes without an answer
    "slow",  # answered after `seconds`
    "garbage",  # answered 200 with half a JSON document
    "expired",  # 403: the access token has expired
    "page_token",  # 400: the page token is refused
    "dataset",  # 400 if `dataset` is among includedData
    "repeat",  # the page contains one of its orders (or feeds) twice
    "stale",  # answered as of `seconds` ago
    "marketplace",  # 403 for a search or a feed in `marketplace` (a country), which the answer names
    "marketplace_unnamed",  # like it, with Amazon's usual words, which name nothing
    "dataset_denied",  # 403, naming it, if `dataset` is among includedData
    "dataset_denied_unnamed",  # like it, with Amazon's usual words, which name nothing
    "secret_expired",  # of a token: 401, the client secret is no longer accepted
    "not_allowed",  # of a token: 400, the application may not sign in for sellers
    "shift",  # a page's first order changes after its answer: with offset paging one slips
)  # fmt: skip
OPERATIONS: Final = (
    "*", "token", "searchOrders", "getOrder", "confirmShipment", "getMarketplaceParticipations", "createFeedDocument",
    "upload", "createFeed", "getFeed", "getFeeds", "cancelFeed", "getFeedDocument", "download", "listTransactions",
    "GetAttributes", "getMessagingActionsForOrder", "sendMessage", "createUploadDestination", "uploadAttachment",
    "getSolicitationActionsForOrder",
    "createProductReviewAndSellerFeedbackSolicitation",
)  # fmt: skip


class BadFault(Exception):
    """An impossible fault; its text says why."""


@dataclass
class Fault:
    """One fault; `after` the effect makes a difference only for calls that change something."""

    id: int
    operation: str
    kind: str
    times: int = 1
    when: str = "before"
    seconds: float = 0.0
    dataset: str = ""
    order_id: str = ""
    marketplace: str = ""


class Faults:
    """All current faults."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ids = count(1)
        self._queue: list[Fault] = []

    def add(
        self,
        operation: str,
        kind: str | int,
        *,
        times: int = 1,
        when: str = "before",
        seconds: float = 0.0,
        dataset: str = "",
        order_id: str = "",
        marketplace: str = "",
    ) -> Fault:
        """Queue a fault for the next calls of an operation; raises BadFault."""
        if operation not in OPERATIONS:
            raise BadFault(f"No operation {operation!r}; there are {', '.join(OPERATIONS)}.")
        if str(kind) not in KINDS:
            raise BadFault(f"No fault {kind!r}; there are {', '.join(KINDS)}.")
        if when not in ("before", "after"):
            raise BadFault("A fault comes before or after the effect.")
        if str(kind).startswith("marketplace") and marketplace not in MARKETPLACES:
            raise BadFault(f"No marketplace {marketplace!r}; there are {', '.join(MARKETPLACES)}.")
        with self._lock:
            fault = Fault(next(self._ids), operation, str(kind), times, when, seconds, dataset, order_id, marketplace)
            self._queue.append(fault)
            return fault

    def next(
        self,
        operation: str,
        *,
        order_id: str = "",
        sets: str = "",
        paged: bool = False,
        searched: Collection[str] = (),
        changes: bool = False,
    ) -> Fault | None:
        """The fault of this call, with one use less; `searched` are the marketplace ids of a search or feed, `changes`
        says whether it searches by the last update.
        """
        with self._lock:
            for fault in self._queue:
                if fault.operation not in ("*", operation) or (fault.order_id and fault.order_id != order_id):
                    continue
                if fault.kind.startswith("dataset") and fault.dataset not in sets.split(","):
                    continue
                if fault.kind == "page_token" and not paged:
                    continue
                if fault.kind.startswith("marketplace") and MARKETPLACES[fault.marketplace].id not in searched:
                    continue
                if fault.kind in ("secret_expired", "not_allowed") and operation != "token":
                    continue
                if fault.kind == "shift" and not changes:
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self._queue.remove(fault)
                return fault
        return None

    def all(self) -> list[dict[str, Any]]:
        """The current faults."""
        with self._lock:
            return [asdict(fault) for fault in self._queue]

    def mend(self, id: int) -> bool:
        """Remove one fault; returns whether it existed."""
        with self._lock:
            before = len(self._queue)
            self._queue = [fault for fault in self._queue if fault.id != id]
            return len(self._queue) < before

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._queue.clear()
