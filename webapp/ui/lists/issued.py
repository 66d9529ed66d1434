"""The lists of invoices and of credit memos in the browser, and each document as a page that is printed, and as PDF."""

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from flask import Blueprint, Response, g, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.audit.actor import Actor
from webapp.billing.document_columns import DOCUMENT_COLUMN
from webapp.billing.invoice_list import INVOICE_LIST
from webapp.billing.kept_buyers import ARCHIVE, kept_through
from webapp.billing.memo_list import MEMO_LIST, REFUND
from webapp.billing.memos import refund_refusal
from webapp.billing.models import NEVER_ISSUED, CreditMemo, Invoice
from webapp.billing.queries import find_document, get_document
from webapp.channels.logos import picture_of
from webapp.db import unit_of_work
from webapp.documents import pdf, print_runs
from webapp.documents.composed import PAPERS, texts
from webapp.documents.facturx import facturx_of, facturx_refusal, is_installed
from webapp.documents.invoices import Buyer, InvoiceContent, compose
from webapp.documents.issued import archived_content_of, content_of
from webapp.documents.letters import Drawing as OnPaper, name_of, without_font
from webapp.documents.upload_list import UPLOAD
from webapp.errors import Invalid, NotFound
from webapp.i18n import gettext as _, lazy_gettext as _l
from webapp.lists.contract import PlainRow
from webapp.orders.models import Order
from webapp.orders.queries import reference
from webapp.orders.services import actions
from webapp.ui import forms
from webapp.ui.frame.access import current_actor, may
from webapp.ui.frame.header_values import attach
from webapp.ui.frame.pages import page
from webapp.ui.lists.acts import Act
from webapp.ui.lists.cells import Beneath, Draw, Drawing
from webapp.ui.lists.chosen import Chosen
from webapp.ui.lists.documents import PDF, chosen_paper, drawn
from webapp.ui.lists.list_pages import Drawn, ListPages
from webapp.ui.lists.order_cells import OrderDrawing, OrderTable
from webapp.ui.lists.print_pages import (
    ISSUED_INVOICES,
    ISSUED_MEMOS,
    Issued,
    ids_to_print,
    issued_page,
    nothing_chosen,
    start_pdf,
)
from webapp.ui.orders.order_page import INVOICES, REFUNDS, url_of
from webapp.ui.orders.refunds import REFUND_ACT

bp = Blueprint(INVOICE_LIST.code, __name__)
memos_bp = Blueprint(MEMO_LIST.code, __name__)


@dataclass(frozen=True, slots=True)
class Way:
    """A link to the form of an act, or why it is not possible now."""

    label: str
    icon: str
    url: str
    refusal: str


class IssuedDrawing(OrderDrawing):
    """Draws the values of documents; the number is the link to the document."""

    def by_code(self) -> Mapping[str, Draw]:
        return {**super().by_code(), DOCUMENT_COLUMN: self._document, REFUND: self.pills, UPLOAD: self.pills}

    def empty(self, code: str) -> Beneath:
        """A credit memo that was withdrawn or refused never gets a number."""
        if code != DOCUMENT_COLUMN:
            return super().empty(code)
        yet, never = (f'<span class="muted">{escape(word)}</span>' for word in (_("No number yet"), _("No number")))
        return lambda row: never if row.memo_state in NEVER_ISSUED else yet

    def _document(self, row: PlainRow, value: Any) -> str:
        return f'<a class="number" href="{escape(url_for(".show", document_id=row.id))}">{escape(value)}</a>'


class IssuedTable(OrderTable):
    """Draws the rows of documents; columns of orders are drawn as in the list of orders."""

    def is_dim(self, row: PlainRow) -> bool:
        return False

    def drawing(self) -> Drawing:
        return IssuedDrawing()

    def beneath(self, code: str) -> Beneath | None:
        return super().beneath(code) if code != "units" else None


class IssuedPages(ListPages, ABC):
    """The pages of a list of issued documents, and of each of them."""

    table = IssuedTable
    kind: Issued
    tab: str  # of the order's page

    def add_to(self, bp: Blueprint) -> None:
        super().add_to(bp)
        self.serve(bp, "GET", "/print", self.print_chosen)
        self.serve(bp, "POST", "/print", self.start_pdf)
        self.serve(bp, "GET", "/<int(max=2147483647):document_id>", self.show)
        self.serve(bp, "GET", "/<int(max=2147483647):document_id>.pdf", self.show_pdf)
        self.serve(bp, "GET", "/<int(max=2147483647):document_id>/factur-x.pdf", self.show_facturx)
        self.serve(bp, "POST", "/<int(max=2147483647):document_id>/buyer", self.show_buyer, ARCHIVE)
        self.serve(bp, "POST", "/<int(max=2147483647):document_id>/buyer.pdf", self.show_buyer_pdf, ARCHIVE)
        facturx = "/<int(max=2147483647):document_id>/buyer/factur-x.pdf"
        self.serve(bp, "POST", facturx, self.show_buyer_facturx, ARCHIVE)

    def acts(self, actor: Actor) -> list[Act]:
        return [Act(_("Print"), "printer", url_for(".print_chosen"), of_all=True), *super().acts(actor)]

    def beside(self) -> list[tuple[str, str, str]]:
        return [(one.code, str(one.label), url_for(f"{one.code}.index")) for one in (INVOICE_LIST, MEMO_LIST)]

    @abstractmethod
    def title(self, number: str) -> str:
        """The name of the document with this number."""

    def follow_ups(self, order: Order) -> list[Way]:
        """The acts on the order that may come next."""
        return []

    def print_chosen(self) -> Drawn:
        """The chosen documents to print, in the order of the list."""
        chosen = Chosen.read(self.subject)
        ids = ids_to_print(chosen)
        if not ids:
            return nothing_chosen(chosen)
        return issued_page(self.kind, ids, chosen, pdf_url=url_for(".start_pdf"), more=len(ids) > print_runs.MOST)

    def start_pdf(self) -> AnyResponse:
        """Start a run that makes a PDF of the chosen documents, and redirect to it."""
        chosen = Chosen.read(self.subject)
        return start_pdf(self.kind.printed, ids_to_print(chosen), chosen)

    def url_of_number(self, text: str, actor: Actor) -> str:
        """The URL of the document, if the text is the number of one."""
        try:
            return url_for(".show", document_id=find_document(text, actor, self.kind.model).id)
        except NotFound:
            return ""

    def show(self, document_id: int) -> str:
        """The document as it is printed."""
        found = get_document(document_id, current_actor(), self.kind.model)
        return self._shown(found, _content(found), _purpose_form())

    def show_pdf(self, document_id: int) -> AnyResponse:
        """The document as PDF."""
        found = get_document(document_id, current_actor(), self.kind.model)
        return _as_pdf(found, _content(found))

    def show_facturx(self, document_id: int) -> AnyResponse:
        """The document as Factur-X."""
        found = get_document(document_id, current_actor(), self.kind.model)
        return _as_facturx(found, _content(found))

    def show_buyer(self, document_id: int) -> Drawn | tuple[str, int]:
        """The document with the buyer, who is erased, for a purpose. Posted, since opening it is deliberate and
        recorded.
        """
        form = _purpose_form(request.form)
        try:
            found, content = self._with_buyer(document_id)
        except Invalid as error:
            form.complain(error)
            found = get_document(document_id, current_actor(), self.kind.model)
            return self._shown(found, _content(found), form), 422
        return self._shown(found, content, form)

    def show_buyer_pdf(self, document_id: int) -> AnyResponse:
        """The document with the buyer, who is erased, as PDF, for a purpose."""
        return _as_pdf(*self._with_buyer(document_id))

    def show_buyer_facturx(self, document_id: int) -> AnyResponse:
        """The document with the buyer, who is erased, as Factur-X, for a purpose."""
        return _as_facturx(*self._with_buyer(document_id))

    def _with_buyer(self, document_id: int) -> tuple[Invoice | CreditMemo, InvoiceContent]:
        actor, purpose = current_actor(), request.form.get("purpose", "")
        with unit_of_work():
            found = get_document(document_id, actor, self.kind.model)
            return found, archived_content_of(found, actor, purpose, chosen_paper())

    def _shown(self, found: Invoice | CreditMemo, content: InvoiceContent, form: forms.Form) -> str:
        g.has_practice = found.order.store.practice
        document, kept = compose(content), kept_through(found)
        of: dict[str, Any] = {"document_id": found.id, "paper": chosen_paper() or None}
        linked = replace(content, buyer=Buyer()) if kept else content  # a link opens no buyer who is erased
        facturx = Way("Factur-X", "download", url_for(".show_facturx", **of), str(facturx_refusal(linked) or ""))
        return page(
            "lists/documents/issued.html",
            title=self.title(found.number or ""),
            document=drawn(document),
            letters=[name_of(letter) for letter in without_font(texts(document), OnPaper.PAGE)],
            url=url_for(".show", document_id=found.id),
            back=url_of(found.order, self.tab),
            papers={code: paper.label for code, paper in PAPERS.items()},
            paper=document.paper,
            as_pdf=url_for(".show_pdf", **of),
            ways=[facturx, *self.follow_ups(found.order)],
            kept_through=kept,
            may_open=may(ARCHIVE),
            form=form,
            open_url=url_for(".show_buyer", **of),
            open_pdf_url=url_for(".show_buyer_pdf", **of),
            open_facturx_url=url_for(".show_buyer_facturx", **of) if is_installed() else "",
        )


def _content(document: Invoice | CreditMemo) -> InvoiceContent:
    return content_of(document, current_actor(), chosen_paper())


def _as_pdf(found: Invoice | CreditMemo, content: InvoiceContent) -> AnyResponse:
    actor, file = current_actor(), io.BytesIO()
    pdf.draw([compose(content)], file, lambda logo: picture_of(logo, actor))
    return _attached(file.getvalue(), f"{found.number}.pdf")


def _as_facturx(found: Invoice | CreditMemo, content: InvoiceContent) -> AnyResponse:
    actor = current_actor()
    return _attached(facturx_of(content, lambda logo: picture_of(logo, actor)), f"{found.number}-factur-x.pdf")


def _attached(file: bytes, name: str) -> AnyResponse:
    response = Response(file, mimetype=PDF)
    attach(response, name)
    return response


def _purpose_form(given: Any = None) -> forms.Form:
    """What the buyer of a document is needed for, who is erased."""
    help = _l("The purpose is recorded with your name. Do not write a buyer's name here.")
    return forms.Form({"purpose": forms.text(_l("Purpose"), required=True, maxlength=200, help=help)}, given)


class InvoicePages(IssuedPages):
    """The pages of invoices."""

    kind, tab = ISSUED_INVOICES, INVOICES

    def title(self, number: str) -> str:
        return str(_("Invoice %(number)s", number=number))

    def follow_ups(self, order: Order) -> list[Way]:
        if REFUND_ACT not in actions() or not may(actions()[REFUND_ACT].right):
            return []
        refusal = refund_refusal(order, current_actor())
        url = url_for("orders.choose", number=reference(order), code=REFUND_ACT)
        return [Way(str(_("Refund")), "arrow-left", url, str(refusal or ""))]


class MemoPages(IssuedPages):
    """The pages of credit memos."""

    kind, tab = ISSUED_MEMOS, REFUNDS

    def title(self, number: str) -> str:
        return str(_("Credit memo %(number)s", number=number))


InvoicePages(INVOICE_LIST).add_to(bp)
MemoPages(MEMO_LIST).add_to(memos_bp)
