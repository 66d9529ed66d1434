"""The kinds of outward act that upload issued invoices and credit memos to a channel.

The source is the document; its number is the reference, by which the channel knows it. A document is uploaded once the
channel shows its order as shipped completely, a credit memo not before the invoices of its order. The PDF is drawn from
the document's snapshot just before it is sent, and after the transaction that claims it, so that nobody waits for its
locks meanwhile. Only the channel's report of it shows what became of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, cast

from sqlalchemy import select

from webapp.audit.actor import Actor, ActorKind
from webapp.billing.models import CreditMemo, Invoice, Purpose
from webapp.channels.described import takes_documents
from webapp.channels.incoming import INVOICE_BY_CHANNEL, ChannelStage, IncomingOrder
from webapp.channels.services import channel_name
from webapp.channels.uploads import CREDIT_MEMO_UPLOAD, INVOICE_UPLOAD, UPLOADED, UploadedDocument
from webapp.db import among, any_row, db, once_a_transaction
from webapp.documents.drawing import drawing_of_content
from webapp.documents.invoices import DoesNotAddUp, check_amounts
from webapp.documents.issued import content_of
from webapp.documents.upload_settings import first_moment
from webapp.documents.upload_words import NOT_UPLOADED, REFUSED_EVENT, UPLOADED_EVENT
from webapp.errors import DeskError, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.events import EventWords, record
from webapp.orders.models import Order
from webapp.updates.contract import Impossible, OutwardKind, Waits
from webapp.updates.models import OPEN, ChannelUpdate, UpdateState
from webapp.updates.queries import newer_revision
from webapp.vault import services as vault

VERSION: Final = 1
SHIPMENT: Final = "shipment"  # the kind that they wait for
LOOK_AGAIN: Final = 900.0  # seconds until a document that waits for its order's shipment is looked at again
_WORDS: Final[Mapping[str, EventWords]] = {
    UpdateState.EFFECTIVE: UPLOADED_EVENT,
    UpdateState.REFUSED: REFUSED_EVENT,
}
_NOBODY = Actor(ActorKind.JOB, name="uploads")  # who sees no buyer, where amounts alone are looked at


class NotToUpload(Refusal):
    """A document that is not uploaded, as its order and its store's settings are."""

    code = "not_to_upload"
    sentence = _l("In this store's settings, the upload of invoices and credit memos is off.")


class NotTakenThere(NotToUpload):
    code = "upload_not_taken"
    sentence = _l("This order's marketplace does not accept invoices from sellers.")


class ChannelInvoices(NotToUpload):
    code = "upload_invoiced_by_channel"
    sentence = _l("%(channel)s itself invoices this order.")


class CanceledThere(NotToUpload):
    """Nothing of the order was shipped, nor will be."""

    code = "upload_canceled"
    sentence = _l("The order is canceled, so the channel does not accept its documents.")


class IssuedBefore(NotToUpload):
    code = "upload_issued_before"
    sentence = _l("This document was issued before the day from which this store's documents are uploaded.")


class TakesBack(NotToUpload):
    """Channels know no document that takes a credit memo back."""

    code = "upload_takes_back"
    sentence = _l("This document reverses a credit memo, and the channel does not accept such documents.")


class BuyerErased(NotToUpload):
    code = "upload_buyer_erased"
    sentence = _l("The buyer's data were erased, so this document can no longer be created as it was issued.")


class ShipsFirst(DeskError):
    code = "upload_waits_for_shipment"
    sentence = _l("This document is uploaded once the channel shows the whole order as shipped.")


class InvoiceFirst(DeskError):
    code = "upload_waits_for_invoice"
    sentence = _l("This document waits for the result of the invoice's upload.")


def upload_refusal(document: Invoice | CreditMemo, order: Order) -> NotToUpload | None:
    """Why a document with a number is not uploaded."""
    since = first_moment(order)
    if since is None:
        return NotToUpload()
    if not takes_documents(order.store.channel, order.marketplace):
        return NotTakenThere()
    if INVOICE_BY_CHANNEL in order.flags:
        return ChannelInvoices(channel=channel_name(order.store.channel))
    if order.channel_order.stage == ChannelStage.CANCELED:
        return CanceledThere()
    if document.issued_at is None or document.issued_at < since:
        return IssuedBefore()
    if isinstance(document, CreditMemo) and document.purpose == Purpose.REVERSAL:
        return TakesBack()
    erased = once_a_transaction(f"erased {order.id}", lambda: vault.erased([order.id]))  # of several documents
    return BuyerErased() if erased else None


class DocumentUpload(OutwardKind):
    """The upload of a document of one kind, by its id."""

    model: ClassVar[type[Invoice] | type[CreditMemo]]
    after: ClassVar[Sequence[str]] = ()  # the kinds of its order's updates that have to end before
    right = "orders.invoice"
    trouble = NOT_UPLOADED.code

    def reference(self, source: Invoice | CreditMemo) -> str:
        return source.number or ""

    def payload(self, order: Order, source: Invoice | CreditMemo) -> Mapping[str, Any]:
        return {"version": VERSION, "number": source.number, "total": source.total_minor, "currency": source.currency}

    def private(self, update: ChannelUpdate) -> Mapping[str, Any]:
        document, actor = self._document(update), Actor.job("uploads")
        content = content_of(document, actor)
        return {
            UPLOADED: UploadedDocument(
                number=content.number,
                is_credit_memo=self.model is CreditMemo,
                currency=document.currency,
                total=content.total.minor,
                tax=content.tax.minor,
                draw=drawing_of_content(content, actor),
            )
        }

    def stands(self, update: ChannelUpdate, order: Order) -> Refusal | None:
        return upload_refusal(self._document(update), order)

    def ready(self, update: ChannelUpdate, order: Order) -> Waits | Impossible | None:
        open_ones = (ChannelUpdate.order_id == order.id, ChannelUpdate.state.in_(OPEN))
        if self.after and any_row(ChannelUpdate, ChannelUpdate.kind.in_(self.after), *open_ones):
            return Waits(InvoiceFirst(), LOOK_AGAIN)
        if order.channel_order.stage != ChannelStage.SHIPPED:
            return Waits(ShipsFirst(), LOOK_AGAIN)
        try:
            check_amounts(content_of(self._document(update), _NOBODY))
        except DoesNotAddUp as error:
            return Impossible(error)
        return None

    def shown_by(self, update: ChannelUpdate, reading: IncomingOrder) -> None:
        return None

    def settled(self, update: ChannelUpdate) -> None:
        words = _WORDS.get(update.state)
        if words is not None:
            number = {"number": update.reference}
            record(update.order, words.code, actor=Actor.channel(update.store_id), values=number)

    def _document(self, update: ChannelUpdate) -> Invoice | CreditMemo:
        found: Any = db.session.get_one(self.model, update.source_id)
        return cast(Invoice | CreditMemo, found)


class InvoiceUpload(DocumentUpload):
    code, label, model = INVOICE_UPLOAD, _l("Upload of an invoice"), Invoice
    waits_for = (SHIPMENT,)


class CreditMemoUpload(DocumentUpload):
    code, label, model = CREDIT_MEMO_UPLOAD, _l("Upload of a credit memo"), CreditMemo
    waits_for, after = (SHIPMENT, INVOICE_UPLOAD), (INVOICE_UPLOAD,)


UPLOAD_KINDS: Mapping[type[Invoice] | type[CreditMemo], DocumentUpload] = {
    kind.model: kind for kind in (InvoiceUpload(), CreditMemoUpload())
}


def uploads_of(documents: Sequence[Invoice | CreditMemo]) -> dict[int, ChannelUpdate]:
    """The uploads of these documents of one kind, by the ids of the documents."""
    if not documents:
        return {}
    query = select(ChannelUpdate).where(
        among(ChannelUpdate.order_id, sorted({one.order_id for one in documents})),
        ChannelUpdate.kind == UPLOAD_KINDS[type(documents[0])].code,
        ~newer_revision(),
    )
    rows = {row.source_id: row for row in db.session.scalars(query)}
    return {one.id: rows[one.id] for one in documents if one.id in rows}


def upload_among(updates: Iterable[ChannelUpdate], document: Invoice | CreditMemo) -> ChannelUpdate | None:
    """The upload of a document among the updates of its order."""
    kind = UPLOAD_KINDS[type(document)].code
    found = [one for one in updates if one.kind == kind and one.source_id == document.id]
    return max(found, key=lambda one: one.revision, default=None)
