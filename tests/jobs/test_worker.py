"""The worker for real: a process of its own that forks for each job, survives its jobs, and stops when asked."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from rq.exceptions import StopRequested
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer
from sqlalchemy import select

from webapp import live
from webapp.audit.models import AuditEntry
from webapp.config import ROOT
from webapp.db import db, unit_of_work
from webapp.jobs import QUEUES, job, queue
from webapp.jobs.worker import LISTENS, DeskWorker

pytestmark = pytest.mark.own_desk
SCRIPT = """
import os, sys, time
from pathlib import Path
from sqlalchemy import text
from webapp import create_app
from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.db import db, unit_of_work
from webapp.jobs import job
from webapp.jobs.worker import run_worker

def note(what):
    print(what, file=open(os.environ["NOTES"], "a"), flush=True)

@job("now")
def write(number):
    with unit_of_work():
        audit("worked", actor=Actor.job("test"), number=number)
    note(f"wrote {os.getpid()}")

@job("now")
def die_once(number):
    note("began")
    if not Path(os.environ["NOTES"]).read_text().count("began") > 1:
        os.kill(os.getpid(), 9)
    write(number)

@job("now")
def slow():
    note("slow began")
    time.sleep(1.5)
    note("slow ended")

@job("now")
def fail():
    raise RuntimeError("as it happens")

app = create_app()
with app.app_context():
    db.session.execute(text("SELECT 1"))  # the parent has a connection of its own open
    run_worker(app, burst="--burst" in sys.argv)
    assert db.session.execute(text("SELECT 1")).scalar() == 1  # and it still works
    print("parent fine")
"""


@job("now")
def write(number: int) -> None:
    """Write the worker's script."""


@job("now")
def die_once(number: int) -> None: ...


@job("now")
def slow() -> None: ...


@job("now")
def fail() -> None: ...


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "notes").touch()
    return tmp_path / "notes"


@pytest.fixture
def start(app: Flask, tmp_path: Path, notes: Path) -> Iterator[Start]:
    """Start a worker; what is still running at the end is killed, with its jobs."""
    script = tmp_path / "work.py"
    script.write_text(SCRIPT)
    started: list[subprocess.Popen[str]] = []

    def run(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(script), *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "NOTES": str(notes), "WAYBILL_LOG_LEVEL": "info"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=60)


def send(work: object, *args: object) -> str:
    """Enqueue a job by the name under which the script, run as __main__, knows it."""
    name = f"__main__.{work.name.rpartition('.')[2]}"  # type: ignore[attr-defined]
    before = {job_id for name_ in QUEUES for job_id in queue(name_).get_job_ids()}
    with unit_of_work():
        type(work)(name, work.function, "now", 30).enqueue(*args)  # type: ignore[attr-defined, call-arg]
    [sent] = {job_id for name_ in QUEUES for job_id in queue(name_).get_job_ids()} - before
    return sent


def status(job_id: str) -> str:
    return str(RqJob.fetch(job_id, connection=live.connection(), serializer=JSONSerializer).get_status().value)


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def worked() -> list[int]:
    db.session.rollback()
    return [entry.data["number"] for entry in db.session.scalars(select(AuditEntry).where(AuditEntry.code == "worked"))]


def test_jobs_run_in_forks_that_share_no_connection_with_their_parent(start: Start, notes: Path) -> None:
    for number in range(4):
        send(write, number)
    worker = start("--burst")
    out, err = worker.communicate(timeout=120)
    assert (worker.returncode, out.strip()) == (0, "parent fine"), err
    assert worked() == [0, 1, 2, 3]
    pids = {line.split()[1] for line in notes.read_text().splitlines()}
    assert len(pids) == 4
    assert str(worker.pid) not in pids


def test_a_job_that_fails_is_tried_again_later_and_takes_nothing_with_it(start: Start) -> None:
    failing = send(fail)
    send(write, 1)
    worker = start("--burst")
    _, err = worker.communicate(timeout=120)
    assert worker.returncode == 0
    assert worked() == [1]
    assert status(failing) == "scheduled"
    assert "RuntimeError" in err
    assert "as it happens" not in err  # what an error says may name a buyer


def test_an_unknown_job_is_logged_by_its_name(start: Start) -> None:
    with unit_of_work():
        type(write)("of.another.version", write.function, "now", 30).enqueue(1)
    worker = start("--burst")
    _, err = worker.communicate(timeout=120)
    assert worker.returncode == 0
    assert "of.another.version" in err


@pytest.mark.slow
def test_a_job_killed_midway_is_done_again(start: Start, notes: Path) -> None:
    send(die_once, 7)
    worker = start()
    wait_for(lambda: worked() == [7])  # by the retry after two seconds
    assert notes.read_text().count("began") == 2
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0


def test_asked_to_stop_a_worker_ends_its_job_first(start: Start, notes: Path) -> None:
    ended = send(slow)
    left = send(write, 1)
    worker = start()
    wait_for(lambda: "slow began" in notes.read_text())
    worker.send_signal(signal.SIGTERM)
    _, err = worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert notes.read_text().split("\n")[:2] == ["slow began", "slow ended"]
    assert status(ended) == "finished"
    assert status(left) == "queued"
    assert "worker_stopped" in err


def test_asked_to_stop_while_idle_a_worker_is_gone_at_once_with_all_below_it(start: Start) -> None:
    worker = start()
    wait_for(lambda: b"idle" in (live.connection().hget(_worker_key(), "state") or b"") if _worker_key() else False)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert _group(worker.pid) == []


def _worker_key() -> str:
    keys = live.connection().smembers("rq:workers")
    return min(key.decode() for key in keys) if keys else ""  # type: ignore[union-attr]


def _group(group: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc") if sys.platform == "linux" else []:
        if entry.isdecimal():
            try:
                words = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(words[2]) == group and words[0] != "Z":
                found.append(int(entry))
    return found


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_signal_within_a_destructor_stops_the_worker_all_the_same(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python ignores what a destructor raises, and so the exception by which RQ leaves an idle worker's loop."""
    monkeypatch.setattr(signal, "signal", lambda signum, handler: None)
    monkeypatch.setattr(sys, "unraisablehook", lambda ignored: None)
    worker = DeskWorker([queue("now")], connection=live.connection(), serializer=JSONSerializer)
    worker.at_work = True

    class Doomed:
        def __del__(self) -> None:
            worker.request_stop(signal.SIGTERM, None)

    Doomed()
    assert worker._stop_requested
    assert worker.dequeue_timeout > LISTENS  # RQ's own
    with pytest.raises(StopRequested):
        worker.request_stop(signal.SIGTERM, None)
