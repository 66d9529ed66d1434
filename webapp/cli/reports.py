"""Reports of issued documents: taxes, and what was invoiced by period."""

from datetime import datetime
from typing import Any

import click

from webapp.cli.door import Door, desk_command
from webapp.cli.text import table
from webapp.reporting.figures import Interval
from webapp.reporting.tax_files import percent, report_csv
from webapp.reporting.taxes import InvoiceReport, Sums, TaxReport, invoice_report, refund_report, tax_report

_DAY = click.DateTime(formats=["%Y-%m-%d"])
_SUMS = ("currency", "documents", "net", "tax", "gross")


@click.group()
def reports() -> None:
    """Reports of issued documents, by the day of issue in each shop's time zone; credit memos are subtracted."""


def _options(function: Any) -> Any:
    """The options that all reports have."""
    for option in (
        click.option("--csv", "as_csv", is_flag=True, help="Print CSV."),
        click.option("--to", "until", type=_DAY, required=True, help="The last day, as YYYY-MM-DD."),
        click.option("--from", "since", type=_DAY, required=True, help="The first day, as YYYY-MM-DD."),
    ):
        function = option(function)
    return function


@reports.command()
@_options
@click.option("--by", type=click.Choice([by.value for by in Interval]), default=Interval.MONTH.value, show_default=True)
@desk_command
def tax(door: Door, since: datetime, until: datetime, by: str, as_csv: bool) -> None:
    """Taxes by period, shop, country, tax rate and currency."""
    found = tax_report(door.actor, since.date(), until.date(), by=Interval(by))
    rows = [
        {
            "from": row.span.start.isoformat(),
            "to": row.span.end.isoformat(),
            "shop": row.shop,
            "country": row.country or None,
            "tax_rate": None if row.rate is None else str(percent(row.rate)),
            **_sums(row.sums),
        }
        for row in found.rows
    ]
    _show(door, found, rows, ("from", "to", "shop", "country", "tax_rate", *_SUMS), as_csv)


@reports.command()
@_options
@click.option("--by", type=click.Choice([by.value for by in Interval]), default=Interval.DAY.value, show_default=True)
@desk_command
def invoices(door: Door, since: datetime, until: datetime, by: str, as_csv: bool) -> None:
    """What was invoiced and credited, by period and currency."""
    found = invoice_report(door.actor, since.date(), until.date(), by=Interval(by))
    _show(door, found, _by_period(found), ("from", "to", *_SUMS), as_csv)


@reports.command()
@_options
@click.option("--by", type=click.Choice([by.value for by in Interval]), default=Interval.DAY.value, show_default=True)
@desk_command
def refunds(door: Door, since: datetime, until: datetime, by: str, as_csv: bool) -> None:
    """What was credited, by period and currency; amounts are positive."""
    found = refund_report(door.actor, since.date(), until.date(), by=Interval(by))
    _show(door, found, _by_period(found), ("from", "to", *_SUMS), as_csv)


def _by_period(found: InvoiceReport) -> list[dict[str, Any]]:
    return [
        {"from": row.span.start.isoformat(), "to": row.span.end.isoformat(), **_sums(row.sums)} for row in found.rows
    ]


def _show(
    door: Door, found: TaxReport | InvoiceReport, rows: list[dict[str, Any]], columns: tuple[str, ...], as_csv: bool
) -> None:
    if as_csv:
        click.echo(report_csv(found), nl=False)
        return
    totals = [_sums(sums) for sums in found.totals]
    text = table(rows, columns, empty="No document was issued in this period.")
    if rows:
        text += ["", "Total", *table(totals, _SUMS, empty="")]
    document = {"from": found.since.isoformat(), "to": found.until.isoformat(), "rows": rows, "totals": totals}
    door.show(document, text)


def _sums(sums: Sums) -> dict[str, Any]:
    amounts = {"net": str(sums.net), "tax": str(sums.tax), "gross": str(sums.gross)}
    return {"currency": sums.currency, "documents": sums.documents, **amounts}
