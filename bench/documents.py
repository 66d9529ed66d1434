"""How long it takes to make one PDF of many invoices, and how large it is.

    python -m bench.documents --invoices 1000 [--rows 3] [--paper a4] [--locale fr_FR]

The invoices are made up; each has an address, rows of two tax rates, and shipping. First all are composed, then all are
drawn into one file in memory. Prints the seconds of both by the clock and by CPU, the pages, the bytes, and the largest
memory of the process.
"""

import argparse
import io
import os
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

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
        paid_through_channel=True,
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--invoices", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=3)
    parser.add_argument("--paper", default="a4", choices=("a4", "letter", "4x6"))
    parser.add_argument("--locale", default="fr_FR")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        os.environ |= {"WAYBILL_DATA_DIR": folder, "WAYBILL_LOG_LEVEL": "error"}
        print(f"{options.invoices:,} invoices with {options.rows} rows and shipping on {options.paper}")
        measure(options.invoices, options.rows, options.paper, options.locale)


if __name__ == "__main__":
    main()
