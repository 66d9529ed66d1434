"""Buyer data is sealed: in no file as plain text, opened by right and recorded, gone with its key."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine
from cryptography.exceptions import InvalidTag
from flask import Flask
from sqlalchemy import select, text

from webapp import live
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.audit.services import write_readings
from webapp.config import ROOT
from webapp.db import db, table_of, unit_of_work
from webapp.errors import Forbidden
from webapp.orders.models import Order, OrderComment
from webapp.orders.queries import find_order
from webapp.orders.services import comment
from webapp.testing import JANE, again as told_again, incoming_order
from webapp.vault.key_file import KeyFile, KeyProblem, decrypt, encrypt, key_file, period_of
from webapp.vault.models import VaultKey, VaultRecord
from webapp.vault.services import BUYER, RAW, erase, open_sealed, reveal, seal

MakeOrder = Callable[..., Order]
PLAIN = ("Quixelworth", "quixelworth", "Zanzibar", "5550199", "ZQ7 4WX", "Vrombaut")


def name_in(revealed: dict[int, object], order_id: int) -> object:
    return revealed[order_id]["name"]  # type: ignore[index]


def files_of(database: str) -> list[Path]:
    """SQLite's file with its log."""
    path = Path(database.removeprefix("sqlite:///"))
    return list(path.parent.glob(path.name + "*"))


def everything_in_the_database(database: str) -> bytes:
    """The bytes of the SQLite file with its log, or every row of every PostgreSQL table as text."""
    if database.startswith("sqlite"):
        db.session.commit()
        return b"".join(path.read_bytes() for path in files_of(database))
    tables = db.session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
    rows = [db.session.scalars(text(f'SELECT t::text FROM "{name}" t')).all() for name in tables]
    return repr(rows).encode() + bytes.fromhex("".join(_hex_runs(repr(rows))))


def _hex_runs(rows: str) -> list[str]:
    """Bytes that PostgreSQL shows as hexadecimal, so that plain text in them is found too."""
    runs = [run.split('"')[0].split(",")[0].split(")")[0].split("'")[0] for run in rows.split("\\\\x")[1:]]
    return [run for run in runs if run and all(char in "0123456789abcdef" for char in run) and len(run) % 2 == 0]


def test_a_buyer_is_in_no_plain_column(make_order: MakeOrder, mia: Actor, database: str) -> None:
    number = make_order(raw={"buyer": dict(JANE)}).number
    assert number is not None
    with unit_of_work():
        comment(find_order(number, mia, lock=True), "Mrs. Quixelworth of Zanzibar Mews rang", actor=mia)
    stored = everything_in_the_database(database)
    assert number.encode() in stored
    assert [word for word in PLAIN if word.encode() in stored] == []


def test_whoever_has_the_right_reads_it_and_leaves_one_record_by_ids(
    make_order: MakeOrder, mia: Actor, work: Callable[[], int]
) -> None:
    orders = [make_order(), make_order()]
    ids = [order.id for order in orders]
    live.connection().delete(live.key("audit"))
    revealed = reveal(mia, ids, purpose="orders_list")
    assert [name_in(revealed, order_id) for order_id in ids] == ["Jane Quixelworth"] * 2
    assert db.session.scalars(select(AuditEntry).where(AuditEntry.code == "buyers_seen")).all() == []

    write_readings.enqueue()
    work()
    [entry] = db.session.scalars(select(AuditEntry).where(AuditEntry.code == "buyers_seen"))
    assert (entry.actor_kind, entry.actor_id) == ("person", mia.id)
    assert entry.data == {"purpose": "orders_list", "kind": "buyer", "orders": ids}
    write_readings.enqueue()
    work()
    assert len(db.session.scalars(select(AuditEntry).where(AuditEntry.code == "buyers_seen")).all()) == 1


def test_whoever_lacks_the_right_reads_nothing(make_order: MakeOrder, make_user: Callable[..., Actor]) -> None:
    order = make_order()
    with pytest.raises(Forbidden):
        reveal(make_user("read_only", "Rob"), [order.id], purpose="order_page")


def test_the_channels_answer_is_kept_sealed(make_order: MakeOrder, mia: Actor) -> None:
    order = make_order(raw={"orderId": "1", "buyer": dict(JANE)})
    assert reveal(mia, [order.id], purpose="support", kind=RAW)[order.id] == {"orderId": "1", "buyer": JANE}


def test_erasing_an_order_makes_it_unreadable_here_and_in_a_copy(
    make_order: MakeOrder, mia: Actor, database: str, tmp_path: Path
) -> None:
    kept, erased = make_order(), make_order()
    sealed = seal(erased.id, "comment", "about Mrs. Quixelworth")
    with unit_of_work():
        erase([erased.id])
    assert set(reveal(mia, [kept.id, erased.id], purpose="order_page")) == {kept.id}
    assert open_sealed([(erased.id, "comment", sealed)]) == [None]
    if database.startswith("sqlite"):
        db.session.commit()
        for path in files_of(database):
            shutil.copy(path, tmp_path / path.name.replace("desk", "copy"))
        with sqlite3.connect(tmp_path / "copy.db") as copy:
            left = [copy.execute(f"SELECT count(*) FROM {table} WHERE order_id = ?", [erased.id]).fetchone()[0]
                    for table in ("vault_keys", "vault_records")]  # fmt: skip
        copy.close()
        assert left == [0, 0]


def test_news_bring_no_erased_buyer_back(take: Callable[..., list[Order]], mia: Actor) -> None:
    told = incoming_order(raw={"buyer": dict(JANE)})
    [order] = take(told)
    for _ in range(2):
        with unit_of_work():
            erase([order.id, order.id])
        with unit_of_work():
            row = comment(find_order(f"@{order.id}", mia, lock=True), "She asked for it", actor=mia)
            sealed = row.sealed
        take(told := told_again(told, status="PARTIALLY_SHIPPED"))
        assert [reveal(mia, [order.id], purpose="order_page", kind=kind) for kind in (BUYER, RAW)] == [{}, {}]
        assert open_sealed([(order.id, "comment", sealed)]) == ["She asked for it"]


def test_a_backup_made_before_is_unreadable_once_its_weeks_key_is_destroyed(make_order: MakeOrder, mia: Actor) -> None:
    order = make_order()
    rows = [dict(row._mapping) for row in db.session.execute(select(table_of(VaultKey)))]
    bodies = [dict(row._mapping) for row in db.session.execute(select(table_of(VaultRecord)))]
    with unit_of_work():
        erase([order.id])
    key_file().destroy(rows[0]["period"])
    with unit_of_work():  # somebody puts the backup back
        db.session.execute(table_of(VaultKey).insert(), rows)
        db.session.execute(table_of(VaultRecord).insert(), bodies)
    assert reveal(mia, [order.id], purpose="order_page") == {}


def test_an_order_whose_weeks_key_is_gone_can_still_be_worked(make_order: MakeOrder, mia: Actor) -> None:
    order = make_order()
    assert order.number is not None
    key_file().destroy(period_of(datetime.now(UTC)))
    with unit_of_work():
        comment(find_order(order.number, mia, lock=True), "goes on", actor=mia)
    [row] = db.session.scalars(select(OrderComment))
    assert open_sealed([(order.id, "comment", row.sealed)]) == ["goes on"]
    assert reveal(mia, [order.id], purpose="order_page") == {}


def test_an_order_whose_weeks_key_is_gone_is_read_anew_with_its_next_news(
    take: Callable[..., list[Order]], mia: Actor
) -> None:
    told, others = incoming_order(), incoming_order()
    ids = [order.id for order in take(told, others)]
    key_file().destroy(period_of(datetime.now(UTC)))
    take(told_again(told))
    assert set(reveal(mia, ids, purpose="order_page")) == {ids[0]}


def test_with_an_older_copy_of_the_key_file_nothing_is_sealed_anew(
    take: Callable[..., list[Order]], mia: Actor
) -> None:
    path = key_file().path
    older = path.read_text()
    told = incoming_order()
    [order] = take(told)
    newer = path.read_text()
    path.write_text(older)
    assert reveal(mia, [order.id], purpose="order_page") == {}
    with (
        pytest.raises(KeyProblem, match=r"the key for \d{4}-W\d\d is missing\. Restore the newer copy\."),
        unit_of_work(),
    ):
        seal(order.id, "comment", "would replace its key")
    take(told_again(told, status="PARTIALLY_SHIPPED"))
    path.write_text(newer)
    assert name_in(reveal(mia, [order.id], purpose="order_page"), order.id) == "Jane Quixelworth"


def test_a_sealed_body_moved_to_another_order_does_not_open(make_order: MakeOrder, mia: Actor) -> None:
    one, other = make_order(), make_order()
    with unit_of_work():
        rows = {row.order_id: row for row in db.session.scalars(select(VaultRecord).where(VaultRecord.kind == BUYER))}
        rows[one.id].body, rows[other.id].body = rows[other.id].body, rows[one.id].body
    assert reveal(mia, [one.id, other.id], purpose="order_page") == {}
    with unit_of_work():  # neither with its key taken along
        keys = {row.order_id: row for row in db.session.scalars(select(VaultKey))}
        keys[one.id].wrapped, keys[other.id].wrapped = keys[other.id].wrapped, keys[one.id].wrapped
    assert reveal(mia, [one.id, other.id], purpose="order_page") == {}


def test_a_sealed_body_does_not_open_as_another_kind(make_order: MakeOrder) -> None:
    order = make_order()
    with unit_of_work():
        sealed = seal(order.id, "comment", "between us")
    assert open_sealed([(order.id, "comment", sealed), (order.id, "event", sealed)]) == ["between us", None]


def test_no_two_seals_are_alike(make_order: MakeOrder) -> None:
    order = make_order()
    assert seal(order.id, "comment", "same") != seal(order.id, "comment", "same")


# --- The key file -----------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    made = KeyFile(tmp_path / "keys" / "keys.json", "a secret")
    made.create()
    made.current()
    return made


def again(file: KeyFile, secret: str = "a secret") -> KeyFile:
    return KeyFile(file.path, secret)


def test_the_key_file_holds_no_plain_key_and_is_its_owners_only(file: KeyFile) -> None:
    period, key = file.current()
    stored = file.path.read_text()
    assert key.hex() not in stored
    assert list(json.loads(stored)["periods"]) == [period]
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert again(file).key(period) == key


def test_making_it_again_keeps_what_is_there(file: KeyFile) -> None:
    key = file.current()
    again(file).create()
    assert again(file).current() == key


def test_a_missing_key_file_says_so(file: KeyFile) -> None:
    file.path.unlink()
    for ask in (file.current, file.check, again(file).blind, again(file).current):
        with pytest.raises(KeyProblem, match=r"keys\.json can't be used: the file is missing\. Restore its copy\."):
            ask()
    assert not file.path.exists()


def test_another_secret_says_so_while_there_are_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    KeyFile(path, "a secret").create()
    KeyFile(path, "a secret").check()
    with pytest.raises(KeyProblem, match="another WAYBILL_SECRET"):
        KeyFile(path, "another secret").check()


def test_a_file_of_an_earlier_version_opens(file: KeyFile) -> None:
    period, key = file.current()
    content = json.loads(file.path.read_text())
    del content["proof"]
    file.path.write_text(json.dumps(content))
    assert again(file).key(period) == key


def test_another_secret_destroys_no_key(file: KeyFile) -> None:
    period, key = file.current()
    content = json.loads(file.path.read_text())
    del content["proof"]
    file.path.write_text(json.dumps(content))
    with pytest.raises(KeyProblem, match="another WAYBILL_SECRET"):
        again(file, "another secret").destroy(period)
    assert again(file).key(period) == key


def test_another_secret_says_so(file: KeyFile) -> None:
    with pytest.raises(KeyProblem, match="another WAYBILL_SECRET"):
        again(file, "another secret").current()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"salt": 7, "periods": {}}', '{"salt": "AAAA", "periods": []}',
     '{"salt": "AAAA", "periods": {"2026-W01": 7}}', '{"salt": "AAAA", "periods": {"2026-W01": "x"}}', "\x00\xff"],
)  # fmt: skip
def test_a_damaged_key_file_says_so(file: KeyFile, content: str) -> None:
    file.path.write_text(content)
    with pytest.raises(KeyProblem, match=r"damaged|another WAYBILL_SECRET"):
        again(file).check()
    with pytest.raises(KeyProblem):
        again(file).current()


def test_a_new_week_brings_a_new_key_and_old_ones_stay(file: KeyFile) -> None:
    first = file.current()
    with time_machine.travel(datetime(2031, 1, 8, tzinfo=UTC)):
        second = file.current()
        assert second[0] == "2031-W02"
    assert file.key(first[0]) == first[1] != second[1]
    assert file.blind() == again(file).blind()


def test_a_key_destroyed_by_one_process_is_gone_for_all(file: KeyFile) -> None:
    period, _ = file.current()
    other = again(file)
    assert other.key(period) is not None
    file.destroy(period)
    assert (other.key(period), file.key(period)) == (None, None)


def test_two_processes_that_begin_a_week_agree_on_its_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    KeyFile(path, "a secret").create()
    script = (
        "import sys; from pathlib import Path; from webapp.vault.key_file import KeyFile; "
        "file = KeyFile(Path(sys.argv[1]), 'a secret'); sys.stdin.readline(); print(file.current()[1].hex())"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(path)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    told = [process.communicate("\n", timeout=30)[0].strip() for process in running]
    assert len(set(told)) == 1
    assert len(told[0]) == 64


def test_a_missing_key_file_stops_reading_with_its_sentence(make_order: MakeOrder, mia: Actor, app: Flask) -> None:
    order = make_order()
    key_file().path.rename(key_file().path.with_suffix(".away"))
    with pytest.raises(KeyProblem, match="Restore its copy"):
        reveal(mia, [order.id], purpose="order_page")


def test_what_is_encrypted_is_bound_to_its_context() -> None:
    key = os.urandom(32)
    assert decrypt(key, encrypt(key, b"plain", "here"), "here") == b"plain"
    with pytest.raises(InvalidTag):
        decrypt(key, encrypt(key, b"plain", "here"), "there")


def test_a_quarantined_order_keeps_its_answer_sealed(take: Callable[..., list[Order]], database: str) -> None:
    take(incoming_order(currency=None, total=5, raw={"buyer": dict(JANE)}))
    stored = everything_in_the_database(database)
    assert db.session.scalar(text("SELECT count(*) FROM quarantined_orders")) == 1
    assert [word for word in PLAIN if word.encode() in stored] == []
