"""The list of invoices in the browser, and invoices as pages that a browser prints, and as PDF."""

import io
from collections.abc import Mapping
from html import escape
from typing import Any

from flask import Blueprint, Response, g, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.audit.actor import Actor
from webapp.billing.document_columns import DOCUMENT_COLUMN
from webapp.billing.invoice_list import INVOICE_LIST
from webapp.billing.models import Invoice
from webapp.billing.queries import find_document, get_document
from webapp.channels.logos import picture_of
from webapp.documents import pdf, print_runs, printed
from webapp.documents.composed import PAPERS, Document, texts
from webapp.documents.invoices import compose
from webapp.documents.issued import content_of
from webapp.documents.letters import Drawing as OnPaper, name_of, without_font
from webapp.errors import NotFound
from webapp.lists.contract import PlainRow
from webapp.lists.listing import chosen_ids
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.header_values import attach
from webapp.ui.frame.pages import page
from webapp.ui.lists.cells import Beneath, Draw, Drawing
from webapp.ui.lists.chosen import Chosen
from webapp.ui.lists.documents import PDF, chosen_paper, drawn
from webapp.ui.lists.list_pages import Drawn, ListPages
from webapp.ui.lists.order_cells import OrderDrawing, OrderTable
from webapp.ui.lists.print_pages import invoices_page, nothing_chosen, start_pdf
from webapp.ui.orders.order_page import INVOICES, url_of

bp = Blueprint(INVOICE_LIST.code, __name__)


class InvoiceDrawing(OrderDrawing):
    """Draws the values of invoices; the number is the link to the invoice."""

    def by_code(self) -> Mapping[str, Draw]:
        return {**super().by_code(), DOCUMENT_COLUMN: self._invoice}

    def _invoice(self, row: PlainRow, value: Any) -> str:
        return f'<a class="number" href="{escape(url_for(".show", invoice_id=row.id))}">{escape(value)}</a>'


class InvoiceTable(OrderTable):
    """Draws the rows of invoices; columns of orders are drawn as in the list of orders."""

    def is_dim(self, row: PlainRow) -> bool:
        return False

    def drawing(self) -> Drawing:
        return InvoiceDrawing()

    def beneath(self, code: str) -> Beneath | None:
        return super().beneath(code) if code != "units" else None


class InvoicePages(ListPages):
    """The pages of the list of invoices."""

    table = InvoiceTable
    prints = True

    def add_to(self, bp: Blueprint) -> None:
        super().add_to(bp)
        self.serve(bp, "GET", "/print", self.print_chosen)
        self.serve(bp, "POST", "/print", self.start_pdf)

    def print_chosen(self) -> Drawn:
        """The chosen invoices to print, in the order of the list."""
        chosen = Chosen.read(self.subject)
        ids = self._chosen_ids(chosen)
        if not ids:
            return nothing_chosen(chosen)
        more = len(ids) > print_runs.MOST
        return invoices_page(ids, chosen, chosen.back_url, pdf_url=url_for(".start_pdf"), more=more)

    def start_pdf(self) -> AnyResponse:
        """Start a run that makes a PDF of the chosen invoices, and redirect to it."""
        chosen = Chosen.read(self.subject)
        return start_pdf(printed.INVOICES, self._chosen_ids(chosen), chosen)

    def url_of_number(self, text: str, actor: Actor) -> str:
        """The URL of the invoice, if the text is the number of one."""
        try:
            return url_for(".show", invoice_id=find_document(text, actor, Invoice).id)
        except NotFound:
            return ""

    def _chosen_ids(self, chosen: Chosen) -> list[int]:
        """The chosen invoices, at most one more than a PDF is made from."""
        if not (chosen.everything or chosen.ids):
            return []
        actor = current_actor()
        return chosen_ids(self.subject, actor, **chosen.where(actor), limit=print_runs.MOST + 1)


@bp.get("/invoices/<int(max=2147483647):invoice_id>")
@needs("orders.view")
def show(invoice_id: int) -> str:
    """The invoice as it is printed."""
    invoice = get_document(invoice_id, current_actor(), Invoice)
    g.has_practice = invoice.order.store.practice
    document = _document(invoice)
    return page(
        "lists/documents/invoice.html",
        number=invoice.number,
        document=drawn(document),
        letters=[name_of(letter) for letter in without_font(texts(document), OnPaper.PAGE)],
        back=url_of(invoice.order, INVOICES),
        papers={code: paper.label for code, paper in PAPERS.items()},
        paper=document.paper,
        as_pdf=url_for(".show_pdf", invoice_id=invoice.id, paper=chosen_paper() or None),
    )


@bp.get("/invoices/<int(max=2147483647):invoice_id>.pdf")
@needs("orders.view")
def show_pdf(invoice_id: int) -> AnyResponse:
    """The invoice as PDF."""
    actor = current_actor()
    invoice, file = get_document(invoice_id, actor, Invoice), io.BytesIO()
    pdf.draw([_document(invoice)], file, lambda logo: picture_of(logo, actor))
    response = Response(file.getvalue(), mimetype=PDF)
    attach(response, f"{invoice.number}.pdf")
    return response


def _document(invoice: Invoice) -> Document:
    return compose(content_of(invoice, current_actor(), chosen_paper()))


InvoicePages(INVOICE_LIST).add_to(bp)
