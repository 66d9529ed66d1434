"""The query language in the words of the reader's language: `carrier:` is also `transporteur:` on a French page.

Queries are stored, linked and passed on in English, which is read in every language. The other words come from the
catalogs. Capitals and accents do not matter in them. Where such a word means something else in English, the English
meaning is taken, and the word is never shown.
"""

import re
import unicodedata
from collections.abc import Mapping

from webapp.i18n import LazyString, get_locale, lazy_gettext as _l, lazy_pgettext
from webapp.search.contract import NO, YES, KeyKind, QueryKey

KEY = re.compile(r"[^\W\d_][\w\u0300-\u036f-]*")  # also with accents apart from their letters
_MARKS = re.compile(r"([<>]=?|\.\.)")
_LENGTH = re.compile(r"([+-]?\d{1,5})([^\W\d_]+)")
ANSWERS: Mapping[str, LazyString] = {YES: _l("yes"), NO: _l("no")}
_TIMES: Mapping[str, LazyString] = {
    "yesterday": _l("yesterday"),
    "today": _l("today"),
    "tomorrow": _l("tomorrow"),
    "late": _l("late"),
}
_UNITS: Mapping[str, LazyString | str] = {
    "m": "m",
    "min": lazy_pgettext("query duration", "min"),
    "h": lazy_pgettext("query duration", "h"),
    "d": lazy_pgettext("query duration", "d"),
    "w": lazy_pgettext("query duration", "w"),
}


def is_translated() -> bool:
    """Whether the reader's language has words of its own for the query language."""
    locale = get_locale()
    return locale is not None and locale.language != "en"


def folded(text: str) -> str:
    """The text without capitals, accents and typographic apostrophes."""
    letters = unicodedata.normalize("NFKD", text.replace("’", "'"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).casefold()


def as_word(label: LazyString | str) -> str:
    """A label as one word of the query language, with hyphens: it needs no quotation marks."""
    return "-".join(re.sub(r"[.,:;!?\"“”«»()]", " ", str(label)).lower().split())


def find_key(keys: Mapping[str, QueryKey], name: str) -> QueryKey | None:
    """The key with this name in English or in the reader's language."""
    if (key := named(keys, name)) is not None or not is_translated():
        return key
    return next((key for key in keys.values() if key.name and folded(str(key.name)) == folded(name)), None)


def named(keys: Mapping[str, QueryKey], name: str) -> QueryKey | None:
    """The key with this code or alias, upper or lower case."""
    name = name.lower()
    return keys.get(name) or next((key for key in keys.values() if name in key.aliases), None)


def name_of(key: QueryKey, keys: Mapping[str, QueryKey]) -> str:
    """The key's name for the reader: its code, if no other name leads to it."""
    name = str(key.name)
    return name if KEY.fullmatch(name) and find_key(keys, name) is key else key.code


def read_value(kind: KeyKind, value: str) -> str:
    """A value in English that was typed in the reader's language; what is no word of a kind's own is not changed."""
    if kind is KeyKind.YES_NO:
        return _read(value, ANSWERS)
    if kind in (KeyKind.DATE, KeyKind.DEADLINE) and is_translated():
        return "".join(map(_read_time, _MARKS.split(value)))
    return value


def said_value(kind: KeyKind, value: str) -> str:
    """A value in the reader's language, which `read_value` reads as the same value."""
    if not is_translated():
        return value
    if kind is KeyKind.YES_NO:
        return _said(value, ANSWERS)
    if kind in (KeyKind.DATE, KeyKind.DEADLINE):
        said = "".join(map(_said_time, _MARKS.split(value)))
        return said if read_value(kind, said) == value else value
    return value


def _read_time(text: str) -> str:
    if length := _LENGTH.fullmatch(text):
        return length[1] + _read(length[2], _UNITS)
    return _read(text, _TIMES)


def _said_time(text: str) -> str:
    if length := _LENGTH.fullmatch(text):
        return length[1] + _said(length[2], _UNITS)
    return _said(text, _TIMES)


def _read(text: str, words: Mapping[str, LazyString | str]) -> str:
    if text.lower() in words:
        return text.lower()
    typed = folded(as_word(text))
    return next((code for code, label in words.items() if folded(as_word(label)) == typed), text)


def _said(text: str, words: Mapping[str, LazyString | str]) -> str:
    said = as_word(words[text]) if text in words else text
    return said if _read(said, words) == text else text
