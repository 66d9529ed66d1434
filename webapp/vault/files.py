"""Sealed files: data about buyers that is too large for a row is kept in the data directory, encrypted.

A file is written and read in chunks, so that it need not fit into memory and is never on the disk in plain text. Each
file has a key of its own, which its row holds wrapped by the week's key: a file without a row, such as a killed worker
leaves, can't be opened, and is deleted by `sweep`. A chunk is bound to its file, its position and whether it is the
last, so a file that was cut, reordered or exchanged does not open. The row names the orders that the file is about:
erasing a buyer destroys every file about that order, its key at once and its rows a batch at a time.
"""

import io
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Select, delete, or_, select, update

from webapp.clock import now
from webapp.config import configuration
from webapp.db import after_commit, among, any_row, db, write_rows
from webapp.errors import DeskError
from webapp.i18n import lazy_gettext as _l
from webapp.vault.key_file import decrypt, encrypt, key_file
from webapp.vault.models import VaultFile, VaultFileOrder

log = structlog.get_logger(__name__)
CHUNK = 64 * 1024
_TAG = 16
_ROWS = 2_000  # orders of a file that one transaction deletes
_ABANDONED = timedelta(hours=6)  # longer than any job takes to write a file


class FileGone(DeskError):
    """The file was deleted, by its date or with a buyer, or its key is gone."""

    code, status = "file_gone", 404
    sentence = _l(
        "This file was deleted. Files are kept for a day, and deleted earlier when a buyer in them is erased."
    )


class FileDamaged(DeskError):
    """The content of the file on the disk is not what was written."""

    code, status = "file_damaged", 500
    sentence = _l("This file is damaged. Export it again.")


def folder() -> Path:
    made = configuration().data_dir / "files"
    made.mkdir(mode=0o700, parents=True, exist_ok=True)
    return made


def _bound(name: str, position: int, *, last: bool) -> tuple[bytes, bytes]:
    """The nonce of a chunk, never used twice under a file's own key, and the data that the chunk is bound to."""
    return position.to_bytes(11, "big") + bytes([last]), f"file:{name}:{position}:{int(last)}".encode()


class Writer:
    """A file that is being written. It is valid once `keep` has given it a row; until then its key exists in memory
    only.
    """

    def __init__(self) -> None:
        self.name, self.size = secrets.token_hex(16), 0
        self._key = secrets.token_bytes(32)
        self._cipher = AESGCM(self._key)
        self._buffer, self._position = bytearray(), 0
        self.path = folder() / self.name
        self._file = os.fdopen(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")

    def write(self, data: bytes | bytearray | memoryview) -> int:
        self._buffer += data
        self.size += len(data)
        done = 0
        while len(self._buffer) - done > CHUNK:  # only `close` can tell that a chunk is the last
            self._put(bytes(self._buffer[done : done + CHUNK]), last=False)
            done += CHUNK
        del self._buffer[:done]
        return len(data)

    def flush(self) -> None:
        """Nothing to do: a chunk is written once it is full."""

    def close(self) -> None:
        """Seal the last chunk. The file is on the disk when this returns."""
        if self._file.closed:
            return
        self._put(bytes(self._buffer), last=True)
        self._buffer.clear()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Delete the unfinished file, also from a full disk."""
        self.path.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()

    def _put(self, plain: bytes, *, last: bool) -> None:
        nonce, context = _bound(self.name, self._position, last=last)
        self._file.write(self._cipher.encrypt(nonce, plain, context))
        self._position += 1

    def keep(
        self, kind: str, subject_id: int, position: int, *, expires_at: datetime, order_ids: Iterable[int] = ()
    ) -> VaultFile:
        """Add the row of the closed file in the open unit of work, with the orders that the file is about. On
        PostgreSQL this waits for a transaction that erases one of them: afterwards ask which are `erased`.
        """
        period, key = key_file().current()
        row = VaultFile(
            name=self.name,
            kind=kind,
            subject_id=subject_id,
            position=position,
            period=period,
            wrapped=encrypt(key, self._key, f"file:{self.name}"),
            size=self.size,
            expires_at=expires_at,
        )
        db.session.add(row)
        db.session.flush()
        write_rows(VaultFileOrder, [{"file_id": row.id, "order_id": order_id} for order_id in order_ids])
        return row


@contextmanager
def writing() -> Iterator[Writer]:
    """A file to write; closed at the end, or deleted if writing it fails."""
    made = Writer()
    try:
        yield made
        made.close()
    except BaseException:
        made.discard()
        raise


class Reader(io.RawIOBase):
    """The content of a sealed file, a chunk at a time. Raises `FileDamaged` if it is not what was written."""

    def __init__(self, name: str, key: bytes, file: BinaryIO, size: int) -> None:
        super().__init__()
        self.size = size
        self._name, self._cipher, self._file = name, AESGCM(key), file
        self._position, self._read, self._ended = 0, b"", False
        self._ahead = file.read(CHUNK + _TAG)
        self._next()  # damage at the start is found before anything is sent

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._read and not self._ended:
            self._next()
        count = min(len(buffer), len(self._read))
        buffer[:count] = self._read[:count]
        self._read = self._read[count:]
        return count

    def chunks(self) -> Iterator[bytes]:
        """The whole content, in chunks."""
        with self:
            while piece := self.read(CHUNK):
                yield piece

    def close(self) -> None:
        self._file.close()
        super().close()

    def _next(self) -> None:
        sealed, self._ahead = self._ahead, self._file.read(CHUNK + _TAG)
        self._ended = not self._ahead
        nonce, context = _bound(self._name, self._position, last=self._ended)
        try:
            self._read = self._cipher.decrypt(nonce, sealed, context)
        except (InvalidTag, ValueError):
            raise FileDamaged from None
        self._position += 1


def read(row: VaultFile) -> Reader:
    """The content of a file. Raises `FileGone` or `FileDamaged`."""
    try:
        key = decrypt(key_file().key(row.period) or b"", row.wrapped, f"file:{row.name}")
        file = (folder() / row.name).open("rb")
    except (InvalidTag, ValueError, FileNotFoundError):
        raise FileGone from None
    try:
        return Reader(row.name, key, file, row.size)
    except FileDamaged:
        file.close()
        raise


def named(name: str) -> VaultFile | None:
    """The file with this name; None if it is gone."""
    row = db.session.scalar(select(VaultFile).where(VaultFile.name == name, VaultFile.expires_at > now()))
    return row if row is not None and (folder() / row.name).is_file() else None


def files_of(kind: str, subject_id: int) -> list[VaultFile]:
    """The files of a subject by their positions, without the parts of a whole and without forgotten files."""
    query = select(VaultFile).where(VaultFile.kind == kind, VaultFile.subject_id == subject_id, VaultFile.period != "")
    return list(db.session.scalars(query.where(VaultFile.whole_id.is_(None)).order_by(VaultFile.position)))


def orders_of(row: VaultFile) -> Select[int]:
    """The ids of the orders that a file and its parts are about."""
    query = select(VaultFileOrder.order_id).join(VaultFile, VaultFile.id == VaultFileOrder.file_id)
    return query.where(or_(VaultFile.id == row.id, VaultFile.whole_id == row.id))


def became(whole: VaultFile, part_names: Sequence[str]) -> bool:
    """Assign the orders of the parts to the whole file, and delete the contents of the parts. Returns False if a
    part is gone: then the whole file must be deleted.
    """
    parts = db.session.execute(
        update(VaultFile)
        .where(VaultFile.name.in_(part_names), VaultFile.period != "")  # SQLite reuses the ids of deleted rows
        .values(whole_id=whole.id, period="", wrapped=b"", expires_at=whole.expires_at)
        .returning(VaultFile.name)
    )
    there = list(parts.scalars())
    _unlink(there)
    return len(there) == len(part_names)


def forget(ids: Sequence[int]) -> None:
    """Delete the contents of files and their parts in the open unit of work: without their keys they can't be
    opened, also if deleting them from the disk fails. Their rows, one for each order, are deleted later
    (`delete_forgotten`).
    """
    if ids:
        gone = update(VaultFile).where(or_(VaultFile.id.in_(ids), VaultFile.whole_id.in_(ids)))
        gone = gone.values(period="", wrapped=b"", expires_at=now())
        _unlink(db.session.scalars(gone.returning(VaultFile.name)))


def forget_about(order_ids: Sequence[int]) -> None:
    """Delete every file about one of these orders. The caller holds their locks."""
    query = select(VaultFileOrder.file_id).where(among(VaultFileOrder.order_id, order_ids)).distinct()
    concerned = list(db.session.scalars(query))
    if not concerned:
        return
    # Locked, so that a part that is just becoming a whole is seen with it.
    rows = select(VaultFile.id, VaultFile.whole_id).where(VaultFile.id.in_(concerned)).with_for_update()
    forget([file_id for row in db.session.execute(rows) for file_id in row if file_id is not None])


def forget_expired() -> None:
    """Delete the contents of files that are past their date."""
    forget(db.session.scalars(select(VaultFile.id).where(VaultFile.expires_at <= now(), VaultFile.period != "")).all())


def delete_forgotten() -> bool:
    """Delete a batch of rows of a forgotten file in the open unit of work; returns whether more may be left. The
    batch is small, so that other writers don't wait for long.
    """
    parts_first = select(VaultFile.id).order_by(VaultFile.whole_id.is_(None), VaultFile.id)
    file_id = db.session.scalar(parts_first.where(VaultFile.expires_at <= now()).limit(1))
    if file_id is None:
        return False
    of_file = VaultFileOrder.file_id == file_id
    orders = db.session.scalars(select(VaultFileOrder.order_id).where(of_file).limit(_ROWS)).all()
    db.session.execute(delete(VaultFileOrder).where(of_file, among(VaultFileOrder.order_id, orders)))
    if len(orders) < _ROWS:
        db.session.execute(delete(VaultFile).where(VaultFile.id == file_id))
    return True


def any_to_forget() -> bool:
    """Whether a file is past its date, or a file without a row is on the disk."""
    return any_row(VaultFile, VaultFile.expires_at <= now()) or bool(_abandoned()) or _plain_exports().exists()


def sweep() -> None:
    """Delete the files without a row that killed workers left, and the unsealed exports of earlier versions."""
    _unlink(_abandoned())
    after_commit(_delete_plain_exports)


def _plain_exports() -> Path:
    """The folder of unsealed exports of versions up to schema 0007."""
    return configuration().data_dir / "exports"


def _delete_plain_exports() -> None:
    if (plain := _plain_exports()).exists():
        shutil.rmtree(plain, ignore_errors=True)
        if plain.exists():
            log.error("plain_exports_not_deleted", folder=str(plain))


def _abandoned() -> list[str]:
    before = (now() - _ABANDONED).timestamp()
    old = [path.name for path in folder().iterdir() if path.is_file() and path.stat().st_mtime < before]
    kept = set(db.session.scalars(select(VaultFile.name))) if old else set()
    return [name for name in old if name not in kept]


def _unlink(names: Iterable[str]) -> None:
    paths = [folder() / name for name in names]

    def unlink() -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    after_commit(unlink)
