"""Adding stores, accessing their channels, and drawing numbers for their shops."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVarTuple

from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import Session

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.channels.connecting import Connection, Disconnected, StoreAccess
from webapp.channels.contract import Channel
from webapp.channels.models import AccountState, NumberSequence, Shop, Store, StoreMarketplace
from webapp.channels.naming import named
from webapp.channels.registered import channels
from webapp.channels.shops import ORDERS, create_shop
from webapp.clock import now
from webapp.db import db, hold_name, translated_failures
from webapp.errors import Invalid, NotFound, Refusal, SeveralFit, class_of
from webapp.i18n import lazy_gettext as _l
from webapp.settings.declared import STORE, Setting, SettingsGroup
from webapp.settings.services import change, rehearse, store_all

Ts = TypeVarTuple("Ts")
ENDPOINTS = ("endpoint", "token_endpoint")  # settings of a channel: where its calls go


class ChannelLeftOut(Refusal):
    """The channel's plugin was not loaded; orders that came from the channel can still be read."""

    code = "channel_left_out"
    sentence = _l("The plugin for “%(channel)s” is not loaded. The Plugins page shows the reason.")


class AccountConnected(Refusal):
    """The account already belongs to another store: two stores of one account would import every order twice, and
    ship it twice.
    """

    code = "account_connected"
    sentence = _l(
        "The store “%(store)s” is already connected to this account. Archive one of the two stores, or enter "
        "the credentials of another account."
    )


class UnknownStore(NotFound):
    """No store has this name or id, or none that this person may see."""

    code = "unknown_store"
    sentence = _l("There is no store “%(name)s”.")


class UnknownChannel(NotFound):
    """No plugin registers a channel with this code."""

    code = "unknown_channel"
    sentence = _l("There is no channel “%(name)s”.")


class SeveralStoresFit(SeveralFit):
    """A name that several stores have; `values["choices"]` names them by their ids."""

    code = "several_stores_fit"
    sentence = _l("“%(name)s” matches several stores. Give the ID of one of them: %(choices)s.")


def get_channel(code: str) -> Channel:
    """The channel with this code; raises `NotFound` if no plugin registers it."""
    known = channels()
    if code not in known:
        raise UnknownChannel(name=code)
    return known[code]


def _connection_settings(store: Store) -> Sequence[Setting[Any]]:
    """The settings that the store's channel declares; none if no plugin registers the channel."""
    channel = channels().get(store.channel)
    return channel.settings if channel else ()


def _check_practice(store: Store, had: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse to move a practice store to another address."""
    if store.practice and (changed := endpoints_changed(had, given)):
        raise Invalid(field=changed[0], problem=_l("The endpoint of a practice store can't be changed."))


def endpoints_changed(had: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """The endpoints of a connection that are given anew: to another one its secrets would be sent."""
    return [name for name in ENDPOINTS if name in had and name in given and given[name] != had[name]]


CONNECTION = SettingsGroup("connection", _l("Connection"), _connection_settings, scope=STORE, check=_check_practice)


def channel_name(code: str) -> str:
    """A channel's name; its code if no plugin registers it."""
    channel = channels().get(code)
    return str(channel.label) if channel else code


def access(store: Store) -> StoreAccess:
    """The store's credentials and settings, as its channel gets them; they hold secrets, so they are kept in memory
    only.
    """
    served = tuple(row.marketplace for row in store.marketplaces)
    return StoreAccess(store.id, CONNECTION.read(store), practice=store.practice, marketplaces=served)


def access_with(store: Store, values: Mapping[str, Any], *, unset: Collection[str] = (), actor: Actor) -> StoreAccess:
    """The store as its channel would get it with these values, which are not stored: to try them first. A stored
    secret goes to no endpoint that is typed. Raises `Invalid`.
    """
    actor.needs("stores.edit")
    actor.needs_shops(store.shop_ids)
    had, settings = CONNECTION.read(store), rehearse(CONNECTION, values, store, unset=unset)
    secrets = [one.name for one in CONNECTION.declared(store) if one.secret and had[one.name]]
    kept = [name for name in secrets if name not in unset and not str(values.get(name) or "").strip()]
    if kept and (changed := endpoints_changed(had, settings)):
        raise Invalid(field=changed[0], problem=_l("The endpoint is another one, so enter the secrets again."))
    names = sorted(name for name, value in settings.items() if value != had[name])
    audit("connection_rehearsed", actor=actor, store=store.id, settings=names)
    served = tuple(row.marketplace for row in store.marketplaces)
    return StoreAccess(store.id, settings, practice=store.practice, marketplaces=served)


def access_without_secrets(store: Store) -> StoreAccess:
    """The store as its channel gets it while a page is drawn: without the secret settings."""
    return StoreAccess(store.id, _OpenSettings(store), practice=store.practice)


class _OpenSettings(Mapping[str, Any]):
    """The settings of a store's connection that are not secret; read only if the channel asks for one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def _values(self) -> dict[str, Any]:
        return CONNECTION.read(self._store, [one for one in CONNECTION.declared(self._store) if not one.secret])

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def account_of(store: Store) -> str:
    """An identifier of the seller's account, which stores of one channel may share; if the channel named none, the
    store's own.
    """
    return store.account or f"store {store.id}"


def stores_of_account(store: Store) -> list[int]:
    """The ids of all stores with the same seller's account as this one."""
    if not store.account:
        return [store.id]
    return list(
        db.session.scalars(select(Store.id).where(Store.channel == store.channel, Store.account == store.account))
    )


def account_refusal(store: Store, account: str) -> AccountConnected | None:
    """Why a store can't be connected to this account: a store that is not archived already has it. Practice stores
    and real stores don't count for each other. Of two calls at once, the second waits until the first one's unit of
    work has ended.
    """
    if not account:
        return None
    hold_name(f"account {store.channel} {account}")
    others = select(Store.name, Store.problem).where(
        Store.channel == store.channel,
        Store.account == account,
        Store.practice == store.practice,
        Store.archived_at.is_(None),
        Store.id != store.id,
    )
    for name, problem in db.session.execute(others.order_by(Store.id)):
        if class_of(problem) is not AccountConnected:  # a store that was refused itself does not have the account
            return AccountConnected(store=name)
    return None


def is_refused(store: Store) -> bool:
    """Whether the store was refused since another store has its account: then nothing is read from it or sent to it."""
    return class_of(store.problem) is AccountConnected


def refused_beside(store: Store) -> list[Store]:
    """The other stores of this store's channel that were refused since another store has their account."""
    query = select(Store).where(Store.channel == store.channel, Store.practice == store.practice, Store.id != store.id)
    return [other for other in db.session.scalars(query.order_by(Store.id)) if is_refused(other)]


def stores(actor: Actor | None = None) -> list[Store]:
    """All stores by name, archived ones too; with an actor, only those that serve the actor's shops."""
    query = select(Store).order_by(Store.name)
    return list(db.session.scalars(query if actor is None else serving(query, actor)))


def serving(query: Select[*Ts], actor: Actor) -> Select[*Ts]:
    """Limit a query of stores to those that have orders for the actor's shops."""
    if actor.shops is None:
        return query
    of_shops = select(StoreMarketplace.store_id).where(StoreMarketplace.shop_id.in_(actor.shops))
    return query.where(or_(Store.shop_id.in_(actor.shops), Store.id.in_(of_shops)))


def seen_store(store_id: int, actor: Actor) -> Store:
    """The store, if it serves the actor's shops; else raises `NotFound`."""
    store = db.session.get(Store, store_id) if 0 < store_id < 2**31 else None
    if store is None or not actor.serves(store.shop_ids):
        raise UnknownStore(name=store_id)
    return store


def get_store(key: int | str) -> Store:
    """A store by id or by name; for a text of digits, an id comes before a name."""
    return named(stores(), key, UnknownStore, SeveralStoresFit)


def default_shop() -> Shop:
    """The desk's first shop, created when the first store needs it."""
    shop = db.session.scalar(select(Shop).order_by(Shop.id).limit(1))
    if shop is None:
        shop = create_shop(str(_l("My shop")), prefix="")
    return shop


def add_store(
    channel_code: str, name: str, values: Mapping[str, Any], *, actor: Actor, practice: bool = False
) -> Store:
    """Add a store and its credentials. Raises `Invalid` for an invalid setting, `NotFound` for an unknown channel."""
    actor.needs("stores.edit")
    actor.needs_all_shops()
    channel = get_channel(channel_code)
    store = Store(channel=channel.code, shop_id=default_shop().id, practice=practice, created_at=now())
    store.name = _free_name(name, store)
    db.session.add(store)
    db.session.flush()
    store_all(CONNECTION, values, store, added=True)
    audit("store_added", actor=actor, store=store.id, channel=channel.code)
    return store


def change_store(
    store: Store,
    values: Mapping[str, Any],
    *,
    unset: Collection[str] = (),
    actor: Actor,
    name: str | None = None,
) -> None:
    """Change a store's name and connection. Consequences, such as a test of the connection, are started by listeners
    of `settings_changed`.
    """
    actor.needs("stores.edit")
    actor.needs_shops(store.shop_ids)
    if name is not None and (free := _free_name(name, store)) != store.name:
        store.name = free
        audit("store_changed", actor=actor, store=store.id)
    change(CONNECTION, values, store, unset=unset, actor=actor)


def check_name(name: str) -> None:
    """Raise `Invalid` for a name that no new store can have."""
    _free_name(name, None)


def _free_name(name: str, store: Store | None) -> str:
    name = name.strip()
    if not name:
        raise Invalid(field=_l("Name"), problem=_l("Enter a value."))
    # Compared in Python, since SQLite's lower() handles ASCII only.
    taken = any(other.name.casefold() == name.casefold() for other in stores() if store is None or other.id != store.id)
    if taken or name.isdigit():
        raise Invalid(
            field=_l("Name"),
            problem=_l("Another store has this name, or the name has only digits. Choose another name."),
        )
    return name


def remember_marketplaces(store: Store, connection: Connection) -> bool:
    """Store a channel's answer about a store's marketplaces; each keeps the shop to which it belongs. Returns whether
    the channel named a marketplace that the store did not have.

    Only refused credentials, and an account that another store has, stop a store's traffic: an unreachable channel does
    not. A store that was connected by a version that did not ask for accounts keeps working, even beside another store
    of its account.
    """
    if connection.ok and _is_to_refuse(store, connection.account):
        return False
    had = {row.marketplace: row for row in store.marketplaces}
    for marketplace in connection.marketplaces:
        row = had.get(marketplace.id)
        if row is None:
            row = StoreMarketplace(store_id=store.id, marketplace=marketplace.id)
            store.marketplaces.append(row)
        row.country, row.currency, row.zone = marketplace.country, marketplace.currency, marketplace.zone
    if connection.ok:
        store.problem, store.account_state = None, AccountState.KNOWN
        store.account = connection.account or store.account
    elif isinstance(connection.problem, Disconnected):
        store.problem = connection.problem.stored()
    return any(marketplace.id not in had for marketplace in connection.marketplaces)


def _is_to_refuse(store: Store, account: str) -> bool:
    """Whether another store has the account; if so, record this as the store's problem."""
    has_it = store.account == account and not is_refused(store)
    if has_it or store.account_state == AccountState.OLDER:
        return False
    refusal = account_refusal(store, account)
    if refusal is not None:
        store.problem = refusal.stored()
    return refusal is not None


def draw_numbers(shop_id: int, count: int) -> list[str]:
    """Draw numbers of a shop's sequence, in a short transaction of their own: unused numbers leave a gap.

    Must not be called within a unit of work: on SQLite the two would wait for each other.
    """
    if count == 0:
        return []
    with translated_failures(), Session(db.engine) as session:
        session.connection(execution_options={"writes": True})
        numbers = _draw(session, shop_id, count)
        session.commit()
    return numbers


def take_number(shop_id: int) -> str:
    """The next number of a shop's sequence, within the open unit of work; for the rare order for which none was
    drawn before.
    """
    return _draw(db.session(), shop_id, 1)[0]


def _draw(session: Session, shop_id: int, count: int) -> list[str]:
    drawn = session.execute(
        update(NumberSequence)
        .where(NumberSequence.shop_id == shop_id, NumberSequence.kind == ORDERS)
        .values(next=NumberSequence.next + count)
        .returning(NumberSequence.prefix, NumberSequence.padding, NumberSequence.next)
    ).one()
    return [f"{drawn.prefix}{number:0{drawn.padding}d}" for number in range(drawn.next - count, drawn.next)]
