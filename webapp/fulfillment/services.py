"""Shipping orders.

A shipment takes open quantities off the order's lines, and its channel is owed a confirmation of each package.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Integer, cast, func, select
from sqlalchemy.orm import joinedload

from webapp.audit.actor import Actor, ActorKind
from webapp.channels.described import carriers
from webapp.channels.incoming import ChannelStage, FulfilledBy
from webapp.channels.registered import channels
from webapp.channels.services import ChannelLeftOut, channel_name
from webapp.clock import now
from webapp.db import among, db, once_a_transaction
from webapp.errors import DeskError, NotFound, Refusal
from webapp.fulfillment.canceling import BeingCanceled, forget_refused
from webapp.fulfillment.cancellations import OrderCanceled
from webapp.fulfillment.confirmations import SHIPMENT, owe_confirmations
from webapp.fulfillment.contract import FulfillmentProvider, PackageInput, ShipmentCreated
from webapp.fulfillment.models import DESK, Package, PackageLine, Shipment
from webapp.fulfillment.unshipping import SHIPPED
from webapp.hooks.fence import ask
from webapp.hooks.registered import by_code
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.telling import tell
from webapp.lists.spreadsheets import Damage, cleaned, damage_of
from webapp.orders.events import record
from webapp.orders.holds import OnHold
from webapp.orders.keeping import kept_now
from webapp.orders.models import Order, OrderLine
from webapp.orders.services import ManagedAtChannel, settle_state
from webapp.updates.models import ChannelUpdate

LOOKED_BACK = 200  # shipments of a person, for the carrier that is offered
CLOCK_SLACK = timedelta(minutes=2)  # a ship time up to this far ahead is accepted from a fast clock


class PaymentPending(Refusal):
    code = "payment_pending"
    sentence = _l("The payment is not verified yet. The order can ship after the channel has released it.")


class ShippedByChannel(Refusal):
    code = "shipped_by_channel"
    sentence = _l("%(channel)s itself ships this order.")


class LabelRequired(Refusal):
    code = "label_required"
    sentence = _l(
        "The shipping label of this order must be bought on the channel, which then confirms the shipment "
        "automatically."
    )


class CodesRequired(Refusal):
    code = "codes_required"
    sentence = _l(
        "%(sku)s needs authenticity codes, which can't be entered in Waybill yet. Confirm the shipment on the channel."
    )


class NothingOpen(Refusal):
    code = "nothing_open"
    sentence = _l("Nothing is left to ship.")


class NoAddress(Refusal):
    code = "no_address"
    sentence = _l("The order has no delivery address.")


class BuyerWantsCancel(Refusal):
    code = "buyer_wants_cancel"
    field = "ship_anyway"
    sentence = _l(
        "The buyer asked to cancel this order. To ship it anyway, open the order page and tick “ship anyway” "
        "under Ship."
    )


class TrackingNumberNeeded(DeskError):
    code, status = "tracking_number_needed", 422
    field = "tracking_number"
    sentence = _l("Enter a tracking number.")


class RoundedTrackingNumber(DeskError):
    code, status = "rounded_tracking_number", 422
    field = "tracking_number"
    sentence = _l(
        "A spreadsheet rounded this number: %(number)s. Format its column as text, and enter the whole number again."
    )


class ZeroedTrackingNumber(DeskError):
    code, status = "zeroed_tracking_number", 422
    field = "tracking_number"
    sentence = _l(
        "A spreadsheet replaced the last digits of this number with zeros: %(number)s. Format its column as "
        "text, and enter the whole number again. If the zeros are correct, put a space between the digits, "
        "as on the label."
    )


class DateAsTrackingNumber(DeskError):
    code, status = "date_as_tracking_number", 422
    field = "tracking_number"
    sentence = _l(
        "A spreadsheet converted this number to a date: %(number)s. Format its column as text, and enter the "
        "number again."
    )


class UnknownCarrier(DeskError):
    code, status = "unknown_carrier", 422
    field = "carrier"
    sentence = _l("This marketplace does not accept the carrier “%(carrier)s”. Accepted carriers: %(known)s.")


class CarrierNameNeeded(DeskError):
    code, status = "carrier_name_needed", 422
    field = "carrier_name"
    sentence = _l("Enter the name of the carrier.")


class OddShipTime(DeskError):
    code, status = "odd_ship_time", 422
    field = "ship_date"
    sentence = _l("The ship time must be between the order's arrival and now.")


class NoSuchLine(DeskError):
    code, status = "no_such_line", 422
    sentence = _l("Line %(line)s is not on this order.")


class EmptyPackage(DeskError):
    code, status = "empty_package", 422
    sentence = _l("A package needs at least one unit.")


_DAMAGES: Mapping[Damage, type[DeskError]] = {
    Damage.EXPONENT: RoundedTrackingNumber,
    Damage.ZEROS: ZeroedTrackingNumber,
    Damage.DATE: DateAsTrackingNumber,
}


def shipping_refusal(order: Order, actor: Actor, *, anyway: bool = False) -> Refusal | None:
    """Why the order can't ship now; asked by the button, by `ship_order`, and at every later step of shipping."""
    open_lines = [line for line in order.lines if line.open]
    if order.store.channel not in channels():
        return ChannelLeftOut(channel=order.store.channel)
    if order.fulfilled_by == FulfilledBy.CHANNEL and not order.managed_at_channel:
        return ShippedByChannel(channel=channel_name(order.store.channel))
    checks: tuple[tuple[bool, type[Refusal]], ...] = (
        (order.managed_at_channel, ManagedAtChannel),
        (order.state == "canceled" or order.channel_order.stage == ChannelStage.CANCELED, OrderCanceled),
        (order.canceling, BeingCanceled),
        (order.state == "pending", PaymentPending),
        (not open_lines or order.channel_order.stage == ChannelStage.SHIPPED, NothingOpen),
        (order.on_hold, OnHold),
        ("label_required" in order.flags, LabelRequired),
        (order.address_state == "missing", NoAddress),
        (order.buyer_wants_cancel and not anyway, BuyerWantsCancel),
    )
    for applies, refusal in checks:
        if applies:
            return refusal()
    if all(line.needs_codes for line in open_lines):
        return CodesRequired(sku=open_lines[0].sku or open_lines[0].title)
    return kept_now("keep_from_shipping", order)


def providers() -> dict[str, FulfillmentProvider]:
    return by_code("register_fulfillment_providers", FulfillmentProvider)  # type: ignore[type-abstract]


def find_provider(code: str) -> FulfillmentProvider:
    known = providers()
    if code not in known:
        raise NotFound(name=code)
    return known[code]


def ship_order(
    order: Order, packages: Sequence[PackageInput], *, actor: Actor, provider: str = "manual", anyway: bool = False
) -> Shipment:
    """Record a shipment of one or more packages; the caller holds the order's lock.

    `anyway` ships although the buyer asked to cancel. Raises the refusal of `shipping_refusal`, or the error of a
    package; then nothing is recorded.
    """
    if refusal := shipping_refusal(order, actor, anyway=anyway):
        raise refusal
    found = find_provider(provider)
    prepared = ask(found, "provider", found.prepare, order, packages, gives=Sequence, raises=DeskError)
    shipment = Shipment(
        order_id=order.id, origin=DESK, provider=provider, at=now(), actor_kind=actor.kind, actor_id=actor.id
    )
    db.session.add(shipment)
    first = next_package_number(order)
    for number, package in enumerate(prepared, start=first):
        shipment.packages.append(_pack(order, number, package))
    settle_state(order)
    forget_refused(order)
    units = sum(line.quantity for package in shipment.packages for line in package.lines)
    last = shipment.packages[-1]
    values = {
        "units": units,
        "carrier": last.carrier_name or last.carrier,
        "tracking": last.tracking_number,
        "packages": [package.number for package in shipment.packages],
    }
    record(order, SHIPPED, actor=actor, values=values)
    owe_confirmations(order, shipment)
    tell("shipments_created", [ShipmentCreated(shipment.id, order.id, DESK)])
    return shipment


def next_package_number(order: Order) -> int:
    """One more than every package number that the order ever had, whoever gave it. Of a package that was taken back,
    the update that was withdrawn keeps the number.
    """
    highest_reference = func.max(cast(ChannelUpdate.reference, Integer))
    of_updates = select(highest_reference).where(ChannelUpdate.order_id == order.id, ChannelUpdate.kind == SHIPMENT)
    of_packages = select(func.max(Package.number)).where(Package.order_id == order.id)
    row = db.session.execute(select(of_packages.scalar_subquery(), of_updates.scalar_subquery())).one()
    highest = max(number or 0 for number in row)
    at_channel = [int(package.number) for package in order.channel_order.packages if is_package_number(package.number)]
    return max([highest, *at_channel]) + 1


def is_package_number(reference: str) -> bool:
    """Whether a channel's reference can be a package number here; a longer one is never one of ours."""
    return reference.isascii() and reference.isdigit() and len(reference) < 10 and int(reference) > 0


def _pack(order: Order, number: int, package: PackageInput) -> Package:
    shipped_at = checked_ship_time(order, package.shipped_at)
    carrier, carrier_name = checked_carrier(order, package.carrier, package.carrier_name)
    tracking_number = checked_tracking_number(package.tracking_number)
    row = Package(
        order_id=order.id,
        number=number,
        carrier=carrier,
        carrier_name=carrier_name,
        service=package.service.strip(),
        tracking_number=tracking_number,
        shipped_at=shipped_at,
    )
    for line, quantity in _contents(order, package):
        if line.needs_codes:
            raise CodesRequired(sku=line.sku or line.title)
        line.ship(quantity)
        row.lines.append(PackageLine(line_id=line.id, quantity=quantity))
    if not row.lines:
        raise EmptyPackage
    return row


def _contents(order: Order, package: PackageInput) -> Iterable[tuple[OrderLine, int]]:
    if not package.lines:
        return [(line, line.open) for line in order.lines if line.open]
    by_id: Mapping[int, OrderLine] = {line.id: line for line in order.lines}
    unknown = [line_id for line_id in package.lines if line_id not in by_id]
    if unknown:
        raise NoSuchLine(line=unknown[0])
    return [(by_id[line_id], quantity) for line_id, quantity in package.lines.items()]


def checked_ship_time(order: Order, shipped_at: datetime | None) -> datetime:
    """When the package was shipped, by default now; raises if it can't be."""
    at = now()
    if shipped_at is None or at < shipped_at <= at + CLOCK_SLACK:
        return at
    if not order.placed_at <= shipped_at <= at:
        raise OddShipTime
    return shipped_at


def checked_tracking_number(text: str) -> str:
    """The tracking number without the spaces that are printed on labels; raises if it is wrong."""
    printed = cleaned(text)
    number = "".join(printed.split())
    if not number:
        raise TrackingNumberNeeded
    if damage := damaged(printed):
        raise damage
    return number


def damaged(number: str) -> DeskError | None:
    """Why a number can't be used: a spreadsheet changed its digits."""
    damage = damage_of(number)
    return _DAMAGES[damage](number=number) if damage else None


def checked_carrier(order: Order, carrier: str, carrier_name: str) -> tuple[str, str]:
    """The carrier's code as its marketplace knows it, and its name if one is required; raises if either is wrong."""
    known = carriers(order.store.channel, order.marketplace)
    name = carrier_name.strip()
    wanted = _letters(carrier)
    for one in known:
        if wanted in (_letters(one.code), _letters(str(one.label))):
            if one.needs_name and not name:
                raise CarrierNameNeeded
            return one.code, name
    raise UnknownCarrier(carrier=carrier, known=", ".join(str(one.label) for one in known))


def _letters(carrier: str) -> str:
    """A carrier's code or name without what people write differently: “Fed Ex”, “royal-mail”."""
    return "".join(filter(str.isalnum, carrier.casefold()))


def shipments_of(order: Order) -> list[Shipment]:
    """The order's shipments with their packages and their contents, in one query."""
    name = f"shipments of {order.id} {order.version}"  # every change of them raises the version
    return once_a_transaction(name, lambda: _shipments_of(order))


def _shipments_of(order: Order) -> list[Shipment]:
    query = select(Shipment).where(Shipment.order_id == order.id).order_by(Shipment.id)
    query = query.options(joinedload(Shipment.packages).joinedload(Package.lines))
    return list(db.session.scalars(query).unique())


def last_carrier(order: Order, actor: Actor) -> tuple[str, str, str]:
    """Carrier, its name and service of the package that this person last shipped for the order's store and marketplace,
    among the last shipments; empty if there is none.
    """
    if actor.kind is not ActorKind.PERSON:
        return "", "", ""
    theirs = select(Shipment.id).where(Shipment.actor_kind == actor.kind, Shipment.actor_id == actor.id)
    recent = theirs.order_by(Shipment.id.desc()).limit(LOOKED_BACK)
    query = (
        select(Package.carrier, Package.carrier_name, Package.service)
        .join(Order, Order.id == Package.order_id)
        .where(
            Package.shipment_id.in_(recent), Order.store_id == order.store_id, Order.marketplace == order.marketplace
        )
        .order_by(Package.shipment_id.desc(), Package.number)
    )
    found = db.session.execute(query.limit(1)).first()
    return (found.carrier, found.carrier_name, found.service) if found else ("", "", "")


def departed(line_ids: Sequence[int]) -> dict[int, list[tuple[datetime, int]]]:
    """When units of these order lines were shipped, by line: (when, how many), the earliest first."""
    query = (
        select(PackageLine.line_id, Package.shipped_at, PackageLine.quantity)
        .join(Package)
        .where(among(PackageLine.line_id, line_ids))
        .order_by(Package.shipped_at, Package.id)
    )
    found: dict[int, list[tuple[datetime, int]]] = {}
    for line_id, at, units in db.session.execute(query):
        found.setdefault(line_id, []).append((at, units))
    return found
