"""What lists are made of: columns that show and keys that filter. All are registrations, the desk's own too.

A column answers for a whole page at once; a key becomes a condition on the orders table. Neither may ask the database
once per order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from webapp.audit.actor import Actor
from webapp.i18n import LazyString

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement


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
    """A column of the order list and its exports.

    `values` gets a page's orders and answers by their ids, with one query at most. It sorts only where `sort` names an
    indexed column of orders. One with `personal` values is shown and exported only with the right to see buyers.
    """

    code: str
    label: LazyString | str
    values: Callable[[Sequence[Any], Actor], Mapping[int, Any]]
    kind: ColumnKind = ColumnKind.TEXT
    sort: str = ""
    default: bool = False
    width: int = 120  # pixels, where nobody chose another
    personal: bool = False
    help: LazyString | str = ""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryKey:
    """A key of the query bar and of the filters: `state:processing`, `total:>100`.

    `condition` gets the values of one clause, any of which must hold: texts for CHOICE and TEXT (a trailing `*` kept),
    booleans for YES_NO, `Bound`s for the rest. A `personal` key's values never stand in a URL.
    """

    code: str
    label: LazyString | str
    kind: KeyKind
    condition: Callable[[Sequence[Any], Actor], ColumnElement[bool]]
    choices: Callable[[Actor], Mapping[str, LazyString | str]] | None = None
    personal: bool = False
    filter: bool = True  # offered among the filters, not only in the query bar
    help: LazyString | str = ""
