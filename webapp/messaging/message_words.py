"""Words about messages to buyers: events, and attention."""

from collections.abc import Mapping

from webapp.channels.messages import MESSAGE
from webapp.i18n import lazy_gettext as _l
from webapp.messaging.documents import CREDIT_MEMO, INVOICE, SHIPMENT
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventGroup, EventWords

MESSAGES = EventGroup("messages", _l("Messages"), 45)
WRITTEN = EventWords("message_written", _l("Message to the buyer written"), MESSAGES, MESSAGE)
UNDONE = EventWords("message_undone", _l("Message to the buyer undone"), MESSAGES)
SENT_AGAIN = EventWords("message_sent_again", _l("Message to the buyer queued again"), MESSAGES)
ARRIVED = EventWords("message_arrived", _l("Message to the buyer marked as arrived"), MESSAGES)
UNKNOWN_EVENT = EventWords("message_unknown", _l("Message to the buyer may not have arrived"), MESSAGES)
SENT = EventWords("message_sent", _l("Message to the buyer sent"), MESSAGES)
REFUSED_EVENT = EventWords("message_refused", _l("Message to the buyer refused"), MESSAGES)
NOT_MAILED: Mapping[str, EventWords] = {  # what a store wants mailed, and could not be
    INVOICE: EventWords("invoice_not_mailed", _l("Invoice not sent by e-mail: %(problem)s"), MESSAGES),
    CREDIT_MEMO: EventWords("credit_memo_not_mailed", _l("Credit memo not sent by e-mail: %(problem)s"), MESSAGES),
    SHIPMENT: EventWords("shipment_not_mailed", _l("E-mail about the shipment not sent: %(problem)s"), MESSAGES),
}
REFUSED = AttentionKind(
    "message_not_sent",
    _l("Message refused"),
    _l("A message to the buyer was refused: %(problem)s"),
    _l(
        "The buyer did not get the message. Write a message that is allowed, then close this one in the outbox. "
        "You can send an e-mail again."
    ),
)
UNKNOWN = AttentionKind(
    "message_fate_unknown",
    _l("E-mail may not have arrived"),
    _l("An e-mail to the buyer may not have arrived: %(problem)s"),
    _l("Ask the buyer or check the mail server. Then mark the e-mail as arrived under Messages, or send it again."),
)
