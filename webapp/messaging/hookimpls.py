"""What messaging registers: messages as updates, words, attention, and the setting of a store."""

from webapp.hooks import hookimpl
from webapp.messaging.message_updates import SETTINGS, MessageToBuyer
from webapp.messaging.message_words import REFUSED, REFUSED_EVENT, SENT, WRITTEN
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventWords
from webapp.settings.declared import SettingsGroup
from webapp.updates.contract import OutwardKind


@hookimpl
def register_attention_kinds() -> list[AttentionKind]:
    return [REFUSED]


@hookimpl
def register_event_words() -> list[EventWords]:
    return [WRITTEN, SENT, REFUSED_EVENT]


@hookimpl
def register_outward_kinds() -> list[OutwardKind]:
    return [MessageToBuyer()]


@hookimpl
def register_settings() -> list[SettingsGroup]:
    return [SETTINGS]
