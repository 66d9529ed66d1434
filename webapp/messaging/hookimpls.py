"""What messaging registers: messages as updates, words, attention, the setting of a store, and its scheduled jobs."""

from webapp.hooks import hookimpl
from webapp.jobs.schedule import Schedule
from webapp.mail.mailboxes import any_due
from webapp.messaging import received_words
from webapp.messaging.jobs import forget_received_mails, read_mailboxes
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
from webapp.messaging.receiving import any_expired
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventWords
from webapp.settings.declared import SettingsGroup
from webapp.updates.contract import OutwardKind


@hookimpl
def register_attention_kinds() -> list[AttentionKind]:
    return [REFUSED, UNKNOWN, received_words.BOUNCED]


@hookimpl
def register_event_words() -> list[EventWords]:
    return [WRITTEN, UNDONE, SENT, REFUSED_EVENT, UNKNOWN_EVENT, SENT_AGAIN, ARRIVED, *received_words.EVENTS]


@hookimpl
def register_outward_kinds() -> list[OutwardKind]:
    return [MessageToBuyer()]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [
        Schedule(read_mailboxes, every=60, due=any_due),
        Schedule(forget_received_mails, every=3600, due=any_expired),
    ]


@hookimpl
def register_settings() -> list[SettingsGroup]:
    return [MESSAGES, BUYER_MAIL]
