"""Commands for invoices. Issuing one is an act: `orders act NUMBER invoice`."""

from pathlib import Path

import click

from webapp.billing.queries import find_invoice, list_invoices
from webapp.channels.logos import picture_of
from webapp.cli import presenting
from webapp.cli.door import Door, desk_command
from webapp.cli.text import cell, pairs, section, table
from webapp.documents import pdf as drawing
from webapp.documents.composed import PAPERS
from webapp.documents.invoices import compose
from webapp.documents.issued import content_of

_HEAD = ("number", "order", "shop", "issued_at", "total", "currency")


@click.group()
def invoices() -> None:
    """Issued invoices; “orders act NUMBER invoice” issues one."""


@invoices.command(name="list")
@click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True)
@desk_command
def list_(door: Door, limit: int) -> None:
    """Invoices, newest first."""
    rows = [presenting.invoice(row) for row in list_invoices(door.actor, limit=limit)]
    door.show(rows, table(rows, _HEAD, empty="No invoice."))


@invoices.command()
@click.argument("number")
@desk_command
def show(door: Door, number: str) -> None:
    """One invoice with its lines, by its NUMBER."""
    document = presenting.invoice(find_invoice(number, door.actor))
    columns = ("line_id", "sku", "title", "component", "units", "charged", "tax", "discount", "total")
    by = document["by"]
    drawn = [*pairs(document, _HEAD), f"by  {cell(by['name'] or by['kind'])}"]
    door.show(document, [*drawn, *section("Lines", table(document["lines"], columns, empty=""))])


@invoices.command()
@click.argument("number")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--paper", type=click.Choice(list(PAPERS)), help="By default the usual paper of the invoice's country.")
@desk_command
def pdf(door: Door, number: str, file: Path, paper: str | None) -> None:
    """Write the invoice with this NUMBER as a PDF to FILE."""
    invoice = find_invoice(number, door.actor)
    document = compose(content_of(invoice, door.actor, paper or ""))
    with file.open("wb") as target:
        drawing.draw([document], target, lambda logo: picture_of(logo, door.actor))
    door.show({"number": invoice.number, "file": str(file)}, [f"{invoice.number} is in {file}."])
