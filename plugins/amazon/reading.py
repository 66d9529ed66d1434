"""Reading orders with all data that Amazon gives: denied or refused data sets are left out, by name if Amazon names
them.

If Amazon names none, a search may find the denied sets (`datasets.denied_among`). The search ends before a page is
returned, so that no order is imported with less data than the account may read.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from plugins.amazon.accounts import Account
from plugins.amazon.client import SEARCH_ORDERS, Answer, Client, Operation
from plugins.amazon.datasets import ALL, MOST_TRIES, DataSetMemory, denied_among
from plugins.amazon.errors import AccessDenied, RequestRefused
from webapp.api import PageRefused


@dataclass(slots=True)
class Reading:
    """One call for orders, repeated as often as needed."""

    client: Client
    memory: DataSetMemory
    account: Account
    operation: Operation
    params: Mapping[str, Any]
    path: Mapping[str, str] | None = None
    reserve: float = 0
    start: float | None = None
    spare: bool = False
    may_be_data: Callable[[str], bool] | None = None  # whether a denial in these words may be about a set; None: never
    calls: int = 0

    def answer(self) -> tuple[Answer, tuple[str, ...]]:
        """The answer with all data sets except those that Amazon denies or refuses, and the names of the missing
        sets.
        """
        account = self.account.key
        while self.operation is not SEARCH_ORDERS or self.memory.found_out(account, self._within) is None:
            sets = self.memory.read(account, with_lapsed=self.may_be_data is not None)
            try:
                answer = self._ask(sets.asked, renew=True)
            except (RequestRefused, AccessDenied) as error:
                if named := sets.named_in(error.named):
                    self.memory.leave_out(account, named)
                    continue
                if not self._is_about_data(error):
                    raise
                if isinstance(error, RequestRefused) and self.params.get("paginationToken"):
                    raise PageRefused(channel="Amazon") from None  # the token may be what is refused
                self.memory.keep_search(account, self._within, {})
                break
            if sets.lapsed and sets.with_lapsed:
                self.memory.allowed_again(account, sets.lapsed)
            return Answer(answer.body, answer.request_id, self.calls), sets.missing
        return self._find()

    def _find(self) -> tuple[Answer, tuple[str, ...]]:
        """Find the denied sets and return the answer without them; raises the denial if it is not about a set."""
        account, answers = self.account.key, dict[str, Answer]()
        found = self.memory.found_out(account, self._within) or {}
        sets = self.memory.read(account, with_lapsed=True)

        def is_allowed(names: Collection[str]) -> bool:
            what = _key(names)
            if what not in found:
                if len(found) >= MOST_TRIES:
                    return False
                try:
                    answers[what], found[what] = self._ask(names), True
                except (RequestRefused, AccessDenied):
                    if not names:
                        self.memory.end_search(account)
                        raise
                    found[what] = False
                self.memory.keep_search(account, self._within, found)
            return found[what]

        is_allowed(())
        denied = frozenset(denied_among(sets.asked, is_allowed))
        if denied:
            self.memory.leave_out(account, denied)
        self.memory.allowed_again(account, sets.lapsed - denied)
        self.memory.end_search(account)
        sets = self.memory.read(account, with_lapsed=True)
        answer = answers.get(_key(sets.asked)) or self._ask(sets.asked)
        return Answer(answer.body, answer.request_id, self.calls), sets.missing

    def _is_about_data(self, error: RequestRefused | AccessDenied) -> bool:
        if isinstance(error, RequestRefused):
            return self.operation is SEARCH_ORDERS
        return self.may_be_data is not None and self.may_be_data(error.named)

    @property
    def _within(self) -> str:
        """The marketplaces of the call: what is denied in one may be allowed in others."""
        return str(self.params.get("marketplaceIds", ""))

    def _ask(self, names: Collection[str], *, renew: bool = False) -> Answer:
        asked = {**self.params, "includedData": _key(names)} if names else self.params
        self.calls += 1
        answer = self.client.request(
            self.account,
            self.operation,
            path=self.path,
            params=asked,
            reserve=self.reserve,
            start=self.start,
            spare=self.spare,
            renew=renew,
            orders=tuple((self.path or {}).values()),
        )
        self.calls += answer.calls - 1
        return answer


def _key(names: Collection[str]) -> str:
    return ",".join(name for name in ALL if name in names)
