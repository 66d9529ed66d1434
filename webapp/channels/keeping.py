"""How long a store's buyers are kept: a setting of each store, within the limit of its channel."""

from webapp.channels.models import Store
from webapp.channels.registered import channels
from webapp.i18n import lazy_gettext as _l
from webapp.settings.declared import STORE, Setting, SettingsGroup

NAME = "erase_buyers_after_days"
_USUAL, _LONGEST = 30, 3650


def setting_of(store: Store) -> Setting[int]:
    """The setting with the limit of this store's channel."""
    channel = channels().get(store.channel)
    longest = channel.buyers_kept_at_most if channel is not None else None
    if longest is None:
        bound = _l(
            "0: the data is erased on delivery. For an order without a delivery date, the latest promised date counts."
        )
    else:
        bound = _l(
            "0 to %(days)s: the channel allows no more. For an order without a delivery date, the latest promised "
            "date counts.",
            days=longest,
        )
    return Setting(
        name=NAME,
        label=_l("Days from delivery until buyer data is erased"),
        default=min(_USUAL, _LONGEST if longest is None else longest),
        minimum=0,
        maximum=_LONGEST if longest is None else longest,
        help=bound,
    )


BUYERS = SettingsGroup("buyers", _l("Buyer data"), lambda store: [setting_of(store)], scope=STORE)


def days_of(store: Store) -> int:
    """The number of days after delivery for which the store's buyers are kept; at most the present limit of its
    channel.
    """
    setting = setting_of(store)
    days = int(BUYERS.read(store, [setting])[NAME])
    return days if setting.maximum is None else min(days, setting.maximum)
