"""Processes refuse to start where they would do harm, and say why in one sentence."""

import re
import runpy
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Ended, call, one_sentence
from webapp.cli.main import main
from webapp.config import ROOT, configuration
from webapp.vault.key_file import key_file

NOBODY = "postgresql://waybill:hush-hush@127.0.0.1:1/waybill"
PROCESSES = pytest.mark.parametrize("process", ["web", "worker", "scheduler"])
Start = Callable[..., Ended]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory, queue_server: str) -> dict[str, str]:
    """A desk that `migrate` created."""
    env = {"WAYBILL_DATA_DIR": str(tmp_path_factory.mktemp("desk")), "REDIS_URL": queue_server}
    made = call("migrate", env=env)
    assert made.code == 0, made.err
    assert "A key file was created" in made.out
    return env


@pytest.fixture
def start(
    migrated: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Start]:
    """Start a process of that desk here; it must refuse to start, or the test would not end."""

    def run(command: str, **variables: str) -> Ended:
        for name, value in {**migrated, **variables}.items():
            monkeypatch.setenv(name, value)
        configuration.cache_clear()
        return Ended(int(main([command])), *capsys.readouterr())

    yield run
    configuration.cache_clear()


@pytest.fixture
def newer(migrated: dict[str, str]) -> Iterator[None]:
    """The desk's database after a later version has migrated it."""
    database = sqlite3.connect(Path(migrated["WAYBILL_DATA_DIR"]) / "waybill.db")
    with database:
        [(version,)] = database.execute("SELECT version_num FROM alembic_version")
        database.execute("UPDATE alembic_version SET version_num = 'f00d'")
    yield
    with database:
        database.execute("UPDATE alembic_version SET version_num = ?", [version])
    database.close()


@PROCESSES
def test_a_new_database_names_migrate(process: str, start: Start, tmp_path: Path) -> None:
    ended = start(process, WAYBILL_DATA_DIR=str(tmp_path))
    assert (ended.code, "run “python -m webapp migrate”" in one_sentence(ended)) == (1, True)


@pytest.mark.parametrize("queue", ["", "redis://127.0.0.1:1"])
def test_a_server_that_loads_the_desk_gets_the_sentence_too(
    queue: str, migrated: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    changed = {"REDIS_URL": queue} if queue else {"WAYBILL_DATA_DIR": str(tmp_path)}
    for name, value in {**migrated, **changed}.items():
        monkeypatch.setenv(name, value)
    configuration.cache_clear()
    try:
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "wsgi.py"))
    finally:
        configuration.cache_clear()
    assert ("can't reach its queue" if queue else "run “python -m webapp migrate”") in str(ended.value)


def test_a_command_says_where_it_found_no_desk(tmp_path: Path) -> None:
    ended = call("orders", "list", env={"WAYBILL_DATA_DIR": str(tmp_path)})
    assert (ended.code, f"There is no desk in {tmp_path}: " in one_sentence(ended)) == (1, True)


@PROCESSES
def test_a_newer_schema_is_not_worked_on(process: str, start: Start, newer: None) -> None:
    ended = start(process)
    assert (ended.code, "it is newer" in one_sentence(ended)) == (1, True)


@pytest.mark.parametrize("command", ["migrate", "up"])
def test_a_newer_schema_is_left_alone(command: str, migrated: dict[str, str], newer: None) -> None:
    ended = call(command, env=migrated)
    assert (ended.code, "it is newer" in one_sentence(ended)) == (1, True)


def test_a_taken_port_is_told_by_web_too(start: Start) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        ended = start("web", WAYBILL_PORT=str(port))
    assert (ended.code, one_sentence(ended).startswith(f"Port {port} on 127.0.0.1 is taken")) == (1, True)


@PROCESSES
def test_a_missing_key_file_is_named(process: str, start: Start, tmp_path: Path) -> None:
    ended = start(process, WAYBILL_KEY_FILE=str(tmp_path / "keys.json"))
    assert (ended.code, str(tmp_path / "keys.json") in one_sentence(ended)) == (1, True)


def test_another_secret_is_told_from_a_lost_key(start: Start, tmp_path: Path) -> None:
    key = str(tmp_path / "keys.json")
    assert start("worker", WAYBILL_KEY_FILE=key, WAYBILL_SECRET="first").code == 1
    key_file().create()
    key_file().current()
    ended = start("worker", WAYBILL_KEY_FILE=key, WAYBILL_SECRET="second")
    assert (ended.code, "another WAYBILL_SECRET" in one_sentence(ended)) == (1, True)


@PROCESSES
def test_a_queue_that_is_gone_has_its_code(process: str, start: Start) -> None:
    ended = start(process, REDIS_URL="redis://127.0.0.1:1")
    assert (ended.code, "can't reach its queue" in one_sentence(ended)) == (6, True)


@PROCESSES
def test_a_database_that_is_gone_has_its_code(process: str, start: Start) -> None:
    ended = start(process, DATABASE_URL=NOBODY)
    assert (ended.code, "can't reach its database" in one_sentence(ended)) == (6, True)
    assert "hush" not in ended.err


@pytest.mark.parametrize(("name", "value"), [("DATABASE_URL", NOBODY), ("REDIS_URL", "redis://:hush@127.0.0.1:1")])
def test_a_command_beside_says_the_same(name: str, value: str, migrated: dict[str, str]) -> None:
    ended = call("status", "--json", env={**migrated, name: value})
    assert (ended.code, "can't reach its" in one_sentence(ended)) == (6, True)
    assert "hush" not in ended.err


def test_check_names_what_is_wrong_and_no_password(migrated: dict[str, str]) -> None:
    ended = call("check", "--json", env={**migrated, "DATABASE_URL": NOBODY, "WAYBILL_SECRET": "hush-hush"})
    failed = [one["name"] for one in ended.document["checks"] if not one["ok"]]
    assert (ended.code, "database" in failed, "queue" in failed) == (6, True, False)
    [told] = [one["message"] for one in ended.document["checks"] if one["name"] == "database"]
    assert re.search(r"Try again in a moment\. \(.*(refused|failed).*\)$", told)
    assert "hush" not in ended.out + ended.err


@pytest.mark.parametrize(
    ("name", "value"),
    [("WAYBILL_PORT", "eighty"), ("DATABASE_URL", "mysql://x"), ("REDIS_URL", "queue"), ("WAYBILL_LANGUAGE", "tlh")],
)
def test_a_wrong_variable_is_named(name: str, value: str, start: Start) -> None:
    ended = start("check", **{name: value})
    assert (ended.code, one_sentence(ended).startswith(f"{name}: ")) == (1, True)
