"""Every option of a store by one plain name: its settings of all groups, and the shops that its orders belong to.

A marketplace is named by its country, or by its id if the store has several of one country: `shop.FR`,
`marketplace.FR`.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from webapp.audit.actor import Actor
from webapp.channels.models import Shop, Store, StoreMarketplace
from webapp.channels.services import CONNECTION, change_store
from webapp.channels.shops import shops
from webapp.errors import DeskError, Invalid, Refusal
from webapp.hooks.fence import ask
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.orders.order_settings import MARKETPLACES, NEW_ORDERS, change_shops, marketplace_setting
from webapp.settings.declared import STORE, SettingsGroup
from webapp.settings.services import change, groups

SHOP = "shop"


@dataclass(frozen=True, slots=True)
class StoreOption:
    """An option with its value, which is None for a secret. `key` is its name within the group."""

    name: str
    group: SettingsGroup
    key: str
    label: LazyString | str
    value: Any
    default: Any = None
    choices: Mapping[str, LazyString | str] | None = None
    secret: bool = False
    stored: bool = False


def options_of(store: Store, actor: Actor) -> tuple[list[StoreOption], dict[str, str]]:
    """The options of a store, and why groups can't be read, by their codes."""
    found: list[StoreOption] = []
    problems = {}
    for group in groups(STORE):
        try:
            found += ask(group, "setting", _of_group, group, store, raises=DeskError)
        except Refusal as error:
            problems[group.code] = str(error)
        if group is NEW_ORDERS:
            found += _shops(store, shops(actor))
    return found, problems


def _of_group(group: SettingsGroup, store: Store) -> list[StoreOption]:
    declared, stored = group.declared(store), group.stored(store)
    values = group.read(store, [one for one in declared if not one.secret])
    plain = _plain_names(store) if group is MARKETPLACES else {}
    return [
        StoreOption(
            name=plain.get(one.name, one.name),
            group=group,
            key=one.name,
            label=one.label,
            value=values.get(one.name),
            default=None if one.secret else one.default,
            choices=one.options,
            secret=one.secret,
            stored=one.name in stored,
        )
        for one in declared
    ]


def _shops(store: Store, known: Sequence[Shop]) -> list[StoreOption]:
    """The shop of the store's orders, and those of its marketplaces, by their ids."""
    names: dict[str, LazyString | str] = {str(shop.id): shop.name for shop in known}
    option = partial(StoreOption, group=NEW_ORDERS)
    found = [option(name=SHOP, key=SHOP, label=_l("Shop"), value=str(store.shop_id), choices=names, stored=True)]
    for row, place in _places(store):
        found.append(
            option(
                name=f"{SHOP}.{place}",
                key=f"{SHOP}.{row.marketplace}",
                label=_l("Shop for %(country)s", country=row.country),
                value=str(row.shop_id or ""),
                default="",
                choices={"": _l("As the store")} | names,
                stored=row.shop_id is not None,
            )
        )
    return found


def _places(store: Store) -> list[tuple[StoreMarketplace, str]]:
    rows = sorted(store.marketplaces, key=lambda row: (row.country, row.marketplace))
    many = Counter(row.country for row in rows)
    return [(row, row.country if many[row.country] == 1 else row.marketplace) for row in rows]


def _plain_names(store: Store) -> dict[str, str]:
    return {marketplace_setting(row).name: f"marketplace.{place}" for row, place in _places(store)}


def set_options(
    store: Store,
    values: Mapping[str, Any],
    *,
    unset: Collection[str] = (),
    actor: Actor,
    name: str | None = None,
) -> None:
    """Change a store's name and options, and reset those in `unset`; a shop is given by its id or name. Without any
    option the connection is saved as it is, and so tried again. Raises `Invalid` for a name that no group knows, or
    several.
    """
    actor.needs("stores.edit")
    found = _found(store, [*values, *unset], actor)
    chosen = {typed: option for typed, option in found.items() if _is_shop(option)}
    by_group = {option.group.code: option.group for option in found.values() if not _is_shop(option)}
    if name is not None or not found:
        by_group[CONNECTION.code] = CONNECTION
    for group in by_group.values():
        of_group = {typed: one.key for typed, one in found.items() if one.group is group and not _is_shop(one)}
        given = {of_group[typed]: value for typed, value in values.items() if typed in of_group}
        gone = [of_group[typed] for typed in unset if typed in of_group]
        if group is CONNECTION:
            change_store(store, given, unset=gone, actor=actor, name=name)
        else:
            change(group, given, store, unset=gone, actor=actor)
    if chosen:
        _change_shops(store, {option.key: values.get(typed, "") for typed, option in chosen.items()}, actor)


def _found(store: Store, names: Sequence[str], actor: Actor) -> dict[str, StoreOption]:
    """The options of these names, which may also be those within their groups."""
    known, _ = options_of(store, actor)
    found = {}
    for name in names:
        fitting = [option for option in known if name in (option.name, option.key)]
        if not fitting:
            every = ", ".join(option.name for option in known)
            raise Invalid(
                field=name, problem=_l("There is no setting with this name. The settings are: %(names)s.", names=every)
            )
        if len(fitting) > 1:
            several = ", ".join(option.group.code for option in fitting)
            raise Invalid(
                field=name,
                problem=_l("Several groups have this setting: %(groups)s. Add the name of the group.", groups=several),
            )
        found[name] = fitting[0]
    return found


def _is_shop(option: StoreOption) -> bool:
    return option.key.partition(".")[0] == SHOP and option.group is NEW_ORDERS


def _change_shops(store: Store, chosen: Mapping[str, Any], actor: Actor) -> None:
    """Change the shops by the keys of their options; an empty one is that of the store."""
    known = shops(actor)
    ids = {key: _shop_id(key, str(value).strip(), known) for key, value in chosen.items()}
    own = ids.pop(SHOP) if SHOP in ids else store.shop_id
    if own is None:
        raise Invalid(field=SHOP, problem=_l("Enter a value."))
    by_marketplace = {key.removeprefix(f"{SHOP}."): id_ for key, id_ in ids.items()}
    change_shops(store, shop_id=own, marketplace_shops=by_marketplace, actor=actor)


def _shop_id(name: str, value: str, known: Sequence[Shop]) -> int | None:
    """A shop's id from its id or name; None for no value."""
    for shop in known:
        if value in (str(shop.id), shop.name):
            return shop.id
    if not value:
        return None
    raise Invalid(field=name, problem=_l("This shop does not exist. Choose another shop."))
