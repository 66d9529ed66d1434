"""What is registered for lists and searches, by code; of two with one code the plugin's wins over the desk's own."""

from webapp.hooks import hooks
from webapp.search.contract import Column, QueryKey, WordSource


def columns() -> dict[str, Column]:
    """The columns of the order list, the desk's own first."""
    return {column.code: column for group in reversed(hooks.register_columns()) for column in group}


def query_keys() -> dict[str, QueryKey]:
    """The keys of the query bar, the desk's own first."""
    return {key.code: key for group in reversed(hooks.register_query_keys()) for key in group}


def word_sources() -> dict[str, WordSource]:
    """Where free words are looked for, the desk's own places first."""
    return {source.code: source for group in reversed(hooks.register_word_sources()) for source in group}
