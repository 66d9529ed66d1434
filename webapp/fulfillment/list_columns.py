"""The list and export columns about an order's packages: carriers and tracking numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.channels.described import carriers
from webapp.db import db
from webapp.fulfillment.models import Package
from webapp.i18n import lazy_gettext as _l
from webapp.search.contract import Column

Orders = Sequence[Any]  # as the list has read them


def carrier_names(rows: Sequence[Any]) -> dict[tuple[str, str, str], str]:
    """The carriers that these rows may name, by channel, marketplace and code."""
    places = {(row.store.channel, row.marketplace) for row in rows}
    return {(*place, carrier.code): str(carrier.label) for place in places for carrier in carriers(*place)}


def _carriers(orders: Orders, actor: Actor) -> Mapping[int, str]:
    """Each order's carriers by their names."""
    labels = carrier_names(orders)
    where = {order.id: (order.store.channel, order.marketplace) for order in orders}
    query = select(Package.order_id, Package.carrier, Package.carrier_name)
    rows = db.session.execute(query.where(Package.order_id.in_(where)).order_by(Package.order_id, Package.number))
    return _joined([(id_, name or labels.get((*where[id_], code), code)) for id_, code, name in rows])


def _tracking_numbers(orders: Orders, actor: Actor) -> Mapping[int, str]:
    actor.needs("buyers.see")
    ids = [order.id for order in orders]
    query = select(Package.order_id, Package.tracking_number).where(Package.order_id.in_(ids))
    rows = db.session.execute(query.order_by(Package.order_id, Package.number))
    return _joined([(id_, number) for id_, number in rows])


def _joined(pairs: Sequence[tuple[int, str]]) -> dict[int, str]:
    """The values of each order's packages, in their order and without repetition."""
    found: dict[int, dict[str, None]] = {}
    for order_id, text in pairs:
        if text:
            found.setdefault(order_id, {})[text] = None
    return {order_id: ", ".join(texts) for order_id, texts in found.items()}


COLUMNS = (
    Column(code="carrier", reads={}, label=_l("Carrier"), values=_carriers, width=120),
    Column(code="tracking", reads={}, label=_l("Tracking number"), values=_tracking_numbers, width=180, personal=True),
)
