"""Undoing shipments that their channel does not have: units are open again, and the packages are gone.

A package that is taken back did not leave: no list, slip or file may show it. Its number stays with its confirmation,
which was withdrawn, and is not given again; what was in it is in the order's events.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import delete, exists

from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage
from webapp.channels.services import channel_name
from webapp.db import db
from webapp.errors import Refusal
from webapp.fulfillment.models import Package, PackageLine, Shipment
from webapp.i18n import lazy_gettext as _l
from webapp.orders.events import EventGroup, EventWords, record
from webapp.orders.models import Order, OrderLine
from webapp.orders.services import settle_state

SHIPPED = "shipped"  # the code of the event
SHIPPING = EventGroup("shipping", _l("Shipments"), 20)
TAKEN_BACK = EventWords("taken_back", _l("Shipment undone: %(told)s (units: %(units)s)"), SHIPPING)


class UnitsSettled(Refusal):
    """Of the units in the package, some were invoiced or refunded, or came back, or are about to."""

    code = "units_settled"
    sentence = _l("Units of %(sku)s were invoiced, refunded or returned, so their shipment can't be undone.")


class UnitsAtChannel(Refusal):
    """The channel shows the units as shipped."""

    code = "units_shipped_at_channel"
    sentence = _l("%(channel)s shows units of %(sku)s as shipped, so their shipment can't be undone.")


def unshipping_refusal(order: Order, packages: Sequence[Package]) -> Refusal | None:
    """Why the units of packages that the channel does not have can't all be open again."""
    shipped = {line.number: line.fulfilled for line in order.channel_order.lines}
    if order.channel_order.stage == ChannelStage.SHIPPED:
        shipped |= {line.channel_line_number: line.shipped for line in order.lines}
    gone: Counter[OrderLine] = Counter()
    for package in packages:
        gone.update(dict(_contents(order, package)))
    for line, units in gone.items():
        left, sku = line.shipped - units, line.sku or line.title
        if max(line.invoiced, line.refunded, line.returned + line.to_return) > left:
            return UnitsSettled(sku=sku)
        if shipped.get(line.channel_line_number, 0) > left:
            return UnitsAtChannel(channel=channel_name(order.store.channel), sku=sku)
    return None


def unship(order: Order, packages: Sequence[Package], *, actor: Actor, cause: str = "") -> None:
    """Open the units of these packages again and delete the packages; the caller holds the order's lock and ends their
    confirmations.
    """
    units = 0
    for package in packages:
        for line, count in _contents(order, package):
            line.shipped -= count
            units += count
    values = {
        "units": units,
        "packages": [package.number for package in packages],
        "told": "; ".join(in_words(package) for package in packages),
    }
    ids = [package.id for package in packages]
    shipments = {package.shipment_id for package in packages}
    db.session.execute(delete(PackageLine).where(PackageLine.package_id.in_(ids)))
    db.session.execute(delete(Package).where(Package.id.in_(ids)))
    empty = ~exists().where(Package.shipment_id == Shipment.id)
    db.session.execute(
        delete(Shipment).where(Shipment.id.in_(shipments), empty), execution_options={"synchronize_session": "fetch"}
    )
    order.channel_order.content_hash = b""  # the next reading counts, even if it is the one that is known
    settle_state(order)
    record(order, TAKEN_BACK.code, actor=actor, cause=cause, values=values)


def in_words(package: Package) -> str:
    """The package as events name it."""
    parts = (package.carrier_name or package.carrier, package.service, package.tracking_number)
    return ", ".join(part for part in parts if part)


def _contents(order: Order, package: Package) -> list[tuple[OrderLine, int]]:
    lines: Mapping[int, OrderLine] = {line.id: line for line in order.lines}
    return [(lines[row.line_id], row.quantity) for row in package.lines]
