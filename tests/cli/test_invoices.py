"""Invoices and credit memos from the command line: issued by the act, listed, shown, and named by their order."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pypdf import PdfReader

from tests.cli.conftest import ON_SQLITE, Command, MakeOrder
from tests.refunds import only_recorded, shipped_line, shipped_order
from webapp.audit.actor import Actor
from webapp.billing.kept_buyers import COUNTRIES, KEEPING
from webapp.billing.services import issue_invoice
from webapp.billing.taxes import TAXES
from webapp.channels.incoming import Component, IncomingAmount
from webapp.channels.legal_face import FACE
from webapp.db import unit_of_work
from webapp.documents import facturx
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import change, store_all
from webapp.testing import incoming_line, incoming_order
from webapp.vault.key_file import is_month, key_file
from webapp.vault.services import erase

LINE = {"line_id", "component", "sku", "title", "units", "charged", "tax", "discount", "total", "tax_rate"}
INVOICE = {"id", "number", "order", "shop", "issued_at", "currency", "total", "upload", "by", "lines"}
INVOICE |= {"sent_to_buyer", "taken_back", "corrections"}


def test_an_invoice_is_issued_listed_and_shown(cli: Command, make_order: MakeOrder) -> None:
    order = make_order(quantity=3)
    assert cli("invoices", "list", "--json").document == []
    [line] = cli("orders", "show", order.number, "--json").document["lines"]
    assert line["invoiceable"] == 3

    data = f'{{"lines": {{"{line["id"]}": 2}}, "shipping": true}}'
    done = cli("orders", "act", order.number, "invoice", "--data", data, "--json").document
    assert done["made"] == [{"kind": "invoice", "id": 1, "number": "INV-000001"}]
    assert done["message"] == "Invoice INV-000001 issued: 24.00 EUR (units: 2)"

    shown = cli("orders", "show", order.number, "--json").document
    assert (shown["lines"][0]["invoiced"], shown["lines"][0]["invoiceable"]) == (2, 1)
    [invoice] = shown["invoices"]
    assert invoice.keys() == INVOICE
    assert invoice["lines"][0].keys() == LINE
    assert (invoice["number"], invoice["order"], invoice["total"]) == ("INV-000001", order.number, "24.00")
    assert cli("invoices", "list", "--json").document == [invoice]
    assert cli("invoices", "show", "INV-000001", "--json").document == invoice


@ON_SQLITE
def test_a_component_is_invoiced_alone_and_what_is_left_is_shown(
    cli: Command, take: Callable[..., list[Order]]
) -> None:
    amounts = (IncomingAmount(Component.ITEM, 1000), IncomingAmount(Component.SHIPPING, 500))
    [order] = take(incoming_order([incoming_line(amounts=amounts)], total=1500))

    def left() -> dict[str, str]:
        found = cli("orders", "show", order.number, "--json").document["amounts"]
        return {row["component"]: row["invoiceable"] for row in found}

    assert left() == {"item": "10.00", "shipping": "5.00"}
    assert cli("orders", "act", order.number, "invoice", "--data", '{"shipping": false}').code == 0
    assert left() == {"item": "0.00", "shipping": "5.00"}
    empty = cli("orders", "act", order.number, "invoice", "--data", '{"lines": {}}')
    assert (empty.code, "The invoice would be empty" in empty.err) == (1, True)
    assert cli("orders", "act", order.number, "invoice", "--data", '{"lines": {}, "shipping": true}').code == 0
    assert left() == {"item": "0.00", "shipping": "0.00"}


@ON_SQLITE
def test_as_text_and_of_an_unknown_number(cli: Command, make_order: MakeOrder) -> None:
    order = make_order()
    cli("orders", "act", order.number, "invoice")
    assert "INV-000001" in cli("invoices", "list").out
    assert "A mug" in cli("invoices", "show", "INV-000001").out
    assert "INV-000001" in cli("orders", "show", order.number).out
    assert cli("invoices", "show", "INV-9").code == 3
    refused = cli("orders", "act", order.number, "invoice")
    assert (refused.code, refused.err.strip()) == (1, "This order is completely invoiced.")


@ON_SQLITE
def test_wrong_lines_are_named(cli: Command, make_order: MakeOrder) -> None:
    order, other = make_order(quantity=2), make_order()
    line = other.lines[0].id
    refused = cli("orders", "act", order.number, "invoice", "--data", f'{{"lines": {{"{line}": 1}}}}')
    assert refused.code == 1
    assert f"Line {line} is not on this order." in refused.err


@ON_SQLITE
def test_one_is_written_as_pdf(cli: Command, make_order: MakeOrder, tmp_path: Path) -> None:
    order = make_order()
    cli("orders", "act", order.number, "invoice")
    file = tmp_path / "invoice.pdf"
    done = cli("invoices", "pdf", "INV-000001", str(file), "--paper", "a4")
    assert (done.code, done.out.strip()) == (0, f"INV-000001 is in {file}.")
    text = PdfReader(file).pages[0].extract_text()
    assert "INV-000001" in text
    assert order.channel_order_number in text


@ON_SQLITE
def test_one_is_written_as_factur_x_or_what_is_missing_is_said(
    cli: Command, make_order: MakeOrder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = make_order()
    cli("orders", "act", order.number, "invoice")
    file = tmp_path / "invoice.pdf"
    asked = ("invoices", "pdf", "INV-000001", str(file), "--facturx")
    monkeypatch.setattr(facturx, "is_installed", lambda: False)
    assert "“make facturx”" in cli(*asked).err
    monkeypatch.undo()
    pytest.importorskip("facturx")
    refused = cli(*asked)
    assert (refused.code, file.exists()) == (1, False)
    assert refused.err.strip() == "Factur-X needs the seller's VAT number, and INV-000001 was issued without one."
    with unit_of_work():
        store_all(FACE, {"vat_numbers": "DE123456789", "address": "Kai 1"}, order.shop)
        store_all(TAXES, {"tax_rates": "DE 20"}, order.shop)
    other = make_order()
    cli("orders", "act", other.number, "invoice")
    assert cli("invoices", "pdf", "INV-000002", str(file), "--facturx").code == 0
    assert list(PdfReader(file).attachments) == ["factur-x.xml"]


@ON_SQLITE
def test_a_credit_memo_is_listed_shown_and_written_as_pdf(
    cli: Command, take: Callable[..., list[Order]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_recorded(monkeypatch)
    [order] = take(shipped_order())
    assert cli("credit-memos", "list").out.strip() == "No credit memo."
    data = '{"reason": "CustomerReturn", "whole": true}'
    assert cli("orders", "act", str(order.number), "refund", "--data", data).code == 0
    [memo] = cli("credit-memos", "list", "--json").document
    assert (memo["number"], memo["total"]) == ("CM-000001", "12.00")
    assert cli("credit-memos", "show", "CM-000001", "--json").document == memo
    when = ("--from", "2020-01-01", "--to", "2040-12-31")
    [credited] = cli("reports", "refunds", *when, "--json").document["rows"]
    assert (credited["documents"], credited["gross"]) == (1, "12.00")
    file = tmp_path / "memo.pdf"
    done = cli("credit-memos", "pdf", "CM-000001", str(file))
    assert (done.code, done.out.strip()) == (0, f"CM-000001 is in {file}.")
    text = PdfReader(file).pages[0].extract_text()
    assert "CM-000001" in text
    assert "Total credited" in text


@ON_SQLITE
def test_an_amount_that_is_none_is_named_with_its_place(cli: Command, take: Callable[..., list[Order]]) -> None:
    line = shipped_line(amounts=(IncomingAmount(Component.ITEM, 1484, 0),), total=1484)
    [order] = take(shipped_order([line], currency="JPY", total=1484))

    def refused(amount: str, fee: str = "") -> str:
        given = {"reason": "CustomerReturn", "lines": {order.lines[0].id: {"amounts": {"item": amount}}}}
        given |= {"adjustment_fee": fee}
        return cli("orders", "act", order.number, "refund", "--data", json.dumps(given)).err.strip()

    place = f"lines › {order.lines[0].id} › item"
    assert refused("much") == f"{place}: Enter an amount in JPY, such as 5."
    assert refused("14.84 JPY") == f"{place}: “14.84” has more decimals than JPY allows."
    assert refused("14.84 EUR") == f"{place}: “14.84 EUR” is not in JPY."
    assert refused("1484 JPY", "1484") == refused("1484", "9999 JPY")
    assert refused("1484", "1484").startswith("The adjustment fee is as high as the refund")
    assert refused("1,484 JPY", "484.00 JPY") == ""


@ON_SQLITE
def test_a_refund_without_a_number_says_what_it_waits_for(cli: Command, take: Callable[..., list[Order]]) -> None:
    [order] = take(shipped_order())
    data = '{"reason": "CustomerReturn", "whole": true}'
    act = ("orders", "act", order.number, "refund", "--data", data, "--key", "a")
    done = cli(*act, "--json").document
    assert done["made"] == [{"kind": "credit_memo", "id": 1, "number": None}]
    assert done["message"].startswith("Refund of 12.00 EUR requested: The buyer returned it. The refund is sent at ")
    assert cli(*act, "--json").document == done
    assert done["message"] in cli(*act).out


@ON_SQLITE
def test_memos_without_a_number_are_listed_by_the_words_of_the_page(
    cli: Command, take: Callable[..., list[Order]]
) -> None:
    orders = take(shipped_order(), shipped_order())
    for order in orders:
        cli("orders", "act", order.number, "refund", "--data", '{"reason": "CustomerReturn", "whole": true}')
    cli("orders", "act", orders[0].number, "undo_refund")
    assert [(row["id"], row["number"]) for row in cli("credit-memos", "list", "--json").document] == [
        (2, None),
        (1, None),
    ]
    head, pending, withdrawn = cli("credit-memos", "list").out.splitlines()
    assert head.split()[:3] == ["ID", "NUMBER", "STATE"]
    assert ("Pending" in pending, "Withdrawn" in withdrawn) == (True, True)
    assert "Pending" in cli("orders", "show", orders[1].number).out


@ON_SQLITE
def test_documents_name_each_other(
    cli: Command, take: Callable[..., list[Order]], monkeypatch: pytest.MonkeyPatch
) -> None:
    only_recorded(monkeypatch)
    [order] = take(shipped_order())
    cli("orders", "act", order.number, "invoice")
    cli("orders", "act", order.number, "correct_invoice", "--data", '{"invoice": 1}')
    cli("orders", "act", order.number, "invoice")
    cli("orders", "act", order.number, "refund", "--data", '{"reason": "CustomerReturn", "whole": true}')
    cli("orders", "act", order.number, "reverse_memo", "--data", '{"memo": 2}')
    first, second = (cli("invoices", "show", number, "--json").document for number in ("INV-000001", "INV-000002"))
    assert (first["taken_back"], first["corrections"]) == ("whole", ["CM-000001"])
    assert (second["taken_back"], second["corrections"]) == (None, [])
    correction, refund, reversal = (cli("credit-memos", "show", f"CM-00000{n}", "--json").document for n in (1, 2, 3))
    assert correction["invoices"] == ["INV-000001"]
    assert (refund["invoices"], refund["taken_back_by"]) == (["INV-000002"], "CM-000003")
    assert (reversal["invoices"], reversal["takes_back"]) == ([], "CM-000002")
    for shown in (cli("invoices", "show", "INV-000001").out, cli("credit-memos", "show", "CM-000002").out):
        pairs = shown.split("\n\n")[0].splitlines()
        assert len({line.index(line.split("  ", 1)[1].lstrip()) for line in pairs}) == 1  # all values in one column
    assert "as a whole, by CM-000001" in cli("invoices", "show", "INV-000001").out


@ON_SQLITE
def test_an_erased_buyer_is_written_for_a_purpose_and_a_lost_month_is_warned_of(
    cli: Command, take: Callable[..., list[Order]], tmp_path_factory: pytest.TempPathFactory, operator: Actor
) -> None:
    [order] = take(shipped_order())
    apart = tmp_path_factory.mktemp("apart")
    with unit_of_work():
        change(KEEPING, {COUNTRIES.name: "DE 8: § 14b UStG"}, order.shop, actor=operator)
        issue_invoice(locked(order), actor=operator)
        erase([order.id])
    file = apart / "invoice.pdf"
    for more, named in (((), False), (("--purpose", "Tax audit"), True)):
        assert cli("invoices", "pdf", "INV-000001", str(file), *more).code == 0
        assert ("Quixelworth" in PdfReader(file).pages[0].extract_text()) is named
    assert cli("backup", "keys", str(apart / "keys")).out.count("and of documents-") == 1
    path = key_file().path
    content = json.loads(path.read_text())
    content["periods"] = {name: key for name, key in content["periods"].items() if not is_month(name)}
    path.write_text(json.dumps(content))
    lost = cli("invoices", "pdf", "INV-000001", str(file), "--purpose", "Tax audit")
    assert (lost.code, "Restore the newer copy" in lost.err) == (1, True)
    assert any("their documents can't be opened" in one for one in cli("check", "--json").document["warnings"])
