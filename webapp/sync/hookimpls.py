"""The hooks that the sync listens to, and its scheduled jobs."""

from datetime import datetime

from webapp.channels.models import Store
from webapp.channels.services import CONNECTION
from webapp.db import db
from webapp.errors import Refusal
from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.lists.contract import Subject
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventWords
from webapp.orders.order_settings import IMPORT_ORDERS, MARKETPLACES, NEW_ORDERS
from webapp.search.contract import Column, QueryKey
from webapp.settings.declared import SettingsChange, SettingsGroup
from webapp.sync import activity, call_log, denials, fresh_facts, numbering, words
from webapp.sync.call_keys import KEYS as CALL_KEYS
from webapp.sync.call_list import CALL_LIST, COLUMNS
from webapp.sync.finances import FINANCES
from webapp.sync.jobs import (
    anything_due,
    connect,
    deliver,
    fetch_order,
    find_due,
    forget_attempts,
    forget_calls,
    forget_quiet_runs,
    keep_statistics,
)
from webapp.sync.order_windows import ORDERS
from webapp.sync.query_keys import KEYS
from webapp.sync.runs import any_to_forget
from webapp.sync.streams import Stream
from webapp.sync.taking_in.quarantine import count_payloads, erase_payloads
from webapp.updates import attempts
from webapp.updates.contract import UpdateOwed, UpdateSettled
from webapp.updates.queries import unconfirmed, under_way


@hookimpl
def updates_owed(updates: list[UpdateOwed]) -> None:
    for store_id, lane in {(update.store_id, update.lane) for update in updates}:
        deliver.enqueue(store_id, lane)


@hookimpl
def updates_settled(updates: list[UpdateSettled]) -> None:
    denials.no_longer_owed(updates)


@hookimpl
def settings_changed(changes: list[SettingsChange]) -> None:
    """Number the orders that arrived while importing was off, once it is switched on; read a marketplace again that was
    switched on; test a connection that was saved. A new store is tested by the code that adds it.
    """
    for change in changes:
        if change.concerns(NEW_ORDERS) and IMPORT_ORDERS.name in change.names:
            store = db.session.get_one(Store, change.id)
            if IMPORT_ORDERS.of(store) and not change.added:
                numbering.start(store)
        elif change.concerns(MARKETPLACES):
            for number in activity.marketplaces_switched(db.session.get_one(Store, change.id), change.names):
                fetch_order.enqueue(change.id, number)
        elif change.concerns(CONNECTION) and not change.added:
            activity.connection_saved(db.session.get_one(Store, change.id), changed=bool(change.names))
            connect.enqueue(change.id)


@hookimpl
def keep_from_archive(orders: list[int]) -> dict[int, Refusal]:
    return unconfirmed(orders)


@hookimpl
def keep_buyers(orders: list[int]) -> dict[int, Refusal]:
    return under_way(orders)


@hookimpl
def unplaced_buyers(store: int, before: datetime) -> int:
    return count_payloads(store, before)


@hookimpl
def erase_unplaced_buyers(store: int, before: datetime) -> int:
    return erase_payloads(store, before)


@hookimpl
def register_streams() -> list[Stream]:
    return [ORDERS, FINANCES]


@hookimpl
def register_settings() -> list[SettingsGroup]:
    return [fresh_facts.SETTINGS, call_log.SETTINGS]


@hookimpl
def register_attention_kinds() -> list[AttentionKind]:
    return list(words.KINDS)


@hookimpl
def register_event_words() -> list[EventWords]:
    return list(words.WORDS)


@hookimpl
def register_list_subjects() -> list[Subject]:
    return [CALL_LIST]


@hookimpl
def register_columns() -> list[Column]:
    return list(COLUMNS)


@hookimpl
def register_query_keys() -> list[QueryKey]:
    return [*KEYS, *CALL_KEYS]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [
        Schedule(find_due, every=2, due=anything_due),
        Schedule(forget_quiet_runs, every=600, due=any_to_forget),
        Schedule(forget_attempts, every=3600, due=attempts.any_to_forget),
        Schedule(forget_calls, every=900, due=call_log.any_to_forget),
        Schedule(keep_statistics, every=3600),
    ]
