"""Reports of issued documents in the browser, as CSV and as workbooks: taxes, and what was invoiced, and what was
credited, by period.
"""

from collections.abc import Callable
from datetime import date
from typing import Any

from babel.numbers import format_percent
from flask import Blueprint, Response, request, url_for

from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l
from webapp.lists.exporting import BYTE_ORDER_MARK
from webapp.reporting.figures import Interval
from webapp.reporting.tax_files import report_csv, report_workbook
from webapp.reporting.taxes import InvoiceReport, Period, TaxReport, invoice_report, refund_report, tax_report
from webapp.ui.desk import sales
from webapp.ui.desk.cards import sales_choices
from webapp.ui.frame.access import current_actor, may, needs
from webapp.ui.frame.formats import zone
from webapp.ui.frame.header_values import attach
from webapp.ui.frame.languages import language
from webapp.ui.frame.pages import page, show_times_of, shown_stores

bp = Blueprint("reports", __name__, url_prefix="/reports")
Report = TaxReport | InvoiceReport
Make = Callable[..., Report]
_WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_REPORTS: dict[str, tuple[LazyString, Make, Interval | None]] = {  # by code: its name, and its usual interval
    "taxes": (_l("Tax report"), tax_report, Interval.MONTH),
    "invoices": (_l("Invoice report"), invoice_report, None),
    "refunds": (_l("Refund report"), refund_report, None),
}
_USUAL_RANGE = "quarter"


def _show(code: str) -> str:
    """A report over the requested period."""
    wanted, found = _made(code, current_actor())
    return page(
        "desk/reports/report.html",
        code=code,
        title=_REPORTS[code][0],
        report=found,
        has_rates=isinstance(found, TaxReport),
        period_label=lambda period: _period_label(period, found.by),
        rate_label=_rate_label,
        asked=wanted,
        **sales_choices(wanted),
        page=f".{code}",
        may_export=may("orders.export"),
    )


def _as_csv(code: str) -> Response:
    """A report as CSV."""
    wanted, found = _for_file(code)
    response = Response(BYTE_ORDER_MARK + report_csv(found), mimetype="text/csv")
    attach(response, _file_name(code, wanted, "csv"))
    return response


def _as_workbook(code: str) -> Response:
    """A report as a workbook."""
    wanted, found = _for_file(code)
    response = Response(report_workbook(found), mimetype=_WORKBOOK)
    attach(response, _file_name(code, wanted, "xlsx"))
    return response


def _for_file(code: str) -> tuple[sales.Asked, Report]:
    """What is asked of a report, and the report; raises `OddPeriod`, for a file can't say what is wrong."""
    wanted, found = _made(code, current_actor())
    if wanted.problem is not None:
        raise wanted.problem
    return wanted, found


def _made(code: str, actor: Actor) -> tuple[sales.Asked, Report]:
    """What is asked of a report, and the report."""
    show_times_of(shown_stores())
    _name, make, usual = _REPORTS[code]
    given = {"range": _USUAL_RANGE, **({"by": usual.value} if usual else {}), **request.args}
    wanted = sales.asked(given, now().astimezone(zone()).date())
    return wanted, make(actor, wanted.since, wanted.until, by=wanted.by, scope=wanted.scope)


def _file_name(code: str, wanted: sales.Asked, ending: str) -> str:
    return f"{code}-{wanted.since:%Y%m%d}-{wanted.until:%Y%m%d}.{ending}"


def _period_label(period: Period, by: Interval) -> str:
    """A period in words; the days of a part of a month."""
    whole = by is Interval.MONTH and period.start.day == 1 and by.after(period.start) == _next(period.end)
    return sales.month(period.start) if whole else sales.days(period.start, period.end)


def _next(day: date) -> date:
    return Interval.DAY.after(day)


def _rate_label(rate: Any) -> str:
    return _("Not stated") if rate is None else str(format_percent(rate, "#,##0.######%", locale=language()))


@bp.app_template_global()
def report_ways() -> list[tuple[str, str, str]]:
    """The reports, as tabs: their codes, names and addresses."""
    ways = [("orders", str(_("Orders report")), url_for("dashboard.report"))]
    return ways + [(code, str(name), url_for(f"reports.{code}")) for code, (name, *_rest) in _REPORTS.items()]


def _serve(code: str, rule: str, endpoint: str, right: str, view: Callable[[str], Any]) -> None:
    """Serve a view of a report to people with this right."""

    def served() -> Any:
        return view(code)

    bp.add_url_rule(rule, endpoint, needs(right)(served))


for _code in _REPORTS:
    _serve(_code, f"/{_code}", _code, "orders.view", _show)
    _serve(_code, f"/{_code}.csv", f"{_code}_csv", "orders.export", _as_csv)
    _serve(_code, f"/{_code}.xlsx", f"{_code}_workbook", "orders.export", _as_workbook)
