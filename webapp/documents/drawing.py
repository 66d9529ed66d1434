"""Drawing an issued document as PDF, in two steps: what needs the database, and what does not."""

from collections.abc import Callable, Mapping
from io import BytesIO

from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, Invoice
from webapp.channels.logos import Logo, picture_of
from webapp.documents import pdf
from webapp.documents.composed import Document
from webapp.documents.invoices import InvoiceContent, compose
from webapp.documents.issued import content_of


def drawing_of(document: Invoice | CreditMemo, actor: Actor) -> Callable[[], bytes]:
    """What draws a document; it uses no database. Raises `DoesNotAddUp`. The buyer is revealed to the actor."""
    return drawing_of_content(content_of(document, actor), actor)


def drawing_of_content(content: InvoiceContent, actor: Actor) -> Callable[[], bytes]:
    """`drawing_of`, for a document's content."""
    composed = compose(content)
    logo = composed.face.logo
    pictures = {logo: picture_of(logo, actor)} if logo else {}
    return lambda: _drawn(composed, pictures)


def _drawn(document: Document, pictures: Mapping[Logo, bytes | None]) -> bytes:
    file = BytesIO()
    pdf.draw([document], file, pictures.get)
    return file.getvalue()
