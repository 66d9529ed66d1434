"""A request for a list: its query, sorting, view and page, and the URLs of further requests.

A URL contains the whole query, except words that may name a buyer: these are stored, and the URL has their token. It
also contains the sorting, since the default depends on the person and changes. The words of a saved view get a token
only when somebody opens the view by its button.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from flask import request, url_for

from webapp.audit.actor import Actor
from webapp.errors import DeskError
from webapp.i18n import lazy_gettext as _l
from webapp.lists.contract import Sorting, Subject
from webapp.lists.saved_views import EVERYTHING, ListState, View
from webapp.search.compiling import Compiled, check_query, compile_query
from webapp.search.query import Query, QueryMistake, parse, reopen
from webapp.search.values import in_codes, in_words
from webapp.ui.lists.chosen import Chosen


class WordsInUrl(DeskError):
    """A URL contained words, which is not allowed."""

    code, status = "not_from_the_box", 422
    sentence = _l(
        "Waybill does not search for the words of a link, because they may name a buyer. To search for them, "
        "press Enter in the search box."
    )


@dataclass(frozen=True, slots=True)
class ListRequest:
    """A list as a request asks for it. If there is a `problem`, no rows are shown, only the query and the problem."""

    subject: Subject
    sort: str
    query: Query = field(default_factory=Query)
    text: str = ""  # the text of the query; as it was typed if it can't be parsed
    token: str = ""
    view: View | None = None
    changed: bool = False  # the query differs from the view's own
    after: str | None = None
    before: str | None = None
    compiled: Compiled = field(default_factory=Compiled)
    problem: DeskError | None = None
    sealed_view: bool = False  # the view's words must be opened by its button first

    @classmethod
    def read(cls, subject: Subject, state: ListState, actor: Actor) -> Self:
        """Read the request from the URL of the page."""
        args = request.args
        text, token = args.get("q", ""), args.get("w", "")
        view = find_view(subject, args.get("view", ""), state.views)
        changed = "q" in args or bool(token)
        sort = _sort(subject, args, view, state)
        asked = cls(subject, sort, text=text, token=token, view=view, changed=changed)
        asked = replace(asked, after=args.get("after") or None, before=args.get("before") or None)
        if view and not changed and view.sealed:
            return replace(asked, sealed_view=True)
        try:
            query = parse(view.query, subject.code) if view else Query()
            if changed or view is None:
                query = reopen(text, token, actor, state.sealed, subject.code)
            if changed and not token and query.words:
                return replace(asked, query=query, text=in_words(query, actor), problem=WordsInUrl())
            return replace(asked, query=query, text=in_words(query, actor)).compile(actor)
        except DeskError as problem:
            return replace(asked, problem=problem)

    @classmethod
    def typed(cls, subject: Subject, text: str, state: ListState, actor: Actor, view: View | None = None) -> Self:
        """The request for a typed text, which is parsed and checked but not searched; its mistake is the `problem`."""
        asked = cls(subject, _sort(subject, request.form, view, state), text=text, view=view, changed=True)
        try:
            asked = replace(asked, query=parse(text, subject.code))
            check_query(asked.query, actor)
        except QueryMistake as problem:
            return replace(asked, problem=problem)
        return replace(asked, query=in_codes(asked.query, actor, ids=False))  # links are opened in other languages, too

    def compile(self, actor: Actor) -> Self:
        return replace(self, compiled=compile_query(self.query, actor))

    @property
    def announces_new(self) -> bool:
        """Whether this is the first page of all rows in the default order: only there are new rows announced."""
        return not (self.query or self.after or self.before or self.problem) and self.sort == self.subject.usual

    def url(self, page: str = "index", **more: Any) -> str:
        """The URL of this list: its first page, unless `more` names another."""
        args: dict[str, Any] = {"view": self.view.code if self.view else None}
        if self.changed:
            args |= {"q": self.query.structured, "w": self.token or None}
        return url_for(f"{self.subject.code}.{page}", **args | {"sort": self.sort} | more)

    @property
    def chosen(self) -> Chosen:
        """The rows that the request ticks, with this list."""
        return replace(
            Chosen.read(self.subject),
            query=self.query.structured,
            token=self.token,
            sort=self.sort,
            view=self.view.code if self.view else "",
            after=self.after or "",
            before=self.before or "",
        )

    def url_of(self, query: Query) -> str:
        """The URL of another query; it can have words only if this request has their token."""
        token = self.token if query.words else ""
        return replace(self, query=query, token=token, changed=True).url()


def find_view(subject: Subject, code: str, saved: Sequence[View]) -> View | None:
    """The view of this code; None for the view of all rows, which narrows no list."""
    return next((view for view in (*subject.views, *saved) if view.code == code and code != EVERYTHING), None)


def _sort(subject: Subject, given: Mapping[str, str], view: View | None, state: ListState) -> str:
    """The sorting of the request, or of the view or the layout, or the default; unknown sortings are skipped."""
    for name in (given.get("sort", ""), (view.sort if view else "") or state.layout.sort):
        try:
            Sorting.parse(subject, name)
        except DeskError:
            continue
        return name
    return subject.usual
