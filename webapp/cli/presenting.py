"""Rows of the desk as JSON documents, whose keys scripts rely on.

Keys never disappear: a value that is unknown, withheld or not requested is null. Times are UTC with `Z`, money is
decimal strings in the order's currency. Nothing here queries the database except for rows related to those given.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from webapp.accounts.models import User
from webapp.audit.actor import Actor, ActorKind
from webapp.billing.models import CreditMemo, CreditMemoLine, Invoice, InvoiceLine, Purpose
from webapp.billing.refundable import Refundable, goods
from webapp.billing.remaining import left_of, units_left
from webapp.billing.standing import corrections_of, is_taken_back
from webapp.channels.ages import ages_of
from webapp.channels.described import (
    cancel_reason_label,
    kind_label,
    marketplace_of,
    product_code_of,
    refund_reason_label,
)
from webapp.channels.incoming import ADDRESS_FIELDS, BUYER_FIELDS, Component
from webapp.channels.models import Store
from webapp.clock import iso
from webapp.db import db, once_a_transaction
from webapp.documents.uploads import upload_among
from webapp.errors import sentence_of
from webapp.fulfillment.models import Shipment
from webapp.jobs.models import Run
from webapp.messaging.documents import CREDIT_MEMO, INVOICE
from webapp.messaging.sent_documents import Sending, sendings
from webapp.money import Money
from webapp.orders.addresses import ShownAddress
from webapp.orders.attention import in_words
from webapp.orders.events import EventWords, event_words, sentence_of as sentence_of_event
from webapp.orders.lent_columns import order_row as row_of_order
from webapp.orders.models import Order, OrderAmount, OrderComment, OrderEvent, OrderHold, OrderLine
from webapp.orders.order_settings import IMPORT_ORDERS, switched_off
from webapp.orders.postal import hints
from webapp.orders.queries import reference
from webapp.orders.services import Offer
from webapp.orders.statuses import status_name
from webapp.orders.store_options import StoreOption
from webapp.orders.tags import tags_of
from webapp.returns.contract import CONDITION_LABELS
from webapp.returns.models import Return
from webapp.returns.services import returnable_units
from webapp.sync.call_list import CallRow, message
from webapp.sync.health import Health
from webapp.sync.models import QuarantinedOrder
from webapp.sync.runs import NUMBERS, lanes_of
from webapp.updates import deciding
from webapp.updates.models import ChannelUpdate
from webapp.updates.queries import goes_at, why_it_waits

Document = dict[str, Any]
Buyer = Mapping[str, Any]
Names = Mapping[int, str]


def order_row(order: Order, buyer: Buyer | None = None) -> Document:
    """An order as lists show it; `buyer` is what the vault revealed of it."""
    asked = ["cancel_requested"] if order.buyer_wants_cancel else []
    return {
        "id": order.id,
        "number": order.number,
        "channel_order_number": order.channel_order_number,
        "store_id": order.store_id,
        "store": order.store.name,
        "shop": order.shop.name,
        "marketplace": country(order.store, order.marketplace),
        "fulfilled_by": order.fulfilled_by,
        "state": order.shown_state,
        "channel_status": order.channel_status,
        "placed_at": iso(order.placed_at),
        "updated_at": iso(order.updated_at),
        "ship_by": iso(order.ship_by),
        "deliver_by": iso(order.deliver_by),
        "currency": order.currency,
        "total": amount(order.total),
        "items": order.items,
        "unshipped": order.unshipped,
        "flags": [*asked, *(flag for flag in order.flags if flag not in asked)],
        "attention": [trouble["kind"] for trouble in order.attention],
        "buyer_name": (buyer or {}).get("name"),
        "status": order.status,
        "assignee": _people().get(order.assignee_id or 0),
        "due_at": iso(order.due_at),
        "tags": [tag.name for tag in tags_of(order)],
        "country": order.country or None,
        "archived_at": iso(order.archived_at),
    }


def option_row(option: StoreOption) -> Document:
    """An option of a store; its value and default are null for a secret."""
    choices = {code: str(words) for code, words in option.choices.items()} if option.choices is not None else None
    return {
        "name": option.name,
        "group": option.group.code,
        "label": str(option.label),
        "value": option.value,
        "default": option.default,
        "choices": choices,
        "secret": option.secret,
        "stored": option.stored,
    }


def _people() -> dict[int, str]:
    """Everybody who works or worked here; read once a transaction."""
    query = select(User.id, User.name, User.email)
    return once_a_transaction("names", lambda: {id_: name or email for id_, name, email in db.session.execute(query)})


@dataclass(frozen=True, slots=True)
class Sealed:
    """The revealed data of an order: its buyer, its addresses, and texts about it, by the rows' ids."""

    buyer: Buyer
    address: ShownAddress
    comments: Mapping[int, str | None]
    reasons: Mapping[int, str | None]


def order_document(
    order: Order,
    *,
    sealed: Sealed | None,
    shipments: Iterable[Shipment],
    invoices: Iterable[Invoice],
    memos: Iterable[CreditMemo],
    returns: Iterable[Return],
    updates: Iterable[ChannelUpdate],
    holds: Iterable[OrderHold],
    comments: Iterable[OrderComment],
    offers: Iterable[Offer],
    events: Iterable[OrderEvent],
    names: Names,
) -> Document:
    """The whole order; `names` are those of people. Sealed values are null unless they were revealed."""
    buyer, updates, invoices = sealed.buyer if sealed else None, list(updates), list(invoices)
    corrections, memos = corrections_of(invoices), list(memos)
    sent = sendings(INVOICE, [row.id for row in invoices])
    memos_sent = sendings(CREDIT_MEMO, [row.id for row in memos])
    return order_row(order, buyer) | {
        "version": order.version,
        "amounts": [order_amount(order, row) for row in order.amounts if any(row.figures)],
        "residual": amount(order.residual),
        "lines": [order_line(line, product_code_of(order.store.channel).code) for line in order.lines],
        "shipments": [shipment(row) for row in shipments],
        "invoices": [
            invoice(row, upload_among(updates, row), sent.get(row.id), corrections[row.id]) for row in invoices
        ],
        "credit_memos": [credit_memo(row, upload_among(updates, row), memos_sent.get(row.id)) for row in memos],
        "refundable": refundable(order),
        "returns": [return_document(row) for row in returns],
        "updates": [update(row) for row in updates],
        "holds": [
            {
                "id": row.id,
                "at": iso(row.at),
                "until": iso(row.until),
                "released_at": iso(row.released_at),
                "reason": sealed.reasons.get(row.id) if sealed else None,
                "by": actor(row.actor_kind, row.actor_id, names),
            }
            for row in holds
        ],
        "comments": [
            {
                "id": row.id,
                "at": iso(row.at),
                "by": actor(row.actor_kind, row.actor_id, names),
                "text": sealed.comments.get(row.id) if sealed else None,
                "status": row.status,
                "pinned_at": iso(row.pinned_at),
            }
            for row in comments
        ],
        "buyer": None if buyer is None else {key: buyer.get(key) for key in BUYER_FIELDS if key != "address"},
        "addresses": _addresses(sealed.address) if sealed else None,
        "actions": [offer(row) for row in offers],
        "timeline": timeline(order, events, names),
        "troubles": troubles(order.attention),
    }


def order_amount(order: Order, row: OrderAmount) -> Document:
    minor = {"charged": row.charged, "tax": row.tax, "discount": row.discount, "net": row.net}
    minor["invoiceable"] = left_of(row).net
    amounts = {name: amount(Money(value, order.currency)) if order.currency else None for name, value in minor.items()}
    return {"line_id": row.line_id, "component": row.component, **amounts}


def order_line(line: OrderLine, product_code: str) -> Document:
    """A line, with the product code under the name that its channel gives it."""
    counts = ("ordered", "canceled", "shipped", "invoiced", "refunded", "returned", "open")
    return {
        "id": line.id,
        "channel_line_id": line.channel_line_number,
        "sku": line.sku,
        product_code: line.product_code,
        "title": line.title,
        **{name: getattr(line, name) for name in counts},
        "invoiceable": units_left(line),
        "returnable": returnable_units(line),
        "unit_price": amount(line.unit_price),
        "total": amount(line.total),
        "problems": troubles(line.problems),
    }


def shipment(row: Shipment) -> Document:
    return {
        "id": row.id,
        "origin": row.origin,
        "packages": [
            {
                "number": package.number,
                "carrier": package.carrier,
                "carrier_name": package.carrier_name,
                "service": package.service,
                "tracking_number": package.tracking_number,
                "shipped_at": iso(package.shipped_at),
                "lines": {str(line.line_id): line.quantity for line in package.lines},
            }
            for package in row.packages
        ],
    }


def invoice(
    row: Invoice, upload: ChannelUpdate | None, sent: Sending | None, corrections: Sequence[CreditMemo]
) -> Document:
    """An issued invoice with its lines, its upload to the channel, when it went to the buyer, and the credit memos that
    took it back. What it says of the buyer stays sealed.
    """
    how_much = "whole" if is_taken_back(row, corrections) else "part"
    names = {row.person.id: row.person.name or row.person.email} if row.person else {}
    return {
        "id": row.id,
        "number": row.number,
        "order": reference(row.order),
        "shop": row.seller["name"],
        "issued_at": iso(row.issued_at),
        "currency": row.currency,
        "total": amount(row.total),
        "upload": _upload(upload),
        "sent_to_buyer": iso(sent.at) if sent else None,
        "taken_back": how_much if corrections else None,
        "corrections": [memo.number for memo in corrections],
        "by": actor(row.actor_kind, row.actor_id, names),
        "lines": [_document_line(line, row.currency) for line in row.lines],
    }


def credit_memo(row: CreditMemo, upload: ChannelUpdate | None, sent: Sending | None) -> Document:
    """A credit memo with its lines, its upload to the channel, when it went to the buyer, and the documents that it is
    about; also one that has no number.
    """
    documents, takes_back = list(row.terms.get("documents", ())), row.purpose == Purpose.REVERSAL
    names = {row.person.id: row.person.name or row.person.email} if row.person else {}
    return {
        "id": row.id,
        "number": row.number,
        "order": reference(row.order),
        "shop": row.shop.name,
        "state": row.state,
        "purpose": row.purpose,
        "origin": row.origin,
        "record_only": row.record_only,
        "reason": row.reason or None,
        "recorded_at": iso(row.recorded_at),
        "issued_at": iso(row.issued_at),
        "effective_at": iso(row.effective_at),
        "currency": row.currency,
        "total": amount(row.total),
        "channel_total": amount(row.channel_total),
        "problem": sentence_of(row.problem),
        "invoices": [] if takes_back else documents,
        "takes_back": documents[0] if takes_back and documents else None,
        "taken_back_by": row.opposite.number if row.opposite else None,
        "upload": _upload(upload),
        "sent_to_buyer": iso(sent.at) if sent else None,
        "by": actor(row.actor_kind, row.actor_id, names),
        "lines": [_document_line(line, row.currency) | {"restock": line.restock} for line in row.lines],
    }


def _upload(row: ChannelUpdate | None) -> Document | None:
    """How far the upload of a document to its channel is; None if there is none."""
    if row is None:
        return None
    return {"id": row.id, "state": row.state, "problem": sentence_of(row.problem), "at": iso(row.effective_at)}


def return_document(row: Return) -> Document:
    """A return with its lines and the credit memos that refund it."""
    names = {row.person.id: row.person.name or row.person.email} if row.person else {}
    counts = ("asked", "authorized", "received", "accepted", "rejected")
    return {
        "id": row.id,
        "number": row.number,
        "order": reference(row.order),
        "state": row.state,
        "requested_at": iso(row.requested_at),
        "decided_at": iso(row.decided_at),
        "closed_at": iso(row.closed_at),
        "by": actor(row.actor_kind, row.actor_id, names),
        "lines": [
            {
                "line_id": line.line_id,
                "sku": line.line.sku,
                "title": line.line.title,
                **{name: getattr(line, name) for name in counts},
                "reason": line.reason,
                "condition": line.condition,
                "resolution": line.resolution,
            }
            for line in row.lines
        ],
        "credit_memos": [
            {"id": memo.id, "number": memo.number, "state": memo.state, "taken_back": memo.opposite is not None}
            for memo in row.memos
        ],
    }


def refundable(order: Order) -> Document | None:
    """What can still be refunded, in the form in which the act `refund` takes it; None while the total is withheld."""
    if order.currency is None or order.total_minor is None:
        return None
    left, currency = Refundable(order), order.currency
    lines = {}
    for line in order.lines:
        amounts = {}
        for component in Component:
            found = left.amounts.get((line.id, component))
            if found is not None and component is not Component.SHIPPING:
                amounts[component.value] = amount(Money(goods(found), currency))
                amounts |= {f"{component}_tax": amount(Money(found.tax, currency))} if found.tax else {}
        if amounts or line.id in left.units:
            lines[str(line.id)] = {"units": left.units.get(line.id, 0), "amounts": amounts}
    shipping = left.shipping
    return {
        "total": amount(Money(left.total, currency)),
        "lines": lines,
        "shipping": amount(Money(goods(shipping), currency)),
        "shipping_tax": amount(Money(shipping.tax, currency)),
    }


def _document_line(line: InvoiceLine | CreditMemoLine, currency: str) -> Document:
    figures = line.figures._asdict() | {"total": line.figures.net}
    return {
        "line_id": line.line_id,
        "component": line.component,
        "sku": line.sku,
        "title": line.title,
        "units": line.units,
        **{name: amount(Money(minor, currency)) for name, minor in figures.items()},
        "tax_rate": None if line.tax_rate is None else str(Decimal(line.tax_rate) / 10_000),
    }


def update(row: ChannelUpdate) -> Document:
    return {
        "id": row.id,
        "order": reference(row.order),
        "kind": row.kind,
        "state": row.state,
        "due_at": iso(row.due_at),
        "sent_at": iso(row.sent_at),
        "effective_at": iso(row.effective_at),
        "attempts": row.attempts,
        "reference": row.reference,
        "revision": row.revision,
        "lane": row.lane,
        "message": sentence_of(row.problem) or why_it_waits(row),
        "deadline": iso(row.deadline),
    }


def call(row: CallRow) -> Document:
    return {
        "id": row.id,
        "at": iso(row.at),
        "store": row.store.name,
        "order": None if row.order_id is None else reference(row_of_order(row)),
        "update": row.update_id,
        "operation": row.operation,
        "outcome": row.outcome,
        "status": row.http_status,
        "seconds": row.took / 1000,
        "tries": row.tries,
        "request_id": row.request_id or None,
        "code": row.detail or row.problem or None,
        "message": message(row.store.channel, row, row.http_status),
    }


def whole_update(row: ChannelUpdate, actor: Actor) -> Document:
    """An update with all its times, and what the actor can decide about it."""
    return update(row) | {
        "store": row.store.name,
        "created_at": iso(row.created_at),
        "goes_at": iso(goes_at(row)),
        "refused_at": iso(row.refused_at),
        "can": [offer.code for offer in deciding.offers(row, actor)],
    }


def offer(row: Offer) -> Document:
    why = None if row.refusal is None else str(row.refusal)
    return {"code": row.code, "label": row.label, "offered": row.refusal is None, "why": why}


def timeline(order: Order, events: Iterable[OrderEvent], names: Names) -> list[Document]:
    known = event_words()
    return [
        {
            "at": iso(event.at),
            "code": event.code,
            "text": event_sentence(order, event, known),
            "by": actor(event.actor_kind, event.actor_id, names),
            "version": event.version,
        }
        for event in events
    ]


def event_sentence(order: Order, event: OrderEvent, known: Mapping[str, EventWords]) -> str:
    """What happened, with its times as scripts read them."""
    channel, at = order.store.channel, order.marketplace
    said: dict[str, Callable[[Any], str]] = {
        "kind": lambda code: kind_label(channel, str(code)),
        "status": status_name,
        "reason": lambda code: cancel_reason_label(channel, at, str(code)),
        "refund_reason": lambda code: refund_reason_label(channel, at, str(code)),
        "condition": lambda code: str(CONDITION_LABELS.get(code, code)),
    }
    return sentence_of_event(event, said, known)


def troubles(stored: Iterable[Mapping[str, Any]]) -> list[Document]:
    """The attention of an order in words: what it is, why, and what to do."""
    return [
        {"code": trouble.kind, "label": trouble.label, "cause": trouble.cause, "fix": trouble.fix}
        for trouble in in_words(stored)
    ]


def _addresses(shown: ShownAddress) -> Document:
    """The delivery address with what is unusual about it, and the channel's own if it was corrected."""
    found = {"delivery": address(shown.address), "channel": address(shown.there)}
    return found | {"hints": [str(hint) for hint in hints(shown.address)] if shown.address else []}


def address(given: Any) -> Document | None:
    return {name: given.get(name) for name in ADDRESS_FIELDS} if given else None


def store_rows(found: Sequence[Store]) -> list[Document]:
    """These stores and the state of their traffic."""
    lanes = lanes_of([store.id for store in found])
    return [_store_row(store, Health.of_lanes(lanes.get(store.id, ()))) for store in found]


def _store_row(store: Store, state: Health) -> Document:
    """`disconnected` waits for a person, `last_failure` passes by itself; `lanes` are read beside the orders."""
    sync, off = state.sync, switched_off(store)
    return {
        "id": store.id,
        "channel": store.channel,
        "name": store.name,
        "shop": store.shop.name,
        "practice": store.practice,
        "active": store.active,
        "archived_at": iso(store.archived_at),
        "import_orders": IMPORT_ORDERS.of(store),
        "marketplaces": sorted(row.country for row in store.marketplaces),
        "marketplaces_off": sorted(row.country for row in store.marketplaces if row.marketplace in off),
        "disconnected": state.disconnected(store),
        "last_failure": state.last_failure,
        "denied": [
            {"thing": row.thing, "name": row.name, "since": iso(row.since), "problem": sentence_of(row.problem)}
            for row in state.denials
        ],
        "credentials": [
            {
                "name": age.name,
                "issued": age.since.isoformat() if age.since else None,
                "expires": age.expires.isoformat() if age.expires else None,
                "days_left": age.days_left,
                "warning": age.warning or None,
            }
            for age in ages_of(store)
        ],
        "proven_complete": sync is not None and sync.proof is not None and state.unproven is None,
        "running": sync is not None and sync.run is not None and sync.run.is_open,
        "failures": sync.failures if sync else 0,
        "last_success_at": iso(sync.last_success_at) if sync else None,
        "next_at": iso(sync.next_at) if sync else None,
        "lanes": [
            {
                "lane": one.lane,
                "running": one.run is not None and one.run.is_open,
                "failures": one.failures,
                "last_failure": sentence_of(one.last_failure),
                "last_success_at": iso(one.last_success_at),
                "next_at": iso(one.next_at),
            }
            for one in state.lanes
        ],
    }


def run_row(run: Run, *, store: str | None, next_at: str | None = None) -> Document:
    """A run with its numbers; `next_at` is the store's."""
    return {
        "id": run.id,
        "kind": run.kind,
        "store": store,
        "state": run.state,
        "started": iso(run.started_at),
        "ended": iso(run.ended_at),
        **{name: run.numbers.get(name, 0) for name in NUMBERS},
        "next_at": next_at,
        "message": sentence_of(run.problem),
    }


def quarantined_order(row: QuarantinedOrder, store: str) -> Document:
    return {
        "id": row.id,
        "store_id": row.store_id,
        "store": store,
        "number": row.number,
        "field": row.field,
        "problem": row.problem,
        "message": row.cause,
        "at": iso(row.at),
        "attempts": row.attempts,
    }


def amount(money: Money | None) -> str | None:
    return None if money is None else str(money)


def actor(kind: str, id_: int | None, names: Names) -> Document:
    """The actor: a person by name, others by their kind."""
    return {"kind": kind, "id": id_, "name": names.get(id_ or 0) if kind == ActorKind.PERSON else None}


def acting(one: Actor) -> Document:
    return {"kind": one.kind, "id": one.id, "name": one.name or None}


def country(store: Store, marketplace: str) -> str:
    """The country of a marketplace, from the store or else its channel; the channel's id of it if neither knows."""
    for row in store.marketplaces:
        if row.marketplace == marketplace:
            return row.country
    known = marketplace_of(store.channel, marketplace)
    return known.country if known else marketplace
