"""Commands for messages to and from buyers. What is done about them are acts: `orders act NUMBER message`,
`message_done`, `assign_message`.
"""

from typing import cast

import click

from webapp.cli.door import Door, desk_command
from webapp.cli.presenting import Document
from webapp.cli.text import pairs, table
from webapp.clock import iso
from webapp.errors import sentence_of
from webapp.messaging.models import ReceivedMail, SaidByMail
from webapp.messaging.queries import Listed, find_message, list_messages, said_of
from webapp.messaging.templates import template_of
from webapp.orders.queries import find_order, reference

_HEAD = ("id", "order", "direction", "route", "kind", "state", "written_at")


@click.group()
def messages() -> None:
    """Messages to and from buyers; “orders act NUMBER message” writes one."""


@messages.command(name="list")
@click.option("--order", "number", metavar="NUMBER", help="Only those of this order.")
@click.option("--unread", is_flag=True, help="Only answers that are not done.")
@click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True)
@desk_command
def list_(door: Door, number: str | None, unread: bool, limit: int) -> None:
    """Messages, newest first; without their texts."""
    order = find_order(number, door.actor) if number else None
    rows = [_document(row) for row in list_messages(door.actor, order=order, unread=unread, limit=limit)]
    door.show(rows, table(rows, _HEAD, empty="No message."))


@messages.command()
@click.argument("message_id", metavar="ID", type=int)
@desk_command
def show(door: Door, message_id: int) -> None:
    """One message with its text, which is recorded as seen."""
    row = find_message(message_id, door.actor)
    said = said_of(row, door.actor)
    document = _document(row) | {"text": said["text"] if said else None}
    if row.received is not None:
        document |= _received(row.received, cast(SaidByMail | None, said))
    head = [name for name in document if name not in ("text", "quoted")]
    quoted = ["", document["quoted"]] if document.get("quoted") else []
    door.show(document, [*pairs(document, head), "", "(erased)" if said is None else said["text"], *quoted])


def _received(row: ReceivedMail, said: SaidByMail | None) -> Document:
    """What only a received message has."""
    return {
        "matched": row.matched,
        "from_buyer": row.from_buyer,
        "assigned_to": row.assignee.email if row.assignee else None,
        "done_at": iso(row.done_at) if row.done_at else None,
        "problem": sentence_of(row.problem),
        "from": said["sender"] if said else None,
        "subject": said["subject"] if said else None,
        "files": [one["name"] for one in said["files"]] if said else [],
        "quoted": said["quoted"] if said else None,
    }


def _document(row: Listed) -> Document:
    return {
        "id": row.message.id,
        "order": reference(row.message.order),
        "direction": row.message.direction,
        "route": row.message.route,
        "kind": row.message.kind,
        "state": row.state,
        "template": template_of(row.message) or None,
        "written_at": iso(row.message.written_at),
    }
