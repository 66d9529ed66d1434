"""The figures compared with the orders that they sum up."""

from typing import Any

import click

from webapp.cli.door import Door, desk_command
from webapp.cli.main import Code, Failed
from webapp.cli.text import table
from webapp.db import db
from webapp.money import Money
from webapp.reporting.changes import Cell, Counts, Sums
from webapp.reporting.folding import LeaseLost, missing, only_one
from webapp.reporting.jobs import fold_all, put_right

SHOWN = 20
_PATIENCE = 90.0


@click.group()
def figures() -> None:
    """The figures of the dashboard and the reports."""


@figures.command()
@click.option("--repair", is_flag=True, help="Correct the figures that differ.")
@desk_command
def check(door: Door, repair: bool) -> None:
    """Add up all orders again and show where the figures differ."""
    door.actor.needs("settings.edit" if repair else "orders.view")
    try:
        sums = _count(repair)
    except LeaseLost as lost:
        raise Failed(str(lost), Code.TIMED_OUT) from lost
    rows = [_row(cell, counts) for cell, counts in sorted(sums.items())]
    document = {"differences": len(rows), "repaired": bool(repair and rows), "rows": rows}
    columns = ("day", "shop_id", "store_id", "marketplace", "state", "orders", "units", "total", "currency")
    text = table(rows[:SHOWN], columns, empty="The figures match the orders.")
    if len(rows) > SHOWN:
        text.append(f"… and {len(rows) - SHOWN} more.")
    if rows:
        text.append("Repaired." if repair else "The orders differ by these amounts. Correct the figures with --repair.")
    door.show(document, text)
    if rows and not repair:
        raise Failed(f"The figures differ from the orders in {len(rows)} places.")


def _count(repair: bool) -> Sums:
    with only_one(wait=_PATIENCE) as lease:
        if lease is None:
            raise Failed("Another process is counting the figures. Try again in a minute.", Code.TIMED_OUT)
        db.session.rollback()
        sums, zones = missing(lease)
        if repair:
            put_right(lease, sums, zones)
            fold_all(lease)
    return sums


def _row(cell: Cell, counts: Counts) -> dict[str, Any]:
    total = Money(counts.total_minor, cell.currency) if cell.currency else None
    return cell._asdict() | {
        "day": cell.day.isoformat(),
        "currency": cell.currency or None,
        "orders": counts.orders,
        "units": counts.units,
        "total": str(total) if total is not None else None,
    }
