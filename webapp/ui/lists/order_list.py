"""The list of orders in the browser: every order of every store, as it was asked for and laid out.

Saved views have routes of their own in `saved_views`, acts on many orders in `bulk`.
"""

from dataclasses import replace
from time import monotonic
from typing import Any

from flask import Response, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import time_limit, unit_of_work
from webapp.errors import DeskError, Forbidden, NotFound, SeveralFit, TooSlow
from webapp.i18n import gettext as _
from webapp.lists.listing import CAP, Slice, key_of, list_page, newer_than
from webapp.lists.saved_views import (
    Kept,
    View,
    forget_layout,
    keep_columns,
    kept_for,
    layout_in,
    may_show,
    remember_layout,
    remember_sort,
    shown_columns,
)
from webapp.orders.listing import ORDER_LIST
from webapp.orders.queries import find_order, orders_by_id, reference
from webapp.orders.standing_views import CARDS, STANDING
from webapp.search.completion import complete as completions
from webapp.search.query import keep, reopen
from webapp.search.registered import list_columns
from webapp.ui.frame import htmx, unscripted
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.failures import shown_again
from webapp.ui.frame.pages import page, parts, show_times_of, shown_stores
from webapp.ui.frame.redirects import redirect
from webapp.ui.lists import chips, counts
from webapp.ui.lists.asked import ListAsked, find_view
from webapp.ui.lists.cells import Table, heads
from webapp.ui.orders.order import bp

Drawn = str | tuple[str, int] | AnyResponse
SECONDS = 1.5
_BEFORE_ALL = "1970-01-01T00:00:00Z~0"
_LAID = ("column", "move", "reset")  # what a form lays columns out with, beside their widths


@bp.get("/orders/")
@needs("orders.view")
def index() -> Drawn:
    """A page of the orders that are asked for; where the question can't be answered, what is wrong with it."""
    actor = current_actor()
    show_times_of(shown_stores())
    kept, until = kept_for(actor, request.args.get("w", "")), monotonic() + SECONDS
    try:
        with time_limit(SECONDS):
            asked = ListAsked.read(kept, actor)
    except TooSlow as slow:
        asked = ListAsked(text=request.args.get("q", ""), token=request.args.get("w", ""), problem=slow)
    return _list_page(asked, kept, actor, until)


def _list_page(asked: ListAsked, kept: Kept, actor: Actor, until: float | None = None) -> Drawn:
    """The page of a list; until when it may be looked for, reading what is asked for included."""
    found, until = Slice([], None, None), until or monotonic() + SECONDS
    if asked.problem is None and not asked.sealed_view:
        try:
            with time_limit(until - monotonic()):
                found = list_page(
                    ORDER_LIST, actor, asked.compiled, sort=asked.sort, after=asked.after, before=asked.before
                )
        except TooSlow as slow:
            asked = replace(asked, problem=slow)
    context = _rows(asked, kept, found, actor) | _around(asked, kept, found, actor, until)
    if htmx.is_htmx() and not asked.problem:  # the ways on, and the news since, are those of the rows that are shown
        beside = ["lists/_pager.html", *(["lists/_news.html"] if context["news_url"] else [])]
        return parts("lists/_rows.html", *beside, **context)
    drawn = page("lists/index.html", problem=asked.problem, **context)
    return (drawn, asked.problem.status) if asked.problem else drawn


def _rows(asked: ListAsked, kept: Kept, found: Slice, actor: Actor) -> dict[str, Any]:
    shown = shown_columns(kept.layout, list_columns(), actor, asked.view)
    ticked = asked.chosen
    table = Table(found.rows, shown, actor, asked.view.code if asked.view else "", ticked.ids)
    return {
        "rows": table.rows,
        "chosen": ticked,
        "heads": heads(shown, asked.sort),
        "width": sum(width for _, width in shown),
        "dense": kept.layout.dense,
        "fixed": _fixed(asked.view),
        "rows_url": asked.url(after=asked.after, before=asked.before),
    }


def _around(asked: ListAsked, kept: Kept, found: Slice, actor: Actor, until: float) -> dict[str, Any]:
    views = (*STANDING, *kept.views)
    cards = [{"card": card, "url": url_for(".index", q=card.query, sort=card.sort or None)} for card in CARDS]
    whole = unscripted.whole()
    texts = _counted(kept) | ({} if asked.problem or asked.sealed_view else {"found": str(asked.query)})
    known = counts.counts(texts, actor, until) if whole else counts.known_counts(texts, actor)
    return {
        "asked": asked,
        "whole": whole,
        "search_text": asked.text,
        "search_mistaken": asked.problem is not None and asked.problem.code == "query_mistake",
        "newer_url": asked.url(before=found.newer) if found.newer else None,
        "older_url": asked.url(after=found.older) if found.older else None,
        "news_url": url_for(".news", since=key_of(ORDER_LIST, found.rows[0]) if found.rows else _BEFORE_ALL)
        if asked.plain
        else None,
        "news": 0,
        "count_url": asked.url("orders.count"),
        "found": known.get("found"),
        "found_count": known["found"].shown if "found" in known else None,
        "chips": chips.chips_of(asked, actor),
        "cards": cards,
        "counts": known,
        "views": views,
        "start_view": kept.start_view,
        "has_stores": bool(shown_stores()),
    }


@bp.get("/orders/news")
@needs("orders.view")
def news() -> str:
    """How many orders came in since the page was drawn."""
    since = request.args.get("since", _BEFORE_ALL)
    found = newer_than(ORDER_LIST, current_actor(), since)
    return page("lists/_news.html", asked=ListAsked(), news=found, news_url=url_for(".news", since=since))


@bp.get("/orders/rows/<int(max=2147483647):order_id>")
@needs("orders.view")
def row(order_id: int) -> str:
    """One row of the list as it is now."""
    actor = current_actor()
    show_times_of(shown_stores())
    kept = kept_for(actor)
    found = orders_by_id([order_id], actor)
    if not found:
        raise NotFound(name=f"@{order_id}")
    view = find_view(request.args.get("view", ""), kept.views)
    chosen = shown_columns(kept.layout, list_columns(), actor, view)
    [drawn] = Table(found, chosen, actor, view.code if view else "").rows
    return drawn


# --- How many ---------------------------------------------------------------------------------------------------------


@bp.get("/orders/count")
@needs("orders.view")
def count() -> str:
    """How many orders the list finds; asked for after the page."""
    actor = current_actor()
    show_times_of(shown_stores())
    asked = ListAsked.read(kept_for(actor), actor)
    found = counts.counts({"found": str(asked.query)}, actor).get("found") if not asked.problem else None
    return render_template("lists/_count.html", found=found, cap=CAP)


@bp.get("/orders/counts")
@needs("orders.view")
def all_counts() -> str:
    """How many orders stand in each card and view; asked for after the page."""
    actor = current_actor()
    show_times_of(shown_stores())
    kept = kept_for(actor)
    asked_at = now()
    known = counts.counts(_counted(kept), actor)
    again = counts.counted_again_in(known.values(), asked_at)
    return render_template("lists/_counts.html", counts=known, again=again, views=(*STANDING, *kept.views), cards=CARDS)


def _counted(kept: Kept) -> dict[str, str]:
    """The queries that are counted, by what shows them."""
    texts = {f"card-{card.code}": card.query for card in CARDS}
    for view in (*STANDING, *kept.views):
        try:
            texts[f"view-{view.code}"] = view.text
        except DeskError:  # its words can't be opened any more
            continue
    return texts


# --- Searching --------------------------------------------------------------------------------------------------------


@bp.post("/orders/search")
@needs("orders.view")
@shown_again
def search() -> Drawn:
    """Look for what was typed; the number of one order leads to it. Words that may name a buyer stay out of the URL."""
    actor = current_actor()
    show_times_of(shown_stores())
    kept = kept_for(actor)
    view = find_view(request.form.get("view", ""), kept.views)
    opened = view is not None and "text" not in request.form
    text = view.text if view and opened else request.form.get("text", "")
    if order_url := _number_of_one(text, actor):
        return redirect(order_url)
    asked = ListAsked.typed(text, kept, actor, view)
    if asked.problem:
        return _list_page(asked, kept, actor)
    with unit_of_work():
        _structured, token = keep(asked.query, actor)
    return redirect(replace(asked, token=token).url(), code=303)


def _number_of_one(text: str, actor: Actor) -> str:
    """The page of the order whose whole number this is."""
    number = text.strip().strip('"')
    if not number or len(number) > 60 or any(char.isspace() for char in number):
        return ""
    try:
        order = find_order(number, actor)
    except SeveralFit:
        return url_for(".show", number=number)
    except NotFound:
        return ""
    return url_for(".show", number=reference(order))


@bp.post("/orders/complete")
@needs("orders.view")
def complete() -> str:
    """How the text of the search box may go on where the cursor stands."""
    text = request.form.get("text", "")
    at = min(request.form.get("at", len(text), type=int), len(text))
    show_times_of(shown_stores())
    return render_template("lists/_completions.html", completions=completions(text, at, current_actor()))


@bp.get("/orders/filters")
@needs("orders.view")
def filters() -> str:
    """The filters as a form; it writes a query."""
    actor = current_actor()
    show_times_of(shown_stores())
    asked = ListAsked.read(kept_for(actor), actor)
    return _filters_page(asked, chips.filter_fields(asked.query, actor))


def _filters_page(asked: ListAsked, fields: list[chips.FilterField]) -> str:
    return page("lists/filters.html", part="lists/_filters.html", asked=asked, fields=fields, search_text=asked.text)


@bp.post("/orders/filters")
@needs("orders.view")
def filter_() -> Drawn:
    """Show what the filters ask for; what the form has no field for stays as it was. A field that can't be understood
    is shown again with all the others.
    """
    actor, given = current_actor(), request.form
    show_times_of(shown_stores())
    kept = kept_for(actor)
    query = reopen(given.get("q", ""), given.get("w", ""), actor)
    text = chips.filtered(query, given, actor)
    view = find_view(given.get("view", ""), kept.views)
    asked = ListAsked.typed(text, kept, actor, view)
    if asked.problem:
        fields = chips.sent_fields(given, actor)
        if not any(field.error for field in fields):
            return _list_page(asked, kept, actor)
        before = replace(ListAsked.typed(str(query), kept, actor, view), token=given.get("w", ""))
        return _filters_page(before, fields), asked.problem.status
    with unit_of_work():
        _structured, token = keep(asked.query, actor)
    return redirect(replace(asked, token=token).url(), code=303)


# --- Layout -----------------------------------------------------------------------------------------------------------


@bp.get("/orders/columns")
@needs("orders.view")
def layout() -> str:
    """Which columns the list shows, as a form; of a view that brings its own, those."""
    kept = kept_for(current_actor())
    return page("lists/columns.html", part="lists/_columns.html", **_layout_facts(kept, _laid_out(kept)))


@bp.post("/orders/columns")
@needs("orders.view")
def lay_out() -> AnyResponse:
    """Remember the columns, their order and widths, how dense the rows are, or what to sort by.

    Columns may be a view's; sorting and density are always the person's.
    """
    actor, given = current_actor(), request.form
    with unit_of_work():
        kept = kept_for(actor)
        view = _laid_out(kept)
        if _fixed(view) and any(name in _LAID or name.startswith("width-") for name in given):
            raise Forbidden(right=_("change somebody else's view"))
        if "reset" in given and view:
            keep_columns(view.code, None, actor=actor)
        elif "reset" in given:
            forget_layout(actor)
        elif "sort_by" in given:
            remember_sort(actor, given["sort_by"])
        else:
            _remember(kept, actor, view)
    if "quiet" in given:
        return Response(status=204)
    if not htmx.is_htmx():
        return redirect(url_for(".layout", view=view.code if view else None))
    kept = kept_for(actor)
    response = Response(render_template("lists/_columns.html", **_layout_facts(kept, _laid_out(kept))))
    return htmx.announce(response, "columns-changed")


def _laid_out(kept: Kept) -> View | None:
    """The view whose own columns are laid out; None where they are the person's."""
    view = find_view(request.values.get("view", ""), kept.views)
    return view if view and view.columns is not None else None


def _fixed(view: View | None) -> bool:
    """Whether the list shows the columns of somebody else's view."""
    return view is not None and view.columns is not None and not view.own


def _remember(kept: Kept, actor: Actor, view: View | None) -> None:
    given, known = request.form, list_columns()
    dense = given["dense"] == "1" if "dense" in given else kept.layout.dense
    if _fixed(view):
        remember_layout(actor, kept.layout.columns, dense=dense)
        return
    shown = shown_columns(kept.layout, known, actor, view)
    own = {code: width for code, width in layout_in(kept.layout, view).columns if width}
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
        chosen = list(kept.layout.columns)
    remember_layout(actor, chosen, dense=dense)


def _moved(codes: list[str], code: str, by: int) -> list[str]:
    if code in codes:
        at = codes.index(code)
        codes.insert(max(0, at + by), codes.pop(at))
    return codes


def _layout_facts(kept: Kept, view: View | None) -> dict[str, Any]:
    actor, known = current_actor(), list_columns()
    shown = [column for column, _ in shown_columns(kept.layout, known, actor, view)]
    others = [column for column in known.values() if column not in shown]
    return {
        "view": view,
        "fixed": _fixed(view),
        "shown": shown,
        "others": [column for column in others if may_show(column, actor)],
        "withheld": [column for column in others if not may_show(column, actor)],
        "total": len(known),
        "dense": kept.layout.dense,
        "at": now(),
    }
