"""Several workers of one loaded process: which serves what, what happens to those that die, and how they stop."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from rq.serializers import JSONSerializer

from supervisor.reaper import processes
from tests.jobs.test_worker import wait_for
from webapp import live
from webapp.config import ROOT
from webapp.jobs import Job, queue
from webapp.jobs.backlog import workers
from webapp.jobs.queues import QUEUES, WORK, Service, services, whole_service
from webapp.jobs.worker import DeskWorker

pytestmark = pytest.mark.own_desk
SCRIPT = """
import os, sys, time
from webapp import create_app
from webapp.jobs import job
from webapp.jobs.crew import run_crew
from webapp.jobs.worker import run_worker

def note(what):
    print(what, os.getppid(), file=open(os.environ["NOTES"], "a"), flush=True)

@job("now")
def quick(number):
    note(f"quick-{number}")

@job("importing")
def page(number):
    note(f"page-{number}")

@job("importing")
def endless():
    note("endless")
    time.sleep(60)

@job("delivering")
def deliver(number):
    note(f"deliver-{number}")

@job("clock")
def tick(number):
    note(f"tick-{number}")

@job("now")
def long():
    note("long")
    time.sleep(1.5)
    note("ended")

app = create_app()
if "--burst" in sys.argv:
    run_worker(app, burst=True)
else:
    run_crew(app, 2)
"""


STOPPED_AT_ONCE = """
import os, signal, sys, time
from webapp.jobs import crew
from webapp.jobs.queues import WHOLE_SERVICE

def fork():
    pid = real()
    if not pid:
        os.kill(os.getpid(), signal.SIGTERM)  # before the child could say what becomes of it
    return pid

real, os.fork = os.fork, fork
crew.run_worker = lambda app, service: os._exit(2)  # it never heard of it
signal.signal(signal.SIGTERM, lambda *_: None)
place = crew._Place(WHOLE_SERVICE)
crew._start(None, place)
assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
sys.exit(-os.waitstatus_to_exitcode(os.waitpid(place.pid, 0)[1]))
"""


def test_a_worker_told_to_stop_as_it_is_forked_does_not_miss_it() -> None:
    argv = [sys.executable, "-c", STOPPED_AT_ONCE]
    told = subprocess.run(argv, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert told.returncode == signal.SIGTERM, told.stderr.decode()


FORKS_STOPPED_AT_ONCE = """
import os, signal, sys, time
from webapp.jobs import crew

def tell(number, frame):
    os._exit(0 if os.getpid() != us else 3)

us = os.getpid()
signal.signal(signal.SIGTERM, tell)
crew._stop_forks_too()
missed = 0
for _ in range(100):
    pid = os.fork()
    if not pid:
        time.sleep(1)
        os._exit(1)
    os.kill(pid, signal.SIGTERM)  # most likely before the fork has run at all
    missed += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
sys.exit(missed)
"""


def test_a_fork_of_a_worker_that_is_told_to_stop_at_once_does_not_miss_it() -> None:
    argv = [sys.executable, "-c", FORKS_STOPPED_AT_ONCE]
    told = subprocess.run(argv, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert told.returncode == 0, told.stderr.decode()


STOPPED_AS_IT_SIGNS_IN = """
import os, signal
from webapp import create_app
from webapp.jobs.worker import DeskWorker, run_worker

def subscribe(self):  # it has signed in, and is not at work
    os.kill(os.getpid(), signal.SIGTERM)
    real(self)

real, DeskWorker.subscribe = DeskWorker.subscribe, subscribe
run_worker(create_app())
"""


def test_a_worker_told_to_stop_as_it_signs_in_signs_out(app: Flask) -> None:
    argv = [sys.executable, "-c", STOPPED_AS_IT_SIGNS_IN]
    ended = subprocess.run(argv, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert ended.returncode == 0, ended.stderr.decode()
    assert workers() == 0


def send(name: str, to: str, *args: object) -> None:
    Job(f"__main__.{name}", lambda: None, to, 90).send(args)


PATIENCE = 180.0  # seconds, on a busy machine
Notes = Callable[[], list[str]]


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    """What the jobs did, in this order."""
    (tmp_path / "notes").touch()
    return lambda: [line.split()[0] for line in (tmp_path / "notes").read_text().splitlines()]


def worker_of(tmp_path: Path, note: str) -> int:
    """The worker that ran a job."""
    [pid] = {int(line.split()[1]) for line in (tmp_path / "notes").read_text().splitlines() if line.startswith(note)}
    return pid


@pytest.fixture
def start(app: Flask, tmp_path: Path, notes: Notes) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start the script; its remaining processes are killed at the end."""
    (tmp_path / "work.py").write_text(SCRIPT)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NOTES": str(tmp_path / "notes")}
    started: list[subprocess.Popen[bytes]] = []

    def run(*words: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, str(tmp_path / "work.py"), *words]
        started.append(subprocess.Popen(argv, cwd=ROOT, env=env, start_new_session=True))
        return started[-1]

    yield run
    for process in started:
        left = below(process.pid)
        process.kill()
        process.wait()
        for pid in left & processes().keys():
            os.kill(pid, signal.SIGKILL)


def below(root: int) -> set[int]:
    """Every process below this one."""
    parents = processes()
    found, new = set[int](), {root}
    while new := {pid for pid, parent in parents.items() if parent in new} - found:
        found |= new
    return found


def test_one_worker_never_waits_for_a_channel_and_every_queue_is_served() -> None:
    for count in (2, 3, 8):
        served = [{name for group in service.groups for name in group} for service in services(count)]
        assert len(served) == count
        assert [names for names in served if not names & {"asking", *WORK["channel"]}] == [{"now", "clock"}]
        assert set().union(*served) == set(QUEUES)


def test_one_worker_alone_serves_every_queue() -> None:
    [service] = services(1)
    assert sorted(name for group in service.groups for name in group) == sorted(QUEUES)


@pytest.mark.parametrize("count", [1, 2])
def test_each_stream_has_a_worker_that_serves_nothing_else(count: int) -> None:
    before, beside = services(count), services(count, ["letters", "payouts"])
    assert beside[:count] == before
    assert [service.groups for service in beside[count:]] == [(("stream-letters",),), (("stream-payouts",),)]
    [*_, first, second] = whole_service(["letters", "payouts"]).groups
    assert (first, second) == (("stream-letters",), ("stream-payouts",))


@pytest.mark.parametrize("service", {service.name: service for count in (1, 2) for service in services(count)}.values())
def test_whoever_asks_and_what_channels_are_owed_take_turns(app: Flask, service: Service) -> None:
    names = [name for group in service.groups for name in group]
    if "asking" not in names:
        return
    worker = DeskWorker([queue(name) for name in names], connection=live.connection(), serializer=JSONSerializer)
    worker.groups, worker._ordered_queues = list(service.groups), [queue(name) for name in names]
    served = []
    for _ in range(4):
        [first, *_] = [one for one in worker._ordered_queues if one.name in ("asking", "delivering")]
        served.append(first.name)
        worker.reorder_queues(first)
    assert sorted(served[:2]) == sorted(served[2:]) == ["asking", "delivering"]


def test_a_burst_serves_all_work_in_turn_and_delivers_before_it_imports(
    start: Callable[..., subprocess.Popen[bytes]], notes: Notes
) -> None:
    for number in range(3):
        send("page", "importing", number)
        send("tick", "clock", number)
    for number in range(2):
        send("quick", "now", number)
        send("deliver", "delivering", number)
    assert start("--burst").wait(PATIENCE) == 0
    assert notes() == [
        "quick-0", "deliver-0", "tick-0",
        "quick-1", "deliver-1", "tick-1",
        "page-0", "tick-2", "page-1", "page-2",
    ]  # fmt: skip


@pytest.mark.slow
def test_what_a_person_waits_for_passes_an_endless_import_also_after_a_worker_was_killed(
    start: Callable[..., subprocess.Popen[bytes]], notes: Notes, tmp_path: Path
) -> None:
    send("endless", "importing")
    crew = start()
    wait_for(lambda: "endless" in notes(), PATIENCE)
    send("quick", "now", 1)
    send("tick", "clock", 1)
    wait_for(lambda: {"quick-1", "tick-1"} <= set(notes()), PATIENCE)

    first = worker_of(tmp_path, "quick-1")
    assert first != worker_of(tmp_path, "endless")
    its_own = below(first)
    os.kill(first, signal.SIGKILL)

    def sent_again() -> bool:
        """A job that Redis gave to the dead worker is lost; the clock sends it again."""
        send("quick", "now", 2)
        return "quick-2" in notes()

    wait_for(sent_again, PATIENCE)
    assert worker_of(tmp_path, "quick-2") not in (first, worker_of(tmp_path, "endless"))
    assert crew.poll() is None
    if sys.platform == "linux":
        wait_for(lambda: not its_own & processes().keys(), PATIENCE)


@pytest.mark.slow
def test_told_to_stop_they_end_their_jobs_and_nobody_is_left(
    start: Callable[..., subprocess.Popen[bytes]], notes: Notes
) -> None:
    send("long", "now")
    crew = start()
    wait_for(lambda: "long" in notes() and workers() == 2, PATIENCE)
    forked = below(crew.pid)
    crew.send_signal(signal.SIGTERM)
    assert crew.wait(PATIENCE) == 0
    assert notes() == ["long", "ended"]
    assert not forked & processes().keys()
    assert workers() == 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_no_worker_outlives_a_killed_crew(start: Callable[..., subprocess.Popen[bytes]]) -> None:
    crew = start()
    wait_for(lambda: workers() == 2, PATIENCE)
    forked = below(crew.pid)
    crew.kill()
    crew.wait()
    wait_for(lambda: not forked & processes().keys(), PATIENCE)
    assert live.connection().ping()
