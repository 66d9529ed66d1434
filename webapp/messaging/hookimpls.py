"""What messaging registers: messages and review requests as updates, words, attention, what lists show of answers,
settings of stores, and its scheduled jobs.
"""

from webapp.billing.contract import DocumentIssued, DocumentKind
from webapp.channels.described import mail_route
from webapp.channels.models import Store
from webapp.channels.services import CONNECTION
from webapp.db import db
from webapp.fulfillment.contract import ShipmentCreated
from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.mail import mailboxes
from webapp.mail.jobs import send_mail
from webapp.messaging import query_keys, received_words, review_list, review_rule, review_words
from webapp.messaging.document_mails import mail_documents, mail_shipments, undo_mails_about_gone_shipments
from webapp.messaging.jobs import forget_received_mails, read_mailboxes, request_reviews
from webapp.messaging.message_settings import BUYER_MAIL, BY_MAIL, MESSAGES
from webapp.messaging.message_updates import MessageToBuyer
from webapp.messaging.message_words import (
    ARRIVED,
    NOT_MAILED,
    REFUSED,
    REFUSED_EVENT,
    SENT,
    SENT_AGAIN,
    UNDONE,
    UNKNOWN,
    UNKNOWN_EVENT,
    WRITTEN,
)
from webapp.messaging.receiving import any_expired
from webapp.messaging.review_settings import REVIEWS
from webapp.messaging.review_updates import ReviewOfOrder
from webapp.orders.attention import AttentionKind
from webapp.orders.contract import Badge, Move, UnitsMoved
from webapp.orders.events import EventWords
from webapp.search.contract import QueryKey
from webapp.settings.declared import SettingsChange, SettingsGroup
from webapp.settings.services import store_all
from webapp.updates.contract import OutwardKind


@hookimpl
def register_attention_kinds() -> list[AttentionKind]:
    return [REFUSED, UNKNOWN, received_words.BOUNCED, review_words.REFUSED]


@hookimpl
def register_badges() -> list[Badge]:
    return list(query_keys.BADGES)


@hookimpl
def register_event_words() -> list[EventWords]:
    words = [WRITTEN, UNDONE, SENT, REFUSED_EVENT, UNKNOWN_EVENT, SENT_AGAIN, ARRIVED, *NOT_MAILED.values()]
    return [*words, *received_words.EVENTS, *review_words.EVENTS]


@hookimpl
def register_outward_kinds() -> list[OutwardKind]:
    return [MessageToBuyer(), ReviewOfOrder()]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [
        Schedule(read_mailboxes, every=60, due=mailboxes.any_due),
        Schedule(forget_received_mails, every=3600, due=any_expired),
        Schedule(request_reviews, every=60, due=review_rule.any_due),
    ]


@hookimpl
def register_settings() -> list[SettingsGroup]:
    return [MESSAGES, BUYER_MAIL, REVIEWS]


@hookimpl
def register_query_keys() -> list[QueryKey]:
    return [*query_keys.KEYS, *review_list.KEYS]


@hookimpl
def documents_issued(documents: list[DocumentIssued]) -> None:
    queued = [mail_documents(kind, [one.id for one in documents if one.kind == kind]) for kind in DocumentKind]
    if any(queued):
        send_mail.enqueue()


@hookimpl
def shipments_created(shipments: list[ShipmentCreated]) -> None:
    if mail_shipments([one.id for one in shipments]):
        send_mail.enqueue()


@hookimpl
def units_moved(moves: list[UnitsMoved]) -> None:
    if orders := sorted({move.order_id for move in moves if move.move is Move.UNSHIPPED}):
        undo_mails_about_gone_shipments(orders)


@hookimpl
def settings_changed(changes: list[SettingsChange]) -> None:
    """Let a new practice store write to its buyers by e-mail, too: only its marketplace does."""
    for change in changes:
        store = db.session.get(Store, change.id) if change.concerns(CONNECTION) and change.added else None
        if store is not None and store.practice and mail_route(store.channel) is not None:
            store_all(BUYER_MAIL, {BY_MAIL.name: True}, store)
