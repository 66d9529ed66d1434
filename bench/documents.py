"""How long it takes to make one PDF of many invoices, and how large it is; and how long to issue many by a run.

    python -m bench.documents --invoices 1000 [--rows 3] [--paper a4] [--locale fr_FR]
    python -m bench.documents --issue 5000

The invoices are made up; each has an address, rows of two tax rates, and shipping. First all are composed, then all are
drawn into one file in memory. Prints the seconds of both by the clock and by CPU, the pages, the bytes, and the largest
memory of the process.

With `--issue`, a desk is filled with orders of the practice Amazon, and a run invoices them chunk by chunk, all in this
process. Then the taxes of these invoices are reported, and the run's numbers are checked.
"""

import argparse
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from bench.fairness import queue

T = TypeVar("T")
RATES = (Decimal("0.2"), Decimal("0.055"))


def invoice_of(number: int, rows: int, locale: str) -> Any:
    """The content of an invoice whose amounts differ from those of its neighbors."""
    from webapp.channels.incoming import Component
    from webapp.channels.legal_face import Face
    from webapp.documents.invoices import Buyer, Extra, InvoiceContent, Kind, Row
    from webapp.money import Money

    def tax_in(total: Money, rate: Decimal) -> Money:
        return Money.round(total.decimal * rate / (1 + rate), "EUR")

    lines = []
    for place in range(rows):
        price, rate, units = Money(499 + (number * 7 + place * 131) % 9500, "EUR"), RATES[place % 2], 1 + place % 3
        total = price * units
        title = f"A product with a title as merchants write them, 500 ml, dishwasher safe, no. {place + 1}"
        lines.append(
            Row(
                sku=f"SKU-{number % 700:04}-{place:02}",
                title=title,
                units=units,
                unit_price=price,
                tax_rate=rate,
                tax=tax_in(total, rate),
                total=total,
            )
        )
    charged = Money(490, "EUR")
    tax = tax_in(charged, RATES[0])
    shipping = Extra(component=Component.SHIPPING, amount=charged, tax_rate=RATES[0], tax=tax, total=charged)
    amounts = [*lines, shipping]
    return InvoiceContent(
        kind=Kind.INVOICE,
        number=f"R-2026-{number:06}",
        issued_on=date(2026, 11, 30),
        supplied_on=date(2026, 11, 29),
        order_number=f"WB-1{number:08}",
        channel_order_number=f"302-{number:07}-{number * 31 % 10**7:07}",
        channel="Amazon",
        marketplace="amazon.fr",
        face=Face("Harbor & Co", "Harbor GmbH", "1 Rue X\n75001 Paris", "FR12345678901"),
        buyer=Buyer(billing=(f"Zoë Ångström {number}", f"Rue de la Paix {number % 200}", "75002 Paris", "France")),
        rows=tuple(lines),
        extras=(shipping,),
        prices_include_tax=True,
        tax=sum((one.tax for one in amounts), Money(0, "EUR")),
        total=sum((one.total for one in amounts), Money(0, "EUR")),
        through_channel=True,
        locale=locale,
    )


def timed(label: str, work: Callable[[], T]) -> T:
    began, cpu = time.perf_counter(), time.process_time()
    found = work()
    print(f"{label:<10} {time.perf_counter() - began:7.2f} s   {time.process_time() - cpu:7.2f} s CPU")
    return found


def measure(invoices: int, rows: int, paper: str, locale: str) -> None:
    from webapp import create_app
    from webapp.documents import pdf
    from webapp.documents.invoices import compose

    contents = [invoice_of(number, rows, locale) for number in range(1, invoices + 1)]
    file = io.BytesIO()
    with create_app().test_request_context():
        documents = timed("composed", lambda: [compose(content, paper) for content in contents])
        pages = timed("drawn", lambda: pdf.draw(documents, file, lambda logo: None))
    size = len(file.getvalue())
    print(f"{pages:,} pages, {size:,} bytes, {size / invoices:,.0f} an invoice")
    print(f"memory at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


def issue(invoices: int) -> None:
    """Invoice so many orders of a new desk by a run."""
    from sqlalchemy import func, select

    from webapp import create_app
    from webapp.audit.actor import Actor
    from webapp.billing.models import Invoice
    from webapp.billing.number_check import check_numbers
    from webapp.clock import now
    from webapp.db import db, unit_of_work
    from webapp.jobs.runs import find_run
    from webapp.orders import bulk
    from webapp.orders.models import Order
    from webapp.orders.services import find_action, read_input
    from webapp.reporting.taxes import tax_report

    words, actor = [sys.executable, "-m", "webapp"], Actor.operator()
    for command in (["migrate"], ["practice", "fill", "--orders", str(invoices * 2)]):
        subprocess.run([*words, *command], check=True, stdout=subprocess.DEVNULL)
    with create_app().test_request_context():
        fitting = select(Order.id).where(Order.state.in_(("processing", "complete")), Order.total_minor.is_not(None))
        ids = list(db.session.scalars(fitting.order_by(Order.id).limit(invoices)))
        with unit_of_work():
            run_id = bulk.start_bulk("invoice", read_input(find_action("invoice"), {}), actor=actor, ids=ids).id

        def work() -> None:
            while (run := find_run(run_id)).is_open:
                bulk.act_on_chunk(run_id, run.chunk)
                db.session.rollback()

        timed("issued", work)
        count = db.session.scalar(select(func.count()).select_from(Invoice)) or 0
        run = find_run(run_id)
        print(f"{count:,} invoices of {len(ids):,} orders in {run.chunk + 1} chunks, {run.failed} refused")
        day = now().date()
        report = timed("taxes", lambda: tax_report(actor, day - timedelta(days=1), day + timedelta(days=1)))
        flaws = timed("checked", lambda: [flaw for one in check_numbers(actor) for flaw in one.flaws])
        documents = sum(sums.documents for sums in report.totals)
        print(f"{len(report.rows)} rows of taxes over {documents:,} documents, {len(flaws)} flaws in their numbers")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--invoices", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=3)
    parser.add_argument("--paper", default="a4", choices=("a4", "letter", "4x6"))
    parser.add_argument("--locale", default="fr_FR")
    parser.add_argument("--issue", type=int, metavar="INVOICES", help="issue so many by a run instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        os.environ |= {"WAYBILL_DATA_DIR": folder, "WAYBILL_LOG_LEVEL": "error", "WAYBILL_CUSTOM_ENDPOINTS": "1"}
        if options.issue:
            with queue(Path(folder)):
                issue(options.issue)
            return
        print(f"{options.invoices:,} invoices with {options.rows} rows and shipping on {options.paper}")
        measure(options.invoices, options.rows, options.paper, options.locale)


if __name__ == "__main__":
    main()
