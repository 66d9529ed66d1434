"""Packing slips of one order or of many, as pages that a browser prints and as PDF."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

from flask import Blueprint, Response, flash, g, render_template, request, url_for
from markupsafe import Markup
from sqlalchemy.orm import selectinload
from werkzeug.wrappers import Response as AnyResponse

from webapp.channels.logos import picture_of
from webapp.clock import now
from webapp.db import unit_of_work
from webapp.documents import bars, packing, pdf, print_runs
from webapp.documents.composed import PAPERS, Document, texts
from webapp.documents.letters import Drawing, name_of, named, without_font
from webapp.documents.packing import Slips
from webapp.errors import NotFound
from webapp.i18n import gettext as _
from webapp.jobs import runs
from webapp.orders.bulk import NothingChosen
from webapp.orders.models import Order
from webapp.orders.queries import find_order, reference
from webapp.sync import fresh_facts
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.header_values import attach
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect
from webapp.ui.lists.attention import attention_of
from webapp.ui.lists.chosen import Chosen
from webapp.ui.orders import shown
from webapp.ui.orders.order_page import url_of

bp = Blueprint("documents", __name__)
PDF = "application/pdf"
_LETTERS = 8  # letters without a font that are named for one order


@bp.get("/orders/<number>/packing-slip")
@needs("orders.view")
def packing_slip(number: str) -> str:
    """The packing slip of one order, or of one of its packages."""
    order, found, package = _of_order(number)
    as_pdf = url_for(".packing_slip_pdf", number=reference(order), package=package, paper=chosen_paper() or None)
    return _page(found, url_of(order), Chosen(ids=[order.id]), as_pdf, package)


@bp.get("/orders/<number>/packing-slip.pdf")
@needs("orders.view")
def packing_slip_pdf(number: str) -> AnyResponse:
    """The packing slip of one order, or of one of its packages, as PDF."""
    actor = current_actor()
    order, found, package = _of_order(number)
    for _order, refusal in found.refused:
        raise refusal
    file = io.BytesIO()
    documents = [packing.composed_slip(slip, chosen_paper()) for slip in found.slips]
    pdf.draw(documents, file, lambda logo: picture_of(logo, actor))
    response = Response(file.getvalue(), mimetype=PDF)
    attach(response, f"packing-slip-{order.number or order.id}{f'-{package}' if package else ''}.pdf")
    return response


def _of_order(number: str) -> tuple[Order, Slips, int | None]:
    """The order, its slips or that of the requested package, and the number of this package.

    Raises `NotFound` if the order has no such package.
    """
    actor, package = current_actor(), request.args.get("package", type=int)
    order = find_order(number, actor, selectinload(Order.lines))
    if read_again([order]):
        order = find_order(number, actor, selectinload(Order.lines))
    found = packing.slips_of(actor, [order], package=package)
    if not (found.slips or found.refused):
        raise NotFound(name=package)
    return order, found, package


def read_again(orders: Sequence[Order]) -> bool:
    """Have the orders read again whose facts are too old, and say so if no answer came in time. Returns whether any
    were: then what was loaded of the orders before may be outdated.
    """
    ids = [order.id for order in orders]
    if not fresh_facts.too_old(ids, now()):
        return False
    if not fresh_facts.wait_for(ids):
        flash(_("The channel did not answer in time. This page shows the data of the last sync."), "warn")
    return True


@bp.get("/orders/packing-slips")
@needs("orders.view")
def packing_slips() -> str | AnyResponse:
    """The packing slips of the orders that were chosen in the list."""
    actor, chosen = current_actor(), Chosen.read()
    if not (chosen.everything or chosen.ids):
        flash(str(NothingChosen()), "warn")
        return redirect(chosen.list_url())
    where = chosen.where(actor)
    orders = packing.orders_to_print(actor, **where)
    if read_again(orders):
        orders = packing.orders_to_print(actor, **where)
    return _page(packing.slips_of(actor, orders), chosen.back_url, chosen)


@bp.post("/orders/packing-slips/pdf")
@needs("orders.view")
def start_pdf() -> AnyResponse:
    """Start a run that makes a PDF of the packing slips of the chosen orders, and redirect to it."""
    actor, chosen = current_actor(), Chosen.read()
    ids: list[int] = []
    if chosen.everything or chosen.ids:
        ids = packing.chosen_ids(actor, **chosen.where(actor), most=print_runs.MOST)
    if not ids:
        flash(str(NothingChosen()), "warn")
        return redirect(chosen.list_url())
    with unit_of_work():
        run_id = print_runs.start_print(actor=actor, ids=ids, paper=chosen_paper()).id
    return redirect(url_for("runs.show", run_id=run_id))


@bp.get("/runs/<int(max=2147483647):run_id>/document")
@needs("orders.view")
def fetch(run_id: int) -> AnyResponse:
    """The PDF of a run, for the person who started the run."""
    run = runs.find_run(run_id)
    file = print_runs.open_file(run, current_actor())
    response = Response(file.chunks(), mimetype=PDF)
    response.call_on_close(file.close)  # also if the client doesn't read to the end
    response.content_length = file.size
    attach(response, f"{print_runs.printed_by(run).file_name}-{now():%Y-%m-%d-%H%M}.pdf")
    return response


def _page(found: Slips, back: str, chosen: Chosen, as_pdf: str = "", package: int | None = None) -> str:
    g.has_practice = any(order.store.practice for order in found.orders)
    paper = chosen_paper()
    documents = [(slip.order, packing.composed_slip(slip, paper)) for slip in found.slips]
    unprinted = {drawing: list(_without_font(documents, drawing)) for drawing in Drawing}
    on_page = {order.id for order, _letters in unprinted[Drawing.PAGE]}
    return page(
        "lists/documents/packing_slips.html",
        slips=[drawn(document) for _order, document in documents],
        refused=[(shown.ShownOrder(order), refusal) for order, refusal in found.refused],
        unprinted=unprinted[Drawing.PAGE],
        not_in_pdf=[(order, letters) for order, letters in unprinted[Drawing.PDF] if order.id not in on_page],
        attention=attention_of(list({slip.order.id: slip.order for slip in found.slips if not slip.again}.values())),
        more=found.more,
        most=packing.MOST,
        most_in_pdf=print_runs.MOST,
        chosen_paper=paper,
        back=back,
        chosen=chosen,
        as_pdf=as_pdf,
        package=package,
        papers={code: paper.label for code, paper in PAPERS.items()},
        paper=paper or (found.slips[0].paper if found.slips else "a4"),
    )


def _without_font(
    documents: Sequence[tuple[Order, Document]], drawing: Drawing
) -> Iterator[tuple[shown.ShownOrder, list[str]]]:
    """The orders whose documents have letters without a font in this drawing, with the names of these letters."""
    for order, document in documents:
        if letters := without_font(texts(document), drawing):
            more = ["…"] if len(letters) > _LETTERS else []
            yield shown.ShownOrder(order), [name_of(letter) for letter in letters[:_LETTERS]] + more


def chosen_paper() -> str:
    """The requested paper; empty if each slip is for the paper of its country."""
    wanted = request.values.get("paper", "")
    return wanted if wanted in PAPERS else ""


def drawn(document: Document) -> Markup:
    """A document as a part of a page; letters that none of the desk's fonts has are replaced by their numbers."""
    return Markup(render_template("lists/documents/_document.html", document=document))  # noqa: S704 - by a template


@bp.app_template_filter("named")
def _named(text: str) -> str:
    return named(str(text), Drawing.PAGE)


@bp.app_template_global("bars")
def _bars(text: str, paper: str) -> dict[str, Any] | None:
    """A Code 128 as rectangles of an SVG, in units of the narrowest bar; None if the text can't be drawn as bars."""
    thinnest = bars.thinnest(text, PAPERS[paper].room_for_bars)
    if not thinnest:
        return None
    at, found = bars.QUIET, []
    for place, width in enumerate(bars.widths(text)):
        if place % 2 == 0:
            found.append((at, width))
        at += width
    modules = at + bars.QUIET
    return {"bars": found, "modules": modules, "width": f"{modules * thinnest:g}", "height": bars.HEIGHT}
