"""A store's sync as a run: starting or joining one, leasing the store, the run's numbers, its end."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import joinedload, lazyload

from webapp import live
from webapp.audit.actor import Actor, ActorKind
from webapp.channels.contract import ChannelError, Denied, DeniedThing, Disconnected, OrdersWindow
from webapp.channels.models import Store
from webapp.channels.services import access, channels, get_channel
from webapp.clock import now
from webapp.db import any_row, db, delete_some
from webapp.errors import DeskError, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.models import Run, RunState
from webapp.orders import erasing
from webapp.sync import denials, leases, proving
from webapp.sync.models import OrdersProof, StoreDenial, StoreSync, SyncWindow, WindowKind

KIND, NUMBERING = "sync", "numbering"
STORE_KINDS = (KIND, NUMBERING, erasing.KIND)  # of runs whose subject is a store
NUMBERS = ("pages", "seen", "new", "changed", "aside", "calls", "throttled")  # stored: `aside` are the quarantined
_NEWS = ("new", "changed", "aside")
_QUIET_KEPT = timedelta(hours=1)
_BACKOFF_LIMIT = 600.0
_WIDEN_EVERY = timedelta(hours=24)


class StoreInactive(Refusal):
    code = "store_inactive"
    sentence = _l("This store is inactive: activate it first.")


def sync_of(store_id: int, *, lock: bool = False) -> StoreSync:
    """The store's sync row, made at its first use; with `lock` nobody else leases it until the unit of work ends."""
    query = select(StoreSync).where(StoreSync.store_id == store_id)
    if lock:
        query = query.with_for_update(of=StoreSync).execution_options(populate_existing=True)
    row = db.session.scalar(query)
    if row is None:
        row = StoreSync(store_id=store_id, next_at=now())
        db.session.add(row)
        for kind in WindowKind:
            db.session.add(SyncWindow(store_id=store_id, kind=kind))
        db.session.flush()
        db.session.refresh(row)
    return row


def start(store: Store, *, actor: Actor) -> Run:
    """Begin a run now, or join the one that is open; a store that was disconnected is given another try."""
    actor.needs("stores.sync")
    if not store.active:
        raise StoreInactive
    store.problem = None
    sync = sync_of(store.id, lock=True)
    sync.next_at = min(sync.next_at, now())
    if sync.run is not None and sync.run.is_open:
        return sync.run
    return _open_run(sync, actor)


def _open_run(sync: StoreSync, actor: Actor) -> Run:
    run = Run(
        kind=KIND,
        subject_id=sync.store_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        state=RunState.QUEUED,
        started_at=now(),
        numbers=dict.fromkeys(NUMBERS, 0),
    )
    db.session.add(run)
    db.session.flush()
    sync.run = run
    return run


def due_stores() -> list[int]:
    """Stores that are due to be read and that nobody reads now."""
    return list(db.session.scalars(_readable().where(StoreSync.next_at <= now())))


def due_for_more() -> list[int]:
    """Stores of which more can be read: a marketplace that was denied, or, while no window is due, the orders again."""
    at = now()
    denied = select(StoreDenial.id).where(
        StoreDenial.store_id == StoreSync.store_id,
        StoreDenial.work == denials.ORDERS,
        StoreDenial.thing == DeniedThing.MARKETPLACE,
        StoreDenial.again_at <= at,
    )
    unproven = select(OrdersProof.store_id).where(
        OrdersProof.store_id == StoreSync.store_id, OrdersProof.proven_at.is_(None), OrdersProof.again_at <= at
    )
    unread = select(SyncWindow.store_id).where(SyncWindow.store_id == StoreSync.store_id, _UNREAD)
    due = or_(denied.exists(), and_(StoreSync.next_at > at, unproven.exists(), ~unread.exists()))
    return list(db.session.scalars(_readable().where(due)))


def _readable() -> Select[int]:
    """Stores that may be read and that nobody reads now."""
    free = or_(StoreSync.lease_until.is_(None), StoreSync.lease_until < now())
    known = Store.channel.in_(channels())  # one whose plugin was left out waits for it
    return select(StoreSync.store_id).join(Store).where(Store.active, Store.problem.is_(None), known, free)


def lease_store(store_id: int, owner: str) -> tuple[StoreSync, SyncWindow, Run] | None:
    """Lease the store for one page; None where it is not due, inactive, or read by another."""
    sync = _free(store_id)
    if sync is None or sync.next_at > now():
        return None
    sync.lease_owner, sync.lease_until = owner, now() + leases.LEASE
    run = sync.run if sync.run is not None and sync.run.is_open else _open_run(sync, Actor.job("sync"))
    run.state = RunState.RUNNING
    return sync, _window(sync), run


def lease_for_more(store_id: int, owner: str) -> tuple[StoreSync, OrdersWindow] | None:
    """Lease the store for a page that its windows do not read; None where nothing is due, or another reads."""
    sync = _free(store_id)
    if sync is None or sync.store.problem is not None:
        return None
    denial = denials.due_marketplace(store_id)
    rests = sync.next_at > now() and not any_row(SyncWindow, SyncWindow.store_id == store_id, _UNREAD)
    proof = proving.due(store_id) if denial is None and rests else None
    if denial is not None:
        low = _first_low(sync, denial.since)  # the same for every page of a trial: a page token holds the caller to it
        asked = OrdersWindow(low, denial.page_token, open_only=True, only=denial.name)
    elif proof is not None:
        asked = OrdersWindow(proof.low, proof.page_token, without=denials.left_out(store_id), spare=True)
    else:
        return None
    sync.lease_owner, sync.lease_until = owner, now() + leases.LEASE
    return sync, asked


# A window that waits in its middle: it may have been begun without a marketplace that is read again by now. The proof,
# which leaves to the next window what changed after the cursor, would pass over what this one lacks.
_UNREAD = SyncWindow.page_token.is_not(None)


def read_first_again(store_id: int) -> None:
    """Read once more what a first connection would read, since the store may list other orders than before: the open
    orders with the next page, the rest with the proof. A store that was not read yet is left as it is.
    """
    if db.session.get(StoreSync, store_id) is None:
        return
    sync = sync_of(store_id, lock=True)
    give_back(sync)  # a page that is being read now was asked for as before
    window = db.session.get_one(SyncWindow, (store_id, WindowKind.OPEN))
    window.cursor = window.low = window.high = window.page_token = None
    window.pages_done = window.restarts = 0
    proving.begin(store_id, _first_low(sync, now()))


def _free(store_id: int) -> StoreSync | None:
    """The store's sync row, locked; None where another has its lease, or the store is inactive."""
    sync = sync_of(store_id, lock=True)
    held = sync.lease_until is not None and sync.lease_until >= now()
    return sync if sync.store.active and not held else None


def _window(sync: StoreSync) -> SyncWindow:
    windows = {
        row.kind: row for row in db.session.scalars(select(SyncWindow).where(SyncWindow.store_id == sync.store_id))
    }
    window = windows[WindowKind.OPEN] if windows[WindowKind.OPEN].cursor is None else windows[WindowKind.CHANGES]
    if window.low is None:
        channel = get_channel(sync.store.channel)
        if window.cursor is not None:
            window.low = window.cursor - _overlap(window, timedelta(seconds=channel.overlap))
        else:
            window.low = _first_low(sync, now())
    return window


def _first_low(sync: StoreSync, at: datetime) -> datetime:
    """How far back the first connection at this instant reaches."""
    return at - timedelta(days=int(access(sync.store).settings.get("import_from", 30)))


def _overlap(window: SyncWindow, usual: timedelta) -> timedelta:
    """How far a window reaches behind the cursor: a whole day once a day, which finds what slipped over a page."""
    at = now()
    if window.widened_at is not None and at - window.widened_at < _WIDEN_EVERY:
        return usual
    first, window.widened_at = window.widened_at is None, at
    return usual if first else max(usual, _WIDEN_EVERY)


def low_of(window: SyncWindow) -> datetime:
    """The window's lower bound, which `lease_store` has set."""
    if window.low is None:
        raise RuntimeError("a window without a lower bound")
    return window.low


def held_by(store_id: int, owner: str) -> tuple[StoreSync, SyncWindow, Run] | None:
    """Sync row, window and run, locked for writing a page; None where `owner` has lost the lease meanwhile."""
    sync = sync_held_by(store_id, owner)
    if sync is None or sync.run is None:
        return None
    return sync, _window(sync), sync.run


def sync_held_by(store_id: int, owner: str) -> StoreSync | None:
    """The store's sync row, locked; None where `owner` has lost the lease meanwhile."""
    sync = sync_of(store_id, lock=True)
    return sync if sync.lease_owner == owner else None


def count(run: Run, **more: int) -> None:
    """Add to the run's numbers."""
    run.numbers = run.numbers | {name: run.numbers.get(name, 0) + value for name, value in more.items()}
    run.done = run.numbers.get("seen", 0)
    live.publish("stores", [run.subject_id or 0])


def page_done(sync: StoreSync, window: SyncWindow, *, bound: datetime | None, next_page: str | None) -> bool:
    """Move the window with the page just written, in its transaction; True where the whole run is done.

    The cursor moves with the window's last page only. The first connection's open orders are followed by the changes.
    """
    sync.failures, sync.last_failure = 0, None
    window.high = window.high or bound
    window.page_token = next_page
    window.pages_done += 1
    if next_page is not None:
        return False
    if window.cursor is None and window.kind == WindowKind.CHANGES:
        proving.begin(sync.store_id, low_of(window))
    window.cursor = max(filter(None, (window.cursor, window.high)), default=window.low)
    window.low = window.high = None
    window.pages_done = window.restarts = 0
    return window.kind == WindowKind.CHANGES


def restart_window(window: SyncWindow) -> bool:
    """Read the same window from its start, since its page token is no longer good; False once that led nowhere."""
    window.page_token = window.high = None
    window.pages_done = 0
    window.restarts += 1
    return window.restarts <= 5


def give_back(sync: StoreSync) -> None:
    """End the lease; the time of the next reading stays as it is."""
    sync.lease_owner = sync.lease_until = None


def pass_on(sync: StoreSync, *, seconds: float = 0.0) -> None:
    """End the lease with the window unfinished; it goes on after so many seconds."""
    give_back(sync)
    sync.next_at = now() + timedelta(seconds=seconds)


def finish(sync: StoreSync, run: Run) -> None:
    """The run read everything there was."""
    store = sync.store
    run.quiet = run.actor_kind == ActorKind.JOB and not any(run.numbers.get(name) for name in _NEWS)
    run.state, run.ended_at = RunState.DONE, now()
    sync.last_success_at = run.ended_at
    pass_on(sync, seconds=get_channel(store.channel).poll_interval(access(store)))


def fail(sync: StoreSync, run: Run, error: DeskError) -> None:
    """End the run with its reason; the next comes by itself, later each time, unless somebody must connect it again."""
    run.state, run.ended_at, run.problem = RunState.FAILED, now(), error.stored()
    sync.failures, sync.last_failure = sync.failures + 1, error.stored()
    pause = error.retry_after if isinstance(error, ChannelError) and error.retry_after else 60.0
    growing = min(_BACKOFF_LIMIT, pause * 2 ** min(sync.failures - 1, 8))
    pass_on(sync, seconds=pause if isinstance(error, Denied) else growing)
    if isinstance(error, Disconnected):
        disconnect(sync.store, error)
    live.publish("stores", [sync.store_id])


def disconnect(store: Store, error: Disconnected) -> None:
    """Neither read the store nor tell it anything until somebody gives new credentials: its sign-in is refused."""
    store.problem = error.stored()
    live.publish("stores", [store.id])


def forget_quiet_runs() -> bool:
    """Delete some runs that came by the clock and found nothing, an hour after their end; whether more are there."""
    return delete_some(Run, *_forgettable())


def any_to_forget() -> bool:
    """Whether there are runs that nobody needs any more."""
    return any_row(Run, *_forgettable())


def _forgettable() -> tuple[ColumnElement[bool], ...]:
    in_use = select(StoreSync.run_id).where(StoreSync.run_id.is_not(None))
    return (Run.quiet.is_(True), Run.ended_at < now() - _QUIET_KEPT, Run.id.not_in(in_use))


def runs(
    actor: Actor, *, store_id: int | None = None, limit: int = 50, quiet: bool = True, own: Collection[str] = ()
) -> list[Run]:
    """Runs, newest first; without `quiet`, those that came by the clock and found nothing are left out.

    Of the kinds in `own` only those that the actor began.
    """
    actor.needs("stores.view")
    query = select(Run).order_by(Run.id.desc()).limit(limit)
    if own:
        mine = and_(Run.actor_kind == actor.kind, Run.actor_id == actor.id)
        query = query.where(or_(Run.kind.not_in(own), mine))
    if not quiet:
        query = query.where(~Run.quiet)
    if store_id is not None:
        query = query.where(Run.kind.in_(STORE_KINDS), Run.subject_id == store_id)
    return list(db.session.scalars(query))


def syncs_of(store_ids: Sequence[int]) -> dict[int, StoreSync]:
    """The sync rows of these stores with their last runs, for pages: a store that was never read has none."""
    query = (
        select(StoreSync)
        .where(StoreSync.store_id.in_(store_ids))
        .options(joinedload(StoreSync.run), joinedload(StoreSync.proof), joinedload(StoreSync.denials))
        .options(lazyload(StoreSync.store))
    )
    return {row.store_id: row for row in db.session.scalars(query).unique()}
