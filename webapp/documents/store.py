"""The document store: documents as files in the vault, made by runs and opened by the people who started the runs.

A file is sealed below the data directory and names the orders that are in it, so that it is deleted when one of their
buyers is erased, and otherwise by its date. While a run makes a file, its composed documents are kept as parts, sealed
in the same way; the whole file replaces them. This module decides which file belongs to a run and who may have it; what
is in the file is decided by the code that makes it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cache

from pydantic import TypeAdapter

from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.documents.composed import Document
from webapp.errors import NotFound
from webapp.jobs.models import Run, RunState
from webapp.lists.subjects import sees_all
from webapp.vault import files
from webapp.vault.files import Reader, Writer
from webapp.vault.models import VaultFile

KEPT = timedelta(days=1)
_WHOLE, _PART = "document", "document_part"  # kinds of files
_WITH_BUYERS = "with_buyers"  # among a run's numbers: whether its author could see buyers when a part was composed


@dataclass(frozen=True, slots=True)
class OfOrder:
    """A document, and the order to which it belongs."""

    order_id: int
    document: Document


def note_view(run: Run, actor: Actor) -> None:
    """Record in a run that a part of its file shows what this actor may see, since rights change while it goes on."""
    run.numbers = run.numbers | {_WITH_BUYERS: bool(run.numbers.get(_WITH_BUYERS)) or actor.may("buyers.see")}


def write_part(writer: Writer, documents: Sequence[OfOrder]) -> None:
    """Write composed documents into the file of a part. Half a character, which no file can hold, becomes a "?"."""
    text = json.dumps([asdict(one) for one in documents], ensure_ascii=False)
    writer.write(text.encode(errors="replace"))
    writer.close()


def read_part(row: VaultFile) -> list[OfOrder]:
    """The documents of a part. Raises `FileGone` if one of their buyers was erased."""
    return _documents().validate_json(b"".join(files.read(row).chunks()))


def keep_part(writer: Writer, run: Run, place: int, order_ids: Sequence[int]) -> VaultFile:
    """Make a written part count, in the unit of work that advances the run."""
    return writer.keep(_PART, run.id, place, expires_at=now() + KEPT, order_ids=order_ids)


def forget(rows: Sequence[VaultFile]) -> None:
    """Delete files, in the unit of work that kept them."""
    files.forget([row.id for row in rows])


def parts_of(run_id: int) -> dict[int, VaultFile]:
    """The parts of a run by their places."""
    return {row.position: row for row in files.files_of(_PART, run_id)}


def keep_whole(writer: Writer, run: Run, parts: Sequence[VaultFile]) -> bool:
    """Make the file that was drawn from these parts count. False if one of the parts was deleted with a buyer
    meanwhile; then the file is not kept.
    """
    whole = writer.keep(_WHOLE, run.id, 0, expires_at=now() + KEPT)
    if files.became(whole, [row.name for row in parts]):
        return True
    files.forget([whole.id])
    return False


def forget_parts(run: Run) -> None:
    """Delete the parts of a run that has ended; a finished file stays."""
    if not run.is_open:
        files.forget([row.id for row in files.files_of(_PART, run.id)])


def can_fetch(run: Run, actor: Actor) -> bool:
    """Whether the run's file exists and this person may have it: they started the run, may still see all its orders,
    and may see buyers if the file shows any.
    """
    own = (run.actor_kind, run.actor_id) == (actor.kind, actor.id)
    if not own or run.state != RunState.DONE or not actor.may("orders.view"):
        return False
    if run.numbers.get(_WITH_BUYERS) and not actor.may("buyers.see"):
        return False
    row = _whole_of(run)
    return row is not None and sees_all(files.orders_of(row), actor)


def open_document(run: Run, actor: Actor) -> Reader:
    """The content of the run's file. Raises `NotFound` if the actor may not have it, or if it was deleted."""
    row = _whole_of(run)
    if row is None or not can_fetch(run, actor):
        raise NotFound(name=run.id)
    return files.read(row)


def _whole_of(run: Run) -> VaultFile | None:
    return next((found for row in files.files_of(_WHOLE, run.id) if (found := files.named(row.name))), None)


@cache
def _documents() -> TypeAdapter[list[OfOrder]]:
    return TypeAdapter(list[OfOrder])
