"""The tax report and the invoice report as pages, CSV and workbooks."""

import csv
import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import time_machine

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.billing.services import issue_invoices
from webapp.channels.models import Store
from webapp.db import unit_of_work
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import incoming_line, incoming_order

Take = Callable[..., list[Order]]
WHEN = "from=2026-03-01&to=2026-04-30"


@pytest.fixture
def invoiced(take: Take, mia: Actor) -> None:
    """An invoice of 24.00 in March and one of 12.00 in April."""
    orders = take(incoming_order([incoming_line("MUG", 2)]), incoming_order([incoming_line("MUG", 1)]))
    for order, month in zip(orders, (3, 4), strict=True):
        with time_machine.travel(datetime(2026, month, 15, 12, tzinfo=UTC)), unit_of_work():
            issue_invoices([locked(order)], actor=mia)


@pytest.mark.usefixtures("invoiced")
def test_a_report_says_the_same_on_its_page_and_in_its_files(browser: Browser) -> None:
    page = browser.get(f"/reports/taxes?{WHEN}")
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    for word in ("Mar 2026", "Apr 2026", "€24.00", "€12.00", "€36.00", "My shop", "Not stated", "Total"):
        assert word in page.text.replace("\xa0", " ")
    answer = browser.get(f"/reports/taxes.csv?{WHEN}")
    assert answer.mimetype == "text/csv"
    assert "taxes-20260301-20260430.csv" in answer.headers["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert rows == [
        ["First day", "Last day", "Shop", "Country", "Tax rate (%)", "Currency", "Documents", "Net", "Tax", "Gross"],
        ["2026-03-01", "2026-03-31", "My shop", "DE", "", "EUR", "1", "20.00", "4.00", "24.00"],
        ["2026-04-01", "2026-04-30", "My shop", "DE", "", "EUR", "1", "10.00", "2.00", "12.00"],
    ]
    book = browser.get(f"/reports/taxes.xlsx?{WHEN}")
    with zipfile.ZipFile(io.BytesIO(book.data)) as opened:
        assert "<v>24</v>" in opened.read("xl/worksheets/sheet1.xml").decode()


@pytest.mark.usefixtures("invoiced")
def test_what_was_invoiced_is_shown_by_the_chosen_interval(browser: Browser) -> None:
    page = browser.get(f"/reports/invoices?{WHEN}&by=month").text
    assert "Mar 2026" in page
    days = browser.get("/reports/invoices?from=2026-03-10&to=2026-03-20").text
    assert "Mar 15, 2026" in days
    assert "Apr" not in days
    assert browser.get(f"/reports/invoices.csv?{WHEN}").text.count("\r\n") == 3
    assert "Nothing was invoiced" in browser.get("/reports/invoices?from=2020-01-01&to=2020-02-01").text


@pytest.mark.usefixtures("invoiced")
def test_days_the_wrong_way_round_are_refused_as_by_the_command(browser: Browser) -> None:
    days = "from=2026-04-30&to=2026-03-01"
    for address in ("/reports/taxes", "/reports/invoices", "/reports/refunds", "/dashboard/report"):
        page = browser.get(f"{address}?{days}").text
        assert "The last day is before the first day. Correct one of them." in page
        assert ('name="from" value="2026-04-30"' in page, 'name="to" value="2026-03-01"' in page) == (True, True)
        assert "<table" not in page
    for file in ("/reports/taxes.csv", "/reports/taxes.xlsx", "/dashboard/report.csv"):
        answer = browser.get(f"{file}?{days}")
        assert (answer.status_code, "The last day is before the first day. Correct one of them." in answer.text) == (
            422,
            True,
        )


def test_reports_are_found_from_each_other_and_files_need_their_right(
    browser: Browser, store: Store, make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    assert 'href="/reports/taxes"' in browser.get("/dashboard/report").text
    assert 'href="/dashboard/report"' in browser.get("/reports/taxes").text
    assert browser.get("/reports/nothing").status_code == 404
    clerk = make_browser(make_user("clerk", "Cleo"))
    assert "taxes.csv" not in clerk.get("/reports/taxes").text
    for name in ("taxes.csv", "taxes.xlsx", "invoices.csv", "invoices.xlsx"):
        assert clerk.get(f"/reports/{name}").status_code == 403
