"""Reports of issued documents as files: heads and cells in the reader's language, as CSV and as workbooks."""

import io
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from webapp.i18n import LazyString, lazy_gettext as _l, lazy_pgettext
from webapp.lists.exporting import as_csv
from webapp.lists.workbooks import write_workbook
from webapp.reporting.taxes import InvoiceReport, Sums, TaxReport

Row = Sequence[str | int | Decimal | date | None]
_DAYS: tuple[LazyString, ...] = (_l("First day"), _l("Last day"))
_SUMS: tuple[LazyString, ...] = (
    _l("Currency"),
    _l("Documents"),
    lazy_pgettext("invoice", "Net"),
    _l("Tax"),
    _l("Gross"),
)
_TAX = (*_DAYS, _l("Shop"), _l("Country"), _l("Tax rate (%)"), *_SUMS)
_INVOICES = (*_DAYS, *_SUMS)


def table_of(report: TaxReport | InvoiceReport) -> tuple[list[str], list[Row]]:
    """The heads and the rows of a report; amounts are decimals, and a rate is in percent."""
    if isinstance(report, TaxReport):
        return [str(word) for word in _TAX], [
            (*row.span, row.shop, row.country, percent(row.rate), *_sums(row.sums)) for row in report.rows
        ]
    return [str(word) for word in _INVOICES], [(*row.span, *_sums(row.sums)) for row in report.rows]


def percent(rate: Decimal | None) -> Decimal | None:
    """A fraction of 1 in percent, without zeros at its end."""
    return None if rate is None else Decimal(f"{(rate * 100).normalize():f}")


def _sums(sums: Sums) -> Row:
    return sums.currency, sums.documents, sums.net.decimal, sums.tax.decimal, sums.gross.decimal


def report_csv(report: TaxReport | InvoiceReport) -> str:
    """The report as CSV; no cell of it can be read as a formula by a spreadsheet."""
    head, rows = table_of(report)
    return as_csv([head, *([cell.isoformat() if isinstance(cell, date) else cell for cell in row] for row in rows)])


def report_workbook(report: TaxReport | InvoiceReport) -> bytes:
    """The report as an XLSX workbook."""
    head, rows = table_of(report)
    file = io.BytesIO()
    write_workbook(file, head, _workbook_cells(rows), len(rows))
    return file.getvalue()


def _workbook_cells(rows: Sequence[Row]) -> Iterator[list[Any]]:
    for row in rows:
        yield [_workbook_cell(cell) for cell in row]


def _workbook_cell(cell: str | int | Decimal | date | None) -> Any:
    if isinstance(cell, Decimal):
        return {"decimal": f"{cell:f}"}
    return cell.isoformat() if isinstance(cell, date) else cell
