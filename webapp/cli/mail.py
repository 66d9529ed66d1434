"""Commands for mail: what leaves, and the mailboxes that are read."""

from collections import Counter

import click

from webapp.cli.door import Door, desk_command
from webapp.cli.presenting import Document
from webapp.cli.text import pairs, table
from webapp.clock import iso, now
from webapp.db import unit_of_work
from webapp.errors import sentence_of
from webapp.mail import mailboxes, queue as mails
from webapp.mail.composing import compose, trial_letter
from webapp.mail.jobs import send_mail
from webapp.mail.models import UNSENT_STATES, Mail, Mailbox
from webapp.mail.server import conversation
from webapp.messaging.receiving import Taken, read_next

_COLUMNS = ("id", "kind", "state", "created_at", "tries", "next_at", "sent_at", "problem")
_MAILBOX = ("id", "name", "host", "user", "folder", "read_at", "next_at", "loops", "problem")


@click.group()
def mail() -> None:
    """Mails that wait, were sent or failed, and the mailboxes."""


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
    """Send a mail again that was refused or may not have arrived; not for mails to buyers."""
    with unit_of_work():
        mails.send_again(mail_id, actor=door.actor)
        send_mail.enqueue()
    document = _document(mails.get(mail_id))
    door.show(document, pairs(document, _COLUMNS))


@mail.command()
@click.argument("address")
@desk_command
def test(door: Door, address: str) -> None:
    """Send a mail to ADDRESS now, and show the server's answer."""
    door.actor.needs("settings.edit")
    with conversation() as server:
        letter = trial_letter(address)
        server.send(compose(letter, server.sender, 0, now()), (), lambda: True)
        sender = server.sender.address
    document = {"sent": True, "to": address, "from": sender}
    door.show(document, [f"The server took a mail from {sender} to {address}."])


@mail.command(name="mailboxes")
@desk_command
def mailboxes_(door: Door) -> None:
    """The mailboxes, and why one can't be read."""
    mailboxes.check_right(door.actor)
    rows = [_mailbox(row) for row in mailboxes.every()]
    door.show(rows, table(rows, _MAILBOX, empty="No mailbox."))


@mail.command()
@click.argument("mailbox_id", metavar="[ID]", type=int, required=False)
@desk_command
def read(door: Door, mailbox_id: int | None) -> None:
    """Read all mailboxes now, or the one with this ID, and show what arrived."""
    mailboxes.check_right(door.actor)
    chosen = [mailboxes.get(mailbox_id)] if mailbox_id is not None else mailboxes.every()
    rows = [_read(of_id, name) for of_id, name in [(row.id, row.name) for row in chosen]]
    door.show(rows, table(rows, ("id", "name", *Taken, "problem"), empty="No mailbox."))


def _read(mailbox_id: int, name: str) -> Document:
    """Read a mailbox to its end; returns what became of its mails."""
    taken: Counter[Taken] = Counter()
    more, problem = True, None
    while more:
        found = read_next(mailbox_id)
        if found is None:  # it was removed meanwhile
            break
        taken += found.taken
        more, problem = found.more, found.problem
    return (
        {"id": mailbox_id, "name": name}
        | {str(one): taken[one] for one in Taken}
        | {"problem": str(problem) if problem else None}
    )


def _mailbox(row: Mailbox) -> Document:
    return {
        "id": row.id,
        "name": row.name,
        "host": row.host,
        "user": row.user,
        "folder": row.folder,
        "read_at": iso(row.read_at) if row.read_at else None,
        "next_at": iso(row.next_at),
        "loops": row.loops,
        "problem": sentence_of(row.problem),
    }


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
