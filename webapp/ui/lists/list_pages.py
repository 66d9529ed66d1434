"""The pages of a list in the browser: the requested rows in the person's layout, counts, filters and columns.

A subject gets all pages by `ListPages(subject).add_to(blueprint)`; the blueprint has the subject's code as its name.
This includes the pages of saved views and exports, which are in modules of their own; acts on many orders are in
`bulk`.
"""

from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

from flask import Blueprint, Response, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import time_limit, unit_of_work
from webapp.errors import DeskError, Forbidden, NotFound, TooSlow
from webapp.i18n import gettext as _
from webapp.lists.listing import CAP, Slice, count_newer, key_of, list_page
from webapp.lists.rows import Rows, read_rows
from webapp.lists.saved_views import (
    ListState,
    View,
    added_columns,
    forget_layout,
    keep_columns,
    layout_in,
    may_show,
    remember_layout,
    remember_sort,
    shown_columns,
)
from webapp.orders import bulk
from webapp.search.completion import complete as completions
from webapp.search.contract import Column
from webapp.search.query import keep, reopen
from webapp.search.registered import list_columns
from webapp.search.values import in_words
from webapp.ui.frame import htmx, unscripted
from webapp.ui.frame.access import current_actor
from webapp.ui.frame.failures import shown_again
from webapp.ui.frame.pages import page, parts, show_times_of, shown_stores
from webapp.ui.frame.redirects import redirect
from webapp.ui.lists import chips, counts
from webapp.ui.lists.acts import Act
from webapp.ui.lists.cells import Table, heads
from webapp.ui.lists.chosen import Chosen
from webapp.ui.lists.exports import ExportPages
from webapp.ui.lists.list_request import ListRequest, find_view
from webapp.ui.lists.saved_views import ViewPages
from webapp.ui.lists.subject_pages import SubjectPages

Drawn = str | tuple[str, int] | AnyResponse
SECONDS = 1.5
_BEFORE_ALL = "1970-01-01T00:00:00Z~0"
_COLUMN_FIELDS = ("column", "move", "reset")  # the fields that change columns, besides the columns' widths
ROOM = 1200  # pixels that columns have on the narrowest page that shows them as a table


class ListPages(SubjectPages):
    """The pages of one subject's list."""

    table = Table  # draws the rows
    acts_in_rows = False  # whether rows have buttons, which belong to a form beside the list

    def add_to(self, bp: Blueprint) -> None:
        """Serve these pages below the subject's path, to people who have the subject's right."""
        self.serve(bp, "GET", "/", self.index)
        self.serve(bp, "GET", "/news", self.news)
        self.serve(bp, "GET", "/rows/<int(max=2147483647):row_id>", self.row)
        self.serve(bp, "GET", "/count", self.count)
        self.serve(bp, "GET", "/counts", self.all_counts)
        self.serve(bp, "GET", "/acts", self.possible_acts)
        self.serve(bp, "POST", "/search", self.search)
        self.serve(bp, "POST", "/complete", self.complete)
        self.serve(bp, "GET", "/filters", self.filters)
        self.serve(bp, "POST", "/filters", self.filter_)
        self.serve(bp, "GET", "/columns", self.layout)
        self.serve(bp, "POST", "/columns", self.lay_out)
        ViewPages(self.subject).add_to(bp)
        ExportPages(self.subject).add_to(bp)

    def index(self) -> Drawn:
        """A page of the requested rows; if the request is invalid or takes too long, the problem."""
        actor = current_actor()
        show_times_of(shown_stores())
        state, until = self.list_state(actor, request.args.get("w", "")), monotonic() + SECONDS
        try:
            with time_limit(SECONDS):
                asked = ListRequest.read(self.subject, state, actor)
        except TooSlow as slow:
            text, token = request.args.get("q", ""), request.args.get("w", "")
            asked = ListRequest(self.subject, self.subject.usual, text=text, token=token, problem=slow)
        return self._list_page(asked, state, actor, until)

    def _list_page(self, asked: ListRequest, state: ListState, actor: Actor, until: float | None = None) -> Drawn:
        """The page of a list; at the time `until`, by the clock of `monotonic`, reading its rows ends as too slow."""
        found, until = Slice(Rows((), self.subject, actor), None, None), until or monotonic() + SECONDS
        shown = shown_columns(state.layout, list_columns(self.subject.code), actor, asked.view)
        if asked.problem is None and not asked.sealed_view:
            try:
                with time_limit(until - monotonic()):
                    found = list_page(
                        self.subject,
                        actor,
                        asked.compiled,
                        sort=asked.sort,
                        after=asked.after,
                        before=asked.before,
                        columns=[column for column, _width in shown],
                    )
            except TooSlow as slow:
                asked = replace(asked, problem=slow)
        around = self._page_context(asked, state, found, actor, until)
        context = self._rows_context(asked, state, found, shown, actor) | around
        if htmx.is_htmx() and not asked.problem:  # the pager and the news change with the rows
            beside = ["lists/_pager.html", *(["lists/_news.html"] if context["news_url"] else [])]
            return parts("lists/_rows.html", *beside, **context)
        drawn = page("lists/index.html", problem=asked.problem, **context)
        return (drawn, asked.problem.status) if asked.problem else drawn

    def beside(self) -> list[tuple[str, str, str]]:
        """The lists of one entry of the menu, this one among them, as tabs: code of the subject, label and URL."""
        return []

    def notes(self, asked: ListRequest) -> list[str]:
        """Sentences above the rows about what is listed."""
        return []

    def acts(self, actor: Actor) -> list[Act]:
        """What this person can do to chosen rows and to everything found, the most likely first."""
        if not actor.may("orders.export"):
            return []
        return [Act(_("Export"), "download", url_for(f"{self.subject.code}.export"), of_all=True)]

    def tools(self, actor: Actor) -> list[Act]:
        """What this person can do without choosing rows, beside the filters."""
        return []

    def first_chosen(self, chosen: Chosen, actor: Actor) -> Sequence[Any]:
        """The first chosen rows, at most `bulk.LOOKED_AT`, with what `Act.possible` reads of them."""
        return ()

    def possible_acts(self) -> str:
        """What can be done to any of the chosen rows. If more are chosen than are looked at, that is everything."""
        actor, chosen = current_actor(), Chosen.read(self.subject)
        rows = self.first_chosen(chosen, actor)
        known = bool(rows) and len(rows) < bulk.LOOKED_AT
        acts = [act for act in self.acts(actor) if act.of_rows and (not known or act.possible(rows))]
        return render_template("lists/_acts.html", acts=acts)

    def _rows_context(
        self,
        asked: ListRequest,
        state: ListState,
        found: Slice,
        shown: Sequence[tuple[Column, int]],
        actor: Actor,
    ) -> dict[str, Any]:
        ticked, acts = asked.chosen, self.acts(actor)
        view = asked.view.code if asked.view else ""
        table = self.table(found.rows, shown, view, ticked.ids, choosable=bool(acts))
        return {
            "acts": [act for act in acts if act.of_rows],
            "acts_on_all": [act for act in acts if act.of_all],
            "acts_url": url_for(f"{self.subject.code}.possible_acts"),
            "tools": self.tools(actor),
            "rows": table.rows,
            "chosen": ticked,
            "heads": heads(shown, asked.sort, added_columns(state.layout, list_columns(self.subject.code), asked.view)),
            "fits": sum(width for _, width in shown) <= ROOM,
            "dense": state.layout.dense,
            "fixed": _fixed(asked.view),
            "rows_url": asked.url(after=asked.after, before=asked.before),
        }

    def _page_context(
        self, asked: ListRequest, state: ListState, found: Slice, actor: Actor, until: float
    ) -> dict[str, Any]:
        whole = unscripted.whole()
        texts = self._counted(state) | ({} if asked.problem or asked.sealed_view else {"found": str(asked.query)})
        known = (
            counts.counts(self.subject, texts, actor, until)
            if whole
            else counts.known_counts(self.subject, texts, actor)
        )
        return {
            "asked": asked,
            "searched": self.subject,
            "acts_in_rows": self.acts_in_rows,
            "notes": [] if asked.problem else self.notes(asked),
            "beside": self.beside(),
            "whole": whole,
            "search_text": asked.text,
            "search_mistaken": asked.problem is not None and asked.problem.code == "query_mistake",
            "newer_url": asked.url(before=found.newer) if found.newer else None,
            "older_url": asked.url(after=found.older) if found.older else None,
            "news_url": self._news_url(key_of(self.subject, found.rows[0]) if found.rows else _BEFORE_ALL)
            if asked.announces_new and self.subject.topic
            else None,
            "news": 0,
            "count_url": asked.url("count"),
            "found": known.get("found"),
            "found_count": known["found"].shown if "found" in known else None,
            "chips": chips.chips_of(asked, actor),
            "counts": known,
            "views": (*self.subject.views, *state.views),
            "start_view": state.start_view,
            "has_stores": bool(shown_stores()),
        }

    def news(self) -> str:
        """The number of rows that came in since the page was drawn."""
        since = request.args.get("since", _BEFORE_ALL)
        found, asked = count_newer(self.subject, current_actor(), since), ListRequest(self.subject, self.subject.usual)
        return page("lists/_news.html", asked=asked, news=found, news_url=self._news_url(since))

    def _news_url(self, since: str) -> str:
        return url_for(f"{self.subject.code}.news", since=since)

    def row(self, row_id: int) -> str:
        """One row of the list in its current state."""
        actor = current_actor()
        show_times_of(shown_stores())
        state = self.list_state(actor)
        view = find_view(self.subject, request.args.get("view", ""), state.views)
        shown = shown_columns(state.layout, list_columns(self.subject.code), actor, view)
        found = read_rows(self.subject, actor, [row_id], [column for column, _width in shown])
        if not found:
            raise NotFound(name=f"@{row_id}")
        [drawn] = self.table(found, shown, view.code if view else "", choosable=bool(self.acts(actor))).rows
        return drawn

    # --- Counts ---

    def count(self) -> str:
        """The number of rows that the list finds; requested after the page."""
        actor = current_actor()
        show_times_of(shown_stores())
        asked = ListRequest.read(self.subject, self.list_state(actor), actor)
        texts = {"found": str(asked.query)} if not asked.problem else {}
        found = counts.counts(self.subject, texts, actor).get("found")
        return render_template("lists/_count.html", found=found, cap=CAP, asked=asked)

    def all_counts(self) -> str:
        """The number of rows of each view; requested after the page."""
        actor = current_actor()
        show_times_of(shown_stores())
        state = self.list_state(actor)
        asked_at = now()
        known = counts.counts(self.subject, self._counted(state), actor)
        again = counts.counted_again_in(known.values(), asked_at)
        views = (*self.subject.views, *state.views)
        return render_template("lists/_counts.html", counts=known, again=again, views=views)

    def _counted(self, state: ListState) -> dict[str, str]:
        """The queries that are counted, by the view that shows the count."""
        texts = {}
        for view in (*self.subject.views, *state.views):
            try:
                texts[f"view-{view.code}"] = view.text
            except DeskError:  # its words can't be opened any more
                continue
        return texts

    # --- Searching ---

    @shown_again
    def search(self) -> Drawn:
        """Search for the typed text. Words that may name a buyer stay out of the URL."""
        actor = current_actor()
        show_times_of(shown_stores())
        state = self.list_state(actor)
        view = find_view(self.subject, request.form.get("view", ""), state.views)
        opened = view is not None and "text" not in request.form
        text = view.text if view and opened else request.form.get("text", "")
        if url := self.url_of_number(text, actor):
            return redirect(url)
        asked = ListRequest.typed(self.subject, text, state, actor, view)
        if asked.problem:
            return self._list_page(asked, state, actor)
        with unit_of_work():
            _structured, token = keep(asked.query, actor)
        return redirect(replace(asked, token=token).url(), code=303)

    def url_of_number(self, text: str, actor: Actor) -> str:
        """The URL of the record whose number was typed; empty if the list is to be searched."""
        return ""

    def complete(self) -> str:
        """Completions of the search box's text at the cursor."""
        text = request.form.get("text", "")
        at = min(request.form.get("at", len(text), type=int), len(text))
        show_times_of(shown_stores())
        return render_template(
            "lists/_completions.html", completions=completions(text, at, current_actor(), self.subject.code)
        )

    def filters(self) -> str:
        """The filters as a form, which produces a query."""
        actor = current_actor()
        show_times_of(shown_stores())
        asked = ListRequest.read(self.subject, self.list_state(actor), actor)
        return self._filters_page(asked, chips.filter_fields(asked.query, actor))

    def _filters_page(self, asked: ListRequest, fields: list[chips.FilterField]) -> str:
        return page(
            "lists/filters.html",
            part="lists/_filters.html",
            searched=self.subject,
            asked=asked,
            fields=fields,
            search_text=asked.text,
        )

    def filter_(self) -> Drawn:
        """Show the list that the filters request; clauses without a field stay in the query. If a field has a mistake,
        the form is shown again.
        """
        actor, given = current_actor(), request.form
        show_times_of(shown_stores())
        state = self.list_state(actor)
        query = reopen(given.get("q", ""), given.get("w", ""), actor, subject=self.subject.code)
        text = chips.with_filters(query, given, actor)
        view = find_view(self.subject, given.get("view", ""), state.views)
        asked = ListRequest.typed(self.subject, text, state, actor, view)
        if asked.problem:
            fields = chips.sent_fields(self.subject.code, given, actor)
            if not any(field.error for field in fields):
                return self._list_page(asked, state, actor)
            asked_before = in_words(query, actor)
            before = replace(
                ListRequest.typed(self.subject, asked_before, state, actor, view), token=given.get("w", "")
            )
            return self._filters_page(before, fields), asked.problem.status
        with unit_of_work():
            _structured, token = keep(asked.query, actor)
        return redirect(replace(asked, token=token).url(), code=303)

    # --- Layout ---

    def layout(self) -> str:
        """The form for the columns of the list; in a view with its own columns, the form is for these."""
        state = self.list_state(current_actor())
        return page(
            "lists/columns.html",
            part="lists/_columns.html",
            **self._layout_context(state, self._changed_view(state)),
        )

    def lay_out(self) -> AnyResponse:
        """Save the columns with their order and widths, the density of the rows, or the sorting.

        Columns may belong to a view; sorting and density always belong to the person.
        """
        actor, given = current_actor(), request.form
        with unit_of_work():
            state = self.list_state(actor)
            view = self._changed_view(state)
            if _fixed(view) and any(name in _COLUMN_FIELDS or name.startswith("width-") for name in given):
                raise Forbidden(right=_("change somebody else's view"))
            if "reset" in given and view:
                keep_columns(view.code, None, actor=actor)
            elif "reset" in given:
                forget_layout(actor, self.subject.code)
            elif "sort_by" in given:
                remember_sort(actor, given["sort_by"], self.subject.code)
            else:
                self._save_layout(state, actor, view)
        if "quiet" in given:
            return Response(status=204)
        if not htmx.is_htmx():
            return redirect(url_for(".layout", view=view.code if view else None))
        state = self.list_state(actor)
        response = Response(
            render_template("lists/_columns.html", **self._layout_context(state, self._changed_view(state)))
        )
        return htmx.announce(response, "columns-changed")

    def _changed_view(self, state: ListState) -> View | None:
        """The view whose columns are changed; None if the person's columns are changed."""
        view = find_view(self.subject, request.values.get("view", ""), state.views)
        return view if view and view.columns is not None else None

    def _save_layout(self, state: ListState, actor: Actor, view: View | None) -> None:
        given, known = request.form, list_columns(self.subject.code)
        dense = given["dense"] == "1" if "dense" in given else state.layout.dense
        if _fixed(view):
            remember_layout(actor, state.layout.columns, dense=dense, subject=self.subject.code)
            return
        shown = shown_columns(state.layout, known, actor, view)
        own = {code: width for code, width in layout_in(state.layout, view).columns if width}
        codes = [code for code in given.getlist("column") if code in known] or [column.code for column, _ in shown]
        if given.get("move"):
            code, _, by = given["move"].rpartition(":")
            codes = _moved(codes, code, -1 if by == "-1" else 1)
        for code in codes:
            pixels = given.get(f"width-{code}", type=float)
            if pixels is not None and 0 < pixels < 10_000:
                own[code] = round(pixels)
        chosen = [(code, own.get(code)) for code in codes]
        if view:
            keep_columns(view.code, chosen, actor=actor)
            chosen = list(state.layout.columns)
        remember_layout(actor, chosen, dense=dense, subject=self.subject.code)

    def _layout_context(self, state: ListState, view: View | None) -> dict[str, Any]:
        actor, known = current_actor(), list_columns(self.subject.code)
        shown = [column for column, _ in shown_columns(state.layout, known, actor, view)]
        others = [column for column in known.values() if column not in shown]
        return {
            "searched": self.subject,
            "view": view,
            "fixed": _fixed(view),
            "shown": shown,
            "others": [column for column in others if may_show(column, actor)],
            "withheld": [column for column in others if not may_show(column, actor)],
            "total": len(known),
            "dense": state.layout.dense,
            "at": now(),
        }


def _fixed(view: View | None) -> bool:
    """Whether the list shows the columns of another person's view."""
    return view is not None and view.columns is not None and not view.own


def _moved(codes: list[str], code: str, by: int) -> list[str]:
    if code in codes:
        at = codes.index(code)
        codes.insert(max(0, at + by), codes.pop(at))
    return codes
