"""The kinds of outward act that are registered, and what each answers about an update, asked through the fence."""

from collections.abc import Mapping
from functools import lru_cache
from types import NoneType
from typing import Any

from webapp.channels.contract import Channel
from webapp.channels.incoming import IncomingOrder
from webapp.channels.models import Store
from webapp.channels.outgoing import UpdateKind
from webapp.channels.registered import channels
from webapp.errors import NotFound, Refusal
from webapp.hooks import failures
from webapp.hooks.fence import PluginFailed, ask
from webapp.hooks.registered import fault, owner_of, registered
from webapp.orders.models import Order
from webapp.updates.contract import Contradicted, DoneElsewhere, Impossible, OutwardKind, Shown, Waits
from webapp.updates.models import ChannelUpdate

PLACE = "update"


def kinds() -> Mapping[str, OutwardKind]:
    """Every kind by its code, without those that wait for each other in a circle: they could never be sent."""
    return _without_circles(registered("register_outward_kinds", OutwardKind))  # type: ignore[type-abstract]


@lru_cache(maxsize=1)
def _without_circles(brought: tuple[OutwardKind, ...]) -> dict[str, OutwardKind]:
    found = {kind.code: kind for kind in brought}
    circles = {code for code in found if _waits_for(code, code, found, set())}
    for code in sorted(circles):
        problem = failures.NotTaken(f"the kind {code} waits for itself")
        fault(owner_of(found[code]), "register_outward_kinds", problem)
    return {code: kind for code, kind in found.items() if code not in circles}


def _waits_for(code: str, other: str, found: Mapping[str, OutwardKind], seen: set[str]) -> bool:
    """Whether a kind waits for another, directly or through others."""
    seen.add(code)
    ahead = found[code].waits_for if code in found else ()
    return any(one == other or (one not in seen and _waits_for(one, other, found, seen)) for one in ahead)


def apart(code: str) -> list[str]:
    """The kinds that are never under way beside this one in the same order, whichever of the two declares it."""
    known = kinds()
    own = known[code].never_with if code in known else ()
    return sorted({*own, *(other.code for other in known.values() if code in other.never_with)} - {code})


def carried(store: Store) -> dict[str, UpdateKind]:
    """How the store's channel carries each kind that it can carry, by code; empty if its plugin is gone. Raises
    `PluginFailed`.
    """
    return carried_by(store.channel)


def carried_by(code: str) -> dict[str, UpdateKind]:
    """How a channel carries each kind that it can carry, by code. Raises `PluginFailed`."""
    channel = channels().get(code)
    return ask(channel, PLACE, _kinds_of, channel) if channel else {}


def _kinds_of(channel: Channel) -> dict[str, UpdateKind]:
    for kind in channel.kinds:
        if not isinstance(kind, UpdateKind):
            raise failures.WrongType(kind, UpdateKind)
    return {kind.code: kind for kind in channel.kinds}


def carriage_of(store: Store, code: str) -> UpdateKind:
    """How the store's channel carries this kind; raises `NotFound` if it can't."""
    known = carried(store)
    if code not in known:
        raise NotFound(name=code)
    return known[code]


def why_not(update: ChannelUpdate, order: Order) -> Refusal | None:
    """Why an update is no longer wanted. Raises `PluginFailed`, and `NotFound` if its kind is gone."""
    kind = kinds().get(update.kind)
    if kind is None:
        raise NotFound(name=update.kind)
    return ask(kind, PLACE, kind.stands, update, order, gives=(Refusal, NoneType))


def why_not_undone(update: ChannelUpdate) -> Refusal | None:
    """Why a person may not undo an update that has not left. Raises `PluginFailed`, and `NotFound` without its kind."""
    kind = kinds().get(update.kind)
    if kind is None:
        raise NotFound(name=update.kind)
    return ask(kind, PLACE, kind.undo_refusal, update, gives=(Refusal, NoneType))


def why_not_yet(update: ChannelUpdate, order: Order) -> Waits | Impossible | None:
    """Why an update can't be sent now. Raises `PluginFailed`."""
    kind = kinds()[update.kind]
    return ask(kind, PLACE, kind.ready, update, order, gives=(Waits, Impossible, NoneType))


def said_by(update: ChannelUpdate, reading: IncomingOrder) -> Shown | DoneElsewhere | Contradicted | None:
    """What a reading shows of an update; None if its kind is gone, or fails."""
    kind = kinds().get(update.kind)
    if kind is None:
        return None
    try:
        return ask(kind, PLACE, kind.shown_by, update, reading, gives=(Shown, DoneElsewhere, Contradicted, NoneType))
    except PluginFailed:
        return None


def private_of(update: ChannelUpdate) -> Mapping[str, Any]:
    """What is sent to a channel beside the payload. Raises `PluginFailed`."""
    kind = kinds()[update.kind]
    return ask(kind, PLACE, kind.private, update, gives=Mapping)
