"""Reading lists: filtered by a compiled query, sorted over all rows, paged by keyset in both directions.

Rows without a sort value come last in both directions: first the rows with a value are read, then the others, each
along an index.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    Subquery,
    and_,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)

from webapp.audit.actor import Actor
from webapp.clock import iso, parse_instant
from webapp.db import UtcDateTime, among, db
from webapp.errors import Invalid
from webapp.i18n import lazy_gettext as _l
from webapp.lists.contract import Parts, Place, Read, Sorting, Subject
from webapp.lists.rows import Reading, Rows
from webapp.search.compiling import Compiled
from webapp.search.contract import Column

PAGE = 50
CAP = 10_000
ALL = 2**31  # a cap that no desk reaches
_TEXT_PREFIX = "="  # begins the key of a text, so that empty text differs from a missing value


@dataclass(frozen=True, slots=True)
class Slice:
    """A page of a list, with the keys of the newer and the older page; None if there is no such page."""

    rows: Rows
    newer: str | None
    older: str | None


def list_page(
    subject: Subject,
    actor: Actor,
    compiled: Compiled | None = None,
    *,
    sort: str | None = None,
    after: str | None = None,
    before: str | None = None,
    limit: int = PAGE,
    columns: Iterable[Column] | None = None,
) -> Slice:
    """A page of rows: those after the key `after`, or before the key `before` (see `key_of`); with `limit` 0, all rows.

    With `columns`, rows are plain values that include what these columns read; otherwise they are whole objects of the
    subject's model.
    """
    sorting, compiled = Sorting.parse(subject, sort), compiled or Compiled()
    backward = before is not None
    key = before if backward else after
    place = _parse_key(key, sorting) if key else None
    sorted_by = {sorting.column.key: sorting.column}
    reading = Reading(subject, actor, columns, sorted_by) if columns is not None else None
    read: Read = reading.execute if reading else _read_objects
    up = sorting.descending is backward
    rows = subject.walk.rows(actor, compiled, sorting, place, up, limit, read)
    if rows is None:
        rows = _by_index(subject, actor, compiled, sorting, place, backward, limit, read)
    more = bool(limit) and len(rows) > limit
    rows = rows[:limit] if limit else rows
    if backward:
        rows.reverse()
    top, bottom = (_key(rows[0], sorting), _key(rows[-1], sorting)) if rows else (None, None)
    if reading:
        rows = reading.plain(rows)
    else:
        subject.walk.complete(rows)
    found = Rows(rows, subject, actor, failed=reading.failed if reading else None)
    if backward:
        return Slice(found, top if more else None, bottom)
    return Slice(found, top if after else None, bottom if more else None)


def _read_objects(query: Select[Any]) -> list[Any]:
    return list(db.session.scalars(query))


def count_rows(subject: Subject, actor: Actor, compiled: Compiled | None = None, cap: int = CAP) -> tuple[int, bool]:
    """The number of rows that a query finds, exact up to `cap`, and whether there are more."""
    found = db.session.scalar(select(count_expression(subject, actor, compiled, cap))) or 0
    return min(found, cap), found > cap


def count_expression(subject: Subject, actor: Actor, compiled: Compiled | None = None, cap: int = CAP) -> Any:
    """The count as an SQL expression, so that one statement can take several; `cap` + 1 if there are more rows."""
    one: Any = literal_column("1").label("one")
    ones = [_with_columns(part, one).limit(cap + 1) for part in _parts(subject, actor, compiled).parts]
    found = ones[0] if len(ones) == 1 else union_all(*(select(part.subquery()) for part in ones)).limit(cap + 1)
    return select(func.count()).select_from(found.subquery()).scalar_subquery()


def matching_ids(
    subject: Subject, actor: Actor, compiled: Compiled | None = None, sort: str | None = None, limit: int | None = None
) -> Select[int]:
    """Select the ids of all rows that a query finds, in the list's order, or of the first `limit` rows."""
    sorting, row_id = Sorting.parse(subject, sort), subject.model.id
    up, found = not sorting.descending, _parts(subject, actor, compiled, sorting.name)
    parts = found.parts
    if limit and sorting.may_lack and not found.gathered:  # rows without a value are at the other end of an index
        parts = [part.where(has) for part in parts for has in (sorting.column.is_not(None), sorting.column.is_(None))]
    if len(parts) == 1:
        return first(
            _with_columns(parts[0], row_id),
            sorting.by(sorting.column, row_id),
            up,
            limit,
        )
    merged = _merged(parts, (sorting.column, row_id), up, limit)
    column, id_ = merged.c
    return first(select(id_), sorting.by(column, id_), up, limit)


def chosen_ids(
    subject: Subject,
    actor: Actor,
    *,
    ids: Sequence[int] | None = None,
    compiled: Compiled | None = None,
    sort: str | None = None,
    limit: int,
) -> list[int]:
    """The ids of the first rows of a choice: of the ticked rows, in their order, those that the actor may see; without
    `ids`, of all rows that a query finds, in the list's order.
    """
    if ids is None:
        return list(db.session.scalars(matching_ids(subject, actor, compiled, sort, limit)))
    query = subject.visible(actor).where(among(subject.model.id, ids))
    seen = set(db.session.scalars(_with_columns(query, subject.model.id)))
    return [id_ for id_ in dict.fromkeys(ids) if id_ in seen][:limit]


def first_rows(subject: Subject, actor: Actor, compiled: Compiled | None, sort: str | None, limit: int) -> Select[Any]:
    """Select the first rows that a query finds, in the list's order, with the tables that `visible` joins."""
    sorting = Sorting.parse(subject, sort)
    ids = matching_ids(subject, actor, compiled, sort, limit).subquery()
    query = subject.visible(actor).where(subject.model.id.in_(select(ids.c.id)))
    return first(query, sorting.by(sorting.column, subject.model.id), not sorting.descending, None)


def key_of(subject: Subject, row: Any, sort: str | None = None) -> str:
    """The key of a row in a list with this sorting, for `after` and `before`."""
    return _key(row, Sorting.parse(subject, sort))


def _key(row: Any, sorting: Sorting) -> str:
    value = getattr(row, sorting.column.key)
    text = "" if value is None else iso(value) if isinstance(value, datetime) else str(value)
    return f"{_TEXT_PREFIX if isinstance(value, str) else ''}{text}~{row.id}"


def count_newer(subject: Subject, actor: Actor, key: str) -> int:
    """The number of rows that are newer than the row of this key, by the default sorting; counted up to 100."""
    sorting = Sorting.parse(subject)
    [shown] = _parts(subject, actor, None).parts
    newer = shown.where(tuple_(sorting.column, subject.model.id) > _parse_key(key, sorting))
    counted = _with_columns(newer, subject.model.id).limit(100).subquery()
    return db.session.scalar(select(func.count()).select_from(counted)) or 0


def _parse_key(key: str, sorting: Sorting) -> Place:
    text, _, row_id = key.rpartition("~")
    try:
        if not 0 <= int(row_id) < 2**31 or "~" not in key:
            raise ValueError("no id")
        if not text and sorting.may_lack:
            return None, int(row_id)
        if isinstance(sorting.column.type, UtcDateTime):
            return parse_instant(text), int(row_id)
        if isinstance(sorting.column.type, String):
            if not text.startswith(_TEXT_PREFIX) or "\0" in text:
                raise ValueError("no text")
            return text.removeprefix(_TEXT_PREFIX), int(row_id)
        if not abs(int(text)) < 2**63:
            raise ValueError("no number")
        return int(text), int(row_id)
    except (ValueError, OverflowError):  # a UTC offset may move a time out of the calendar
        raise Invalid(field=_l("Page"), problem=_l("This link was not made by Waybill. Open the list again.")) from None


# --- Along an index ---------------------------------------------------------------------------------------------------


def _parts(subject: Subject, actor: Actor, compiled: Compiled | None, sort: str | None = None) -> Parts:
    return subject.walk.parts(subject, actor, compiled or Compiled(), sort or Sorting.parse(subject).name)


def _by_index(
    subject: Subject,
    actor: Actor,
    compiled: Compiled,
    sorting: Sorting,
    place: Place | None,
    backward: bool,
    limit: int,
    read: Read,
) -> list[Any]:
    up = sorting.descending is backward  # ascending
    column, row_id = sorting.column, subject.model.id
    found = _parts(subject, actor, compiled, sorting.name)
    at, id_ = place or (None, None)
    having: list[ColumnElement[bool]] = [column.is_not(None)] if sorting.may_lack else []
    lacking: list[ColumnElement[bool]] = [column.is_(None)]
    by: Sequence[Any] = (column, row_id)
    if at is not None:
        here = tuple_(column, row_id)
        having.append(here > (at, id_) if up else here < (at, id_))
    elif place:
        lacking.append(row_id > id_ if up else row_id < id_)
    if not sorting.may_lack:
        walk = [having]
    elif backward:
        walk = [having] if at is not None else [lacking, having]
    else:
        walk = [lacking] if place and at is None else [having, lacking]
    if found.gathered and sorting.may_lack:  # in one statement: a second one would gather the rows again
        by, walk = sorting.by(column, row_id), [[or_(*(and_(*conditions) for conditions in walk))]]
    rows: list[Any] = []
    for conditions in walk:
        wanted = limit + 1 - len(rows)
        if not limit or wanted > 0:
            parts = [part.where(*conditions) for part in found.parts]
            most = wanted if limit else None
            along = len(parts) == 1 and not found.gathered
            rows += read(first(parts[0], by, up, most) if along else _first_of(subject, actor, parts, by, up, most))
    return rows


def first(query: Select[Any], by: Sequence[Any], up: bool, limit: int | None) -> Select[Any]:
    """The first rows of a query, sorted by all of these columns in one direction."""
    return query.order_by(*(column.asc() if up else column.desc() for column in by)).limit(limit)


def _first_of(
    subject: Subject, actor: Actor, parts: Sequence[Select[Any]], by: Sequence[Any], up: bool, limit: int | None
) -> Select[Any]:
    """The first rows of all parts; only sort values and ids are sorted, since whole rows are slow to sort."""
    merged = _merged(parts, by, up, limit)
    ids = first(select(merged.c.id), list(merged.c), up, limit).subquery()
    return first(subject.visible(actor).where(subject.model.id.in_(select(ids.c.id))), by, up, limit)


def _with_columns(query: Select[Any], *columns: Any) -> Select[Any]:
    """The query with only these columns, from the tables that it uses."""
    return query.with_only_columns(*columns, maintain_column_froms=True)


def _merged(parts: Sequence[Select[Any]], by: Sequence[Any], up: bool, limit: int | None) -> Subquery:
    """The sort values of all parts; with a limit, only the first of each part."""
    narrow = [_with_columns(part, *by) for part in parts]
    return union_all(
        *(select((first(part, by, up, limit) if limit else part).subquery()) for part in narrow)
    ).subquery()
