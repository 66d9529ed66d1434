"""Gathering orders by the index of terms: it reads the orders of the rarest word and checks them for the other words.

A query of many words is gathered in steps: each step looks up some words among the orders that have the words of the
earlier steps, so that databases never plan hundreds of words at once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from sqlalchemy import Column, ColumnElement, Select, func, literal_column, or_, select, union_all
from sqlalchemy.orm import aliased

from webapp.db import among as db_among, check_time, db
from webapp.search.contract import Found
from webapp.search.models import SearchTerm

STEP = 20  # words in one query of the database
_FEW = 500  # up to this many orders, the search goes on by their ids
_ENOUGH = 2_000  # rows that are counted at most to find the rarest word
_LOOKS = 20_000  # lookups of a key of the index that one page may need
LookUp = Callable[[Sequence[str]], Mapping[str, Found]]


def with_terms(terms: Iterable[int]) -> Select[int]:
    """The ids of orders that are indexed under one of these terms."""
    return select(SearchTerm.order_id).where(SearchTerm.term.in_(list(terms)))


def with_all(sets: Sequence[frozenset[int]]) -> Select[int]:
    """The ids of orders that are indexed under one term of each set."""
    first, *others = sets
    return with_terms(first).where(*(SearchTerm.order_id.in_(with_terms(other)) for other in others))


def order_id() -> Column[int]:
    """The column of order ids: the table of orders belongs to a floor above."""
    return db.metadata.tables["orders"].c.id


def among(found: Found, by: ColumnElement[int]) -> ColumnElement[bool]:
    """The condition that the order in this column matches."""
    ways = [*found.ids, *([with_terms(found.terms)] if found.terms or not (found.ids or found.where) else [])]
    gathered = [by.in_(ways[0] if len(ways) == 1 else union_all(*ways))] if ways else []
    return or_(*found.where, *gathered)


def in_steps(tokens: Sequence[str], look_up: LookUp) -> list[Found]:
    """What an order must match to have all these words; for many words, a list of ids and the conditions that remain.

    Raises `TooSlow` once the time of the request is over.
    """
    if len(tokens) <= STEP:
        found = look_up(tokens)
        return [found[token] for token in tokens]
    needed: list[Found] = []
    along: list[Found] = []  # words of so many orders that the list's rows are compared with them
    among_these: list[int] | None = None
    notes: dict[str, None] = {}
    rest = iter(tokens)
    while step := list(islice(rest, STEP)):
        check_time()
        found = look_up(step)
        notes |= dict.fromkeys(found[token].note for token in step if found[token].note)
        along += [found[token] for token in step if found[token].where]
        needed += [found[token] for token in step if not found[token].where]
        ids = _first_ids(needed, among_these)
        if not ids:
            return [Found(note=" ".join(notes))]
        if len(ids) <= _FEW:
            among_these, needed = ids, []
    if among_these is not None:
        needed.append(Found(ids=(select(order_id()).where(order_id().in_(among_these)),), note=" ".join(notes)))
    return needed + along


def _first_ids(needed: Sequence[Found], among_these: list[int] | None) -> list[int]:
    """The ids of some orders that match everything in `needed`: all such orders, if they are few."""
    alone, apart = split_by_ids(needed)
    query = select(order_id()).where(*(among(found, order_id()) for found in apart)).limit(_FEW + 1)
    if alone:
        query = query.where(order_id().in_(with_words(alone)))
    if among_these is not None:
        query = query.where(order_id().in_(among_these))
    return list(db.session.scalars(query))


def in_ids(ways: Sequence[Found | ColumnElement[bool]], by: ColumnElement[int]) -> list[Found | ColumnElement[bool]]:
    """Alternatives by which orders match, with those that match few orders replaced by one list of ids for the column
    `by`.

    Raises `TooSlow` once the time of the request is over.
    """
    many: list[Found | ColumnElement[bool]] = []
    few: set[int] = set()
    for way in ways:
        check_time()
        if not isinstance(way, Found) or way.where:
            many.append(way)
            continue
        ids = list(db.session.scalars(select(order_id()).where(among(way, order_id())).limit(_FEW + 1)))
        if len(ids) > _FEW:
            many.append(way)
        else:
            few.update(ids)
    return [*many, db_among(by, sorted(few))] if few else many


def split_by_ids(words: Sequence[Found]) -> tuple[list[frozenset[int]], list[Found]]:
    """The terms of words that terms alone can answer; and the words that also have ids of orders."""
    return [word.terms for word in words if not word.ids], [word for word in words if word.ids]


def with_words(words: Sequence[frozenset[int]]) -> Select[int]:
    """The ids of orders that have all the words."""
    rows, (rarest, *others) = rarest_first(words)
    return select(SearchTerm.order_id).where(
        SearchTerm.term.in_(sorted(rarest)), *(has_too(terms, rows) for terms in others)
    )


def has_too(terms: frozenset[int], rows: int, since: int | None = None) -> ColumnElement[bool]:
    """The condition that the order of a term's row also has one of these terms: a lookup by key for each of `rows`
    rows or, if these are too many lookups, the orders of these terms gathered once.
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


def rarest_first(words: Sequence[frozenset[int]]) -> tuple[int, list[frozenset[int]]]:
    """The words with the rarest first, and how many orders have it: the other words are only looked up."""
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
