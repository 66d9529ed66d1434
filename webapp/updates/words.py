"""Words about updates: the sentences of their events, and the attention that they can cause."""

from webapp.i18n import lazy_gettext as _l
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventGroup, EventWords

UPDATES = EventGroup("updates", _l("Updates to the channel"), 30)
WORDS = (
    EventWords("update_sent", _l("The channel took the update: %(kind)s"), UPDATES),
    EventWords("update_effective", _l("The channel shows the update: %(kind)s"), UPDATES),
    EventWords("update_refused", _l("The channel refused the update: %(kind)s"), UPDATES),
    EventWords("update_denied", _l("The channel denied the update: %(kind)s"), UPDATES),
    EventWords("update_unseen", _l("The channel does not show the update: %(kind)s"), UPDATES),
    EventWords("update_elsewhere", _l("It had been done elsewhere: %(kind)s"), UPDATES),
    EventWords("update_retried", _l("Sent again: %(kind)s"), UPDATES),
    EventWords("update_closed", _l("Closed without sending again: %(kind)s"), UPDATES),
    EventWords("update_accepted", _l("The channel carried the update out and does not show it yet: %(kind)s"), UPDATES),
    EventWords("update_undecided", _l("Nobody knows what became of the update: %(kind)s"), UPDATES),
    EventWords("update_confirmed", _l("Said to have happened: %(kind)s"), UPDATES),
    EventWords("update_said_elsewhere", _l("Said to have been done at the channel itself: %(kind)s"), UPDATES),
    EventWords("update_undone", _l("Undone before it left: %(kind)s"), UPDATES),
    EventWords("update_released", _l("Sent before its time: %(kind)s"), UPDATES),
    EventWords("update_impossible", _l("It can't be sent: %(kind)s"), UPDATES),
    EventWords("update_superseded", _l("A correction took its place: %(kind)s"), UPDATES),
    EventWords("update_withdrawn", _l("No longer wanted, so it was not sent: %(kind)s"), UPDATES),
)
KINDS = (
    AttentionKind(
        "update_refused",
        _l("Update refused"),
        _l("The channel refused an update: %(problem)s"),
        _l("Mend what it complains of and send it again. If you did it at the channel, say so; else close it."),
    ),
    AttentionKind(
        "update_denied",
        _l("Update denied"),
        _l("The channel denies the desk this update: %(problem)s"),
        _l("Grant the permission there. The desk tries again every six hours; send it again yourself, or close it."),
    ),
    AttentionKind(
        "update_unseen",
        _l("Update not shown"),
        _l("The channel took an update long ago and does not show it."),
        _l("Look at the order on the channel's own page; where nothing is left to tell, close the update."),
    ),
    AttentionKind(
        "update_impossible",
        _l("Update not possible"),
        _l("An update can't be sent: %(problem)s"),
        _l("Mend what it says and send it again; where nothing is left to tell, close it."),
    ),
    AttentionKind(
        "update_undecided",
        _l("Fate unknown"),
        _l("The answer to an update was lost, and nothing at the channel shows whether it happened."),
        _l("Find out at the channel whether it happened, and say so under Channel updates."),
    ),
)
