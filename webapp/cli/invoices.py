"""Commands for invoices. Issuing one is an act: `orders act NUMBER invoice`."""

import click

from webapp.billing.queries import find_invoice, list_invoices
from webapp.cli import presenting
from webapp.cli.door import Door, desk_command
from webapp.cli.text import cell, pairs, section, table

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
