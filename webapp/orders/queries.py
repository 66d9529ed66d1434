"""Reading orders: every query starts from what the actor may see."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import Select, and_, inspect, or_, select, text
from sqlalchemy.orm import InstrumentedAttribute, joinedload, selectinload
from sqlalchemy.sql.base import ExecutableOption

from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.channels.services import serving
from webapp.db import among, db
from webapp.errors import NotFound, SeveralFit
from webapp.i18n import lazy_gettext as _l
from webapp.lists.contract import PlainRow
from webapp.orders.models import ON_HOLD, Order, OrderComment, OrderHold
from webapp.orders.search_words import full_numbers, number_prefixes
from webapp.search.numbers import spellings

_MARKED = re.compile(r"@(\d{1,9})", re.ASCII)
_AT_ONCE = 2_000  # spellings of numbers in one statement
_NAMED = 5  # orders that are named if a number fits several
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
    sentence = _l("There is no order “%(name)s”.")


def find_order(number: str, actor: Actor, *beside: ExecutableOption, lock: bool = False) -> Order:
    """The order that goes by this number, as in `going_by`, or by its `reference`. Raises `NotFound`, or `SeveralFit`
    naming the candidates.

    `beside` names what is read together with it. With `lock`, nobody else can change the order until the unit of work
    ends, and its present values are read.
    """
    found = going_by([number], actor, *beside).get(number, [])
    if not found and (marked := _MARKED.fullmatch(number.strip())):
        of_id = visible(actor).where(Order.id == int(marked[1])).options(*_around(beside))
        found = list(db.session.scalars(of_id).unique())
    order = only_one(number, found)
    return locked(order) if lock else order


def going_by(numbers: Collection[str], actor: Actor, *beside: ExecutableOption) -> dict[str, list[Order]]:
    """The orders that go by each of these numbers, however they are written; numbers that nobody has are left out.

    A number is the desk's or the channel's, in any of its `spellings`. Only if no order has it, it is one of the desk's
    without prefix or zeros.
    """
    # No order has a number that can't be printed, and databases refuse to compare NUL or half a character.
    wanted = {number: [one for one in spellings(number) if one.isprintable()] for number in numbers}
    found = _with_numbers(wanted, (Order.number, Order.channel_order_number), actor, beside)
    if rest := [number for number in wanted if number not in found]:
        prefixes = number_prefixes()
        full = {number: [own for one in wanted[number] for own in full_numbers(one, prefixes)] for number in rest}
        found |= _with_numbers(full, (Order.number,), actor, beside)
    return found


def _with_numbers(
    wanted: Mapping[str, Sequence[str]],
    columns: Sequence[InstrumentedAttribute[Any]],
    actor: Actor,
    beside: Sequence[ExecutableOption],
) -> dict[str, list[Order]]:
    """The orders with any of these spellings of a number in these columns, by the number."""
    texts = sorted({text for spelled in wanted.values() for text in spelled})
    by_text: dict[str, dict[int, Order]] = {}
    for start in range(0, len(texts), _AT_ONCE):
        part = texts[start : start + _AT_ONCE]
        query = visible(actor).where(or_(*(among(column, part) for column in columns)))
        for order in db.session.scalars(query.options(*_around(beside))).unique():
            for column in columns:
                by_text.setdefault(getattr(order, column.key) or "", {})[order.id] = order
    found = {
        number: list({id_: order for text in spelled for id_, order in by_text.get(text, {}).items()}.values())
        for number, spelled in wanted.items()
    }
    return {number: orders for number, orders in found.items() if orders}


def _around(beside: Sequence[ExecutableOption]) -> tuple[ExecutableOption, ...]:
    return (*_BESIDE, *beside)


def only_one(number: str, found: Sequence[Order]) -> Order:
    """The order that a number means: the one with this number at the desk, before those with this number at the
    channel.

    Raises `NotFound` or `SeveralFit`.
    """
    if not found:
        raise UnknownOrder(name="".join(letter if letter.isprintable() else "�" for letter in number.strip()))
    chosen = [order for order in found if order.number in spellings(number)] or found
    if len(chosen) > 1:
        raise SeveralFit(name=number.strip(), choices=", ".join(reference(order) for order in chosen[:_NAMED]))
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
