"""What is registered for lists and searches, by code; of two with one code the plugin's wins over the desk's own."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from webapp.audit.actor import Actor
from webapp.errors import DeskError
from webapp.hooks.failures import WrongType
from webapp.hooks.fence import ask
from webapp.hooks.registered import by_code
from webapp.i18n import LazyString
from webapp.search.contract import Column, QueryKey, WordSource


def list_columns() -> dict[str, Column]:
    """The columns of the order list, the desk's own first."""
    return by_code("register_columns", Column)


def query_keys() -> dict[str, QueryKey]:
    """The keys of the query bar, the desk's own first."""
    return by_code("register_query_keys", QueryKey)


def word_sources() -> dict[str, WordSource]:
    """Where free words are looked for, the desk's own places first."""
    return by_code("register_word_sources", WordSource)


def values_of(column: Column, orders: Sequence[Any], actor: Actor) -> Mapping[int, Any]:
    """What a column says of these orders, by their ids. Raises `PluginFailed`."""
    return ask(column, "column", column.values, orders, actor, gives=Mapping)


def choices_of(key: QueryKey, actor: Actor) -> Mapping[str, LazyString | str]:
    """The choices of a key for this person, none for a key without. Raises `PluginFailed`."""
    return ask(key, "key", _choices, key, actor, raises=DeskError) if key.choices else {}


def _choices(key: QueryKey, actor: Actor) -> Mapping[str, LazyString | str]:
    choices: Any = key.choices(actor) if key.choices else {}
    if not isinstance(choices, Mapping):
        raise WrongType(choices, Mapping)
    for code, label in choices.items():
        if not isinstance(code, str) or not isinstance(label, (str, LazyString)):
            raise WrongType(code if not isinstance(code, str) else label, str)
    return cast("Mapping[str, LazyString | str]", choices)
