"""Adding existing orders to the index of terms, as a run of small chunks, which the schedule restarts if it stops.

The migration that introduced the index left the run; an operator may start another. Adding an order that the import
indexed meanwhile changes nothing; an order that is being erased is waited for. The run also fills in countries, which
were in the vault alone before.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, func, select

from webapp.audit.actor import Actor
from webapp.catalog.listings import listing_key, remember, terms_of_listings
from webapp.db import db, table_of, unit_of_work
from webapp.jobs import job, runs
from webapp.jobs.models import OPEN_STATES, Run
from webapp.orders.models import Order, OrderComment, OrderLine
from webapp.orders.queries import locked_all, visible
from webapp.orders.search_words import terms_of_buyer, terms_of_comment, terms_of_number
from webapp.search import index
from webapp.search.index import Indexed
from webapp.search.terms import index_key
from webapp.vault.services import ADDRESS, BUYER, DataKeys

KIND = "index"
CHUNK = 200
_KINDS = (BUYER, ADDRESS)
_ACTOR = Actor.job(KIND)


def start(*, actor: Actor) -> Run:
    """Start a run that indexes all orders again, or join the running one."""
    under_way = select(Run).where(Run.kind == KIND, Run.state.in_(OPEN_STATES))
    if run := db.session.scalar(under_way.limit(1)):
        return run
    return runs.begin(KIND, actor=actor, total=db.session.scalar(select(func.count()).select_from(_all())))


@job("clock")
@runs.gives_up
def index_orders(run_id: int, chunk: int) -> None:
    """Index the next orders of a run; another job does the rest."""
    with unit_of_work():
        run = runs.take_chunk(run_id, chunk)
        if run is None:
            return
        orders = _next(int(run.numbers.get("after", 0)))
        if not orders:
            runs.finish(run)
            return
        _index(orders)
        run.done += len(orders)
        run.numbers = run.numbers | {"after": orders[-1].id}
        runs.go_on(run)


runs.carried_by(KIND, index_orders)


def _all() -> Any:
    return visible(_ACTOR).with_only_columns(Order.id).subquery()


def _next(after: int) -> list[Order]:
    """The next orders, locked: else a buyer who is erased meanwhile would be indexed again."""
    query = visible(_ACTOR).where(Order.id > after).order_by(Order.id).limit(CHUNK)
    return list(db.session.scalars(query.with_for_update(of=Order).execution_options(populate_existing=True)))


def _index(orders: Sequence[Order]) -> None:
    key = index_key()
    keys = DataKeys([order.id for order in orders], _KINDS)
    _fill_countries(orders, keys)
    plain, personal = _plain_terms(orders, key), _personal_terms(orders, keys, key)
    index.add(Indexed(order.id, order.placed_at, plain[order.id] | personal[order.id]) for order in orders)


def _fill_countries(orders: Sequence[Order], keys: DataKeys) -> None:
    """Fill in countries without events: nothing happened to the orders, only the column is new."""
    buyers = {order.id: keys.opened(BUYER).get(order.id) or {} for order in orders if not order.country}
    countries = {order_id: (buyer.get("address") or {}).get("country") for order_id, buyer in buyers.items()}
    rows = [{"of": order_id, "country": country} for order_id, country in countries.items() if country]
    if rows:
        table = table_of(Order)
        statement = table.update().where(table.c.id == bindparam("of")).values(country=bindparam("country"))
        db.session.connection().execute(statement, rows)


def forget_buyers(order_ids: Sequence[int]) -> None:
    """Remove these orders from every term that comes from their buyers. The orders' keys must still exist, and the
    caller holds the orders' locks.
    """
    orders = locked_all(order_ids, _ACTOR)
    personal = _personal_terms(orders, DataKeys(order_ids, _KINDS), index_key())
    index.take_away(Indexed(order.id, order.placed_at, personal[order.id]) for order in orders)


def _plain_terms(orders: Sequence[Order], key: bytes) -> dict[int, frozenset[int]]:
    rows = db.session.execute(
        select(OrderLine.order_id, OrderLine.sku, OrderLine.product_code, OrderLine.title).where(
            OrderLine.order_id.in_([order.id for order in orders])
        )
    )
    store_of = {order.id: order.store_id for order in orders}
    listings = [(order_id, listing_key(store_of[order_id], *sold)) for order_id, *sold in rows]
    ids = remember(listing for _, listing in listings)
    found = {order.id: terms_of_number(order.channel_order_number, key) for order in orders}
    for order_id, listing in listings:
        found[order_id] |= terms_of_listings([ids[listing]], key)
    return found


def _personal_terms(orders: Sequence[Order], keys: DataKeys, key: bytes) -> dict[int, frozenset[int]]:
    found = {}
    for order in orders:
        buyer, corrected = (keys.opened(kind).get(order.id) or {} for kind in _KINDS)
        found[order.id] = terms_of_buyer(buyer, key) | terms_of_buyer(corrected, key)
    rows = db.session.execute(
        select(OrderComment.order_id, OrderComment.sealed).where(OrderComment.order_id.in_(found))
    )
    for order_id, sealed in rows:
        found[order_id] |= terms_of_comment(str(keys.open(order_id, "comment", sealed) or ""), key)
    return found
