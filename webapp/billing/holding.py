"""How long a store's refunds wait before they leave, so that they can be undone."""

from webapp.i18n import lazy_gettext as _l
from webapp.settings.declared import STORE, Setting, SettingsGroup

REFUND_HOLD = Setting(
    name="refund_hold",
    label=_l("Seconds in which a refund can be undone"),
    default=60,
    minimum=0,
    maximum=3600,
    help=_l("A refund is sent to the channel after this time. 0: it is sent immediately."),
)
SETTINGS = SettingsGroup("refunds", _l("Refunds"), (REFUND_HOLD,), scope=STORE)
