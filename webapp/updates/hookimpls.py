"""What updates register: the outbox, the words of their events, and the attention that they can cause."""

from webapp.hooks import hookimpl
from webapp.lists.contract import Subject
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventWords
from webapp.search.contract import Column, QueryKey
from webapp.updates.outbox import COLUMNS, OUTBOX_LIST
from webapp.updates.outbox_keys import KEYS
from webapp.updates.words import KINDS as ATTENTION_KINDS, WORDS


@hookimpl
def register_attention_kinds() -> list[AttentionKind]:
    return list(ATTENTION_KINDS)


@hookimpl
def register_event_words() -> list[EventWords]:
    return list(WORDS)


@hookimpl
def register_list_subjects() -> list[Subject]:
    return [OUTBOX_LIST]


@hookimpl
def register_columns() -> list[Column]:
    return list(COLUMNS)


@hookimpl
def register_query_keys() -> list[QueryKey]:
    return list(KEYS)
