"""Reading orders: every query starts from what the actor may see."""

import re
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import Select, and_, func, inspect, or_, select, text
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.sql.base import ExecutableOption

from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.channels.services import serving
from webapp.db import db
from webapp.errors import NotFound, SeveralFit
from webapp.i18n import lazy_gettext as _l
from webapp.lists.contract import PlainRow
from webapp.orders.models import ON_HOLD, Order, OrderComment, OrderHold

_MARKED = re.compile(r"@(\d{1,9})", re.ASCII)
# What actions and their refusals read of an order: AROUND in two statements; AROUND_FEW in one, for a few orders.
_BESIDE = (
    joinedload(Order.store).lazyload(Store.marketplaces),  # the channel itself has them
    joinedload(Order.shop),
    joinedload(Order.channel_order),
)
AROUND = (*_BESIDE, selectinload(Order.lines))
AROUND_FEW = (*_BESIDE, joinedload(Order.lines))


class OfOrder(Protocol):
    """A row that belongs to an order."""

    order_id: Any


AnyOfOrder = TypeVar("AnyOfOrder", bound=OfOrder)


def visible(actor: Actor) -> Select[Order]:
    """All orders that the actor may see; raises `Forbidden` if the actor may see none."""
    actor.needs("orders.view")
    query = select(Order)
    return query if actor.shops is None else query.where(Order.shop_id.in_(actor.shops))


def visible_of(model: type[AnyOfOrder], actor: Actor) -> Select[AnyOfOrder]:
    """All rows of this kind of orders that the actor may see, joined with their orders; raises `Forbidden` if the actor
    may see no orders.
    """
    actor.needs("orders.view")
    query = select(model).join(Order, Order.id == model.order_id)
    return query if actor.shops is None else query.where(Order.shop_id.in_(actor.shops))


def state_condition(state: str) -> Any:
    """The condition that orders are shown in this state: a hold or a running cancellation hides the state itself."""
    if state == "on_hold":
        return and_(text(f"orders.{ON_HOLD}"), ~Order.canceling)  # the text of their index
    if state == "canceling":
        return Order.canceling
    return and_(Order.state == state, ~Order.on_hold, ~Order.canceling)


class UnknownOrder(NotFound):
    """No order has this number, or none that this person may see."""

    code = "unknown_order"
    sentence = _l("No order here goes by “%(name)s”.")


def find_order(number: str, actor: Actor, *beside: ExecutableOption, lock: bool = False) -> Order:
    """The order with this number, the desk's or the channel's. Raises `NotFound`, or `SeveralFit` naming the
    candidates.

    `beside` names what is read together with it. With `lock`, nobody else can change the order until the unit of work
    ends, and its present values are read.
    """
    number = number.strip()
    if not number.isprintable():  # no order has such a number, and databases refuse to compare NUL or half a character
        raise UnknownOrder(name="".join(letter if letter.isprintable() else "�" for letter in number))
    store = joinedload(Order.store).lazyload(Store.marketplaces)  # the channel itself has them
    around = (store, joinedload(Order.shop), joinedload(Order.channel_order), *beside)
    query = visible(actor).where(or_(Order.number == number, Order.channel_order_number == number)).limit(5)
    query = query.options(*around)
    found = list(db.session.scalars(query).unique())
    if not found and (marked := _MARKED.fullmatch(number)):
        of_id = visible(actor).where(Order.id == int(marked[1])).options(*around)
        found = list(db.session.scalars(of_id).unique())
    order = only_one(number, found)
    return locked(order) if lock else order


def only_one(number: str, found: Sequence[Order]) -> Order:
    """The order that a number means: the one with this number at the desk, before those with this number at the
    channel.

    Raises `NotFound` or `SeveralFit`.
    """
    chosen = [order for order in found if order.number == number] or found
    if not chosen:
        raise UnknownOrder(name=number)
    if len(chosen) > 1:
        raise SeveralFit(name=number, choices=", ".join(reference(order) for order in chosen))
    return chosen[0]


def locked(order: Order) -> Order:
    """The order, locked and read again, with its lines and amounts."""
    query = (
        select(Order)
        .where(Order.id == order.id)
        .with_for_update(of=Order)
        .options(selectinload(Order.lines), joinedload(Order.channel_order), joinedload(Order.store))
        .execution_options(populate_existing=True)
    )
    return db.session.scalars(query).one()


def locked_all(ids: Sequence[int], actor: Actor, *beside: ExecutableOption) -> list[Order]:
    """Those of the orders that the actor may see, locked in the order of their ids and read again; without their
    lines, unless `beside` asks for these.
    """
    query = visible(actor).where(Order.id.in_(ids)).order_by(Order.id).with_for_update(of=Order)
    return list(db.session.scalars(query.options(*beside).execution_options(populate_existing=True)))


def orders_by_id(ids: Sequence[int], actor: Actor) -> list[Order]:
    """Those of the orders that the actor may see, in no particular order."""
    query = visible(actor).where(Order.id.in_(ids)).options(joinedload(Order.store), joinedload(Order.shop))
    return list(db.session.scalars(query))


def loaded_with(order: Order) -> list[Order]:
    """The order and all other orders that are loaded in this transaction: what is read for one of a page or a run is
    read for all of them in one statement.
    """
    others = [row for row in db.session.identity_map.values() if isinstance(row, Order) and row is not order]
    return [order, *(row for row in others if not inspect(row).expired)]


def reference(order: Order | PlainRow) -> str:
    """A text that finds exactly this order: its number, or `@id` while it has no number of its own."""
    return order.number or f"@{order.id}"


def newest_order() -> int:
    """The id of the newest order; 0 if there is none."""
    return db.session.scalar(select(func.max(Order.id))) or 0


def comments_of(order: Order) -> list[OrderComment]:
    query = select(OrderComment).where(OrderComment.order_id == order.id).order_by(OrderComment.id.desc())
    return list(db.session.scalars(query))


def holds_of(order: Order) -> list[OrderHold]:
    query = select(OrderHold).where(OrderHold.order_id == order.id).order_by(OrderHold.id.desc())
    return list(db.session.scalars(query))


def stores_with_orders(actor: Actor) -> list[Store]:
    """Stores to filter by, with their marketplaces."""
    actor.needs("orders.view")
    query = select(Store).order_by(Store.name).options(joinedload(Store.marketplaces))
    return list(db.session.scalars(serving(query, actor)).unique())
