"""The core's own registrations for orders: kinds of attention and the words of events."""

from webapp.hooks import hookimpl
from webapp.orders.attention import KINDS, AttentionKind
from webapp.orders.events import WORDS, EventWords


@hookimpl
def register_attention_kinds() -> list[AttentionKind]:
    return list(KINDS)


@hookimpl
def register_event_words() -> list[EventWords]:
    return list(WORDS)
