"""The registrations for lists and searches, by code; of two with one code, the plugin's replaces the desk's own."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from webapp.audit.actor import Actor
from webapp.errors import DeskError, NotFound
from webapp.hooks.failures import WrongType
from webapp.hooks.fence import ask
from webapp.hooks.registered import by_address, registered
from webapp.i18n import LazyString
from webapp.search.contract import ORDERS, Column, QueryKey, Searched, WordSource

T = TypeVar("T", Column, QueryKey, WordSource)


def subjects() -> dict[str, Searched]:
    """What there are lists of, the desk's own first, which no plugin replaces: they say who sees which orders."""
    brought = registered("register_list_subjects", Searched, unique=lambda subject: subject.code)
    return {subject.code: subject for subject in brought}


def find_searched(code: str) -> Searched:
    """The subject of this code. Raises `NotFound`."""
    known = subjects().get(code)
    if known is None:
        raise NotFound(name=code)
    return known


def list_columns(subject: str = ORDERS) -> dict[str, Column]:
    """The columns of a list, the desk's own first."""
    return _of("register_columns", Column, subject)


def query_keys(subject: str = ORDERS) -> dict[str, QueryKey]:
    """The keys of a list's query bar, the desk's own first; keys of the subject `within` come last."""
    own = _of("register_query_keys", QueryKey, subject)
    about = find_searched(subject)
    if not about.within:
        return own
    return own | {code: key for code, key in query_keys(about.within).items() if code not in own}


def filter_keys(subject: str = ORDERS) -> dict[str, QueryKey]:
    """The keys that are offered among the filters of a list."""
    about = find_searched(subject)
    keys = {code: key for code, key in query_keys(subject).items() if key.filter}
    if about.filters is None:
        return keys
    return {code: key for code, key in keys.items() if key.subject == subject or code in about.filters}


def word_sources(subject: str = ORDERS) -> dict[str, WordSource]:
    """The places where free words are looked up, the desk's own first."""
    own = _of("register_word_sources", WordSource, subject)
    within = find_searched(subject).within
    return {**word_sources(within), **own} if within else own


def _of(hook: str, kind: type[T], subject: str) -> dict[str, T]:
    items = by_address(hook, kind, lambda item: (item.subject, item.code)).values()
    return {item.code: item for item in items if item.subject == subject}


def choices_of(key: QueryKey, actor: Actor) -> Mapping[str, LazyString | str]:
    """The choices of a key for this person; none for a key without choices. Raises `PluginFailed`."""
    return ask(key, "key", _choices, key, actor, raises=DeskError) if key.choices else {}


def _choices(key: QueryKey, actor: Actor) -> Mapping[str, LazyString | str]:
    choices: Any = key.choices(actor) if key.choices else {}
    if not isinstance(choices, Mapping):
        raise WrongType(choices, Mapping)
    for code, label in choices.items():
        if not isinstance(code, str) or not isinstance(label, (str, LazyString)):
            raise WrongType(code if not isinstance(code, str) else label, str)
    return cast("Mapping[str, LazyString | str]", choices)
