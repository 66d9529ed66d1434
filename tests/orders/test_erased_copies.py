"""What a copy of the desk opens once a buyer was erased, and how long a week's key is kept."""

import base64
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import LargeBinary, delete, select

from tests.orders.conftest import Take, Work, days_later, erase_all, names_of, shipped
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.channels.incoming import ChannelStage, IncomingOrder
from webapp.channels.models import Store
from webapp.clock import now
from webapp.config import configuration
from webapp.db import Model, db, empty_log, unit_of_work
from webapp.lists.export_runs import CSV, start_export
from webapp.lists.models import Export, SavedView
from webapp.lists.saved_views import save_view
from webapp.mail.imap import Listed
from webapp.mail.reading import read_mail
from webapp.messaging.models import ReceivedMail
from webapp.messaging.receiving import take_in
from webapp.orders.bulk import start_bulk
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import BulkAct, Order
from webapp.orders.services import find_action, read_input
from webapp.search.contract import ORDERS
from webapp.search.models import SealedQuery
from webapp.search.query import keep, parse
from webapp.sync.models import QuarantinedOrder
from webapp.sync.taking_in.quarantine import quarantine
from webapp.testing import again, incoming_line, incoming_order
from webapp.vault import files, periods
from webapp.vault.files import FileDamaged, Reader
from webapp.vault.jobs import destroy_unused_keys
from webapp.vault.key_file import KeyFile, KeyProblem, decrypt, key_file, period_of
from webapp.vault.models import PeriodName, VaultFile, VaultKey
from webapp.vault.services import BUYER

NAME = "Jane Quixelworth"
CONTENT = f"{NAME}, 7 Zanzibar Mews; ".encode() * 5_000


# --- Copies -----------------------------------------------------------------------------------------------------------


class Copy:
    """A copy of the database and of the sealed files, read with a copy of the key file."""

    def __init__(self, database: str, folder: Path) -> None:
        self.folder = folder
        db.session.rollback()
        if database.startswith("sqlite"):
            folder.mkdir()
            for file in Path(database.removeprefix("sqlite:///")).parent.glob("desk.db*"):
                shutil.copy(file, folder / file.name)
            self.bytes = b"".join(file.read_bytes() for file in folder.iterdir())  # including free pages and log
            self.rows = self._read_lite(folder / "desk.db")
        else:
            self.rows = {
                table.name: [dict(row) for row in db.session.execute(select(table)).mappings()]
                for table in db.metadata.sorted_tables
                if any(isinstance(column.type, LargeBinary | PeriodName) for column in table.columns)
            }
            self.bytes = b"".join(
                bytes(value)
                for rows in self.rows.values()
                for row in rows
                for value in row.values()
                if isinstance(value, bytes | memoryview)
            )
            db.session.rollback()
        self.files = Path(shutil.copytree(files.folder(), folder / "files"))

    def _read_lite(self, path: Path) -> dict[str, list[dict[str, Any]]]:
        connection = sqlite3.connect(path)
        connection.row_factory = sqlite3.Row
        try:
            return {
                name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]
                for name in ("vault_keys", "vault_records", "vault_files", "bulk_acts")
            }
        finally:
            connection.close()

    def buyers(self, keys: Path) -> set[int]:
        """The orders whose buyers can be read."""
        own = {
            row["order_id"]: opened(keys, row["period"], row["wrapped"], f"key:{row['order_id']}")
            for row in self.rows["vault_keys"]
        }
        found = set()
        for row in self.rows["vault_records"]:
            if row["kind"] == BUYER and (key := own.get(row["order_id"])):
                assert decrypt(key, row["body"], f"{BUYER}:{row['order_id']}")
                found.add(row["order_id"])
        return found

    def typed(self, keys: Path) -> bytes:
        """The input of bulk acts."""
        rows = self.rows["bulk_acts"]
        return b"".join(opened(keys, row["period"], row["sealed"], f"bulk:{row['period']}") for row in rows)

    def written(self, keys: Path) -> bytes:
        """The contents of the sealed files."""
        content = b""
        for row in self.rows["vault_files"]:
            if key := opened(keys, row["period"], row["wrapped"], f"file:{row['name']}"):
                reader = Reader(row["name"], key, (self.files / row["name"]).open("rb"), row["size"])
                content += b"".join(reader.chunks())
        return content


def opened(keys: Path, period: str, sealed: bytes, context: str) -> bytes:
    """What a week's key opens; empty if this copy of the key file lacks it."""
    key = KeyFile(keys, configuration().secret_value()).key(period)
    return decrypt(key, sealed, context) if key and sealed else b""


@pytest.fixture
def sealed_file() -> Callable[..., str]:
    """Write a sealed file about orders; returns its name."""

    def write(*order_ids: int) -> str:
        with files.writing() as made:
            made.write(CONTENT)
        with unit_of_work():
            made.keep("test", 1, 0, expires_at=now() + timedelta(days=1), order_ids=order_ids)
        return made.name

    return write


def begin_comments(ids: list[int], actor: Actor) -> None:
    data = read_input(find_action("comment"), {"text": f"{NAME} rang"})
    with unit_of_work():
        start_bulk("comment", data, actor=actor, ids=ids)


def test_each_copy_opens_what_security_says(
    take: Take, database: str, tmp_path: Path, work: Work, mia: Actor, sealed_file: Callable[..., str]
) -> None:
    """The table of SECURITY.md, *What a copy opens*, row by row."""
    told = incoming_order()
    take(told)
    gone = take(shipped(told))[0].id
    with days_later(14):
        other = take(incoming_order())[0].id
    with days_later(39):
        begin_comments([gone], mia)
        work()
        sealed_file(gone)
        before = Copy(database, tmp_path / "before")
        today, old = key_file().path, Path(shutil.copy(key_file().path, tmp_path / "old-keys.json"))
    [wrapped] = [row["wrapped"] for row in before.rows["vault_keys"] if row["order_id"] == gone]
    assert wrapped in before.bytes
    with days_later(40):
        erase_all(work)
        after = Copy(database, tmp_path / "after")
        # An earlier copy of the database: while the week's key still exists, it opens.
        assert before.buyers(today) == before.buyers(old) == {gone, other}
        assert before.written(today) == CONTENT
        # A later copy: everything except the buyer, and the input of bulk acts for a while.
        assert after.buyers(today) == after.buyers(old) == {other}
        assert wrapped not in after.bytes
        assert after.written(today) == after.written(old) == b""
        assert NAME.encode() in after.typed(today)

        destroy_unused_keys()
        assert before.buyers(today) == after.buyers(today) == {other}
        assert before.buyers(old) == {gone, other}  # so it must not be kept for long
        assert after.buyers(old) == {other}


def test_sealed_files_without_the_database_do_not_open(
    take: Take, database: str, tmp_path: Path, sealed_file: Callable[..., str]
) -> None:
    """SECURITY.md, *What a copy opens*: the sealed files, without the database."""
    name = sealed_file(take(incoming_order())[0].id)
    copy = Copy(database, tmp_path / "copy")
    assert copy.written(key_file().path) == CONTENT  # with the database
    assert NAME.encode() not in (copy.files / name).read_bytes()
    _, key = key_file().current()
    with (copy.files / name).open("rb") as file, pytest.raises(FileDamaged):
        Reader(name, key, file, len(CONTENT))


def test_the_key_file_without_the_secret_opens_nothing(app: Flask, tmp_path: Path) -> None:
    """SECURITY.md, *What a copy opens*: the key file, without `WAYBILL_SECRET`."""
    week, key = key_file().current()
    copy = Path(shutil.copy(key_file().path, tmp_path / "copied-keys.json"))
    assert KeyFile(copy, configuration().secret_value()).key(week) == key
    assert base64.b64encode(key) not in copy.read_bytes()
    for secret in ("", "another secret"):
        with pytest.raises(KeyProblem, match="another WAYBILL_SECRET"):
            KeyFile(copy, secret).key(week)


# --- Weeks' keys ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Desk:
    """A desk with an order that arrived in an earlier week."""

    store: Store
    order_id: int
    take: Take
    manager: Actor
    sealed_file: Callable[..., str]


def seal_view(desk: Desk) -> None:
    with unit_of_work():
        save_view("Hers", parse("Quixelworth"), actor=desk.manager)


def seal_search(desk: Desk) -> None:
    with unit_of_work():
        keep(parse("Quixelworth"), desk.manager)


def seal_quarantined(desk: Desk) -> None:
    with unit_of_work():
        quarantine(desk.store.id, [("302-1", "total", "missing", {"buyer": NAME})])


def seal_export(desk: Desk) -> None:
    with unit_of_work():
        start_export(
            ORDER_LIST, actor=desk.manager, format=CSV, rows=ORDERS, codes=[], total=1, query=parse("Quixelworth")
        )


def receive(desk: Desk) -> None:
    raw = f"From: {NAME} <jane@quixelworth.example>\nSubject: Hello\n\nWho are you?\n".encode()
    take_in(None, read_mail(raw), Listed(1, len(raw), now()))  # type: ignore[arg-type]  # it fits no order


KINDS: dict[type[Model], Callable[[Desk], object]] = {
    VaultKey: lambda desk: desk.take(incoming_order()),
    VaultFile: lambda desk: desk.sealed_file(desk.order_id),
    BulkAct: lambda desk: begin_comments([desk.order_id], desk.manager),
    Export: seal_export,
    SealedQuery: seal_search,
    SavedView: seal_view,
    QuarantinedOrder: seal_quarantined,
    ReceivedMail: receive,
}


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.__tablename__)
def test_a_weeks_key_is_kept_while_anything_is_sealed_under_it(
    take: Take, store: Store, make_user: Callable[..., Actor], sealed_file: Callable[..., str], model: type[Model]
) -> None:
    """Each kind of sealed value, when it is the only one of its week."""
    desk = Desk(store, take(incoming_order())[0].id, take, make_user("manager", "Max"), sealed_file)
    with days_later(14):
        week = period_of(now())
        KINDS[model](desk)
        with unit_of_work():
            periods.note([week])  # sealed by something else of the week that was erased since
    with days_later(30):
        destroy_unused_keys()
        assert key_file().key(week) is not None
        with unit_of_work():
            db.session.execute(delete(model).where(model.__table__.c.period == week))
        destroy_unused_keys()
        assert key_file().is_destroyed(week)
        destroyed = db.session.scalars(select(AuditEntry).where(AuditEntry.code == "week_key_destroyed"))
        assert [entry.data["period"] for entry in destroyed] == [week]


def test_every_kind_that_is_sealed_under_a_weeks_key_is_tried_above() -> None:
    tables = {
        name
        for name, table in db.metadata.tables.items()
        if any(isinstance(column.type, PeriodName) for column in table.columns)
    }
    assert tables == {model.__tablename__ for model in KINDS}


def test_an_open_order_keeps_its_weeks_key(take: Take, store: Store, work: Work) -> None:
    told = incoming_order()
    first, open_one = take(told, incoming_order())
    take(shipped(told))
    week, open_id, first_id = period_of(now()), open_one.id, first.id
    with unit_of_work():
        quarantine(store.id, [("302-1", "total", "missing", {"buyer": "Jane Quixelworth"})])
    destroy_unused_keys()
    with days_later(36.5):
        erase_all(work)
        destroy_unused_keys()
        assert key_file().key(week) is not None  # of the open order
        assert names_of([first_id, open_id]) == {open_id}
        take(again(told_of(open_id), stage=ChannelStage.CANCELED, status="CANCELLED"))
    with days_later(80):
        erase_all(work)
        assert names_of([open_id]) == set()
        destroy_unused_keys()
        assert key_file().is_destroyed(week)
        destroyed = db.session.scalars(select(AuditEntry).where(AuditEntry.code == "week_key_destroyed")).all()
        assert week in {entry.data["period"] for entry in destroyed}


def told_of(order_id: int) -> IncomingOrder:
    order = db.session.get_one(Order, order_id)
    [line] = order.lines
    return incoming_order(
        [incoming_line("MUG", number=line.channel_line_number)],
        number=order.channel_order_number,
        created_at=order.placed_at,
    )


def test_another_databases_keys_are_left_alone(app: Flask) -> None:
    """A desk that was started with an empty database and the key file of a full one."""
    week, _ = key_file().current()
    with days_later(30):
        destroy_unused_keys()
        assert key_file().key(week) is not None


def test_which_weeks_are_needed_is_read_while_others_may_write(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    read, seen = periods.in_use, list[bool]()

    def look() -> set[str]:
        seen.append(bool(db.session().info.get("writing")))
        return read()

    monkeypatch.setattr(periods, "in_use", look)
    destroy_unused_keys()
    assert seen == [False]


def test_a_key_that_an_older_copy_of_the_file_brings_back_is_destroyed_again(
    take: Take, work: Work, tmp_path: Path
) -> None:
    told = incoming_order()
    take(told)
    take(shipped(told))
    week = period_of(now())
    destroy_unused_keys()
    old = shutil.copy(key_file().path, tmp_path / "old.json")
    with days_later(60):
        erase_all(work)
        destroy_unused_keys()
        assert key_file().is_destroyed(week)
        shutil.copy(old, key_file().path)
        assert key_file().key(week) is not None
        destroy_unused_keys()
        assert key_file().is_destroyed(week)


def test_the_log_is_emptied_or_left_to_the_next_time(take: Take, database: str) -> None:
    if not database.startswith("sqlite"):
        assert empty_log()
        return
    take(incoming_order())
    db.session.rollback()
    path = database.removeprefix("sqlite:///")
    reader = sqlite3.connect(path, isolation_level=None)
    try:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM orders").fetchone()
        take(incoming_order())
        db.session.rollback()
        assert not empty_log()
    finally:
        reader.close()
    assert empty_log()
    assert Path(f"{path}-wal").stat().st_size == 0
