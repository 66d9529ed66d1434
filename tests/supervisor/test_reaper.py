"""No process of ours outlives us, however we end."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.reaper import OwnedProcess, listed_processes, processes

ROOT = Path(__file__).parents[2]

# A worker like RQ's: it forks a work-horse into a session of its own, and neither ends when asked.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
open(sys.argv[1] + str(os.getpid()), "w").close()
time.sleep(600)
"""

OWNER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from supervisor.reaper import OwnedProcess
OwnedProcess([sys.executable, "-c", sys.argv[2], sys.argv[3]])
time.sleep(600)
"""


@pytest.fixture
def pids(tmp_path: Path) -> Iterator["Pids"]:
    found = Pids(tmp_path)
    yield found
    for pid in found.alive():
        os.kill(pid, signal.SIGKILL)


class Pids:
    """The processes of one stubborn worker, found by the files that they leave in a folder."""

    def __init__(self, folder: Path) -> None:
        self.prefix = str(folder / "pid-")
        self.folder = folder

    def alive(self) -> set[int]:
        return self.seen() & processes().keys()

    def seen(self) -> set[int]:
        return {int(path.name.removeprefix("pid-")) for path in self.folder.glob("pid-*")}

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.seen()) == count)


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_process_keeps_its_status() -> None:
    owned = OwnedProcess([sys.executable, "-c", "raise SystemExit(3)"])
    assert owned.wait(60) == 3
    owned.kill()


def test_a_process_ended_by_a_signal_says_so_as_shells_do() -> None:
    owned = OwnedProcess(["sh", "-c", "kill -9 $$"])
    assert owned.wait(60) == 128 + signal.SIGKILL
    owned.kill()


def test_a_program_that_does_not_exist_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    owned = OwnedProcess(["no-such-program"])
    assert owned.wait(60) == 127
    assert owned.command_pid is None
    assert capfd.readouterr().err == "no-such-program could not be started: No such file or directory\n"
    owned.kill()


def test_signals_reach_the_process_itself() -> None:
    owned = OwnedProcess(["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done"])
    assert owned.command_pid is not None
    time.sleep(0.2)
    assert owned.stop(5) == 7


def test_stopping_ends_what_does_not_want_to_end(pids: Pids) -> None:
    owned = OwnedProcess([sys.executable, "-c", STUBBORN, pids.prefix])
    pids.wait_for(2)
    owned.stop(0.2)
    assert not pids.alive()


def test_killing_the_process_alone_takes_its_work_horse_with_it(pids: Pids) -> None:
    owned = OwnedProcess([sys.executable, "-c", STUBBORN, pids.prefix])
    pids.wait_for(2)
    assert owned.command_pid is not None
    os.kill(owned.command_pid, signal.SIGKILL)
    assert owned.wait(60) == 128 + signal.SIGKILL
    assert not pids.alive()
    owned.kill()


def test_nothing_is_left_when_the_owner_is_killed_outright(pids: Pids) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(ROOT), STUBBORN, pids.prefix])
    pids.wait_for(2)
    owner.kill()
    owner.wait()
    wait_until(lambda: not pids.alive())


def test_a_fork_of_the_owner_does_not_keep_anything_alive(pids: Pids) -> None:
    forking = OWNER.replace("time.sleep(600)", "import os; os.fork(); time.sleep(600)")
    owner = subprocess.Popen([sys.executable, "-c", forking, str(ROOT), STUBBORN, pids.prefix], start_new_session=True)
    try:
        pids.wait_for(2)
        time.sleep(0.2)
        owner.kill()
        owner.wait()
        wait_until(lambda: not pids.alive())
    finally:
        os.killpg(owner.pid, signal.SIGKILL)


@pytest.mark.skipif(not shutil.which("ps"), reason="there is no ps")
def test_both_ways_of_finding_processes_agree() -> None:
    for found in (processes(), listed_processes()):
        assert found[os.getpid()] == os.getppid()
