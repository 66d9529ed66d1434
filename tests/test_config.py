"""A desk's configuration is read once, typed, and refused at the start by the name of what is wrong."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from webapp.accounts.hashing import places
from webapp.config import (
    LONGEST_SOCKET_PATH,
    ROOT,
    Configuration,
    ConfigurationProblem,
    configuration,
    read_configuration,
    valkey_socket,
)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("WAYBILL_") or name in ("DATABASE_URL", "REDIS_URL"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WAYBILL_PORT", "eighty"),
        ("WAYBILL_PORT", "70000"),
        ("WAYBILL_WEB_PROCESSES", "0"),
        ("WAYBILL_WEB_THREADS", "2"),
        ("WAYBILL_WORKER_PROCESSES", "many"),
        ("WAYBILL_WORKER_PROCESSES", "0"),
        ("WAYBILL_LIVE_STREAMS", "-1"),
        ("WAYBILL_PROXIES", "10.0.0.1/8"),
        ("WAYBILL_PRACTICE", "perhaps"),
        ("WAYBILL_CUSTOM_ENDPOINTS", "some"),
        ("WAYBILL_LOG_LEVEL", "loud"),
        ("WAYBILL_LOG_FORMAT", "xml"),
        ("WAYBILL_LANGUAGE", "tlh"),
        ("DATABASE_URL", "mysql://desk:p4ss@localhost/desk"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "postgresql://desk:p4ss@localhost:port/desk"),
        ("REDIS_URL", "http://localhost"),
    ],
)
def test_a_wrong_variable_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationProblem) as problem:
        read_configuration()
    sentence = str(problem.value)
    assert sentence.startswith(f"{variable}: ")
    assert "\n" not in sentence
    assert "p4ss" not in sentence


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WAYBILL_PORT", "WAYBILL_DATA_DIR", "WAYBILL_KEY_FILE", "DATABASE_URL", "WAYBILL_PRACTICE"):
        monkeypatch.setenv(name, "")
    read = read_configuration()
    assert (read.port, read.data_dir, read.practice) == (None, tmp_path / "var", True)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_form_of_a_postgresql_address_is_taken(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://desk:p%40ss@db.test:5433/desk?sslmode=require")
    assert read_configuration().database == "postgresql+psycopg://desk:p%40ss@db.test:5433/desk?sslmode=require"


def test_without_addresses_everything_lies_in_the_data_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WAYBILL_DATA_DIR", "here")
    read, home = read_configuration(), tmp_path / "here"
    assert (read.data_dir, read.database, read.keys) == (home, f"sqlite:///{home}/waybill.db", home / "keys.json")
    assert read.queue == f"unix://{home}/valkey.sock"


def test_a_database_file_lies_where_the_process_was_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Flask-SQLAlchemy would put it into a folder that Flask makes inside the code."""
    for given, path in (("desk.db", tmp_path / "desk.db"), ("x/../desk.db", tmp_path / "x/../desk.db")):
        monkeypatch.setenv("DATABASE_URL", f"sqlite:///{given}")
        assert read_configuration().database == f"sqlite:///{path}"
    monkeypatch.setenv("DATABASE_URL", "sqlite:////srv/desk.db")
    assert read_configuration().database == "sqlite:////srv/desk.db"
    for given in ("sqlite://", "sqlite:///:memory:"):
        monkeypatch.setenv("DATABASE_URL", given)
        with pytest.raises(ConfigurationProblem, match="needs a file"):
            read_configuration()


@pytest.mark.parametrize(
    ("url", "threads", "processes", "workers", "connections"),
    [
        ("sqlite:///desk.db", 64, 2, 2, 72),
        ("sqlite:///desk.db", 512, 8, 8, 520),
        ("postgresql://db.test/desk", 64, 2, 2, 39),
        ("postgresql://db.test/desk", 16, 2, 2, 24),
        ("postgresql://db.test/desk", 64, 1, 1, 72),
        ("postgresql://db.test/desk", 64, 32, 8, 8),
    ],
)
def test_connections_are_as_many_as_threads_where_the_server_has_room(
    url: str, threads: int, processes: int, workers: int, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("WAYBILL_WEB_THREADS", str(threads))
    monkeypatch.setenv("WAYBILL_WEB_PROCESSES", str(processes))
    monkeypatch.setenv("WAYBILL_WORKER_PROCESSES", str(workers))
    assert read_configuration().connections == connections


def test_a_data_directory_with_a_long_name_gets_a_socket_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 30)
    path = valkey_socket(deep)
    assert len(os.fsencode(path)) <= LONGEST_SOCKET_PATH
    assert path == valkey_socket(deep)
    assert path != valkey_socket(tmp_path / ("deep" * 31))


def test_the_secret_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    made = Configuration(data_dir=tmp_path / "desk").secret_value()
    assert len(made) >= 48
    assert Configuration(data_dir=tmp_path / "desk").secret_value() == made
    assert stat.S_IMODE((tmp_path / "desk" / "secret").stat().st_mode) == 0o600


def test_no_secret_is_made_in_the_place_of_one_that_is_gone(tmp_path: Path) -> None:
    own = Configuration(data_dir=tmp_path)
    own.secret_value()
    own.keys.write_text("{}")
    own.secret_file.unlink()
    with pytest.raises(ConfigurationProblem, match=r"WAYBILL_SECRET is not set, and .*/secret is gone: put it back\."):
        own.secret_value()
    assert not own.secret_file.exists()


def test_a_secret_that_is_given_is_written_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WAYBILL_SECRET", "given-from-outside")
    monkeypatch.setenv("WAYBILL_DATA_DIR", str(tmp_path / "desk"))
    read = read_configuration()
    assert read.secret_value() == "given-from-outside"
    assert "given-from-outside" not in repr(read)
    assert not (tmp_path / "desk").exists()


def test_all_who_start_at_once_agree_on_the_secret(tmp_path: Path) -> None:
    for attempt in range(20):
        together, read = Barrier(6), Configuration(data_dir=tmp_path / str(attempt))

        def ask(together: Barrier = together, read: Configuration = read) -> str:
            together.wait(60)
            return read.secret_value()

        with ThreadPoolExecutor(6) as pool:
            told = {task.result(60) for task in [pool.submit(ask) for _ in range(6)]}
        assert len(told) == 1
        assert len(told.pop()) >= 48


def test_a_desk_with_a_wrong_variable_does_not_start(tmp_path: Path) -> None:
    environment = {**os.environ, "WAYBILL_DATA_DIR": str(tmp_path), "WAYBILL_PORT": "eighty"}
    done = subprocess.run(
        [sys.executable, "-c", "from webapp import create_app; create_app()"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode != 0
    assert "WAYBILL_PORT: " in done.stderr


@pytest.mark.parametrize(
    ("threads", "live", "hashing"), [(4, 2, 1), (12, 7, 1), (32, 20, 5), (64, 40, 10), (512, 40, 12)]
)
def test_live_pages_and_sign_ins_never_take_every_thread(
    threads: int, live: int, hashing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYBILL_WEB_THREADS", str(threads))
    configuration.cache_clear()
    try:
        assert (configuration().live_pages, places()) == (live, hashing)
    finally:
        monkeypatch.undo()
        configuration.cache_clear()


@pytest.mark.parametrize(
    ("address", "believed"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:10.2.0.1", True), ("", True), ("203.0.113.9", False), ("x", False)],
)
def test_a_proxy_is_believed_by_its_address_and_only_where_there_is_one(
    address: str, believed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not read_configuration().believes(address)
    monkeypatch.setenv("WAYBILL_URL", "https://desk.example.com")
    assert read_configuration().believes(address) is believed
    monkeypatch.setenv("WAYBILL_PROXIES", "203.0.113.0/24")
    assert read_configuration().believes(address) is (address in ("203.0.113.9", ""))
