"""What billing registers and listens to: words and attention of invoices, erased buyers, amounts that fell."""

from sqlalchemy import update

from webapp.billing.attention import OVERDRAWN, WORDS, compare
from webapp.billing.contract import DocumentIssued
from webapp.billing.models import Invoice
from webapp.billing.services import INVOICED
from webapp.db import among, db
from webapp.hooks import hookimpl
from webapp.jobs.telling import declare
from webapp.orders.attention import AttentionKind
from webapp.orders.contract import AmountChange
from webapp.orders.events import EventWords

declare("documents_issued", list[DocumentIssued])


@hookimpl
def register_attention_kinds() -> list[AttentionKind]:
    return [OVERDRAWN]


@hookimpl
def register_event_words() -> list[EventWords]:
    return [INVOICED, *WORDS]


@hookimpl
def amounts_changed(changes: list[AmountChange]) -> None:
    compare(sorted({change.order_id for change in changes}))


@hookimpl
def buyers_erasing(orders: list[int]) -> None:
    erased = update(Invoice).where(among(Invoice.order_id, orders), Invoice.sealed.is_not(None)).values(sealed=None)
    db.session.execute(erased, execution_options={"synchronize_session": False})
