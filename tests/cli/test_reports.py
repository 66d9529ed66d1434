"""Reports and the check of numbers from the command line."""

from sqlalchemy import update

from tests.cli.conftest import ON_SQLITE, Command, MakeOrder
from webapp.channels.models import NumberSequence
from webapp.db import db, unit_of_work

ROW = {"from", "to", "shop", "country", "tax_rate", "currency", "documents", "net", "tax", "gross"}


def test_taxes_are_reported_as_json_text_and_csv(cli: Command, make_order: MakeOrder) -> None:
    when = ("--from", "2020-01-01", "--to", "2030-12-31")
    assert cli("reports", "tax", *when, "--json").document["rows"] == []
    order = make_order(quantity=3)
    cli("orders", "act", order.number, "invoice")
    report = cli("reports", "tax", *when, "--json").document
    [row] = report["rows"]
    assert row.keys() == ROW
    [invoice] = cli("invoices", "list", "--json").document
    assert (row["gross"], row["currency"], row["documents"]) == (invoice["total"], invoice["currency"], 1)
    assert report["totals"] == [{name: row[name] for name in ("currency", "documents", "net", "tax", "gross")}]
    assert invoice["total"] in cli("reports", "tax", *when).out
    lines = cli("reports", "tax", *when, "--csv").out.splitlines()
    assert (lines[0].startswith("First day,"), len(lines)) == (True, 2)
    assert lines[1].endswith(f",{row['net']},{row['tax']},{row['gross']}")
    [by_day] = cli("reports", "invoices", *when, "--by", "week", "--json").document["rows"]
    assert by_day["gross"] == invoice["total"]


@ON_SQLITE
def test_a_day_that_is_none_is_refused(cli: Command) -> None:
    assert cli("reports", "tax", "--from", "2026-13-01", "--to", "2026-12-31").code == 2
    assert cli("reports", "tax", "--from", "2026-12-01").code == 2
    refused = cli("reports", "tax", "--from", "2026-12-31", "--to", "2026-12-01")
    assert (refused.code, refused.err.strip()) == (1, "The last day is before the first day. Correct one of them.")


@ON_SQLITE
def test_numbers_are_checked(cli: Command, make_order: MakeOrder) -> None:
    assert cli("numbers", "check", "--json").document == {"flaws": 0, "sequences": []}
    cli("orders", "act", make_order().number, "invoice")
    [sequence] = cli("numbers", "check", "--json").document["sequences"]
    assert sequence.keys() == {"shop", "kind", "documents", "first", "last", "flaws"}
    assert (sequence["kind"], sequence["last"], sequence["flaws"]) == ("invoice", "INV-000001", [])
    with unit_of_work():
        db.session.execute(update(NumberSequence).where(NumberSequence.kind == "invoice").values(next=7))
    found = cli("numbers", "check")
    assert (found.code, found.err.strip()) == (1, "The numbers of documents have 1 flaw.")
    assert "INV-000007" in found.out
