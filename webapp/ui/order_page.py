"""What the page of one order shows: gathered once, drawn whole or in parts."""

from typing import Any
from urllib.parse import quote

from flask import g, url_for

from webapp.audit.actor import Actor
from webapp.channels.contract import BUYER_FIELDS
from webapp.errors import Forbidden, NotFound, sentence_of
from webapp.fulfillment.services import shipments_of, shipping_refusal
from webapp.orders.events import events_of
from webapp.orders.models import Order
from webapp.orders.queries import comments_of, reference
from webapp.orders.services import find_action, offers
from webapp.sync.models import UNSETTLED, ChannelUpdate, UpdateState
from webapp.sync.updates import list_updates
from webapp.ui import shown, timeline
from webapp.ui.forms.actions import ActionForm, action_form
from webapp.vault import services as vault

READ_ONLY = (
    "orders/_summary.html",
    "orders/_items.html",
    "orders/_packages.html",
    "orders/_totals.html",
    "orders/_payment.html",
    "orders/_updates.html",
    "orders/_timeline.html",
)  # whatever is no form: renewed while somebody types elsewhere on the page
COMMENT = "comment"


def facts(order: Order, actor: Actor, *, whole: bool = True) -> dict[str, Any]:
    """Everything that the page's parts show. The buyer, by right and on the record, only where the `whole` is drawn."""
    g.zone = order.shop.zone
    updates = list_updates(actor, order=order)
    events = events_of(order, limit=timeline.LONGEST)
    comments = comments_of(order)
    doers = [(event.actor_kind, event.actor_id) for event in events]
    names = shown.Names(order, doers + [(comment.actor_kind, comment.actor_id) for comment in comments])
    buyer = None
    if whole and actor.may("buyers.see"):
        buyer = vault.reveal(actor, [order.id], purpose="order").get(order.id)
    page = shown.ShownOrder(order, buyer)
    page.next_step, page.next_tone = shown.next_step(
        order, shipping_refusal(order, actor), any(row.state == UpdateState.REFUSED for row in updates)
    )
    told = shown.comments_shown(comments, actor)
    return {
        "order": page,
        "offers": offers(order, actor),
        "lines": shown.lines_of(order),
        "totals": shown.totals_of(order),
        "payment": {"method": ", ".join(order.channel_order.facts.get("payment_methods") or [])},
        "address": shown.address_of(buyer) if buyer else None,
        "buyer": _buyer(buyer) if buyer else None,
        "shipments": _shipments(order),
        "updates": [_update(order, row, actor) for row in updates],
        "unsettled": any(row.state in UNSETTLED for row in updates),
        "timeline": timeline.timeline_of(order, events, names),
        "comments": None
        if told is None
        else [row | {"author": names.of(row["actor_kind"], row["actor_id"])} for row in told],
        "comment_form": comment_form(order, actor),
    }


def comment_form(order: Order, actor: Actor, given: Any = None) -> ActionForm | None:
    """The box under the comments: the action of that name, where its plugin is there and the actor may."""
    try:
        action = find_action(COMMENT)
        actor.needs(action.right)
    except (NotFound, Forbidden):
        return None
    return action_form(action, order, given)


def _buyer(told: Any) -> list[tuple[str, str, str]]:
    """The buyer's facts but for the address, in the order of the contract; texts by line as one text each."""
    rows: list[tuple[str, str, str]] = []
    for name, label in BUYER_FIELDS.items():
        value = told.get(name)
        if name == "address" or not value:
            continue
        if isinstance(value, dict):
            value = "\n".join(str(text) for text in value.values() if text)
        rows.append((name, str(label), str(value)))
    return rows


def _shipments(order: Order) -> list[dict[str, Any]]:
    channel = shown.channel_of(order.store)
    carriers = {carrier.code: carrier for carrier in channel.carriers(order.marketplace)} if channel else {}
    lines = {line.id: line for line in order.lines}
    found = []
    for shipment in shipments_of(order):
        packages = []
        for package in shipment.packages:
            carrier = carriers.get(package.carrier)
            url = carrier.tracking_url if carrier else ""
            packages.append(
                {
                    "number": package.number,
                    "carrier": package.carrier_name or (carrier.label if carrier else package.carrier),
                    "service": package.service,
                    "tracking_number": package.tracking_number,
                    "tracking_url": url.replace("{number}", quote(package.tracking_number, safe="")) if url else "",
                    "shipped_at": package.shipped_at,
                    "lines": [
                        {"sku": lines[row.line_id].sku, "title": lines[row.line_id].title, "quantity": row.quantity}
                        for row in package.lines
                    ],
                }
            )
        found.append({"id": shipment.id, "origin": shipment.origin, "packages": packages})
    return found


def _update(order: Order, row: ChannelUpdate, actor: Actor) -> dict[str, Any]:
    retriable = row.state in (UpdateState.REFUSED, UpdateState.UNKNOWN)
    return {
        "id": row.id,
        "kind_label": timeline.update_label(order, row.kind),
        "reference": row.reference,
        "state": row.state,
        "created_at": row.created_at,
        "due_at": row.due_at,
        "sent_at": row.sent_at,
        "effective_at": row.effective_at,
        "settled_at": row.refused_at or row.effective_at,
        "attempts": row.attempts,
        "message": sentence_of(row.problem),
        "can_retry": retriable and actor.may("updates.retry"),
    }


def url_of(order: Order) -> str:
    """The order's page."""
    return url_for("orders.show", number=reference(order))
