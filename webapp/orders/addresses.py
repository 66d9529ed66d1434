"""The delivery address of an order: the channel's, or the one with which somebody here replaced it.

A corrected address is sealed beside the channel's, which is kept unchanged, and is shown everywhere instead of it. If
the channel sends its old address again, the correction holds; if it sends another address, the order needs attention,
since only people can decide which one is right. The rules for writing addresses are in `postal`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.audit.actor import Actor
from webapp.channels.incoming import FulfilledBy
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

CHANGED = "address_changed"  # the kind of attention: the channel sent another address after the correction
KINDS = (BUYER, ADDRESS)


class AddressSettled(Refusal):
    """No unit of the order is left that could still go to another address."""

    code = "address_settled"
    sentence = _l("This order has nothing left to ship, so its address can't be changed.")


class AddressNotOurs(Refusal):
    """The channel ships the order from its own warehouse, to the address that the channel has."""

    code = "address_not_ours"
    sentence = _l("%(channel)s itself ships this order, so its address can't be changed here.")


class BuyersHidden(Refusal):
    """Only a person who may see the address can change it."""

    code = "buyers_hidden"
    sentence = _l("Your role does not show buyer data, so you can't change an address.")


@dataclass(frozen=True, slots=True)
class ShownAddress:
    """The delivery address of an order; `there` is the channel's own address if it was corrected here."""

    address: Mapping[str, Any]
    there: Mapping[str, Any] | None = None
    corrected_at: str | None = None

    @property
    def corrected(self) -> bool:
        return self.there is not None


def address_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why the address can't be changed now; the button and `change_address` both ask it."""
    if not actor.may("buyers.see"):
        return BuyersHidden()
    if order.state not in OPEN_STATES or not order.unshipped:
        return AddressSettled()
    if order.fulfilled_by == FulfilledBy.CHANNEL:
        return AddressNotOurs(channel=channel_name(order.store.channel))
    return None


def change_address(order: Order, fields: Mapping[str, str], *, actor: Actor) -> None:
    """Correct the order's delivery address; the caller holds the order's lock. Events keep the earlier ones, sealed.

    Raises the refusal of `address_refusal`, or `Invalid` naming the field. Entering the address that the order has
    already changes nothing, but ends the attention for its address.
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
    """The delivery addresses of these orders, revealed by right and recorded, in one query; orders without one are
    left out.
    """
    if not order_ids:
        return {}
    keys = vault.reveal_kinds(actor, order_ids, purpose=purpose, kinds=KINDS)
    return {order_id: address for order_id in order_ids if (address := of_keys(keys, order_id)).address}


def of_keys(keys: DataKeys, order_id: int) -> ShownAddress:
    """The delivery address of one order, from records of `KINDS` that were revealed already."""
    theirs = (keys.opened(BUYER).get(order_id) or {}).get("address") or {}
    return shown_of(theirs, keys.opened(ADDRESS).get(order_id))


def shown_of(theirs: Mapping[str, Any], corrected: Mapping[str, Any] | None) -> ShownAddress:
    """The address to show, from the channel's address and the record of the correction, if there is one."""
    if not corrected:
        return ShownAddress(theirs)
    return ShownAddress(corrected["address"], theirs, corrected.get("at"))


# --- What the channel sends after a correction ------------------------------------------------------------------------


def corrected(theirs: Mapping[int, Mapping[str, Any]]) -> dict[int, bool]:
    """Those of the orders whose address was corrected here, and whether the channel now sends another address than
    the one that was corrected. An answer without an address is no change.
    """
    keys = DataKeys(list(theirs), (ADDRESS,)) if theirs else None
    return {
        order_id: bool(_filled(theirs[order_id])) and _filled(theirs[order_id]) != record["there"]
        for order_id, record in (keys.opened(ADDRESS) if keys else {}).items()
    }


def attention_beside(found: list[dict[str, Any]], changed: bool) -> list[dict[str, Any]]:
    """The attention of an order whose address was corrected: problems of the channel's own address no longer count."""
    others = [trouble for trouble in found if trouble["kind"] not in ("odd_address", CHANGED)]
    return [*others, {"kind": CHANGED, "values": {}}] if changed else others


def _filled(address: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in address.items() if value}


def _troubled(order: Order) -> bool:
    return any(trouble["kind"] in ("odd_address", CHANGED) for trouble in order.attention)
