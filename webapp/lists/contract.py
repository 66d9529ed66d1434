"""What a list is about: whoever registers a `Subject` gets a page with filters, saved views, columns and exports.

Columns, keys and word sources name their subject by its code. How rows are found and walked is `listing`'s work; a
subject whose indexes allow faster ways brings a `Walk` of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select
from sqlalchemy.orm import InstrumentedAttribute

from webapp.audit.actor import Actor
from webapp.errors import Invalid
from webapp.i18n import LazyString, lazy_gettext as _l, ngettext
from webapp.search.compiling import Compiled
from webapp.search.contract import Reads, Searched
from webapp.search.gathering import among, split_by_ids, with_words

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from webapp.channels.models import Shop, Store
    from webapp.lists.saved_views import View

Read = Callable[[Select[Any]], list[Any]]  # executes a query for a list's visible rows, with what is wanted of each
Place = tuple[Any, int]  # the value that a list is sorted by, and the id: behind it or before it the page begins


Cell: TypeAlias = "str | int | Decimal | datetime | None"  # of an export; a time in its shop's zone


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
        """Give whole objects what each of them is asked for, read once for all."""

    def plain(self, values: Mapping[str, Any], store: Store, shop: Shop) -> PlainRow:
        """A row as columns get it, of the plain values that were read of it."""
        return PlainRow(values, store, shop)


class PlainRow:
    """What a list has read of a row, by name, with the store and the shop that its order belongs to."""

    id: int
    order_id: int
    store: Store
    shop: Shop

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, values: Mapping[str, Any], store: Store, shop: Shop) -> None:
        self.__dict__.update(values, store=store, shop=shop)

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the shop, whose days the row's times are told by."""
        return ZoneInfo(self.shop.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """Several rows of a file for each row of a list, such as the lines of an order."""

    code: str
    label: LazyString
    help: LazyString
    head: Callable[[], Sequence[str]]  # in the reader's language
    cells: Callable[[Sequence[int]], Mapping[int, Sequence[Sequence[Cell]]]]  # by the ids of the list's rows


@dataclass(frozen=True, slots=True, kw_only=True)
class ListWords:
    """What the pages of a list say; every sentence is whole, since nouns can't be put into them in every language."""

    every: LazyString
    region: LazyString
    select: LazyString
    older: LazyString
    none: LazyString
    empty: LazyString
    empty_text: LazyString
    show: LazyString
    search: LazyString
    placeholder: LazyString
    filter: LazyString
    choose: LazyString
    chosen: LazyString
    save: LazyString
    back: LazyString
    where: LazyString
    counted: Callable[[int], str]
    counted_more: LazyString
    newer: Callable[[int], str]
    in_background: LazyString


NEUTRAL = ListWords(
    every=_l("Everything"),
    region=_l("List"),
    select=_l("Select all rows of this page"),
    older=_l("Nothing older"),
    none=_l("Nothing fits"),
    empty=_l("Nothing here yet"),
    empty_text=_l("What there is appears here by itself."),
    show=_l("Show the list"),
    search=_l("Search this list"),
    placeholder=_l("Search: words, or a key such as store:"),
    filter=_l("Filter the list"),
    choose=_l("Choose at least one row first."),
    chosen=_l("For the chosen rows"),
    save=_l("Filter or search the list, then save it under a name from its Views menu."),
    back=_l("To the list"),
    where=_l("Where they stand"),
    counted=lambda count: ngettext("%(num)s row", "%(num)s rows", count),
    counted_more=_l("%(count)s+ rows"),
    newer=lambda count: ngettext("%(num)s new row", "%(num)s new rows", count),
    in_background=_l(
        "Workbooks, and more than %(count)s rows, are written in the background; you get the file on the run's page."
    ),
)


@dataclass(frozen=True, slots=True)
class StatusCard:
    """How many rows stand somewhere, and the query that lists them."""

    code: str
    label: LazyString
    query: str
    tone: str = ""
    sort: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject(Searched):
    """Something that there is a list of: rows of a model, each with an integer `id`.

    `visible` selects the rows that an actor may see, joined with whatever tables keys and columns speak of, and raises
    `Forbidden` for whoever may see none. `sorts` names the columns by which the list can be sorted, for which there are
    indexes; `usual` is the sorting that nobody asked for. `row` is what is read of every row beside what its columns
    ask for: `store_id` and `shop_id` of its order at least. `always` are the columns of every file.
    """

    model: type[Any]
    visible: Callable[[Actor], Select[Any]]
    sorts: Mapping[str, InstrumentedAttribute[Any]]
    usual: str
    row: Reads
    always: Sequence[str]
    each: LazyString  # a file with a row for each of them
    reference: Callable[[Any], str]  # what a row is called
    expansions: Sequence[Expansion] = ()
    words: ListWords = NEUTRAL
    path: str = ""  # of its pages; where none is said, below `/lists/`
    one: str = "row"  # of its rows, in forms and addresses
    topic: str = ""  # that is announced when there are new rows; none: the list says nothing of them
    recent: str = ""  # the query for its rows of the last 90 days, offered where another takes too long
    cards: Sequence[StatusCard] = ()
    views: Sequence[View] = ()  # those that every desk has
    walk: Walk = field(default_factory=Walk)

    @property
    def base(self) -> str:
        """What the addresses of its pages begin with."""
        return self.path or f"/lists/{self.code}"


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
