"""What updates register: the words of their events, and the attention that they can cause."""

from webapp.hooks import hookimpl
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventWords
from webapp.updates.words import KINDS, WORDS


@hookimpl
def register_attention_kinds() -> list[AttentionKind]:
    return list(KINDS)


@hookimpl
def register_event_words() -> list[EventWords]:
    return list(WORDS)
