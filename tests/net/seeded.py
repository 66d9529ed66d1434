"""A desk with one order of every kind, at a fixed moment: its pages depend on nothing else."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, FulfilledBy, IncomingOrder
from webapp.channels.legal_face import FACE
from webapp.channels.models import Store
from webapp.channels.outgoing import NotYet, Outcome, Refused, Sent, Unknown
from webapp.channels.shops import create_shop
from webapp.db import unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.lists.saved_views import save_view
from webapp.orders.archiving import archive
from webapp.orders.bulk import start_bulk
from webapp.orders.holds import hold
from webapp.orders.models import Order
from webapp.orders.organizing import assign, set_due, set_status, set_tags
from webapp.orders.queries import locked
from webapp.orders.services import comment, find_action, read_input
from webapp.orders.statuses import make_status
from webapp.search.query import parse
from webapp.settings.services import change
from webapp.testing import JANE, JAPAN, FakeChannel, incoming_line, incoming_order

AT = datetime(2026, 3, 9, 10, 30, tzinfo=UTC)
LONG = 30  # lines of the longest order

Take = Callable[..., list[Order]]


def _told(number: int, *skus: str, quantity: int = 1, **more: Any) -> IncomingOrder:
    """An order as the channel lists it, `number` hours before the desk's moment."""
    lines = [
        incoming_line(sku, quantity, number=f"L{number:03d}{position:03d}") for position, sku in enumerate(skus, 1)
    ]
    placed = AT - timedelta(hours=number)
    return incoming_order(lines, **{"number": f"302-{number:07d}-0000001", "created_at": placed} | more)


def seed(
    take: Take, work: Callable[[], int], store: Store, channel: FakeChannel, owner: Actor, clerk: Actor
) -> dict[str, Order]:
    """Fill the desk; returns its orders by what they are examples of."""
    with unit_of_work():
        shop = create_shop("Second shop", prefix="B-", zone="Europe/Paris", actor=owner)
        change(FACE, {"language": "fr", "address": "1 Rue X\nParis"}, shop, actor=owner)
        packing = make_status(
            "packing", {"en": "Packing", "fr": "Emballage"}, state="processing", tone="info", rule="", actor=owner
        )
    sorts = {
        "plain": _told(1, "MUG", quantity=2),
        "express": _told(2, "CUP", flags=("prime", "gift", "label_required")),
        "business": _told(3, "CUP", "MUG", flags=("business",), buyer=JANE | {"purchase_order": "PO-77"}),
        "yen": _told(4, "BOWL", marketplace=JAPAN.id, currency="JPY", quantity=3),
        "pending": _told(5, "MUG", stage=ChannelStage.AWAITING_PAYMENT, status="PENDING", buyer={}, total=None),
        "canceled": _told(6, "MUG", stage=ChannelStage.CANCELED, status="CANCELED"),
        "late": _told(90, "MUG", ship_by=AT - timedelta(days=1)),
        "unmatched": _told(8, "", "MUG"),
        "by_channel": _told(9, "MUG", fulfilled_by=FulfilledBy.CHANNEL),
        "long": _told(10, *[f"SKU-{position}" for position in range(1, LONG + 1)]),
        "held": _told(11, "MUG"),
        "organized": _told(12, "MUG"),
        "asked_to_cancel": _told(13, "MUG", flags=("cancel_requested",)),
        "owed": _told(14, "MUG"),
        "sent": _told(15, "MUG", quantity=2),
        "refused": _told(16, "MUG"),
        "unknown": _told(17, "MUG"),
        "waiting": _told(18, "MUG"),
        "archived": _told(19, "MUG", stage=ChannelStage.CANCELED, status="CANCELED"),
    }
    orders = dict(zip(sorts, take(*sorts.values()), strict=True))
    outcomes: dict[str, Outcome] = {
        "sent": Sent("handle-1"),
        "refused": Refused("The carrier code is not known"),
        "unknown": Unknown("connection reset"),
        "waiting": NotYet(7200, "Too many requests"),
    }
    for sort, outcome in outcomes.items():
        channel.outcomes = [outcome]
        with unit_of_work():
            ship_order(locked(orders[sort]), [PackageInput("DHL", f"JD00{orders[sort].id}")], actor=clerk)
        work()
    with unit_of_work():
        hold(locked(orders["held"]), "fraud check", actor=owner)
        comment(locked(orders["held"]), "Asked the bank.", actor=clerk, pin=True)
        organized = locked(orders["organized"])
        assign(organized, clerk.id, actor=owner)
        set_due(organized, AT + timedelta(days=2), actor=owner)
        set_tags(organized, ["fragile"], [], actor=owner, new=["fragile"])
        set_status(organized, packing.code, actor=clerk)
        comment(organized, "First line\nhttps://example.com/a", actor=owner)
        archive(locked(orders["archived"]), actor=owner)
        ship_order(locked(orders["owed"]), [PackageInput("UPS", "1Z0001")], actor=clerk)
        save_view("Mugs to pack", parse("sku:MUG state:processing"), actor=owner, sort="-total", shared=True)
        chosen = [orders[sort].id for sort in ("plain", "business", "canceled")]
        start_bulk("comment", read_input(find_action("comment"), {"text": "Checked"}), actor=owner, ids=chosen)
    channel.outcomes = [NotYet(7200, "Too many requests")]
    work()
    return orders
