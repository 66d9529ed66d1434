"""Units that left elsewhere: shipments made on the channel's own page or by another tool, recorded as such."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from webapp.audit.actor import ActorKind
from webapp.channels.incoming import IncomingOrder
from webapp.db import db, reserve_ids, write_rows
from webapp.fulfillment.contract import ShipmentCreated
from webapp.fulfillment.models import ELSEWHERE, Package, PackageLine, Shipment
from webapp.fulfillment.services import is_package_number
from webapp.sync.taking_in.facts import ForeignPackage

_Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A package that the desk already has, by the reference under which the channel knows it."""

    id: int
    number: int
    origin: str
    tracking_number: str


def known_parcels(order_ids: Sequence[int]) -> dict[int, dict[str, Parcel]]:
    """The packages of these orders by order and reference, in one query."""
    rows = db.session.execute(
        select(
            Package.order_id,
            Package.channel_reference,
            Package.id,
            Package.number,
            Shipment.origin,
            Package.tracking_number,
        )
        .join(Shipment)
        .where(Package.order_id.in_(order_ids))
    )
    found: dict[int, dict[str, Parcel]] = {}
    for order_id, reference, id_, number, origin, tracking in rows:
        found.setdefault(order_id, {})[reference or str(number)] = Parcel(id_, number, origin, tracking)
    return found


class ElsewhereShipments:
    """Collects a page's shipments of origin elsewhere and writes them in three statements."""

    def __init__(self, store_id: int) -> None:
        self._store_id = store_id
        self._made: list[tuple[_Row, list[tuple[_Row, dict[int, int]]]]] = []  # shipments, packages, units by line

    def add(
        self,
        order_id: int,
        order: IncomingOrder,
        packages: Sequence[ForeignPackage],
        lines: Mapping[str, int],
        known: Mapping[str, Parcel],
    ) -> None:
        """Add a shipment of these packages; a package keeps the channel's number if that is a number and not used
        here.
        """
        if not packages:
            return
        used = {parcel.number for parcel in known.values()}
        there = (int(package.number) for package in order.packages if is_package_number(package.number))
        highest = max([0, *used, *there])
        rows: list[tuple[_Row, dict[int, int]]] = []
        for package in packages:
            number = int(package.reference) if is_package_number(package.reference) else 0
            if number == 0 or number in used:
                number = highest = highest + 1
            used.add(number)
            row = {
                "order_id": order_id,
                "number": number,
                "channel_reference": package.reference or None,
                "carrier": package.carrier,
                "carrier_name": "",
                "service": package.service,
                "tracking_number": package.tracking_number,
                "shipped_at": package.shipped_at or order.updated_at,
            }
            rows.append((row, {lines[number]: units for number, units in package.units.items()}))
        shipment = {
            "order_id": order_id,
            "origin": ELSEWHERE,
            "provider": None,
            "at": order.updated_at,
            "actor_kind": ActorKind.CHANNEL,
            "actor_id": self._store_id,
        }
        self._made.append((shipment, rows))

    def made(self) -> list[ShipmentCreated]:
        """The shipments written."""
        return [ShipmentCreated(row["id"], row["order_id"], ELSEWHERE) for row, _packages in self._made]

    def write(self) -> None:
        shipments = [row for row, _packages in self._made]
        for row, shipment_id in zip(shipments, reserve_ids(Shipment, len(shipments)), strict=True):
            row["id"] = shipment_id
        packages = [(row | {"shipment_id": made["id"]}, units) for made, parts in self._made for row, units in parts]
        for (row, _units), package_id in zip(packages, reserve_ids(Package, len(packages)), strict=True):
            row["id"] = package_id
        contents = [
            {"package_id": row["id"], "line_id": line_id, "quantity": quantity}
            for row, units in packages
            for line_id, quantity in units.items()
        ]
        write_rows(Shipment, shipments)
        write_rows(Package, [row for row, _units in packages])
        write_rows(PackageLine, contents)


def correct_tracking(order: IncomingOrder, known: Mapping[str, Parcel]) -> None:
    """Correct the tracking of foreign parcels as the channel did; that of our own parcels is corrected here only."""
    for package in order.packages:
        parcel = known.get(package.number)
        if parcel is not None and parcel.origin == ELSEWHERE and parcel.tracking_number != package.tracking_number:
            values = {
                "carrier": package.carrier,
                "service": package.service,
                "tracking_number": package.tracking_number,
            }
            db.session.execute(update(Package).where(Package.id == parcel.id).values(**values))
