"""Logs hold codes and ids: what could be a secret or a buyer is masked, whoever logs it."""

import errno
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from webapp import log
from webapp.config import Configuration

SECRET = "Jane Quixelworth"
ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    log.configure(Configuration())


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_words_that_could_hold_more_are_masked(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    log.configure(Configuration(log_format=log_format))
    fields = dict.fromkeys(("password", "token", "refresh_token", "client_secret", "buyer", "address", "email"), SECRET)
    structlog.get_logger("test").error("something", order=7, **fields)
    written = capsys.readouterr().err
    assert SECRET not in written
    assert "something" in written


def test_a_line_is_one_document_with_the_ids_of_its_job(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Configuration(log_format="json", log_level="info"))
    with structlog.contextvars.bound_contextvars(job_id="j1"):
        structlog.get_logger("test").warning("job_not_sent", job="sync.deliver")
    [line] = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["job"], entry["job_id"]) == (
        "job_not_sent",
        "warning",
        "sync.deliver",
        "j1",
    )
    assert entry["timestamp"].endswith("Z")


def test_what_libraries_log_comes_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Configuration(log_format="json"))
    logging.getLogger("a.library").warning("it %s", "happened")
    assert json.loads(capsys.readouterr().err)["event"] == "it happened"


def test_the_level_holds(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Configuration(log_level="warning"))
    structlog.get_logger("test").info("chatter")
    logging.getLogger("httpx").info("GET https://somewhere/?token=1")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_value_of_a_variable(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    """Also where Rich is installed, with which the console's tracebacks would."""
    log.configure(Configuration(log_format=log_format))
    try:
        buyer = " ".join(("Jane", "Quixelworth"))
        raise RuntimeError(len(buyer))
    except RuntimeError:
        structlog.get_logger("test").error("something", exc_info=True)
        logging.getLogger("a.library").exception("it happened")
    written = capsys.readouterr().err
    assert "RuntimeError" in written
    assert SECRET not in written


WRITER = """
import logging, sys, threading, structlog
from webapp import log
from webapp.config import Configuration
log.configure(Configuration(log_format="json", log_level="info"))
name = sys.argv[1]
def write(thread):
    for number in range(60):
        structlog.get_logger().info("entry", by=name, thread=thread, text=name * (7 ** (number % 6)), end=number)
        logging.getLogger("a.library").warning(name * 5000)
threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


@pytest.mark.parametrize("shared", ["pipe", "file"])
def test_processes_that_share_a_log_keep_their_entries_whole(tmp_path: Path, shared: str) -> None:
    """Also entries longer than what a pipe or a buffer keeps together."""
    path = tmp_path / "desk.log"
    reader, writer = (
        os.pipe() if shared == "pipe" else (-1, os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    )
    names = ("a", "b", "c")
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, name], stderr=writer, cwd=ROOT) for name in names]
    os.close(writer)
    if shared == "pipe":
        with open(reader, "rb") as file:
            written = file.read()
    assert [process.wait() for process in processes] == [0, 0, 0]
    if shared == "file":
        written = path.read_bytes()
    entries = [json.loads(line) for line in written.splitlines()]
    assert len(entries) == len(names) * 2 * 60 * 2
    told = {(entry["by"], entry["thread"], entry["end"]) for entry in entries if entry["event"] == "entry"}
    assert len(told) == len(names) * 2 * 60
    assert all(entry["text"] == entry["by"] * 7 ** (entry["end"] % 6) for entry in entries if entry["event"] == "entry")


def test_a_fork_writes_although_a_thread_of_its_parent_was_writing() -> None:
    code = """
import os, structlog, threading
from webapp import log, whole_lines
from webapp.config import Configuration
log.configure(Configuration(log_format="json"))
held, forked = threading.Event(), threading.Event()
def write():
    with whole_lines._writing:
        held.set()
        forked.wait()
thread = threading.Thread(target=write)
thread.start()
held.wait()
if os.fork() == 0:
    structlog.get_logger().error("from the fork")
    os._exit(0)
os.wait()
forked.set()
thread.join()
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert json.loads(done.stderr)["event"] == "from the fork"


class _Disk(io.StringIO):
    """A log file on a disk that may be full."""

    full = False

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_log_that_cannot_be_written_says_so_once_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, log_format: str
) -> None:
    disk, own = _Disk(), io.StringIO()
    monkeypatch.setattr("sys.stderr", disk)
    monkeypatch.setattr("sys.__stderr__", own)
    log.configure(Configuration(log_format=log_format))

    structlog.get_logger("test").error("before")
    disk.full = True
    for _ in range(3):
        structlog.get_logger("test").error("lost")
        logging.getLogger("library").error("lost, too")
    disk.full = False
    structlog.get_logger("test").error("after")

    assert own.getvalue() == "waybill: the log can't be written: OSError\n"
    before, missing, after = disk.getvalue().splitlines()
    assert ("before" in before, "after" in after) == (True, True)
    assert missing == "log_was_not_written lines=6"


def test_a_log_on_a_real_full_disk_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stderr", full)
        log.configure(Configuration())
        structlog.get_logger("test").error("lost")
        logging.getLogger("library").error("lost")
