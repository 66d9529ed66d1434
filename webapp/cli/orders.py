"""Orders: lists, one order in full, and every action."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import click
from sqlalchemy import select

from webapp.accounts.models import User
from webapp.audit.actor import Actor, ActorKind
from webapp.billing.queries import invoices_of, memos_of
from webapp.billing.refund_words import STATE_LABELS as MEMO_STATES
from webapp.channels.services import get_store
from webapp.cli import presenting
from webapp.cli.door import PART, Door, desk_command
from webapp.cli.main import Failed
from webapp.cli.presenting import Document
from webapp.cli.text import cell, pairs, section, table
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Refusal
from webapp.fulfillment.services import shipments_of
from webapp.hooks.fence import ask, label_of
from webapp.i18n import gettext as _
from webapp.lists.listing import key_of, list_page
from webapp.lists.subjects import zone_of
from webapp.orders import addresses
from webapp.orders.events import event_words, events_of, made_by
from webapp.orders.inputs import schema
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.queries import comments_of, find_order, holds_of, reference, state_condition
from webapp.orders.services import act as do, actions, find_action, offers, read_input
from webapp.orders.states import STATE_LABELS
from webapp.returns.queries import returns_of
from webapp.search.compiling import Compiled, compile_query
from webapp.search.query import parse
from webapp.sync import allowed_messages, fresh_facts
from webapp.updates.queries import list_updates
from webapp.vault import services as vault

REVEAL = click.option("--reveal", is_flag=True, help="Show buyer data; the access is recorded.")


@click.group()
def orders() -> None:
    """List, show and process orders."""


@orders.command(name="list")
@click.option("--store", "store_key", metavar="STORE", help="Only of this store (id or name).")
@click.option("--state", type=click.Choice([str(state) for state in STATE_LABELS]))
@click.option("--query", default="", metavar="QUERY", help="As in the search box: “due:<4h tag:gift”, “archived:yes”.")
@click.option("--limit", type=click.IntRange(min=0), default=50, show_default=True, help="0: all.")
@click.option("--after", metavar="NUMBER", help="Continue after this order, the last one of the previous page.")
@REVEAL
@desk_command
def list_(
    door: Door, store_key: str | None, state: str | None, query: str, limit: int, after: str | None, reveal: bool
) -> None:
    """Orders, newest first; archived orders only if the query asks for them."""
    if reveal:
        door.actor.needs("buyers.see")
    compiled = compile_query(parse(query), door.actor, zone=zone_of(door.actor))
    more = [Order.store_id == get_store(store_key).id] if store_key else []
    more += [state_condition(state)] if state else []
    compiled = replace(compiled, conditions=(*compiled.conditions, *more))
    if after and "~" not in after:
        after = key_of(ORDER_LIST, find_order(after, door.actor))
    columns = [
        "number",
        "channel_order_number",
        "store",
        "state",
        "channel_status",
        "placed_at",
        "ship_by",
        "unshipped",
    ]
    columns += ["total", "currency", "attention", *(["buyer_name"] if reveal else [])]
    rows = _rows(door.actor, compiled, after, limit, reveal)
    door.show_all(rows, lambda part: table(part, columns, empty="No order."))


def _rows(actor: Actor, compiled: Compiled, after: str | None, limit: int, reveal: bool) -> Iterator[Document]:
    """The list a part at a time: few orders are in memory at once, however long the list is."""
    left = limit
    while True:
        wanted = min(left, PART) if limit else PART
        found = list_page(ORDER_LIST, actor, compiled, after=after, limit=wanted)
        ids = [order.id for order in found.rows]
        buyers = vault.reveal(actor, ids, purpose="cli list") if reveal and ids else {}
        yield from (presenting.order_row(order, buyers.get(order.id)) for order in found.rows)
        left, after = left - len(ids), found.older
        if after is None or (limit and left <= 0):
            return


@orders.command()
@click.argument("number")
@REVEAL
@desk_command
def show(door: Door, number: str, reveal: bool) -> None:
    """Everything of one order, by our NUMBER or the channel's."""
    document = document_of(find_order(number, door.actor), door.actor, reveal=reveal)
    door.show(document, _drawn(document))


def document_of(order: Order, actor: Actor, *, reveal: bool = False) -> Document:
    """The order with all its parts; with `reveal` also the sealed ones, under one access record."""
    comments, holds, events = comments_of(order), holds_of(order), events_of(order)
    sealed = None
    if reveal:
        keys = vault.reveal_kinds(actor, [order.id], purpose="cli order", kinds=addresses.KINDS)
        notes = [(order.id, "comment", row.sealed) for row in comments]
        notes += [(order.id, "hold", row.sealed) for row in holds if row.sealed]
        opened = vault.open_sealed(notes, keys)
        sealed = presenting.Sealed(
            buyer=keys.opened(vault.BUYER).get(order.id) or {},
            address=addresses.of_keys(keys, order.id),
            comments=dict(zip((row.id for row in comments), opened, strict=False)),
            reasons=dict(zip((row.id for row in holds if row.sealed), opened[len(comments) :], strict=True)),
        )
    acted = [(row.actor_kind, row.actor_id) for row in comments]
    acted += [(row.actor_kind, row.actor_id) for row in holds]
    acted += [(row.actor_kind, row.actor_id) for row in events]
    return presenting.order_document(
        order,
        sealed=sealed,
        shipments=shipments_of(order),
        invoices=invoices_of(order),
        memos=memos_of(order),
        returns=returns_of(order),
        updates=list_updates(actor, order=order),
        holds=holds,
        comments=comments,
        offers=offers(order, actor),
        events=events,
        names=_names(id_ for kind, id_ in acted if kind == ActorKind.PERSON and id_ is not None),
    )


def _names(ids: Iterable[int]) -> dict[int, str]:
    query = select(User.id, User.name, User.email).where(User.id.in_(set(ids)))
    return {id_: name or email for id_, name, email in db.session.execute(query)}


@orders.command()
@click.argument("number")
@click.argument("action")
@click.option("--data", default="{}", help="The action's input as JSON; - reads it from standard input.")
@click.option("--key", help="An idempotency key: the same key again returns the first result instead of acting twice.")
@click.option("--version", type=int, help="The order's version that you saw; the action is refused if it changed.")
@desk_command
def act(door: Door, number: str, action: str, data: str, key: str | None, version: int | None) -> None:
    """Do ACTION to an order: ship, comment, …; “orders show” lists what is possible."""
    given = _json(sys.stdin.read() if data == "-" else data)
    chosen = find_action(action)
    if chosen.asks_messages:
        door.actor.needs(chosen.right)
        allowed_messages.ask_now(find_order(number, door.actor))
    answered = not chosen.lets_leave or fresh_facts.wait_for([find_order(number, door.actor).id])
    with unit_of_work():
        order = find_order(number, door.actor, lock=True)
        done = do(chosen, order, read_input(chosen, given), door.actor, key=key, version=version)
    updates = [
        {"id": row.id, "kind": row.kind, "state": row.state}
        for row in reversed(list_updates(door.actor, order=order, since_version=done.since))
        if row.order_version <= done.version
    ]
    known = event_words()
    events = [event for event in reversed(events_of(order)) if done.since < event.version <= done.version]
    making = [event for event in events if event.code in known and known[event.code].makes]
    told = [presenting.event_sentence(order, event, known) for event in making]
    message = " · ".join(told) or _("%(action)s: done.", action=chosen.label)
    made = [one._asdict() for one in made_by(events, known)]
    lines = [f"{reference(order)}: {message}"]
    lines += [f"update {row['id']}: {row['kind']}, {row['state']}" for row in updates]
    lines += [] if answered else ["The channel did not answer in time, so the order's last known data was used."]
    door.show({"order": reference(order), "made": made, "updates": updates, "message": message}, lines)


@orders.command("actions")
@click.argument("number", required=False)
@desk_command
def actions_(door: Door, number: str | None) -> None:
    """What can be done to orders, or to this one now; with --json also what each takes, as JSON Schema."""
    door.actor.needs("orders.view")
    order = find_order(number, door.actor) if number else None
    refusals = {one.code: one.refusal for one in offers(order, door.actor)} if order else {}
    rows: list[Document] = []
    problems = []
    for action in actions().values():
        if door.actor.may(action.right):
            refusal = refusals.get(action.code)
            row = {"code": action.code, "label": label_of(action), "right": action.right, "bulk": action.bulk}
            row |= {"why_not": str(refusal) if refusal else None} if order else {}
            try:
                taken = ask(action, "form", schema, action, order, door.actor, raises=DeskError)
            except Refusal as error:
                taken = None
                problems.append(f"{action.code}: {error}")
            rows.append(row | {"input": taken})
    columns = ("code", "label", "right", "bulk", *(["why_not"] if order else []))
    door.show(rows, table(rows, columns, empty="No action is possible."))
    if problems:
        raise Failed(" ".join(problems))


def _json(text: str) -> Mapping[str, Any]:
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise click.UsageError("--data must be a JSON object.", click.get_current_context())
    return given


def _drawn(order: Document) -> list[str]:
    """The order as text."""
    head = [
        "channel_order_number", "state", "status", "channel_status", "store", "shop", "marketplace", "fulfilled_by",
        "placed_at", "ship_by", "deliver_by", "due_at", "assignee", "tags", "flags", "archived_at", "buyer_name",
        "total",
    ]  # fmt: skip
    lines = table(
        order["lines"],
        ("id", "sku", "title", "ordered", "open", "shipped", "canceled", "invoiceable", "unit_price", "total"),
        empty="—",
    )
    packages = [package | {"origin": one["origin"]} for one in order["shipments"] for package in one["packages"]]
    total = f"{cell(order['total'])} {order['currency'] or ''}".rstrip()
    drawn = [f"Order {order['number'] or '@' + str(order['id'])}", *pairs(order | {"total": total}, head)]
    drawn += section("Attention", [f"{one['label']}: {one['cause']} {one['fix']}" for one in order["troubles"]])
    drawn += section("Items", lines)
    if packages:
        columns = ("number", "origin", "carrier", "service", "tracking_number", "shipped_at")
        drawn += section("Packages", table(packages, columns, empty=""))
    if order["invoices"]:
        of_invoices = ("id", "number", "issued_at", "total", "currency")
        drawn += section("Invoices", table(order["invoices"], of_invoices, empty=""))
    if order["credit_memos"]:
        of_memos = ("id", "number", "state", "issued_at", "total", "currency")
        memos = [memo | {"state": str(MEMO_STATES[memo["state"]])} for memo in order["credit_memos"]]
        drawn += section("Credit memos", table(memos, of_memos, empty=""))
    if order["returns"]:
        of_returns = ("id", "number", "state", "requested_at")
        drawn += section("Returns", table(order["returns"], of_returns, empty=""))
    if order["updates"]:
        drawn += section("Updates", table(order["updates"], ("id", "kind", "state", "attempts", "message"), empty=""))
    if order["addresses"] and order["addresses"]["delivery"]:
        drawn += section("Address", [str(part) for part in order["addresses"]["delivery"].values() if part])
        drawn += section("Unusual in the address", order["addresses"]["hints"])
    running = [one for one in order["holds"] if not one["released_at"]]
    drawn += section("Hold", [f"{one['at']}  until {cell(one['until'])}  {_note(one['reason'])}" for one in running])
    drawn += section("Comments", [f"{one['at']}  {_note(one['text'])}" for one in order["comments"]])
    drawn += section("Actions", [f"{one['code']}: {one['why'] or 'possible'}" for one in order["actions"]])
    drawn += section("Timeline", [f"{one['at']}  {one['text']}" for one in order["timeline"]])
    return drawn


def _note(text: str | None) -> str:
    """A note, which may name the buyer."""
    return "(shown with --reveal)" if text is None else cell(text, cut=False)
