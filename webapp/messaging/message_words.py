"""Words about messages to buyers: events, and attention."""

from webapp.channels.messages import MESSAGE
from webapp.i18n import lazy_gettext as _l
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventGroup, EventWords

MESSAGES = EventGroup("messages", _l("Messages"), 45)
WRITTEN = EventWords("message_written", _l("Message to the buyer written"), MESSAGES, MESSAGE)
SENT = EventWords("message_sent", _l("Message to the buyer sent"), MESSAGES)
REFUSED_EVENT = EventWords("message_refused", _l("Message to the buyer refused"), MESSAGES)
REFUSED = AttentionKind(
    "message_not_sent",
    _l("Message refused"),
    _l("The channel did not take a message to the buyer: %(problem)s"),
    _l("The buyer has not got it: write it as the channel allows, or close it in the outbox."),
)
