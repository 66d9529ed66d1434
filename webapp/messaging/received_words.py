"""Words about received mails: events, attention, and what is wrong with one."""

from webapp.errors import DeskError, NotFound
from webapp.i18n import lazy_gettext as _l
from webapp.messaging.message_words import MESSAGES
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventWords

ANSWERED = EventWords("message_received", _l("The buyer answered"), MESSAGES)
AUTOMATIC = EventWords("message_automatic", _l("An automatic answer arrived"), MESSAGES)
BOUNCED_EVENT = EventWords("message_bounced", _l("A mail to the buyer came back"), MESSAGES)
PUT = EventWords("message_put_to_order", _l("A mail of the inbox put to this order"), MESSAGES)
DONE = EventWords("message_done", _l("Answer done"), MESSAGES)
ASSIGNED = EventWords("message_assigned", _l("Answer assigned to %(name)s"), MESSAGES)
UNASSIGNED = EventWords("message_unassigned", _l("Answer assigned to nobody"), MESSAGES)
EVENTS = (ANSWERED, AUTOMATIC, BOUNCED_EVENT, PUT, DONE, ASSIGNED, UNASSIGNED)
BOUNCED = AttentionKind(
    "message_bounced",
    _l("Mail came back"),
    _l("A mail to the buyer came back. %(problem)s"),
    _l("The buyer has not got it: write in another way, then mark it as done under Messages."),
)


class NotDelivered(DeskError):
    """What a mail server said of a mail that it could not deliver."""

    code = "mail_not_delivered"
    sentence = _l("The mail server says: “%(answer)s”.")


class MailUnreadable(DeskError):
    """Reading the mail failed with a bug, which is in the log."""

    code = "mail_unreadable"
    sentence = _l("The desk can't read this mail; below is what came.")


class MailHoldsUp(DeskError):
    """Reading a mailbox ended at a mail; it is tried again."""

    code = "mail_holds_up"
    sentence = _l("One mail could not be read: %(problem)s")


class MailNotGiven(DeskError):
    """The mail server lists the mail, but several readings ended at it."""

    code = "mail_not_given"
    sentence = _l("The mail server does not give this mail; the desk tried %(tries)s times. See your mailbox.")


class UnknownInboxMail(NotFound):
    """No mail of the inbox has this id."""

    code = "unknown_inbox_mail"
    sentence = _l("The inbox has no mail “%(name)s”: it was put to an order or dismissed, or its 30 days are over.")
