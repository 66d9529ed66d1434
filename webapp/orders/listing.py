"""Lists of orders: filtered by a compiled query, sorted over everything, paged by keyset in both directions.

Orders without a value come last whichever way a list is sorted: first the rows that have one are walked, then the rest,
each along an index. What was archived is indexed apart, so that it stands in no daily list's way; a list of both merges
two walks. Words drive the list by the search terms' own order while it is sorted by when orders were placed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    func,
    inspect,
    literal_column,
    or_,
    select,
    tuple_,
    union,
    union_all,
)
from sqlalchemy.event import listens_for
from sqlalchemy.orm import InstrumentedAttribute, ORMExecuteState
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, Grouping, TextClause, True_

from webapp.audit.actor import Actor
from webapp.channels.models import ChannelOrder, Shop, Store
from webapp.clock import iso, now, parse_instant
from webapp.db import db, seconds_of
from webapp.errors import Invalid
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import ATTENTION, ON_HOLD, OPEN, SORTED, WANTS_CANCEL, Order
from webapp.orders.queries import visible
from webapp.orders.states import OPEN_STATES, OrderState
from webapp.search.compiling import Compiled
from webapp.search.contract import Found
from webapp.search.gathering import among, has_too, rarest_first, split_by_ids, with_words
from webapp.search.models import SearchTerm

Asked = Compiled  # what a list is asked for
Named = TypeVar("Named", Store, Shop, ChannelOrder)
PAGE = 50
CAP = 10_000
ALL = 2**31  # a cap that no desk comes up to
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


@dataclass(frozen=True, slots=True)
class OrdersSlice:
    """A page of a list, with the keys of its neighbors; None where there is none."""

    orders: Sequence[Order]
    newer: str | None
    older: str | None


@dataclass(frozen=True, slots=True)
class Sorting:
    """What a list is sorted by, and which way."""

    name: str
    descending: bool

    @classmethod
    def parse(cls, text: str) -> "Sorting":
        """`-placed`, `ship_by` …; raises `Invalid` for what no index stands for."""
        name = text.removeprefix("-")
        if name not in SORTED:
            raise Invalid(field=_l("Sorting"), problem=_l("this list can't be sorted by that."))
        return cls(name, text.startswith("-"))

    @property
    def column(self) -> InstrumentedAttribute[Any]:
        column: InstrumentedAttribute[Any] = getattr(Order, SORTED[self.name])
        return column

    @property
    def may_lack(self) -> bool:
        """Whether some orders have no value of it."""
        return bool(self.column.property.columns[0].nullable)

    def by(self, column: Any, order_id: Any) -> list[ColumnElement[Any]]:
        """What to sort by, all of it one way, so that orders without a value come last."""
        last = column.is_not(None) if self.descending else column.is_(None)
        return [*([last] if self.may_lack else []), column, order_id]


def list_orders(
    actor: Actor,
    compiled: Asked | None = None,
    *,
    sort: str = NEWEST,
    after: str | None = None,
    before: str | None = None,
    limit: int = PAGE,
) -> OrdersSlice:
    """A page of orders: those that follow the key `after`, or precede `before` (see `key_of`); `limit` 0 gives all.

    What was archived is left out unless the query speaks of it, of a number or of words.
    """
    sorting = Sorting.parse(sort)
    backward = before is not None
    key = before if backward else after
    place = _place(key, sorting) if key else None
    if compiled and sorting.name == "placed" and any(word.terms for word in compiled.words):
        rows = _by_terms(actor, compiled, sorting, place, backward, limit)
    else:
        rows = _by_index(actor, compiled, sorting, place, backward, limit)
    more = bool(limit) and len(rows) > limit
    rows = rows[:limit] if limit else rows
    _hand_out(rows)
    if backward:
        rows.reverse()
    first, last = (key_of(rows[0], sort), key_of(rows[-1], sort)) if rows else (None, None)
    if backward:
        return OrdersSlice(rows, first if more else None, last)
    return OrdersSlice(rows, first if after else None, last if more else None)


def count_orders(actor: Actor, compiled: Asked | None = None, cap: int = CAP) -> tuple[int, bool]:
    """How many orders a query finds, exact up to `cap`; and whether there are more."""
    found = db.session.scalar(select(counting(actor, compiled, cap))) or 0
    return min(found, cap), found > cap


def counting(actor: Actor, compiled: Asked | None = None, cap: int = CAP) -> Any:
    """The count as an expression, one beyond `cap` where there are more, so that many go in one question."""
    one: Any = literal_column("1").label("one")
    ones = [part.with_only_columns(one).limit(cap + 1) for part in _asked(actor, compiled).parts]
    found = ones[0] if len(ones) == 1 else union_all(*(select(part.subquery()) for part in ones)).limit(cap + 1)
    return select(func.count()).select_from(found.subquery()).scalar_subquery()


def matching_ids(
    actor: Actor, compiled: Asked | None = None, sort: str = NEWEST, limit: int | None = None
) -> Select[int]:
    """The ids of everything a query finds, in the list's order, or the first of them: what bulk work walks."""
    sorting = Sorting.parse(sort)
    up, found = not sorting.descending, _asked(actor, compiled, sorting.name)
    parts = found.parts
    if limit and sorting.may_lack and not found.gathered:  # what lacks a value stands at the other end of an index
        parts = [part.where(has) for part in parts for has in (sorting.column.is_not(None), sorting.column.is_(None))]
    if len(parts) == 1:
        return _first(parts[0].with_only_columns(Order.id), sorting.by(sorting.column, Order.id), up, limit)
    merged = _merged(parts, (sorting.column, Order.id), up, limit)
    column, order_id = merged.c
    return _first(select(order_id), sorting.by(column, order_id), up, limit)


def first_orders(actor: Actor, compiled: Asked | None, sort: str, limit: int) -> Select[Order]:
    """The first orders that a query finds, in the list's order, to read with what stands around them."""
    sorting = Sorting.parse(sort)
    ids = matching_ids(actor, compiled, sort, limit).subquery()
    query = visible(actor).where(Order.id.in_(select(ids.c.id)))
    return _first(query, sorting.by(sorting.column, Order.id), not sorting.descending, None)


def key_of(order: Order, sort: str = NEWEST) -> str:
    """Where an order stands in a list sorted that way."""
    value = getattr(order, SORTED[Sorting.parse(sort).name])
    text = iso(value) if isinstance(value, datetime) else "" if value is None else value
    return f"{text}~{order.id}"


def newer_than(actor: Actor, key: str) -> int:
    """How many orders were placed after the newest one that a page shows; counted up to 100."""
    place = _place(key, Sorting.parse(NEWEST))
    [shown] = _asked(actor, None).parts
    newer = shown.where(tuple_(Order.placed_at, Order.id) > place)
    counted = newer.with_only_columns(Order.id).limit(100).subquery()
    return db.session.scalar(select(func.count()).select_from(counted)) or 0


def _place(key: str, sorting: Sorting) -> tuple[Any, int]:
    text, _, order_id = key.rpartition("~")
    try:
        if not 0 <= int(order_id) < 2**31 or "~" not in key:
            raise ValueError("no id")
        if not text and sorting.may_lack:
            return None, int(order_id)
        if sorting.name == "total" and not abs(int(text)) < 2**63:
            raise ValueError("no total")
        return (int(text) if sorting.name == "total" else parse_instant(text)), int(order_id)
    except (ValueError, OverflowError):  # an offset may lead out of the calendar
        raise Invalid(field=_l("Page"), problem=_l("this link is not one of the desk's.")) from None


# --- Along an index ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """The orders in the archive, or those outside of it: each has indexes of its own, whose names begin alike."""

    condition: ColumnElement[bool]
    indexes: str


_SHOWN = _Side(Order.archived_at.is_(None), "ix_orders")
_ARCHIVED = _Side(Order.archived_at.is_not(None), "ix_orders_archived")


@dataclass(frozen=True, slots=True)
class _Found:
    """Everything that a query finds, in no order, but ready to be sorted: each side of the archive is a part by itself,
    since no index holds both. What is `gathered` by its words is one part, sorted afterwards along no index.
    """

    parts: Sequence[Select[Order]]
    gathered: bool = False


def _by_index(
    actor: Actor, compiled: Asked | None, sorting: Sorting, place: tuple[Any, int] | None, backward: bool, limit: int
) -> list[Order]:
    up = sorting.descending is backward  # whether values grow on the way
    column, found = sorting.column, _asked(actor, compiled, sorting.name)
    at, order_id = place or (None, None)
    having: list[ColumnElement[bool]] = [column.is_not(None)] if sorting.may_lack else []
    lacking: list[ColumnElement[bool]] = [column.is_(None)]
    by: Sequence[Any] = (column, Order.id)
    if at is not None:
        here = tuple_(column, Order.id)
        having.append(here > (at, order_id) if up else here < (at, order_id))
    elif place:
        lacking.append(Order.id > order_id if up else Order.id < order_id)
    if not sorting.may_lack:
        walk = [having]
    elif backward:
        walk = [having] if at is not None else [lacking, having]
    else:
        walk = [lacking] if place and at is None else [having, lacking]
    if found.gathered and sorting.may_lack:  # in one statement: it would be gathered again for the next
        by, walk = sorting.by(column, Order.id), [[or_(*(and_(*conditions) for conditions in walk))]]
    rows: list[Order] = []
    for conditions in walk:
        wanted = limit + 1 - len(rows)
        if not limit or wanted > 0:
            parts = [part.where(*conditions) for part in found.parts]
            most = wanted if limit else None
            along = len(parts) == 1 and not found.gathered
            rows += db.session.scalars(
                _first(parts[0], by, up, most) if along else _first_of(actor, parts, by, up, most)
            )
    return rows


def _first(query: Select[Any], by: Sequence[Any], up: bool, limit: int | None) -> Select[Any]:
    return query.order_by(*(column.asc() if up else column.desc() for column in by)).limit(limit)


def _first_of(
    actor: Actor, parts: Sequence[Select[Order]], by: Sequence[Any], up: bool, limit: int | None
) -> Select[Order]:
    """The first orders of these parts together: found by their ids, since whole rows are slow to sort."""
    merged = _merged(parts, by, up, limit)
    ids = _first(select(merged.c.id), list(merged.c), up, limit).subquery()
    return _first(visible(actor).where(Order.id.in_(select(ids.c.id))), by, up, limit)


def _merged(parts: Sequence[Select[Order]], by: Sequence[Any], up: bool, limit: int | None) -> Subquery:
    """What these parts are sorted by, of each only the first that are wanted."""
    narrow = [part.with_only_columns(*by) for part in parts]
    return union_all(
        *(select((_first(part, by, up, limit) if limit else part).subquery()) for part in narrow)
    ).subquery()


def _asked(actor: Actor, compiled: Asked | None, sort: str = "placed") -> _Found:
    compiled = compiled or Compiled()
    query = visible(actor).where(*compiled.conditions)
    if compiled.words:
        alone, apart = split_by_ids(compiled.words)
        having = [Order.id.in_(with_words(alone))] if alone else []
        return _Found([query.where(*having, *map(among, apart))], gathered=True)
    if compiled.searched and not compiled.broad:
        return _Found([query], gathered=True)
    parts = []
    for side in _sides_of(compiled):
        part = query.where(side.condition)
        if index := _index_for(compiled.conditions, sort, side):
            part = part.with_hint(Order, f"INDEXED BY {index}", dialect_name="sqlite")
        parts.append(part)
    return _Found(parts)


def _sides_of(compiled: Asked) -> Sequence[_Side]:
    """What was archived is shown where it is asked for: `archived:any` leaves nothing but true of its condition."""
    for side in (_SHOWN, _ARCHIVED):
        if any(condition.compare(side.condition) for condition in compiled.conditions):
            return [side]
    # Further within, true is what a negated condition is compared with.
    whole = any(isinstance(getattr(condition, "element", condition), True_) for condition in compiled.conditions)
    if compiled.searched or whole or _named(compiled.conditions) & {"archived_at", *_NUMBERS}:
        return [_SHOWN, _ARCHIVED]
    return [_SHOWN]


def _named(conditions: Sequence[ColumnElement[bool]]) -> set[str]:
    """The columns of orders that are spoken of."""
    return {
        getattr(part, "key", "")
        for condition in conditions
        for part in visitors.iterate(condition)
        if getattr(part, "table", None) is Order.__table__
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
    named = _named(conditions)
    if equal.get("state") in OPEN_STATES and not named & _NUMBERS:
        return f"{side.indexes}_state_{sort}"
    if len(equal) == 2 and named <= _STORE_AND_STATE:  # most orders of any store are complete
        return f"{side.indexes}_{'store' if equal['state'] == OrderState.COMPLETE else 'state'}_{sort}"
    return ""


def _hand_out(orders: Sequence[Order]) -> None:
    """Give each order its store and shop, which every row names. There are few, and a page has often read them: joined,
    they would be read again with every row, at the cost of the orders themselves.
    """
    stores = _by_id(Store, {order.store_id for order in orders})
    shops = _by_id(Shop, {order.shop_id for order in orders})
    for order in orders:
        set_committed_value(order, "store", stores[order.store_id])
        set_committed_value(order, "shop", shops[order.shop_id])


def _by_id(model: type[Named], ids: set[int]) -> dict[int, Named]:
    """These rows: those that the session still has as they were read, and the rest in one query."""
    held = (db.session.identity_map.get(identity_key(model, id_)) for id_ in ids)
    found: dict[int, Named] = {row.id: row for row in held if row is not None and not inspect(row).expired}
    if unknown := ids - found.keys():
        found |= {row.id: row for row in db.session.scalars(select(model).where(model.id.in_(unknown)))}
    return found


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
    found = _by_id(ChannelOrder, {row.channel_order_id for row in rows})
    for row in rows:
        set_committed_value(row, "channel_order", found[row.channel_order_id])


# --- Along the search terms -------------------------------------------------------------------------------------------


def _by_terms(
    actor: Actor, compiled: Asked, sorting: Sorting, place: tuple[Any, int] | None, backward: bool, limit: int
) -> list[Order]:
    """Orders with all the words, by the order of the terms' key; seconds and id, as the terms have them. Where every
    word also has orders of its own, one word leads, and its orders join the walk beside those of its terms.
    """
    up = sorting.descending is backward
    alone, apart = split_by_ids(compiled.words)
    lead = Found()
    if not alone:
        lead = next(word for word in apart if word.terms)
        alone, apart = [lead.terms], [word for word in apart if word is not lead]
    rows, (rarest, *others) = rarest_first(alone)
    found = visible(actor).where(*compiled.conditions, *map(among, apart))
    walk = _next(select(SearchTerm.placed, SearchTerm.order_id), place, up, limit)
    if found.whereclause is not None:
        its: Select[Any] = found.where(Order.id == SearchTerm.order_id).with_only_columns(literal_column("1"))
        walk = walk.where(its.exists())
    beside = []
    if lead.ids:
        own = found.where(among(Found(ids=lead.ids)))
        beside = [_next(own.with_only_columns(seconds_of(Order.placed_at), Order.id), place, up, limit)]
    whole = walk.where(*(has_too(terms, rows) for terms in others))
    if 0 < len(rarest) <= _BRANCHES:
        apiece = [whole.where(SearchTerm.term == term) for term in sorted(rarest)]
        return _ordered(actor, [*apiece, *beside], up, limit)
    if limit and not up:  # so many terms have a page's orders soon, while sorting all that ever had one takes seconds
        since = int((place[0] if place else now()).timestamp()) - _SOON
        recent = walk.where(SearchTerm.placed > since, *(has_too(terms, rows, since) for terms in others))
        own_soon = [one.where(seconds_of(Order.placed_at) > since) for one in beside]
        soon = recent.where(SearchTerm.term.in_(sorted(rarest))).distinct()
        found_soon = _ordered(actor, [soon, *own_soon], up, limit)
        if len(found_soon) > limit:
            return found_soon
    return _ordered(actor, [whole.where(SearchTerm.term.in_(sorted(rarest))).distinct(), *beside], up, limit)


def _next(query: Any, place: tuple[Any, int] | None, up: bool, limit: int) -> Select[Any]:
    """Of what gives seconds and ids, the first from a place on."""
    key = list(query.selected_columns)
    if place:
        here, there = tuple_(*key), (int(place[0].timestamp()), place[1])
        query = query.where(here > there if up else here < there)
    return _first(query, key, up, limit + 1 if limit else None)


def _ordered(actor: Actor, apart: Sequence[Select[Any]], up: bool, limit: int) -> list[Order]:
    """The orders of these parts, merged by seconds and ids."""
    parts = [select(*branch.subquery().c) for branch in apart]
    merged = (union(*parts) if len(parts) > 1 else parts[0]).subquery()
    by = list(merged.c)
    ids = _first(select(by[1]), by, up, limit + 1 if limit else None).subquery()
    rows = list(db.session.scalars(visible(actor).where(Order.id.in_(select(*ids.c)))))
    return sorted(rows, key=lambda order: (int(order.placed_at.timestamp()), order.id), reverse=not up)
