"""Correcting a package that left from the desk: its carrier, service, tracking number or ship time.

Its confirmation is rewritten if it has not left. Otherwise the channel is owed another one under the same number, which
edits the package at the channel, goes after the earlier one and takes its place.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select

from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage
from webapp.channels.registered import channels
from webapp.channels.services import ChannelLeftOut, channel_name
from webapp.clock import iso
from webapp.db import db
from webapp.errors import DeskError, Invalid, Refusal
from webapp.fulfillment.cancellations import OrderCanceled
from webapp.fulfillment.confirmations import EARLIER, SHIPMENT, confirmations_of
from webapp.fulfillment.models import DESK, Package
from webapp.fulfillment.services import (
    CarrierNameNeeded,
    checked_carrier,
    checked_ship_time,
    checked_tracking_number,
    shipments_of,
)
from webapp.fulfillment.unshipping import SHIPPING, in_words
from webapp.i18n import lazy_gettext as _l
from webapp.orders.contract import NothingShipped
from webapp.orders.events import EventWords, record
from webapp.orders.models import Order
from webapp.orders.services import ManagedAtChannel
from webapp.orders.states import OrderState
from webapp.updates.contract import Owing
from webapp.updates.models import ChannelUpdate, UpdateState
from webapp.updates.owing import owe

WORDS = (
    EventWords("shipment_corrected", _l("Package %(package)s corrected: %(told)s, before: %(told_before)s"), SHIPPING),
    EventWords(
        "shipment_redated", _l("Package %(package)s corrected: shipped %(left)s, before: %(left_before)s"), SHIPPING
    ),
    EventWords(
        "shipment_corrected_redated",
        _l(
            "Package %(package)s corrected: %(told)s, shipped %(left)s; before: %(told_before)s, shipped "
            "%(left_before)s"
        ),
        SHIPPING,
    ),
)


class UnknownPackage(DeskError):
    code, status = "unknown_package", 422
    field = "package"
    sentence = _l("This order has no package %(package)s.")


class ShippedElsewhere(Refusal):
    """The package was shipped elsewhere: the desk never sent a confirmation of it."""

    code = "package_elsewhere"
    sentence = _l("Package %(package)s was not shipped in Waybill. Correct it where it was shipped.")


class ConfirmedElsewhere(Refusal):
    """The channel does not know the desk's own package: somebody else confirmed its units in a package of their own."""

    code = "package_confirmed_elsewhere"
    sentence = _l(
        "On %(channel)s, the units of package %(package)s are in a package that Waybill did not send. Correct "
        "that package on %(channel)s."
    )


class NothingDifferent(DeskError):
    code, status = "nothing_different", 422
    sentence = _l("Package %(package)s already has these values. Change at least one of them.")


@dataclass(frozen=True, slots=True)
class Correction:
    """What is corrected of a package; None stays as it is."""

    carrier: str | None = None
    carrier_name: str | None = None
    service: str | None = None
    tracking_number: str | None = None
    shipped_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ShippedPackage:
    """A package of an order, and the latest confirmation that its channel is owed, if any."""

    package: Package
    confirmation: ChannelUpdate | None


def shipped_packages(order: Order) -> dict[int, ShippedPackage]:
    """The order's packages by number, each with its latest confirmation."""
    latest = {row.reference: row for row in confirmations_of(order)}
    packages = [package for shipment in shipments_of(order) for package in shipment.packages]
    return {package.number: ShippedPackage(package, latest.get(str(package.number))) for package in packages}


def correcting_refusals(order: Order, actor: Actor) -> dict[int, Refusal | None]:
    """By package number, why it can't be corrected now, or None; asked by the buttons and by `correct_shipment`."""
    return {number: _refusal(order, one) for number, one in shipped_packages(order).items()}


def _refusal(order: Order, one: ShippedPackage) -> Refusal | None:
    channel, number = order.store.channel, one.package.number
    if channel not in channels():
        return ChannelLeftOut(channel=channel)
    if order.managed_at_channel:
        return ManagedAtChannel()
    if one.package.shipment.origin != DESK:
        return ShippedElsewhere(package=number)
    if order.state == OrderState.CANCELED or order.channel_order.stage == ChannelStage.CANCELED:
        return OrderCanceled()
    if one.confirmation is not None and one.confirmation.state == UpdateState.DONE_ELSEWHERE:
        return ConfirmedElsewhere(channel=channel_name(channel), package=number)
    return None


def correct_shipment(order: Order, number: int | None, correction: Correction, *, actor: Actor) -> Package:
    """Correct a package of the order, by its number (None: its only one); the caller holds the order's lock.

    Raises a refusal of `correcting_refusals`, or an error of a value; then nothing is corrected.
    """
    one = chosen_package(shipped_packages(order), number)
    if refusal := _refusal(order, one):
        raise refusal
    package = one.package
    before, words = _values_of(package), in_words(package)
    for name, value in _checked(order, package, correction).items():
        setattr(package, name, value)
    if _values_of(package) == before:
        raise NothingDifferent(package=package.number)
    code, values = _event(package, before, words)
    record(order, code, actor=actor, values=values)
    _owe_correction(order, package)
    return package


def find_package(order: Order, number: int) -> Package:
    """The order's package with this number; raises `UnknownPackage`."""
    row = db.session.scalar(select(Package).where(Package.order_id == order.id, Package.number == number))
    if row is None:
        raise UnknownPackage(package=number)
    return row


def chosen_package(known: Mapping[int, ShippedPackage], number: int | None) -> ShippedPackage:
    """The package with this number, or the only one if none is named."""
    if not known:
        raise NothingShipped
    if number is None and len(known) > 1:
        raise Invalid(field="package", problem=_l("This order has several packages. Choose one."))
    if number is not None and number not in known:
        raise UnknownPackage(package=number)
    return known[number] if number is not None else next(iter(known.values()))


def _checked(order: Order, package: Package, correction: Correction) -> dict[str, Any]:
    """The values to set; those of the carrier are checked only if they are given, since its list may have changed."""
    values: dict[str, Any] = {}
    if correction.carrier is not None or correction.carrier_name is not None:
        values["carrier"], values["carrier_name"] = _carrier(order, package, correction)
    if correction.service is not None:
        values["service"] = correction.service.strip()
    if correction.tracking_number is not None:
        values["tracking_number"] = checked_tracking_number(correction.tracking_number)
    if correction.shipped_at is not None and _minute(correction.shipped_at) != _minute(package.shipped_at):
        values["shipped_at"] = checked_ship_time(order, correction.shipped_at)
    return values


def _minute(at: datetime) -> datetime:
    """Forms show times to the minute: one that was not touched is no correction."""
    return at.replace(second=0, microsecond=0)


def _carrier(order: Order, package: Package, correction: Correction) -> tuple[str, str]:
    """The carrier and its name; another carrier that needs no name does not inherit that of the former one."""
    carrier = package.carrier if correction.carrier is None else correction.carrier
    name = package.carrier_name if correction.carrier_name is None else correction.carrier_name
    if carrier != package.carrier and name == package.carrier_name:
        with suppress(CarrierNameNeeded):
            return checked_carrier(order, carrier, "")
        name = correction.carrier_name or ""
    return checked_carrier(order, carrier, name)


_FIELDS = ("carrier", "carrier_name", "service", "tracking_number", "shipped_at")


def _values_of(package: Package) -> dict[str, Any]:
    return {name: getattr(package, name) for name in _FIELDS}


def _event(package: Package, before: Mapping[str, Any], words: str) -> tuple[str, dict[str, Any]]:
    """The code of the event and the values of its sentence: what is different, as it is and as it was."""
    values: dict[str, Any] = {"package": package.number}
    if in_words(package) != words:
        values |= {"told": in_words(package), "told_before": words}
    if package.shipped_at != before["shipped_at"]:
        values |= {"left": iso(package.shipped_at), "left_before": iso(before["shipped_at"])}
    code = f"shipment{'_corrected' if 'told' in values else ''}{'_redated' if 'left' in values else ''}"
    return code, values


def _owe_correction(order: Order, package: Package) -> None:
    """Owe the channel the package as it is now. A new confirmation names what earlier ones may have sent, so that a
    reading that still shows this does not prove it.
    """
    for row in owe(SHIPMENT, [Owing(order, package, order.ship_by)]):
        query = select(ChannelUpdate.payload).where(
            ChannelUpdate.order_id == order.id,
            ChannelUpdate.kind == SHIPMENT,
            ChannelUpdate.reference == row.reference,
            ChannelUpdate.revision < row.revision,
            or_(ChannelUpdate.attempts > 0, ChannelUpdate.look_from.is_not(None)),
        )
        earlier = [payload["package"] for payload in db.session.scalars(query.order_by(ChannelUpdate.revision))]
        row.payload = row.payload | ({EARLIER: earlier} if earlier else {})
