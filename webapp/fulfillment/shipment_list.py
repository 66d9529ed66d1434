"""The list of shipments: the packages of all orders, whoever sent them.

A row is a package. Packages belong to orders: a query that finds an order finds its packages, and the columns of the
order are shown for each of them. Carrier, tracking number, shipping time and units are the package's own.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import String, cast, func, select
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import TextClause

from webapp.audit.actor import Actor
from webapp.channels.described import package_status_label
from webapp.channels.models import ChannelPackage
from webapp.db import among, db, table_of
from webapp.fulfillment.confirmations import SHIPMENT
from webapp.fulfillment.list_columns import carrier_names
from webapp.fulfillment.models import ELSEWHERE, Package, PackageLine, Shipment
from webapp.i18n import gettext as _, lazy_gettext as _l, ngettext
from webapp.lists.contract import Cell, Expansion, ListWords, Parts, PlainRow, Subject, Walk
from webapp.lists.rows import by_name, of_each
from webapp.lists.saved_views import EVERYTHING, View
from webapp.orders.lent_columns import columns_of_orders, order_row
from webapp.orders.listing import ORDER_LIST, named_columns
from webapp.orders.models import Order, OrderLine
from webapp.orders.queries import reference, visible_of
from webapp.search.compiling import Compiled
from webapp.search.contract import ORDERS, Column, ColumnKind, Label
from webapp.updates.models import STATE_LABELS, STATE_TONES, ChannelUpdate, UpdateState

SHIPMENTS = "shipments"
SHIPPED = "shipped"
_ORDER_CODES = (  # columns of orders, by code
    "channel_number",
    "channel_status",
    "badges",
    "buyer",
    "company",
    "address",
    "country",
    "store",
    "shop",
    "channel",
    "marketplace",
    "fulfilled_by",
    "placed",
    "ship_by",
    "assignee",
    "tags",
)
_DEFAULT = ("number", "state", "buyer", "store")  # the columns of orders that are shown by default
# Most packages meet conditions on only these columns: the newest packages are read until a page is full.
_BROAD = {"archived_at", "canceling", "country", "fulfilled_by", "marketplace", "on_hold", "shipped_at", "shop_id"}
_BROAD |= {"state", "store_id"}


class _PackageWalk(Walk):
    """Reads along the index of the shipping time; SQLite would choose an index that finds half of all orders."""

    def parts(self, subject: Subject, actor: Actor, compiled: Compiled, sort: str) -> Parts:
        found = super().parts(subject, actor, compiled, sort)
        if found.gathered or not named_columns(compiled.conditions, Order, Package) <= _BROAD:
            return found
        if any(isinstance(part, TextClause) for one in compiled.conditions for part in visitors.iterate(one)):
            return found  # the condition of a partial index of few orders
        hint = "INDEXED BY ix_packages_shipped_at"
        return Parts([part.with_hint(Package, hint, dialect_name="sqlite") for part in found.parts])


# --- What is read of a package ----------------------------------------------------------------------------------------


_units = (
    select(func.sum(PackageLine.quantity))
    .where(PackageLine.package_id == Package.id)
    .correlate(Package)
    .scalar_subquery()
)
_origin = select(Shipment.origin).where(Shipment.id == Package.shipment_id).correlate(Package).scalar_subquery()
update_state = (  # of the newest confirmation; null if the channel is owed none
    select(ChannelUpdate.state)
    .where(
        ChannelUpdate.order_id == Package.order_id,
        ChannelUpdate.kind == SHIPMENT,
        ChannelUpdate.reference == cast(Package.number, String),
    )
    .order_by(ChannelUpdate.revision.desc())
    .limit(1)
    .correlate(Package)
    .scalar_subquery()
)
_package_status = (
    select(ChannelPackage.status)
    .where(
        ChannelPackage.channel_order_id == Order.channel_order_id,
        ChannelPackage.number == func.coalesce(Package.channel_reference, cast(Package.number, String)),
    )
    .limit(1)
    .correlate(Order, Package)
    .scalar_subquery()
)


# --- Columns ----------------------------------------------------------------------------------------------------------


def _carriers(rows: Sequence[Any], actor: Actor) -> Mapping[int, str]:
    """The names of the packages' carriers."""
    names = carrier_names(rows)
    return {
        row.id: row.carrier_name or names.get((row.store.channel, row.marketplace, row.carrier), row.carrier)
        for row in rows
    }


def _at_channel(row: PlainRow) -> list[Label]:
    """The state of the confirmation, and the channel's own status of the package."""
    found = []
    if row.update_state is not None:
        tone = STATE_TONES.get(row.update_state, "info")
        found.append(Label(str(STATE_LABELS.get(row.update_state, row.update_state)), tone))
    elif row.origin == ELSEWHERE:
        found.append(Label(str(_("Shipped elsewhere")), "calm", "external-link"))
    if row.package_status:
        found.append(Label(package_status_label(row.store.channel, row.package_status)))
    return found


COLUMNS = (
    *columns_of_orders(SHIPMENTS, ("number", "state"), _DEFAULT),
    Column(
        subject=SHIPMENTS,
        code="package",
        label=_l("Package"),
        kind=ColumnKind.NUMBER,
        values=of_each(lambda row: row.parcel),
        reads={},
        width=80,
        help=_l("The number of the package within its order."),
    ),
    Column(
        subject=SHIPMENTS,
        code="carrier",
        label=_l("Carrier"),
        values=_carriers,
        reads=by_name(Package.carrier, Package.carrier_name),
        default=True,
        width=105,
    ),
    Column(
        subject=SHIPMENTS,
        code="service",
        label=_l("Service"),
        values=of_each(lambda row: row.service),
        reads=by_name(Package.service),
        width=110,
    ),
    Column(
        subject=SHIPMENTS,
        code="tracking",
        label=_l("Tracking number"),
        values=of_each(lambda row: row.tracking_number),
        reads=by_name(Package.tracking_number),
        default=True,
        width=175,
        personal=True,
    ),
    Column(
        subject=SHIPMENTS,
        code=SHIPPED,
        label=_l("Shipped on"),
        kind=ColumnKind.TIME,
        values=of_each(lambda row: row.shipped_at),
        reads=by_name(Package.shipped_at),
        sort=SHIPPED,
        default=True,
        width=110,
    ),
    Column(
        subject=SHIPMENTS,
        code="units",
        label=_l("Units"),
        kind=ColumnKind.NUMBER,
        values=of_each(lambda row: row.units),
        reads={"units": _units},
        default=True,
        width=65,
    ),
    Column(
        subject=SHIPMENTS,
        code="at_channel",
        label=_l("At the channel"),
        kind=ColumnKind.LABELS,
        values=of_each(_at_channel),
        reads={"update_state": update_state, "origin": _origin, "package_status": _package_status},
        default=True,
        width=185,
        help=_l("The state of the shipment confirmation, with the channel's own status."),
    ),
    *columns_of_orders(SHIPMENTS, _ORDER_CODES, _DEFAULT),
)


# --- Files ------------------------------------------------------------------------------------------------------------


def _items(package_ids: Sequence[int]) -> dict[int, list[list[Cell]]]:
    held = table_of(PackageLine)
    query = (
        select(held.c.package_id, OrderLine.sku, OrderLine.title, held.c.quantity)
        .join(OrderLine, OrderLine.id == held.c.line_id)
        .where(among(held.c.package_id, package_ids))
        .order_by(held.c.package_id, OrderLine.position)
    )
    found: dict[int, list[list[Cell]]] = {}
    for package_id, sku, title, quantity in db.session.execute(query):
        found.setdefault(package_id, []).append([sku, title, quantity])
    return found


ITEMS = Expansion(
    code="items",
    label=_l("One row per product in a package"),
    help=_l("Exports with one row per product also contain SKU, title and quantity."),
    head=lambda: [str(_("SKU")), str(_("Title")), str(_("Quantity"))],
    cells=_items,
)
WORDS = ListWords(
    every=_l("All shipments"),
    region=_l("Shipment list"),
    select=_l("Select all packages of this page"),
    older=_l("No older packages"),
    none=_l("No packages match"),
    empty=_l("Nothing has shipped yet"),
    empty_text=_l("All shipped packages appear here, shipped in Waybill or imported from the channel."),
    show=_l("Show the packages"),
    search=_l("Search shipments"),
    placeholder=_l("Search shipments: order number, buyer, SKU, tracking, or shipped:today"),
    filter=_l("Filter the shipments"),
    choose=_l("Choose at least one package first."),
    chosen=_l("For the selected packages"),
    save=_l("Filter or search the shipments, then save the list under a name from its Views menu."),
    back=_l("Back to the shipments"),
    where=_l("Shipments by state"),
    counted=lambda count: ngettext("%(num)s package", "%(num)s packages", count),
    counted_more=_l("%(count)s+ packages"),
    newer=lambda count: ngettext("%(num)s new package", "%(num)s new packages", count),
    in_background=_l(
        "Excel workbooks and exports of more than %(count)s packages are prepared in the background. You can "
        "then download the file from the run's page."
    ),
)
_UNCONFIRMED = ",".join((UpdateState.HELD, UpdateState.OWED, UpdateState.SENT, UpdateState.ACCEPTED))
_FAILED = ",".join((UpdateState.REFUSED, UpdateState.UNKNOWN))
VIEWS = (
    View(EVERYTHING, _l("Everything"), ""),
    View("today", _l("Shipped today"), "shipped:today", tone="good"),
    View("on_the_way", _l("Not confirmed yet"), f"confirmation:{_UNCONFIRMED}", tone="info"),
    View("not_taken", _l("Refused or unknown"), f"confirmation:{_FAILED}", tone="bad"),
)
SHIPMENT_LIST = Subject(
    code=SHIPMENTS,
    label=_l("Shipments"),
    order_id=table_of(Package).c.order_id,
    within=ORDERS,
    filters=("store", "shop", "channel", "marketplace", "country", "state", "tag"),
    model=Package,
    visible=partial(visible_of, Package),
    sorts={SHIPPED: Package.shipped_at},
    usual=f"-{SHIPPED}",
    row={**ORDER_LIST.row} | {"parcel": Package.number},
    always=("number", "channel_number", "state", "channel_status", "package", "store"),
    each=_l("One row per package"),
    expansions=[ITEMS],
    reference=lambda row: str(_("%(order)s, package %(number)s", order=reference(order_row(row)), number=row.parcel)),
    words=WORDS,
    path="/shipments",
    one="package",
    recent=f"{SHIPPED}:>=-90d",
    views=VIEWS,
    walk=_PackageWalk(),
)
