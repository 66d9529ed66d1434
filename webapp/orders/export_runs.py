"""Exports as runs: files too large for one answer, or of a kind that can't be streamed.

The first turn notes which orders it is about; each turn writes a part; the last puts the parts together. Parts are
written outside of any transaction and count once their turn is committed, so a worker that dies costs one part's time.
Files lie in the data folder for their owner alone, are fetched by whoever asked for them, and are deleted after a day.
"""

import json
import os
import shutil
from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import select

from webapp.accounts.models import User
from webapp.audit.actor import Actor, ActorKind
from webapp.audit.services import audit
from webapp.clock import now
from webapp.config import configuration
from webapp.db import after_commit, db, unit_of_work
from webapp.errors import DeskError, NotFound
from webapp.i18n import LazyString, force_locale, lazy_gettext as _l
from webapp.jobs import job, runs
from webapp.jobs.models import OPEN_STATES, Run, RunState
from webapp.orders.bulk import NothingChosen, starter_of
from webapp.orders.exporting import BYTE_ORDER_MARK, Cell, Table, as_csv, ids_of
from webapp.orders.listing import NEWEST
from webapp.orders.models import Export
from webapp.orders.queries import zone_of
from webapp.search.compiling import compile_query
from webapp.search.query import Query, open_words, parse, seal_words

KIND = "export"
KEPT = timedelta(days=1)
CSV, CSV_FOR_EXCEL, XLSX = "csv", "csv_for_excel", "xlsx"
FORMATS: dict[str, LazyString] = {
    CSV: _l("CSV"),
    CSV_FOR_EXCEL: _l("CSV that Excel opens with accents right"),
    XLSX: _l("Excel workbook (XLSX)"),
}
TURN = 5_000  # orders written in one turn
_PATIENCE = timedelta(minutes=15)  # for putting a large workbook together
_FORGOTTEN = "forgotten"  # the place of one whose files and words are gone
_SHEET = 1_048_576  # rows that a sheet of a workbook holds
_WIDTH = 18  # characters, so that a time can be read


class PartsGone(DeskError):
    """What earlier turns wrote is not there, or was written by another version."""

    code = "parts_gone"
    sentence = _l("What was written of this file so far is gone, or from another version of the desk. Export it again.")


def start_export(
    *,
    actor: Actor,
    format: str,
    rows: str,
    codes: Sequence[str],
    total: int,
    query: Query | None = None,
    sort: str = NEWEST,
    ids: Sequence[int] | None = None,
) -> Run:
    """Begin to write a file of these orders, or of everything that the query finds: so many, as the door has counted
    before the transaction, since on SQLite nobody else writes meanwhile. Raises `NothingChosen`.
    """
    actor.needs("orders.export")
    if total == 0:
        raise NothingChosen
    run = runs.begin(KIND, actor=actor, total=total)
    period, sealed = seal_words(query.words) if query is not None and query.words else (None, None)
    db.session.add(
        Export(
            run_id=run.id,
            format=format,
            rows=rows,
            columns=list(codes),
            query=query.structured if query is not None else "",
            sort=sort,
            period=period,
            sealed=sealed,
            chosen=list(ids) if ids is not None else None,
            expires_at=now() + KEPT,
        )
    )
    audit("orders_exported", actor=actor, run=run.id, format=format, rows=rows, columns=list(codes), orders=total)
    return run


def can_fetch(run: Run, actor: Actor) -> bool:
    """Whether the run's file is there and this person's."""
    own = (run.actor_kind, run.actor_id) == (actor.kind, actor.id)
    return own and run.state == RunState.DONE and actor.may("orders.export") and _file_of(run) is not None


def file_of(run: Run, actor: Actor) -> tuple[Path, str]:
    """The run's file and its format. Raises `NotFound` for whoever did not ask for it, and once it is gone."""
    path = _file_of(run)
    if path is None or not can_fetch(run, actor):
        raise NotFound(name=run.id)
    return path, db.session.get_one(Export, run.id).format


def _file_of(run: Run) -> Path | None:
    export = db.session.get(Export, run.id)
    if export is None or not export.file or export.expires_at <= now():
        return None
    path = _folder() / export.file
    return path if path.is_file() else None


# --- What the worker does ---------------------------------------------------------------------------------------------


@job("desk", timeout=1800)
@runs.gives_up
def write_part(run_id: int, turn: int) -> None:
    """Write the next part of a file, or put its parts together."""
    with unit_of_work():
        run = runs.take_turn(run_id, turn)
        if run is None:
            _tidy(runs.find_run(run_id))
            return
        actor, export = starter_of(run), db.session.get_one(Export, run.id)
        language = _language(run)
        db.session.expunge(export)
    try:
        with force_locale(language):
            written = _Writing(run_id, turn, export, actor)
            done = written.finish() if export.place == "all" else written.go_on()
    except DeskError as problem:
        with unit_of_work():
            if run := runs.take_turn(run_id, turn):
                runs.fail(run, problem)
                _tidy(run)
        return
    with unit_of_work():
        run = runs.take_turn(run_id, turn)
        if run is None:
            _tidy(runs.find_run(run_id))
            return
        row = db.session.get_one(Export, run_id)
        written.keep()
        run.done, run.total, row.place = done, written.total, written.place
        if written.file:
            row.file, row.expires_at = written.file, now() + KEPT
            runs.finish(run)
        else:
            runs.go_on(run, patience=_PATIENCE if row.place == "all" else runs.PATIENCE)


runs.carried_by(KIND, write_part)


@job("desk")
def forget_exports() -> None:
    """Delete files and the words searched a day after they were written, and what unfinished runs left behind."""
    with unit_of_work():
        query = select(Run, Export).join(Export, Export.run_id == Run.id).where(Run.state.not_in(OPEN_STATES))
        for run, export in db.session.execute(query.where(Export.expires_at <= now(), Export.place != _FORGOTTEN)):
            export.file, export.place, export.period, export.sealed = "", _FORGOTTEN, None, None
            _tidy(run, all=True)


def _language(run: Run) -> str:
    user = db.session.get(User, run.actor_id) if run.actor_kind == ActorKind.PERSON else None
    return (user.language if user else None) or configuration().language


def _folder() -> Path:
    folder = configuration().data_dir / "exports"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _create(path: Path) -> BinaryIO:
    """A new file that its owner alone may read."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb")


def _tidy(run: Run, *, all: bool = False) -> None:
    """Take away the parts of a run that has ended; with `all`, its file too."""
    if run.is_open:
        return
    _delete(f"{run.id}-*")
    if all:
        _delete(f"{run.id}.*")


def _delete(pattern: str) -> None:
    for path in _folder().glob(pattern):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


class _Writing:
    """One turn at a file. Nothing of it counts before `keep`, which is called in the transaction that moves the run."""

    def __init__(self, run_id: int, turn: int, export: Export, actor: Actor) -> None:
        self.run_id, self.turn, self.export = run_id, turn, export
        self.table = Table(actor, export.rows, export.columns)
        self.actor, self.file, self.total, self.place = actor, "", 0, export.place
        self._made: list[tuple[Path, Path]] = []

    def go_on(self) -> int:
        """Write the next orders; tells how many are written by then."""
        ids = self._ids()
        start = int(self.export.place or 0)
        part = ids[start : start + TURN]
        with _create(self._new(f"{self.run_id}-{start:09d}.part")) as file:
            for at in range(0, len(part), 1_000):
                rows = self.table.cells(part[at : at + 1_000])
                file.write((as_csv(rows) if self.export.format != XLSX else _as_lines(rows)).encode(errors="replace"))
                db.session.rollback()
        end = start + len(part)
        self.place, self.total = "all" if end >= len(ids) else str(end), len(ids)
        return end

    def finish(self) -> int:
        """Put the parts together into the file."""
        self.total = len(self._ids())
        parts = sorted(_folder().glob(f"{self.run_id}-*.part"))
        name = f"{self.run_id}.{'xlsx' if self.export.format == XLSX else 'csv'}"
        path = self._new(name)
        if self.export.format == XLSX:
            aside = path.with_suffix(".sheets")  # of a workbook in the making; stays if its worker is killed
            aside.mkdir(mode=0o700, exist_ok=True)
            _write_workbook(path, aside, self.table.head, _rows_of(parts))
        else:
            mark = BYTE_ORDER_MARK if self.export.format == CSV_FOR_EXCEL else ""
            with _create(path) as file:
                file.write((mark + as_csv([self.table.head])).encode())
                for part in parts:
                    file.write(part.read_bytes())
        self.file = name
        return self.total

    def keep(self) -> None:
        """Give what was written its name; a turn that comes again writes the same names over."""
        for made, name in self._made:
            made.replace(name)
        if self.file:  # before the commit the parts may be needed again
            after_commit(self._forget_parts)

    def _forget_parts(self) -> None:
        _delete(f"{self.run_id}-*")

    def _new(self, name: str) -> Path:
        made = _folder() / f"{self.run_id}-{os.getpid()}-{self.turn}-{len(self._made)}.new"
        self._made.append((made, _folder() / name))
        return made

    def _ids(self) -> Any:
        """Which orders the file is about, found once: what changes meanwhile moves no row."""
        name = f"{self.run_id}-orders"  # earlier versions, whose parts read otherwise, called it something else
        ids = array("q")
        if self.export.place:
            try:
                ids.frombytes((_folder() / name).read_bytes())
            except FileNotFoundError:
                raise PartsGone from None
            return ids
        words = open_words(self.export.period, self.export.sealed) if self.export.period and self.export.sealed else ""
        query = parse(f"{self.export.query} {words}")
        asked = compile_query(query, self.actor, zone=zone_of(self.actor)) if query else None
        ids = ids_of(self.actor, ids=self.export.chosen, compiled=asked, sort=self.export.sort)
        with _create(self._new(name)) as file:
            file.write(ids.tobytes())
        return ids


def _as_lines(rows: Iterable[Sequence[Cell]]) -> str:
    """Rows as they wait for the workbook: a line of JSON each, decimals and times marked as such."""
    return "".join(json.dumps(row, ensure_ascii=False, default=_marked) + "\n" for row in rows)


def _marked(cell: Decimal | datetime) -> dict[str, str]:
    return {"at": cell.isoformat()} if isinstance(cell, datetime) else {"decimal": str(cell)}


def _rows_of(parts: Sequence[Path]) -> Iterator[list[Any]]:
    for part in parts:
        with part.open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def _write_workbook(path: Path, aside: Path, head: Sequence[str], rows: Iterator[list[Any]]) -> None:
    """A workbook of as many sheets as its rows need, written row by row; text is never read as a formula or a link."""
    import xlsxwriter  # takes its time to load, and few jobs write workbooks

    with _create(path) as file:
        plain = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
        book = xlsxwriter.Workbook(file, {"constant_memory": True, "tmpdir": str(aside), **plain})
        bold, time = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        amounts: dict[int, Any] = {}  # formats by decimal places, which the currency rules
        sheet, at = _sheet(book, head, bold), 1
        for row in rows:
            if at == _SHEET:
                sheet, at = _sheet(book, head, bold), 1
            for place, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(at, place, cell)
                elif not isinstance(cell, dict):
                    sheet.write(at, place, cell)
                elif "at" in cell:  # as the shop's clock showed it: a workbook knows no zones
                    sheet.write_datetime(at, place, datetime.fromisoformat(cell["at"]).replace(tzinfo=None), time)
                else:
                    places = len(cell["decimal"].partition(".")[2])
                    if places not in amounts:
                        amounts[places] = book.add_format({"num_format": f"{0:.{places}f}"})
                    sheet.write_number(at, place, float(cell["decimal"]), amounts[places])
            at += 1
        try:
            book.close()
        except xlsxwriter.exceptions.FileCreateError as error:
            [problem] = error.args  # what the disk said
            raise problem from None


def _sheet(book: Any, head: Sequence[str], bold: Any) -> Any:
    sheet = book.add_worksheet()
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, len(head) - 1, _WIDTH)
    for place, word in enumerate(head):
        sheet.write_string(0, place, word, bold)
    return sheet
