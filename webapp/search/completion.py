"""Completing a query while it is typed: keys by their names and labels, then the values that a key has; in the words of
the reader's language, also for who types the English ones."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from webapp.audit.actor import Actor
from webapp.hooks.fence import PluginFailed
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l
from webapp.search.contract import ORDERS, YES, KeyKind, QueryKey
from webapp.search.query import value_text
from webapp.search.registered import choices_of, query_keys
from webapp.search.values import choice_words
from webapp.search.wording import ANSWERS, find_key, folded, name_of, said_value

MOST = 12
_DAYS: Mapping[str, LazyString] = {
    "today": _l("today"),
    "yesterday": _l("yesterday"),
    "-7d": _l("the last seven days"),
    "-30d": _l("the last thirty days"),
}
_LEFT: Mapping[str, LazyString] = {
    "late": _l("late"),
    "<4h": _l("less than four hours left"),
    "<=today": _l("late or today"),
    "tomorrow": _l("tomorrow"),
    "<3d": _l("less than three days left"),
}


@dataclass(frozen=True, slots=True)
class Completion:
    """A text that may replace the text from `start` to `end`, with words about it."""

    insert: str
    start: int
    end: int
    label: str
    help: str = ""


def complete(text: str, position: int, actor: Actor, subject: str = ORDERS) -> list[Completion]:
    """What can follow at the cursor's position in a query about a subject; nothing within free words."""
    position = max(0, min(position, len(text)))
    start = _clause_start(text, position)
    start += text.startswith("-", start)
    end = position
    while end < len(text) and not text[end].isspace() and text[end] != ",":
        end += 1
    typed = text[start:position]
    keys = {code: key for code, key in query_keys(subject).items() if not key.personal or actor.may("buyers.see")}
    name, colon, values = typed.partition(":")
    if not colon:
        return _keys(keys, typed, start, end)
    key = find_key(keys, name)
    if key is None:
        return []
    value = values.rpartition(",")[2]
    return _values(key, name_of(key, keys), value.strip('"'), position - len(value), end, actor)


def _clause_start(text: str, position: int) -> int:
    """The start of the clause at this position: behind the last space outside of quotation marks."""
    start, within = 0, False
    for at, char in enumerate(text[:position]):
        if char == '"':
            within = not within
        elif char.isspace() and not within:
            start = at + 1
    return start


def _keys(keys: Mapping[str, QueryKey], typed: str, start: int, end: int) -> list[Completion]:
    fitting = [
        key for key in keys.values() if typed and _fits(typed, key.code, str(key.label), str(key.name), *key.aliases)
    ]
    names = {key.code: name_of(key, keys) for key in fitting}
    begun = folded(typed)
    fitting.sort(key=lambda key: not folded(names[key.code]).startswith(begun) and not key.code.startswith(begun))
    return [
        Completion(_written(key, names[key.code]), start, end, str(key.label), str(key.help)) for key in fitting[:MOST]
    ]


def _written(key: QueryKey, name: str) -> str:
    """What asks by a key. Of a key whose code alone means yes, another name alone is a word to look for."""
    if not key.bare:
        return f"{name}:"
    return key.code if name == key.code else f"{name}:{said_value(KeyKind.YES_NO, YES)}"


def _values(key: QueryKey, name: str, typed: str, start: int, end: int, actor: Actor) -> list[Completion]:
    choices: Mapping[str, LazyString | str] = {}
    words: Mapping[str, str] = {}
    match key.kind:
        case KeyKind.CHOICE:
            with suppress(PluginFailed):
                choices = choices_of(key, actor)
            words = choice_words(choices, key.words)
        case KeyKind.YES_NO:
            choices = ANSWERS
        case KeyKind.DATE:
            choices = _DAYS
        case KeyKind.DEADLINE:
            choices = _LEFT
        case _:
            return []
    shown = {code: str(label) for code, label in choices.items()}
    said = {code: words.get(code) or said_value(key.kind, code) for code in shown}
    fitting = [(code, label) for code, label in shown.items() if _fits(typed, code, label, said[code])]
    begun = folded(typed)
    fitting.sort(key=lambda choice: not any(folded(one).startswith(begun) for one in (*choice, said[choice[0]])))
    return [
        # A number means nothing to a person: a choice whose code is a number is written by its name.
        Completion(
            value_text(label if code.isdigit() else said[code]), start, end, label, _("Value of “%(key)s:”", key=name)
        )
        for code, label in fitting[:MOST]
    ]


def _fits(typed: str, *names: str) -> bool:
    typed = folded(typed)
    return any(folded(name).startswith(typed) or f" {typed}" in folded(name) for name in names)
