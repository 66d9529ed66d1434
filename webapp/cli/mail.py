"""Commands for outgoing mail."""

import click

from webapp.cli.door import Door, desk_command
from webapp.cli.presenting import Document
from webapp.cli.text import pairs, table
from webapp.clock import iso, now
from webapp.db import unit_of_work
from webapp.errors import sentence_of
from webapp.mail import queue as mails
from webapp.mail.composing import compose, trial_letter
from webapp.mail.jobs import send_mail
from webapp.mail.models import UNSENT_STATES, Mail
from webapp.mail.server import conversation

_COLUMNS = ("id", "kind", "state", "created_at", "tries", "next_at", "sent_at", "problem")


@click.group()
def mail() -> None:
    """Outgoing mail: what waits, what was sent, and what failed."""


@mail.command()
@click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True)
@desk_command
def queue(door: Door, limit: int) -> None:
    """The latest mails, newest first."""
    door.actor.needs("settings.edit")
    rows = [_document(row) for row in mails.latest(limit)]
    door.show(rows, table(rows, _COLUMNS, empty="No mail."))


@mail.command()
@click.argument("mail_id", metavar="ID", type=int)
@desk_command
def retry(door: Door, mail_id: int) -> None:
    """Send a mail once more that was refused, or that may not have arrived."""
    with unit_of_work():
        mails.send_again(mail_id, actor=door.actor)
        send_mail.enqueue()
    document = _document(mails.get(mail_id))
    door.show(document, pairs(document, _COLUMNS))


@mail.command()
@click.argument("address")
@desk_command
def test(door: Door, address: str) -> None:
    """Send a mail to ADDRESS now, and say what the server says."""
    door.actor.needs("settings.edit")
    with conversation() as server:
        letter = trial_letter(address)
        server.send(compose(letter, server.sender, 0, now()), (), lambda: True)
        sender = server.sender.address
    document = {"sent": True, "to": address, "from": sender}
    door.show(document, [f"The server took a mail from {sender} to {address}."])


def _document(row: Mail) -> Document:
    return {
        "id": row.id,
        "kind": row.kind,
        "state": row.state,
        "created_at": iso(row.created_at),
        "tries": row.tries,
        "next_at": iso(row.next_at) if row.state in UNSENT_STATES else None,
        "sent_at": iso(row.sent_at) if row.sent_at else None,
        "problem": sentence_of(row.problem),
    }
