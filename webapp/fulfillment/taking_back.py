"""Taking packages back while the channel certainly was not told of them; later, they can only be corrected."""

from collections.abc import Mapping, Sequence

from webapp.audit.actor import Actor
from webapp.channels.services import channel_name
from webapp.errors import Refusal
from webapp.fulfillment.confirmations import SHIPMENT
from webapp.fulfillment.correcting import (
    NothingShipped,
    ShippedElsewhere,
    ShippedPackage,
    UnknownPackage,
    of_all,
    shipped_packages,
)
from webapp.fulfillment.models import DESK, Package
from webapp.fulfillment.unshipping import unship, unshipping_refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.orders.services import ManagedAtChannel
from webapp.updates.owing import withdraw


class ConfirmationLeft(Refusal):
    """The channel may have been told, and no channel takes a shipment back."""

    code = "confirmation_left"
    sentence = _l(
        "Its confirmation was already tried, and %(channel)s can't undo a shipment. Correct what is wrong in it; "
        "if the goods have not left, send them now, or refund the buyer."
    )


class ToldByOthers(Refusal):
    """The desk owes the channel no confirmation of the package."""

    code = "told_by_others"
    sentence = _l("%(channel)s does not learn of this package from the desk: it can't be taken back here.")


def taking_back_refusals(order: Order, actor: Actor) -> dict[int, Refusal | None]:
    """By package number, why it can't be taken back now, or None; asked by the buttons and by `take_back`."""
    return {number: _refusal(order, one) for number, one in shipped_packages(order).items()}


def taking_back_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why no package of the order can be taken back now."""
    return of_all(taking_back_refusals(order, actor))


def _refusal(order: Order, one: ShippedPackage) -> Refusal | None:
    channel, update = channel_name(order.store.channel), one.confirmation
    if order.managed_at_channel:
        return ManagedAtChannel()
    if one.package.shipment.origin != DESK:
        return ShippedElsewhere(package=one.package.number)
    if update is None:
        return ToldByOthers(channel=channel)
    if update.revision > 1 or not update.never_left:
        return ConfirmationLeft(channel=channel)
    return unshipping_refusal(order, [one.package])


def take_back(order: Order, number: int | None = None, *, actor: Actor) -> None:
    """Take back a package of the order, by its number, or all packages of the desk's latest shipment; the caller holds
    the order's lock. Their units are open again, and nothing of them is told to the channel.

    Raises a refusal of `taking_back_refusals`; then nothing is taken back.
    """
    known = shipped_packages(order)
    chosen = _chosen(known, number)
    for one in chosen:
        if refusal := _refusal(order, one):
            raise refusal
    packages: list[Package] = [one.package for one in chosen]
    if together := unshipping_refusal(order, packages):
        raise together
    references = [str(package.number) for package in packages]
    unship(order, packages, actor=actor)
    withdraw(SHIPMENT, order, references)


def _chosen(known: Mapping[int, ShippedPackage], number: int | None) -> Sequence[ShippedPackage]:
    if not known:
        raise NothingShipped
    if number is not None:
        if number not in known:
            raise UnknownPackage(package=number)
        return [known[number]]
    ours = [one for one in known.values() if one.package.shipment.origin == DESK] or list(known.values())
    latest = max(one.package.shipment_id for one in ours)
    return [one for one in ours if one.package.shipment_id == latest]
