"""Words about updates: the sentences of their events, and the attention that they can cause."""

from webapp.i18n import lazy_gettext as _l
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventGroup, EventWords

UPDATES = EventGroup("updates", _l("Updates to the channel"), 30)
WORDS = (
    EventWords("update_sent", _l("The channel accepted the update: %(kind)s"), UPDATES),
    EventWords("update_effective", _l("The channel confirmed the update: %(kind)s"), UPDATES),
    EventWords("update_refused", _l("The channel refused the update: %(kind)s"), UPDATES),
    EventWords("update_denied", _l("The channel did not permit the update: %(kind)s"), UPDATES),
    EventWords("update_unseen", _l("The channel does not show the update: %(kind)s"), UPDATES),
    EventWords("update_elsewhere", _l("The update was already done elsewhere: %(kind)s"), UPDATES),
    EventWords("update_retried", _l("The update was sent again: %(kind)s"), UPDATES),
    EventWords("update_closed", _l("The update was closed without being sent again: %(kind)s"), UPDATES),
    EventWords("update_accepted", _l("The channel carried out the update and does not show it yet: %(kind)s"), UPDATES),
    EventWords("update_undecided", _l("The result of the update is unknown: %(kind)s"), UPDATES),
    EventWords("update_confirmed", _l("The update was marked as done: %(kind)s"), UPDATES),
    EventWords("update_said_elsewhere", _l("The update was marked as done directly on the channel: %(kind)s"), UPDATES),
    EventWords("update_undone", _l("The update was undone before it was sent: %(kind)s"), UPDATES),
    EventWords("update_released", _l("The update was sent early: %(kind)s"), UPDATES),
    EventWords("update_impossible", _l("The update can't be sent: %(kind)s"), UPDATES),
    EventWords("update_superseded", _l("A correction replaced the update: %(kind)s"), UPDATES),
    EventWords("update_withdrawn", _l("The update was no longer needed and was not sent: %(kind)s"), UPDATES),
)
KINDS = (
    AttentionKind(
        "update_refused",
        _l("Update refused"),
        _l("The channel refused an update: %(problem)s"),
        _l(
            "Correct the problem, then send the update again. If you did it on the channel yourself, mark it as "
            "done elsewhere. Otherwise close it."
        ),
    ),
    AttentionKind(
        "update_denied",
        _l("Update not permitted"),
        _l("The channel does not permit this update: %(problem)s"),
        _l(
            "Grant the permission on the channel. Waybill retries every six hours. You can also send the update "
            "again yourself, or close it."
        ),
    ),
    AttentionKind(
        "update_unseen",
        _l("Update not confirmed"),
        _l("The channel accepted an update long ago and still does not show it."),
        _l("Check the order on the channel's own page. If nothing is left to send, close the update."),
    ),
    AttentionKind(
        "update_impossible",
        _l("Update not possible"),
        _l("An update can't be sent: %(problem)s"),
        _l("Correct the problem, then send the update again. If nothing is left to send, close the update."),
    ),
    AttentionKind(
        "update_undecided",
        _l("Update result unknown"),
        _l(
            "The channel's answer to an update was lost, and the channel does not show whether the update was "
            "carried out."
        ),
        _l(
            "Check on the channel whether the update was carried out, then mark it as done or not done under "
            "Channel updates."
        ),
    ),
)
