"""How a store's new orders are treated: settings of each store.

Orders that the desk already has are not changed by them.
"""

from webapp.i18n import lazy_gettext as _l
from webapp.settings.declared import STORE, Setting, SettingsGroup

IMPORT_ORDERS = Setting(
    name="import_orders",
    label=_l("Import orders"),
    default=True,
    help=_l(
        "Off: new orders are shown without a number, to be managed at the channel. Switched on again, those "
        "that came meanwhile get theirs, oldest first."
    ),
)
OWN_NUMBERS = Setting(  # off: an order gets its number from the channel
    name="own_numbers",
    label=_l("Order numbers"),
    default=True,
    help=_l("For new orders; those that are here keep their number."),
)
NEW_ORDERS = SettingsGroup("orders", _l("Its orders"), (IMPORT_ORDERS, OWN_NUMBERS), scope=STORE)
