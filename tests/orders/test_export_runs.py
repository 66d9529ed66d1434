"""Exports as runs: files that survive crashes, are for whoever asked for them, and go with a buyer."""

import errno
import io
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
import time_machine
from sqlalchemy import delete, select

from tests.orders.conftest import read
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.audit.rights import rights_of_built_in
from webapp.clock import now
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.errors import DatabaseBusy, Forbidden, NotFound, sentence_of
from webapp.jobs import queue, runs
from webapp.jobs.models import Run
from webapp.lists import export_runs, workbooks
from webapp.lists.export_runs import NothingToExport, can_fetch, forget_exports, open_file, start_export, write_part
from webapp.lists.exporting import Table, ids_of, stream_csv
from webapp.lists.listing import count_rows
from webapp.lists.models import Export
from webapp.orders.line_rows import LINES
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.search.compiling import compile_query
from webapp.search.contract import ORDERS
from webapp.search.query import parse
from webapp.vault import services as vault
from webapp.vault.files import Writer
from webapp.vault.jobs import forget_files
from webapp.vault.models import VaultFile


def begin(actor: Actor, **more: Any) -> int:
    values: dict[str, Any] = {"format": export_runs.CSV, "rows": ORDERS, "codes": ["total"]}
    query, ids = more.get("query"), more.get("ids")
    total = (
        count_rows(ORDER_LIST, actor, compile_query(query, actor) if query else None)[0] if ids is None else len(ids)
    )
    with unit_of_work():
        return start_export(ORDER_LIST, actor=actor, total=total, **values | more).id


def run_of(run_id: int) -> Run:
    db.session.expire_all()
    return runs.find_run(run_id)


def content_of(run_id: int, actor: Actor) -> bytes:
    return b"".join(open_file(run_of(run_id), actor)[0].chunks())


def on_disk() -> list[Path]:
    """The sealed files in the data directory."""
    return sorted((configuration().data_dir / "files").iterdir())


def test_a_run_writes_what_the_stream_says(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_runs, "CHUNK", 1)
    run_id = begin(max_, query=parse("Quixelworth"))
    assert b"Quixelworth" not in (db.session.get_one(Export, run_id).sealed or b"")
    work()
    run = run_of(run_id)
    assert (run.state, run.done, run.total) == ("done", 2, 2)
    [path] = on_disk()
    assert b"Processing" not in path.read_bytes()
    text = content_of(run_id, max_).decode()
    assert text == "".join(stream_csv(Table(ORDER_LIST, max_, ORDERS, ["total"]), ids_of(ORDER_LIST, max_)))
    [entry] = db.session.query(AuditEntry).filter_by(code="orders_exported")
    assert entry.data["orders"] == 2


def test_a_large_file_is_put_together_where_nobody_waits_for_something_small(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_runs, "LARGE", 1)
    run_id = begin(max_, format=export_runs.XLSX)
    export_runs.write_part(run_id, 0)
    assert queue("importing").count == 1
    queue("importing").empty()
    with time_machine.travel(now() + timedelta(hours=1), tick=True):
        runs.look_after_runs()  # the job was lost: the clock sends the usual job
        write_part(run_id, 1)
        assert (run_of(run_id).state, queue("importing").count) == ("running", 1)
        with unit_of_work():
            runs.pause(runs.find_run(run_id, lock=True))
        work()
        assert run_of(run_id).state == "paused"
        with unit_of_work():
            runs.resume(runs.find_run(run_id, lock=True))
        write_part(run_id, run_of(run_id).chunk)
        assert (run_of(run_id).state, queue("importing").count) == ("running", 1)
        work()
    assert run_of(run_id).state == "done"


def test_nothing_stays_open_in_the_database_while_a_file_is_put_together(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may take a minute, and its heading asks the database what product codes are called."""
    put, open_then = export_runs.write_workbook, list[bool]()

    def note(*given: Any) -> None:
        open_then.append(db.session().in_transaction())
        put(*given)

    monkeypatch.setattr(export_runs, "write_workbook", note)
    run_id = begin(max_, format=export_runs.XLSX, rows=LINES.code)
    work()

    assert run_of(run_id).state == "done"
    assert open_then == [False]


def test_a_workbook_keeps_numbers_and_defuses_nothing_twice(
    orders: list[Order], max_: Actor, work: Callable[[], int]
) -> None:
    run_id = begin(max_, format=export_runs.XLSX, rows=LINES.code)
    work()
    with zipfile.ZipFile(io.BytesIO(content_of(run_id, max_))) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert "<t>=1+1</t>" in sheet  # a text cell: no spreadsheet calculates it
    assert "<f>" not in sheet
    assert "<v>27</v>" in sheet or "<v>27.0</v>" in sheet


def test_a_workbook_holds_times_and_amounts_that_can_be_reckoned_with(
    orders: list[Order], max_: Actor, work: Callable[[], int]
) -> None:
    with unit_of_work():
        orders[0].shop.zone = "America/New_York"
    run_id = begin(max_, format=export_runs.XLSX, ids=[orders[0].id], codes=["placed", "total"])
    work()
    with zipfile.ZipFile(io.BytesIO(content_of(run_id, max_))) as book:
        sheet, styles = book.read("xl/worksheets/sheet1.xml").decode(), book.read("xl/styles.xml").decode()
    shown = orders[0].placed_at.astimezone(ZoneInfo("America/New_York")).replace(tzinfo=None)
    found = re.search(r'<c r="G2" s="\d"><v>([\d.]+)</v>', sheet)
    assert found, sheet
    assert float(found[1]) == pytest.approx((shown - datetime(1899, 12, 30)) / timedelta(days=1))  # noqa: DTZ001
    assert 'formatCode="yyyy-mm-dd hh:mm"' in styles
    assert 'formatCode="0.00"' in styles


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
        open_file(run_of(run_id), other)


def test_files_are_deleted_after_a_day(orders: list[Order], max_: Actor, work: Callable[[], int]) -> None:
    run_id = begin(max_, query=parse("mug"))
    work()
    assert db.session.get_one(Export, run_id).sealed is not None
    forget_exports()
    assert can_fetch(run_of(run_id), max_)
    with time_machine.travel(now() + timedelta(hours=25)):
        assert not can_fetch(run_of(run_id), max_)
        forget_exports()
        forget_files()
    assert on_disk() == []
    db.session.expire_all()
    assert db.session.get_one(Export, run_id).sealed is None


def test_of_two_workers_of_a_turn_one_says_which_orders(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(max_)
    asked: list[Any] = []

    def find(*told: Any, **more: Any) -> Any:
        asked.append(told)
        if len(asked) == 1:
            write_part(run_id, 0)  # another is quicker
            return ids_of(*told, **more)[:1]
        return ids_of(*told, **more)

    monkeypatch.setattr(export_runs, "ids_of", find)
    write_part(run_id, 0)
    work()
    assert (run_of(run_id).state, run_of(run_id).done, len(asked)) == ("done", 2, 2)
    assert len(read(content_of(run_id, max_).decode())) == 2


def test_a_file_begun_by_another_version_is_to_be_exported_again(
    orders: list[Order], max_: Actor, work: Callable[[], int]
) -> None:
    run_id = begin(max_, format=export_runs.XLSX)
    write_part(run_id, 0)
    with unit_of_work():  # as its migration leaves it
        db.session.execute(delete(VaultFile))
    work()
    run = run_of(run_id)
    assert run.state == "failed"
    assert str(sentence_of(run.problem)).endswith("Export the list again.")


def test_a_disk_that_is_full_ends_no_workbook(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Writer._put

    def full(writer: Writer, plain: bytes, *, last: bool) -> None:
        put(writer, plain, last=last)
        raise OSError(errno.ENOSPC, "no space left")

    run_id = begin(max_, format=export_runs.XLSX)
    write_part(run_id, 0)
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "_put", full)
        for tried in range(2 * runs.TRIES):
            with time_machine.travel(now() + tried * runs.APART), pytest.raises(OSError, match="no space left"):
                write_part(run_id, 1)
    work()
    assert run_of(run_id).state == "done"


@pytest.mark.parametrize("chunk", [0, 1])
def test_a_database_that_is_busy_as_a_part_is_kept_ends_no_export(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    run_id = begin(max_)
    for before in range(chunk):
        write_part(run_id, before)
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "keep", lambda *words, **more: (_ for _ in ()).throw(DatabaseBusy()))
        with pytest.raises(DatabaseBusy):
            write_part(run_id, chunk)
    assert run_of(run_id).is_open
    work()
    assert run_of(run_id).state == "done"


def test_a_worker_that_dies_at_a_workbook_leaves_nothing_that_opens(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(max_, format=export_runs.XLSX, codes=["buyer"])
    write_part(run_id, 0)
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "keep", lambda *words, **more: (_ for _ in ()).throw(SystemExit("killed")))
        patch.setattr(Writer, "discard", lambda self: None)  # a killed worker deletes nothing
        with pytest.raises(SystemExit):
            write_part(run_id, 1)
    db.session.rollback()
    [left] = {path.name for path in on_disk()} - set(db.session.scalars(select(VaultFile.name)))
    assert b"Quixelworth" not in b"".join(path.read_bytes() for path in on_disk())
    work()
    assert run_of(run_id).state == "done"
    assert left in {path.name for path in on_disk()}
    with time_machine.travel(now() + timedelta(hours=7)):
        forget_files()
    assert [path.name for path in on_disk()] == [db.session.get_one(Export, run_id).file]


def test_no_file_of_a_workbook_in_the_making_is_readable(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))  # whoever wants one there fails
    run_id = begin(max_, format=export_runs.XLSX, codes=["buyer", "address"])
    put, seen = Writer._put, []

    def look(writer: Writer, plain: bytes, *, last: bool) -> None:
        put(writer, plain, last=last)
        seen.append([path for path in tmp_path.rglob("*") if path.is_file() and b"Quixelworth" in path.read_bytes()])

    monkeypatch.setattr(Writer, "_put", look)
    work()
    assert seen == [[]] * len(seen) != []
    with zipfile.ZipFile(io.BytesIO(content_of(run_id, max_))) as book:
        assert b"Jane Quixelworth" in book.read("xl/worksheets/sheet1.xml")


def test_a_worker_that_dies_costs_one_part(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_runs, "CHUNK", 1)
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
    assert len(read(content_of(run_id, max_).decode())) == 2


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
    assert len(read(content_of(run_id, max_).decode())) == 2
    assert [path.name for path in on_disk()] == [db.session.get_one(Export, run_id).file]


def erase(*orders: int) -> None:
    with unit_of_work():
        vault.erase(orders)


def test_a_file_goes_with_a_buyer_whom_it_tells_of(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_runs, "CHUNK", 1)
    ids = [order.id for order in orders]
    both, other = begin(max_), begin(max_, ids=ids[1:], format=export_runs.XLSX)
    work()
    assert (can_fetch(run_of(both), max_), can_fetch(run_of(other), max_)) == (True, True)
    kept = db.session.get_one(Export, other).file
    erase(ids[0])
    assert (can_fetch(run_of(both), max_), can_fetch(run_of(other), max_)) == (False, True)
    assert [path.name for path in on_disk()] == [kept]
    with pytest.raises(NotFound):
        content_of(both, max_)


def test_a_part_whose_buyer_is_erased_before_the_file_is_whole_is_written_again(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_runs, "CHUNK", 1)
    ids = [order.id for order in orders]
    run_id = begin(max_, ids=ids, codes=["buyer"])
    write_part(run_id, 0)
    write_part(run_id, 1)
    erase(ids[0])
    work()
    run = run_of(run_id)
    assert (run.state, run.done) == ("done", 2)
    told = {row["Order"]: row["Buyer"] for row in read(content_of(run_id, max_).decode())}
    assert told == {orders[0].number: "", orders[1].number: "Jane Quixelworth"}


@pytest.mark.parametrize("chunk", [0, 1])
def test_no_buyer_who_is_erased_while_a_file_is_written_stays_in_it(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    order_id = orders[0].id
    run_id = begin(max_, codes=["buyer"], ids=[order_id])
    for before in range(chunk):
        write_part(run_id, before)
    close, erased = Writer.close, list[int]()

    def erase_then_close(writer: Writer) -> None:
        if writer.size > 100 and not erased:  # the rows have been read
            erased.append(order_id)
            erase(order_id)
        close(writer)

    monkeypatch.setattr(Writer, "close", erase_then_close)
    write_part(run_id, chunk)
    work()
    [row] = read(content_of(run_id, max_).decode())
    assert (erased, row["Buyer"]) == ([order_id], "")


def test_a_workbook_has_as_many_sheets_as_its_rows_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "SHEET", 2)
    target = io.BytesIO()
    texts = ["=1+1", " a & <b>\x07\ufffe", "_x0041_", "x" * 40_000, "last"]
    rows = [[text, place, {"decimal": "1.50"}, None] for place, text in enumerate(texts)]
    workbooks.write_workbook(target, ["A", "B", "C", "D"], iter(rows), len(rows))
    with zipfile.ZipFile(target) as book:
        assert book.testzip() is None
        assert "sheet3.xml" in book.read("[Content_Types].xml").decode()
        parts = [book.read(f"xl/worksheets/sheet{number}.xml") for number in (1, 2, 3)]
    sheets = [ElementTree.fromstring(part) for part in parts]  # noqa: S314 - our own
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    assert [sheet.find(f"{space}dimension").get("ref") for sheet in sheets] == ["A1:D3", "A1:D3", "A1:D2"]  # type: ignore[union-attr]
    found = [cell.text for sheet in sheets for cell in sheet.iter(f"{space}t")]
    assert found == ["=1+1", " a & <b>_x0007_?", "_x005F_x0041_", "x" * 32_767, "last"]
    assert [row.get("r") for row in sheets[2].iter(f"{space}row")] == ["1", "2"]


def test_an_export_that_a_bug_ends_leaves_nothing(
    orders: list[Order], max_: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(max_)
    monkeypatch.setattr(export_runs, "as_csv", lambda rows: 1 / 0)
    for tried in range(runs.TRIES):
        with time_machine.travel(now() + tried * runs.APART), pytest.raises(ZeroDivisionError):
            write_part(run_id, 0)
    write_part(run_id, 0)  # the queue tries once more than that
    assert (run_of(run_id).state, (run_of(run_id).problem or {})["code"]) == ("failed", "work_failed")
    assert on_disk() == []


def test_a_stopped_export_leaves_nothing(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_runs, "CHUNK", 1)
    run_id = begin(max_)
    write_part(run_id, 0)
    with unit_of_work():
        runs.stop(runs.find_run(run_id, lock=True))
    work()
    assert run_of(run_id).state == "stopped"
    assert on_disk() == []


def test_who_may_no_longer_see_buyers_gets_no_file_that_names_them(
    orders: list[Order], max_: Actor, work: Callable[[], int]
) -> None:
    named, plain = begin(max_, codes=["buyer"]), begin(max_)
    work()
    blind = replace(max_, rights=max_.rights - {"buyers.see"})
    assert [can_fetch(run_of(run_id), max_) for run_id in (named, plain)] == [True, True]
    assert [can_fetch(run_of(run_id), blind) for run_id in (named, plain)] == [False, True]


def test_a_file_of_a_list_that_somebody_may_no_longer_see_is_not_theirs(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(max_)
    work()
    assert can_fetch(run_of(run_id), max_)
    for known in ({}, {ORDERS: replace(ORDER_LIST, right="seals.put")}):
        monkeypatch.setattr(export_runs, "subjects", lambda known=known: known)
        assert not can_fetch(run_of(run_id), max_)


def test_a_file_with_a_column_that_is_gone_is_for_who_may_see_buyers(
    orders: list[Order], max_: Actor, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(max_)
    work()
    known = {code: column for code, column in export_runs.list_columns(ORDERS).items() if code != "total"}
    monkeypatch.setattr(export_runs, "list_columns", lambda subject: known)
    blind = replace(max_, rights=max_.rights - {"buyers.see"})
    assert [can_fetch(run_of(run_id), actor) for actor in (max_, blind)] == [True, False]


def test_a_column_of_buyers_is_in_no_file_of_who_may_not_see_them_though_it_is_always_there(
    orders: list[Order], max_: Actor
) -> None:
    subject = replace(ORDER_LIST, always=("number", "buyer", "store"))
    blind = replace(max_, rights=max_.rights - {"buyers.see"})
    assert Table(subject, max_, ORDERS, ()).head == ["Order", "Buyer", "Store", "Practice"]
    assert Table(subject, blind, ORDERS, ()).head == ["Order", "Store", "Practice"]
    [row] = Table(subject, blind, ORDERS, ()).cells([orders[0].id])
    assert len(row) == 3


def test_nothing_found_begins_nothing(orders: list[Order], max_: Actor) -> None:
    with pytest.raises(NothingToExport):
        begin(max_, ids=[])
    with pytest.raises(Forbidden):
        begin(Actor(Actor.operator().kind, rights=rights_of_built_in("clerk")))
