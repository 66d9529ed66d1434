"""The query language of the bar, of URLs, views, exports and bulk acts: clauses separated by spaces; all must match.

    due:<4h  channel:practice  sku:AB*,CD*  -hold  buyer-cancel:yes  total:>100  "jane doe"

A link to an order asks for its number. Words without a key are looked up wherever an order can be found by words. These
words and the values of personal keys may name a buyer: they are in `words`, never in `structured`, which is the only
part that may be in a URL. A URL carries a token for the rest, which is sealed and kept for a day, for the person who
searched. The module `values` reads values. `wording` knows the words of other languages: they can be typed, and a
`Query` has none of them.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches
from urllib.parse import quote

from sqlalchemy import ColumnElement, and_, select

from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import db
from webapp.errors import DeskError, NotFound
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.search.contract import NO, ORDERS, YES, KeyKind, QueryKey
from webapp.search.models import SealedQuery
from webapp.search.numbers import LINK, number_in_link
from webapp.search.registered import query_keys
from webapp.search.wording import KEY, find_key, folded, name_of, named, read_value
from webapp.vault import services as vault

MOST = 300  # words and values of one query: databases can combine only so many conditions
LONGEST = 8_000  # characters of one query
_LONGEST_LINKED = 7_000  # of the part that is in URLs, in their encoding: servers accept 8 KB of URL
KEPT = timedelta(days=1)  # words that may name a buyer, under their token
SEALED = "query"
_KEY = re.compile(rf"({KEY.pattern}):")
_BROKEN_VALUE = re.compile(r'[\s,]|^"|^$')
_BROKEN_WORD = re.compile(r'\s|^["-]')


class QueryMistake(DeskError):
    """A text that is no valid query; `start` and `end` are the place of the mistake in the text."""

    code, status = "query_mistake", 422
    sentence = "%(problem)s"
    field = "q"

    def __init__(self, problem: LazyString | str, *, start: int = 0, end: int = 0) -> None:
        super().__init__(problem=problem)
        self.start, self.end = start, end


class WordsForgotten(DeskError):
    """The words belong to another person, or were deleted."""

    code, status = "words_forgotten", 404
    sentence = _l(
        "The words of a search are kept for one day, and only for the person who entered them. Enter the words again."
    )


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition of a query: a key with values, one of which must match, or free words (their key is empty)."""

    key: str
    values: tuple[str, ...]
    negated: bool
    personal: bool
    start: int
    end: int
    text: str  # the clause as the query is written

    def mistake(self, problem: LazyString | str) -> QueryMistake:
        return QueryMistake(problem, start=self.start, end=self.end)


@dataclass(frozen=True, slots=True)
class Query:
    """A query; `str()` writes equal queries in one way, however they were typed."""

    clauses: tuple[Clause, ...] = ()
    subject: str = ORDERS

    def __str__(self) -> str:
        return " ".join(clause.text for clause in self.clauses)

    def __bool__(self) -> bool:
        return bool(self.clauses)

    @property
    def structured(self) -> str:
        """The part of the query that names no buyer and may be in a URL."""
        return " ".join(clause.text for clause in self.clauses if not clause.personal)

    @property
    def words(self) -> str:
        """The rest of the query, which may name a buyer."""
        return " ".join(clause.text for clause in self.clauses if clause.personal)

    def names(self, key: str) -> bool:
        """Whether a clause of the query has this key."""
        return any(clause.key == key for clause in self.clauses)

    def without(self, clause: Clause) -> "Query":
        """The query without this clause."""
        return replace(self, clauses=tuple(other for other in self.clauses if other is not clause))

    def adding(self, text: str) -> "Query":
        """The query with more clauses behind it; clauses that it already has are not repeated."""
        had = {clause.text for clause in self.clauses}
        more = (clause for clause in parse(text, self.subject).clauses if clause.text not in had)
        return replace(self, clauses=(*self.clauses, *more))


def parse(text: str, subject: str = ORDERS) -> Query:
    """Read a query about a subject. Raises `QueryMistake`, and no other error for any text; a text that is too long
    is refused before any other work.
    """
    if len(text) > LONGEST:
        raise QueryMistake(_l("This search is longer than %(most)s characters. Shorten it.", most=LONGEST))
    query = Query(tuple(_Reader(text, query_keys(subject)).clauses()), subject)
    if len(text) > _LONGEST_LINKED // 9 and len(quote(query.structured)) > _LONGEST_LINKED:  # 9: of one character
        raise QueryMistake(_l("This search is too long for a link. Remove some of its values."))
    return query


def written(key: QueryKey, values: tuple[str, ...], negated: bool = False) -> str:
    """A clause of a key as text; for filters and chips that compose queries."""
    said = key.code if key.bare and values == (YES,) else f"{key.code}:{','.join(map(value_text, values))}"
    return f"-{said}" if negated else said


def renamed(text: str, code: str, old: str, new: str, subject: str = ORDERS) -> str:
    """The text of a query about a subject, with a value of this key replaced by another; a text that is no valid
    query any more is not changed.
    """
    try:
        keys, clauses = query_keys(subject), parse(text, subject).clauses
    except (QueryMistake, NotFound):  # its subject may have been a plugin's
        return text
    if not any(clause.key == code and old.casefold() in map(str.casefold, clause.values) for clause in clauses):
        return text
    said = []
    for clause in clauses:
        values = tuple(new if value.casefold() == old.casefold() else value for value in clause.values)
        said.append(written(keys[code], values, clause.negated) if clause.key == code else clause.text)
    return " ".join(said)


def keep(query: Query, actor: Actor) -> tuple[str, str]:
    """The query in its form for a URL: its structured part, and the token of its sealed words (empty without any)."""
    if not query.words:
        return query.structured, ""
    period, sealed = seal_words(query.words)
    row = SealedQuery(token=secrets.token_urlsafe(16), user_id=actor.id, period=period, sealed=sealed, at=now())
    db.session.add(row)
    db.session.flush()
    return query.structured, row.token


def reopen(
    structured: str, token: str, actor: Actor, sealed: tuple[str, bytes] | None = None, subject: str = ORDERS
) -> Query:
    """The query of a URL, about a subject. Raises `WordsForgotten` if the token is another person's or older than a
    day.

    `sealed` holds the sealed words of the token, if they were read already.
    """
    if not token:
        return parse(structured, subject)
    if sealed is None:
        columns = (SealedQuery.period, SealedQuery.sealed)
        row = db.session.execute(select(*columns).where(under(token), SealedQuery.user_id == actor.id)).one_or_none()
        if row is None:
            raise WordsForgotten
        sealed = (row.period, row.sealed)
    return parse(f"{structured} {open_words(*sealed)}", subject)


def under(token: str) -> ColumnElement[bool]:
    """The condition for the row of sealed words with this token, as long as it is kept."""
    return and_(SealedQuery.token == token, SealedQuery.at > now() - KEPT)


def seal_words(words: str) -> tuple[str, bytes]:
    """Seal words for a table of another floor (a view, an export); returns the period's name and the sealed bytes."""
    return vault.seal_apart(SEALED, words)


def open_words(period: str, sealed: bytes) -> str:
    """Open what `seal_words` sealed. Raises `WordsForgotten` once the period's key is destroyed."""
    words = vault.open_apart(SEALED, period, sealed)
    if not isinstance(words, str):
        raise WordsForgotten
    return words


class _Reader:
    """Reads a text from left to right."""

    def __init__(self, text: str, keys: Mapping[str, QueryKey]) -> None:
        self._text = text
        self._at = 0
        self._keys = keys

    def clauses(self) -> list[Clause]:
        found: list[Clause] = []
        asked = 0
        while self._skip_spaces():
            clause = self._clause()
            asked += len(clause.values) if clause.key else len(clause.values[0].split())
            if asked > MOST:
                raise clause.mistake(
                    _l("This search has more than %(most)s words and values. Remove some of them.", most=MOST)
                )
            found.append(clause)
        return found

    def _skip_spaces(self) -> bool:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._at < len(self._text)

    def _clause(self) -> Clause:
        start = self._at
        negated = self._text[start] == "-" and start + 1 < len(self._text) and not self._text[start + 1].isspace()
        self._at += negated
        if LINK.match(self._text, self._at):
            return self._linked(start, negated)
        if match := _KEY.match(self._text, self._at):
            return self._keyed(match, start, negated)
        if self._text[self._at] == '"':
            return self._words(self._quoted(), start, negated)
        word = self._word()
        key = named(self._keys, word)
        if key is not None and key.bare:
            return self._made(key, (YES,), start, negated)
        return self._words(word, start, negated)

    def _keyed(self, match: re.Match[str], start: int, negated: bool) -> Clause:
        key = find_key(self._keys, match[1])
        if key is None:
            raise QueryMistake(self._unknown(match[1]), start=match.start(1), end=match.end())
        self._at = match.end()
        values = tuple(read_value(key.kind, value) for value in self._values())
        if not values:
            problem = _l("Enter a value directly after “%(key)s:”.", key=name_of(key, self._keys))
            raise QueryMistake(problem, start=start, end=self._at)
        if key.kind not in (KeyKind.NUMBER, KeyKind.MONEY):  # 5,5 may be one amount
            values = tuple(dict.fromkeys(values))
        if key.kind is KeyKind.CHOICE:
            values = tuple(value.lower() if value.lower() in (YES, NO) else value for value in values)
        return self._made(key, values, start, negated)

    def _linked(self, start: int, negated: bool) -> Clause:
        """A link to an order asks for the order's number; other links name nothing that can be looked up."""
        number, key = number_in_link(self._word()), self._keys.get("number")
        if not number or key is None:
            raise QueryMistake(_l("There is no order number in this link."), start=start, end=self._at)
        return self._made(key, (number,), start, negated)

    def _unknown(self, name: str) -> LazyString:
        shown = {key.code: name_of(key, self._keys) for key in self._keys.values()}
        names = {alias: shown[key.code] for key in self._keys.values() for alias in key.aliases}
        names |= {folded(said): said for said in shown.values()} | {code: shown[code] for code in shown}
        typed = folded(name)
        near = get_close_matches(typed, names, n=3, cutoff=0.6)
        beginning = [said for said in names.values() if folded(said).startswith(typed)]
        meant = list(dict.fromkeys([*beginning, *(names[code] for code in near)]))[:3]
        if not meant:
            return _l("There is no key “%(name)s:”. To search for these words, put them in quotation marks.", name=name)
        keys = ", ".join(f"{said}:" for said in meant)
        return _l("There is no key “%(name)s:”. Did you mean: %(keys)s", name=name, keys=keys)

    def _values(self) -> tuple[str, ...]:
        values = []
        while self._at < len(self._text):
            char = self._text[self._at]
            if char.isspace():
                break
            if char == ",":
                self._at += 1
                continue
            if char == '"':
                value = self._quoted()
                if self._text.startswith("*", self._at):
                    self._at += 1
                    value += "*"
            else:
                end = self._at
                while end < len(self._text) and not self._text[end].isspace() and self._text[end] != ",":
                    end += 1
                value, self._at = _clean(self._text[self._at : end]), end
            if value:
                values.append(value)
            if not self._text.startswith(",", self._at):
                break
        return tuple(values)

    def _word(self) -> str:
        start = self._at
        while self._at < len(self._text) and not self._text[self._at].isspace():
            self._at += 1
        return _clean(self._text[start : self._at])

    def _quoted(self) -> str:
        start = self._at
        letters: list[str] = []
        at = start + 1
        while at < len(self._text) and self._text[at] != '"':
            if self._text[at] == "\\" and self._text[at + 1 : at + 2] in ('"', "\\"):
                at += 1
            letters.append(self._text[at])
            at += 1
        if at >= len(self._text):
            raise QueryMistake(_l("The closing quotation mark is missing."), start=start, end=len(self._text))
        self._at = at + 1
        return _clean("".join(letters))

    def _words(self, words: str, start: int, negated: bool) -> Clause:
        if not words:
            problem = _l(
                "“%(value)s” has nothing to search for. Enter letters or digits.", value=self._text[start : self._at]
            )
            raise QueryMistake(problem, start=start, end=self._at)
        key = named(self._keys, words)
        misread = _BROKEN_WORD.search(words) or _KEY.match(words) or (key is not None and key.bare)
        text = _in_quotes(words) if misread else words
        return Clause("", (words,), negated, True, start, self._at, f"-{text}" if negated else text)

    def _made(self, key: QueryKey, values: tuple[str, ...], start: int, negated: bool) -> Clause:
        text = written(key, values, negated)
        return Clause(key.code, values, negated, key.personal, start, self._at, text)


def _clean(text: str) -> str:
    """The text without invisible characters, and with single spaces."""
    return " ".join("".join(char for char in text if char.isprintable() or char.isspace()).split())


def _in_quotes(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def value_text(value: str) -> str:
    """A value in the form for a query: in quotes if it would be read as something else."""
    return _in_quotes(value) if _BROKEN_VALUE.search(value) else value
