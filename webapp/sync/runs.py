"""Readings of a store as runs: starting or joining one, leasing a lane, the run's numbers, its end.

Every lane is handled in the same way; orders are one of them. How far a lane was read is kept by its stream (`streams`,
`order_windows`).
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, true, update
from sqlalchemy.orm import joinedload, lazyload

from webapp import live
from webapp.audit.actor import Actor, ActorKind
from webapp.channels.connecting import ChannelError, Denied, Disconnected
from webapp.channels.models import Store
from webapp.channels.registered import channels
from webapp.channels.services import AccountConnected, is_refused, serving
from webapp.clock import now
from webapp.db import any_row, db, delete_some, insert_into
from webapp.errors import DeskError, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.models import Run, RunState
from webapp.orders import erasing
from webapp.sync import leases
from webapp.sync.models import ORDERS_LANE, StoreSync, SyncWindow, WindowKind

KIND, STREAM, NUMBERING = "sync", "stream", "numbering"
STORE_KINDS = (KIND, STREAM, NUMBERING, erasing.KIND)  # of runs whose subject is a store
NUMBERS = ("pages", "seen", "new", "changed", "aside", "calls", "throttled")  # stored: `aside` are the quarantined
_NEWS = ("new", "changed", "aside")
_QUIET_KEPT = timedelta(hours=1)
_BACKOFF_LIMIT = 600.0
_LONGEST_PAUSE = 7 * 86_400.0


class ReaderLost(DeskError):
    """The worker that read a page did not finish: it was killed, or hung beyond its time."""

    code = "reader_lost"
    sentence = _l("The sync was interrupted because its worker stopped. Waybill retries automatically.")


class PageTooSlow(DeskError):
    """A page took longer than its time limit, and was given up."""

    code = "page_too_slow"
    sentence = _l(
        "One page took longer than %(seconds)s seconds, so the sync was stopped. Waybill retries automatically."
    )


class StoreInactive(Refusal):
    code = "store_inactive"
    sentence = _l("This store is inactive: activate it first.")


def sync_of(store_id: int, lane: str = ORDERS_LANE, *, lock: bool = False) -> StoreSync:
    """The row of a store's lane, created at its first use; with `lock` nobody else can lease it until the unit of
    work ends.
    """
    query = select(StoreSync).where(StoreSync.store_id == store_id, StoreSync.lane == lane)
    if lock:
        query = query.with_for_update(of=StoreSync).execution_options(populate_existing=True)
    row = db.session.scalar(query)
    if row is None:  # two transactions may create it at once
        made = insert_into(StoreSync).values(store_id=store_id, lane=lane, next_at=now()).on_conflict_do_nothing()
        db.session.execute(made)
        if lane == ORDERS_LANE:
            windows = [{"store_id": store_id, "kind": kind} for kind in WindowKind]
            db.session.execute(insert_into(SyncWindow).on_conflict_do_nothing(), windows)
        row = db.session.scalars(query).one()
    return row


def start(store: Store, *, actor: Actor) -> Run:
    """Begin a run of the store's orders now, or join the one that is open; a disconnected store is tried again, and
    so is every failing lane. Raises `AccountConnected` if another store has its account.
    """
    actor.needs("stores.sync")
    if not store.active:
        raise StoreInactive
    if store.problem is not None and is_refused(store):
        raise AccountConnected(**store.problem["values"])
    store.problem = None
    sync = sync_of(store.id, lock=True)
    sync.next_at = min(sync.next_at, now())
    failing = update(StoreSync).where(StoreSync.store_id == store.id, StoreSync.failures > 0)
    db.session.execute(failing.where(StoreSync.lane != ORDERS_LANE).values(next_at=now()))
    if sync.run is not None and sync.run.is_open:
        return sync.run
    return _open_run(sync, actor)


def _open_run(sync: StoreSync, actor: Actor) -> Run:
    of_orders = sync.lane == ORDERS_LANE
    run = Run(
        kind=KIND if of_orders else STREAM,
        subject_id=sync.store_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        state=RunState.QUEUED,
        started_at=now(),
        numbers=dict.fromkeys(NUMBERS, 0) | ({} if of_orders else {"lane": sync.lane}),
    )
    db.session.add(run)
    db.session.flush()
    sync.run = run
    return run


def readable(*columns: Any) -> Select[Any]:
    """These columns of the lanes that may be read and that nobody reads now."""
    free = or_(StoreSync.lease_until.is_(None), StoreSync.lease_until < now())
    return stores_to_read(*columns).where(free)


def stores_to_read(*columns: Any) -> Select[Any]:
    """These columns of the lanes of stores that may be read."""
    known = Store.channel.in_(channels())  # a lane whose plugin was left out waits for it
    query = select(*columns).join(Store, Store.id == StoreSync.store_id)
    return query.where(Store.active, Store.problem.is_(None), known)


def lease_lane(store_id: int, owner: str, lane: str = ORDERS_LANE) -> tuple[StoreSync, Run] | None:
    """Lease a lane of the store for one page; None if it is not due, inactive, or read by another worker.

    If the last lease was not given back, its holder was killed or hung. The lane of orders is read again at once. Any
    other lane is paused first, since its page may be the cause, until it has read a page to the end.
    """
    sync = free(store_id, lane)
    if sync is None or sync.next_at > now():
        return None
    run = sync.run if sync.run is not None and sync.run.is_open else _open_run(sync, Actor.job("sync"))
    if sync.lease_owner is not None and lane != ORDERS_LANE:
        fail(sync, run, ReaderLost())
        return None
    take(sync, owner)
    run.state = RunState.RUNNING
    return sync, run


def take(sync: StoreSync, owner: str) -> None:
    """Lease a lane that is free."""
    sync.lease_owner, sync.lease_until = owner, now() + leases.LEASE


def free(store_id: int, lane: str = ORDERS_LANE) -> StoreSync | None:
    """The row of a store's lane, locked; None if another worker has its lease, the store is inactive, or another
    store has its account.
    """
    sync = sync_of(store_id, lane, lock=True)
    held = sync.lease_until is not None and sync.lease_until >= now()
    return sync if sync.store.active and not is_refused(sync.store) and not held else None


def held_by(store_id: int, owner: str, lane: str = ORDERS_LANE) -> tuple[StoreSync, Run] | None:
    """The row of the lane with its run, locked for writing a page; None if `owner` has lost the lease."""
    sync = sync_held_by(store_id, owner, lane)
    return (sync, sync.run) if sync is not None and sync.run is not None else None


def sync_held_by(store_id: int, owner: str, lane: str = ORDERS_LANE) -> StoreSync | None:
    """The row of the lane, locked; None if `owner` has lost the lease."""
    sync = sync_of(store_id, lane, lock=True)
    return sync if sync.lease_owner == owner else None


def count(run: Run, **more: int) -> None:
    """Add to the run's numbers."""
    run.numbers = run.numbers | {name: run.numbers.get(name, 0) + value for name, value in more.items()}
    run.done = run.numbers.get("seen", 0)
    live.publish("stores", [run.subject_id or 0])


def give_back(sync: StoreSync) -> None:
    """End the lease; the time of the next reading stays as it is."""
    sync.lease_owner = sync.lease_until = None


def pass_on(sync: StoreSync, *, seconds: float = 0.0) -> None:
    """End the lease while there is more to read; the next page follows after so many seconds."""
    give_back(sync)
    sync.next_at = now() + timedelta(seconds=seconds)


def page_read(sync: StoreSync) -> None:
    """Record that a page was written: earlier failures are over."""
    sync.failures, sync.last_failure = 0, None


def finish(sync: StoreSync, run: Run, *, seconds: float) -> None:
    """End the run, which has read everything; the next one begins after so many seconds."""
    run.quiet = run.actor_kind == ActorKind.JOB and not any(run.numbers.get(name) for name in _NEWS)
    run.state, run.ended_at = RunState.DONE, now()
    sync.last_success_at = run.ended_at
    pass_on(sync, seconds=seconds)


def fail(sync: StoreSync, run: Run, error: DeskError) -> None:
    """End the run with its reason. The next one begins by itself, later after each failure, unless a person has to
    connect the store again.

    Only the lane of orders can disconnect the store: other lanes may sign in elsewhere, or be wrong.
    """
    of_orders = sync.lane == ORDERS_LANE
    run.state, run.ended_at, run.problem = RunState.FAILED, now(), error.stored()
    run.quiet = not of_orders and sync.failures > 0  # the first of several failures in a row is kept
    note_failure(sync, error)
    pause = pause_of(error, otherwise=60.0)
    growing = min(_BACKOFF_LIMIT, pause * 2 ** min(sync.failures - 1, 8))
    pass_on(sync, seconds=pause if isinstance(error, Denied) else growing)
    if isinstance(error, Disconnected) and of_orders:
        disconnect(sync.store, error)
    live.publish("stores", [sync.store_id])


def note_failure(sync: StoreSync, error: DeskError) -> None:
    """Record why the lane can't be read, until a page of it is read."""
    sync.failures, sync.last_failure = sync.failures + 1, error.stored()


def pause_of(error: DeskError, *, otherwise: float) -> float:
    """The seconds after which an error allows another try; `otherwise` if it gives no usable number."""
    told = error.retry_after if isinstance(error, ChannelError) else None
    return told if isinstance(told, (int, float)) and 0 < told <= _LONGEST_PAUSE else otherwise


def disconnect(store: Store, error: Disconnected) -> None:
    """Stop reading from the store and sending to it until a person gives new credentials: its sign-in is refused."""
    store.problem = error.stored()
    live.publish("stores", [store.id])


def forget_quiet_runs() -> bool:
    """Delete some runs that the clock started and that found nothing, an hour after their end; returns whether more
    are left.
    """
    return delete_some(Run, *_forgettable())


def any_to_forget() -> bool:
    """Whether there are such runs."""
    return any_row(Run, *_forgettable())


def _forgettable() -> tuple[ColumnElement[bool], ...]:
    in_use = select(StoreSync.run_id).where(StoreSync.run_id.is_not(None))
    return (Run.quiet.is_(True), Run.ended_at < now() - _QUIET_KEPT, Run.id.not_in(in_use))


def runs(
    actor: Actor, *, store_id: int | None = None, limit: int = 50, quiet: bool | None = None, own: Collection[str] = ()
) -> list[Run]:
    """Runs, newest first; with `quiet`, those alone that the clock started and that found nothing, or all but those.

    Of the kinds in `own` only those that the actor began.
    """
    query = select(Run).where(_seen_by(actor)).order_by(Run.id.desc()).limit(limit)
    if own:
        mine = and_(Run.actor_kind == actor.kind, Run.actor_id == actor.id)
        query = query.where(or_(Run.kind.not_in(own), mine))
    if quiet is not None:
        query = query.where(Run.quiet if quiet else ~Run.quiet)
    if store_id is not None:
        query = query.where(Run.kind.in_(STORE_KINDS), Run.subject_id == store_id)
    return list(db.session.scalars(query))


def quiet_runs(actor: Actor) -> tuple[int, datetime | None]:
    """How many runs of the last hour the clock started that found nothing, and when the last of them ended."""
    query = select(func.count(), func.max(Run.ended_at)).where(_seen_by(actor))
    query = query.where(Run.quiet, Run.state == RunState.DONE, Run.ended_at >= now() - _QUIET_KEPT)
    count, latest = db.session.execute(query).one()
    return count, latest


def _seen_by(actor: Actor) -> ColumnElement[bool]:
    actor.needs("stores.view")
    if actor.shops is None:
        return true()
    return or_(Run.kind.not_in(STORE_KINDS), Run.subject_id.in_(serving(select(Store.id), actor)))


def lanes_of(store_ids: Sequence[int]) -> dict[int, list[StoreSync]]:
    """The rows of all lanes of these stores with their last runs, for pages; the lane of orders first."""
    query = (
        select(StoreSync)
        .where(StoreSync.store_id.in_(store_ids))
        .options(joinedload(StoreSync.run), joinedload(StoreSync.proof), joinedload(StoreSync.denials))
        .options(lazyload(StoreSync.store))
        .order_by(StoreSync.lane != ORDERS_LANE, StoreSync.lane)
    )
    found: dict[int, list[StoreSync]] = {}
    for row in db.session.scalars(query).unique():
        found.setdefault(row.store_id, []).append(row)
    return found


def locked_lanes(store_id: int) -> Sequence[StoreSync]:
    """Every lane of a store, locked: nobody can lease one until the unit of work ends."""
    query = select(StoreSync).where(StoreSync.store_id == store_id)
    query = query.order_by(StoreSync.lane != ORDERS_LANE, StoreSync.lane)  # in the order in which `start` locks them
    return db.session.scalars(query.with_for_update(of=StoreSync).execution_options(populate_existing=True)).all()
