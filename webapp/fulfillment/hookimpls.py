"""What fulfillment registers: how orders are found by their packages, and what lists tell of these."""

from webapp.fulfillment.list_columns import COLUMNS
from webapp.fulfillment.query_keys import KEYS, SOURCES
from webapp.hooks import hookimpl
from webapp.search.contract import Column, QueryKey, WordSource


@hookimpl
def register_columns() -> list[Column]:
    return list(COLUMNS)


@hookimpl
def register_query_keys() -> list[QueryKey]:
    return list(KEYS)


@hookimpl
def register_word_sources() -> list[WordSource]:
    return list(SOURCES)
