"""The list of orders: the subject, and how its rows are found.

Archived orders have indexes of their own, so that they don't slow down daily lists; a list of both reads two parts. A
list with words that is sorted by the time of ordering is read along the index of search terms.
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
from webapp.orders.models import ATTENTION, ON_HOLD, OPEN, SORTED, UNREAD, WANTS_CANCEL, Order
from webapp.orders.predefined_views import PREDEFINED_VIEWS
from webapp.orders.queries import reference, visible
from webapp.orders.states import OPEN_STATES, OrderState
from webapp.search.compiling import Compiled
from webapp.search.contract import ORDERS, Found
from webapp.search.gathering import among, has_too, rarest_first, split_by_ids
from webapp.search.models import SearchTerm

NEWEST = "-placed"
_MERGED_TERMS = 40  # terms whose rows are read separately and merged; the rows of more terms are sorted together
_RECENT = 30 * 86_400  # seconds: the period that is read first if there are many terms
_PARTIAL_INDEXES = {  # conditions that few orders meet, as SQL text, with the partial index of each
    f"orders.{ON_HOLD}": "ix_orders_on_hold",
    f"orders.{ATTENTION}": "ix_orders_attention",
    f"orders.{UNREAD}": "ix_orders_unread",
    f"orders.{WANTS_CANCEL}": "ix_orders_buyer_wants_cancel",
}
_OPEN = f"orders.{OPEN}"
_OPEN_PARTIAL_INDEXES = {  # of open orders; most orders whose buyer wanted to cancel are closed
    f"orders.{WANTS_CANCEL}": "ix_orders_open_buyer_wants_cancel"
}
_NUMBERS = {"number", "channel_order_number"}  # a query for these finds archived orders, too
_STORE_AND_STATE = {"store_id", "state", "on_hold", "canceling", "archived_at"}  # no other columns


# --- Along an index ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """The archived orders, or all others. Each side has indexes of its own, whose names begin with `indexes`."""

    condition: ColumnElement[bool]
    indexes: str


_SHOWN = _Side(Order.archived_at.is_(None), "ix_orders")
_ARCHIVED = _Side(Order.archived_at.is_not(None), "ix_orders_archived")


class OrderWalk(Walk):
    """Archived orders and others are separate parts, since no index covers both; words use the index of terms."""

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
        """Set the store and the shop of each order, which every row shows. They are few and often loaded already; a
        join would read them again with every row, and double the cost.
        """
        stores = by_id(Store, {order.store_id for order in rows})
        shops = by_id(Shop, {order.shop_id for order in rows})
        for order in rows:
            set_committed_value(order, "store", stores[order.store_id])
            set_committed_value(order, "shop", shops[order.shop_id])

    def plain(self, values: Mapping[str, Any], store: Store, shop: Shop) -> PlainRow:
        return PlainOrder(values, store, shop)


class PlainOrder(PlainRow):
    """The values that a list has read for an order, under the names of the model's attributes."""

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
    always=("number", "channel_number", "state", "channel_status", "store"),  # both numbers and statuses
    each=_l("One row per order"),
    reference=reference,
    expansions=[LINES],
    words=WORDS,
    path="/orders",
    one="order",
    topic="orders",
    recent="placed:>=-90d",
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
    views=PREDEFINED_VIEWS,
    walk=OrderWalk(),
)


def _sides_of(compiled: Compiled) -> Sequence[_Side]:
    """The sides that a query reads: archived orders only if it asks for them. `archived:any` compiles to true."""
    for side in (_SHOWN, _ARCHIVED):
        if any(condition.compare(side.condition) for condition in compiled.conditions):
            return [side]
    # Only at the top level: deeper in a condition, true is an operand of a negation.
    whole = any(isinstance(getattr(condition, "element", condition), True_) for condition in compiled.conditions)
    if compiled.searched or whole or named_columns(compiled.conditions, Order) & {"archived_at", *_NUMBERS}:
        return [_SHOWN, _ARCHIVED]
    return [_SHOWN]


def named_columns(conditions: Sequence[ColumnElement[bool]], *models: type[Model]) -> set[str]:
    """The names of these tables' columns that the conditions use."""
    tables = {table_of(model) for model in models}
    return {
        getattr(part, "key", "")
        for condition in conditions
        for part in visitors.iterate(condition)
        if getattr(part, "table", None) in tables
    }


def _index_for(conditions: Sequence[ColumnElement[bool]], sort: str, side: _Side) -> str:
    """The index for conditions that few orders meet; empty if there is none. It is for SQLite, whose statistics have no
    single values: in the list's order, it would read all orders of a store, or all orders. PostgreSQL needs no hint.
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
    for words, index in (_PARTIAL_INDEXES | (_OPEN_PARTIAL_INDEXES if _OPEN in said else {})).items():
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
    """When one order's channel order is loaded, load those of all loaded orders: badges and columns read them all."""
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
    """The orders that have all words, sorted by seconds and order id, as in the key of search terms. If every word also
    has ids of orders, one word is read first, and the orders of its ids are merged with those of its terms.
    """
    alone, apart = split_by_ids(compiled.words)
    lead = Found()
    if not alone:
        lead = next(word for word in apart if word.terms)
        alone, apart = [lead.terms], [word for word in apart if word is not lead]
    rows, (rarest, *others) = rarest_first(alone)
    found = visible(actor).where(*compiled.conditions, *(among(one, ORDER_LIST.order_id) for one in apart))
    walk = _first_from(select(SearchTerm.placed, SearchTerm.order_id), place, up, limit)
    if found.whereclause is not None:
        its: Select[Any] = found.where(Order.id == SearchTerm.order_id).with_only_columns(literal_column("1"))
        walk = walk.where(its.exists())
    beside = []
    if lead.ids:
        own = found.where(among(Found(ids=lead.ids), ORDER_LIST.order_id))
        beside = [_first_from(own.with_only_columns(seconds_of(Order.placed_at), Order.id), place, up, limit)]
    whole = walk.where(*(has_too(terms, rows) for terms in others))
    if 0 < len(rarest) <= _MERGED_TERMS:
        apiece = [whole.where(SearchTerm.term == term) for term in sorted(rarest)]
        return _merged(actor, read, [*apiece, *beside], up, limit)
    if limit and not up:  # many terms fill a page from a recent period; sorting the orders of all time takes seconds
        since = int((place[0] if place else now()).timestamp()) - _RECENT
        recent = walk.where(SearchTerm.placed > since, *(has_too(terms, rows, since) for terms in others))
        own_soon = [one.where(seconds_of(Order.placed_at) > since) for one in beside]
        soon = recent.where(SearchTerm.term.in_(sorted(rarest))).distinct()
        found_soon = _merged(actor, read, [soon, *own_soon], up, limit)
        if len(found_soon) > limit:
            return found_soon
    return _merged(actor, read, [whole.where(SearchTerm.term.in_(sorted(rarest))).distinct(), *beside], up, limit)


def _first_from(query: Any, place: Place | None, up: bool, limit: int) -> Select[Any]:
    """The first rows after a place, of a query for seconds and ids."""
    key = list(query.selected_columns)
    if place:
        here, there = tuple_(*key), (int(place[0].timestamp()), place[1])
        query = query.where(here > there if up else here < there)
    return first(query, key, up, limit + 1 if limit else None)


def _merged(actor: Actor, read: Read, apart: Sequence[Select[Any]], up: bool, limit: int) -> list[Any]:
    """The orders of these queries for seconds and ids, merged and sorted by them."""
    parts = [select(*branch.subquery().c) for branch in apart]
    merged = (union(*parts) if len(parts) > 1 else parts[0]).subquery()
    by = list(merged.c)
    ids = first(select(by[1]), by, up, limit + 1 if limit else None).subquery()
    rows = read(visible(actor).where(Order.id.in_(select(*ids.c))))
    return sorted(rows, key=lambda order: (int(order.placed_at.timestamp()), order.id), reverse=not up)
