"""Running a desk's processes together: in order, watched, and all of them gone when the supervisor is.

Which processes a desk has, and what must happen between starting two of them, is `up`'s to say; that none outlives the
supervisor, even one killed outright, is `webapp.keeper`'s work.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import IO, Self, TextIO
from urllib.parse import urlsplit

from webapp.keeper import Kept

READY_WITHIN = 30.0  # seconds
LOOK_EVERY = 0.05
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # between restarts
STEADY_AFTER = 60.0  # a process that lived this long starts again at once
COLORS = (36, 33, 35, 32, 34, 31)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_claimed: set[int] = set()


class PortTaken(Exception):
    """The port that was asked for belongs to another program."""


class ProcessFailed(Exception):
    """A process could not be started, or one that all others need has ended."""


@dataclass(frozen=True)
class Process:
    """One process of a desk: how it is started, and how to tell that it does its work."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)  # laid over ours
    ready: Callable[[], bool] | None = None  # asked until it says yes, so it must answer quickly
    url: str | None = None
    restart: bool = True  # false: its end is the end of all


class Running:
    """A process under supervision, over all its restarts."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.pause = 0.0
        self.restart_at: float | None = None
        self.spawn()

    def spawn(self) -> None:
        self.started_at = time.monotonic()
        self.restart_at = None
        self.kept = Kept(
            self.process.argv,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.process.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def plan_restart(self) -> float:
        """Decide when to start it again and say in how many seconds: each time later, unless it had run steadily."""
        now = time.monotonic()
        steady = now - self.started_at > STEADY_AFTER
        self.pause = 0.0 if steady else min(max(self.pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        self.restart_at = now + self.pause
        return self.pause


class Supervisor:
    """Starts processes, passes on what they print, and starts again what ends::

        with Supervisor() as desk:
            desk.start(valkey)
            migrate()
            desk.start(web, worker, scheduler)
            desk.watch()

    The first Ctrl-C (or SIGTERM, SIGHUP) leaves the `with` block quietly from wherever it is and stops everything, what
    was started last first; a second one does not wait for those who finish their work. `changed` is called with the
    process ids by name whenever they change, `shown` with a process's name and each line it prints: whether the
    terminal gets it too.
    """

    def __init__(
        self,
        *,
        out: TextIO | None = None,
        grace: float = 5.0,
        changed: Callable[[dict[str, int]], None] | None = None,
        shown: Callable[[str, str], bool] | None = None,
    ) -> None:
        self.out = out or sys.stdout
        self.grace = grace
        self.changed = changed
        self.shown = shown
        self.groups: list[list[Running]] = []
        self.stopping = False
        self.hurry = False
        self._printing = threading.Lock()
        self._readers: list[threading.Thread] = []
        self._colored = self.out.isatty() and "NO_COLOR" not in os.environ
        self._width = 10

    def __enter__(self) -> Self:
        # Under nohup the closing terminal is not to be heard.
        heard = [
            number for number in STOP_SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
        ]
        self._handlers = {number: signal.signal(number, self._on_signal) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.stopping = True
        try:
            self.stop()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        return isinstance(error, KeyboardInterrupt)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            self.hurry = True
            return
        self.stopping = True
        raise KeyboardInterrupt

    def start(self, *processes: Process) -> None:
        """Start processes side by side and return when each is ready; raises ProcessFailed when one is not."""
        group: list[Running] = []
        self.groups.append(group)
        for process in processes:
            self._width = max(self._width, len(process.name))
            group.append(running := Running(process))
            self._read(running)
        self._tell()
        deadline = time.monotonic() + READY_WITHIN
        for running in group:
            if running.process.ready:
                self._wait_until_ready(running, running.process.ready, deadline)

    def wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Return once a process that was started is ready for something more; raises ProcessFailed when it is not."""
        [running] = [running for group in self.groups for running in group if running.process.name == name]
        self._wait_until_ready(running, ready, time.monotonic() + READY_WITHIN)

    def give_up(self, name: str) -> None:
        """End one process for good; the others go on without it."""
        for group in self.groups:
            for running in [running for running in group if running.process.name == name]:
                group.remove(running)
                running.kept.stop(self.grace)

    def _wait_until_ready(self, running: Running, ready: Callable[[], bool], deadline: float) -> None:
        name = running.process.name
        while not ready():
            if running.kept.poll() is not None:
                raise ProcessFailed(f"{name} ended with status {running.kept.returncode} while it was starting.")
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{name} was not ready after {READY_WITHIN:.0f} seconds.")
            time.sleep(LOOK_EVERY)

    def watch(self) -> None:
        """Start again whatever ends, until a signal comes; raises ProcessFailed when one ends that all others need."""
        while True:
            for running in [running for group in self.groups for running in group]:
                self._look_after(running)
            time.sleep(LOOK_EVERY)

    def _look_after(self, running: Running) -> None:
        name = running.process.name
        if running.restart_at is not None:
            if time.monotonic() >= running.restart_at:
                running.spawn()
                self._read(running)
                self._tell()
        elif running.kept.poll() is not None:
            running.kept.kill()
            ended = f"ended with status {running.kept.returncode}"
            if not running.process.restart:
                raise ProcessFailed(f"{name} {ended}.")
            pause = running.plan_restart()
            self.say(name, f"{ended}, starting again" + (f" in {pause:g} s" if pause else ""))

    def pids(self) -> dict[str, int]:
        """The process ids by name, of the processes themselves."""
        found = ((running.process.name, running.kept.kept_pid) for group in self.groups for running in group)
        return {name: pid for name, pid in found if pid}

    def stop(self) -> None:
        """Stop everything, what was started last first; who has not ended within `grace` seconds is ended."""
        while self.groups:
            group = self.groups.pop()
            for running in group:
                if running.restart_at is None:
                    running.kept.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + self.grace
            while any(running.kept.poll() is None for running in group):
                if self.hurry or time.monotonic() > deadline:
                    break
                time.sleep(LOOK_EVERY / 5)
            for running in group:
                running.kept.kill()
            for running in group:
                running.kept.wait()
        for reader in self._readers:
            reader.join(1.0)

    def say(self, name: str, line: str) -> None:
        """Print a line under a process's name."""
        prefix = f"{name:{self._width}} │ "
        if self._colored:
            prefix = f"\033[{COLORS[sum(map(ord, name)) % len(COLORS)]}m{prefix}\033[0m"
        with self._printing:
            try:
                print(prefix + line, file=self.out, flush=True)
            except OSError:  # nobody reads any more, but the processes must not be held up by that
                return

    def _read(self, running: Running) -> None:
        if running.kept.stdout is None:
            return
        reader = threading.Thread(
            target=self._pass_on,
            args=(running.process.name, running.kept.stdout),
            name=running.process.name,
            daemon=True,
        )
        reader.start()
        self._readers = [*(old for old in self._readers if old.is_alive()), reader]

    def _pass_on(self, name: str, lines: IO[bytes]) -> None:
        with lines:
            for printed in lines:
                line = printed.decode(errors="replace").rstrip()
                if self.shown is None or self.shown(name, line):
                    self.say(name, line)

    def _tell(self) -> None:
        if self.changed:
            self.changed(self.pids())


def answers(url: str) -> Callable[[], bool]:
    """A readiness check: the address answers with 200."""
    address = urlsplit(url)

    def check() -> bool:
        connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=2)
        try:
            connection.request("GET", address.path or "/")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return check


def free_port(preferred: int, *, explicit: bool, host: str = "127.0.0.1", avoid: Sequence[int] = ()) -> int:
    """The preferred port, or the next free one unless it was asked for by name; raises PortTaken when there is none.

    It stays claimed for the life of this process, so that a desk that starts beside it does not choose the same.
    """
    if preferred not in avoid and claim(preferred) and is_free(preferred, host):
        return preferred
    if explicit:
        raise PortTaken(taken(preferred, host))
    for port in range(preferred + 1, min(preferred + 100, 65536)):
        if port not in avoid and claim(port) and is_free(port, host):
            return port
    raise PortTaken(f"No port from {preferred} to {preferred + 99} on {host} is free; choose one.")


def taken(port: int, host: str) -> str:
    """What there is to say of a port that was asked for."""
    return f"Port {port} on {host} is taken by another program; stop it or choose another port."


def claim(port: int) -> bool:
    """Whether no other desk of this machine has claimed the port; from now on this process has."""
    if port in _claimed:
        return True
    path = os.path.join(tempfile.gettempdir(), f"waybill-port-{port}.lock")
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:  # another user's: who listens first has it
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    _claimed.add(port)  # the file stays open
    return True


def is_free(port: int, host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # What a closed connection left behind is no obstacle; a program that listens is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True
