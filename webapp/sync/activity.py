"""A store's life: connected and changed, paused and resumed, archived and restored. Nothing is ever deleted.

Nothing is read from a paused store and nothing is sent to it: its updates wait. An archived store is paused and hidden
from lists; its orders stay as they are.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from webapp import live
from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.channels.connecting import Connection
from webapp.channels.models import AccountState, Store
from webapp.channels.services import account_refusal, is_refused, refused_beside, remember_marketplaces
from webapp.clock import now
from webapp.errors import DeskError, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.models import RunState
from webapp.orders.order_settings import IMPORT_ORDERS, marketplace_setting, switched_off
from webapp.sync import denials, numbering, order_windows, runs

_CONNECTS_WITHIN = timedelta(minutes=1)  # usually; then the clock asks, too


class StoreArchived(Refusal):
    code = "store_archived"
    sentence = _l("This store is archived: restore it first.")


class OlderDatabase(DeskError):
    """Why nothing is sent to a store."""

    code = "older_database"
    sentence = _l(
        "The database is older than the last updates that were sent to the channel, as after restoring a "
        "backup. Nothing is sent until you resume sending. First compare the newest orders, shipments and "
        "refunds with the channel's own pages."
    )


class AnotherPlace(DeskError):
    """Why nothing is sent to a store."""

    code = "another_place"
    sentence = _l(
        "This desk runs in another place than before, as a copy of a desk does. If this desk is a copy, do "
        "not resume sending: both desks would act on the same orders. If the desk has moved and the old desk "
        "is shut down, resume sending."
    )


class SendingStopped(DeskError):
    """Why nothing is sent to a store."""

    code = "sending_stopped"
    sentence = _l(
        "Sending was stopped here. Nothing is sent until somebody resumes sending. Orders are still imported."
    )


def connected(store: Store, connection: Connection) -> Connection:
    """Store what a channel answered when it was asked whether a store's credentials work. Returns the answer with
    the desk's own problem, if there is one: another store may have the account.
    """
    added = remember_marketplaces(store, connection)
    if connection.ok and is_refused(store):
        return replace(connection, problem=account_refusal(store, connection.account))
    denials.connected(store.id, connection)
    if added:
        order_windows.read_first_again(store.id)
    return connection


def connection_saved(store: Store, *, changed: bool) -> None:
    """Read a store again whose connection settings were saved; with other settings it may list other orders. The
    caller enqueues `connect`, which tests them.
    """
    if not is_refused(store):  # until the test shows another account
        store.problem = None
    if changed:
        if store.account_state == AccountState.KNOWN:
            store.account_state = AccountState.UNASKED
        order_windows.read_first_again(store.id)


def marketplaces_switched(store: Store, names: Sequence[str]) -> Sequence[str]:
    """Follow a switch of marketplaces, given by the names of their settings. One that is on again is read as a new one
    would be, and its orders that have no number get theirs. Returns those numbers of the channel that the caller has
    read at once: what happened to these orders meanwhile may not be known.
    """
    off = switched_off(store)
    switched = [row.marketplace for row in store.marketplaces if marketplace_setting(row).name in names]
    for marketplace in off.intersection(switched):
        if row := denials.marketplace(store.id, marketplace):
            denials.lift(row)
    live.publish("stores", [store.id])
    on = set(switched) - off
    if not on:
        return []
    order_windows.read_first_again(store.id)
    unread = numbering.open_without_number(store, on)
    if IMPORT_ORDERS.of(store):
        numbering.start(store)
    return unread


def added(store: Store) -> None:
    """Have a new store read. The caller enqueues `connect`, which tests it first; should the queue lose that job, the
    clock finds the store a minute later.
    """
    runs.sync_of(store.id).next_at = now() + _CONNECTS_WITHIN


def activate(store: Store, *, actor: Actor) -> None:
    """Activate the store again; the caller enqueues `connect`, which tests it first."""
    actor.needs("stores.edit")
    actor.needs_shops(store.shop_ids)
    if store.archived_at is not None:
        raise StoreArchived
    if not store.active:
        store.active = True
        _note(store, "store_activated", actor)


def deactivate(store: Store, *, actor: Actor) -> None:
    """Pause the store: nothing is read from it or sent to it; a run that is open waits."""
    actor.needs("stores.edit")
    actor.needs_shops(store.shop_ids)
    if not store.active:
        return
    store.active = False
    for sync in runs.locked_lanes(store.id):
        if sync.run is not None and sync.run.is_open:
            sync.run.state = RunState.PAUSED
    _note(store, "store_deactivated", actor)


def stop_sending(store: Store, *, actor: Actor) -> None:
    """Make the store read-only: orders are still read, and whatever is to be sent waits."""
    actor.needs("stores.edit")
    actor.needs_shops(store.shop_ids)
    if store.archived_at is not None:
        raise StoreArchived
    if store.read_only is None:
        store.read_only = SendingStopped().stored()
        _note(store, "store_sending_stopped", actor)


def let_send(store: Store, *, actor: Actor) -> None:
    """Allow sending to the store again: somebody has checked what may have been sent."""
    actor.needs("stores.edit")
    actor.needs_shops(store.shop_ids)
    if store.read_only is not None:
        store.read_only = None
        _note(store, "store_sends_again", actor)


def archive(store: Store, *, actor: Actor) -> None:
    """Archive the store with all its orders; it can be restored at any time. Another store that was refused because
    of this one may use the account now: each such store is tested by its next reading, which begins at once.
    """
    deactivate(store, actor=actor)
    if store.archived_at is None:
        store.archived_at = now()
        for other in refused_beside(store):
            other.problem, other.account_state = None, AccountState.UNASKED
            if other.active:
                runs.start(other, actor=Actor.job("sync"))
        _note(store, "store_archived", actor)


def restore(store: Store, *, actor: Actor) -> None:
    """Restore an archived store; it stays paused until somebody activates it. Raises `AccountConnected` if another
    store has its account by now.
    """
    actor.needs("stores.edit")
    actor.needs_shops(store.shop_ids)
    if store.archived_at is not None:
        if refusal := account_refusal(store, store.account):
            raise refusal
        store.archived_at, store.account_state = None, AccountState.UNASKED
        _note(store, "store_restored", actor)


def _note(store: Store, code: str, actor: Actor) -> None:
    audit(code, actor=actor, store=store.id)
    live.publish("stores", [store.id])
