"""A query as chips above the list, and as the form of the filters; both produce the text of a query."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from werkzeug.datastructures import MultiDict

from webapp.audit.actor import Actor
from webapp.errors import DeskError
from webapp.hooks.fence import PluginFailed
from webapp.i18n import gettext as _
from webapp.search.compiling import check_query
from webapp.search.contract import NO, YES, KeyKind, QueryKey
from webapp.search.query import Clause, Query, QueryMistake, parse, written
from webapp.search.registered import choices_of, filter_keys, query_keys
from webapp.search.values import spellings
from webapp.search.wording import said_value
from webapp.ui.lists.list_request import ListRequest

_RANGES = {KeyKind.NUMBER: "number", KeyKind.MONEY: "money", KeyKind.DATE: "date", KeyKind.DEADLINE: "deadline"}
MOST = 40  # chips of one list: the URL of each chip repeats the rest of the query
_MOST_TICKS = 12  # with more choices, a list is clearer than boxes
_DECIMAL_COMMA = re.compile(r"(\d+),(\d{1,2})", re.ASCII)  # a comma before three digits may separate thousands


@dataclass(frozen=True, slots=True)
class Chip:
    """A clause in words. A link removes it; or a small form, if words remain that have no token."""

    label: str
    value: str
    negated: bool
    url: str = ""
    rest: str = ""


@dataclass(frozen=True, slots=True)
class FilterField:
    """A query key as fields of a form."""

    code: str
    label: str
    help: str
    shape: str  # ticks, list, yes_no, text, number, money, date, deadline
    choices: Sequence[tuple[str, str]] = ()
    chosen: Sequence[str] = ()
    text: str = ""
    low: str = ""
    high: str = ""
    used: bool = False
    error: str = ""


def chips_of(asked: ListRequest, actor: Actor) -> list[Chip]:
    """Chips for the first clauses of the query."""
    keys = query_keys(asked.subject.code)
    made = []
    for clause in asked.query.clauses[:MOST]:
        rest = asked.query.without(clause)
        linked = not rest.words or (asked.token and rest.words == asked.query.words)
        key = keys.get(clause.key)
        answer = _answer(clause, key)
        made.append(
            Chip(
                label=str(key.label) if key else _("Words"),
                value=answer or _values_in_words(clause, key, actor),
                negated=clause.negated and not answer,
                url=asked.url_of(rest) if linked else "",
                rest="" if linked else str(rest),
            )
        )
    return made


def _answer(clause: Clause, key: QueryKey | None) -> str:
    """Yes or no, if the clause is about a yes-or-no key; else empty."""
    if key is None or key.kind is not KeyKind.YES_NO or len(clause.values) != 1:
        return ""
    return str(_("yes") if (clause.values[0] == YES) is not clause.negated else _("no"))


def _values_in_words(clause: Clause, key: QueryKey | None, actor: Actor) -> str:
    """The clause's values in the reader's language."""
    if key is None:
        return str(_("“%(text)s”", text=clause.values[0]))
    words = {YES: _("yes"), NO: _("no")}
    with suppress(PluginFailed):  # then the values are shown as they were typed
        words |= _choices(key, actor)
    said = ((value, said_value(key.kind, value)) for value in clause.values)
    return ", ".join(words.get(value) or words.get(value.replace("-", "_"), word) for value, word in said)


def _choices(key: QueryKey, actor: Actor) -> dict[str, str]:
    try:
        return {code: str(label) for code, label in choices_of(key, actor).items()}
    except PluginFailed:
        raise
    except DeskError:
        return {}


# --- Filters ----------------------------------------------------------------------------------------------------------


def filter_fields(query: Query, actor: Actor) -> list[FilterField]:
    """A field for every key that the filters have, filled from the query."""
    keys = filter_keys(query.subject)
    clauses = {clause.key: clause for clause in query.clauses if _has_field(clause, keys)}
    offered = (key for key in keys.values() if not key.personal or actor.may("buyers.see"))
    return [_field(key, clauses.get(key.code), actor) for key in offered]


def sent_fields(subject: str, given: "MultiDict[str, str]", actor: Actor) -> list[FilterField]:
    """The fields as they were sent, each with its mistake."""
    keys, empty = query_keys(subject), Query(subject=subject)
    return [_sent_field(keys[entry.code], entry, given, actor, subject) for entry in filter_fields(empty, actor)]


def _sent_field(
    key: QueryKey, entry: FilterField, given: "MultiDict[str, str]", actor: Actor, subject: str
) -> FilterField:
    name, values, error = f"f-{key.code}", _sent_values(key, given), entry.error
    try:
        if values:
            check_query(parse(written(key, values), subject), actor)
    except QueryMistake as mistake:
        error = str(mistake)
    return replace(
        entry,
        chosen=[value for value in given.getlist(name) if value],
        text=given.get(name, ""),
        low=given.get(f"{name}-low", ""),
        high=given.get(f"{name}-high", ""),
        used=bool(values),
        error=error,
    )


def _field(key: QueryKey, clause: Clause | None, actor: Actor) -> FilterField:
    choices, error = [(YES, _("Yes")), (NO, _("No"))], ""
    if key.kind is not KeyKind.YES_NO:
        try:
            choices = list(_choices(key, actor).items())
        except PluginFailed as problem:
            choices, error = [], str(problem)
    values = clause.values if clause else ()
    low, high, text = "", "", ",".join(values)
    if key.kind in _RANGES and values:
        low, high, text = _range_ends(said_value(key.kind, values[0]))
    shape = _RANGES.get(key.kind) or {KeyKind.YES_NO: "yes_no", KeyKind.TEXT: "text"}.get(key.kind, "ticks")
    if shape == "ticks" and len(choices) > _MOST_TICKS:
        shape = "list"
    codes = spellings(dict(choices))
    chosen = [codes.get(value.casefold(), value) for value in values]
    if key.kind is KeyKind.YES_NO and clause and clause.negated:
        chosen = [NO if value == YES else YES for value in chosen]
    return FilterField(
        code=key.code,
        label=str(key.label),
        help=str(key.help),
        shape=shape,
        choices=choices,
        chosen=chosen,
        text=text,
        low=low,
        high=high,
        used=clause is not None,
        error=error,
    )


def _range_ends(value: str) -> tuple[str, str, str]:
    """The ends of a range, or else the text as it was written, such as `late` or `<4h`."""
    low, dots, high = value.partition("..")
    if dots:
        return low, high, ""
    for sign, place in ((">=", 0), ("<=", 1)):
        if value.startswith(sign):
            ends = ["", ""]
            ends[place] = value.removeprefix(sign)
            return ends[0], ends[1], ""
    return "", "", value


def _has_field(clause: Clause, keys: Mapping[str, QueryKey]) -> bool:
    """Whether the form can show the clause. Other clauses, such as most negated ones, stay in the query as they are."""
    key = keys.get(clause.key)
    if key is None:
        return False
    return not clause.negated or key.kind is KeyKind.YES_NO


def with_filters(query: Query, given: "MultiDict[str, str]", actor: Actor) -> str:
    """The text of the query after the form of the filters is applied to it."""
    keys = filter_keys(query.subject)
    shown = {entry.code: entry for entry in filter_fields(query, actor)}
    parts = [clause.text for clause in query.clauses if not (_has_field(clause, keys) and clause.key in shown)]
    for code, entry in shown.items():
        if values := _sent_values(keys[code], given):
            named = tuple(_named(value, entry) for value in values) if keys[code].by_name else values
            parts.append(written(keys[code], named))
    return " ".join([*parts, given.get("text", "")]).strip()


def _named(code: str, field: FilterField) -> str:
    """The label of a choice; or its code, if the code is a word or if the label would be read as another choice."""
    choices = dict(field.choices)
    name = choices.get(code, code)
    return name if code.isdigit() and spellings(choices).get(name.casefold()) == code else code


def _sent_values(key: QueryKey, given: "MultiDict[str, str]") -> tuple[str, ...]:
    name = f"f-{key.code}"
    if key.kind in _RANGES:
        low, high = given.get(f"{name}-low", "").strip(), given.get(f"{name}-high", "").strip()
        if key.kind is KeyKind.MONEY:
            low, high = _with_point(low), _with_point(high)
        said = given.get(name, "").strip()
        if low or high:
            return (f"{low}..{high}" if low and high else f">={low}" if low else f"<={high}",)
        return (said,) if said else ()
    if key.kind is KeyKind.TEXT:
        return tuple(part.strip() for part in given.get(name, "").split(",") if part.strip())
    return tuple(value for value in given.getlist(name) if value)


def _with_point(amount: str) -> str:
    """An amount with a decimal point, since in the query bar a comma separates alternatives."""
    match = _DECIMAL_COMMA.fullmatch(amount)
    return f"{match[1]}.{match[2]}" if match else amount
