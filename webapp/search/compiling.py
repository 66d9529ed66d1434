"""Compiling a query into conditions on a list's rows, and into the index terms of its words.

Words are looked up in every word source; an order must match all of them, each in any of the sources. Words that terms
and ids can answer are kept apart from conditions, so that a list can read the index newest first.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, not_, or_
from sqlalchemy.sql.elements import BinaryExpression
from sqlalchemy.sql.operators import is_, is_not

from webapp.audit.actor import Actor
from webapp.db import check_time, sources_of
from webapp.errors import DeskError
from webapp.hooks.fence import PluginFailed, ask
from webapp.hooks.registered import is_ours, owner_of
from webapp.i18n import lazy_gettext as _l, reader_zone
from webapp.search.contract import Found, QueryKey, Searched, WordSource
from webapp.search.gathering import STEP, among, in_ids, in_steps
from webapp.search.joined import check_joined
from webapp.search.numbers import is_sign, plain
from webapp.search.query import Clause, Query
from webapp.search.registered import find_searched, query_keys, word_sources
from webapp.search.terms import SHORTEST, digits, is_ideographic, words
from webapp.search.values import read

T = TypeVar("T")
_PHONE_DIGITS = range(7, 16)
_EXTENSION = re.compile(r"(?:;?ext(?:ension|n)?\.?=?|x|#)(\d{1,9})?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A query for the database: all `conditions` must hold, and for each of `words` one of its terms or ids.

    `searched` names the places in which words were looked up, `notes` says what was left out. The query is `broad` if a
    word matches so many orders that they are not gathered, or if words only exclude orders: then the list must be read
    row by row.
    """

    conditions: tuple[ColumnElement[bool], ...] = ()
    words: tuple[Found, ...] = ()  # their `where` is empty
    searched: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    broad: bool = False


@dataclass(slots=True)
class _Asked:
    """What has been compiled so far for a list of the subject, as the actor sees it."""

    subject: Searched
    actor: Actor
    conditions: list[ColumnElement[bool]] = field(default_factory=list)
    words: list[Found] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broad: bool = False

    @property
    def by(self) -> ColumnElement[int]:
        """The column with the order of a row of the list."""
        return self.subject.order_id

    def need(self, found: Found) -> None:
        """Require orders to match: by a condition on the list if too many match to be gathered."""
        if found.where:
            self.conditions.append(among(found, self.by))
            self.broad = True
        else:
            self.words.append(found)
        if found.note:
            self.notes.append(found.note)


def compile_query(query: Query, actor: Actor, *, zone: ZoneInfo | None = None) -> Compiled:
    """Compile a query for the database. Raises `QueryMistake`, and `Forbidden` for a key about buyers without the
    right.
    """
    asked = _compile_keys(query, actor, zone)
    sources = [
        source for source in word_sources(query.subject).values() if actor.may("buyers.see") or not source.personal
    ]
    searched = _compile_words([clause for clause in query.clauses if not clause.key], sources, asked)
    return Compiled(
        tuple(asked.conditions), tuple(asked.words), searched, tuple(dict.fromkeys(asked.notes)), asked.broad
    )


def check_query(query: Query, actor: Actor) -> None:
    """Raise what `compile_query` would raise, without looking up free words."""
    _compile_keys(query, actor)
    _needed([clause for clause in query.clauses if not clause.key])


def _compile_keys(query: Query, actor: Actor, zone: ZoneInfo | None = None) -> _Asked:
    keys, asked = query_keys(query.subject), _Asked(find_searched(query.subject), actor)
    for clause in query.clauses:
        check_time()
        if clause.key:
            _compile_key(clause, keys[clause.key], actor, zone or reader_zone(), asked)
    return asked


def _compile_key(clause: Clause, key: QueryKey, actor: Actor, zone: ZoneInfo, asked: _Asked) -> None:
    if key.personal:
        actor.needs("buyers.see")
    values = read(clause, key, actor, zone)
    if key.find is None:
        condition = _asked_of(clause, key, _condition, key, values, actor, asked.subject, gives=ColumnElement)
        asked.conditions.append(_negated(condition) if clause.negated else condition)
        return
    found_by_value = _asked_of(clause, key, _found_by, key, key.find, values, actor, asked.subject, gives=Mapping)
    check_time()
    for value in values:
        if not found_by_value.get(value):
            raise clause.mistake(_l("“%(value)s” has nothing to search for. Enter letters or digits.", value=value))
    answers = [list(found_by_value[value]) for value in values]
    for note in (found.note for needed in answers for found in needed if found.note):
        raise clause.mistake(note)
    if not clause.negated and all(len(needed) == 1 for needed in answers):
        answers = [[_any_of([found for [found] in answers])]]
    if not clause.negated and len(answers) == 1:
        for found in answers[0]:
            asked.need(found)
        return
    condition = or_(*(and_(*(among(found, asked.by) for found in needed)) for needed in answers))
    asked.conditions.append(not_(condition) if clause.negated else condition)


def _condition(key: QueryKey, values: Sequence[Any], actor: Actor, subject: Searched) -> ColumnElement[bool]:
    """The condition of a key; of a plugin's, only of tables that the list joins."""
    if key.condition is None:
        raise TypeError(f"the key {key.code} has neither a condition nor a way to find")
    condition = key.condition(values, actor)
    if isinstance(condition, ColumnElement):
        _check_conditions(key, [condition], actor, subject)
    return condition


def _found_by(
    item: QueryKey | WordSource,
    find: Callable[[Sequence[str]], Mapping[str, Any]],
    values: Sequence[str],
    actor: Actor,
    subject: Searched,
) -> Mapping[str, Any]:
    """What a key or a word source finds by each value; a plugin's only with conditions on what the list joins."""
    found = find(values)
    if isinstance(found, Mapping):
        ways = [way for ways in found.values() for way in (ways if isinstance(ways, Sequence) else [ways])]
        _check_conditions(item, [condition for way in ways for condition in way.where], actor, subject)
    return found


def _check_conditions(item: object, conditions: Sequence[ColumnElement[bool]], actor: Actor, subject: Searched) -> None:
    """Raise `NotTaken` for a condition of a plugin that would multiply the rows of the list."""
    if is_ours(owner_of(item)) or not conditions:
        return
    joined = sources_of(subject.visible(actor))
    for condition in conditions:
        check_joined(condition, joined)


def _asked_of(clause: Clause, key: QueryKey, function: Callable[..., T], *arguments: Any, gives: type) -> T:
    """The result of the key's function; if the function fails, the error is shown at the clause."""
    try:
        return ask(key, "key", function, *arguments, gives=gives, raises=DeskError)
    except PluginFailed as problem:
        raise clause.mistake(str(problem)) from problem


def _negated(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """The opposite of a condition; an order for which the condition is unknown counts as not matching it. IS NULL
    and its opposite are never unknown, so plain NOT is used, for which databases can use an index.
    """
    never_null = isinstance(condition, BinaryExpression) and condition.operator in (is_, is_not)
    return not_(condition) if never_null else condition.is_not(True)


# --- Words ---


def _compile_words(clauses: Sequence[Clause], sources: Sequence[WordSource], asked: _Asked) -> tuple[str, ...]:
    if not clauses:
        return ()
    needed, unwanted = _needed(clauses)
    for found in in_steps(list(dict.fromkeys(needed)), lambda tokens: _look_up(tokens, sources, asked)):
        asked.need(found)
    asked.broad |= not needed
    asked.conditions += _without(unwanted, sources, asked)
    return tuple(str(source.label) for source in sources)


def _without(
    unwanted: Sequence[Sequence[str]], sources: Sequence[WordSource], asked: _Asked
) -> list[ColumnElement[bool]]:
    """Conditions that exclude orders with all the words of any of these groups."""
    ways: list[Found | ColumnElement[bool]] = []
    found = _look_up(dict.fromkeys(token for group in unwanted for token in group), sources, asked)
    for start in range(0, len(unwanted), STEP):
        step = unwanted[start : start + STEP]
        if single := [found[token] for token, *others in step if not others]:
            ways.append(_any_of(single))
        ways += [and_(*(among(found[token], asked.by) for token in group)) for group in step if len(group) > 1]
    if len(unwanted) > STEP:
        ways = in_ids(ways, asked.by)
    return [not_(among(way, asked.by) if isinstance(way, Found) else way) for way in ways]


def _needed(clauses: Sequence[Clause]) -> tuple[list[str], list[list[str]]]:
    """The words that an order must have, and the groups of words that it must not have together. A text without
    words, such as the “&” between two words, is ignored beside words, but by itself it would match every order: it
    raises `QueryMistake`.
    """
    worded = any(words(clause.values[0]) for clause in clauses if not clause.negated)
    for clause in clauses:
        if not words(clause.values[0]) and (clause.negated or not worded):
            raise clause.mistake(
                _l("“%(value)s” has nothing to search for. Enter letters or digits.", value=clause.values[0])
            )
    wanted = [clause for clause in clauses if not clause.negated]
    needed = [token for clause, run in _runs(wanted) for token in _tokens(clause, run)]
    return needed, [_tokens(clause, plain(clause.values[0]).split()) for clause in clauses if clause.negated]


def _runs(clauses: Sequence[Clause]) -> list[tuple[Clause, list[str]]]:
    """The clauses with their words; a phone number written in groups of digits is one word, quoted or not."""
    texts = ((clause, plain(clause.values[0]).replace(";ext=", " ;ext=")) for clause in clauses)
    pieces = _naming([(clause, piece) for clause, text in texts for piece in text.split()])
    runs: list[tuple[Clause, list[str]]] = []
    for numeric, group in groupby(pieces, key=lambda piece: _is_numeric(piece[1])):
        run = list(group)
        if numeric and _is_phone([piece for _, piece in run]):
            runs.append((run[0][0], ["".join(piece for _, piece in run)]))
        else:
            runs += [
                (clause, [piece for _, piece in part]) for clause, part in groupby(run, key=lambda piece: piece[0])
            ]
    return runs


def _naming(pieces: Sequence[tuple[Clause, str]]) -> list[tuple[Clause, str]]:
    """The words without those by which nothing is found: “No.” before a number, the extension behind a phone number."""
    kept: list[tuple[Clause, str]] = []
    length, at = 0, 0  # digits of the number that ends before this word
    while at < len(pieces):
        piece, following = pieces[at][1], pieces[at + 1][1] if at + 1 < len(pieces) else ""
        extension = _EXTENSION.fullmatch(piece) if length in _PHONE_DIGITS else None
        if extension and (extension[1] or following.isdecimal()):
            at += 1 if extension[1] else 2
            continue
        if not (is_sign(piece) and following[:1].isdecimal()):
            kept.append(pieces[at])
        length = length + len(digits(piece)) if _is_numeric(piece) else 0
        at += 1
    return kept


def _is_numeric(piece: str) -> bool:
    return any(char.isdecimal() for char in piece) and all(char.isdecimal() or char in "+-()/." for char in piece)


def _is_phone(pieces: Sequence[str]) -> bool:
    """Whether these groups of digits are one phone number: the first begins as phone numbers do, or one group is too
    short to be looked up alone.
    """
    groups = [digits(piece) for piece in pieces]
    begins = pieces[0].startswith(("+", "(", "0"))
    return len(groups) > 1 and len("".join(groups)) in _PHONE_DIGITS and (begins or min(map(len, groups)) <= SHORTEST)


def _tokens(clause: Clause, pieces: Sequence[str]) -> list[str]:
    """The words that can be looked up; words of one letter are ignored beside longer ones."""
    worded = [piece for piece in pieces if words(piece)]
    tokens = [piece for piece in worded if _is_long_enough(piece)]
    if worded and not tokens:
        problem = _l("“%(word)s” is too short to search for. Enter two letters or more.", word=worded[0])
        raise clause.mistake(problem)
    return tokens


def _is_long_enough(piece: str) -> bool:
    bare = "".join(words(piece))
    return len(bare) > 1 or is_ideographic(bare) or bare.isdecimal()


def _look_up(tokens: Iterable[str], sources: Sequence[WordSource], asked: _Asked) -> dict[str, Found]:
    """What each word matches, in any of the sources together. A source whose plugin fails is left out, which is
    noted.
    """
    tokens = list(tokens)
    answers = []
    for source in sources:
        check_time()
        try:
            about = (source, source.find, tokens, asked.actor, asked.subject)
            answers.append(ask(source, "words", _found_by, *about, gives=Mapping, raises=DeskError))
        except PluginFailed as problem:
            asked.notes.append(str(problem))
    return {token: _any_of([answer[token] for answer in answers if token in answer]) for token in tokens}


def _any_of(found: Sequence[Found]) -> Found:
    return Found(
        frozenset().union(*(one.terms for one in found)),
        tuple(ids for one in found for ids in one.ids),
        tuple(condition for one in found for condition in one.where),
        " ".join(one.note for one in found if one.note),
    )
