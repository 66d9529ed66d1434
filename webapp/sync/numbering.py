"""Giving order numbers to the orders that arrived while importing was off for their store, oldest first, in chunks
of a run; with the number comes the store's status of new orders.

The run ends early if importing is switched off again; once it is switched on, another run numbers the rest.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Select, and_, func, or_, select, text

from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.channels.services import draw_numbers, take_number
from webapp.clock import iso, parse_instant
from webapp.db import db, unit_of_work
from webapp.jobs import job, runs
from webapp.jobs.models import OPEN_STATES, Run
from webapp.orders.events import record_all
from webapp.orders.models import OPEN, Order
from webapp.orders.order_settings import IMPORT_ORDERS, OWN_NUMBERS, switched_off, treatment_of
from webapp.orders.queries import visible
from webapp.orders.states import OrderState
from webapp.sync.models import StoreSync
from webapp.sync.runs import NUMBERING as KIND

CHUNK = 50
_ACTOR = Actor.job(KIND)


def under_way(store_id: int) -> Run | None:
    """The run that is numbering a store's orders now."""
    query = select(Run).where(Run.kind == KIND, Run.subject_id == store_id, Run.state.in_(OPEN_STATES))
    return db.session.scalar(query.limit(1))


def start(store: Store) -> Run | None:
    """Begin to number a store's orders, or join the run that does; None if all have a number.

    Waits for a page that is being written: it may have begun while importing was off, and nothing would number its
    orders afterwards.
    """
    db.session.execute(select(StoreSync.store_id).where(StoreSync.store_id == store.id).with_for_update())
    if run := under_way(store.id):  # from the oldest order again: others may have joined those without a number
        run.numbers = {name: value for name, value in run.numbers.items() if name not in ("placed_at", "order_id")}
        return run
    without = _without_number(store)
    total = db.session.scalar(select(func.count()).select_from(without.with_only_columns(Order.id).subquery()))
    return runs.begin(KIND, actor=_ACTOR, subject_id=store.id, total=total) if total else None


@job("now")
@runs.gives_up
def number_orders(run_id: int, chunk: int) -> None:
    """Number the next orders of a run's store; a job of its own does the rest."""
    numbers = _drawn(run_id)
    with unit_of_work():
        run = runs.take_chunk(run_id, chunk)
        if run is None:
            return
        store = db.session.get_one(Store, run.subject_id)
        orders = _next(run, store, lock=True) if IMPORT_ORDERS.of(store) else []
        taken, status = _taken_numbers(orders), treatment_of(store).given_status()
        for order in orders:
            order.number = _number_of(order, store, numbers, taken)
            taken.add(order.number)
            if order.state == OrderState.PROCESSING and order.status is None:
                order.status = status
        record_all(orders, "numbered", actor=_ACTOR)
        run.done += len(orders)
        if len(orders) < CHUNK:
            runs.finish(run)
        else:
            run.numbers = run.numbers | {"placed_at": iso(orders[-1].placed_at), "order_id": orders[-1].id}
            runs.go_on(run)


def _drawn(run_id: int) -> dict[int, list[str]]:
    """Numbers for the next chunk, drawn in a transaction of their own."""
    run = runs.find_run(run_id)
    store = db.session.get_one(Store, run.subject_id)
    wanted: dict[int, int] = {}
    if run.is_open and IMPORT_ORDERS.of(store) and OWN_NUMBERS.of(store):
        for order in _next(run, store):
            wanted[order.shop_id] = wanted.get(order.shop_id, 0) + 1
    db.session.rollback()
    return {shop_id: draw_numbers(shop_id, count) for shop_id, count in wanted.items()}


def _taken_numbers(orders: Sequence[Order]) -> set[str | None]:
    """Those of the channel's numbers that an order of the desk already has."""
    theirs = [order.channel_order_number for order in orders]
    return set(db.session.scalars(visible(_ACTOR).with_only_columns(Order.number).where(Order.number.in_(theirs))))


def _number_of(order: Order, store: Store, numbers: dict[int, list[str]], taken: Collection[str | None]) -> str:
    theirs = order.channel_order_number
    if not OWN_NUMBERS.of(store) and theirs not in taken:
        return theirs
    drawn = numbers.get(order.shop_id)
    return drawn.pop(0) if drawn else take_number(order.shop_id)


def _without_number(store: Store) -> Select[Order]:
    """The store's orders without a number, except those of marketplaces that are switched off."""
    query = visible(_ACTOR).where(Order.store_id == store.id, Order.number.is_(None))
    off = switched_off(store)
    return query.where(Order.marketplace.not_in(off)) if off else query


def open_without_number(store: Store, marketplaces: Collection[str]) -> Sequence[str]:
    """The channel's numbers of orders from these marketplaces that are open and have no number of ours."""
    query = _without_number(store).where(Order.marketplace.in_(marketplaces), text(f"orders.{OPEN}"))
    return list(db.session.scalars(query.with_only_columns(Order.channel_order_number).order_by(Order.placed_at)))


def _next(run: Run, store: Store, *, lock: bool = False) -> list[Order]:
    """The next orders without a number, in the order in which they were placed."""
    query = _without_number(store)
    if "placed_at" in run.numbers:
        at = parse_instant(run.numbers["placed_at"])
        query = query.where(or_(Order.placed_at > at, and_(Order.placed_at == at, Order.id > run.numbers["order_id"])))
    query = query.order_by(Order.placed_at, Order.id).limit(CHUNK)
    if lock:
        query = query.with_for_update(of=Order).execution_options(populate_existing=True)
    return list(db.session.scalars(query))


runs.carried_by(KIND, number_orders)
