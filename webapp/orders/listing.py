"""Lists of orders: filtered by a compiled query, sorted over everything, paged by keyset in both directions.

Orders without a value come last whichever way a list is sorted: first the rows that have one are walked, then the rest,
each along an index. Words drive the list by the search terms' own order while it is sorted by when orders were placed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal_column, select, tuple_, union
from sqlalchemy.orm import InstrumentedAttribute, aliased, joinedload
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, Grouping, TextClause, True_
from sqlalchemy.sql.operators import and_, eq

from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.clock import iso, now, parse_instant
from webapp.db import db
from webapp.errors import Invalid
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import OPEN, SORTED, Order
from webapp.orders.queries import visible
from webapp.orders.states import OPEN_STATES
from webapp.search.compiling import Compiled
from webapp.search.models import SearchTerm

Asked = Compiled  # what a list is asked for
PAGE = 50
CAP = 10_000
NEWEST = "-placed"
_ENOUGH = 2_000  # rows by which the rarest word is told
_BRANCHES = 40  # terms whose rows are merged one by one; more are sorted together
_LOOKS = 20_000  # looks at the index's key that one page may take
_SOON = 30 * 86_400  # seconds in which many terms have a page's orders
_FEW = {  # what few orders are, in the words of the index that holds them
    "orders.on_hold": "ix_orders_on_hold",
    "orders.needs_attention": "ix_orders_attention",
    "orders.buyer_wants_cancel": "ix_orders_buyer_wants_cancel",
}
_OPEN = f"orders.{OPEN}"
_NAMES_ONE = {"archived_at", "number", "channel_order_number"}  # whoever asks for these is shown what was archived


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
    def parse(cls, told: str) -> "Sorting":
        """`-placed`, `ship_by` …; raises `Invalid` for what no index stands for."""
        name = told.removeprefix("-")
        if name not in SORTED:
            raise Invalid(field=_l("Sorting"), problem=_l("this list can't be sorted by that."))
        return cls(name, told.startswith("-"))

    @property
    def column(self) -> InstrumentedAttribute[Any]:
        column: InstrumentedAttribute[Any] = getattr(Order, SORTED[self.name])
        return column

    @property
    def may_lack(self) -> bool:
        """Whether some orders have no value of it."""
        return bool(self.column.property.columns[0].nullable)


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
    if compiled and compiled.words and sorting.name == "placed":
        rows = _by_terms(actor, compiled, sorting, place, backward, limit)
    else:
        rows = _by_index(actor, compiled, sorting, place, backward, limit)
    more = bool(limit) and len(rows) > limit
    rows = rows[:limit] if limit else rows
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
    found = _asked(actor, compiled).with_only_columns(literal_column("1")).limit(cap + 1).subquery()
    return select(func.count()).select_from(found).scalar_subquery()


def matching_ids(actor: Actor, compiled: Asked | None = None, sort: str = NEWEST) -> Select[int]:
    """The ids of everything a query finds, in the list's order: what bulk work and exports walk."""
    sorting = Sorting.parse(sort)
    ways = [sorting.column.desc() if sorting.descending else sorting.column.asc()]
    ways += [Order.id.desc() if sorting.descending else Order.id.asc()]
    if sorting.may_lack:
        ways.insert(0, sorting.column.is_(None).asc())
    return _asked(actor, compiled, sorting).with_only_columns(Order.id).order_by(*ways)


def key_of(order: Order, sort: str = NEWEST) -> str:
    """Where an order stands in a list sorted that way."""
    value = getattr(order, SORTED[Sorting.parse(sort).name])
    told = iso(value) if isinstance(value, datetime) else "" if value is None else value
    return f"{told}~{order.id}"


def newer_than(actor: Actor, key: str) -> int:
    """How many orders were placed after the newest one that a page shows; counted up to 100."""
    place = _place(key, Sorting.parse(NEWEST))
    newer = _asked(actor, None).where(tuple_(Order.placed_at, Order.id) > place)
    counted = newer.with_only_columns(Order.id).limit(100).subquery()
    return db.session.scalar(select(func.count()).select_from(counted)) or 0


def _place(key: str, sorting: Sorting) -> tuple[Any, int]:
    told, _, order_id = key.rpartition("~")
    try:
        if not 0 <= int(order_id) < 2**31 or "~" not in key:
            raise ValueError("no id")
        if not told and sorting.may_lack:
            return None, int(order_id)
        if sorting.name == "total" and not abs(int(told)) < 2**31:
            raise ValueError("no total")
        return (int(told) if sorting.name == "total" else parse_instant(told)), int(order_id)
    except (ValueError, OverflowError):  # an offset may lead out of the calendar
        raise Invalid(field=_l("Page"), problem=_l("this link is not one of the desk's.")) from None


# --- Along an index ---------------------------------------------------------------------------------------------------


def _by_index(
    actor: Actor, compiled: Asked | None, sorting: Sorting, place: tuple[Any, int] | None, backward: bool, limit: int
) -> list[Order]:
    up = sorting.descending is backward  # whether values grow on the way
    column, query = sorting.column, _shown(_asked(actor, compiled, sorting))
    at, order_id = place or (None, None)
    lacking = query.where(column.is_(None)).order_by(Order.id.asc() if up else Order.id.desc())
    having = query.order_by(*(part.asc() if up else part.desc() for part in (column, Order.id)))
    if sorting.may_lack:
        having = having.where(column.is_not(None))
    if at is not None:
        here = tuple_(column, Order.id)
        having = having.where(here > (at, order_id) if up else here < (at, order_id))
    elif place:
        lacking = lacking.where(Order.id > order_id if up else Order.id < order_id)
    if not sorting.may_lack:
        walk = [having]
    elif backward:
        walk = [having] if at is not None else [lacking, having]
    else:
        walk = [lacking] if place and at is None else [having, lacking]
    rows: list[Order] = []
    for part in walk:
        wanted = limit + 1 - len(rows)
        if not limit or wanted > 0:
            rows += db.session.scalars(part.limit(wanted) if limit else part)
    return rows


def _asked(actor: Actor, compiled: Asked | None, sorting: Sorting | None = None) -> Select[Order]:
    """Everything the query finds, in no order, but ready to be sorted."""
    query = visible(actor)
    if compiled is None:
        return query.where(Order.archived_at.is_(None))
    query = query.where(*compiled.conditions)
    if compiled.words:
        query = query.where(Order.id.in_(_with_words(compiled.words)))
    if compiled.words or compiled.searched:
        return query
    if index := _index_for(compiled.conditions, sorting.name if sorting else "placed"):
        query = query.with_hint(Order, f"INDEXED BY {index}", dialect_name="sqlite")
    return query if _speaks_of_one(compiled.conditions) else query.where(Order.archived_at.is_(None))


def _index_for(conditions: Sequence[ColumnElement[bool]], sort: str) -> str:
    """The index of the few orders that are asked for. SQLite, which has no statistics, would walk all of a store's, or
    all there are, in the order of the list; PostgreSQL knows better.
    """
    parts: list[Any] = list(conditions)
    said: set[str] = set()
    states: list[Any] = []
    while parts:
        part = parts.pop()
        if isinstance(part, Grouping):
            parts.append(part.element)
        elif isinstance(part, BooleanClauseList) and part.operator is and_:
            parts.extend(part.clauses)
        elif isinstance(part, TextClause):
            said.add(part.text)
        elif isinstance(part, BinaryExpression) and part.operator is eq and getattr(part.left, "key", "") == "state":
            states.append(getattr(part.right, "value", ""))
    for words, index in _FEW.items():
        if words in said:
            return index
    if _OPEN in said:
        return f"ix_orders_open_{sort}"
    return f"ix_orders_state_{sort}" if set(OPEN_STATES).intersection(states) else ""


def _speaks_of_one(conditions: Sequence[ColumnElement[bool]]) -> bool:
    """Whether what was archived is asked for: `archived:any` leaves nothing but true of its condition."""
    if any(isinstance(getattr(condition, "element", condition), True_) for condition in conditions):
        return True  # further within, true is what a negated condition is compared with
    parts = (part for condition in conditions for part in visitors.iterate(condition))
    return any(
        getattr(part, "key", "") in _NAMES_ONE and getattr(part, "table", None) is Order.__table__ for part in parts
    )


def _shown(query: Select[Order]) -> Select[Order]:
    """With the store and shop that every row names."""
    store = joinedload(Order.store).lazyload(Store.marketplaces)  # known from the page's own reading of stores
    return query.options(store, joinedload(Order.shop))


# --- Along the search terms -------------------------------------------------------------------------------------------


def _by_terms(
    actor: Actor, compiled: Asked, sorting: Sorting, place: tuple[Any, int] | None, backward: bool, limit: int
) -> list[Order]:
    """Orders with all the words, by the order of the terms' key; seconds and id, as the terms have them."""
    up = sorting.descending is backward
    rows, (rarest, *others) = _rarest_first(compiled.words)
    query = select(SearchTerm.placed, SearchTerm.order_id)
    if compiled.conditions or visible(actor).whereclause is not None:
        found = visible(actor).where(Order.id == SearchTerm.order_id, *compiled.conditions)
        query = query.where(found.with_only_columns(literal_column("1")).exists())
    key = (SearchTerm.placed, SearchTerm.order_id)
    if place:
        here, there = tuple_(*key), (int(place[0].timestamp()), place[1])
        query = query.where(here > there if up else here < there)
    query = query.order_by(*(part.asc() if up else part.desc() for part in key))
    if limit:
        query = query.limit(limit + 1)
    whole = query.where(*(_has_too(terms, rows) for terms in others))
    if 0 < len(rarest) <= _BRANCHES:
        return _ordered(actor, [whole.where(SearchTerm.term == term) for term in sorted(rarest)], up, limit)
    if limit and not up:  # so many terms have a page's orders soon, while sorting all that ever had one takes seconds
        since = int((place[0] if place else now()).timestamp()) - _SOON
        recent = query.where(SearchTerm.placed > since, *(_has_too(terms, rows, since) for terms in others))
        found_soon = _ordered(actor, [recent.where(SearchTerm.term.in_(sorted(rarest))).distinct()], up, limit)
        if len(found_soon) > limit:
            return found_soon
    return _ordered(actor, [whole.where(SearchTerm.term.in_(sorted(rarest))).distinct()], up, limit)


def _ordered(actor: Actor, apart: Sequence[Select[int, int]], up: bool, limit: int) -> list[Order]:
    """The orders of these parts of the index, merged by its order."""
    parts = [select(part.c.placed, part.c.order_id) for part in (branch.subquery() for branch in apart)]
    merged = (union(*parts) if len(parts) > 1 else parts[0]).subquery()
    ids = select(merged.c.order_id).order_by(
        *(part.asc() if up else part.desc() for part in (merged.c.placed, merged.c.order_id))
    )
    if limit:
        ids = ids.limit(limit + 1)
    rows = list(db.session.scalars(_shown(visible(actor)).where(Order.id.in_(select(ids.subquery().c.order_id)))))
    return sorted(rows, key=lambda order: (int(order.placed_at.timestamp()), order.id), reverse=not up)


def _with_words(words: Sequence[frozenset[int]]) -> Select[Any]:
    """The ids of orders that have all the words."""
    rows, (rarest, *others) = _rarest_first(words)
    return select(SearchTerm.order_id).where(
        SearchTerm.term.in_(sorted(rarest)), *(_has_too(terms, rows) for terms in others)
    )


def _has_too(terms: frozenset[int], rows: int, since: int | None = None) -> ColumnElement[bool]:
    """Whether the order of a term's row has one of these too: a look at the very key, for so many rows; where that were
    too many looks, the orders of these terms are gathered once.
    """
    other = aliased(SearchTerm)
    if rows * len(terms) > _LOOKS:
        gathered = select(other.order_id).where(other.term.in_(sorted(terms)))
        return SearchTerm.order_id.in_(gathered if since is None else gathered.where(other.placed > since))
    return (
        select(literal_column("1"))
        .where(other.term.in_(sorted(terms)), other.placed == SearchTerm.placed, other.order_id == SearchTerm.order_id)
        .correlate(SearchTerm)
        .exists()
    )


def _rarest_first(words: Sequence[frozenset[int]]) -> tuple[int, list[frozenset[int]]]:
    """The words with the one first that fewest orders have, with how many: the others are only looked up."""
    if len(words) < 2:
        return 0, list(words)
    counts = [
        select(func.count())
        .select_from(select(literal_column("1")).where(SearchTerm.term.in_(sorted(terms))).limit(_ENOUGH).subquery())
        .scalar_subquery()
        for terms in words
    ]
    sizes = db.session.execute(select(*counts)).one()
    return min(sizes), [words[at] for at in sorted(range(len(words)), key=lambda at: sizes[at])]
