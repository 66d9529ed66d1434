"""Erasing buyers by date, as a run of small chunks for each store, begun by the clock or by a person.

The clock looks every hour and begins one run a day, shortly before something is past its date: the run takes whatever
falls due until the next one, so that a buyer is gone on the day itself at the latest. Where buyers are kept for no day
there is nothing to foresee, and what was delivered goes within the hour. A person erases what is past its date now.

The date counts from delivery; where the channel does not tell of it, from the latest day of delivery that was promised;
without any such day from two weeks after shipping; of a canceled order from the cancellation. An order waits while it
is open, on hold or being canceled, and while something of it is under way elsewhere, which others say by the hook
`keep_buyers`. What somebody wrote of an order after its buyer was erased is kept for as long again, and erased then.

What belongs to no order, such as the answers of orders that could not be taken in, is erased by those who keep it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Select, and_, case, exists, func, literal_column, or_, select

from webapp.audit.actor import Actor, ActorKind
from webapp.audit.services import audit
from webapp.channels.keeping import days_of
from webapp.channels.models import ChannelOrder, ChannelPackage, Store
from webapp.channels.services import stores
from webapp.clock import iso, now, parse_instant
from webapp.db import among, db, empty_log, time_limit, unit_of_work
from webapp.errors import TooSlow
from webapp.hooks.asking import ask_listeners, refusals
from webapp.jobs import job, runs
from webapp.jobs.models import OPEN_STATES as OPEN_RUNS, Run, RunState
from webapp.orders.events import record_all
from webapp.orders.models import Order, OrderEvent
from webapp.orders.queries import locked_all, visible
from webapp.orders.states import OPEN_STATES, OrderState
from webapp.vault import services as vault
from webapp.vault.key_file import period_of
from webapp.vault.models import VaultErasure, VaultKey

log = structlog.get_logger(__name__)
KIND = "erasing"
CHUNK = 50  # orders in one transaction: no clerk waits for it
CAP = 10_000  # orders that a preview looks at, however many there are
_ON_THE_WAY = timedelta(days=14)  # from shipping, where nobody tells when it arrives
_EVERY = timedelta(days=1)  # how far a run of the clock reaches ahead
_SOON = timedelta(hours=2)  # before a date is past the run begins: the clock looks hourly, and workers may be busy
_LOOK = 0.5  # seconds for which the scheduler looks whether anything falls due
_ACTOR = Actor.job(KIND)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would erase now, and what is past its date and waits."""

    days: int
    due: int  # orders
    capped: bool  # there are more
    unplaced: int  # what belongs to no order
    open: int
    on_hold: int
    canceling: int
    under_way: int
    more_may_wait: bool  # not all that are past their date were looked at

    @property
    def total(self) -> int:
        return self.due + self.unplaced

    @property
    def waiting(self) -> int:
        return self.open + self.on_hold + self.canceling + self.under_way


def preview(store: Store, actor: Actor) -> Preview:
    """What there is to erase of a store's buyers now; nothing is changed."""
    actor.needs("stores.view")
    before = _before(store)
    some = _past(store.id, before).with_only_columns(Order.state, Order.on_hold, Order.canceling).limit(CAP + 1)
    past = some.subquery()
    found = {"open": 0, "on_hold": 0, "canceling": 0, "rest": 0}
    for state, on_hold, canceling, count in db.session.execute(select(past, func.count()).group_by(*past.c)):
        found[_waits_for(state, on_hold, canceling) or "rest"] += count
    ids = list(db.session.scalars(_due(store.id, before).limit(CAP + 1)))
    kept = refusals("keep_buyers", ids[:CAP])
    return Preview(
        days=days_of(store),
        due=len(ids[:CAP]) - len(kept),
        capped=len(ids) > CAP,
        unplaced=_unplaced(store, before),
        open=found["open"],
        on_hold=found["on_hold"],
        canceling=found["canceling"],
        under_way=len(kept),
        more_may_wait=sum(found.values()) > CAP,
    )


def count_due(store: Store, *, ahead: timedelta = timedelta(0)) -> int:
    """How much of a store's buyers is due, or will be after this time; doors count before the transaction that starts
    the run, since on SQLite nobody else writes meanwhile.
    """
    before = _before(store) + ahead
    due = _due(store.id, before).order_by(None).subquery()
    orders = db.session.scalar(select(func.count()).select_from(due)) or 0
    return int(orders + _unplaced(store, before))


def start(store: Store, *, actor: Actor, total: int, ahead: timedelta = timedelta(0)) -> Run | None:
    """Begin to erase what is due of a store, or will be after this time, or join the run that does so; None where
    nothing is (see `count_due`).
    """
    actor.needs("stores.edit")
    actor.needs_shops(store.shop_ids)
    under_way = select(Run).where(Run.kind == KIND, Run.subject_id == store.id, Run.state.in_(OPEN_RUNS))
    if run := db.session.scalar(under_way.limit(1)):
        return run
    if not total:
        return None
    run = runs.begin(KIND, actor=actor, subject_id=store.id, total=total)
    run.numbers = {"before": iso(_before(store) + ahead)}
    if actor.kind is not ActorKind.JOB:  # the run erases in the name of the desk
        audit("erasing_started", actor=actor, store=store.id, run=run.id, total=total)
    return run


def last_run(store: Store) -> Run | None:
    """The store's newest run; None where there was none."""
    query = select(Run).where(Run.kind == KIND, Run.subject_id == store.id).order_by(Run.id.desc()).limit(1)
    return db.session.scalar(query)


def any_to_erase() -> bool:
    """Whether there may be a store of which the clock is to begin a run."""
    try:
        with time_limit(_LOOK):
            return any(_is_time(store) for store in stores())
    except TooSlow:  # of very many orders; a worker has the time to find out
        return True


def _is_time(store: Store) -> bool:
    """Whether something of a store falls due soon, and the clock's last run of it, which took what fell due until now,
    is about a day ago.
    """
    soon = min(_SOON, _ahead(store))
    mine = (Run.kind == KIND, Run.subject_id == store.id, Run.actor_kind == ActorKind.JOB)
    lately = select(Run.id).where(*mine, Run.started_at > now() - (_ahead(store) - soon))
    if db.session.scalar(lately.limit(1)) is not None:
        return False
    before = _before(store) + soon
    found = db.session.scalar(_due(store.id, before).limit(1)) is not None
    return found or _unplaced(store, before) > 0


def _ahead(store: Store) -> timedelta:
    return min(_EVERY, timedelta(days=days_of(store)))


@job("clock")
def erase_by_date() -> None:
    """Let the erasing begin, store by store, where it is time."""
    for store in stores():
        begin_erasing.enqueue(store.id)


@job("importing")
def begin_erasing(store_id: int) -> None:
    """Begin the day's erasing of one store, if it is time; a run that somebody let rest goes on."""
    store = db.session.get_one(Store, store_id)
    if not _is_time(store):
        return
    ahead = _ahead(store)
    if total := count_due(store, ahead=ahead):
        with unit_of_work():
            run = start(db.session.get_one(Store, store_id), actor=_ACTOR, total=total, ahead=ahead)
            if run is not None and (found := runs.find_run(run.id, lock=True)).state == RunState.PAUSED:
                runs.resume(found)


@job("importing")
@runs.gives_up
def erase_chunk(run_id: int, chunk: int) -> None:
    """Erase the next buyers of a run; the rest is a job of its own."""
    found = _next(runs.find_run(run_id))  # before the transaction, since on SQLite nobody else writes meanwhile
    with unit_of_work():
        run = runs.take_chunk(run_id, chunk)
        if run is None:
            return
        before, ended = parse_instant(run.numbers["before"]), len(found) < CHUNK
        erased = _erase(run, found, before)
        if ended:
            erased += _erase_unplaced(run, before)
        run.done += erased
        if erased:  # with each chunk, since a run may end by being stopped, too
            audit("buyers_erased", actor=_ACTOR, store=run.subject_id, run=run.id, erased=erased)
        if ended:
            runs.finish(run)
        else:
            run.numbers = run.numbers | {"after": found[-1]}
            runs.go_on(run)
    if ended:
        empty_log()


runs.carried_by(KIND, erase_chunk)


def _next(run: Run) -> list[int]:
    before, after = parse_instant(run.numbers["before"]), run.numbers.get("after", 0)
    query = _due(run.subject_id or 0, before).where(Order.id > after).order_by(Order.id).limit(CHUNK)
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def _erase(run: Run, ids: Sequence[int], before: datetime) -> int:
    """Erase those of the orders that are due still, all at once; one by one where that fails, so that an order which
    can't be erased keeps back no other. Tells how many were erased.
    """
    store_id = run.subject_id or 0
    erased = _attempt(run, lambda: _erase_due(store_id, ids, before), ids)
    if erased is not None:
        return erased
    each = [_attempt(run, lambda one=one: _erase_due(store_id, [one], before), [one]) for one in ids]  # type: ignore[misc]
    _count_failed(run, each.count(None))
    return sum(one or 0 for one in each)


def _erase_unplaced(run: Run, before: datetime) -> int:
    store_id = run.subject_id or 0
    erased = _attempt(run, lambda: sum(ask_listeners("erase_unplaced_buyers", store_id, before, gives=int)))
    _count_failed(run, int(erased is None))
    return erased or 0


def _attempt(run: Run, work: Callable[[], int], ids: Sequence[int] = ()) -> int | None:
    """None where a plugin fails at it, or something is broken; nothing of it is done then."""
    try:
        with db.session.begin_nested():
            return work()
    except Exception as error:
        if runs.passes(error):  # the trouble of database, queue or disk: the whole chunk is tried again
            raise
        log.error("buyers_not_erased", run=run.id, orders=list(ids), kind=type(error).__name__)
        return None


def _count_failed(run: Run, count: int) -> None:
    run.done, run.failed = run.done + count, run.failed + count


def _erase_due(store_id: int, ids: Sequence[int], before: datetime) -> int:
    if not ids:
        return 0
    orders = locked_all(ids, _ACTOR)
    due = set(db.session.scalars(_due(store_id, before).where(among(Order.id, ids))))
    for kept in ask_listeners("keep_buyers", list(ids), gives=dict):  # one that fails ends the attempt
        due -= kept.keys()
    chosen = [order for order in orders if order.id in due]
    if chosen:
        vault.erase([order.id for order in chosen])
        record_all(chosen, "buyer_erased", actor=_ACTOR, news=False)
    return len(chosen)


def _before(store: Store) -> datetime:
    return now() - timedelta(days=days_of(store))


def _unplaced(store: Store, before: datetime) -> int:
    """How much is kept of buyers that belongs to no order."""
    return sum(ask_listeners("unplaced_buyers", store.id, before, gives=int))


def _waits_for(state: str, on_hold: bool, canceling: bool) -> str | None:
    return "canceling" if canceling else "on_hold" if on_hold else "open" if state in OPEN_STATES else None


def _due(store_id: int, before: datetime) -> Select[int]:
    """The ids of orders whose buyers are to be erased, unless something of theirs is under way elsewhere."""
    query = _past(store_id, before).with_only_columns(Order.id)
    return query.where(Order.state.not_in(OPEN_STATES), ~Order.on_hold, ~Order.canceling)


def _past(store_id: int, before: datetime) -> Select[Any]:
    """Orders of a store of which something is sealed and whose date is past, whatever they wait for."""
    query = visible(_ACTOR).where(Order.store_id == store_id)
    query = query.join(VaultKey, VaultKey.order_id == Order.id)
    query = query.join(ChannelOrder, ChannelOrder.id == Order.channel_order_id)
    erased = exists().where(VaultErasure.order_id == Order.id)
    return query.where(or_(and_(~erased, _over(before)), and_(erased, VaultKey.period < period_of(before))))


def _over(before: datetime) -> Any:
    """That an order's date is before this instant."""
    on_the_way = ChannelPackage.delivered_at.is_(None)
    arrived = and_(_parcel(), ~_parcel(on_the_way))
    promised = and_(Order.deliver_by <= before, ~_parcel(on_the_way, ChannelPackage.shipped_at > before))
    long_ago = before - _ON_THE_WAY
    unknown = and_(
        Order.deliver_by.is_(None),
        func.coalesce(Order.ship_by, Order.placed_at) <= long_ago,
        ~_parcel(on_the_way, ChannelPackage.shipped_at > long_ago),
    )
    late = _parcel(ChannelPackage.delivered_at > before)
    gone = and_(Order.state == OrderState.CANCELED, or_(ChannelOrder.updated_at <= before, _canceled(before)))
    rest = and_(Order.state != OrderState.CANCELED, ~late, or_(arrived, promised, unknown))
    return or_(gone, rest)


def _parcel(*conditions: Any) -> Any:
    """That the channel knows such a parcel of the order. A single value and no EXISTS, which PostgreSQL may answer by
    reading the parcels of all orders.
    """
    such: Select[Any] = select(literal_column("1")).where(
        ChannelPackage.channel_order_id == Order.channel_order_id, *conditions
    )
    return such.limit(1).scalar_subquery().is_not(None)


def _canceled(before: datetime) -> Any:
    """That an order was canceled before this instant, whatever the channel told of it later: its last event of becoming
    so tells when. One that arrived as canceled counts from its arrival, since that event has the time of the purchase.
    """
    at = case((OrderEvent.code == "placed", OrderEvent.seen_at), else_=OrderEvent.at)
    became = OrderEvent.data[("after", "order", "state")].as_string() == OrderState.CANCELED.value
    last = select(at).where(OrderEvent.order_id == Order.id, became).order_by(OrderEvent.id.desc()).limit(1)
    return last.scalar_subquery() <= before
