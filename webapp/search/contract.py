"""What lists are made of: subjects, columns that show and keys that filter. All are registrations, the desk's own too.

A column answers for a whole page at once; a key becomes a condition on the subject's rows. Neither may ask the database
once per row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from webapp.audit.actor import Actor
from webapp.i18n import LazyString

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select


Reads: TypeAlias = "Mapping[str, Any]"  # expressions of plain values, by their names
ORDERS = "orders"  # the subject of columns, keys and queries that name no other


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Searched:
    """What a list is about, as far as a search needs to know: each of its rows belongs to one order.

    Words are found by that order's terms. The keys and the word sources of the subject `within` hold for this one as
    well, unless it has its own of that code: a shipment is found by what finds its order.
    """

    code: str
    label: LazyString | str
    order_id: ColumnElement[int]
    right: str = "orders.view"
    within: str = ""
    filters: Sequence[str] | None = None  # codes of the keys of `within` among the filters; None: all


class ColumnKind(StrEnum):
    """How a column's values are drawn and exported."""

    TEXT = "text"  # str
    NUMBER = "number"  # int
    MONEY = "money"  # Money, or None while the channel withholds it
    TIME = "time"  # an aware datetime
    COUNTDOWN = "countdown"  # the same, with what is left until then
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
    """A word that leads somewhere on the desk."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a list and its exports.

    `values` gets a page's rows and answers by their ids, with one query at most. `reads` names the plain values that it
    asks of each row, beside those that the subject reads of every row, and rows have these alone, as attributes; a
    column without `reads` gets whole objects of the subject's model, which cost a reading of their own. It sorts only
    where `sort` names one of the subject's sortings. One with `personal` values is shown and exported only with the
    right to see buyers.
    """

    code: str
    label: LazyString | str
    values: Callable[[Sequence[Any], Actor], Mapping[int, Any]]
    kind: ColumnKind = ColumnKind.TEXT
    sort: str = ""
    default: bool = False
    always: bool = False  # shown before all others, and never taken off
    width: int = 120  # pixels, where nobody chose another
    personal: bool = False
    help: LazyString | str = ""
    subject: str = ORDERS
    reads: Reads | Callable[[], Reads] | None = None


class KeyKind(StrEnum):
    """What a query key's values are, and so how they are typed, completed and chosen."""

    CHOICE = "choice"  # one or several of `choices`
    YES_NO = "yes_no"
    TEXT = "text"  # a word, `*` at its end for a beginning
    NUMBER = "number"  # 3, >3, 1..5
    MONEY = "money"  # 10, >99.50, 10..20
    DATE = "date"  # 2026-11-20, today, >2026-11-01, 2026-11-01..2026-11-20
    DEADLINE = "deadline"  # a date, or time left: <4h, <2d, late


@dataclass(frozen=True, slots=True)
class Bound:
    """What a number, an amount or a time must lie between, ends included; None leaves an end open."""

    low: Any = None
    high: Any = None


@dataclass(frozen=True, slots=True)
class Found:
    """Where one thing that is looked for may stand: orders with one of these terms, among these order ids, or of which
    one of these conditions holds.

    Conditions are for what so many orders have that walking a list finds them sooner than gathering them all. A `note`
    says what was left out, such as a word that fits too many listings.
    """

    terms: frozenset[int] = frozenset()
    ids: tuple[Select[int], ...] = ()
    where: tuple[ColumnElement[bool], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryKey:
    """A key of the query bar and of the filters: `state:processing`, `total:>100`.

    `condition` gets the values of one clause, any of which must hold: texts for CHOICE and TEXT (a trailing `*` kept),
    booleans for YES_NO, `Bound`s for the rest. A key of the index of terms has `find` instead, which gets these values
    and gives for each all that an order must answer to; a value for which nothing can be looked for is left out. A
    `personal` key's values never stand in a URL, and only who may see buyers can use it.
    """

    code: str
    label: LazyString | str
    kind: KeyKind
    condition: Callable[[Sequence[Any], Actor], ColumnElement[bool]] | None = None
    find: Callable[[Sequence[str]], Mapping[str, Sequence[Found]]] | None = None
    choices: Callable[[Actor], Mapping[str, LazyString | str]] | None = None
    personal: bool = False
    by_name: bool = False  # filters write a choice's label, which views follow; its code may one day be another's
    filter: bool = True  # offered among the filters, not only in the query bar
    bare: bool = False  # a YES_NO key whose name alone says yes: `hold`, `-hold`
    aliases: tuple[str, ...] = ()
    help: LazyString | str = ""
    subject: str = ORDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class WordSource:
    """A place where free words are looked for, such as order numbers or the names of buyers.

    `find` answers for many words of a query at once, with few queries; a word that can't stand there is left out.
    """

    code: str
    label: LazyString | str
    find: Callable[[Sequence[str]], Mapping[str, Found]]
    personal: bool = False  # only for who may see buyers
    subject: str = ORDERS
