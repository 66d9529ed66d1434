"""Sealed files: never in plain text, no change unnoticed, gone with their row."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select
from structlog.testing import capture_logs

from webapp.clock import now
from webapp.config import ROOT, configuration
from webapp.db import db, unit_of_work
from webapp.orders.models import Order
from webapp.vault import files
from webapp.vault.files import CHUNK, FileDamaged, FileGone, Reader, Writer, read, writing
from webapp.vault.jobs import forget_files
from webapp.vault.key_file import key_file
from webapp.vault.models import VaultFile, VaultFileOrder
from webapp.vault.services import erase

SEALED = CHUNK + 16
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory without a desk."""
    monkeypatch.setenv("WAYBILL_DATA_DIR", str(tmp_path))
    configuration.cache_clear()
    yield tmp_path / "files"
    configuration.cache_clear()


def written(content: bytes, piece: int = 50_000) -> Writer:
    with writing() as made:
        for start in range(0, len(content), piece):
            made.write(content[start : start + piece])
    return made


def opened(writer: Writer, name: str = "") -> bytes:
    reader = Reader(name or writer.name, writer._key, writer.path.open("rb"), writer.size)
    return b"".join(reader.chunks())


def content_of(size: int) -> bytes:
    return (b"Jane Quixelworth, 7 Zanzibar Mews; " * (size // 35 + 1))[:size]


@pytest.mark.parametrize("size", SIZES)
def test_what_was_written_is_read_and_lies_nowhere_in_plain(folder: Path, size: int) -> None:
    content = content_of(size)
    made = written(content)
    assert opened(made) == content
    assert (made.size, stat.S_IMODE(made.path.stat().st_mode)) == (size, 0o600)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert b"Quixelworth" not in made.path.read_bytes()


def cut_at_a_chunk(sealed: bytes) -> bytes:
    return sealed[: -(len(sealed) % SEALED or SEALED)]


def cut_anywhere(sealed: bytes) -> bytes:
    return sealed[:-1]


def turned_round(sealed: bytes) -> bytes:
    return sealed[SEALED : 2 * SEALED] + sealed[:SEALED] + sealed[2 * SEALED :]


def with_one_twice(sealed: bytes) -> bytes:
    return sealed[:SEALED] + sealed


def with_more_behind(sealed: bytes) -> bytes:
    return sealed + sealed[-16:]


def with_a_bit_turned(sealed: bytes) -> bytes:
    place = len(sealed) // 2
    return sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]


def empty(sealed: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("size", [2 * CHUNK, 3 * CHUNK + 7])
@pytest.mark.parametrize(
    "change", [cut_at_a_chunk, cut_anywhere, turned_round, with_one_twice, with_more_behind, with_a_bit_turned, empty]
)
def test_a_file_that_was_changed_does_not_pass(folder: Path, change: Callable[[bytes], bytes], size: int) -> None:
    made = written(content_of(size))
    made.path.write_bytes(change(made.path.read_bytes()))
    with pytest.raises(FileDamaged):
        opened(made)


def test_a_file_in_the_place_of_another_does_not_pass(folder: Path) -> None:
    one, other = written(b"one"), written(b"other")
    one.path.write_bytes(other.path.read_bytes())
    with pytest.raises(FileDamaged):
        opened(one)
    other._key = one._key  # nor under its own key, where it bears another name
    with pytest.raises(FileDamaged):
        opened(written(b"x"), name=one.name)


def test_what_is_not_read_to_its_end_is_closed(folder: Path) -> None:
    made = written(content_of(3 * CHUNK))
    reader = Reader(made.name, made._key, file := made.path.open("rb"), made.size)
    pieces = reader.chunks()
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert file.closed


def test_what_failed_while_it_was_written_is_taken_away(folder: Path) -> None:
    with pytest.raises(TypeError), writing() as made:
        made.write("no bytes")  # type: ignore[arg-type]
    assert list(folder.iterdir()) == []


def test_a_disk_that_is_full_keeps_nothing_of_it(folder: Path) -> None:
    def write() -> None:
        with writing() as made:
            made._file.close()
            made._file = open("/dev/full", "wb")  # noqa: SIM115 - it is the writer's to close

    with pytest.raises(OSError, match="No space left"):
        write()
    assert list(folder.iterdir()) == []


def test_a_worker_killed_while_it_writes_leaves_nothing_readable(folder: Path) -> None:
    script = (
        "import os, signal; from webapp.vault.files import Writer; made = Writer(); "
        f"made.write(b'Jane Quixelworth ' * {CHUNK}); made._file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert told.returncode == -signal.SIGKILL
    [left] = folder.iterdir()
    assert left.stat().st_size > CHUNK
    assert b"Quixelworth" not in left.read_bytes()


# --- With their rows --------------------------------------------------------------------------------------------------


def kept(content: bytes, *orders: Order, hours: float = 24) -> int:
    made, ids = written(content), [order.id for order in orders]
    with unit_of_work():
        return made.keep("test", 1, 0, expires_at=now() + timedelta(hours=hours), order_ids=ids).id


def test_a_file_is_read_by_its_row_and_never_again_once_a_buyer_in_it_is_erased(
    make_order: Callable[..., Order],
) -> None:
    one, other = make_order(), make_order()
    erased, stays = kept(b"of both", one, other), kept(b"of one alone", other)
    row = db.session.get_one(VaultFile, erased)
    assert read(row).read() == b"of both"
    copy = {name: getattr(row, name) for name in ("name", "period", "wrapped", "size")}
    path = files.folder() / row.name
    assert row.name not in str(row.wrapped)
    with unit_of_work():
        erase([one.id])
    assert not path.exists()
    assert [row.id for row in files.files_of("test", 1)] == [stays]
    forget_files()
    assert db.session.scalars(select(VaultFile.id)).all() == [stays]
    assert db.session.scalars(select(VaultFileOrder.file_id).distinct()).all() == [stays]
    with pytest.raises(FileGone):
        read(VaultFile(**copy))


def test_the_orders_of_a_forgotten_file_are_deleted_some_at_a_time(
    make_order: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_ROWS", 2)
    orders = [make_order() for _ in range(3)]
    parts, whole = [kept(b"part", *orders), kept(b"part", orders[0])], kept(b"all of it")
    with unit_of_work():
        names = [db.session.get_one(VaultFile, part).name for part in parts]
        assert files.became(db.session.get_one(VaultFile, whole), names)
    with unit_of_work():
        erase([orders[0].id])
    left = select(VaultFile.id, VaultFile.period, VaultFile.wrapped).order_by(VaultFile.id)
    assert db.session.execute(left).all() == [(file_id, "", b"") for file_id in (*parts, whole)]
    assert list(files.folder().iterdir()) == []
    with unit_of_work():
        assert not files.became(db.session.get_one(VaultFile, whole), names)  # what is forgotten makes no whole
    seen = []
    while True:
        seen.append([db.session.scalar(select(func.count()).select_from(of)) for of in (VaultFileOrder, VaultFile)])
        with unit_of_work():
            if not files.delete_forgotten():
                break
    assert seen == [[4, 3], [2, 3], [1, 2], [0, 1], [0, 0]]


def test_a_file_past_its_date_and_one_without_a_row_are_swept_away(make_order: Callable[..., Order]) -> None:
    order = make_order()
    stays, goes = kept(b"long", order, hours=48), kept(b"short", order, hours=1)
    abandoned = written(b"of a killed worker").path
    name = db.session.get_one(VaultFile, stays).name
    assert files.named(db.session.get_one(VaultFile, goes).name) is not None
    forget_files()
    assert abandoned.exists()  # its worker may be writing yet
    with time_machine.travel(now() + timedelta(hours=7)):
        assert files.named(db.session.get_one(VaultFile, goes).name) is None
        forget_files()
    assert [path.name for path in files.folder().iterdir()] == [name]


def test_what_was_exported_in_plain_by_an_earlier_version_is_deleted(app: Flask) -> None:
    plain = configuration().data_dir / "exports"
    plain.mkdir()
    (plain / "1.csv").write_text("Jane Quixelworth")
    assert files.any_to_forget()  # so that the clock begins to delete
    forget_files()
    assert not plain.exists()
    assert not files.any_to_forget()


def test_plain_exports_that_can_not_be_deleted_keep_back_nothing_and_are_told(
    make_order: Callable[..., Order], tmp_path: Path
) -> None:
    plain = configuration().data_dir / "exports"
    plain.write_text("no folder")
    goes = db.session.get_one(VaultFile, kept(b"gone", make_order()))
    path = files.folder() / goes.name
    try:
        with capture_logs() as said, time_machine.travel(now() + timedelta(days=2)):
            forget_files()
    finally:
        plain.unlink()
    assert not path.exists()
    assert [line["event"] for line in said] == ["plain_exports_not_deleted"]


def test_a_file_whose_weeks_key_is_destroyed_is_gone(make_order: Callable[..., Order]) -> None:
    row = db.session.get_one(VaultFile, kept(b"once", make_order()))
    key_file().destroy(row.period)
    with pytest.raises(FileGone):
        read(row)
