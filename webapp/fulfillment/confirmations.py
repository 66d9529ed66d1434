"""The kind of outward act that reports a shipped package to a channel."""

from collections.abc import Mapping
from typing import Any

from webapp.channels.contract import IncomingOrder
from webapp.clock import iso
from webapp.db import db
from webapp.errors import Refusal
from webapp.fulfillment.models import DESK, Package, Shipment
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.updates.contract import OutwardKind, Owing, Shown
from webapp.updates.models import ChannelUpdate
from webapp.updates.owing import owe

SHIPMENT = "shipment"


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
        numbers = {package.number: package.tracking_number for package in reading.packages}
        return Shown() if numbers.get(update.reference) == update.payload["package"]["tracking_number"] else None


def owe_confirmations(order: Order, shipment: Shipment) -> None:
    """Owe the channel a confirmation for every package that left from the desk, in the open unit of work."""
    if shipment.origin == DESK:
        owe(SHIPMENT, [Owing(order, package, order.ship_by) for package in shipment.packages])
