"""Documents of many rows of a list as one PDF, made by a run; `printed` has the kinds of documents.

The run's results name the rows and how each one ended. A chunk composes the documents of some rows and keeps them as a
part; the last chunk asks again which of them must not be used, and draws all parts into one PDF. The work is done
outside of transactions and counts once its chunk is committed, so a worker that dies loses the work of one chunk and
leaves no file that anybody can open. If a part is deleted because its buyer is erased while the run goes on, the part
is composed again, without that buyer.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from webapp.accounts.services import starter_of
from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.channels.logos import picture_of
from webapp.db import after_commit, db, unit_of_work, write_rows
from webapp.documents import pdf, store
from webapp.documents.composed import texts
from webapp.documents.letters import Drawing, without_font
from webapp.documents.printed import PRINTED, SLIPS, Printed
from webapp.documents.store import OfOrder
from webapp.errors import DeskError, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.jobs import job, runs
from webapp.jobs.models import Run, RunResult
from webapp.orders import freshness
from webapp.orders.bulk import NothingChosen, ResultState
from webapp.orders.queries import orders_by_id
from webapp.vault import services as vault
from webapp.vault.files import FileGone, Reader, Writer
from webapp.vault.models import VaultFile

KIND = "print"
MOST = 1_000  # rows of one file
CHUNK = 50


class TooManyToPrint(DeskError):
    code, status = "too_many_to_print", 422
    sentence = _l("One PDF can have up to %(most)s rows of a list, and more were found. Narrow the list.")


class NothingToPrint(Refusal):
    code = "nothing_to_print"
    sentence = _l("There is nothing to print. The results below show the reasons.")


class LettersByNumber(DeskError):
    """The document was printed with numbers in place of some letters. Its page shows which letters; they are not
    stored here, since they may be part of a buyer's data.
    """

    code = "letters_by_number"
    sentence = _l(
        "No font of the desk has some letters of this document, so the PDF shows their numbers instead. Print the "
        "document from its page."
    )


class SlipsOutdated(Refusal):
    code = "slips_outdated"
    sentence = _l(
        "%(order)s must no longer be shipped: %(why)s This file has its packing slip, so print the slips again."
    )


def start_print(what: str = SLIPS, *, actor: Actor, ids: Sequence[int], paper: str = "") -> Run:
    """Start a run that makes a PDF of the documents of these rows, in this order; for this paper, or for that of each
    country. `what` is the code of a kind of document.

    Raises `NothingChosen` or `TooManyToPrint`.
    """
    actor.needs("orders.view")
    if not ids:
        raise NothingChosen
    if len(ids) > MOST:
        raise TooManyToPrint(most=MOST)
    run = runs.begin(KIND, actor=actor, total=len(ids))
    run.numbers = {"paper": paper, "what": PRINTED[what].code}
    waits = {"run_id": run.id, "state": ResultState.WAITING.value, "problem": None}
    write_rows(RunResult, [waits | {"position": at, "subject_id": id_} for at, id_ in enumerate(ids, start=1)])
    audit(f"{what}_printed", actor=actor, run=run.id, rows=run.total)
    return run


def printed_by(run: Run) -> Printed:
    """The kind of the documents that a run prints; runs of earlier versions printed packing slips."""
    return PRINTED.get(str(run.numbers.get("what", SLIPS)), PRINTED[SLIPS])


def open_file(run: Run, actor: Actor) -> Reader:
    """The run's file. Raises `NotFound` if the actor may not have it, and `SlipsOutdated` if one of its orders must
    not leave any more.
    """
    file = store.open_document(run, actor)
    printed = select(RunResult.subject_id).where(RunResult.run_id == run.id, RunResult.state == ResultState.DONE)
    for order_id, why in printed_by(run).refused_now(actor, list(db.session.scalars(printed))).items():
        file.close()
        [order] = orders_by_id([order_id], actor)
        raise SlipsOutdated(order=order.number or order.channel_order_number, why=why)
    return file


# --- In the worker ----------------------------------------------------------------------------------------------------


@job("now", timeout=600)
@runs.gives_up
def print_chunk(run_id: int, chunk: int) -> None:
    """Compose the documents of the next rows of a run, or draw all of them."""
    if chunk == 0 and _waits(runs.find_run(run_id)):
        print_chunk.enqueue_in(freshness.LOOK_AGAIN, run_id, chunk)
        return
    with unit_of_work():
        run = runs.take_chunk(run_id, chunk)
        if run is None:
            store.forget_parts(runs.find_run(run_id))
            return
        work = _Printing(run, starter_of(run))
    try:
        work.write_next()
        with unit_of_work():
            run = runs.take_chunk(run_id, chunk)
            if run is None:
                store.forget_parts(runs.find_run(run_id))
            else:
                work.keep(run)
    except DeskError as problem:
        if runs.passes(problem):
            raise
        with unit_of_work():
            if run := runs.take_chunk(run_id, chunk):
                runs.fail(run, problem)
                store.forget_parts(run)
    finally:
        work.discard()


runs.carried_by(KIND, print_chunk)


def _waits(run: Run) -> bool:
    """Whether the run waits for its orders to be read again."""
    chosen = select(RunResult.subject_id).where(RunResult.run_id == run.id)
    return printed_by(run).leaves and freshness.run_waits(run, list(db.session.scalars(chosen)))


class _Printing:
    """The work of one chunk. None of it counts before `keep`, called in the transaction that advances the run."""

    def __init__(self, run: Run, actor: Actor) -> None:
        self.run_id, self.actor, self.paper = run.id, actor, str(run.numbers.get("paper", ""))
        self.kind = printed_by(run)
        self._writer: Writer | None = None
        self._start: int | None = None  # the place of the composed part; None: everything was drawn
        self._part: list[int] = []  # the rows of the part
        self._orders: set[int] = set()  # their orders
        self._orders_with_documents: set[int] = set()  # those of them with documents in the part
        self._erased: set[int] = set()  # those of the orders whose buyers were erased before anything was read
        self._parts: list[VaultFile] = []  # the parts that were drawn
        self._refused: Mapping[int, DeskError] = {}  # refused by this chunk
        self._with_numbers: set[int] = set()  # rows whose documents have numbers in place of letters
        self._ids: list[int] = []
        self._part_deleted = False  # whether a part was deleted with its buyer during the drawing

    def write_next(self) -> None:
        """Compose the first missing part, or draw everything if none is missing."""
        ids = select(RunResult.subject_id).where(RunResult.run_id == self.run_id).order_by(RunResult.position)
        self._ids = list(db.session.scalars(ids))
        there = store.parts_of(self.run_id)
        for row in there.values():  # an erasing meanwhile may delete some of these rows
            db.session.expunge(row)
        self._parts = [there[start] for start in sorted(there)]
        missing = [start for start in range(0, len(self._ids), CHUNK) if start not in there]
        if missing:
            self._start = missing[0]
            self._part = self._ids[self._start : self._start + CHUNK]
            self._compose()
        else:
            self._draw()
        db.session.rollback()

    def keep(self, run: Run) -> None:
        """Make the chunk's work count, and write how each row ended."""
        if self._start is not None and self._writer is not None:
            self._keep_part(run, self._writer, self._start)
            runs.go_on(run)
        elif self._part_deleted:
            store.forget(self._parts)  # existing ones too: a file that is missing on the disk is written again
            runs.go_on(run)
        elif self._writer is None:
            self._note(run, self._refused)
            runs.fail(run, NothingToPrint())
            store.forget_parts(run)
        elif store.keep_whole(self._writer, run, self._parts):
            after_commit(self._forget_writer)
            self._note(run, self._refused)
            runs.finish(run)
        else:
            runs.go_on(run)

    def discard(self) -> None:
        """Delete what was not kept."""
        if self._writer is not None:
            self._writer.discard()

    def _keep_part(self, run: Run, writer: Writer, start: int) -> None:
        row = store.keep_part(writer, run, start, sorted(self._orders_with_documents))
        if vault.erased(sorted(self._orders)) != self._erased:  # a buyer was erased while the part was made
            store.forget([row])
            return
        after_commit(self._forget_writer)
        store.note_view(run, self.actor)
        outcomes: dict[int, DeskError | None] = dict.fromkeys(self._part)
        outcomes |= {row_id: LettersByNumber() for row_id in self._with_numbers}
        self._note(run, outcomes | dict(self._refused))
        run.done = min(run.total or 0, (len(self._parts) + 1) * CHUNK)

    def _note(self, run: Run, outcomes: Mapping[int, DeskError | None]) -> None:
        query = select(RunResult).where(RunResult.run_id == run.id, RunResult.subject_id.in_(outcomes))
        for result in db.session.scalars(query):
            problem = outcomes[result.subject_id]
            refused = problem is not None and not isinstance(problem, LettersByNumber)
            result.state = ResultState.REFUSED if refused else ResultState.DONE
            result.problem = problem.stored() if problem is not None else None
        db.session.flush()
        failed = select(RunResult.position).where(RunResult.run_id == run.id, RunResult.state == ResultState.REFUSED)
        run.failed = len(db.session.scalars(failed).all())

    def _compose(self) -> None:
        self._orders = set(self.kind.orders_of(self._part).values())
        self._erased = vault.erased(sorted(self._orders))
        found = self.kind.compose(self.actor, self._part, self.paper)
        self._refused = found.refused
        self._orders_with_documents = {one.order_id for one in found.documents}
        self._with_numbers = {one.row_id for one in found.documents if without_font(texts(one.document), Drawing.PDF)}
        self._writer = Writer()
        store.write_part(self._writer, [OfOrder(one.order_id, one.document) for one in found.documents])

    def _draw(self) -> None:
        self._refused = self.kind.refused_now(self.actor, self._ids)
        try:
            found = [one for row in self._parts for one in store.read_part(row)]
        except FileGone:
            self._part_deleted = True
            return
        documents = [one.document for one in found if one.order_id not in self._refused]
        if not documents:
            return
        logos = {one.face.logo for one in documents if one.face.logo}
        pictures = {logo: picture_of(logo, self.actor) for logo in logos}
        db.session.rollback()
        self._writer = Writer()
        pdf.draw(documents, self._writer, pictures.get)
        self._writer.close()

    def _forget_writer(self) -> None:
        self._writer = None
