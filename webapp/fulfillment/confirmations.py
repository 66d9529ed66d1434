"""The kind of outward act that reports a shipped package to a channel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.channels.incoming import IncomingOrder, IncomingPackage
from webapp.clock import iso, parse_instant
from webapp.db import any_row, db, once_a_transaction
from webapp.errors import Refusal
from webapp.fulfillment.holding import SHIP_HOLD
from webapp.fulfillment.models import DESK, Package, Shipment
from webapp.fulfillment.unshipping import unship, unshipping_refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.updates.contract import OutwardKind, Owing, Shown
from webapp.updates.models import ChannelUpdate, UpdateState
from webapp.updates.owing import owe
from webapp.updates.queries import newer_revision

SHIPMENT = "shipment"
# In the payload of a correction: the package as earlier confirmations may have sent it, oldest first.
EARLIER = "earlier"


class NoSuchPackage(Refusal):
    """There is nothing to report any more."""

    code = "no_such_package"
    sentence = _l("This package no longer exists.")


class CorrectionStands(Refusal):
    code = "correction_stands"
    sentence = _l("A correction can't be undone. Correct the package again.")


class ShipmentConfirmation(OutwardKind):
    """A package that left from the desk, by its number. If it is undone before it was sent, the package is taken back:
    nothing stays shipped that nobody confirms.
    """

    code = SHIPMENT
    label = _l("Shipment confirmation")
    hold = SHIP_HOLD
    undo_right = "orders.ship"

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
        return None if _package_of(update) is not None else NoSuchPackage()

    def undo_refusal(self, update: ChannelUpdate) -> Refusal | None:
        return CorrectionStands() if update.revision > 1 else None

    def settled(self, update: ChannelUpdate) -> None:
        package = _package_of(update) if _is_undone(update) else None
        if package is not None:
            if refusal := unshipping_refusal(update.order, [package]):
                raise refusal
            unship(update.order, [package], actor=Actor.job("updates"), cause="update")

    def shown_by(self, update: ChannelUpdate, reading: IncomingOrder) -> Shown | None:
        found = next((package for package in reading.packages if package.number == update.reference), None)
        taken = update.state in (UpdateState.SENT, UpdateState.ACCEPTED)
        return Shown() if found is not None and shows_package(found, update.payload, taken=taken) else None


def _is_undone(update: ChannelUpdate) -> bool:
    """Whether the update was withdrawn before it can have left, and no correction takes its place."""
    if update.state != UpdateState.WITHDRAWN or update.attempts or update.look_from is not None or update.revision > 1:
        return False
    return not any_row(ChannelUpdate, ChannelUpdate.id == update.id, newer_revision())


def _package_of(update: ChannelUpdate) -> Package | None:
    return db.session.get(Package, update.source_id) if update.source_id is not None else None


def shows_package(listed: IncomingPackage, payload: Mapping[str, Any], *, taken: bool) -> bool:
    """Whether a package that the channel lists under our reference has the values that a confirmation sends.

    A tracking number that no earlier confirmation may have sent proves it. Any other proves a correction only once the
    channel has `taken` it, and only together with what else the correction changes.
    """
    package, earlier = payload["package"], payload.get(EARLIER) or []
    if not _same("tracking_number", listed.tracking_number, package):
        return False
    if not any(_same("tracking_number", listed.tracking_number, one) for one in earlier):
        return True
    before = earlier[-1]
    changed = (name for name in ("carrier", "service", "shipped_at") if _sent(package, name) != _sent(before, name))
    return taken and all(_same(name, getattr(listed, name), package) for name in changed)


def _sent(package: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    """What a confirmation sends for a field: a carrier as its code and its name."""
    return (package[name], package["carrier_name"]) if name == "carrier" else (package[name],)


def _same(name: str, shown: str | datetime | None, package: Mapping[str, Any]) -> bool:
    """Whether the channel shows the value that is sent, in its own spelling; what it does not show can't differ."""
    if name != "tracking_number" and not shown:
        return True
    if isinstance(shown, datetime):
        return abs(shown - parse_instant(package[name])) < timedelta(minutes=1)  # channels may round times
    return _plain(shown) in {_plain(value) for value in _sent(package, name) if value}


def _plain(text: str | None) -> str:
    return "".join((text or "").split()).casefold()


def confirmations_of(order: Order) -> list[ChannelUpdate]:
    """Every confirmation that the order's channel was ever owed, of each package in the order of their revisions."""
    query = select(ChannelUpdate).where(ChannelUpdate.order_id == order.id, ChannelUpdate.kind == SHIPMENT)
    name = f"confirmations of {order.id} {order.version}"  # acts that owe one raise the version
    return once_a_transaction(name, lambda: list(db.session.scalars(query.order_by(ChannelUpdate.revision))))


@dataclass(frozen=True, slots=True)
class HeldShipment:
    """A shipment whose confirmations wait: when they go, and whether it can be undone until then."""

    goes_at: datetime
    undoable: bool  # as a whole, by the act that takes back the latest shipment


def held_shipments(shipments: Sequence[Shipment], confirmations: Sequence[ChannelUpdate]) -> list[HeldShipment]:
    """The shipments with a held confirmation, the latest last."""
    ours = [shipment for shipment in shipments if shipment.origin == DESK]
    held = {row.source_id: row for row in confirmations if row.state == UpdateState.HELD}
    found = []
    for shipment in ours:
        rows = [held[package.id] for package in shipment.packages if package.id in held]
        whole = len(rows) == len(shipment.packages) and all(row.revision == 1 for row in rows)
        if rows:
            found.append(HeldShipment(min(row.due_at for row in rows), undoable=whole and shipment is ours[-1]))
    return found


def owe_confirmations(order: Order, shipment: Shipment) -> None:
    """Owe the channel a confirmation for every package that left from the desk, in the open unit of work."""
    if shipment.origin == DESK:
        owe(SHIPMENT, [Owing(order, package, order.ship_by) for package in shipment.packages])
