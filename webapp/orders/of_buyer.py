"""The other orders of an order's buyer, found by the address under which the channel relays mail to the buyer."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from webapp.audit.actor import Actor
from webapp.channels.services import stores
from webapp.db import db
from webapp.orders.models import Order
from webapp.orders.order_settings import OTHER_ORDERS
from webapp.orders.queries import visible
from webapp.orders.search_words import EMAIL
from webapp.search.models import SearchTerm
from webapp.search.terms import index_key, normalize, term
from webapp.vault import services as vault

SHOWN = 5


@dataclass(frozen=True, slots=True)
class OtherOrders:
    """How many other orders the buyer has that the actor may see, and the newest of them."""

    count: int
    newest: Sequence[Order]


def may_be_shown(order: Order) -> bool:
    """Whether the order's store wants a buyer's other orders shown: `OTHER_ORDERS` as the order's page reads it, in one
    statement with the order.
    """
    row = order.other_orders_setting
    return bool(OTHER_ORDERS.default if row is None else row.value)


def other_orders(order: Order, actor: Actor) -> OtherOrders | None:
    """The buyer's other orders, with an access record; None if the store does not want them shown, or the buyer has no
    address that is known here. Orders of stores that do not want it are left out. Raises `Forbidden` without the right
    to see buyers.
    """
    actor.needs("buyers.see")
    if not OTHER_ORDERS.of(order.store):
        return None
    buyer = vault.reveal(actor, [order.id], purpose="other_orders").get(order.id) or {}
    email = normalize(str(buyer.get("email") or "").strip())
    if "@" not in email:
        return None
    same = select(SearchTerm.order_id).where(SearchTerm.term == term(EMAIL, email, index_key()))
    unwanted = [store.id for store in stores() if not OTHER_ORDERS.of(store)]
    query = visible(actor).where(Order.id.in_(same), Order.id != order.id, Order.store_id.not_in(unwanted))
    query = query.order_by(Order.placed_at.desc(), Order.id.desc()).limit(SHOWN)
    query = query.options(joinedload(Order.store), joinedload(Order.shop))
    rows = db.session.execute(query.add_columns(func.count().over())).all()
    return OtherOrders(rows[0][1] if rows else 0, [row[0] for row in rows])
