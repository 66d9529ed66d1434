"""What a test may leave behind: nothing. A guard compares this process before and after each test.

Threads and processes get a moment to end. What a session or a module of tests keeps (a server, a browser) is there
before the guard looks.
"""

import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from webapp import errors, jobs
from webapp.hooks import hooks
from webapp.jobs import runs

ROOT = Path(__file__).resolve().parents[1]
_PATIENCE = 30.0
_PORT = re.compile(r"waybill-port-\d+\.lock")  # stays: who removed it could take it from one who claims the port
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD)
_ours = {"PYTEST_CURRENT_TEST"}  # of the environment: pytest's own
_STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn"}
_started = 0


def _note(name: str, arguments: tuple[object, ...]) -> None:
    global _started
    if name in _STARTS:
        _started += 1


sys.addaudithook(_note)


class Before:
    """This process as it is when a test begins."""

    def __init__(self) -> None:
        self._processes = dict(_children())
        self._started = _started  # after the listing, which may itself be a process
        self._threads = set(threading.enumerate())
        self._plain = _plain()

    def has_started_processes(self) -> bool:
        return _started > self._started

    def left(self) -> list[str]:
        """A line for everything that is not as it was."""
        lines = [
            f"{name}: {', '.join(sorted(map(str, changed)))}"
            for name, before in self._plain.items()
            if (changed := before ^ _plain_one(name))
        ]
        if threads := _once_ended(lambda: set(threading.enumerate()) - self._threads):
            lines.append(f"threads: {', '.join(thread.name for thread in threads)}")
        if self.has_started_processes() and (found := _once_ended(lambda: _children().keys() - self._processes.keys())):
            lines.append(f"processes: {', '.join(_children().get(pid, str(pid)) for pid in found)}")
        return lines


def _plain() -> dict[str, set[object]]:
    return {name: _plain_one(name) for name in _PLAIN}


def _plain_one(name: str) -> set[object]:
    return set(_PLAIN[name]())


_PLAIN: dict[str, Callable[[], Iterator[object]]] = {
    "environment": lambda: (item for item in os.environ.items() if item[0] not in _ours),
    "working directory": lambda: iter([os.getcwd()]),
    "search path of modules": lambda: iter(sys.path),
    "signal handlers": lambda: ((number.name, signal.getsignal(number)) for number in _SIGNALS),
    "plugins": lambda: iter(name for name, _ in hooks.manager.list_name_plugin()),
    "jobs": lambda: (job for job in [*jobs._jobs.values(), *runs._jobs.values()] if _is_of_tests(job.function)),
    "kinds of errors": lambda: (kind for kind in errors._classes.values() if _is_of_tests(kind)),
    "files of this checkout": lambda: (
        name for name in os.listdir(ROOT) if not name.startswith((".", "__"))
    ),  # no caches
    "temporary files": lambda: (name for name in os.listdir(tempfile.gettempdir()) if not _PORT.fullmatch(name)),
}


def _is_of_tests(declared: Any) -> bool:
    """Whether it was declared by a test, and not by a module that a test was the first to import."""
    return str(declared.__module__).startswith("tests.")


def _once_ended(what: Callable[[], set[object]]) -> set[object]:
    """What is still there after a moment."""
    deadline = time.monotonic() + _PATIENCE
    while (found := what()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def _children() -> dict[int, str]:
    """The processes that this one started, with their commands; those that nobody waited for are among them."""
    listings = glob.glob("/proc/self/task/*/children")  # a listing of all processes takes 5 ms
    if not listings:
        listed = subprocess.run(["ps", "-axo", "pid=,ppid=,command="], capture_output=True, text=True).stdout
        rows = [line.split(None, 2) for line in listed.splitlines()]
        return {int(pid): command for pid, parent, command in rows if int(parent) == os.getpid()}
    pids = [pid for listing in listings for pid in _read(listing).split()]
    return {int(pid): _read(f"/proc/{pid}/cmdline").replace("\0", " ") or "ended" for pid in pids}


def _read(name: str) -> str:
    """What a file says; nothing if its thread or process ended meanwhile."""
    try:
        return Path(name).read_text()
    except OSError:
        return ""
