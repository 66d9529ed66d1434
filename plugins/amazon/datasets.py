"""The data sets of an order that Amazon is asked for, and those that it refuses at the moment.

Amazon has refused single sets for hours in one region, and refuses those that the application has no role for; it does
not always say which. A refused set is left out for six hours, as whatever else is denied, and the orders are marked as
lacking it. Which ones is kept in Redis, also in the middle of finding out, since each try costs one of few searches.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError

from plugins.amazon.shared import Shared
from webapp.api import DENIED_FOR, now

log = structlog.get_logger(__name__)
ALL = (
    "BUYER", "RECIPIENT", "PROCEEDS", "EXPENSE", "PROMOTION", "CANCELLATION", "FULFILLMENT", "PACKAGES", "TAX",
    "PAYMENT", "FULFILLMENT_ORDERS",
)  # fmt: skip
_TRIALS = (  # what to leave out where Amazon does not say which set it refuses: first what an order can do without
    (),
    ("EXPENSE", "PROMOTION", "TAX", "PAYMENT", "FULFILLMENT_ORDERS"),
    ("FULFILLMENT",),
    ("BUYER",),
    ("RECIPIENT",),
    ("PROCEEDS",),
    ("PACKAGES",),
    ("CANCELLATION",),
)


@dataclass(frozen=True, slots=True)
class DataSets:
    """What is left out now: sets that Amazon named, and those of the running trial."""

    named: frozenset[str] = frozenset()
    trial: int = 0

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name in ALL if name in self.named or name in _TRIALS[self.trial])

    @property
    def asked(self) -> tuple[str, ...]:
        return tuple(name for name in ALL if name not in self.missing)

    def after(self, words: str, *, guess: bool) -> "DataSets | None":
        """What to try after a refusal in these words; None where it is not about a set, or nothing is left to try."""
        named = {name for name in self.asked if re.search(rf"\b{name}\b", words)}
        if named and len(named) < len(self.asked):
            return DataSets(self.named | named, self.trial)
        if guess and self.trial + 1 < len(_TRIALS):
            return DataSets(self.named, self.trial + 1)
        return None


class DataSetMemory:
    """What is left out for each account, shared by all workers."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def read(self, account: str) -> DataSets:
        """Everything, unless something was refused lately."""
        named, trial, _ = self._kept(account)
        return DataSets(frozenset(named), trial)

    def keep(self, account: str, sets: DataSets) -> None:
        """Leave out from now on what was not left out before, whose end stays; then it is asked for again."""
        log.warning("amazon_data_refused", missing=sets.missing)
        at = now().timestamp()
        named, trial, tried_until = self._kept(account)
        ends = {name: named.get(name, at + DENIED_FOR) for name in sorted(sets.named)}
        if sets.trial != trial:
            tried_until = at + DENIED_FOR
        text = json.dumps({"named": ends, "trial": sets.trial, "tried_until": tried_until})
        last = max(*ends.values(), tried_until if sets.trial else at, at + 1)
        self._quietly(lambda redis: redis.set(self._key(account), text, px=int((last - at) * 1000)))

    def _kept(self, account: str) -> tuple[dict[str, float], int, float]:
        """The sets that are left out, each with its end; which trial runs, and its end."""
        at = now().timestamp()
        kept: Any = self._quietly(lambda redis: redis.get(self._key(account)))
        if not kept:
            return {}, 0, 0.0
        told = json.loads(kept)
        named = {name: end for name, end in told["named"].items() if end > at}
        trial = min(told["trial"], len(_TRIALS) - 1) if told["tried_until"] > at else 0
        return named, trial, told["tried_until"]

    def forget(self, account: str) -> None:
        self._quietly(lambda redis: redis.delete(self._key(account)))

    def _key(self, account: str) -> str:
        return self._shared.key("amazon", "left_out", account)

    def _quietly(self, work: Callable[[Redis], Any]) -> Any:
        try:
            return self._shared.ask(work)
        except RedisError:  # without it we only find out again each time
            return None
