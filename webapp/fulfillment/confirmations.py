"""The kind of outward act that reports a shipped package to a channel."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from webapp.channels.contract import IncomingOrder, IncomingPackage
from webapp.clock import iso, parse_instant
from webapp.db import db
from webapp.errors import Refusal
from webapp.fulfillment.models import DESK, Package, Shipment
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.updates.contract import OutwardKind, Owing, Shown
from webapp.updates.models import ChannelUpdate, UpdateState
from webapp.updates.owing import owe

SHIPMENT = "shipment"
EARLIER = "earlier"  # in the payload of a correction: the package as it may have been told before, oldest first


class NoSuchPackage(Refusal):
    """There is nothing to report any more."""

    code = "no_such_package"
    sentence = _l("This package is no longer there.")


class ShipmentConfirmation(OutwardKind):
    """A package that left from the desk, by its number; the package has left, so withholding the report would undo
    nothing.
    """

    code = SHIPMENT
    label = _l("Shipment confirmation")
    undoable = False

    def reference(self, source: Package) -> str:
        return str(source.number)

    def payload(self, order: Order, source: Package) -> Mapping[str, Any]:
        numbers = {line.id: line.channel_line_number for line in order.lines}
        return {
            "version": 1,
            "package": {
                "number": source.number,
                "carrier": source.carrier,
                "carrier_name": source.carrier_name,
                "service": source.service,
                "tracking_number": source.tracking_number,
                "shipped_at": iso(source.shipped_at),
            },
            "lines": {numbers[line.line_id]: line.quantity for line in source.lines},
        }

    def stands(self, update: ChannelUpdate, order: Order) -> Refusal | None:
        there = update.source_id is not None and db.session.get(Package, update.source_id) is not None
        return None if there else NoSuchPackage()

    def shown_by(self, update: ChannelUpdate, reading: IncomingOrder) -> Shown | None:
        there = next((package for package in reading.packages if package.number == update.reference), None)
        taken = update.state in (UpdateState.SENT, UpdateState.ACCEPTED)
        return Shown() if there is not None and shows_package(there, update.payload, taken=taken) else None


def shows_package(there: IncomingPackage, payload: Mapping[str, Any], *, taken: bool) -> bool:
    """Whether a package that the channel lists under our reference is as a confirmation tells it.

    A tracking number that was not told before proves it. One that was told before proves a correction only once the
    channel has `taken` it, and only together with what else the correction changes.
    """
    package, earlier = payload["package"], payload.get(EARLIER) or []
    if not _same("tracking_number", there.tracking_number, package):
        return False
    if not any(_same("tracking_number", there.tracking_number, one) for one in earlier):
        return True
    before = earlier[-1]
    changed = (name for name in ("carrier", "service", "shipped_at") if _told(package, name) != _told(before, name))
    return taken and all(_same(name, getattr(there, name), package) for name in changed)


def _told(package: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    return (package[name], package["carrier_name"]) if name == "carrier" else (package[name],)


def _same(name: str, there: str | datetime | None, package: Mapping[str, Any]) -> bool:
    """Whether the channel shows this value, in its own spelling; what it does not show can't differ."""
    if name != "tracking_number" and not there:
        return True
    if isinstance(there, datetime):
        return abs(there - parse_instant(package[name])) < timedelta(minutes=1)  # channels may round times
    return _plain(there) in {_plain(value) for value in _told(package, name) if value}


def _plain(text: str | None) -> str:
    return "".join((text or "").split()).casefold()


def owe_confirmations(order: Order, shipment: Shipment) -> None:
    """Owe the channel a confirmation for every package that left from the desk, in the open unit of work."""
    if shipment.origin == DESK:
        owe(SHIPMENT, [Owing(order, package, order.ship_by) for package in shipment.packages])
