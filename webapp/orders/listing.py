"""The list of orders: the subject, and how it is walked.

What was archived is indexed apart, so that it stands in no daily list's way; a list of both merges two walks. Words
drive the list by the search terms' own order while it is sorted by when orders were placed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, inspect, literal_column, select, tuple_, union
from sqlalchemy.event import listens_for
from sqlalchemy.orm import ORMExecuteState
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, Grouping, TextClause, True_

from webapp.audit.actor import Actor
from webapp.channels.models import ChannelOrder, Shop, Store
from webapp.clock import now
from webapp.db import Model, db, seconds_of, table_of
from webapp.i18n import lazy_gettext as _l
from webapp.lists.contract import Parts, Place, PlainRow, Read, Sorting, Subject, Walk
from webapp.lists.listing import first
from webapp.lists.rows import by_id, by_name
from webapp.money import money
from webapp.orders.line_rows import LINES
from webapp.orders.list_words import WORDS
from webapp.orders.models import ATTENTION, ON_HOLD, OPEN, SORTED, WANTS_CANCEL, Order
from webapp.orders.queries import reference, visible
from webapp.orders.standing_views import CARDS, STANDING
from webapp.orders.states import OPEN_STATES, OrderState
from webapp.search.compiling import Compiled
from webapp.search.contract import ORDERS, Found
from webapp.search.gathering import among, has_too, rarest_first, split_by_ids
from webapp.search.models import SearchTerm

NEWEST = "-placed"
_BRANCHES = 40  # terms whose rows are merged one by one; more are sorted together
_SOON = 30 * 86_400  # seconds in which many terms have a page's orders
_FEW = {  # what few orders are, in the words of the index that holds them
    f"orders.{ON_HOLD}": "ix_orders_on_hold",
    f"orders.{ATTENTION}": "ix_orders_attention",
    f"orders.{WANTS_CANCEL}": "ix_orders_buyer_wants_cancel",
}
_OPEN = f"orders.{OPEN}"
_OPEN_FEW = {f"orders.{WANTS_CANCEL}": "ix_orders_open_buyer_wants_cancel"}  # most that ever wanted it are closed
_NUMBERS = {"number", "channel_order_number"}  # who asks for these is shown what was archived, too
_STORE_AND_STATE = {"store_id", "state", "on_hold", "canceling", "archived_at"}  # what conditions of just these name


# --- Along an index ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """The orders in the archive, or those outside of it: each has indexes of its own, whose names begin alike."""

    condition: ColumnElement[bool]
    indexes: str


_SHOWN = _Side(Order.archived_at.is_(None), "ix_orders")
_ARCHIVED = _Side(Order.archived_at.is_not(None), "ix_orders_archived")


class OrderWalk(Walk):
    """Each side of the archive is a part by itself, since no index holds both; words lead along the index of terms."""

    def parts(self, subject: Subject, actor: Actor, compiled: Compiled, sort: str) -> Parts:
        if compiled.words or (compiled.searched and not compiled.broad):
            return super().parts(subject, actor, compiled, sort)
        query = visible(actor).where(*compiled.conditions)
        parts = []
        for side in _sides_of(compiled):
            part = query.where(side.condition)
            if index := _index_for(compiled.conditions, sort, side):
                part = part.with_hint(Order, f"INDEXED BY {index}", dialect_name="sqlite")
            parts.append(part)
        return Parts(parts)

    def rows(
        self, actor: Actor, compiled: Compiled, sorting: Sorting, place: Place | None, up: bool, limit: int, read: Read
    ) -> list[Any] | None:
        if sorting.name != "placed" or not any(word.terms for word in compiled.words):
            return None
        return _by_terms(actor, compiled, place, up, limit, read)

    def complete(self, rows: Sequence[Any]) -> None:
        """Give each order its store and shop, which every row names. There are few, and a page has often read them:
        joined, they would be read again with every row, at the cost of the orders themselves.
        """
        stores = by_id(Store, {order.store_id for order in rows})
        shops = by_id(Shop, {order.shop_id for order in rows})
        for order in rows:
            set_committed_value(order, "store", stores[order.store_id])
            set_committed_value(order, "shop", shops[order.shop_id])

    def plain(self, values: Mapping[str, Any], store: Store, shop: Shop) -> PlainRow:
        return PlainOrder(values, store, shop)


class PlainOrder(PlainRow):
    """What a list has read of an order, under the order's own names."""

    total = money("total_minor")
    shown_state = Order.shown_state
    managed_at_channel = Order.managed_at_channel


ORDER_LIST = Subject(
    code=ORDERS,
    label=_l("Orders"),
    order_id=table_of(Order).c.id,
    model=Order,
    visible=visible,
    sorts={name: getattr(Order, column) for name, column in SORTED.items()},
    usual=NEWEST,
    always=("number", "channel_number", "state", "channel_status", "store"),  # promise 3: in every file
    each=_l("One row per order"),
    reference=reference,
    expansions=[LINES],
    words=WORDS,
    path="/orders",
    one="order",
    topic="orders",
    recent="placed:>=-90d",
    cards=CARDS,
    row=by_name(
        Order.number,
        Order.channel_order_number,
        Order.channel_status,
        Order.store_id,
        Order.shop_id,
        Order.state,
        Order.unshipped,
        Order.fulfilled_by,
        Order.marketplace,
    ),
    views=STANDING,
    walk=OrderWalk(),
)


def _sides_of(compiled: Compiled) -> Sequence[_Side]:
    """What was archived is shown where it is asked for: `archived:any` leaves nothing but true of its condition."""
    for side in (_SHOWN, _ARCHIVED):
        if any(condition.compare(side.condition) for condition in compiled.conditions):
            return [side]
    # Further within, true is what a negated condition is compared with.
    whole = any(isinstance(getattr(condition, "element", condition), True_) for condition in compiled.conditions)
    if compiled.searched or whole or named_columns(compiled.conditions, Order) & {"archived_at", *_NUMBERS}:
        return [_SHOWN, _ARCHIVED]
    return [_SHOWN]


def named_columns(conditions: Sequence[ColumnElement[bool]], *models: type[Model]) -> set[str]:
    """The columns of these tables that are spoken of."""
    tables = {table_of(model) for model in models}
    return {
        getattr(part, "key", "")
        for condition in conditions
        for part in visitors.iterate(condition)
        if getattr(part, "table", None) in tables
    }


def _index_for(conditions: Sequence[ColumnElement[bool]], sort: str, side: _Side) -> str:
    """The index of the few orders that are asked for. SQLite, whose statistics know no single value, would walk all of
    a store's, or all there are, in the order of the list; PostgreSQL knows better.
    """
    parts: list[Any] = list(conditions)
    said: set[str] = set()
    equal: dict[str, Any] = {}
    while parts:
        part = parts.pop()
        if isinstance(part, Grouping):
            parts.append(part.element)
        elif isinstance(part, BooleanClauseList) and part.operator is operators.and_:
            parts.extend(part.clauses)
        elif isinstance(part, TextClause):
            said.add(part.text)
        elif (
            isinstance(part, BinaryExpression)
            and part.operator is operators.eq
            and (name := getattr(part.left, "key", "")) in ("state", "store_id")
        ):
            equal[name] = getattr(part.right, "value", "")
    for words, index in (_FEW | (_OPEN_FEW if _OPEN in said else {})).items():
        if words in said:
            return index
    if _OPEN in said:
        return f"ix_orders_open_{sort}"
    named = named_columns(conditions, Order)
    if equal.get("state") in OPEN_STATES and not named & _NUMBERS:
        return f"{side.indexes}_state_{sort}"
    if len(equal) == 2 and named <= _STORE_AND_STATE:  # most orders of any store are complete
        return f"{side.indexes}_{'store' if equal['state'] == OrderState.COMPLETE else 'state'}_{sort}"
    return ""


@listens_for(db.session, "do_orm_execute")
def _read_channel_orders_together(state: ORMExecuteState) -> None:
    """Where a badge or a column asks one order for what its channel said, read that of all orders that the page has."""
    if not state.is_relationship_load or state.session.info.get("writing"):
        return
    asking, mapper = state.lazy_loaded_from, state.bind_mapper
    if asking is None or asking.class_ is not Order or mapper is None or mapper.class_ is not ChannelOrder:
        return
    held = [row for row in state.session.identity_map.values() if isinstance(row, Order)]
    rows = [row for row in held if {"channel_order"} == inspect(row).unloaded & {"channel_order", "channel_order_id"}]
    found = by_id(ChannelOrder, {row.channel_order_id for row in rows})
    for row in rows:
        set_committed_value(row, "channel_order", found[row.channel_order_id])


# --- Along the search terms -------------------------------------------------------------------------------------------


def _by_terms(actor: Actor, compiled: Compiled, place: Place | None, up: bool, limit: int, read: Read) -> list[Any]:
    """Orders with all the words, by the order of the terms' key; seconds and id, as the terms have them. Where every
    word also has orders of its own, one word leads, and its orders join the walk beside those of its terms.
    """
    alone, apart = split_by_ids(compiled.words)
    lead = Found()
    if not alone:
        lead = next(word for word in apart if word.terms)
        alone, apart = [lead.terms], [word for word in apart if word is not lead]
    rows, (rarest, *others) = rarest_first(alone)
    found = visible(actor).where(*compiled.conditions, *(among(one, ORDER_LIST.order_id) for one in apart))
    walk = _next(select(SearchTerm.placed, SearchTerm.order_id), place, up, limit)
    if found.whereclause is not None:
        its: Select[Any] = found.where(Order.id == SearchTerm.order_id).with_only_columns(literal_column("1"))
        walk = walk.where(its.exists())
    beside = []
    if lead.ids:
        own = found.where(among(Found(ids=lead.ids), ORDER_LIST.order_id))
        beside = [_next(own.with_only_columns(seconds_of(Order.placed_at), Order.id), place, up, limit)]
    whole = walk.where(*(has_too(terms, rows) for terms in others))
    if 0 < len(rarest) <= _BRANCHES:
        apiece = [whole.where(SearchTerm.term == term) for term in sorted(rarest)]
        return _ordered(actor, read, [*apiece, *beside], up, limit)
    if limit and not up:  # so many terms have a page's orders soon, while sorting all that ever had one takes seconds
        since = int((place[0] if place else now()).timestamp()) - _SOON
        recent = walk.where(SearchTerm.placed > since, *(has_too(terms, rows, since) for terms in others))
        own_soon = [one.where(seconds_of(Order.placed_at) > since) for one in beside]
        soon = recent.where(SearchTerm.term.in_(sorted(rarest))).distinct()
        found_soon = _ordered(actor, read, [soon, *own_soon], up, limit)
        if len(found_soon) > limit:
            return found_soon
    return _ordered(actor, read, [whole.where(SearchTerm.term.in_(sorted(rarest))).distinct(), *beside], up, limit)


def _next(query: Any, place: Place | None, up: bool, limit: int) -> Select[Any]:
    """Of what gives seconds and ids, the first from a place on."""
    key = list(query.selected_columns)
    if place:
        here, there = tuple_(*key), (int(place[0].timestamp()), place[1])
        query = query.where(here > there if up else here < there)
    return first(query, key, up, limit + 1 if limit else None)


def _ordered(actor: Actor, read: Read, apart: Sequence[Select[Any]], up: bool, limit: int) -> list[Any]:
    """The orders of these parts, merged by seconds and ids."""
    parts = [select(*branch.subquery().c) for branch in apart]
    merged = (union(*parts) if len(parts) > 1 else parts[0]).subquery()
    by = list(merged.c)
    ids = first(select(by[1]), by, up, limit + 1 if limit else None).subquery()
    rows = read(visible(actor).where(Order.id.in_(select(*ids.c))))
    return sorted(rows, key=lambda order: (int(order.placed_at.timestamp()), order.id), reverse=not up)
