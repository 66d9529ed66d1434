"""How long a store's acts wait before they leave, so that they can be undone."""

from webapp.i18n import lazy_gettext as _l
from webapp.settings.declared import STORE, Setting, SettingsGroup

CANCEL_HOLD = Setting(
    name="cancel_hold",
    label=_l("Seconds in which a cancellation can be undone"),
    default=60,
    minimum=0,
    maximum=3600,
    help=_l("A cancellation is sent to the channel after this time. 0: it is sent immediately."),
)
SHIP_HOLD = Setting(
    name="ship_hold",
    label=_l("Seconds in which a shipment can be undone"),
    default=0,
    minimum=0,
    maximum=3600,
    help=_l("The confirmation of a shipment is sent to the channel after this time. 0: it is sent immediately."),
)
SETTINGS = SettingsGroup("outward", _l("Time to undo"), (CANCEL_HOLD, SHIP_HOLD), scope=STORE)
