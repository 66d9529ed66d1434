"""Taking packages back while the channel certainly does not have them: their confirmation has not left, or was refused.
Later, they can only be corrected.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from webapp.audit.actor import Actor
from webapp.channels.services import channel_name
from webapp.errors import DeskError, Refusal
from webapp.fulfillment.confirmations import SHIPMENT
from webapp.fulfillment.correcting import ShippedElsewhere, ShippedPackage, UnknownPackage, shipped_packages
from webapp.fulfillment.models import DESK, Package
from webapp.fulfillment.unshipping import unship, unshipping_refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.contract import NothingShipped
from webapp.orders.models import Order
from webapp.orders.services import ManagedAtChannel
from webapp.updates.ending import settle_troubles
from webapp.updates.models import UpdateState
from webapp.updates.owing import withdraw


class ConfirmationLeft(Refusal):
    """The confirmation may have reached the channel, and no channel takes a shipment back."""

    code = "confirmation_left"
    sentence = _l(
        "Its confirmation was already tried, and %(channel)s can't undo a shipment. Correct what is wrong in it; "
        "if the goods have not left, send them now, or refund the buyer."
    )


class NothingShippedThen(DeskError):
    code, status = "nothing_shipped_then", 409
    sentence = _l("What was shipped then was taken back already.")


class NoConfirmationOwed(Refusal):
    """The desk owes the channel no confirmation of the package."""

    code = "no_confirmation_owed"
    sentence = _l("%(channel)s does not learn of this package from the desk: it can't be taken back here.")


def taking_back_refusals(order: Order, actor: Actor) -> dict[int, Refusal | None]:
    """By package number, why it can't be taken back now, or None; asked by the buttons and by `take_back`."""
    return {number: _refusal(order, one) for number, one in shipped_packages(order).items()}


def _refusal(order: Order, one: ShippedPackage) -> Refusal | None:
    channel, update = channel_name(order.store.channel), one.confirmation
    if order.managed_at_channel:
        return ManagedAtChannel()
    if one.package.shipment.origin != DESK:
        return ShippedElsewhere(package=one.package.number)
    if update is None:
        return NoConfirmationOwed(channel=channel)
    if update.revision > 1 or not (update.never_left or update.state == UpdateState.REFUSED):
        return ConfirmationLeft(channel=channel)
    return unshipping_refusal(order, [one.package])


def take_back(
    order: Order,
    number: int | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    actor: Actor,
) -> None:
    """Take back a package of the order, by its number, or all packages of the desk's latest shipment, of those that
    were recorded between these times if they are given; the caller holds the order's lock. Their units are open again,
    and their confirmations are never sent.

    Raises `NothingShippedThen`, or a refusal of `taking_back_refusals`; then nothing is taken back.
    """
    known = shipped_packages(order)
    chosen = _chosen(known, number) if number is not None else _latest(known, since, until)
    for one in chosen:
        if refusal := _refusal(order, one):
            raise refusal
    packages: list[Package] = [one.package for one in chosen]
    if together := unshipping_refusal(order, packages):
        raise together
    references = [str(package.number) for package in packages]
    for one in chosen:
        if one.confirmation is not None:
            settle_troubles(order, one.confirmation)  # before the event, which holds what the order has then
    unship(order, packages, actor=actor)
    withdraw(SHIPMENT, order, references)


def _chosen(known: Mapping[int, ShippedPackage], number: int) -> Sequence[ShippedPackage]:
    if not known:
        raise NothingShipped
    if number not in known:
        raise UnknownPackage(package=number)
    return [known[number]]


def _latest(
    known: Mapping[int, ShippedPackage], since: datetime | None, until: datetime | None
) -> Sequence[ShippedPackage]:
    if not known:
        raise NothingShipped
    ours = [one for one in known.values() if one.package.shipment.origin == DESK] or list(known.values())
    then = [one for one in ours if _between(one.package.shipment.at, since, until)]
    if not then:
        raise NothingShippedThen
    latest = max(one.package.shipment_id for one in then)
    return [one for one in then if one.package.shipment_id == latest]


def _between(at: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or since <= at) and (until is None or at <= until)
