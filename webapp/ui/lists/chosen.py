"""The rows that are chosen in a list's form: the ticked ones, or all rows that its query finds.

A choice is sent as part of the URL, so that *Back* works; ids name nobody, and a page of the list has few of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import request, url_for

from webapp.audit.actor import Actor
from webapp.errors import DeskError
from webapp.i18n import lazy_gettext as _l
from webapp.lists.contract import Subject
from webapp.orders.listing import ORDER_LIST
from webapp.search.compiling import Compiled, compile_query
from webapp.search.query import reopen
from webapp.ui.frame.pages import show_times_of, shown_stores


class MoreFound(DeskError):
    """The query finds more orders than the form said."""

    code, status = "more_found", 422
    sentence = _l("The list found %(found)s orders before and finds %(now)s now. Look at it, then confirm once more.")


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
    found: int = 0  # rows that the query found when the form was drawn; 0: the form shows no number
    newest: int = 0  # the id of the newest row at that time

    @classmethod
    def read(cls, subject: Subject = ORDER_LIST) -> "Chosen":
        """Read the choice from the current request."""
        given = request.values
        ids = [int(text) for text in given.getlist(subject.one) if text.isdecimal() and len(text) < 10]
        everything = given.get("all") == "1"
        sort = given.get("sort") or subject.usual
        query, token, view, after, before = (given.get(name, "") for name in ("q", "w", "view", "after", "before"))
        found, newest = (given.get(name, 0, type=int) if everything else 0 for name in ("found", "newest"))
        return cls(
            subject, [] if everything else ids, everything, query, token, sort, view, after, before, found, newest
        )

    def asked(self, actor: Actor) -> Compiled | None:
        """The compiled query of the list; None if the query is empty. Raises the mistakes of the query."""
        show_times_of(shown_stores())  # days are counted as in the list
        query = reopen(self.query, self.token, actor, subject=self.subject.code)
        return compile_query(query, actor) if query else None

    def where(self, actor: Actor) -> dict[str, Any]:
        """The choice as arguments of services."""
        return {"compiled": self.asked(actor), "sort": self.sort or None} if self.everything else {"ids": self.ids}

    def confirmed(self, ids: Sequence[int]) -> list[int]:
        """Those of these orders that existed when the form was drawn. Raises `MoreFound` if the form counted fewer."""
        if not self.found:
            return list(ids)
        known = [row_id for row_id in ids if row_id <= self.newest]
        if len(known) > self.found:
            raise MoreFound(found=self.found, now=len(known))
        return known

    @property
    def around(self) -> list[tuple[str, str]]:
        """The page of the list where the choice is made, as names and values of hidden fields."""
        sort = self.sort if self.sort != self.subject.usual else ""
        asked = [("q", self.query), ("w", self.token), ("sort", sort), ("view", self.view)]
        return [(name, value) for name, value in (*asked, ("after", self.after), ("before", self.before)) if value]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The choice as hidden fields, or as arguments of a URL."""
        chosen = [("all", "1")] if self.everything else [(self.subject.one, str(row_id)) for row_id in self.ids]
        counted = [("found", str(self.found)), ("newest", str(self.newest))] if self.found else []
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
