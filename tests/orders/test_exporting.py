"""Exports: what the list says in plain cells, safe in any spreadsheet; as a stream, and as a run that survives."""

import csv
import io
import stat
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import given, strategies as st

from webapp.audit.actor import ROLES, Actor
from webapp.audit.models import AuditEntry
from webapp.clock import now
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, NotFound
from webapp.jobs import runs
from webapp.jobs.models import Run
from webapp.orders import export_runs, exporting
from webapp.orders.bulk import NothingChosen
from webapp.orders.export_runs import can_fetch, file_of, forget_exports, start_export, write_part
from webapp.orders.exporting import LINES, ORDERS, Table, as_csv, ids_of, offered, safe, stream_csv, usual
from webapp.orders.models import Export, Order
from webapp.search.models import ListLayout
from webapp.search.query import parse
from webapp.testing import incoming_line, incoming_order


@pytest.fixture
def max_(make_user: Callable[..., Actor]) -> Actor:
    """A manager, who may export."""
    return make_user("manager", "Max")


@pytest.fixture
def orders(take: Callable[..., list[Order]]) -> list[Order]:
    lines = [incoming_line("MUG", 2), incoming_line("=1+1", 1, price=250)]
    return take(incoming_order(lines), incoming_order([incoming_line("TEA", 3)]))


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def streamed(actor: Actor, rows: str = ORDERS, codes: tuple[str, ...] = (), **more: Any) -> list[dict[str, str]]:
    table = Table(actor, rows, codes)
    return read("".join(stream_csv(table, ids_of(actor, **more))))


def test_both_numbers_and_both_statuses_are_always_there(orders: list[Order], max_: Actor) -> None:
    numbers = [(order.number, order.channel_order_number) for order in orders]
    rows = streamed(max_, ids=[order.id for order in orders])
    assert {(row["Order"], row["Channel order number"]) for row in rows} == set(numbers)
    assert {(row["Status"], row["Channel status"], row["Store"]) for row in rows} == {
        ("Processing", "UNSHIPPED", "Fake store")
    }


def test_cells_are_plain(orders: list[Order], max_: Actor) -> None:
    placed = orders[0].placed_at
    [row] = streamed(max_, codes=("total", "units", "placed", "buyer"), ids=[orders[0].id])
    assert (row["Total"], row["Total: currency"], row["Items"]) == ("27.00", "EUR", "3")
    assert row["Placed"] == placed.isoformat(timespec="seconds")
    assert row["Buyer"] == "Jane Quixelworth"


def test_a_row_per_line_has_its_product_and_prices(orders: list[Order], max_: Actor) -> None:
    rows = streamed(max_, LINES, ids=[order.id for order in orders])
    assert [(row["SKU"], row["Ordered"], row["Price each"], row["Currency"]) for row in rows if "M" in row["SKU"]] == [
        ("MUG", "2", "10.00", "EUR")
    ]
    assert sorted(row["SKU"] for row in rows) == ["'=1+1", "MUG", "TEA"]
    assert all(row["Channel order number"] for row in rows)


def test_a_practice_stores_orders_are_marked(orders: list[Order], max_: Actor) -> None:
    order_id = orders[0].id
    with unit_of_work():
        orders[0].store.practice = True
    [row] = streamed(max_, ids=[order_id])
    assert row["Practice"] == "Practice"


def test_who_may_not_see_buyers_exports_none(orders: list[Order]) -> None:
    blind = Actor(Actor.operator().kind, rights=ROLES["owner"] - {"buyers.see"})
    assert "buyer" not in {column.code for column in offered(blind)}
    assert "buyer" not in usual(blind)
    [row] = streamed(blind, codes=("buyer", "total"), ids=[orders[0].id])
    assert "Quixelworth" not in str(row)
    with pytest.raises(Forbidden):
        Table(Actor(Actor.operator().kind, rights=ROLES["clerk"]), ORDERS, ())


def test_the_list_as_a_person_laid_it_out_is_proposed(orders: list[Order], max_: Actor) -> None:
    assert "total" in usual(max_)
    with unit_of_work():
        columns = [{"code": code, "width": 90} for code in ("tags", "number", "gone", "units")]
        db.session.add(ListLayout(user_id=max_.id, name="orders", columns=columns, sort=""))
    assert usual(max_) == ["tags", "units"]


@given(st.text(max_size=20))
def test_no_text_becomes_a_formula(text: str) -> None:
    told = safe(text)
    assert isinstance(told, str)
    assert told.endswith(text)
    assert not told.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_half_a_character_stops_no_file() -> None:
    assert as_csv([["Jane\ud83d", 1]]).encode() == b"Jane?,1\r\n"


def test_numbers_stay_numbers() -> None:
    assert as_csv([[-5, "-5", "+49 30", None, "a,b"]]) == "-5,'-5,'+49 30,,\"a,b\"\r\n"


def test_the_mark_for_excel_comes_first(orders: list[Order], max_: Actor) -> None:
    [first, *_] = stream_csv(Table(max_, ORDERS, ()), [], mark=True)
    assert first.startswith("\ufeffOrder,")


def test_buyers_are_opened_once_for_a_part(orders: list[Order], max_: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr("webapp.vault.services.audit_reading", lambda code, **more: calls.append(len(more["orders"])))
    streamed(max_, codes=("buyer", "email", "address"), compiled=None)
    assert calls == [2]


def test_a_column_that_reads_what_no_row_has_still_answers(orders: list[Order], max_: Actor) -> None:
    [plain] = exporting._orders([orders[0].id], max_)
    assert [line.sku for line in plain.lines] == ["MUG", "=1+1"]
    assert (plain.shown_state, plain.managed_at_channel, plain.total) == ("processing", False, orders[0].total)
    with pytest.raises(AttributeError):
        _ = plain.nothing_of_the_kind


# --- As a run ---------------------------------------------------------------------------------------------------------


def begin(actor: Actor, **more: Any) -> int:
    values: dict[str, Any] = {"format": export_runs.CSV, "rows": ORDERS, "codes": ["total"]}
    with unit_of_work():
        return start_export(actor=actor, **values | more).id


def run_of(run_id: int) -> Run:
    db.session.expire_all()
    return runs.find_run(run_id)


def test_a_run_writes_what_the_stream_says(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_runs, "TURN", 1)
    run_id = begin(max_, query=parse("Quixelworth"))
    assert b"Quixelworth" not in (db.session.get_one(Export, run_id).sealed or b"")
    work()
    run = run_of(run_id)
    assert (run.state, run.done, run.total) == ("done", 2, 2)
    path, _format = file_of(run, max_)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [path.name for path in path.parent.iterdir()] == [path.name]
    text = path.read_bytes().decode()
    assert text == "".join(stream_csv(Table(max_, ORDERS, ["total"]), ids_of(max_)))
    [entry] = db.session.query(AuditEntry).filter_by(code="orders_exported")
    assert entry.data["orders"] == 2


def test_a_workbook_keeps_numbers_and_defuses_nothing_twice(
    orders: list[Order], max_: Actor, work: Callable[[], int]
) -> None:
    run_id = begin(max_, format=export_runs.XLSX, rows=LINES)
    work()
    path, _format = file_of(run_of(run_id), max_)
    with zipfile.ZipFile(path) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert "<t>=1+1</t>" in sheet  # a text cell: nothing reckons it
    assert "<f>" not in sheet
    assert "<v>27</v>" in sheet or "<v>27.0</v>" in sheet


def test_a_file_is_for_whoever_asked_for_it(
    orders: list[Order], max_: Actor, make_user: Callable[..., Actor], work: Callable[[], int]
) -> None:
    run_id = begin(max_)
    assert not can_fetch(run_of(run_id), max_)
    work()
    other = make_user("owner", "Olga")
    assert can_fetch(run_of(run_id), max_)
    assert not can_fetch(run_of(run_id), other)
    with pytest.raises(NotFound):
        file_of(run_of(run_id), other)


def test_files_are_deleted_after_a_day(orders: list[Order], max_: Actor, work: Callable[[], int]) -> None:
    run_id = begin(max_, query=parse("mug"))
    work()
    assert db.session.get_one(Export, run_id).sealed is not None
    forget_exports()
    assert can_fetch(run_of(run_id), max_)
    with time_machine.travel(now() + timedelta(hours=25)):
        assert not can_fetch(run_of(run_id), max_)
        forget_exports()
    assert list((configuration().data_dir / "exports").iterdir()) == []
    db.session.expire_all()
    assert db.session.get_one(Export, run_id).sealed is None


def test_a_worker_that_dies_costs_one_part(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_runs, "TURN", 1)
    run_id = begin(max_)
    write_part(run_id, 0)
    with monkeypatch.context() as patch:
        patch.setattr(export_runs._Writing, "keep", lambda self: (_ for _ in ()).throw(SystemExit("killed")))
        with pytest.raises(SystemExit):
            write_part(run_id, 1)
    db.session.rollback()
    write_part(run_id, 0)  # a job that comes late
    write_part(run_id, 1)
    work()
    run = run_of(run_id)
    assert (run.state, run.done) == ("done", 2)
    assert len(read(file_of(run, max_)[0].read_text())) == 2


def test_a_worker_that_dies_before_the_last_commit_repeats_only_the_last_turn(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(max_)
    write_part(run_id, 0)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "finish", lambda run: (_ for _ in ()).throw(SystemExit("killed")))
        with pytest.raises(SystemExit):
            write_part(run_id, 1)
    db.session.rollback()
    write_part(run_id, 1)
    assert len(read(file_of(run_of(run_id), max_)[0].read_text())) == 2
    assert [path.name for path in (configuration().data_dir / "exports").iterdir()] == [f"{run_id}.csv"]


def test_a_stopped_export_leaves_nothing(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_runs, "TURN", 1)
    run_id = begin(max_)
    write_part(run_id, 0)
    with unit_of_work():
        runs.stop(runs.find_run(run_id, lock=True))
    work()
    assert run_of(run_id).state == "stopped"
    assert list((configuration().data_dir / "exports").iterdir()) == []


def test_nothing_found_begins_nothing(orders: list[Order], max_: Actor) -> None:
    with pytest.raises(NothingChosen):
        begin(max_, ids=[])
    with pytest.raises(Forbidden):
        begin(Actor(Actor.operator().kind, rights=ROLES["clerk"]))
