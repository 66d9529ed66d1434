"""What messaging registers: messages as updates, words, attention, and the setting of a store."""

from webapp.hooks import hookimpl
from webapp.messaging.message_settings import BUYER_MAIL, MESSAGES
from webapp.messaging.message_updates import MessageToBuyer
from webapp.messaging.message_words import (
    ARRIVED,
    REFUSED,
    REFUSED_EVENT,
    SENT,
    SENT_AGAIN,
    UNDONE,
    UNKNOWN,
    UNKNOWN_EVENT,
    WRITTEN,
)
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventWords
from webapp.settings.declared import SettingsGroup
from webapp.updates.contract import OutwardKind


@hookimpl
def register_attention_kinds() -> list[AttentionKind]:
    return [REFUSED, UNKNOWN]


@hookimpl
def register_event_words() -> list[EventWords]:
    return [WRITTEN, UNDONE, SENT, REFUSED_EVENT, UNKNOWN_EVENT, SENT_AGAIN, ARRIVED]


@hookimpl
def register_outward_kinds() -> list[OutwardKind]:
    return [MessageToBuyer()]


@hookimpl
def register_settings() -> list[SettingsGroup]:
    return [MESSAGES, BUYER_MAIL]
