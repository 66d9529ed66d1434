"""Forms of the rules for a store's orders, and of the shops that the orders belong to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from webapp.channels.logos import TYPES
from webapp.channels.models import NumberSequence, Shop, Store
from webapp.clock import zones
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.orders.order_settings import (
    IMPORT_ORDERS,
    MARKETPLACES,
    NEW_ORDER_STATUS,
    NEW_ORDERS,
    OTHER_ORDERS,
    OWN_NUMBERS,
    Treatment,
    marketplace_setting,
    may_be_given,
    offered_statuses,
    treatment,
    treatment_of,
)
from webapp.settings.declared import Setting
from webapp.ui import forms
from webapp.ui.forms.settings import SettingsForm, group_fields

_STORES_OWN = _NO_STATUS = ""
_MARKETPLACE = "marketplace-"
VERSION = "version"


class OrdersForm(SettingsForm):
    """A store's order settings as typed; `values` is what the service takes. While importing is off, a browser does not
    send the other fields: they stay as they are.
    """

    store: Store
    shops: Collection[int]  # that are offered
    switches: Sequence[Setting[bool]] = ()  # a marketplace's each

    @property
    def values(self) -> dict[str, Any]:
        if not self["shop_id"].raw_data:
            only = {IMPORT_ORDERS.name: self[IMPORT_ORDERS.name].data}
            kept = {"shop_id": self.store.shop_id, "marketplace_shops": {}}
            return {"settings": only, **kept, "version": self.text_of(VERSION) or None}
        shops = {
            name.removeprefix(_MARKETPLACE): _id(field.data) if field.data else None
            for name, field in self._fields.items()
            if name.startswith(_MARKETPLACE)
        }
        numbers = {OWN_NUMBERS.name: self.text_of(OWN_NUMBERS.name) != "channel"}
        return {
            "settings": super().values | numbers,
            "marketplaces": {switch.name: self[switch.name].data for switch in self.switches},
            "shop_id": _id(self["shop_id"].data),
            "marketplace_shops": shops,
            "version": self.text_of(VERSION) or None,
        }

    @property
    def treatment(self) -> Treatment:
        """How new orders would be treated by what is typed; a shop that is not offered counts as not chosen."""
        values, stored = self.values, treatment_of(self.store)
        if "marketplaces" not in values:
            return replace(stored, import_orders=bool(values["settings"][IMPORT_ORDERS.name]))
        off = [switch.name for switch in self.switches if not values["marketplaces"][switch.name]]
        rows = self.store.marketplaces
        own = {row.marketplace: row.shop_id for row in rows} | values["marketplace_shops"]
        return treatment(
            values["settings"],
            values["shop_id"] if values["shop_id"] in self.shops else stored.shop_id,
            {marketplace: shop_id for marketplace, shop_id in own.items() if shop_id in self.shops},
            [row.marketplace for row in rows if marketplace_setting(row).name in off],
        )


def orders_form(
    store: Store, shops: Sequence[Shop], channel_name: str, examples: Mapping[int, str], given: Any = None
) -> OrdersForm:
    """The rules for a store's new orders: whether they are worked here, from which marketplaces, their numbers, their
    shop, their status.
    """
    names = [(str(shop.id), shop.name) for shop in shops]
    own = _l("Your own numbers, next: %(number)s", number=examples.get(store.shop_id, "—"))
    status, own_fields = NEW_ORDER_STATUS.of(store), group_fields(NEW_ORDERS, store)
    fields: dict[str, Any] = {
        IMPORT_ORDERS.name: own_fields[IMPORT_ORDERS.name],
        VERSION: forms.hidden(),
        **group_fields(MARKETPLACES, store),
        "shop_id": forms.choice(
            _l("Shop"),
            names,
            default=str(store.shop_id),
            help=_l("New orders of this store get the name, logo and numbers of this shop."),
        ),
    }
    current = NEW_ORDERS.read(store) | {
        OWN_NUMBERS.name: "own" if OWN_NUMBERS.of(store) else "channel",
        "shop_id": str(store.shop_id),
        VERSION: treatment_of(store).version,
    }
    if len(shops) > 1:
        for row in sorted(store.marketplaces, key=lambda row: row.country):
            name = _MARKETPLACE + row.marketplace
            choices = [(_STORES_OWN, _l("As the store")), *names]
            fields[name] = forms.choice(
                _l("Shop for %(country)s", country=row.country), choices, default=_STORES_OWN, required=False
            )
            current[name] = str(row.shop_id) if row.shop_id else _STORES_OWN
    fields |= {
        OWN_NUMBERS.name: forms.choice(
            OWN_NUMBERS.label,
            [("own", own), ("channel", _l("The number from %(channel)s", channel=channel_name))],
            default="own",
            help=OWN_NUMBERS.help,
        ),
        NEW_ORDER_STATUS.name: forms.choice(
            NEW_ORDER_STATUS.label,
            offered_statuses(status),
            default=_NO_STATUS,
            required=False,
            help=_status_help(status),
        ),
        OTHER_ORDERS.name: own_fields[OTHER_ORDERS.name],
    }
    form = OrdersForm(fields, given, current | MARKETPLACES.read(store))
    form.shops = [shop.id for shop in shops]
    form.store, form.declared = store, list(NEW_ORDERS.declared(store))
    form.switches = list(MARKETPLACES.declared(store))
    return form


def _id(text: Any) -> int:
    """A shop's id as sent; 0, which no shop has, for anything else."""
    return int(text) if str(text).isdecimal() and len(str(text)) < 10 else 0


def _status_help(status: str) -> LazyString | str:
    """What happens with the status; for one that is stored and can't be given, that no order gets it."""
    if status and not may_be_given(status):
        return _l("The chosen status is retired, so new orders get no status. Choose another status.")
    return NEW_ORDER_STATUS.help


class ShopForm(forms.Form):
    """A shop as typed."""

    @property
    def values(self) -> dict[str, Any]:
        padding = self["padding"].data
        return {
            "name": self.text_of("name"),
            "zone": self.text_of("zone"),
            "prefix": self.text_of("prefix").strip(),
            "padding": padding if isinstance(padding, int) else 0,
        }


def shop_form(shop: Shop | None = None, sequence: NumberSequence | None = None, given: Any = None) -> ShopForm:
    """The form for a new shop, or for changing one."""
    zones = [(name, name.replace("_", " ")) for name in _zones(shop.zone if shop else "UTC")]
    fields = {
        "name": forms.text(
            _l("Name"),
            required=True,
            help=_l("The shop's name for buyers, printed on slips, invoices and credit memos."),
        ),
        "zone": forms.choice(
            _l("Time zone"),
            zones,
            default="UTC",
            help=_l("The days and times of the shop's orders use this time zone."),
        ),
        "prefix": forms.text(
            _l("Number prefix"),
            help=_l(
                "The prefix comes before each order number, so that no two shops use the same number. Existing "
                "orders keep their numbers."
            ),
            maxlength=12,
            autocomplete="off",
        ),
        "padding": forms.text(
            _l("Digits"),
            required=True,
            kind="number",
            help=_l("Order numbers are filled with zeros to this length."),
            min=1,
            max=12,
        ),
    }
    current: dict[str, Any] = {"padding": 6, "zone": "UTC"}
    if shop is not None and sequence is not None:
        current = {"name": shop.name, "zone": shop.zone, "prefix": sequence.prefix, "padding": sequence.padding}
    return ShopForm(fields, given, current)


def logo_form() -> forms.Form:
    """The logo of a shop."""
    help = _l(
        "PNG or JPEG, up to 500 KB. The logo is printed on slips, invoices and credit memos, above the shop's name."
    )
    return forms.Form({"logo": forms.upload(_l("Picture"), accept=",".join(TYPES.values()), help=help)})


def _zones(current: str) -> list[str]:
    """Populated time zones by their common names, and the stored one."""
    cities = {name for name in zones() if "/" in name and not name.startswith(("Etc/", "SystemV/", "US/"))}
    return ["UTC", *sorted((cities | {current}) - {"UTC"})]
