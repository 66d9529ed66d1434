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
ARRIVED = EventWords("message_arrived", _l("Message to the buyer noted as arrived"), MESSAGES)
UNKNOWN_EVENT = EventWords("message_unknown", _l("Message to the buyer may not have arrived"), MESSAGES)
SENT = EventWords("message_sent", _l("Message to the buyer sent"), MESSAGES)
REFUSED_EVENT = EventWords("message_refused", _l("Message to the buyer refused"), MESSAGES)
NOT_MAILED: Mapping[str, EventWords] = {  # what a store wants mailed, and could not be
    INVOICE: EventWords("invoice_not_mailed", _l("Invoice not sent by e-mail: %(problem)s"), MESSAGES),
    CREDIT_MEMO: EventWords("credit_memo_not_mailed", _l("Credit memo not sent by e-mail: %(problem)s"), MESSAGES),
    SHIPMENT: EventWords("shipment_not_mailed", _l("No mail about the shipment: %(problem)s"), MESSAGES),
}
REFUSED = AttentionKind(
    "message_not_sent",
    _l("Message refused"),
    _l("A message to the buyer was not taken: %(problem)s"),
    _l("The buyer has not got it: write it as it is allowed, or close it in the outbox; send a mail again."),
)
UNKNOWN = AttentionKind(
    "message_fate_unknown",
    _l("Mail uncertain"),
    _l("A mail to the buyer may not have arrived: %(problem)s"),
    _l("Ask, or look at the mail server; then say under Messages that it arrived, or send it again."),
)
