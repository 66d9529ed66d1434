"""Jobs of the traffic: one page of orders, one batch of updates. Each is safe to run twice or on two workers.

The network is never called within a transaction: a job claims in one unit of work, asks the channel, and settles in
another. Work whose job died in between is found by the schedule once its lease has expired.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import and_

from webapp import live
from webapp.audit.actor import Actor
from webapp.channels import calls
from webapp.channels.connecting import (
    ChannelError,
    Connection,
    Denial,
    Denied,
    DeniedThing,
    Disconnected,
    StoreAccess,
    Throttled,
)
from webapp.channels.contract import Channel
from webapp.channels.incoming import OrdersPage, OrdersWindow, PageRefused, UnreadableOrder
from webapp.channels.models import AccountState, Store
from webapp.channels.outgoing import OF_DELIVERY, OF_LOOK, Accepted, NothingLearned, NotYet, Outcome, Unknown
from webapp.channels.services import access, get_channel, is_refused
from webapp.clock import now
from webapp.db import analyze, db, unit_of_work
from webapp.errors import DeskError
from webapp.hooks import failures
from webapp.hooks.fence import PluginFailed, ask, failed, label_of
from webapp.hooks.registered import is_ours, owner_of, plugin_of
from webapp.jobs import TimeOver, a_moment, job
from webapp.jobs.models import Run
from webapp.jobs.queues import queue_of_stream
from webapp.sync import activity, call_log, denials, order_windows, proving, runs, streams
from webapp.sync.delivering import as_updates, claim_due, claim_to_look_up, due_work, to_send
from webapp.sync.leases import HeldUpdates, Lease
from webapp.sync.models import ORDERS_LANE, OrdersProof, StoreSync
from webapp.sync.order_windows import Broken
from webapp.sync.settling import settle
from webapp.sync.streams import Stream
from webapp.sync.taking_in import quarantine
from webapp.sync.taking_in.pages import note_unchanged, prepare, take_in
from webapp.updates import attempts, deciding, marks
from webapp.updates.kinds import carriage_of
from webapp.updates.models import ChannelUpdate, UpdateState

log = structlog.get_logger(__name__)
SETTLED_AT_ONCE = 100  # updates
READ_SINGLY = 20  # orders; a page of a window has more for one call


@job("clock")
def keep_statistics(done: int = 0) -> None:
    """Update the planner's statistics of the tables after the first `done`: a few now, the others in the next job."""

    tables = sorted(db.metadata.tables)
    for _ in a_moment():
        if done == len(tables):
            break
        analyze(tables[done])
        done += 1
    else:
        keep_statistics.enqueue(done)


def anything_due() -> bool:
    """Whether a lane of a store or one of its orders is to be read, or an update is to be sent or looked up."""
    return bool(streams.due() or order_windows.due_for_more() or due_work() or denials.due_orders())


@job("clock")
def find_due() -> None:
    """Enqueue whatever is due. The queue may have lost a job; the rows are still there."""
    for store_id, lane in streams.due():
        _send(store_id, lane)
    for store_id in order_windows.due_for_more():
        read_more.enqueue(store_id)
    for store_id, lane, work in due_work():
        (deliver if work == "deliver" else look_up).enqueue(store_id, lane)
    for store_id, number in denials.due_orders():
        fetch_order.enqueue(store_id, number)


@job("importing")
def import_orders(store_id: int) -> None:
    """Read one page of a store's orders and take it in; the next page is a job of its own."""
    _read_page(store_id, ORDERS_LANE)


@job("importing")
def read_lane(store_id: int, lane: str) -> None:
    """Read one page of a stream of a store, and take it in. The job runs in the queue of the stream."""
    _read_page(store_id, lane)


def _send(store_id: int, lane: str, *, seconds: float = 0.0) -> None:
    """Enqueue the reading of a lane's next page, after so many seconds."""
    stream = streams.find(lane)
    if lane == ORDERS_LANE:
        import_orders.enqueue_in(seconds, store_id)
    elif stream is not None:
        in_its_queue = read_lane.on(queue_of_stream(lane), timeout=math.ceil(stream.seconds))
        in_its_queue.enqueue_in(seconds, store_id, lane)


def _read_page(store_id: int, lane: str) -> None:
    """Lease a lane, fetch a page, and take it in together with its progress; a failure concerns this lane only."""
    stream = streams.find(lane)
    if stream is None:  # its plugin was left out meanwhile
        return
    lease, began = Lease(StoreSync), time.monotonic()
    with unit_of_work():
        held = runs.lease_lane(store_id, lease.owner, lane)
        if held is None:
            return
        sync, _ = held
        asked, credentials = stream.asked(sync), access(sync.store)
        unasked = sync.store.account_state == AccountState.UNASKED
    problem: DeskError
    try:
        with (
            call_log.logged(credentials) as credentials,
            lease.kept(and_(StoreSync.store_id == store_id, StoreSync.lane == lane)),
        ):
            if unasked and _tested_first(stream, store_id, lease.owner, asked):
                return
            page = stream.read(credentials, asked)
            with unit_of_work():
                held = runs.held_by(store_id, lease.owner, lane)
                if held is not None:
                    _take_in(stream, *held, credentials, asked, page)
        return
    except ChannelError as error:
        problem = error
    except TimeOver as error:
        took = time.monotonic() - began
        failures.note_slow(plugin_of(error) or owner_of(stream), "stream", lane, took, stream.seconds)
        problem = runs.PageTooSlow(seconds=round(stream.seconds))
    except Exception as error:
        if is_ours(owner_of(stream)):  # a bug of the desk, or a database that can't be reached
            raise
        problem = failed(stream, "stream", error)
    _not_read(stream, store_id, lease.owner, asked, problem)


def _tested_first(stream: Stream, store_id: int, owner: str, asked: Any) -> bool:
    """Ask the channel which account a store has before anything is read from it. Returns whether the lease was given
    back: because nothing can be read, or because the next job reads with what is now known of the store. While the
    channel can't be reached, this is tried again like a page. If the channel denies only this test, or its plugin
    fails at it or uses up the time of the job, reading goes on.
    """
    connection = _connection(db.session.get_one(Store, store_id))
    with unit_of_work():
        store = db.session.get_one(Store, store_id)
        connection = activity.connected(store, connection)
        live.publish("stores", [store_id])
        own = (Denied, calls.NoAnswer)
        away = isinstance(connection.problem, ChannelError) and not isinstance(connection.problem, own)
        stopped = away or store.problem is not None
        if connection.ok:
            if held := runs.held_by(store_id, owner, stream.lane):
                runs.pass_on(held[0])
            _send(store_id, stream.lane)
            return True
    if stopped and connection.problem is not None:
        _not_read(stream, store_id, owner, asked, connection.problem)
    return stopped


def _take_in(stream: Stream, sync: StoreSync, run: Run, credentials: StoreAccess, asked: Any, page: Any) -> None:
    if stream.written(sync, run, credentials, asked, page):
        runs.finish(sync, run, seconds=stream.rests(sync.store))
        if not sync.store.marketplaces or sync.store.account_state != AccountState.KNOWN:
            connect_again.enqueue(sync.store_id)
    else:
        runs.pass_on(sync)
        _send(sync.store_id, sync.lane)


def _not_read(stream: Stream, store_id: int, owner: str, asked: Any, error: DeskError) -> None:
    with unit_of_work():
        held = runs.held_by(store_id, owner, stream.lane)
        if held is None:
            return
        sync, run = held
        match error:
            case Throttled():
                pause = runs.pause_of(error, otherwise=1.0)
                runs.count(run, throttled=1)
                runs.pass_on(sync, seconds=pause)
                _send(store_id, stream.lane, seconds=pause)
            case PageRefused() if stream.again(sync, run):
                runs.count(run, calls=1)
                runs.pass_on(sync)
                _send(store_id, stream.lane)
            case _:
                stream.missed(sync, asked, error)
                log.warning("sync_failed", store=store_id, lane=stream.lane, problem=error.code)
                runs.count(run, calls=1)
                runs.fail(sync, run, error)


@job("importing")
def read_more(store_id: int) -> None:
    """Read a page outside the windows: the open orders of a denied marketplace, to see whether it is still denied;
    or a page of the first reading again, to see whether an order was missed.
    """
    lease = Lease(StoreSync)
    with unit_of_work():
        more = order_windows.lease_for_more(store_id, lease.owner)
        if more is None:
            return
        sync, asked = more
        credentials = access(sync.store)
    window = asked.window
    with (
        call_log.logged(credentials) as credentials,
        lease.kept(and_(StoreSync.store_id == store_id, StoreSync.lane == ORDERS_LANE)),
    ):
        try:
            _take_more_in(store_id, lease.owner, window, order_windows.fetch(credentials, asked))
        except ChannelError as error:
            _no_more(store_id, lease.owner, window, error)
        except Exception:  # a bug of the desk, which the next try would meet too
            _no_more(store_id, lease.owner, window, Broken(channel=label_of(asked.channel)))
            raise


def _take_more_in(store_id: int, owner: str, asked: OrdersWindow, page: OrdersPage) -> None:
    ready = prepare(db.session.get_one(Store, store_id), proving.read_before(store_id, page) if asked.spare else page)
    with unit_of_work():
        sync = runs.sync_held_by(store_id, owner)
        if sync is None:
            return
        runs.give_back(sync)
        taken = take_in(sync.store, ready)
        denials.page_read(store_id, page, asked.low)
        if asked.spare:
            proving.page_read(
                proving.of_store(store_id), seen=len(page.orders), new=taken.new, next_page=page.next_page
            )
        elif (denial := denials.marketplace(store_id, asked.only)) is not None:
            denial.page_token = page.next_page
            if page.next_page is None:
                denials.lift(denial)
                sync.next_at = min(sync.next_at, now())  # the windows include it again
            else:
                read_more.enqueue(store_id)


def _no_more(store_id: int, owner: str, asked: OrdersWindow, error: ChannelError) -> None:
    with unit_of_work():
        sync = runs.sync_held_by(store_id, owner)
        if sync is None:
            return
        runs.give_back(sync)
        if isinstance(error, Disconnected):
            runs.disconnect(sync.store, error)
        if isinstance(error, Denied):
            denials.note(store_id, denials.ORDERS, error.denial, low=asked.low)
        row = proving.of_store(store_id) if asked.spare else denials.marketplace(store_id, asked.only)
        if row is None:
            return
        pause = 60.0 if error.retry_after is None else error.retry_after
        if isinstance(error, PageRefused):
            row.page_token = None
            if isinstance(row, OrdersProof):
                proving.restart(row)
        row.again_at = now() + timedelta(seconds=pause)


@job("clock")
def forget_quiet_runs() -> None:
    """Delete the runs that found nothing: a store that is read every few seconds makes very many."""
    for _ in a_moment():
        with unit_of_work():
            if not runs.forget_quiet_runs():
                break
    else:
        forget_quiet_runs.enqueue()


@job("clock")
def forget_attempts() -> None:
    """Delete old attempts whose updates have ended; nobody needs to know any more in which attempt an update was
    sent.
    """
    for _ in a_moment():
        with unit_of_work():
            if not attempts.forget_some():
                break
    else:
        forget_attempts.enqueue()


@job("clock")
def forget_calls() -> None:
    """Delete the calls to channels that no rule keeps any longer."""
    for _ in a_moment():
        with unit_of_work():
            if not call_log.forget_some():
                break
    else:
        forget_calls.enqueue()


@job("delivering")
def deliver(store_id: int, lane: str) -> None:
    """Send a store's channel the updates that are due in one lane."""
    lease = Lease(ChannelUpdate)
    with unit_of_work():
        claimed = claim_due(store_id, lane, lease.owner)
        if claimed is None:
            return
        store, rows = claimed
        updates = to_send(rows)
        if not updates:  # the updates wait, or lost their worker and are looked up first; the next batch can be sent
            look_up.enqueue(store_id, lane)
            deliver.enqueue(store_id, lane)
            return
        credentials, channel = access(store), get_channel(store.channel)
        kind = updates[0].kind
        held_updates = HeldUpdates(updates, lease, store_id, lane, once=not carriage_of(store, kind).repeatable)

    def ask_channel(credentials: StoreAccess, held: HeldUpdates) -> Mapping[int, Outcome]:
        marks.note(update=max(one.id for one in updates))
        return ask(channel, "update", channel.deliver, credentials, held, gives=Mapping, raises=ChannelError)

    if _asked_and_settled(lease, credentials, held_updates, kind, ask_channel) is not None:
        with unit_of_work():
            deliver.enqueue(store_id, lane)  # the next batch, until nothing is due


@job("delivering")
def look_up(store_id: int, lane: str) -> None:
    """Look up the results of updates that were sent, or whose answer was lost. The orders of those that were accepted,
    or stay unknown, are read, since they may show the effect; of many updates, the next window brings the orders.
    """
    lease = Lease(ChannelUpdate)
    with unit_of_work():
        claimed = claim_to_look_up(store_id, lane, lease.owner)
        if claimed is None:
            return
        store, rows = claimed
        updates, credentials, channel = as_updates(rows), access(store), get_channel(store.channel)

    def ask_channel(credentials: StoreAccess, held: HeldUpdates) -> Mapping[int, Outcome]:
        return ask(channel, "update", _looked_up, channel, credentials, held, raises=ChannelError)

    held_updates = HeldUpdates(updates, lease, store_id, lane)
    found = _asked_and_settled(lease, credentials, held_updates, denials.ORDER, ask_channel)
    if found is not None:
        with unit_of_work():
            deliver.enqueue(store_id, lane)  # an update that turned out not to have happened is sent again
            orders = {one.order_number for one in updates if isinstance(found.get(one.id), (Accepted, Unknown))}
            for number in sorted(orders) if len(orders) <= READ_SINGLY else ():
                fetch_order.enqueue(store_id, number)


def _looked_up(channel: Channel, credentials: StoreAccess, held: HeldUpdates) -> Mapping[int, Outcome]:
    found = channel.look_up(credentials, held)
    if not isinstance(found, Mapping):
        raise failures.WrongType(found, Mapping)
    if any(isinstance(one, NotYet) and (one.problem or one.cause or one.denial) for one in found.values()):
        raise failures.NotTaken("a look gave NotYet with a reason: where nothing was learned, give NothingLearned")
    return found


def send_again(update: ChannelUpdate, *, actor: Actor) -> None:
    """Send an update again, in a door's unit of work; one whose result is unknown is looked up at once instead."""
    deciding.retry(update, actor=actor)
    if update.state == UpdateState.UNKNOWN:  # the person is told what is owed by now
        look_up.enqueue(update.store_id, update.lane)


def _asked_and_settled(
    lease: Lease,
    credentials: StoreAccess,
    updates: HeldUpdates,
    work: str,
    ask_channel: Callable[[StoreAccess, HeldUpdates], Mapping[int, Outcome]],
) -> Mapping[int, Outcome] | None:
    """Ask the channel, write its outcomes, then its calls, and return the outcomes. Returns None if the lease was lost
    before the channel was asked: whoever finds these updates looks them up first. Updates whose lease is lost meanwhile
    are not sent any more.
    """
    ids = [updates[place].id for place in range(len(updates))]
    with call_log.logged(credentials) as credentials:
        with lease.kept(ChannelUpdate.id.in_(ids)):
            if lease.lost:
                log.warning("lease_lost", updates=len(ids))
                return None
            outcomes = _asked(partial(ask_channel, credentials), updates, ids, looking=work == denials.ORDER)
        settled = None
        for part in _parts(outcomes):
            with unit_of_work():  # no lease is renewed meanwhile: a renewal locks these rows in another order
                settled = settle(part, lease.owner) or settled
        if settled is not None:
            with unit_of_work():
                denials.delivered(settled, work, updates[:], outcomes)
    return outcomes


def _parts(outcomes: Mapping[int, Outcome]) -> Iterator[dict[int, Outcome]]:
    """The outcomes in parts that are each written in one transaction, so that no order stays locked for long."""
    ids = sorted(outcomes)
    for start in range(0, len(ids), SETTLED_AT_ONCE):
        yield {id_: outcomes[id_] for id_ in ids[start : start + SETTLED_AT_ONCE]}


def _asked(
    ask_channel: Callable[[HeldUpdates], Mapping[int, Outcome]], updates: HeldUpdates, ids: list[int], *, looking: bool
) -> dict[int, Outcome]:
    """An outcome for each update. An update that was sent is unknown if the channel raises or returns nothing for
    it; the others did not leave. An update that was not looked up has no outcome: it is looked up again once its
    lease has ended.
    """
    try:
        outcomes = ask_channel(updates)
    except ChannelError as error:
        denial = error.denial if isinstance(error, Denied) else None
        outcome = NothingLearned if looking else NotYet
        again = outcome(error.retry_after or 60.0, cause=error.stored(), denial=denial)
        return {id_: Unknown() if id_ in updates.called else again for id_ in ids}
    except PluginFailed as error:
        if looking:
            return dict.fromkeys(ids, NothingLearned(60.0, cause=error.stored()))
        again = NotYet(60.0, cause=error.stored())
        return {id_: again if updates.surely_here(id_) else Unknown() for id_ in ids}
    here = updates.left_out - updates.called
    found: dict[int, Outcome] = {}
    for id_ in ids:
        if isinstance(one := outcomes.get(id_), OF_LOOK if looking else OF_DELIVERY):
            found[id_] = one
        elif id_ not in here:
            found[id_] = Unknown()
        elif not looking:
            found[id_] = NotYet(1)
    return found


@job("asking")
def fetch_order(store_id: int, number: str) -> None:
    """Read one order by the channel's number and take it in: a quarantined one, or one that a person wants to check."""
    with unit_of_work():
        store = db.session.get_one(Store, store_id)
        if is_refused(store):
            return
        credentials, channel = access(store), get_channel(store.channel)
        denials.try_order(store_id, number)
    with call_log.logged(credentials) as credentials:
        _fetch(channel, credentials, number)


def _fetch(channel: Channel, store: StoreAccess, number: str) -> None:
    store_id = store.id
    asked_at = now()
    try:
        found = calls.fetch_order(channel, store, number)
    except PluginFailed:
        with unit_of_work():
            quarantine.not_read(store_id, number)
            live.publish("stores", [store_id])
        return
    except Throttled as error:  # many may be requested at once: each waits in turn
        fetch_order.enqueue_in(error.retry_after or 60.0, store_id, number)
        return
    except Denied as error:
        with unit_of_work():
            denials.note(store_id, denials.ORDER, Denial(DeniedThing.ORDER, number, error.stored()))
        return
    if found is None:
        with unit_of_work():
            denials.worked(store_id, denials.ORDER, orders=[number])
        return
    page = OrdersPage([], [found]) if isinstance(found, UnreadableOrder) else OrdersPage([found])
    ready = prepare(db.session.get_one(Store, store_id), page)
    with unit_of_work():
        take_in(db.session.get_one(Store, store_id), ready)
        note_unchanged(store_id, ready.readable, asked_at)
        denials.worked(store_id, denials.ORDER, orders=[number])


@job("asking")
def connect(store_id: int) -> None:
    """Test a store that was added or changed, and start its first sync unless its credentials are refused."""
    connection = _connection(db.session.get_one(Store, store_id))
    with unit_of_work():
        store = db.session.get_one(Store, store_id)
        activity.connected(store, connection)
        live.publish("stores", [store_id])
        if is_refused(store) and not connection.ok:  # nobody else asks whose account it is now
            connect.enqueue_in(60.0, store_id)
        if store.active and store.problem is None:  # if it can't be reached now, the sync tries again
            runs.start(store, actor=Actor.job("connect"))
            import_orders.enqueue(store_id)
            note_failing(store_id, connection)


@job("asking")
def connect_again(store_id: int) -> None:
    """Test a store that is read already although no test of it has succeeded: its marketplaces and its account are
    unknown.
    """
    store = db.session.get_one(Store, store_id)
    if store.marketplaces and store.account_state == AccountState.KNOWN:
        return
    connection = _connection(store)
    with unit_of_work():
        activity.connected(db.session.get_one(Store, store_id), connection)
        live.publish("stores", [store_id])
        note_failing(store_id, connection)


def _connection(store: Store) -> Connection:
    """Ask a store's channel, outside any transaction. If it uses up the time of a job, that is the problem returned."""
    credentials, channel = access(store), get_channel(store.channel)
    db.session.commit()
    began = time.monotonic()
    try:
        with call_log.logged(credentials) as credentials:
            return calls.connect(channel, credentials)
    except TimeOver as error:
        took = time.monotonic() - began
        failures.note_slow(plugin_of(error) or owner_of(channel), "connection", channel.code, took, connect.timeout)
        return Connection(problem=calls.NoAnswer(channel=label_of(channel), seconds=connect.timeout))


def note_failing(store_id: int, connection: Connection) -> None:
    """Let the store's pages say that its channel's plugin fails, or is too slow, until a page of its orders is read."""
    if isinstance(connection.problem, (PluginFailed, calls.NoAnswer)):
        runs.note_failure(runs.sync_of(store_id, lock=True), connection.problem)
