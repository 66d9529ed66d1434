"""What a list is about: whoever registers a `Subject` gets a page with filters, saved views, columns and exports.

Columns, keys and word sources name their subject by its code. How rows are found and walked is `listing`'s work; a
subject whose indexes allow faster ways brings a `Walk` of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select
from sqlalchemy.orm import InstrumentedAttribute

from webapp.audit.actor import Actor
from webapp.errors import Invalid
from webapp.i18n import lazy_gettext as _l
from webapp.search.compiling import Compiled
from webapp.search.contract import Searched
from webapp.search.gathering import among, split_by_ids, with_words

if TYPE_CHECKING:
    from webapp.lists.saved_views import View

Read = Callable[[Select[Any]], list[Any]]  # executes a query for a list's visible rows, with what is wanted of each
Place = tuple[Any, int]  # the value that a list is sorted by, and the id: behind it or before it the page begins


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a query finds, in no order, but ready to be sorted: several parts where no index holds all.

    What is `gathered` by its words is one part, sorted afterwards along no index.
    """

    parts: Sequence[Select[Any]]
    gathered: bool = False


class Walk:
    """How the rows of a subject are found; this one takes whatever indexes the database finds."""

    def parts(self, subject: Subject, actor: Actor, compiled: Compiled, sort: str) -> Parts:
        """What the query finds; `sort` is the name of the sorting."""
        query = subject.visible(actor).where(*compiled.conditions)
        if not compiled.words:
            return Parts([query], gathered=bool(compiled.searched) and not compiled.broad)
        alone, apart = split_by_ids(compiled.words)
        having: list[ColumnElement[bool]] = [subject.order_id.in_(with_words(alone))] if alone else []
        return Parts([query.where(*having, *(among(found, subject.order_id) for found in apart))], gathered=True)

    def rows(
        self, actor: Actor, compiled: Compiled, sorting: Sorting, place: Place | None, up: bool, limit: int, read: Read
    ) -> list[Any] | None:
        """The rows of a page, one more than `limit` where there are more, by a way that is faster than sorting what
        `parts` finds; None where there is none. `up` says whether values grow on the way; `limit` 0 gives all.
        """
        return None

    def complete(self, rows: Sequence[Any]) -> None:
        """Give whole rows what each of them is asked for, read once for all."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject(Searched):
    """Something that there is a list of: rows of a model, each with an integer `id`.

    `visible` selects the rows that an actor may see, joined with whatever tables keys and columns speak of, and raises
    `Forbidden` for whoever may see none. `sorts` names the columns by which the list can be sorted, for which there are
    indexes; `usual` is the sorting that nobody asked for.
    """

    model: type[Any]
    visible: Callable[[Actor], Select[Any]]
    sorts: Mapping[str, InstrumentedAttribute[Any]]
    usual: str
    views: Sequence[View] = ()  # those that every desk has
    walk: Walk = field(default_factory=Walk)


@dataclass(frozen=True, slots=True)
class Sorting:
    """What a list is sorted by, and which way."""

    name: str
    column: InstrumentedAttribute[Any]
    descending: bool

    @classmethod
    def parse(cls, subject: Subject, text: str | None = None) -> Sorting:
        """`-placed`, `ship_by` …, or what is usual; raises `Invalid` for what no index stands for."""
        text = subject.usual if text is None else text
        name = text.removeprefix("-")
        if name not in subject.sorts:
            raise Invalid(field=_l("Sorting"), problem=_l("this list can't be sorted by that."))
        return cls(name, subject.sorts[name], text.startswith("-"))

    @property
    def may_lack(self) -> bool:
        """Whether some rows have no value of it."""
        return bool(self.column.property.columns[0].nullable)

    def by(self, column: Any, id_: Any) -> list[ColumnElement[Any]]:
        """What to sort by, all of it one way, so that rows without a value come last."""
        last = column.is_not(None) if self.descending else column.is_(None)
        return [*([last] if self.may_lack else []), column, id_]
