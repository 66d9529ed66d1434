"""The dashboard: cards that load by themselves, sales over any period, and the report with the numbers.

A card has a time budget and fails alone. Without scripts the page draws all of them at once.
"""

import csv
import io
from collections.abc import Iterator
from datetime import date

from flask import Blueprint, Response, current_app, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.clock import now
from webapp.db import db, time_limit, unit_of_work
from webapp.errors import DeskError, NotFound
from webapp.hooks.fence import ask
from webapp.i18n import gettext as _, pgettext
from webapp.lists.saved_views import set_start_view, split_start_view
from webapp.lists.subjects import subjects
from webapp.reporting.contract import Card
from webapp.reporting.figures import Sales, sales_of
from webapp.ui.desk import sales
from webapp.ui.desk.cards import expiring, registered, sales_choices
from webapp.ui.frame import unscripted
from webapp.ui.frame.access import current_actor, may, needs, person
from webapp.ui.frame.formats import zone
from webapp.ui.frame.header_values import attach
from webapp.ui.frame.pages import page, show_times_of, shown_stores
from webapp.ui.frame.redirects import redirect

bp = Blueprint("dashboard", __name__)
DASHBOARD = ""  # the code of the start view that is not a list


@bp.get("/")
@needs("orders.view")
def home() -> AnyResponse:
    """Redirect to this person's start view: the dashboard, or the list that they chose."""
    subject, code = split_start_view(_start_view())
    seen = subjects().get(subject) if code else None  # it may have been a plugin's, or the right to it gone
    there = seen is not None and may(seen.right) and f"{subject}.index" in current_app.view_functions
    return redirect(url_for(f"{subject}.index", view=code) if there else url_for(".index"))


@bp.get("/dashboard/")
@needs("orders.view")
def index() -> str:
    """The dashboard; without scripts it contains its cards instead of letting them load."""
    show_times_of(shown_stores())
    cards = registered(current_actor())
    whole = unscripted.whole()
    drawn = {code: _drawn(card) for code, card in cards.items()} if whole else {}
    return page(
        "desk/dashboard/index.html",
        cards=list(cards.values()),
        drawn=drawn,
        whole=whole,
        asked=_asked(),
        has_stores=bool(shown_stores()),
        expiring=expiring(),
        starts_here=_start_view() == DASHBOARD,
    )


@bp.get("/dashboard/cards/<code>")
@needs("orders.view")
def card(code: str) -> str:
    """One card; if it fails, an error is shown in its place."""
    cards = registered(current_actor())
    if code not in cards:
        raise NotFound(name=code)
    return _drawn(cards[code])


@bp.post("/dashboard/start")
@needs("orders.view")
def start() -> AnyResponse:
    """Make the dashboard this person's start view."""
    with unit_of_work():
        set_start_view(DASHBOARD, actor=current_actor())
    return redirect(url_for(".index"))


def _start_view() -> str:
    someone = person()
    return someone.start_view if someone else DASHBOARD


def _drawn(card: Card) -> str:
    body, problem = "", ""
    try:
        with time_limit(card.seconds):
            body = ask(card, "card", card.render, current_actor(), gives=str, seconds=card.seconds, raises=DeskError)
    except DeskError as error:
        db.session.rollback()
        problem = str(error)
    return render_template("desk/dashboard/_card.html", card=card, body=body, problem=problem, args=_asked())


def _asked() -> dict[str, str]:
    """The sales that the page's address asks for."""
    return {name: request.args[name] for name in sales.NAMES if name in request.args}


# --- The report -------------------------------------------------------------------------------------------------------


@bp.get("/dashboard/report")
@needs("orders.view")
def report() -> str:
    """Orders, units and sales by interval, over any period."""
    show_times_of(shown_stores())
    wanted = sales.asked(request.args, _today())
    facts = sales.shown(current_actor(), wanted)
    return page(
        "desk/dashboard/report.html", **facts, **sales_choices(wanted), page=".report", may_export=may("orders.export")
    )


@bp.get("/dashboard/report.csv")
@needs("orders.export")
def report_csv() -> Response:
    """The report as a CSV file; no cell of it can be read as a formula by a spreadsheet."""
    show_times_of(shown_stores())
    wanted = sales.asked(request.args, _today())
    if wanted.problem is not None:
        raise wanted.problem
    times = [(wanted.since, wanted.until)]
    [found] = sales_of(current_actor(), times, by=wanted.by, scope=wanted.scope)
    name = f"orders-{wanted.since:%Y%m%d}-{wanted.until:%Y%m%d}.csv"
    response = Response("".join(_lines(found)), mimetype="text/csv")
    attach(response, name)
    return response


def _lines(found: Sales) -> Iterator[str]:
    """Dates, whole numbers and plain amounts: nothing that a person typed, so nothing that could be a formula."""
    written = io.StringIO()
    table = csv.writer(written)
    amounts = [_("Sales in %(currency)s", currency=currency) for currency in found.currencies]
    table.writerow(
        ["\ufeff" + _("First day"), _("Last day"), _("Orders"), _("Units"), pgettext("orders", "Canceled"), *amounts]
    )
    for step in found.steps.values():
        totals = [step.total(currency) for currency in found.currencies]
        table.writerow([step.start, step.end, step.orders, step.units, step.canceled, *totals])
    sums = [found.totals[currency].total for currency in found.currencies]
    table.writerow([found.since, found.until, found.orders, found.units, found.canceled, *sums])
    yield written.getvalue()


def _today() -> date:
    return now().astimezone(zone()).date()
