"""Exports as runs: for files that are too large for one response, or whose format can't be streamed.

The first chunk stores the ids of the rows; each chunk writes a part; the last chunk joins the parts. Parts are written
outside of transactions and count once their chunk is committed, so a worker that dies loses the work of one chunk. All
files, including parts, are sealed in the vault. Only the person who started the run can fetch the file, and only while
they may see all its orders. It is deleted after a day, or when one of its buyers is erased. If a part is deleted with
a buyer while the run goes on, the part is written again, without that buyer.
"""

import io
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, select

from webapp.accounts.models import User
from webapp.accounts.services import starter_of
from webapp.audit.actor import Actor, ActorKind
from webapp.audit.services import audit
from webapp.clock import now
from webapp.config import configuration
from webapp.db import after_commit, db, unit_of_work
from webapp.errors import DeskError, NotFound
from webapp.i18n import LazyString, force_locale, lazy_gettext as _l
from webapp.jobs import job, runs
from webapp.jobs.models import OPEN_STATES, Run, RunState
from webapp.lists.contract import Cell, Subject
from webapp.lists.exporting import BYTE_ORDER_MARK, Table, as_csv, ids_of
from webapp.lists.models import Export
from webapp.lists.saved_views import may_show
from webapp.lists.subjects import find_subject, orders_of, sees_all, subjects, zone_of
from webapp.lists.workbooks import write_workbook
from webapp.search.compiling import compile_query
from webapp.search.query import Query, open_words, parse, seal_words
from webapp.search.registered import list_columns
from webapp.vault import files, services as vault
from webapp.vault.files import Reader, Writer
from webapp.vault.models import VaultFile

KIND = "export"
EXPORTED = "orders_exported"  # the event of the audit log, for all subjects; `rows` says what a row is
KEPT = timedelta(days=1)
CSV, CSV_FOR_EXCEL, XLSX = "csv", "csv_for_excel", "xlsx"
FORMATS: dict[str, LazyString] = {
    CSV: _l("CSV"),
    CSV_FOR_EXCEL: _l("CSV for Excel (keeps accents)"),
    XLSX: _l("Excel workbook (XLSX)"),
}
CHUNK = 5_000  # rows of the list in one part
LARGE = 20_000  # rows of a file whose parts take more than some seconds to join
_PATIENCE = timedelta(minutes=15)  # for joining the parts of a large workbook
_BEGUN, _FORGOTTEN = "begun", "forgotten"  # values of `place`: the ids are stored; the search words are deleted
_IDS = -1  # the position of the file with the ids of the rows
_PART, _WHOLE = "export_part", "export"  # kinds of files


class NothingToExport(DeskError):
    code, status = "nothing_to_export", 422
    sentence = _l("There is nothing to export, because the list has no rows any more.")


class PartsGone(DeskError):
    """The files of earlier chunks are missing, or were written by another version."""

    code = "parts_gone"
    sentence = _l(
        "The part of this file that was already written is missing, or another version of Waybill wrote it. "
        "Export the list again."
    )


def start_export(
    subject: Subject,
    *,
    actor: Actor,
    format: str,
    rows: str,
    codes: Sequence[str],
    total: int,
    query: Query | None = None,
    sort: str | None = None,
    ids: Sequence[int] | None = None,
) -> Run:
    """Start a run that writes a file of the rows with these ids, or of all rows that the query finds.

    `total` is the number of rows. The caller counts them before the transaction, since on SQLite nobody else can write
    during one. Raises `NothingToExport`.
    """
    actor.needs("orders.export")
    if total == 0:
        raise NothingToExport
    run = runs.begin(KIND, actor=actor, total=total)
    period, sealed = seal_words(query.words) if query is not None and query.words else (None, None)
    db.session.add(
        Export(
            run_id=run.id,
            subject=subject.code,
            format=format,
            rows=rows,
            columns=list(codes),
            query=query.structured if query is not None else "",
            sort=subject.usual if sort is None else sort,
            period=period,
            sealed=sealed,
            chosen=list(ids) if ids is not None else None,
            expires_at=now() + KEPT,
        )
    )
    audit(EXPORTED, actor=actor, run=run.id, format=format, rows=rows, columns=list(codes), orders=total)
    return run


def can_fetch(run: Run, actor: Actor) -> bool:
    """Whether the run's file exists and the actor may have it: they started the run, and still see all its orders."""
    own = (run.actor_kind, run.actor_id) == (actor.kind, actor.id)
    if not own or run.state != RunState.DONE or not actor.may("orders.export"):
        return False
    row = _file_of(run)
    return (
        row is not None
        and _may_see_columns(db.session.get_one(Export, run.id), actor)
        and sees_all(files.orders_of(row), actor)
    )


def _may_see_columns(export: Export, actor: Actor) -> bool:
    """Whether the actor may still see the file's columns; a column that no longer exists may have been personal."""
    subject, known = subjects().get(export.subject), list_columns(export.subject)
    if subject is None or not actor.may(subject.right):
        return False
    codes = (*subject.always, *export.columns)
    return actor.may("buyers.see") or all(code in known and may_show(known[code], actor) for code in codes)


def open_file(run: Run, actor: Actor) -> tuple[Reader, Export]:
    """The run's file and its export. Raises `NotFound` if the actor may not have the file, or if it was deleted."""
    row = _file_of(run)
    if row is None or not can_fetch(run, actor):
        raise NotFound(name=run.id)
    return files.read(row), db.session.get_one(Export, run.id)


def _file_of(run: Run) -> VaultFile | None:
    export = db.session.get(Export, run.id)
    return files.named(export.file) if export is not None and export.file else None


# --- In the worker ----------------------------------------------------------------------------------------------------


@job("now", timeout=1800, formerly="webapp.orders.export_runs.write_part")
@runs.gives_up
def write_part(run_id: int, chunk: int) -> None:
    """Write the next part of a file, or join the parts of a small file."""
    _write(run_id, chunk, largest=LARGE)


@job("importing", timeout=1800, formerly="webapp.orders.export_runs.put_together")
@runs.gives_up
def put_together(run_id: int, chunk: int) -> None:
    """Join the parts of a large file. This takes up to a minute, so it runs in a queue without short jobs."""
    _write(run_id, chunk)


def _write(run_id: int, chunk: int, *, largest: int | None = None) -> None:
    with unit_of_work():
        run = runs.take_chunk(run_id, chunk)
        if run is None:
            _delete_parts(runs.find_run(run_id))
            return
        actor, export = starter_of(run), db.session.get_one(Export, run.id)
        language = _language(run)
        db.session.expunge(export)
    written = _Writing(run_id, export, actor, largest)
    try:
        with force_locale(language):
            written.write_next()
        with unit_of_work():
            run = runs.take_chunk(run_id, chunk)
            if run is None:
                _delete_parts(runs.find_run(run_id))
            else:
                _advance(run, written)
    except DeskError as problem:
        if runs.passes(problem):
            raise
        with unit_of_work():
            if run := runs.take_chunk(run_id, chunk):
                runs.fail(run, problem)
                _delete_parts(run)
    finally:
        written.discard()


runs.carried_by(KIND, write_part)


def _advance(run: Run, written: "_Writing") -> None:
    """Make the work of a chunk count, in the transaction that advances the run."""
    row, whole = db.session.get_one(Export, run.id), written.keep()
    row.place, run.total, run.done = _BEGUN, written.total, written.done
    if whole is not None:
        row.file, row.expires_at = whole.name, whole.expires_at
        runs.finish(run)
        _delete_parts(run)
    else:
        by = put_together if written.is_last and written.total > LARGE else write_part
        runs.go_on(run, patience=_PATIENCE if written.is_last else runs.PATIENCE, by=by)


@job("clock", formerly="webapp.orders.export_runs.forget_exports")
def forget_exports() -> None:
    """Delete the search words of exports a day after their files were written, and the parts of unfinished runs."""
    with unit_of_work():
        for run, export in db.session.execute(_forgettable()):
            export.file, export.place, export.period, export.sealed = "", _FORGOTTEN, None, None
            _delete_parts(run)


def _delete_parts(run: Run) -> None:
    """Delete the parts of a run that has ended; a finished file has replaced its parts already."""
    if not run.is_open:
        files.forget([row.id for row in files.files_of(_PART, run.id)])


def any_to_forget() -> bool:
    """Whether there are files or search words to delete."""
    return db.session.execute(_forgettable().limit(1)).first() is not None


def _forgettable() -> Select[Run, Export]:
    query = select(Run, Export).join(Export, Export.run_id == Run.id).where(Run.state.not_in(OPEN_STATES))
    return query.where(Export.expires_at <= now(), Export.place != _FORGOTTEN)


def _language(run: Run) -> str:
    user = db.session.get(User, run.actor_id) if run.actor_kind == ActorKind.PERSON else None
    return (user.language if user else None) or configuration().language


class _Writing:
    """The work of one chunk. None of it counts before `keep`, called in the transaction that advances the run."""

    def __init__(self, run_id: int, export: Export, actor: Actor, largest: int | None) -> None:
        self.run_id, self.export, self.actor = run_id, export, actor
        self.subject = find_subject(export.subject)
        self._largest = largest  # rows of a file whose parts may be joined in this job; None: any number
        self.total, self.done, self.is_last = 0, 0, False
        self._writers: list[Writer] = []  # in the order in which they are kept
        self._ids: Any = array("q")
        self._start: int | None = None  # of the written part; None: the whole file was written
        self._parts: list[VaultFile] = []
        self._erased: set[int] = set()  # orders whose buyers were erased before anything of the part was read

    def write_next(self) -> None:
        """Write the first missing part, or the whole file if none is missing."""
        there = {row.position: row for row in files.files_of(_PART, self.run_id)}
        self._ids = self._row_ids(there.pop(_IDS, None))
        self.total = len(self._ids)
        self._parts = [there[start] for start in sorted(there)]
        for row in self._parts:  # an erasing meanwhile may delete some of these rows
            db.session.expunge(row)
        db.session.rollback()
        missing = [start for start in range(0, self.total, CHUNK) if start not in there]
        if not missing:
            self.done = self.total
            if self._largest is not None and self.total > self._largest:
                self.is_last = True
                return
            head = Table(self.subject, self.actor, self.export.rows, self.export.columns).head
            db.session.rollback()  # ends the transaction that read the heading, since writing the file takes long
            self._write_whole(head)
            return
        self._start = missing[0]
        self._write_part(self._ids[self._start : self._start + CHUNK])
        self.done = self.total - sum(len(self._ids[start : start + CHUNK]) for start in missing[1:])
        self.is_last = len(missing) == 1

    def keep(self) -> VaultFile | None:
        """Make what was written count; returns the file when it is complete. If a buyer was erased while a part was
        written, the part is not kept, and another chunk writes it again.
        """
        expires_at = now() + KEPT
        if not self._writers:  # no part is missing, and another job joins them
            return None
        if self._start is None:
            [writer] = self._writers
            whole = writer.keep(_WHOLE, self.run_id, 0, expires_at=expires_at)
            if files.became(whole, [row.name for row in self._parts]):
                after_commit(self._writers.clear)
                return whole
            files.forget([whole.id])
            return None
        *id_files, writer = self._writers
        for ids in id_files:
            ids.keep(_PART, self.run_id, _IDS, expires_at=expires_at)
        part = self._ids[self._start : self._start + CHUNK]
        order_ids = orders_of(self.subject, part)
        row = writer.keep(_PART, self.run_id, self._start, expires_at=expires_at, order_ids=order_ids)
        if vault.erased(order_ids) != self._erased:
            files.forget([row.id])
        after_commit(self._writers.clear)
        return None

    def discard(self) -> None:
        """Delete what was not kept."""
        for writer in self._writers:
            writer.discard()

    def _write_part(self, part: Sequence[int]) -> None:
        self._erased = vault.erased(orders_of(self.subject, part))
        table = Table(self.subject, self.actor, self.export.rows, self.export.columns)
        writer = self._new()
        for at in range(0, len(part), 1_000):
            rows = table.cells(part[at : at + 1_000])
            text = as_csv(rows) if self.export.format != XLSX else _as_lines(rows)
            writer.write(text.encode(errors="replace"))
            db.session.rollback()
        writer.close()

    def _write_whole(self, head: Sequence[str]) -> None:
        writer = self._new()
        if self.export.format == XLSX:
            count = sum(piece.count(b"\n") for row in self._parts for piece in files.read(row).chunks())
            write_workbook(writer, head, _rows_of(self._parts), count)
        else:
            mark = BYTE_ORDER_MARK if self.export.format == CSV_FOR_EXCEL else ""
            writer.write((mark + as_csv([head])).encode())
            for row in self._parts:
                for piece in files.read(row).chunks():
                    writer.write(piece)
        writer.close()

    def _new(self) -> Writer:
        writer = Writer()
        self._writers.append(writer)
        return writer

    def _row_ids(self, there: VaultFile | None) -> Any:
        """The ids of the file's rows: found by the first chunk and then read from its file, so that no change of an
        order moves a row.
        """
        ids = array("q")
        if self.export.place:
            if there is None:
                raise PartsGone
            ids.frombytes(b"".join(files.read(there).chunks()))
            return ids
        words = open_words(self.export.period, self.export.sealed) if self.export.period and self.export.sealed else ""
        query = parse(f"{self.export.query} {words}", self.subject.code)
        asked = compile_query(query, self.actor, zone=zone_of(self.actor)) if query else None
        ids = ids_of(self.subject, self.actor, ids=self.export.chosen, compiled=asked, sort=self.export.sort)
        writer = self._new()
        writer.write(ids.tobytes())
        writer.close()
        return ids


def _as_lines(rows: Iterable[Sequence[Cell]]) -> str:
    """Rows as a part of a workbook has them: one line of JSON each, with decimals and times marked as such."""
    return "".join(json.dumps(row, ensure_ascii=False, default=_marked) + "\n" for row in rows)


def _marked(cell: Decimal | datetime) -> dict[str, str]:
    return {"at": cell.isoformat()} if isinstance(cell, datetime) else {"decimal": str(cell)}


def _rows_of(parts: Sequence[VaultFile]) -> Iterator[list[Any]]:
    for part in parts:
        with io.BufferedReader(files.read(part), files.CHUNK) as lines:
            yield from map(json.loads, lines)
