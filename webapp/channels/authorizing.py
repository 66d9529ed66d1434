"""Authorizations at a channel's own site: a person leaves the desk, consents there, and is sent back with an answer.

What was begun is kept in the queue's server for half an hour, sealed, under a random `state` that the channel hands
back: with the session of the person, and the store, or what was typed for a new one. It is taken once. Nothing of it is
in an address of the desk; the answer is, so the page that gets it redirects at once. What was typed for a new store is
kept beside it as long, for the form of a person who comes back without an authorization.
"""

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from types import NoneType
from typing import Any

from redis import RedisError

from webapp.audit.actor import Actor
from webapp.channels.connecting import StoreAccess
from webapp.channels.contract import Channel
from webapp.channels.models import Store
from webapp.channels.services import check_name, get_channel
from webapp.errors import DeskError, Refusal, Unavailable
from webapp.hooks.fence import PluginFailed, ask
from webapp.i18n import lazy_gettext as _l
from webapp.live import connection, key
from webapp.vault.key_file import open_secret, seal_secret

LASTS = 1800  # seconds for which a person may take to consent


class AuthorizationUnknown(Refusal):
    """The state is none that this session was given, or its time is over, or it was used."""

    code = "authorization_unknown"
    sentence = _l("This authorization was not started in this session, has expired, or was already used. Start again.")


class NotReady(Refusal):
    """A setting is missing without which nobody can be sent to the channel."""

    code = "authorization_not_ready"
    sentence = _l(
        "The authorization at %(channel)s can't start yet. Fill in the fields that it needs, such as the "
        "application's ID."
    )


@dataclass(frozen=True, slots=True)
class Begun:
    """An authorization under way: of a known store, or of a new one with what was typed for it."""

    session_id: int
    channel: str
    store_id: int | None = None
    name: str = ""
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    practice: bool = False


def access_for_new(
    channel: Channel, name: str, values: Mapping[str, Any], *, actor: Actor, practice: bool = False
) -> StoreAccess:
    """A store that is not there yet, as its channel gets it: what the authorization will give may be missing. Raises
    `Invalid`.
    """
    actor.needs("stores.edit")
    actor.needs_all_shops()
    check_name(name)
    parsed = {}
    for one in channel.settings:
        given = values.get(one.name, "" if one.required else one.default)
        parsed[one.name] = one.parse(given) if str(given).strip() or one.name not in channel.authorizes else ""
    return StoreAccess(0, parsed, practice=practice)


def begin(begun: Begun, access: StoreAccess, *, back: str) -> str:
    """Keep what was begun, and return the address at the channel to which the person goes; `back` is the desk's, to
    which the channel sends them. Raises `NotReady`.
    """
    channel, state = get_channel(begun.channel), secrets.token_urlsafe(32)
    url = _url(channel, access, state, back)
    if not url:
        raise NotReady(channel=str(channel.label))
    _keep(_key(state), begun)
    keep_typed(begun)
    return url


def take(state: str, *, session_id: int) -> Begun:
    """What was begun under this state in this session; it can be taken once. Raises `AuthorizationUnknown`."""
    try:
        begun = _opened(connection().getdel(_key(state))) if state else None
    except RedisError as error:
        raise Unavailable(what="queue") from error
    if begun is None or begun.session_id != session_id:
        raise AuthorizationUnknown
    return begun


def keep_typed(begun: Begun) -> None:
    """Keep what a person typed for a new store, for half an hour from now; nothing of a known or practice store."""
    if not begun.store_id and not begun.practice:
        _keep(_typed_key(begun.session_id, begun.channel), begun)


def typed(channel: str, *, session_id: int) -> Begun | None:
    """What was typed in this session for a new store of this channel that is not connected yet, with its secrets;
    None if nothing is kept.
    """
    with suppress(RedisError):  # then the form is empty
        return _opened(connection().get(_typed_key(session_id, channel)))
    return None


def forget_typed(channel: str, *, session_id: int) -> None:
    """Forget what was typed: the store is connected."""
    with suppress(RedisError):  # it is gone after half an hour
        connection().delete(_typed_key(session_id, channel))


def _keep(name: str, begun: Begun) -> None:
    try:
        connection().set(name, seal_secret(json.dumps(asdict(begun))), ex=LASTS)
    except RedisError as error:
        raise Unavailable(what="queue") from error


def _opened(sealed: Any) -> Begun | None:
    return Begun(**json.loads(open_secret(sealed.decode()))) if sealed else None


def _url(channel: Channel, access: StoreAccess, state: str, back: str) -> str | None:
    return ask(channel, "connection", channel.authorize_url, access, state, back, gives=(str, NoneType))


def can_begin(store: Store, access: StoreAccess) -> bool:
    """Whether a store's channel can be asked for an authorization, with the settings that the store has."""
    channel = get_channel(store.channel)
    try:
        return bool(channel.authorizes) and bool(_url(channel, access, "", ""))
    except PluginFailed:
        return False


def settings_from(channel: Channel, access: StoreAccess, answer: Mapping[str, str], *, back: str) -> dict[str, Any]:
    """The settings that the channel's answer gives. It calls the network, so it may not be called in a transaction.
    Raises the channel's errors.
    """
    found = ask(channel, "connection", channel.authorized, access, answer, back, gives=Mapping, raises=DeskError)
    return {name: str(found[name]) for name in channel.authorizes if found.get(name)}


def _key(state: str) -> str:
    return key("authorization", state)


def _typed_key(session_id: int, channel: str) -> str:
    return key("typed", f"{session_id}:{channel}")
