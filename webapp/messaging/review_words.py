"""Words about review requests: events, and attention."""

from webapp.i18n import lazy_gettext as _l
from webapp.messaging.message_words import MESSAGES
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventWords

REQUESTED = EventWords("review_requested", _l("Review requested"), MESSAGES)
STOPPED = EventWords("review_stopped", _l("Review request stopped"), MESSAGES)
SENT = EventWords("review_request_sent", _l("Review request sent to the buyer"), MESSAGES)
REFUSED_EVENT = EventWords("review_request_refused", _l("Review request refused"), MESSAGES)
REFUSED = AttentionKind(
    "review_not_requested",
    _l("Review request refused"),
    _l("The channel refused the review request: %(problem)s"),
    _l(
        "The buyer was not asked. Close the review request in the outbox, or send it again there if the reason no "
        "longer applies."
    ),
)
EVENTS = (REQUESTED, STOPPED, SENT, REFUSED_EVENT)
