"""Erasing buyers by date, as a run of small chunks for each store, started by the schedule or by a person.

The schedule checks every hour and starts one run a day, shortly before the first buyer falls due. The run erases all
buyers who fall due before the next run, so that each is erased on the due day at the latest. If a store keeps buyers
for no day at all, there is nothing to plan, and buyers of delivered orders are erased within the hour. A person's run
erases what is due now.

The time counts from the delivery; if the channel doesn't report one, from the latest promised day of delivery; without
any such day, from two weeks after shipping; for a canceled order, from the cancellation. An order waits while it is
open, on hold or being canceled, and while other work on it is unfinished, which listeners report by the hook
`keep_buyers`. Texts written about an order after its buyer was erased are kept for the same time again, and erased
then.

Data of buyers that belongs to no order, such as answers that could not be imported, is erased by the code that keeps
it.
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
CHUNK = 50  # orders in one transaction: few, so that nobody's work waits for it
CAP = 10_000  # the most orders that a preview checks
_ON_THE_WAY = timedelta(days=14)  # assumed time from shipping to delivery, if nobody reports the delivery
_EVERY = timedelta(days=1)  # how far ahead a scheduled run erases
_SOON = timedelta(hours=2)  # before the due date, the run starts: the schedule checks hourly, and workers may be busy
_LOOK = 0.5  # seconds that the scheduler may spend on finding out whether anything falls due
_ACTOR = Actor.job(KIND)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would erase now, and what is due but waits."""

    days: int
    due: int  # orders
    capped: bool  # there are more than the preview checked
    unplaced: int  # data that belongs to no order
    open: int
    on_hold: int
    canceling: int
    under_way: int
    more_may_wait: bool  # not all due orders were checked

    @property
    def total(self) -> int:
        return self.due + self.unplaced

    @property
    def waiting(self) -> int:
        return self.open + self.on_hold + self.canceling + self.under_way


def preview(store: Store, actor: Actor) -> Preview:
    """What a run would erase of a store's buyers now; changes nothing."""
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
    """The number of orders and other records of a store whose buyers are due now, or within the time `ahead`.
    Callers count before the transaction that starts the run, since on SQLite that transaction blocks all writers.
    """
    before = _before(store) + ahead
    due = _due(store.id, before).order_by(None).subquery()
    orders = db.session.scalar(select(func.count()).select_from(due)) or 0
    return int(orders + _unplaced(store, before))


def start(store: Store, *, actor: Actor, total: int, ahead: timedelta = timedelta(0)) -> Run | None:
    """Start a run that erases what is due of a store, now or within the time `ahead`, or join the running one; None
    if nothing is due (see `count_due`).
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
    if actor.kind is not ActorKind.JOB:  # the run itself acts as the desk
        audit("erasing_started", actor=actor, store=store.id, run=run.id, total=total)
    return run


def last_run(store: Store) -> Run | None:
    """The store's newest run; None where there was none."""
    query = select(Run).where(Run.kind == KIND, Run.subject_id == store.id).order_by(Run.id.desc()).limit(1)
    return db.session.scalar(query)


def any_to_erase() -> bool:
    """Whether there may be a store for which the schedule has to start a run."""
    try:
        with time_limit(_LOOK):
            return any(_is_time(store) for store in stores())
    except TooSlow:  # with very many orders; a worker has more time
        return True


def _is_time(store: Store) -> bool:
    """Whether some data of a store falls due soon, and about a day has passed since its last scheduled run, which
    erased everything due until now.
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
    """Start the erasing of each store for which it is time."""
    for store in stores():
        begin_erasing.enqueue(store.id)


@job("importing")
def begin_erasing(store_id: int) -> None:
    """Start the day's erasing of one store, if it is time; a paused run goes on."""
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
    """Erase the next buyers of a run; another job does the rest."""
    found = _next(runs.find_run(run_id))  # before the transaction, since on SQLite that one blocks all writers
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
    """Erase those of the orders that are still due: all at once, or one by one if that fails, so that an order that
    can't be erased blocks no other. Returns how many were erased.
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
    """Do the work under a savepoint; None if a plugin fails or there is a bug, and then none of the work is kept."""
    try:
        with db.session.begin_nested():
            return work()
    except Exception as error:
        if runs.passes(error):  # of the database, the queue or the disk: the whole chunk is tried again
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
    for kept in ask_listeners("keep_buyers", list(ids), gives=dict):  # a listener that fails ends the attempt
        due -= kept.keys()
    chosen = [order for order in orders if order.id in due]
    if chosen:
        vault.erase([order.id for order in chosen])
        record_all(chosen, "buyer_erased", actor=_ACTOR, news=False)
    return len(chosen)


def _before(store: Store) -> datetime:
    return now() - timedelta(days=days_of(store))


def _unplaced(store: Store, before: datetime) -> int:
    """The number of records about a store's buyers that belong to no order."""
    return sum(ask_listeners("unplaced_buyers", store.id, before, gives=int))


def _waits_for(state: str, on_hold: bool, canceling: bool) -> str | None:
    return "canceling" if canceling else "on_hold" if on_hold else "open" if state in OPEN_STATES else None


def _due(store_id: int, before: datetime) -> Select[int]:
    """The ids of orders whose buyers are due, unless other work on them is unfinished."""
    query = _past(store_id, before).with_only_columns(Order.id)
    return query.where(Order.state.not_in(OPEN_STATES), ~Order.on_hold, ~Order.canceling)


def _past(store_id: int, before: datetime) -> Select[Any]:
    """Orders of a store with sealed data whose date has passed, whether or not they have to wait."""
    query = visible(_ACTOR).where(Order.store_id == store_id)
    query = query.join(VaultKey, VaultKey.order_id == Order.id)
    query = query.join(ChannelOrder, ChannelOrder.id == Order.channel_order_id)
    erased = exists().where(VaultErasure.order_id == Order.id)
    return query.where(or_(and_(~erased, _over(before)), and_(erased, VaultKey.period < period_of(before))))


def _over(before: datetime) -> Any:
    """The condition that an order's date is before this instant."""
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
    """The condition that the channel lists such a parcel of the order. It is a single value instead of EXISTS, for
    which PostgreSQL may read the parcels of all orders.
    """
    such: Select[Any] = select(literal_column("1")).where(
        ChannelPackage.channel_order_id == Order.channel_order_id, *conditions
    )
    return such.limit(1).scalar_subquery().is_not(None)


def _canceled(before: datetime) -> Any:
    """The condition that an order was canceled before this instant, whatever the channel reported later: the time of
    its last event of becoming canceled. An order that was imported as canceled counts from its import, since that
    event has the time of the purchase.
    """
    at = case((OrderEvent.code == "placed", OrderEvent.seen_at), else_=OrderEvent.at)
    became = OrderEvent.data[("after", "order", "state")].as_string() == OrderState.CANCELED.value
    last = select(at).where(OrderEvent.order_id == Order.id, became).order_by(OrderEvent.id.desc()).limit(1)
    return last.scalar_subquery() <= before
