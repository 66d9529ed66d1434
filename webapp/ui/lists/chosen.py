"""The rows that are chosen in a list's form: the ticked ones, or all rows that its query finds.

A choice is sent as part of the URL, so that *Back* works; ids name nobody, and a page of the list has few of them.
"""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

from flask import request, url_for

from webapp.audit.actor import Actor
from webapp.lists.contract import Subject
from webapp.orders.listing import ORDER_LIST
from webapp.search.compiling import Compiled, compile_query
from webapp.search.query import reopen
from webapp.ui.frame.pages import show_times_of, shown_stores

_LONGEST = 600_000  # characters of the ids of one run


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice of rows, as forms send it from page to page, with the view and the page of the list where it was made.
    Words about buyers are left out; the choice has their token.
    """

    subject: Subject = ORDER_LIST
    ids: list[int] = field(default_factory=list)
    everything: bool = False
    query: str = ""
    token: str = ""
    sort: str = ""
    view: str = ""
    after: str = ""
    before: str = ""
    counted: list[int] = field(default_factory=list)  # the ids of all rows that the query found when they were counted

    @classmethod
    def read(cls, subject: Subject = ORDER_LIST) -> "Chosen":
        """Read the choice from the current request."""
        given = request.values
        ids = [int(text) for text in given.getlist(subject.one) if text.isdecimal() and len(text) < 10]
        everything = given.get("all") == "1"
        counted = _unpacked(given.get("counted", "")) if everything else []
        if everything:  # nothing is chosen if the counted rows can't be read: what the query finds now was not counted
            ids, everything = [], bool(counted) or "counted" not in given
        sort = given.get("sort") or subject.usual
        query, token, view, after, before = (given.get(name, "") for name in ("q", "w", "view", "after", "before"))
        return cls(subject, ids, everything, query, token, sort, view, after, before, counted)

    def asked(self, actor: Actor) -> Compiled | None:
        """The compiled query of the list; None if the query is empty. Raises the mistakes of the query."""
        show_times_of(shown_stores())  # days are counted as in the list
        query = reopen(self.query, self.token, actor, subject=self.subject.code)
        return compile_query(query, actor) if query else None

    def where(self, actor: Actor) -> dict[str, Any]:
        """The choice as arguments of services: once all found rows were counted, these rows, whatever the query finds
        now.
        """
        if not self.everything or self.counted:
            return {"ids": self.counted or self.ids}
        return {"compiled": self.asked(actor), "sort": self.sort or None}

    @property
    def around(self) -> list[tuple[str, str]]:
        """The page of the list where the choice is made, as names and values of hidden fields."""
        sort = self.sort if self.sort != self.subject.usual else ""
        asked = [("q", self.query), ("w", self.token), ("sort", sort), ("view", self.view)]
        return [(name, value) for name, value in (*asked, ("after", self.after), ("before", self.before)) if value]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The choice as hidden fields; without counted rows also as arguments of a URL."""
        chosen = [("all", "1")] if self.everything else [(self.subject.one, str(row_id)) for row_id in self.ids]
        counted = [("counted", _packed(self.counted))] if self.counted else []
        return chosen + counted + self.around

    def list_url(self, **more: Any) -> str:
        """The URL of the page of the list where the choice was made."""
        view: dict[str, Any] = {"q": ""} if self.view else {}  # else the view's own query is used instead of this one
        sort = self.sort or self.subject.usual
        return url_for(f"{self.subject.code}.index", **view | dict(self.around) | {"sort": sort} | more)

    @property
    def back_url(self) -> str:
        """The URL of the page of the list where the choice was made, with the chosen rows ticked."""
        return self.list_url(all=1) if self.everything else self.list_url(**{self.subject.one: self.ids})


def _packed(ids: Sequence[int]) -> str:
    """Many ids as a short text for a form."""
    steps = (id_ - before for before, id_ in pairwise([0, *sorted(ids)]))
    return urlsafe_b64encode(zlib.compress(",".join(map(str, steps)).encode())).decode()


def _unpacked(text: str) -> list[int]:
    """The ids in a text of `_packed`; none if it is no such text."""
    try:
        steps = zlib.decompressobj().decompress(urlsafe_b64decode(text), _LONGEST)
        return [id_ for id_ in accumulate(map(int, steps.split(b","))) if 0 < id_ < 2**31]
    except (ValueError, zlib.error):
        return []
