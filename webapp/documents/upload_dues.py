"""The orders at which the job of uploads has to look.

Whatever could make an upload due writes the order's row in its own transaction, also while the store's uploads are
switched off: so that a document that is issued while somebody switches them on is not missed. A row says no more than
*look*: the job locks the order and owes the upload of each of its issued documents that has none yet, so a job that
runs twice, or on two workers, owes each upload once. It locks the row, too: settings that change meanwhile write it
again afterwards.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import structlog
from sqlalchemy import ColumnElement, delete, literal, or_, select

from webapp.audit.actor import Actor
from webapp.billing.dues import postpone
from webapp.billing.models import CreditMemo, Invoice
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import among, any_row, db, insert_into
from webapp.documents.models import UploadDue
from webapp.documents.upload_settings import channels_with_uploads
from webapp.documents.uploads import UPLOAD_KINDS, NotToUpload, upload_refusal, uploads_of
from webapp.errors import class_of
from webapp.jobs.runs import passes
from webapp.orders.models import Order
from webapp.orders.queries import AROUND, locked_all
from webapp.updates.contract import Owing
from webapp.updates.models import ChannelUpdate, UpdateState
from webapp.updates.owing import owe

log = structlog.get_logger(__name__)


def remember(order_ids: Sequence[int]) -> bool:
    """Have the job look at those of these orders whose channels take documents, in the open unit of work; returns
    whether there may be any.
    """
    taking = channels_with_uploads() if order_ids else []
    if taking:
        _write(among(Order.id, order_ids), Order.store_id.in_(select(Store.id).where(Store.channel.in_(taking))))
    return bool(taking)


def remember_all(store: Store, since: date) -> None:
    """Have the job look at the orders of a store of which documents were issued since that day, in the open unit of
    work.
    """
    low = datetime.combine(since, time(), UTC) - timedelta(days=1)  # in some zones the day has begun by then
    issued = [select(one.id).where(one.order_id == Order.id, one.issued_at >= low).exists() for one in UPLOAD_KINDS]
    _write(Order.store_id == store.id, or_(*issued))


def _write(*conditions: ColumnElement[bool]) -> None:
    chosen = select(Order.id, literal(now(), UploadDue.next_at.type), literal(0)).where(*conditions)
    chosen = chosen.order_by(Order.id).with_for_update(read=True, key_share=True, of=Order)  # before its row, as all do
    row = insert_into(UploadDue).from_select(["order_id", "next_at", "tries"], chosen)
    changed = {"next_at": row.excluded.next_at, "tries": 0}
    db.session.execute(row.on_conflict_do_update(index_elements=["order_id"], set_=changed))


def any_due() -> bool:
    """Whether the job has to look at an order."""
    return any_row(UploadDue, UploadDue.next_at <= now())


def work_off(limit: int) -> int:
    """Owe the uploads that are due of the next orders, in the open unit of work; returns how many were looked at."""
    next_ones = select(UploadDue.order_id).where(UploadDue.next_at <= now())
    ids = list(db.session.scalars(next_ones.order_by(UploadDue.next_at, UploadDue.order_id).limit(limit)))
    if not ids:
        return 0
    orders = locked_all(ids, Actor.job("uploads"), *AROUND)
    rows = select(UploadDue).where(among(UploadDue.order_id, ids)).order_by(UploadDue.order_id).with_for_update()
    rows = rows.execution_options(populate_existing=True)
    waiting = {row.order_id: row for row in db.session.scalars(rows)}  # under the locks: another worker had the others
    over = []
    for order in (one for one in orders if one.id in waiting):
        try:
            with db.session.begin_nested():
                _owe(order)
            over.append(order.id)
        except Exception as error:
            if passes(error):
                raise
            log.error("uploads_not_owed", order=order.id, kind=type(error).__name__)
            postpone(waiting[order.id])
    db.session.flush()
    gone = delete(UploadDue).where(among(UploadDue.order_id, over))
    db.session.execute(gone, execution_options={"synchronize_session": False})
    return len(ids)


def _owe(order: Order) -> None:
    """Owe the uploads of an order's documents, invoices first."""
    for model, kind in UPLOAD_KINDS.items():
        query = select(model).where(model.order_id == order.id, model.number.is_not(None)).order_by(model.id)
        documents: list[Invoice | CreditMemo] = list(db.session.scalars(query))
        uploads = uploads_of(documents)
        owing = [
            Owing(order, one)
            for one in documents
            if _has_none(uploads.get(one.id)) and upload_refusal(one, order) is None
        ]
        owe(kind.code, owing)


def _has_none(upload: ChannelUpdate | None) -> bool:
    """Whether a document has no upload, or one that was withdrawn since it was not to be uploaded then. One that a
    person closed is not owed again.
    """
    if upload is None:
        return True
    why = class_of(upload.problem) if upload.state == UpdateState.WITHDRAWN else None
    return why is not None and issubclass(why, NotToUpload)
