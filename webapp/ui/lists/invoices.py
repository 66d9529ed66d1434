"""An issued invoice as a page that a browser prints, and as PDF."""

import io

from flask import Blueprint, Response, g, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.billing.models import Invoice
from webapp.billing.queries import get_document
from webapp.channels.logos import picture_of
from webapp.documents import pdf
from webapp.documents.composed import PAPERS, Document, texts
from webapp.documents.invoices import compose
from webapp.documents.issued import content_of
from webapp.documents.letters import Drawing, name_of, without_font
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.header_values import attach
from webapp.ui.frame.pages import page
from webapp.ui.lists.documents import PDF, chosen_paper, drawn
from webapp.ui.orders.order_page import INVOICES, url_of

bp = Blueprint("invoices", __name__, url_prefix="/invoices")


@bp.get("/<int(max=2147483647):invoice_id>")
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
        letters=[name_of(letter) for letter in without_font(texts(document), Drawing.PAGE)],
        back=url_of(invoice.order, INVOICES),
        papers={code: paper.label for code, paper in PAPERS.items()},
        paper=document.paper,
        as_pdf=url_for(".show_pdf", invoice_id=invoice.id, paper=chosen_paper() or None),
    )


@bp.get("/<int(max=2147483647):invoice_id>.pdf")
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
