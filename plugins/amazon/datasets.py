"""The data sets of an order that Amazon is asked for, and the sets that it currently denies or refuses.

Amazon has refused single sets for hours in one region, and denies sets for which the application has no role; its
answer does not always name the set. Then the sets are found by asking with some of them, first with none: if that call
succeeds, the denial is about the data. A denied set is left out for six hours, like anything else that is denied, and
the orders are marked as lacking it. Results, also those of an unfinished search, are kept in Redis, since each try uses
one of few searches.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
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
PERSONAL = ("BUYER", "RECIPIENT")  # one role opens both
MOST_TRIES = 12  # after this many, a set that is not known to be allowed is left out, too
_SEARCH_KEPT = 3600  # seconds for which a search for the denied sets can go on after its worker was throttled or died


@dataclass(frozen=True, slots=True)
class DataSets:
    """The sets that are left out now. Sets whose time is over are asked for again, unless the cause of a denial
    could then not be found.
    """

    denied: frozenset[str] = frozenset()
    lapsed: frozenset[str] = frozenset()
    with_lapsed: bool = True

    @property
    def missing(self) -> tuple[str, ...]:
        out = self.denied if self.with_lapsed else self.denied | self.lapsed
        return tuple(name for name in ALL if name in out)

    @property
    def asked(self) -> tuple[str, ...]:
        return tuple(name for name in ALL if name not in self.missing)

    def named_in(self, words: str) -> frozenset[str]:
        """The sets that the words of a refusal name; none if they name all sets that were asked for."""
        named = frozenset(name for name in self.asked if re.search(rf"\b{name}\b", words))
        return named if len(named) < len(self.asked) else frozenset()


def denied_among(
    suspects: Sequence[str], is_allowed: Callable[[Collection[str]], bool], good: Sequence[str] = ()
) -> tuple[str, ...]:
    """The denied ones among the suspects, found by asking with parts of them, together with sets that are known to
    be allowed.
    """
    if len(suspects) < 2:
        return tuple(name for name in suspects if not is_allowed((*good, name)))
    first = [name for name in suspects if name in PERSONAL]
    if len(first) in (0, len(suspects)):
        first = list(suspects[: len(suspects) // 2])
    second = [name for name in suspects if name not in first]
    denied = () if is_allowed((*good, *first)) else denied_among(first, is_allowed, good)
    good = (*good, *(name for name in first if name not in denied))
    if not denied or not is_allowed((*good, *second)):
        denied += denied_among(second, is_allowed, good)
    return denied


class DataSetMemory:
    """The sets that are left out for each account, shared by all workers."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def read(self, account: str, *, with_lapsed: bool) -> DataSets:
        """The sets of an account: all of them, except those that were denied lately."""
        at, ends = now().timestamp(), self._ends(account)
        lapsed = frozenset(name for name, end in ends.items() if end <= at)
        return DataSets(frozenset(ends) - lapsed, lapsed, with_lapsed)

    def leave_out(self, account: str, names: Collection[str]) -> None:
        """Leave these sets out for six hours from now on. The times of other sets don't change."""
        log.warning("amazon_data_refused", sets=sorted(names))
        end = now().timestamp() + DENIED_FOR
        self._keep(account, self._ends(account) | dict.fromkeys(names, end))

    def allowed_again(self, account: str, names: Collection[str]) -> None:
        """Record that Amazon sent these sets again."""
        self._keep(account, {name: end for name, end in self._ends(account).items() if name not in names})

    def forget(self, account: str) -> None:
        """Forget all denials of an account, so that every set is asked for again."""
        self._quietly(lambda redis: redis.delete(self._key(account), self._search_key(account)))

    def found_out(self, account: str, within: str) -> dict[str, bool] | None:
        """The sets that were tried in an unfinished search, and whether each was allowed; None if there is no such
        search.
        """
        kept = self._quietly(lambda redis: redis.get(self._search_key(account)))
        found: dict[str, dict[str, bool]] = json.loads(kept) if kept else {}
        return found.get(within)

    def keep_search(self, account: str, within: str, found: dict[str, bool]) -> None:
        """Keep the results of an unfinished search, so that no worker repeats its calls."""
        text = json.dumps({within: found})
        self._quietly(lambda redis: redis.set(self._search_key(account), text, ex=_SEARCH_KEPT))

    def end_search(self, account: str) -> None:
        self._quietly(lambda redis: redis.delete(self._search_key(account)))

    def _ends(self, account: str) -> dict[str, float]:
        """The denied sets, each with the time at which it is asked for again."""
        kept = self._quietly(lambda redis: redis.get(self._key(account)))
        return {name: end for name, end in json.loads(kept).items() if name in ALL} if kept else {}

    def _keep(self, account: str, ends: dict[str, float]) -> None:
        key, left = self._key(account), max(ends.values(), default=0) + DENIED_FOR - now().timestamp()
        if left > 0:
            self._quietly(lambda redis: redis.set(key, json.dumps(ends), px=int(left * 1000) + 1))
        else:
            self._quietly(lambda redis: redis.delete(key))

    def _key(self, account: str) -> str:
        return self._shared.key("amazon", "denied_data", account)

    def _search_key(self, account: str) -> str:
        return self._shared.key("amazon", "denied_data", "search", account)

    def _quietly(self, work: Callable[[Redis], Any]) -> Any:
        try:
            return self._shared.ask(work)
        except RedisError:  # without Redis, the denied sets are only searched again each time
            return None
