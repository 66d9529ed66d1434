"""The contract of a list: a registered `Subject` gets pages with filters, saved views, columns and exports.

Columns, keys and word sources name their subject by its code. `listing` finds the rows and pages through them; a
subject whose indexes allow a faster way has a `Walk` of its own.
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

Read = Callable[[Select[Any]], list[Any]]  # runs a query for visible rows and returns what the caller needs of each
Place = tuple[Any, int]  # the sort value and the id of the row after which, or before which, a page begins


Cell: TypeAlias = "str | int | Decimal | datetime | None"  # of an export; a time is in its shop's zone


@dataclass(frozen=True, slots=True)
class Parts:
    """Queries that together find all rows, not yet sorted; there are several if no index covers all rows.

    `gathered`: the rows are found by search words; they are one part, and are sorted without an index.
    """

    parts: Sequence[Select[Any]]
    gathered: bool = False


class Walk:
    """How the rows of a subject are found; this class leaves the choice of an index to the database."""

    def parts(self, subject: Subject, actor: Actor, compiled: Compiled, sort: str) -> Parts:
        """The queries that find the rows; `sort` is the name of the sorting."""
        query = subject.visible(actor).where(*compiled.conditions)
        if not compiled.words:
            return Parts([query], gathered=bool(compiled.searched) and not compiled.broad)
        alone, apart = split_by_ids(compiled.words)
        having: list[ColumnElement[bool]] = [subject.order_id.in_(with_words(alone))] if alone else []
        return Parts([query.where(*having, *(among(found, subject.order_id) for found in apart))], gathered=True)

    def rows(
        self, actor: Actor, compiled: Compiled, sorting: Sorting, place: Place | None, up: bool, limit: int, read: Read
    ) -> list[Any] | None:
        """The rows of a page, if there is a faster way than sorting the rows of `parts`; None if there is none.

        Returns one row more than `limit` if there are more; with `limit` 0, all rows. `up` means ascending order.
        """
        return None

    def complete(self, rows: Sequence[Any]) -> None:
        """Load what all of these objects are asked for, such as their stores, once for all of them."""

    def plain(self, values: Mapping[str, Any], store: Store, shop: Shop) -> PlainRow:
        """The row that columns get, made of the plain values that were read."""
        return PlainRow(values, store, shop)


class PlainRow:
    """The values that a list has read for a row, as attributes, with the store and the shop of the row's order."""

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
        """The time zone of the shop, in which the row's times are shown."""
        return ZoneInfo(self.shop.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """Several rows of an export for each row of a list, such as the lines of an order."""

    code: str
    label: LazyString
    help: LazyString
    head: Callable[[], Sequence[str]]  # in the reader's language
    cells: Callable[[Sequence[int]], Mapping[int, Sequence[Sequence[Cell]]]]  # by the ids of the list's rows


@dataclass(frozen=True, slots=True, kw_only=True)
class ListWords:
    """The texts on the pages of a list. Each is a whole sentence, since nouns can't be inserted in every language."""

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
    older=_l("No older rows"),
    none=_l("No rows match"),
    empty=_l("No rows yet"),
    empty_text=_l("New rows appear here automatically."),
    show=_l("Show the list"),
    search=_l("Search this list"),
    placeholder=_l("Search: words, or a key such as store:"),
    filter=_l("Filter the list"),
    choose=_l("Choose at least one row first."),
    chosen=_l("For the selected rows"),
    save=_l("Filter or search the list, then save it under a name from its Views menu."),
    back=_l("Back to the list"),
    where=_l("Rows by state"),
    counted=lambda count: ngettext("%(num)s row", "%(num)s rows", count),
    counted_more=_l("%(count)s+ rows"),
    newer=lambda count: ngettext("%(num)s new row", "%(num)s new rows", count),
    in_background=_l(
        "Excel workbooks and exports of more than %(count)s rows are prepared in the background. You can then "
        "download the file from the run's page."
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject(Searched):
    """The records of a list: rows of a model, each with an integer `id`.

    `sorts` has the columns by which the list can be sorted, by name; each needs an index. `usual` is the default
    sorting. `row` is what is read for every row in addition to what its columns read: at least `store_id` and `shop_id`
    of its order. `always` are the codes of the columns that every export has.
    """

    model: type[Any]
    sorts: Mapping[str, InstrumentedAttribute[Any]]
    usual: str
    row: Reads
    always: Sequence[str]
    each: LazyString  # the label of an export with one row for each row of the list
    reference: Callable[[Any], str]  # the name of a row
    expansions: Sequence[Expansion] = ()
    words: ListWords = NEUTRAL
    path: str = ""  # of its pages; without one, they are below `/lists/`
    one: str = "row"  # the name of a row's id in forms and URLs
    topic: str = ""  # announced when there are new rows; without one, the list doesn't mention new rows
    recent: str = ""  # the query for the rows of the last 90 days, offered if another query takes too long
    views: Sequence[View] = ()  # predefined: every desk has them, as tabs above the list
    walk: Walk = field(default_factory=Walk)

    @property
    def base(self) -> str:
        """The path with which the URLs of its pages begin."""
        return self.path or f"/lists/{self.code}"


@dataclass(frozen=True, slots=True)
class Sorting:
    """The column by which a list is sorted, and the direction."""

    name: str
    column: InstrumentedAttribute[Any]
    descending: bool

    @classmethod
    def parse(cls, subject: Subject, text: str | None = None) -> Sorting:
        """The sorting of a text such as `-placed` or `ship_by`; None is the default. Raises `Invalid` for others."""
        text = subject.usual if text is None else text
        name = text.removeprefix("-")
        if name not in subject.sorts:
            raise Invalid(
                field=_l("Sorting"), problem=_l("This list can't be sorted by this column. Choose another column.")
            )
        return cls(name, subject.sorts[name], text.startswith("-"))

    @property
    def may_lack(self) -> bool:
        """Whether the column is nullable."""
        return bool(self.column.property.columns[0].nullable)

    def by(self, column: Any, id_: Any) -> list[ColumnElement[Any]]:
        """The expressions to sort by, all in one direction, so that rows without a value come last."""
        last = column.is_not(None) if self.descending else column.is_(None)
        return [*([last] if self.may_lack else []), column, id_]
