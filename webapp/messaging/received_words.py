"""Words about received mails: events, attention, and what is wrong with one."""

from webapp.errors import DeskError, NotFound
from webapp.i18n import lazy_gettext as _l
from webapp.messaging.message_words import MESSAGES
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventWords

ANSWERED = EventWords("message_received", _l("The buyer answered"), MESSAGES)
AUTOMATIC = EventWords("message_automatic", _l("An automatic answer arrived"), MESSAGES)
BOUNCED_EVENT = EventWords("message_bounced", _l("An e-mail to the buyer was returned"), MESSAGES)
PUT = EventWords("message_put_to_order", _l("An e-mail from the inbox was assigned to this order"), MESSAGES)
DONE = EventWords("message_done", _l("Answer marked as done"), MESSAGES)
ASSIGNED = EventWords("message_assigned", _l("Answer assigned to %(name)s"), MESSAGES)
UNASSIGNED = EventWords("message_unassigned", _l("Answer assigned to nobody"), MESSAGES)
EVENTS = (ANSWERED, AUTOMATIC, BOUNCED_EVENT, PUT, DONE, ASSIGNED, UNASSIGNED)
BOUNCED = AttentionKind(
    "message_bounced",
    _l("E-mail returned"),
    _l("An e-mail to the buyer was returned. %(problem)s"),
    _l(
        "The buyer did not get the e-mail. Contact the buyer in another way, then mark the returned e-mail as "
        "done under Messages."
    ),
)


class NotDelivered(DeskError):
    """What a mail server said of a mail that it could not deliver."""

    code = "mail_not_delivered"
    sentence = _l("The mail server's answer: “%(answer)s”.")


class MailUnreadable(DeskError):
    """Reading the mail failed with a bug, which is in the log."""

    code = "mail_unreadable"
    sentence = _l("Waybill can't read this e-mail. Its source is shown below.")


class MailHoldsUp(DeskError):
    """Reading a mailbox ended at a mail; it is tried again."""

    code = "mail_holds_up"
    sentence = _l("One e-mail could not be read: %(problem)s")


class MailNotGiven(DeskError):
    """The mail server lists the mail, but several readings ended at it."""

    code = "mail_not_given"
    sentence = _l(
        "The mail server did not deliver this e-mail to Waybill in %(tries)s attempts. Open it in your mailbox."
    )


class UnknownInboxMail(NotFound):
    """No mail of the inbox has this id."""

    code = "unknown_inbox_mail"
    sentence = _l(
        "There is no e-mail “%(name)s” in the inbox. It was assigned to an order, dismissed, or deleted after 30 days."
    )
