"""How a store's new orders are treated: settings of each store.

Orders that the desk already has are not changed by them.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.channels.models import Store, StoreMarketplace
from webapp.channels.shops import get_shop
from webapp.db import hold_name
from webapp.errors import Invalid, NotFound, Refusal
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.orders.models import OrderStatus
from webapp.orders.postal import territory
from webapp.orders.states import OrderState
from webapp.orders.statuses import all_statuses, name_in
from webapp.settings.declared import STORE, Setting, SettingsGroup
from webapp.settings.services import change

IMPORT_ORDERS = Setting(
    name="import_orders",
    label=_l("Import orders"),
    default=True,
    help=_l(
        "If this is off, new orders are shown without a number and are managed on the channel. When this is "
        "switched on again, those orders get their numbers, oldest first."
    ),
)
OWN_NUMBERS = Setting(  # off: an order gets its number from the channel
    name="own_numbers",
    label=_l("Order numbers"),
    default=True,
    help=_l("This setting applies to new orders. Existing orders keep their number."),
)


def _statuses() -> list[OrderStatus]:
    return [row for row in all_statuses() if row.state == OrderState.PROCESSING]


def _choices() -> dict[str, LazyString | str]:
    found: dict[str, LazyString | str] = {"": _l("No status")}
    for row in _statuses():
        name = name_in(row)
        found[row.code] = _l("%(name)s (retired)", name=name) if row.retired_at else name
    return found


def may_be_given(code: str) -> bool:
    """Whether new orders can get this status: it is one of orders that can be worked, and not retired."""
    return any(row.code == code and row.retired_at is None for row in _statuses())


def offered_statuses(current: str) -> list[tuple[str, LazyString | str]]:
    """The choices of a form: without retired statuses, except the current one."""
    return [(code, name) for code, name in _choices().items() if code in ("", current) or may_be_given(code)]


NEW_ORDER_STATUS = Setting(
    name="new_order_status",
    label=_l("Status of new orders"),
    choices=_choices,
    help=_l(
        "New orders get this status as soon as they can be processed, unless the rule of another status applies. "
        "Finished orders never get it."
    ),
)


def _check_status(store: Store, had: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse a retired status; one that was retired after it was chosen stays, and is skipped."""
    code = str(given.get(NEW_ORDER_STATUS.name, "")).strip()
    retired = any(row.code == code and row.retired_at is not None for row in _statuses())
    if retired and code != had[NEW_ORDER_STATUS.name]:
        raise Invalid(
            field=NEW_ORDER_STATUS.name,
            problem=_l("This status is retired, so no order can get it. Choose another status."),
        )


OTHER_ORDERS = Setting(
    name="other_orders",
    label=_l("Show a buyer's other orders"),
    default=True,
    help=_l(
        "The orders are shown on the order page to users who may see buyer data. Waybill keeps no customer accounts."
    ),
)
NEW_ORDERS = SettingsGroup(
    "orders",
    _l("Orders of the store"),
    (IMPORT_ORDERS, OWN_NUMBERS, NEW_ORDER_STATUS, OTHER_ORDERS),
    scope=STORE,
    check=_check_status,
)


# --- Marketplaces -----------------------------------------------------------------------------------------------------


class OrderSettingsChanged(Refusal):
    """Somebody else saved them since the page was opened."""

    code = "order_settings_changed"
    sentence = _l("Somebody else saved these settings meanwhile. Compare them with yours, then save again.")


class LastMarketplace(Refusal):
    """No marketplace of the store would be on."""

    code = "last_marketplace"
    sentence = _l("At least one marketplace must stay on. To stop importing orders, pause the store.")


_SWITCH_HELP = _l(
    "If a marketplace is off, its existing orders can still be processed. After that, nothing more is imported "
    "from the marketplace."
)


def marketplace_setting(row: StoreMarketplace, help: LazyString | str = "") -> Setting[bool]:
    """Whether a store's orders from this marketplace are imported."""
    label = _l("Orders from %(country)s", country=LazyString(territory, row.country))
    return Setting(name=f"marketplace.{row.marketplace}", label=label, default=True, help=help)


def _switches(store: Store) -> list[Setting[bool]]:
    """A switch per marketplace, if there are several; what holds for all is said below the first."""
    rows = sorted(store.marketplaces, key=lambda row: (row.country, row.marketplace))
    if len(rows) < 2:
        return []
    return [marketplace_setting(rows[0], _SWITCH_HELP), *map(marketplace_setting, rows[1:])]


def _check_one_stays_on(store: Store, had: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    switches = _switches(store)
    if switches and not any(one.parse(given.get(one.name, had[one.name])) for one in switches):
        raise LastMarketplace


MARKETPLACES = SettingsGroup(
    "marketplaces", _l("Marketplaces of the store"), _switches, scope=STORE, check=_check_one_stays_on
)


def switched_off(store: Store) -> frozenset[str]:
    """The ids of the store's marketplaces that are switched off. Such a marketplace is read as long as orders of it are
    open here, so that a cancellation is not missed; new ones come without a number then, as while importing is off.
    """
    stored = MARKETPLACES.read(store)
    return frozenset(
        row.marketplace for row in store.marketplaces if not stored.get(marketplace_setting(row).name, True)
    )


# --- What becomes of an order -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Treatment:
    """How a store's new orders are treated: as is stored, or as typed. Import and preview decide by it."""

    import_orders: bool
    own_numbers: bool
    status: str  # empty: none
    other_orders: bool  # whether a buyer's other orders are shown
    shop_id: int
    shops: Mapping[str, int]  # of the marketplaces that have one of their own
    off: frozenset[str]  # marketplaces

    @property
    def version(self) -> str:
        """Changes whenever one of these settings does."""
        own = (self.import_orders, self.own_numbers, self.status, self.other_orders)
        parts = (*own, self.shop_id, sorted(self.shops.items()))
        return hashlib.sha256(repr((parts, sorted(self.off))).encode()).hexdigest()[:16]

    def imports(self, marketplace: str) -> bool:
        """Whether orders from this marketplace get a number and are worked here."""
        return self.import_orders and marketplace not in self.off

    def shop_for(self, marketplace: str) -> int:
        """The shop of orders from this marketplace."""
        return self.shops.get(marketplace, self.shop_id)

    def given_status(self) -> str | None:
        """The status of new orders that no rule gives one; None without one, or if it is retired."""
        return self.status if self.status and may_be_given(self.status) else None


def treatment_of(store: Store) -> Treatment:
    """How the store's new orders are treated now."""
    own = {row.marketplace: row.shop_id for row in store.marketplaces if row.shop_id is not None}
    return treatment(NEW_ORDERS.read(store), store.shop_id, own, switched_off(store))


def treatment(
    settings: Mapping[str, Any], shop_id: int, shops: Mapping[str, int | None], off: Collection[str]
) -> Treatment:
    """The treatment by these values of the group `NEW_ORDERS`."""
    flags = (IMPORT_ORDERS, OWN_NUMBERS, OTHER_ORDERS)
    values = {one.name: one.parse(settings.get(one.name, one.default)) for one in flags}
    return Treatment(
        import_orders=bool(values[IMPORT_ORDERS.name]),
        own_numbers=bool(values[OWN_NUMBERS.name]),
        status=str(settings.get(NEW_ORDER_STATUS.name) or ""),
        other_orders=bool(values[OTHER_ORDERS.name]),
        shop_id=shop_id,
        shops={marketplace: id_ for marketplace, id_ in shops.items() if id_},
        off=frozenset(off),
    )


# --- Changing them ----------------------------------------------------------------------------------------------------


def change_orders(
    store: Store,
    *,
    settings: Mapping[str, Any],
    shop_id: int,
    marketplace_shops: Mapping[str, int | None],
    marketplaces: Mapping[str, Any] | None = None,
    version: str | None = None,
    actor: Actor,
) -> None:
    """Change how a store's new orders are treated; orders that the desk already has keep their numbers and their shop.

    `settings` are those of the group `NEW_ORDERS`, `marketplaces` those of `MARKETPLACES`; `marketplace_shops` names a
    shop per marketplace, or None for the store's own. `version` is that of the `Treatment` that the person saw; raises
    `OrderSettingsChanged` if there is another by now.
    """
    hold_name(f"order settings of store {store.id}")
    if version is not None and version != treatment_of(store).version:
        raise OrderSettingsChanged
    change_shops(store, shop_id=shop_id, marketplace_shops=marketplace_shops, actor=actor)
    change(NEW_ORDERS, settings, store, actor=actor)
    if marketplaces:
        change(MARKETPLACES, marketplaces, store, actor=actor)


def change_shops(store: Store, *, shop_id: int, marketplace_shops: Mapping[str, int | None], actor: Actor) -> None:
    """Change the shop of a store's new orders, and those of its marketplaces that are named."""
    actor.needs("stores.edit")
    actor.needs_shops({*store.shop_ids, shop_id, *filter(None, marketplace_shops.values())})
    known = {row.marketplace: row for row in store.marketplaces}
    for marketplace, chosen in marketplace_shops.items():
        if marketplace not in known:
            raise NotFound(name=marketplace)
        known[marketplace].shop_id = None if chosen is None else _shop(f"marketplace-{marketplace}", chosen)
    store.shop_id = _shop("shop_id", shop_id)
    audit(
        "store_orders_changed",
        actor=actor,
        store=store.id,
        shop=shop_id,
        marketplace_shops=dict(marketplace_shops),
    )


def _shop(field: str, shop_id: int) -> int:
    try:
        return get_shop(shop_id).id
    except NotFound:
        raise Invalid(field=field, problem=_l("This shop does not exist. Choose another shop.")) from None
