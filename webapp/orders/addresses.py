"""Where an order goes: the channel's address, or the one that somebody here put in its place.

A corrected address is sealed beside the channel's, which is kept as it came, and is shown everywhere instead of it. The
same address sent again keeps the correction; another one is a matter of attention, since only people can say which is
right. How addresses are written stands in `postal`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.audit.actor import Actor
from webapp.channels.contract import FulfilledBy
from webapp.channels.services import channel_name
from webapp.clock import iso, now
from webapp.errors import Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.postal import normalized
from webapp.orders.search_words import add_address, terms_of_buyer
from webapp.orders.services import settle_attention
from webapp.orders.states import OPEN_STATES
from webapp.search import index
from webapp.search.index import Indexed
from webapp.search.terms import index_key
from webapp.vault import services as vault
from webapp.vault.services import ADDRESS, BUYER, DataKeys

CHANGED = "address_changed"  # the kind of attention: the channel sent another one since
KINDS = (BUYER, ADDRESS)


class AddressSettled(Refusal):
    """There is nothing left that could go elsewhere."""

    code = "address_settled"
    sentence = _l("Nothing of this order is left to ship, so its address stays as it is.")


class AddressNotOurs(Refusal):
    """What the channel ships from its own warehouse goes where the channel says."""

    code = "address_not_ours"
    sentence = _l("%(channel)s itself ships this order, so its address can't be changed here.")


class BuyersHidden(Refusal):
    """An address can't be changed unseen."""

    code = "buyers_hidden"
    sentence = _l("Your role does not show buyer data, so you can't change an address.")


@dataclass(frozen=True, slots=True)
class ShownAddress:
    """The address that an order goes to; `there` is the channel's own where it was corrected here."""

    address: Mapping[str, Any]
    there: Mapping[str, Any] | None = None
    corrected_at: str | None = None

    @property
    def corrected(self) -> bool:
        return self.there is not None


def address_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why the address can't be changed now, asked by the button and by `change_address`."""
    if not actor.may("buyers.see"):
        return BuyersHidden()
    if order.state not in OPEN_STATES or not order.unshipped:
        return AddressSettled()
    if order.fulfilled_by == FulfilledBy.CHANNEL:
        return AddressNotOurs(channel=channel_name(order.store.channel))
    return None


def change_address(order: Order, fields: Mapping[str, str], *, actor: Actor) -> None:
    """Send the order elsewhere; the caller holds the order's lock. The history stands sealed in the events.

    Raises the refusal of `address_refusal`, or `Invalid` naming the field. The address that stands there already
    settles what was the matter with it, and changes nothing else.
    """
    if refusal := address_refusal(order, actor):
        raise refusal
    wanted = normalized(fields)
    keys = DataKeys([order.id], KINDS)
    buyer, had = (keys.opened(part).get(order.id) or {} for part in KINDS)
    theirs = buyer.get("address") or {}
    before = shown_of(theirs, had).address
    kind = {"kind": before["kind"]} if before.get("kind") else {}
    same = wanted | kind == _filled(before)
    if same and order.address_state == "ok" and not _troubled(order):
        return
    correction = {"address": wanted | kind, "there": _filled(theirs), "at": iso(now())}
    vault.put(order.id, ADDRESS, correction)
    key = index_key()
    gone = terms_of_buyer(had, key) - terms_of_buyer(buyer, key)
    index.take_away([Indexed(order.id, order.placed_at, gone)])
    add_address(order, wanted)
    order.address_state, order.country = "ok", wanted["country"]
    for trouble in ("odd_address", CHANGED):
        settle_attention(order, trouble)
    record(order, "readdressed", actor=actor, sealed={"before": _filled(before), "after": wanted | kind})


def shown(order_ids: Sequence[int], actor: Actor, *, purpose: str) -> dict[int, ShownAddress]:
    """Where these orders go, by right and on the record, in one query; those without an address are left out."""
    if not order_ids:
        return {}
    keys = vault.reveal_kinds(actor, order_ids, purpose=purpose, kinds=KINDS)
    return {order_id: address for order_id in order_ids if (address := of_keys(keys, order_id)).address}


def of_keys(keys: DataKeys, order_id: int) -> ShownAddress:
    """Where one order goes, of those whose records of `KINDS` were revealed already."""
    theirs = (keys.opened(BUYER).get(order_id) or {}).get("address") or {}
    return shown_of(theirs, keys.opened(ADDRESS).get(order_id))


def shown_of(theirs: Mapping[str, Any], corrected: Mapping[str, Any] | None) -> ShownAddress:
    """What is shown, from the channel's address and the record of the correction, if there is one."""
    if not corrected:
        return ShownAddress(theirs)
    return ShownAddress(corrected["address"], theirs, corrected.get("at"))


# --- What the channel tells since -------------------------------------------------------------------------------------


def corrected(theirs: Mapping[int, Mapping[str, Any]]) -> dict[int, bool]:
    """Those of the orders whose address was corrected here, and whether the channel now tells another than the one that
    the correction stands for. One that it did not tell this time is no other.
    """
    keys = DataKeys(list(theirs), (ADDRESS,)) if theirs else None
    return {
        order_id: bool(_filled(theirs[order_id])) and _filled(theirs[order_id]) != record["there"]
        for order_id, record in (keys.opened(ADDRESS) if keys else {}).items()
    }


def attention_beside(found: list[dict[str, Any]], changed: bool) -> list[dict[str, Any]]:
    """What is the matter with an order whose address was corrected: that of the channel's own no longer counts."""
    others = [trouble for trouble in found if trouble["kind"] not in ("odd_address", CHANGED)]
    return [*others, {"kind": CHANGED, "values": {}}] if changed else others


def _filled(address: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in address.items() if value}


def _troubled(order: Order) -> bool:
    return any(trouble["kind"] in ("odd_address", CHANGED) for trouble in order.attention)
