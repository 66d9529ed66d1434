"""What lists are made of: subjects, columns that show values, keys that filter. The desk's own are registered too.

A column reads its values for a whole page at once; a key becomes a condition on the subject's rows. Neither may send a
statement to the database per row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from webapp.audit.actor import Actor
from webapp.i18n import LazyString

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select


Reads: TypeAlias = "Mapping[str, Any]"  # expressions of plain values, by their names
YES, NO = "yes", "no"
ORDERS = "orders"  # the default subject of columns, keys and queries


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Searched:
    """The part of a list's subject that a search needs; each row of the subject belongs to one order.

    `visible` selects the rows that an actor may see, joined with whatever tables keys and columns speak of, and raises
    `Forbidden` for whoever may see none. Words are found by that order's terms. The keys and word sources of the
    subject `within` also work for this one, unless it has its own with the same code: a shipment is found by what
    finds its order.
    """

    code: str
    label: LazyString | str
    order_id: ColumnElement[int]
    visible: Callable[[Actor], Select[Any]]
    right: str = "orders.view"
    within: str = ""
    filters: Sequence[str] | None = None  # codes of the keys of `within` among the filters; None: all


class ColumnKind(StrEnum):
    """How a column's values are drawn and exported."""

    TEXT = "text"  # str
    NUMBER = "number"  # int
    MONEY = "money"  # Money, or None while the channel withholds it
    TIME = "time"  # an aware datetime
    COUNTDOWN = "countdown"  # an aware datetime, with the time left until then
    LABELS = "labels"  # a list of `Label`s
    LINK = "link"  # a `Link`


@dataclass(frozen=True, slots=True)
class Label:
    """A word with a tone (good, warn, bad, info, calm, waits, gone) and perhaps an icon."""

    text: str
    tone: str = "calm"
    icon: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A word that links to a page of the desk."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a list and its exports.

    `values` gets a page's rows and returns values by the rows' ids, with one query at most. `reads` names the plain
    values that the column needs of each row, besides those that the subject reads of every row; rows then have only
    these values, as attributes. A column without `reads` gets whole objects of the subject's model, which cost a query
    of their own. The column can be sorted only if `sort` names one of the subject's sortings. A column with `personal`
    values is shown and exported only with the right to see buyers.
    """

    code: str
    label: LazyString | str
    values: Callable[[Sequence[Any], Actor], Mapping[int, Any]]
    kind: ColumnKind = ColumnKind.TEXT
    sort: str = ""
    default: bool = False
    always: bool = False  # shown before all others, and can't be removed
    width: int = 120  # pixels, unless somebody chose another width
    personal: bool = False
    help: LazyString | str = ""
    subject: str = ORDERS
    reads: Reads | Callable[[], Reads] | None = None


class KeyKind(StrEnum):
    """The type of a query key's values, which decides how they are typed, completed and chosen."""

    CHOICE = "choice"  # one or several of `choices`
    YES_NO = "yes_no"
    TEXT = "text"  # a word, with `*` at its end as a prefix
    NUMBER = "number"  # 3, >3, 1..5
    MONEY = "money"  # 10, >99.50, 10..20
    DATE = "date"  # 2026-11-20, today, >2026-11-01, 2026-11-01..2026-11-20
    DEADLINE = "deadline"  # a date, or time left: <4h, <2d, late


@dataclass(frozen=True, slots=True)
class Bound:
    """The limits of a number, an amount or a time, both included; None means no limit at this end."""

    low: Any = None
    high: Any = None


@dataclass(frozen=True, slots=True)
class Found:
    """What matches one thing that is looked up: orders with one of these terms, orders with one of these ids, or orders
    that fulfill one of these conditions.

    Conditions are for values that so many orders have that reading the list row by row finds them sooner than gathering
    them all. A `note` says what was left out, such as a word that matches too many listings.
    """

    terms: frozenset[int] = frozenset()
    ids: tuple[Select[int], ...] = ()
    where: tuple[ColumnElement[bool], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryKey:
    """A key of the query bar and of the filters: `state:processing`, `total:>100`.

    `condition` gets the values of one clause, any of which must match: texts for CHOICE and TEXT (with a trailing `*`),
    booleans for YES_NO, `Bound`s for the other kinds. A key of the index of terms has `find` instead, which gets the
    same values and returns for each value everything that an order must match; a value for which nothing can be looked
    up is left out of its result. Values of a `personal` key are never in a URL, and only people who may see buyers can
    use the key.

    People of other languages may type the key's `name`, `lazy_pgettext("query key", "state")`, whose translation is one
    word in small letters, with hyphens; and choices by their labels, or by their `words` where a label is too long. The
    codes are understood in every language.
    """

    code: str
    label: LazyString | str
    kind: KeyKind
    condition: Callable[[Sequence[Any], Actor], ColumnElement[bool]] | None = None
    find: Callable[[Sequence[str]], Mapping[str, Sequence[Found]]] | None = None
    choices: Callable[[Actor], Mapping[str, LazyString | str]] | None = None
    personal: bool = False
    by_name: bool = False  # filters write a choice's label, since its code may later mean another
    filter: bool = True  # also offered among the filters, not only in the query bar
    bare: bool = False  # a YES_NO key whose name alone means yes: `hold`, `-hold`
    aliases: tuple[str, ...] = ()
    name: LazyString | str = ""
    words: Mapping[str, LazyString] = field(default_factory=dict)
    help: LazyString | str = ""
    subject: str = ORDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class WordSource:
    """A place where free words are looked up, such as order numbers or the names of buyers.

    `find` gets many words of a query at once and needs few queries; a word that can't occur in this place is left out
    of its result.
    """

    code: str
    label: LazyString | str
    find: Callable[[Sequence[str]], Mapping[str, Found]]
    personal: bool = False  # only for people who may see buyers
    subject: str = ORDERS
