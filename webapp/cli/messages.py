"""Commands for messages to buyers. Writing one is an act: `orders act NUMBER message`."""

import click

from webapp.cli.door import Door, desk_command
from webapp.cli.presenting import Document
from webapp.cli.text import pairs, table
from webapp.clock import iso
from webapp.messaging.queries import Listed, find_message, list_messages, said_of
from webapp.orders.queries import find_order, reference

_HEAD = ("id", "order", "direction", "route", "kind", "state", "written_at")


@click.group()
def messages() -> None:
    """Messages to buyers; “orders act NUMBER message” writes one."""


@messages.command(name="list")
@click.option("--order", "number", metavar="NUMBER", help="Those of this order.")
@click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True)
@desk_command
def list_(door: Door, number: str | None, limit: int) -> None:
    """Messages, newest first; without their texts."""
    order = find_order(number, door.actor) if number else None
    rows = [_document(row) for row in list_messages(door.actor, order=order, limit=limit)]
    door.show(rows, table(rows, _HEAD, empty="No message."))


@messages.command()
@click.argument("message_id", metavar="ID", type=int)
@desk_command
def show(door: Door, message_id: int) -> None:
    """One message with its text, which is recorded as seen."""
    row = find_message(message_id, door.actor)
    said = said_of(row, door.actor)
    document = _document(row) | {"text": said["text"] if said else None}
    door.show(document, [*pairs(document, _HEAD), "", document["text"] or "(erased)"])


def _document(row: Listed) -> Document:
    return {
        "id": row.message.id,
        "order": reference(row.message.order),
        "direction": row.message.direction,
        "route": row.message.route,
        "kind": row.message.kind,
        "state": row.state,
        "written_at": iso(row.message.written_at),
    }
