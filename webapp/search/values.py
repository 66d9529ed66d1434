"""The meaning of a clause's values, by the kind of its key: numbers, amounts, days and time left become `Bound`s.

Days begin and end in the reader's time zone. A duration is counted from now: `<4h` means less than four hours left
(late ones included), `-7d` means since seven days ago. Both ends of a `Bound` are included, as in the database's
comparisons.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.errors import DeskError
from webapp.hooks.fence import PluginFailed
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.search.contract import NO, ORDERS, YES, Bound, KeyKind, QueryKey
from webapp.search.query import Clause, Query, QueryMistake, parse, value_text, written
from webapp.search.registered import choices_of, query_keys
from webapp.search.wording import as_word, folded, is_translated, name_of, said_value

_MOST = 2**31 - 1  # the largest whole number of the databases' columns
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)
_AMOUNT = re.compile(r"-?(\d{1,12}(\.\d{1,4})?|\.\d{1,4})", re.ASCII)
_WHOLE_END = re.compile(r"(?:^|[<>=-]|\.\.)\d+$", re.ASCII)  # an amount, or the end of a range, without a point
_REST = re.compile(r"\d{1,3}(?:\.|$)", re.ASCII)  # of an amount, behind a comma: cents or thousands
_GROUP = re.compile(r"\d{3}(?:\.\.|$)", re.ASCII)  # of a whole number, behind a comma
_THOUSANDS = re.compile(r"(?:^|[<>=-]|\.\.)[1-9]\d{0,2}\.\d{3}(?:\.\.|$)", re.ASCII)
_DAY = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})", re.ASCII)
_MONTH = re.compile(r"(\d{4})-(\d{1,2})", re.ASCII)
_YEAR = re.compile(r"(\d{4})", re.ASCII)
_DURATION = re.compile(r"([+-]?)(\d{1,5})(m|min|h|d|w)", re.ASCII | re.IGNORECASE)
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_NEAR_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_SHOWN_CHOICES = 8


class _Unreadable(Exception):
    """A value that its kind can't have."""


@dataclass(frozen=True, slots=True)
class _Span:
    """A point, or the stretch that a vaguer value covers: a day from its first instant to its last."""

    first: Any
    last: Any


def read(clause: Clause, key: QueryKey, actor: Actor, zone: ZoneInfo) -> list[Any]:
    """The clause's values in the form for the key's condition. Raises `QueryMistake` for an invalid value."""
    if key.kind is KeyKind.TEXT:
        return list(clause.values)
    if key.kind is KeyKind.CHOICE:
        try:
            return _choices(clause, key, choices_of(key, actor))
        except PluginFailed as problem:
            raise clause.mistake(str(problem)) from problem
    if key.kind is KeyKind.YES_NO:
        return [_yes_or_no(clause, key, value) for value in clause.values]
    reader = _reader(key.kind, zone)
    if ambiguity := _ambiguity(key.kind, clause.values):
        raise clause.mistake(ambiguity)
    try:
        return [_bound(value, reader) for value in clause.values]
    except (_Unreadable, ValueError, OverflowError):
        raise clause.mistake(reader.problem) from None


def _ambiguity(kind: KeyKind, values: Sequence[str]) -> LazyString | None:
    """The sentence about a separator that has several readings: `>29,97` and `1,234` are one number or two, `1.234` is
    little more than one or more than a thousand. Read in one way, it would find other orders than were meant.
    """
    if kind is KeyKind.MONEY and (_has_comma_within(values, _REST) or any(map(_THOUSANDS.search, values))):
        return _l(
            "This amount can be read in several ways. Write amounts without thousands separators and with a "
            "point before the decimals, such as 1234 or 1234.50."
        )
    if kind is KeyKind.NUMBER and _has_comma_within(values, _GROUP):
        return _l(
            "This number can be read in several ways. Write whole numbers without thousands separators, such as 1234."
        )
    return None


def _has_comma_within(values: Sequence[str], rest: re.Pattern[str]) -> bool:
    """Whether the comma between two of these values may be within a number, whose `rest` follows."""
    return any(
        _WHOLE_END.search(one) and more[:1].isdecimal() and (rest.match(more) or one[0] in "<>")
        for one, more in pairwise(values)
    )


def in_codes(query: Query, actor: Actor, *, ids: bool = True) -> Query:
    """The query with its choices by their codes, the form in which it is stored and passed on: names change, and
    differ by language. A choice whose code is a mere number is not changed if its key goes by names, or without `ids`.
    """
    keys = query_keys(query.subject)
    return replace(
        query, clauses=tuple(_in_codes(clause, keys.get(clause.key), actor, ids) for clause in query.clauses)
    )


def _in_codes(clause: Clause, key: QueryKey | None, actor: Actor, ids: bool) -> Clause:
    if key is None or key.kind is not KeyKind.CHOICE or key.choices is None:
        return clause
    try:
        codes = spellings(choices_of(key, actor), key.words)
    except PluginFailed:  # reported when the values are read
        return clause
    found = {value: _code_of(value, codes) or value for value in clause.values}
    by_id = ids and not key.by_name
    values = [code if by_id or not code.isdigit() else value for value, code in found.items()]
    named = tuple(dict.fromkeys(values))
    return replace(clause, values=named, text=written(key, named, clause.negated))


def in_words(query: Query, actor: Actor) -> str:
    """The query as text in the reader's language, of which `parse` and `in_codes` make the same query."""
    if not is_translated():
        return str(query)
    keys = query_keys(query.subject)
    return " ".join(_in_words(clause, keys, actor) for clause in query.clauses)


def shown(text: str, actor: Actor, subject: str = ORDERS) -> str:
    """A stored query in the reader's language; as it is stored if it can't be read any more."""
    try:
        return in_words(parse(text, subject), actor)
    except QueryMistake:
        return text


def _in_words(clause: Clause, keys: Mapping[str, QueryKey], actor: Actor) -> str:
    key = keys.get(clause.key)
    if key is None:
        return clause.text
    values = [said_value(key.kind, value) for value in clause.values]
    if key.kind is KeyKind.CHOICE and key.choices is not None:
        try:
            choices = choices_of(key, actor)
        except DeskError:  # reported when the values are read
            return clause.text
        codes, words = spellings(choices, key.words), choice_words(choices, key.words)
        values = [words.get(codes.get(value.casefold(), ""), value) for value in values]
    said = f"{name_of(key, keys)}:{','.join(map(value_text, values))}"
    return f"-{said}" if clause.negated else said


def choice_words(choices: Mapping[str, LazyString | str], words: Mapping[str, LazyString | str]) -> dict[str, str]:
    """The choices by their words in the reader's language. Those that people named, or that have no word of their own,
    are left out.
    """
    if not is_translated():
        return {}
    codes, said = spellings(choices, words), _translated(choices, words)
    return {code: word for code, word in said.items() if codes.get(folded(word)) == code}


def _translated(choices: Mapping[str, LazyString | str], words: Mapping[str, LazyString | str]) -> dict[str, str]:
    """The words of those choices whose labels are in the catalogs."""
    labels = {code: words.get(code, label) for code, label in choices.items() if not code.isdigit()}
    return {code: as_word(label) for code, label in labels.items() if isinstance(label, LazyString)}


def _choices(clause: Clause, key: QueryKey, choices: Mapping[str, LazyString | str]) -> list[str]:
    codes = spellings(choices, key.words)
    found = []
    for value in clause.values:
        code = _code_of(value, codes)
        if code is None:
            words = choice_words(choices, key.words)
            shown = ", ".join([words.get(code, code) for code in choices][:_SHOWN_CHOICES]) + (
                " …" if len(choices) > _SHOWN_CHOICES else ""
            )
            name = name_of(key, query_keys(key.subject))
            problem = _l("“%(value)s” is not a value of “%(key)s:”.", value=value, key=name)
            if shown:
                problem = _l(
                    "“%(value)s” is not a value of “%(key)s:”. Choose one of these: %(choices)s.",
                    value=value,
                    key=name,
                    choices=shown,
                )
            raise clause.mistake(problem)
        found.append(code)
    return found


def spellings(
    choices: Mapping[str, LazyString | str], words: Mapping[str, LazyString | str] = MappingProxyType({})
) -> dict[str, str]:
    """The codes of choices by all their spellings, in lower case; a code wins over another choice's label, and that
    over a word without its accents.
    """
    codes = {folded(word): code for code, word in _translated(choices, words).items()}
    codes |= {str(label).casefold(): code for code, label in choices.items()}
    codes |= {spelled: code for code in choices for spelled in (code.casefold().replace("_", "-"), code.casefold())}
    return codes


def _code_of(value: str, codes: Mapping[str, str]) -> str | None:
    return codes.get(value.casefold()) or codes.get(folded(as_word(value)))


def _yes_or_no(clause: Clause, key: QueryKey, value: str) -> bool:
    if value not in (YES, NO):
        name = name_of(key, query_keys(key.subject))
        raise clause.mistake(_l("“%(key)s:” must have the value yes or no.", key=name))
    return value == YES


def _reader(kind: KeyKind, zone: ZoneInfo) -> "_Reader":
    match kind:
        case KeyKind.NUMBER:
            return _Numbers()
        case KeyKind.MONEY:
            return _Amounts()
        case KeyKind.DATE:
            return _Times(zone)
        case _:
            return _Deadlines(zone)


def _bound(value: str, reader: "_Reader") -> Bound:
    first, dots, last = value.partition("..")
    if dots:
        low, high = reader.span(first).first if first else None, reader.span(last).last if last else None
        if low is None and high is None:
            raise _Unreadable
        return Bound(low, high)
    for sign, make in _COMPARISONS.items():
        if value.startswith(sign):
            return make(reader.span(value.removeprefix(sign)), reader.step)
    return reader.alone(value)


_COMPARISONS: Mapping[str, Callable[[_Span, Any], Bound]] = {
    ">=": lambda span, step: Bound(low=span.first),
    "<=": lambda span, step: Bound(high=span.last),
    ">": lambda span, step: Bound(low=span.last + step),
    "<": lambda span, step: Bound(high=span.first - step),
}


class _Reader(ABC):
    """Reads the values of a kind; `step` is the difference between a value and the next one."""

    step: Any
    problem: LazyString

    @abstractmethod
    def span(self, text: str) -> _Span:
        """The stretch that a value covers. Raises `_Unreadable` or `ValueError`."""

    def alone(self, text: str) -> Bound:
        """The limits of a value without comparison or range."""
        span = self.span(text)
        return Bound(span.first, span.last)


class _Numbers(_Reader):
    step = 1
    problem = _l("Enter a whole number, such as 3, >3, <=5 or 1..5.")

    def span(self, text: str) -> _Span:
        if not _NUMBER.fullmatch(text) or int(text) >= _MOST:
            raise _Unreadable
        return _Span(int(text), int(text))


class _Amounts(_Reader):
    step = Decimal("0.000001")  # less than any currency's smallest coin
    problem = _l("Enter an amount with a point before the decimals, such as 10, >99.50 or 10..20.")

    def span(self, text: str) -> _Span:
        if not _AMOUNT.fullmatch(text):
            raise _Unreadable
        return _Span(Decimal(text), Decimal(text))


class _Times(_Reader):
    step = timedelta(microseconds=1)
    problem = _l("Enter a day, such as 2026-11-20, today, -7d, >=2026-11-01 or 2026-11-01..2026-11-20.")

    def __init__(self, zone: ZoneInfo) -> None:
        self._now = now()
        self._zone = zone

    def span(self, text: str) -> _Span:
        """A day, a month or a year, or the moment at a duration from now."""
        text = text.lower()
        if text in _NEAR_DAYS:
            return self._days(self._now.astimezone(self._zone).date() + timedelta(days=_NEAR_DAYS[text]))
        if match := _DAY.fullmatch(text):
            return self._days(date(int(match[1]), int(match[2]), int(match[3])))
        if match := _MONTH.fullmatch(text):
            start = date(int(match[1]), int(match[2]), 1)
            return self._days(start, (start + timedelta(days=31)).replace(day=1))
        if match := _YEAR.fullmatch(text):
            return self._days(date(int(match[1]), 1, 1), date(int(match[1]) + 1, 1, 1))
        at = self._away(text)
        return _Span(at, at)

    def alone(self, text: str) -> Bound:
        """A duration without comparison is the time between that moment and now."""
        if not _DURATION.fullmatch(text):
            return super().alone(text)
        at = self._away(text)
        return Bound(min(at, self._now), max(at, self._now))

    def _away(self, text: str) -> datetime:
        match = _DURATION.fullmatch(text)
        if not match:
            raise _Unreadable
        length = timedelta(**{_UNITS[match[3].lower()]: int(match[2])})
        return self._now + (-length if match[1] == "-" else length)

    def _days(self, first: date, after: date | None = None) -> _Span:
        return _Span(self._start(first), self._start(after or first + timedelta(days=1)) - self.step)

    def _start(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self._zone).astimezone(UTC)


class _Deadlines(_Times):
    problem = _l("Enter the time left or a day, such as <4h, 1d..2d, late, today or 2026-11-20.")

    def alone(self, text: str) -> Bound:
        """A duration without comparison is that much time left at most; what is late has none left."""
        if text.lower() == "late":
            return Bound(high=self._now)
        return Bound(high=self._away(text)) if _DURATION.fullmatch(text) else super().alone(text)
