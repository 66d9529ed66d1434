"""What billing registers and listens to: the kind of updates for refunds, words and attention of documents, erased
buyers, amounts that fell.
"""

from sqlalchemy import update

from webapp.billing.attention import OVERDRAWN, WORDS, compare
from webapp.billing.contract import DocumentIssued
from webapp.billing.holding import SETTINGS
from webapp.billing.models import CreditMemo, Invoice
from webapp.billing.number_settings import NUMBERS
from webapp.billing.refund_updates import RefundKind
from webapp.billing.refund_words import REFUSED, WORDS as REFUND_WORDS
from webapp.billing.services import INVOICED
from webapp.billing.taxes import TAXES
from webapp.db import among, db
from webapp.hooks import hookimpl
from webapp.jobs.telling import declare
from webapp.orders.attention import AttentionKind
from webapp.orders.contract import AmountChange
from webapp.orders.events import EventWords
from webapp.settings.declared import SettingsGroup
from webapp.updates.contract import OutwardKind

declare("documents_issued", list[DocumentIssued])


@hookimpl
def register_attention_kinds() -> list[AttentionKind]:
    return [OVERDRAWN, REFUSED]


@hookimpl
def register_event_words() -> list[EventWords]:
    return [INVOICED, *WORDS, *REFUND_WORDS]


@hookimpl
def register_outward_kinds() -> list[OutwardKind]:
    return [RefundKind()]


@hookimpl
def register_settings() -> list[SettingsGroup]:
    return [NUMBERS, TAXES, SETTINGS]


@hookimpl
def amounts_changed(changes: list[AmountChange]) -> None:
    compare(sorted({change.order_id for change in changes}))


@hookimpl
def buyers_erasing(orders: list[int]) -> None:
    for document in (Invoice, CreditMemo):
        erased = update(document).where(among(document.order_id, orders), document.sealed.is_not(None))
        db.session.execute(erased.values(sealed=None), execution_options={"synchronize_session": False})
