"""Contents of invoices and credit memos, for tests of their paper."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from webapp.channels.incoming import Component
from webapp.channels.legal_face import Face
from webapp.documents.invoices import Buyer, Extra, InvoiceContent, Kind, Row
from webapp.money import Money

JANE = ("Zoë Ångström", "Rue de la Paix 12 bis", "75002 Paris", "France")
OFFICE = ("Studio Ångström SARL", "8 quai de la Tournelle", "75005 Paris", "France")


def row(
    total: str,
    tax: str,
    *,
    sku: str = "MUG-BLUE",
    title: str = "A blue mug",
    units: int = 1,
    price: str | None = None,
    discount: str = "",
    rate: str | None = None,
    currency: str = "EUR",
) -> Row:
    """A row whose unit price is its total unless another one is given."""
    return Row(
        sku=sku,
        title=title,
        units=units,
        unit_price=Money.parse(price or total, currency) if units else None,
        discount=Money.parse(discount, currency) if discount else None,
        tax_rate=Decimal(rate) if rate is not None else None,
        tax=Money.parse(tax, currency),
        total=Money.parse(total, currency),
    )


def extra(
    component: Component | None,
    total: str,
    tax: str,
    *,
    amount: str = "",
    rate: str | None = None,
    title: str = "",
    currency: str = "EUR",
) -> Extra:
    """An amount beside the products, equal to its total unless another one is given."""
    return Extra(
        component=component,
        amount=Money.parse(amount or total, currency),
        tax_rate=Decimal(rate) if rate is not None else None,
        tax=Money.parse(tax, currency),
        total=Money.parse(total, currency),
        title=title,
    )


def content(rows: Sequence[Row], extras: Sequence[Extra] = (), **changed: Any) -> InvoiceContent:
    """An invoice of these rows, with the recorded totals that they result in."""
    nothing = Money(0, changed.pop("currency", "EUR"))
    found = InvoiceContent(
        kind=Kind.INVOICE,
        number="R-2026-000017",
        issued_on=date(2026, 11, 29),
        supplied_on=date(2026, 11, 28),
        order_number="WB-100000012",
        channel_order_number="302-0000003-0000001",
        channel="Fake channel",
        marketplace="fake.example",
        face=Face("Harbor & Co", "Harbor GmbH", "1 Rue X\n75001 Paris", "FR12345678901"),
        buyer=Buyer(billing=JANE),
        rows=tuple(rows),
        extras=tuple(extras),
        prices_include_tax=True,
        tax=sum((one.tax for one in (*rows, *extras)), nothing),
        total=sum((one.total for one in (*rows, *extras)), nothing),
        locale="fr_FR",
    )
    return replace(found, **changed)


def two_rates(**changed: Any) -> InvoiceContent:
    rows = [
        row("23.80", "3.97", units=2, price="11.90", rate="0.2"),
        row("9.50", "0.50", sku="BOOK-1", title="Un livre sur le thé", price="10.55", discount="1.05", rate="0.055"),
        row("1234567.89", "205761.32", sku="BOAT-1", title="Un bateau", rate="0.2"),
    ]
    extras = [
        extra(Component.SHIPPING, "4.90", "0.82", rate="0.2"),
        extra(Component.GIFT_WRAP, "2.00", "0.33", rate="0.2"),
    ]
    return content(
        rows,
        extras,
        **{
            "buyer": Buyer(billing=OFFICE, delivery=JANE, vat_number="FR98765432109"),
            "through_channel": True,
            "footer": "Harbor GmbH · RCS Paris 123 456 789 · Capital 25 000 €",
        }
        | changed,
    )


def yen(**changed: Any) -> InvoiceContent:
    rows = [
        row("3300", "300", sku="TEA", title="お茶、緑茶 100g", units=3, price="1100", rate="0.1", currency="JPY"),
        row("1080", "80", sku="RICE", title="Rice", rate="0.08", currency="JPY"),
    ]
    extras = [extra(Component.SHIPPING, "550", "50", rate="0.1", currency="JPY")]
    buyer = Buyer(billing=("山田太郎", "東京都千代田区丸の内1丁目", "100-0005", "Japan"))
    return content(rows, extras, **{"currency": "JPY", "locale": "en", "buyer": buyer} | changed)


def net_prices(**changed: Any) -> InvoiceContent:
    rows = [row("21.78", "1.78", units=3, price="6.67", rate="0.08875", currency="USD")]
    extras = [
        extra(Component.SHIPPING, "5.44", "0.44", amount="5.00", rate="0.08875", currency="USD"),
        extra(Component.TIP, "1.00", "0.00", currency="USD"),
    ]
    address = ("Jane Doe", "350 5th Ave", "New York, NY 10118", "United States")
    given = {"currency": "USD", "locale": "en_US", "paper": "letter", "prices_include_tax": False}
    return content(rows, extras, **given | {"buyer": Buyer(billing=address, delivery=address)} | changed)


def long_names(**changed: Any) -> InvoiceContent:
    title = "A mug “Café au lait”, 500 ml, dishwasher safe, in a box, with a title as long as merchants write them"
    rows = [
        row("11.90", "1.90", sku="SKU-" + "0123456789" * 6, title=title, rate="0.19"),
        row(
            "11.90",
            "1.90",
            sku="茶-1",
            title="東京の急須と湯呑み五客揃え、有田焼、木箱入り、贈り物に最適です。" * 3,
            rate="0.19",
        ),
        row("11.90", "1.90", sku="TEA", title="한글 ★ Łódź Жук 😀" + "x" * 90, rate="0.19"),
    ]
    buyer = Buyer(billing=("Société " + "très " * 20 + "longue", "W" * 90, "東京都千代田区丸の内" * 6))
    return content(rows, **{"locale": "en_GB", "buyer": buyer} | changed)


def many_rows(**changed: Any) -> InvoiceContent:
    rows = [
        row("1.19", "0.19", sku=f"SKU-{place:03}", title=f"Product {place}", rate="0.19") for place in range(1, 501)
    ]
    return content(rows, **{"locale": "en_GB"} | changed)


def free(**changed: Any) -> InvoiceContent:
    rows = [row("0.00", "0.00", price="9.90", discount="9.90", rate="0.19")]
    return content(rows, **{"locale": "en_GB", "supplied_on": None, "buyer": Buyer()} | changed)


def unknown_rate(**changed: Any) -> InvoiceContent:
    rows = [row("11.90", "1.90"), row("5.00", "0.00", sku="BOOK-1", title="A book", rate="0")]
    return content(rows, **{"locale": "en_GB", "order_number": "", "practice": True} | changed)


def memo(**changed: Any) -> InvoiceContent:
    rows = [row("11.90", "1.98", rate="0.2"), row("3.00", "0.50", sku="BOWL-1", title="Un bol", units=0, rate="0.2")]
    extras = [extra(None, "-2.00", "0.00", title="Frais de remise en stock"), extra(None, "1.00", "0.00")]
    given = {"kind": Kind.CREDIT_MEMO, "number": "A-2026-000003", "corrects": ("R-2026-000017",)}
    notes = {"notes": ("Autoliquidation : TVA due par le preneur.", "Retour du 27 novembre.")}
    return content(rows, extras, **given | notes | changed)


EXAMPLES = {
    "two-rates": two_rates,
    "yen": yen,
    "net-prices": net_prices,
    "long-names": long_names,
    "many-rows": many_rows,
    "free": free,
    "unknown-rate": unknown_rate,
    "memo": memo,
}
