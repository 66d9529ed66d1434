"""Taking packages back while the channel certainly does not have them: their confirmation has not left, or was tried
once and refused. Later, they can only be corrected.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.channels.services import channel_name
from webapp.db import db
from webapp.errors import DeskError, Refusal
from webapp.fulfillment.confirmations import SHIPMENT
from webapp.fulfillment.correcting import ShippedElsewhere, ShippedPackage, UnknownPackage, shipped_packages
from webapp.fulfillment.models import DESK, Package
from webapp.fulfillment.unshipping import SHIPPED, unship, unshipping_refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.contract import NothingShipped
from webapp.orders.models import Order, OrderEvent
from webapp.orders.services import ManagedAtChannel
from webapp.updates.ending import settle_troubles
from webapp.updates.models import ChannelUpdate, UpdateState
from webapp.updates.owing import withdraw
from webapp.updates.queries import any_waiting


class ConfirmationLeft(Refusal):
    """The confirmation may have reached the channel, and no channel takes a shipment back."""

    code = "confirmation_left"
    sentence = _l(
        "Waybill has already tried to send the shipment confirmation, and %(channel)s can't undo a shipment. "
        "Correct the package; if the goods have not left, ship them now or refund the buyer."
    )


class ShipmentGone(DeskError):
    """The shipment that is to be taken back is not there any more, or never was."""

    code, status = "shipment_gone", 409
    sentence = _l("This shipment no longer exists: it was already undone.")


class NoConfirmationOwed(Refusal):
    """The desk owes the channel no confirmation of the package."""

    code = "no_confirmation_owed"
    sentence = _l("Waybill does not send this package to %(channel)s, so its shipment can't be undone here.")


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
    if update.revision > 1 or not (update.never_left or _was_only_refused(update)):
        return ConfirmationLeft(channel=channel)
    return unshipping_refusal(order, [one.package])


def _was_only_refused(update: ChannelUpdate) -> bool:
    """Whether it was tried once, and refused: no answer was lost, after which a refusal may mean that the channel has
    the package already.
    """
    ended = update.state == UpdateState.REFUSED or (
        update.state == UpdateState.WITHDRAWN and update.refused_at is not None
    )
    return ended and update.attempts == 1


def take_back(
    order: Order,
    number: int | None = None,
    *,
    shipped_by: tuple[int, int] | None = None,
    actor: Actor,
) -> None:
    """Take back a package of the order, by its number, or all packages of the desk's latest shipment, or of the one by
    which the order's version rose from the first to the second of `shipped_by`; the caller holds the order's lock.
    Their units are open again, and their confirmations are never sent.

    Raises `ShipmentGone`, or a refusal of `taking_back_refusals`; then nothing is taken back.
    """
    known = shipped_packages(order)
    chosen = _chosen(known, number) if number is not None else _of_shipment(order, known, shipped_by)
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


def any_shipment_undoable(order_ids: Sequence[int]) -> bool:
    """Whether a shipment of one of these orders can be taken back, since its confirmation certainly has not left."""
    return any_waiting(SHIPMENT, order_ids)


def _chosen(known: Mapping[int, ShippedPackage], number: int) -> Sequence[ShippedPackage]:
    if not known:
        raise NothingShipped
    if number not in known:
        raise UnknownPackage(package=number)
    return [known[number]]


def _of_shipment(
    order: Order, known: Mapping[int, ShippedPackage], shipped_by: tuple[int, int] | None
) -> Sequence[ShippedPackage]:
    if not known:
        raise NothingShipped
    if shipped_by is not None:
        numbers = [number for number in _recorded(order, *shipped_by) if number in known]
        if not numbers:
            raise ShipmentGone
        return [known[number] for number in numbers]
    ours = [one for one in known.values() if one.package.shipment.origin == DESK] or list(known.values())
    latest = max(one.package.shipment_id for one in ours)
    return [one for one in ours if one.package.shipment_id == latest]


def _recorded(order: Order, since: int, version: int) -> list[int]:
    """The numbers of the packages that were shipped while the order's version rose from one to the other."""
    query = select(OrderEvent.data).where(
        OrderEvent.order_id == order.id,
        OrderEvent.code == SHIPPED,
        OrderEvent.version > since,
        OrderEvent.version <= version,
    )
    return [number for data in db.session.scalars(query) for number in data["values"].get("packages", [])]
