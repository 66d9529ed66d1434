"""What documents register and listen to: uploads to channels, their words, settings, columns and keys, and whatever may
make an upload due.
"""

from datetime import timedelta

from webapp.billing.contract import DocumentIssued
from webapp.channels.models import Store
from webapp.channels.services import CONNECTION
from webapp.clock import now
from webapp.db import db
from webapp.documents.jobs import owe_uploads
from webapp.documents.upload_dues import any_due, remember, remember_all
from webapp.documents.upload_list import COLUMNS, KEYS
from webapp.documents.upload_settings import UPLOADS, switch_on, uploads_since
from webapp.documents.upload_words import NOT_UPLOADED, REFUSED_EVENT, UPLOADED_EVENT
from webapp.documents.uploads import UPLOAD_KINDS
from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventWords
from webapp.search.contract import Column, QueryKey
from webapp.settings.declared import SettingsChange, SettingsGroup
from webapp.settings.services import store_all
from webapp.updates.contract import OutwardKind

PRACTICED = timedelta(days=30)  # documents of a practice store that are uploaded are at most so old


@hookimpl
def register_attention_kinds() -> list[AttentionKind]:
    return [NOT_UPLOADED]


@hookimpl
def register_event_words() -> list[EventWords]:
    return [UPLOADED_EVENT, REFUSED_EVENT]


@hookimpl
def register_outward_kinds() -> list[OutwardKind]:
    return list(UPLOAD_KINDS.values())


@hookimpl
def register_settings() -> list[SettingsGroup]:
    return [UPLOADS]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule(owe_uploads, every=20, due=any_due)]


@hookimpl
def register_columns() -> list[Column]:
    return list(COLUMNS)


@hookimpl
def register_query_keys() -> list[QueryKey]:
    return list(KEYS)


@hookimpl
def documents_issued(documents: list[DocumentIssued]) -> None:
    if remember(sorted({one.order_id for one in documents})):
        owe_uploads.enqueue()


@hookimpl
def settings_changed(changes: list[SettingsChange]) -> None:
    """Upload what a new practice store issues; look at what was issued before a store's uploads were switched on."""
    for change in changes:
        store = db.session.get(Store, change.id) if change.scope == UPLOADS.scope else None
        if store is None:
            continue
        if change.concerns(CONNECTION) and change.added and store.practice:
            if values := switch_on(store, (now() - PRACTICED).date()):
                store_all(UPLOADS, values, store)
        elif change.concerns(UPLOADS) and (since := uploads_since(store)) is not None:
            remember_all(store, since)
            owe_uploads.enqueue()
