"""Commands for invoices and credit memos. Issuing one is an act: `orders act NUMBER invoice`, `… refund`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from webapp.billing.models import CreditMemo, Invoice
from webapp.billing.queries import find_document, list_documents
from webapp.billing.refund_words import STATE_LABELS
from webapp.billing.standing import corrections_of
from webapp.channels.logos import picture_of
from webapp.cli import presenting
from webapp.cli.door import Door, desk_command
from webapp.cli.presenting import Document
from webapp.cli.text import pairs, section, table
from webapp.db import unit_of_work
from webapp.documents import pdf as drawing
from webapp.documents.composed import PAPERS
from webapp.documents.facturx import facturx_of
from webapp.documents.invoices import compose
from webapp.documents.issued import archived_content_of, content_of
from webapp.documents.uploads import uploads_of
from webapp.messaging.documents import CREDIT_MEMO, INVOICE
from webapp.messaging.sent_documents import sendings

_LINES = ("line_id", "sku", "title", "component", "units", "charged", "tax", "discount", "total")


@dataclass(frozen=True, slots=True)
class Kind:
    """How the documents of one kind are shown: as JSON, with words for people, and the columns of both their list and
    their page, and of the page alone.
    """

    model: type[Invoice] | type[CreditMemo]
    present: Callable[[Sequence[Any]], list[Document]]
    in_words: Callable[[Document], Document]
    head: tuple[str, ...]
    more: tuple[str, ...]
    none: str


def _invoices(found: Sequence[Invoice]) -> list[Document]:
    uploads, corrections = uploads_of(found), corrections_of(found)
    sent = sendings(INVOICE, [row.id for row in found])
    return [presenting.invoice(row, uploads.get(row.id), sent.get(row.id), corrections[row.id]) for row in found]


def _memos(found: Sequence[CreditMemo]) -> list[Document]:
    uploads, sent = uploads_of(found), sendings(CREDIT_MEMO, [row.id for row in found])
    return [presenting.credit_memo(row, uploads.get(row.id), sent.get(row.id)) for row in found]


def _invoice_in_words(document: Document) -> Document:
    by = ", ".join(document["corrections"])
    taken_back = {"whole": f"as a whole, by {by}", "part": f"in part, by {by}"}.get(document["taken_back"])
    return _in_words(document) | {"taken_back": taken_back}


def _memo_in_words(document: Document) -> Document:
    return _in_words(document) | {"state": str(STATE_LABELS[document["state"]])}


def _in_words(document: Document) -> Document:
    by, upload = document["by"], document["upload"]
    how_far = f"{upload['state']}  {upload['problem'] or ''}".rstrip() if upload else None
    return document | {"by": by["name"] or by["kind"], "upload": how_far}


INVOICES = Kind(
    model=Invoice,
    present=_invoices,
    in_words=_invoice_in_words,
    head=("number", "order", "shop", "issued_at", "total", "currency"),
    more=("by", "upload", "sent_to_buyer", "taken_back"),
    none="No invoice.",
)
MEMOS = Kind(
    model=CreditMemo,
    present=_memos,
    in_words=_memo_in_words,
    head=("id", "number", "state", "order", "shop", "recorded_at", "issued_at", "total", "currency"),
    more=("reason", "invoices", "takes_back", "taken_back_by", "by", "upload", "sent_to_buyer"),
    none="No credit memo.",
)


@click.group()
def invoices() -> None:
    """Issued invoices; “orders act NUMBER invoice” issues one."""


@click.group(name="credit-memos")
def credit_memos() -> None:
    """Credit memos; “orders act NUMBER refund” records one."""


def _add_commands(group: click.Group, kind: Kind, listed: str) -> None:
    """The commands that list, show and draw the documents of one kind."""

    @group.command(name="list", help=listed)
    @click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True)
    @desk_command
    def list_(door: Door, limit: int) -> None:
        rows = kind.present(list_documents(door.actor, kind.model, limit=limit))
        door.show(rows, table([kind.in_words(row) for row in rows], kind.head, empty=kind.none))

    @group.command(help="Show one with its lines, by its NUMBER.")
    @click.argument("number")
    @desk_command
    def show(door: Door, number: str) -> None:
        [document] = kind.present([find_document(number, door.actor, kind.model)])
        drawn = pairs(kind.in_words(document), (*kind.head, *kind.more))
        door.show(document, [*drawn, *section("Lines", table(document["lines"], _LINES, empty=""))])

    @group.command(help="Write the one with this NUMBER as a PDF to FILE.")
    @click.argument("number")
    @click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
    @click.option("--paper", type=click.Choice(list(PAPERS)), help="By default the usual paper of the country.")
    @click.option("--purpose", help="Include the erased buyer for this purpose. The purpose is recorded.")
    @click.option("--facturx", is_flag=True, help="As Factur-X: for archives, with its content as XML.")
    @desk_command
    def pdf(door: Door, number: str, file: Path, paper: str | None, purpose: str | None, facturx: bool) -> None:
        found = find_document(number, door.actor, kind.model)
        if purpose is None:
            content = content_of(found, door.actor, paper or "")
        else:
            with unit_of_work():
                content = archived_content_of(found, door.actor, purpose, paper or "")
        if facturx:
            file.write_bytes(facturx_of(content, lambda logo: picture_of(logo, door.actor)))
        else:
            document = compose(content)
            with file.open("wb") as target:
                drawing.draw([document], target, lambda logo: picture_of(logo, door.actor))
        door.show({"number": found.number, "file": str(file)}, [f"{found.number} is in {file}."])


_add_commands(invoices, INVOICES, "All of them, newest first.")
_add_commands(credit_memos, MEMOS, "All of them, newest first, including those without a number.")
