"""Reading orders: every query starts from what the actor may see."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import joinedload, selectinload

from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.clock import iso, parse_instant
from webapp.db import db
from webapp.errors import Invalid, NotFound, SeveralFit
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order, OrderComment, OrderHold
from webapp.vault import services as vault

PAGE = 50
_MARKED = re.compile(r"@(\d{1,9})", re.ASCII)


def visible(actor: Actor) -> Select[Order]:
    """All orders that the actor may see; raises `Forbidden` for who may see none."""
    actor.needs("orders.view")
    query = select(Order)
    return query if actor.shops is None else query.where(Order.shop_id.in_(actor.shops))


@dataclass(frozen=True, slots=True)
class OrdersSlice:
    """A page of a list, with the keys of its neighbors; None where there is none."""

    orders: Sequence[Order]
    newer: str | None
    older: str | None


def list_orders(
    actor: Actor,
    *,
    after: str | None = None,
    before: str | None = None,
    store_id: int | None = None,
    state: str | None = None,
    limit: int = PAGE,
) -> OrdersSlice:
    """Orders, newest placed first, by keyset: `after` and `before` are keys of a row (see `key_of`). One query."""
    store = joinedload(Order.store).lazyload(Store.marketplaces)  # which no list shows
    query = visible(actor).options(store, joinedload(Order.shop))
    if store_id is not None:
        query = query.where(Order.store_id == store_id)
    if state is not None:
        query = query.where(state_condition(state))
    place = (Order.placed_at, Order.id)
    if before:
        at, order_id = _place(before)
        query = query.where(or_(Order.placed_at > at, and_(Order.placed_at == at, Order.id > order_id)))
        query = query.order_by(*(column.asc() for column in place))
    else:
        if after:
            at, order_id = _place(after)
            query = query.where(or_(Order.placed_at < at, and_(Order.placed_at == at, Order.id < order_id)))
        query = query.order_by(*(column.desc() for column in place))
    rows = list(db.session.scalars(query.limit(limit + 1) if limit else query))
    more = bool(limit) and len(rows) > limit
    rows = rows[:limit] if limit else rows
    if before:
        rows.reverse()
        return OrdersSlice(rows, key_of(rows[0]) if more else None, key_of(rows[-1]) if rows else None)
    return OrdersSlice(rows, key_of(rows[0]) if after and rows else None, key_of(rows[-1]) if more else None)


def state_condition(state: str) -> Any:
    """Orders shown in this state: a hold or a running cancel hides the state underneath."""
    if state == "on_hold":
        return and_(Order.on_hold, ~Order.canceling)
    if state == "canceling":
        return Order.canceling
    return and_(Order.state == state, ~Order.on_hold, ~Order.canceling)


def key_of(order: Order) -> str:
    return f"{iso(order.placed_at)}~{order.id}"


def _place(key: str) -> tuple[datetime, int]:
    at, _, order_id = key.rpartition("~")
    try:
        if not 0 <= int(order_id) < 2**31:
            raise ValueError("no id")
        return parse_instant(at), int(order_id)
    except (ValueError, OverflowError):  # an offset may lead out of the calendar
        raise Invalid(field=_l("Page"), problem=_l("this link is not one of the desk's.")) from None


def find_order(number: str, actor: Actor, *, lock: bool = False) -> Order:
    """The order of this number, ours or the channel's. Raises `NotFound`, or `SeveralFit` naming the choice.

    With `lock` nobody else changes it until the unit of work ends, and what is read is what is there now.
    """
    number = number.strip()
    if not number.isprintable():  # no order's, and databases refuse to compare NUL or half a character
        raise NotFound(name="".join(letter if letter.isprintable() else "�" for letter in number))
    around = (joinedload(Order.store), joinedload(Order.shop), joinedload(Order.channel_order))
    query = visible(actor).where(or_(Order.number == number, Order.channel_order_number == number)).limit(5)
    query = query.options(*around)
    found = list(db.session.scalars(query))
    own = [order for order in found if order.number == number]
    chosen = own or found
    if not chosen and (marked := _MARKED.fullmatch(number)):
        chosen = list(db.session.scalars(visible(actor).where(Order.id == int(marked[1])).options(*around)))
    if not chosen:
        raise NotFound(name=number)
    if len(chosen) > 1:
        raise SeveralFit(name=number, choices=", ".join(reference(order) for order in chosen))
    return locked(chosen[0]) if lock else chosen[0]


def locked(order: Order) -> Order:
    """The order under its lock, read anew; the lines and amounts come with it."""
    query = (
        select(Order)
        .where(Order.id == order.id)
        .with_for_update(of=Order)
        .options(selectinload(Order.lines), joinedload(Order.channel_order), joinedload(Order.store))
        .execution_options(populate_existing=True)
    )
    return db.session.scalars(query).one()


def orders_by_id(ids: Sequence[int], actor: Actor) -> list[Order]:
    """Those of the orders that the actor may see, in no promised order."""
    query = visible(actor).where(Order.id.in_(ids)).options(joinedload(Order.store), joinedload(Order.shop))
    return list(db.session.scalars(query))


def reference(order: Order) -> str:
    """What finds exactly this order: its number, or `@id` while it has none of its own."""
    return order.number or f"@{order.id}"


def newer_than(actor: Actor, key: str) -> int:
    """How many orders were placed after the newest one that a page shows; counted up to 100."""
    at, order_id = _place(key)
    newer = visible(actor).where(or_(Order.placed_at > at, and_(Order.placed_at == at, Order.id > order_id)))
    return (
        db.session.scalar(select(func.count()).select_from(newer.with_only_columns(Order.id).limit(100).subquery()))
        or 0
    )


def comments_of(order: Order) -> list[OrderComment]:
    query = select(OrderComment).where(OrderComment.order_id == order.id).order_by(OrderComment.id.desc())
    return list(db.session.scalars(query))


def holds_of(order: Order) -> list[OrderHold]:
    query = select(OrderHold).where(OrderHold.order_id == order.id).order_by(OrderHold.id.desc())
    return list(db.session.scalars(query))


def reason_of(hold: OrderHold) -> str:
    """Why an order was held; empty once its key is gone. For who may see buyers: reasons name them too."""
    return str(vault.open_sealed([(hold.order_id, "hold", hold.sealed)])[0] or "") if hold.sealed else ""


def stores_with_orders(actor: Actor) -> list[Store]:
    """Stores to filter by."""
    actor.needs("orders.view")
    query = select(Store).order_by(Store.name)
    if actor.shops is not None:
        query = query.where(Store.shop_id.in_(actor.shops))
    return list(db.session.scalars(query))
