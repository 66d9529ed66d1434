"""Commands for invoices and credit memos. Issuing one is an act: `orders act NUMBER invoice`, `… refund`."""

from collections.abc import Callable
from pathlib import Path

import click

from webapp.billing.models import CreditMemo, Invoice
from webapp.billing.queries import AnyDocument, find_document, list_documents
from webapp.channels.logos import picture_of
from webapp.cli import presenting
from webapp.cli.door import Door, desk_command
from webapp.cli.presenting import Document
from webapp.cli.text import cell, pairs, section, table
from webapp.db import unit_of_work
from webapp.documents import pdf as drawing
from webapp.documents.composed import PAPERS
from webapp.documents.facturx import facturx_of
from webapp.documents.invoices import compose
from webapp.documents.issued import archived_content_of, content_of
from webapp.documents.uploads import uploads_of
from webapp.updates.models import ChannelUpdate

_HEAD = ("number", "order", "shop", "issued_at", "total", "currency")
_LINES = ("line_id", "sku", "title", "component", "units", "charged", "tax", "discount", "total")


@click.group()
def invoices() -> None:
    """Issued invoices; “orders act NUMBER invoice” issues one."""


@click.group(name="credit-memos")
def credit_memos() -> None:
    """Issued credit memos; “orders act NUMBER refund” records one."""


def _add_commands(
    group: click.Group,
    model: type[AnyDocument],
    present: Callable[[AnyDocument, ChannelUpdate | None], Document],
    none: str,
) -> None:
    """The commands that list, show and draw the documents of one kind."""

    @group.command(name="list", help="Those that have a number, newest first.")
    @click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True)
    @desk_command
    def list_(door: Door, limit: int) -> None:
        found = list_documents(door.actor, model, limit=limit)
        uploads = uploads_of(found)
        rows = [present(row, uploads.get(row.id)) for row in found]
        door.show(rows, table(rows, _HEAD, empty=none))

    @group.command(help="One with its lines, by its NUMBER.")
    @click.argument("number")
    @desk_command
    def show(door: Door, number: str) -> None:
        found = find_document(number, door.actor, model)
        document: Document = present(found, uploads_of([found]).get(found.id))
        by, upload = document["by"], document["upload"]
        drawn: list[str] = [*pairs(document, _HEAD), f"by  {cell(by['name'] or by['kind'])}"]
        drawn += [f"upload  {upload['state']}  {upload['problem'] or ''}".rstrip()] if upload else []
        door.show(document, [*drawn, *section("Lines", table(document["lines"], _LINES, empty=""))])

    @group.command(help="Write the one with this NUMBER as a PDF to FILE.")
    @click.argument("number")
    @click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
    @click.option("--paper", type=click.Choice(list(PAPERS)), help="By default the usual paper of its country.")
    @click.option("--purpose", help="With the buyer, who is erased: what for. It is recorded.")
    @click.option("--facturx", is_flag=True, help="As Factur-X: for archives, with its content as XML.")
    @desk_command
    def pdf(door: Door, number: str, file: Path, paper: str | None, purpose: str | None, facturx: bool) -> None:
        found = find_document(number, door.actor, model)
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


_add_commands(invoices, Invoice, presenting.invoice, "No invoice.")
_add_commands(credit_memos, CreditMemo, presenting.credit_memo, "No credit memo.")
