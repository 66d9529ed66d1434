"""Documents of chosen orders to print: invoices, credit memos, a pick list and return slips.

Packing slips have their own page.

A page shows the first documents, for the browser to print. The PDF of all is made by a run; a pick list and the
documents of one order are drawn in the request.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, flash, g, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.billing.models import CreditMemo, Invoice
from webapp.billing.queries import document_ids_of, documents_by_id
from webapp.channels.logos import picture_of
from webapp.clock import now
from webapp.db import unit_of_work
from webapp.documents import pdf, pick_list, print_runs, printed, return_slips
from webapp.documents.composed import PAPERS, Document, texts
from webapp.documents.letters import Drawing, name_of, without_font
from webapp.errors import DeskError, Refusal
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l, ngettext
from webapp.lists.listing import chosen_ids
from webapp.orders.bulk import NothingChosen
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.queries import find_order, orders_by_id, reference
from webapp.returns.queries import return_of
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.formats import zone
from webapp.ui.frame.header_values import attach
from webapp.ui.frame.languages import language
from webapp.ui.frame.pages import page, show_times_of, shown_stores
from webapp.ui.frame.redirects import redirect
from webapp.ui.lists.chosen import Chosen
from webapp.ui.lists.documents import PDF, bp, chosen_paper, drawn, read_again
from webapp.ui.orders import shown
from webapp.ui.orders.order_page import OVERVIEW, RETURNS, url_of

SHOWN = 200  # documents on one page
_NAMED = 50  # orders without a document that a page names


class NoInvoiceYet(Refusal):
    code = "no_invoice_yet"
    sentence = _l("This order has no issued invoice yet.")


class NoCreditMemoYet(Refusal):
    code = "no_credit_memo_yet"
    sentence = _l("This order has no issued credit memo yet.")


# --- Invoices and credit memos ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Issued:
    """A kind of issued documents: its model, the code of its runs, and what the pages of many say."""

    model: type[Invoice] | type[CreditMemo]
    printed: str
    counted: Callable[[int], str]
    missing: Refusal  # why an order has no document of this kind
    nothing: LazyString  # if none of the orders has one


ISSUED_INVOICES = Issued(
    Invoice,
    printed.INVOICES,
    lambda count: ngettext("%(num)s invoice", "%(num)s invoices", count),
    NoInvoiceYet(),
    _l("None of these orders has an invoice yet."),
)
ISSUED_MEMOS = Issued(
    CreditMemo,
    printed.CREDIT_MEMOS,
    lambda count: ngettext("%(num)s credit memo", "%(num)s credit memos", count),
    NoCreditMemoYet(),
    _l("None of these orders has a credit memo yet."),
)


@bp.get("/orders/invoices")
@needs("orders.view")
def invoices() -> str | AnyResponse:
    """All invoices of the chosen orders, in the order of the list."""
    return _of_orders(ISSUED_INVOICES, ".start_invoices_pdf")


@bp.post("/orders/invoices/pdf")
@needs("orders.view")
def start_invoices_pdf() -> AnyResponse:
    """Start a run that makes a PDF of all invoices of the chosen orders, and redirect to it."""
    return _start_pdf_of_orders(ISSUED_INVOICES)


@bp.get("/orders/credit-memos")
@needs("orders.view")
def credit_memos() -> str | AnyResponse:
    """All issued credit memos of the chosen orders, in the order of the list."""
    return _of_orders(ISSUED_MEMOS, ".start_credit_memos_pdf")


@bp.post("/orders/credit-memos/pdf")
@needs("orders.view")
def start_credit_memos_pdf() -> AnyResponse:
    """Start a run that makes a PDF of all issued credit memos of the chosen orders, and redirect to it."""
    return _start_pdf_of_orders(ISSUED_MEMOS)


def _of_orders(kind: Issued, start_endpoint: str) -> str | AnyResponse:
    actor, chosen = current_actor(), Chosen.read()
    order_ids = ids_to_print(chosen)
    if not order_ids:
        return nothing_chosen(chosen)
    by_order = document_ids_of(kind.model, order_ids)
    ids = [id_ for order_id in order_ids for id_ in by_order[order_id]]
    without = [order_id for order_id in order_ids if not by_order[order_id]]
    left_out = sorted(orders_by_id(without[:_NAMED], actor), key=lambda order: without.index(order.id))
    return issued_page(
        kind,
        ids,
        chosen,
        pdf_url=url_for(start_endpoint),
        refused=[(order, kind.missing) for order in left_out],
        left_out=len(without),
        more=len(order_ids) > print_runs.MOST,
    )


def _start_pdf_of_orders(kind: Issued) -> AnyResponse:
    chosen = Chosen.read()
    order_ids = ids_to_print(chosen)
    by_order = document_ids_of(kind.model, order_ids)
    return start_pdf(kind.printed, [id_ for order_id in order_ids for id_ in by_order[order_id]], chosen)


def issued_page(
    kind: Issued,
    ids: Sequence[int],
    chosen: Chosen,
    *,
    pdf_url: str,
    refused: Sequence[tuple[Order, DeskError]] = (),
    left_out: int = 0,
    more: bool = False,
) -> str:
    """The page of these documents, of which it shows the first; those without a number are left out, and those that
    don't add up.
    """
    actor = current_actor()
    found = documents_by_id(kind.model, ids[:SHOWN], actor)
    composed = printed.compose_issued(found, actor, chosen_paper())
    not_printed = [(row.order, composed.refused[row.id]) for row in found if row.id in composed.refused]
    return sheets_page(
        kind.counted(len(ids) - len(not_printed)),
        [one.document for one in composed.documents],
        [row.order for row in found if row.id not in composed.refused],
        chosen,
        chosen.back_url,
        pdf_url=pdf_url,
        hidden=len(ids) - len(found),
        nothing=str(kind.nothing),
        refused=[*not_printed, *refused],
        left_out=len(not_printed) + left_out,
        more=more,
    )


# --- The pick list ----------------------------------------------------------------------------------------------------


@bp.get("/orders/pick-list")
@needs("orders.view")
def picking() -> str | AnyResponse:
    """What has to be fetched for the chosen orders."""
    chosen = Chosen.read()
    found = _pick_list(chosen)
    if found is None:
        return nothing_chosen(chosen)
    documents = [_pick_document(found)] if found.picks else []
    return sheets_page(
        _("Pick list"),
        documents,
        found.orders,
        chosen,
        chosen.back_url,
        pdf_url=url_for(".picking_pdf", **_args(chosen)),
        posts=False,
        refused=found.refused,
        left_out=len(found.refused),
        more=found.more,
        nothing=_("None of these orders has anything to pack now."),
    )


@bp.get("/orders/pick-list.pdf")
@needs("orders.view")
def picking_pdf() -> AnyResponse:
    """The pick list of the chosen orders as PDF."""
    chosen = Chosen.read()
    found = _pick_list(chosen)
    if found is None or not found.picks:
        return nothing_chosen(chosen)
    return _as_pdf([_pick_document(found)], f"pick-list-{now():%Y-%m-%d-%H%M}.pdf")


def _pick_list(chosen: Chosen) -> pick_list.PickList | None:
    """The pick list of the choice; None if nothing is chosen."""
    actor = current_actor()
    if not (chosen.everything or chosen.ids):
        return None
    where = chosen.where(actor)
    orders = pick_list.orders_to_pick(actor, **where)
    if read_again(orders):
        orders = pick_list.orders_to_pick(actor, **where)
    return pick_list.pick_list_of(actor, orders) if orders else None


def _pick_document(found: pick_list.PickList) -> Document:
    show_times_of(shown_stores())
    paper = chosen_paper() or pick_list.usual_paper(found)
    return pick_list.composed_list(found, paper, now().astimezone(zone()), language())


def _args(chosen: Chosen) -> dict[str, Any]:
    """The choice as arguments of a URL."""
    args: dict[str, Any] = {"paper": chosen_paper() or None}
    for name, value in chosen.fields:
        args.setdefault(name, [])
        args[name] = [*args[name], value]
    return args


# --- Return slips -----------------------------------------------------------------------------------------------------


@bp.get("/orders/<number>/return-slip")
@needs("orders.view")
def return_slip(number: str) -> str:
    """The return slip of one order, or of one of its returns."""
    order, coming = _with_slip(number)
    about = request.args.get("return_id")
    return sheets_page(
        _("Return slip"),
        [return_slips.composed_slip(order, chosen_paper(), coming)],
        [order],
        Chosen(ids=[order.id]),
        url_of(order, RETURNS if coming else OVERVIEW),
        pdf_url=url_for(".return_slip_pdf", number=reference(order), return_id=about, paper=chosen_paper() or None),
        posts=False,
    )


@bp.get("/orders/<number>/return-slip.pdf")
@needs("orders.view")
def return_slip_pdf(number: str) -> AnyResponse:
    """The return slip of one order, or of one of its returns, as PDF."""
    order, coming = _with_slip(number)
    document = return_slips.composed_slip(order, chosen_paper(), coming)
    return _as_pdf([document], f"return-slip-{coming.number if coming else order.number or order.id}.pdf")


@bp.get("/orders/return-slips")
@needs("orders.view")
def return_slips_of_many() -> str | AnyResponse:
    """The return slips of the chosen orders, in the order of the list."""
    actor, chosen = current_actor(), Chosen.read()
    ids = ids_to_print(chosen)
    if not ids:
        return nothing_chosen(chosen)
    orders = return_slips.orders_with_slips(actor, ids[:SHOWN])
    refused = [(order, why) for order in orders if (why := return_slips.return_refusal(order)) is not None]
    left_out = {order.id for order, _why in refused}
    slips = [order for order in orders if order.id not in left_out]
    return sheets_page(
        ngettext("%(num)s return slip", "%(num)s return slips", len(ids) - len(refused)),
        [return_slips.composed_slip(order, chosen_paper()) for order in slips],
        slips,
        chosen,
        chosen.back_url,
        pdf_url=url_for(".start_return_slips_pdf"),
        hidden=len(ids) - len(orders),
        refused=refused,
        left_out=len(refused),
        more=len(ids) > print_runs.MOST,
        nothing=_("None of these orders has anything to return."),
    )


@bp.post("/orders/return-slips/pdf")
@needs("orders.view")
def start_return_slips_pdf() -> AnyResponse:
    """Start a run that makes a PDF of the return slips of the chosen orders, and redirect to it."""
    chosen = Chosen.read()
    return start_pdf(printed.RETURN_SLIPS, ids_to_print(chosen), chosen)


def _with_slip(number: str) -> tuple[Order, return_slips.Announced | None]:
    """The order, and the return that the request names, as the slip shows it."""
    actor = current_actor()
    [order] = return_slips.orders_with_slips(actor, [find_order(number, actor).id])
    if why := return_slips.return_refusal(order):
        raise why
    named = request.args.get("return_id", type=int)
    return order, None if named is None else return_slips.announced(return_of(order, named))


# --- Pages and files --------------------------------------------------------------------------------------------------


def sheets_page(
    title: str,
    documents: Sequence[Document],
    orders: Sequence[Order],
    chosen: Chosen,
    back: str,
    *,
    pdf_url: str,
    posts: bool = True,
    refused: Sequence[tuple[Order, DeskError]] = (),
    left_out: int = 0,
    hidden: int = 0,
    more: bool = False,
    nothing: str = "",
) -> str:
    """A page of documents to print.

    `posts`: the PDF is made by a run, which a form starts. `left_out` counts the orders without a document, of which
    `refused` has the first; `hidden`, the documents that only the PDF has; `more`: there are more than a PDF can have.
    """
    g.has_practice = any(order.store.practice for order in orders)
    letters = {letter for document in documents for letter in without_font(texts(document), Drawing.PAGE)}
    return page(
        "lists/documents/sheets.html",
        title=title,
        sheets=[drawn(document) for document in documents],
        letters=[name_of(letter) for letter in sorted(letters)],
        refused=[(shown.ShownOrder(order), why) for order, why in refused[:_NAMED]],
        left_out=left_out,
        hidden=hidden,
        more=more,
        most=print_runs.MOST,
        nothing=nothing,
        back=back,
        chosen=chosen,
        pdf_url=pdf_url,
        posts=posts,
        return_id=request.args.get("return_id", type=int),
        papers={code: paper.label for code, paper in PAPERS.items()},
        chosen_paper=chosen_paper(),
        paper=documents[0].paper if documents else "a4",
    )


def start_pdf(what: str, ids: Sequence[int], chosen: Chosen) -> AnyResponse:
    """Start a run that prints these rows, and redirect to it."""
    if not ids:
        return nothing_chosen(chosen)
    with unit_of_work():
        run_id = print_runs.start_print(what, actor=current_actor(), ids=ids, paper=chosen_paper()).id
    return redirect(url_for("runs.show", run_id=run_id))


def ids_to_print(chosen: Chosen) -> list[int]:
    """The chosen rows in the order of the list, at most one more than a PDF is made from."""
    if not (chosen.everything or chosen.ids):
        return []
    actor = current_actor()
    return chosen_ids(chosen.subject, actor, **chosen.where(actor), limit=print_runs.MOST + 1)


def nothing_chosen(chosen: Chosen) -> AnyResponse:
    """Say that nothing is chosen, on the page of the list."""
    flash(str(NothingChosen() if chosen.subject is ORDER_LIST else chosen.subject.words.choose), "warn")
    return redirect(chosen.list_url())


def _as_pdf(documents: Sequence[Document], name: str) -> AnyResponse:
    actor, file = current_actor(), io.BytesIO()
    pdf.draw(documents, file, lambda logo: picture_of(logo, actor))
    response = Response(file.getvalue(), mimetype=PDF)
    attach(response, name)
    return response
