"""What billing registers and listens to: refunds as updates, words, attention, settings and lists of documents, erased
buyers, amounts that fell, and whatever may make an invoice or a correction due.
"""

from datetime import timedelta

from sqlalchemy import update

from webapp.billing.attention import OVERDRAWN, WORDS, compare
from webapp.billing.automatic import AUTOMATIC, SINCE, WATCHED, WHEN, When
from webapp.billing.contract import DocumentIssued
from webapp.billing.dues import NOT_INVOICED, UNKNOWN_TAX, any_due, look_again, remember, remember_invoiced
from webapp.billing.holding import SETTINGS
from webapp.billing.invoice_list import COLUMNS, INVOICE_LIST, KEYS, ORDER_KEYS
from webapp.billing.jobs import end_keeping, issue_due, match_refunds
from webapp.billing.kept_buyers import KEEPING, any_over, follow_setting, keep_before_erasing
from webapp.billing.matching import any_to_match
from webapp.billing.memo_list import (
    COLUMNS as MEMO_COLUMNS,
    KEYS as MEMO_KEYS,
    MEMO_LIST,
    ORDER_KEYS as MEMO_ORDER_KEYS,
)
from webapp.billing.models import CreditMemo, Invoice
from webapp.billing.number_settings import NUMBERS
from webapp.billing.refund_updates import RefundKind
from webapp.billing.refund_words import BEYOND, NOT_SENT, PARTLY, PROPOSED, REFUSED, WORDS as REFUND_WORDS
from webapp.billing.services import INVOICED
from webapp.billing.taxes import TAXES
from webapp.billing.transaction_list import COLUMNS as TRANSACTION_COLUMNS, KEYS as TRANSACTION_KEYS, TRANSACTION_LIST
from webapp.billing.transactions import place_orders
from webapp.channels.models import Store
from webapp.channels.services import CONNECTION
from webapp.clock import now
from webapp.db import among, db
from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.jobs.telling import declare
from webapp.lists.contract import Subject
from webapp.orders.attention import AttentionKind
from webapp.orders.contract import AmountChange, Move, OrdersChange, UnitsMoved
from webapp.orders.events import EventWords
from webapp.orders.models import Order
from webapp.search.contract import Column, QueryKey
from webapp.settings.declared import SettingsChange, SettingsGroup
from webapp.settings.services import store_all
from webapp.updates.contract import OutwardKind

declare("documents_issued", list[DocumentIssued])
GONE = frozenset({Move.CANCELED, Move.WITHDRAWN})  # units that are not charged
PRACTICED = timedelta(days=30)  # orders of a practice store that are invoiced by themselves are at most so old


@hookimpl
def register_attention_kinds() -> list[AttentionKind]:
    return [OVERDRAWN, UNKNOWN_TAX, REFUSED, NOT_SENT, PROPOSED, PARTLY, BEYOND]


@hookimpl
def register_event_words() -> list[EventWords]:
    return [INVOICED, *WORDS, NOT_INVOICED, *REFUND_WORDS]


@hookimpl
def register_outward_kinds() -> list[OutwardKind]:
    return [RefundKind()]


@hookimpl
def register_settings() -> list[SettingsGroup]:
    return [AUTOMATIC, NUMBERS, TAXES, KEEPING, SETTINGS]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [
        Schedule(issue_due, every=20, due=any_due),
        Schedule(match_refunds, every=60, due=any_to_match),
        Schedule(end_keeping, every=3600, due=any_over),
    ]


@hookimpl
def register_list_subjects() -> list[Subject]:
    return [INVOICE_LIST, MEMO_LIST, TRANSACTION_LIST]


@hookimpl
def register_columns() -> list[Column]:
    return [*COLUMNS, *MEMO_COLUMNS, *TRANSACTION_COLUMNS]


@hookimpl
def register_query_keys() -> list[QueryKey]:
    return [*KEYS, *ORDER_KEYS, *MEMO_KEYS, *MEMO_ORDER_KEYS, *TRANSACTION_KEYS]


@hookimpl
def amounts_changed(changes: list[AmountChange]) -> None:
    orders = sorted({change.order_id for change in changes})
    _correct(compare(orders))
    _look_at(orders)


@hookimpl
def orders_placed(orders: list[int]) -> None:
    _look_at(orders)
    if place_orders(orders):
        match_refunds.enqueue()


@hookimpl
def orders_changed(changes: list[OrdersChange]) -> None:
    _look_at([change.order_id for change in changes if not WATCHED.isdisjoint(change.changed)])


@hookimpl
def units_moved(moves: list[UnitsMoved]) -> None:
    _look_at(sorted({move.order_id for move in moves if move.move is Move.SHIPPED}))
    _correct(sorted({move.order_id for move in moves if move.move in GONE}))


def _look_at(orders: list[int]) -> None:
    if remember(orders):
        issue_due.enqueue()


def _correct(orders: list[int]) -> None:
    if remember_invoiced(orders):
        issue_due.enqueue()


@hookimpl
def settings_changed(changes: list[SettingsChange]) -> None:
    """Invoice a new practice store when it ships; look again at what waited for other settings."""
    for change in changes:
        if change.concerns(CONNECTION) and change.added:
            store = db.session.get_one(Store, change.id)
            if store.practice:
                since = (now() - PRACTICED).date().isoformat()
                store_all(AUTOMATIC, {WHEN.name: When.SHIPPED, SINCE.name: since}, store)
        elif change.concerns(AUTOMATIC):
            look_again(Order.store_id == change.id)
            issue_due.enqueue()
        elif change.concerns(KEEPING):
            follow_setting(change.id)
        elif change.concerns(TAXES):
            look_again(Order.shop_id == change.id)
            issue_due.enqueue()


@hookimpl
def buyers_erasing(orders: list[int]) -> None:
    keep_before_erasing(orders)
    for document in (Invoice, CreditMemo):
        erased = update(document).where(among(document.order_id, orders), document.sealed.is_not(None))
        db.session.execute(erased.values(sealed=None), execution_options={"synchronize_session": False})
