"""Running a desk's processes together: started in order, watched, and all ended when the supervisor ends.

`up` defines which processes a desk has, and what must happen between starting two of them; `supervisor.reaper` ensures
that none outlives the supervisor, even if it is killed.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Self, TextIO
from urllib.parse import urlsplit

from supervisor.reaper import OwnedProcess, below

STUCK_AFTER = 120.0  # seconds in which a starting process does nothing at all
REPORT_EVERY = 10.0  # seconds between two lines about a process that is still starting
LEAST_PROGRESS = 0.2  # seconds of processor time; asking a process whether it is ready may cost less than this
LOOK_EVERY = 0.05
GIVEN_UP_AFTER = 5.0  # seconds that a process gets to end if the others go on without it
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # between restarts
STEADY_AFTER = 60.0  # a process that lived this long is started again at once
COLORS = (36, 33, 35, 32, 34, 31)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProcessFailed(Exception):
    """A process could not be started, or one that all others need has ended."""


@dataclass(frozen=True)
class Process:
    """One process of a desk: how to start it, and how to find out that it works."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)  # added to our environment
    ready: Callable[[], bool] | None = None  # called until it returns True, so it must be quick
    url: str | None = None
    restart: bool = True  # False: if it ends, the whole desk ends
    serves_others: bool = False  # True: others use it until they end, so it is stopped after them


class Running:
    """A process under supervision, over all its restarts."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.pause = 0.0
        self.restart_at: float | None = None
        self.spawn()

    def spawn(self) -> None:
        self.started_at = time.monotonic()
        self.lines = 0  # the lines that it has printed
        self.restart_at = None
        self.owned = OwnedProcess(
            self.process.argv,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.process.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def progress(self) -> tuple[float, int]:
        """What it has done since its start: seconds of processor time, and lines printed."""
        pid = self.owned.command_pid
        return processor_seconds(pid) if pid else 0.0, self.lines

    def plan_restart(self) -> float:
        """Schedule its restart and return the seconds until then: a delay that grows, unless it had run steadily."""
        now = time.monotonic()
        steady = now - self.started_at > STEADY_AFTER
        self.pause = 0.0 if steady else min(max(self.pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        self.restart_at = now + self.pause
        return self.pause


class Patience:
    """Whether to go on waiting for a process: as long as it makes progress, however slow the machine is.

    For a process that answers already, but is not ready, only printed lines count: answering costs processor time, too.
    """

    def __init__(self, progress: Callable[[], tuple[float, int]], heard: Callable[[], bool] = lambda: False) -> None:
        self.began = self._moved = time.monotonic()
        self._progress, self._heard = progress, heard
        self._done = progress()

    def is_over(self) -> bool:
        """Whether it has done nothing for `STUCK_AFTER` seconds."""
        seconds, lines = self._progress()
        works = seconds - self._done[0] > LEAST_PROGRESS and not self._heard()
        if works or lines > self._done[1]:
            self._done, self._moved = (seconds, lines), time.monotonic()
        return time.monotonic() - self._moved > STUCK_AFTER


class Supervisor:
    """Starts processes, passes on what they print, and restarts what ends::

        with Supervisor() as desk:
            desk.start(valkey)
            migrate()
            desk.start(web, worker, scheduler)
            desk.watch()

    The first Ctrl-C (or SIGTERM, SIGHUP) leaves the `with` block quietly from any place and stops the processes side by
    side, and after them those that serve others; each may finish its current work within `grace` seconds. A second
    signal does not wait. `changed` is called with the process ids by name whenever they change, `shown` with a
    process's name and each line that it prints: it returns whether the terminal shows the line too.
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
        # Under nohup the signal of the closing terminal is ignored.
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
        """Start processes side by side and return when each is ready; raises ProcessFailed if one does not become
        ready.
        """
        group: list[Running] = []
        self.groups.append(group)
        for process in processes:
            self._width = max(self._width, len(process.name))
            group.append(running := Running(process))
            self._read(running)
        self._announce()
        for running in group:
            if running.process.ready:
                self._wait_until_ready(running, running.process.ready)

    def wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Return once a started process is ready for a further check; raises ProcessFailed if it does not become so."""
        [running] = [running for group in self.groups for running in group if running.process.name == name]
        self._wait_until_ready(running, ready)

    def give_up(self, name: str) -> None:
        """End one process for good; the others go on without it."""
        for group in self.groups:
            for running in [running for running in group if running.process.name == name]:
                group.remove(running)
                running.owned.stop(GIVEN_UP_AFTER)

    def _wait_until_ready(self, running: Running, ready: Callable[[], bool]) -> None:
        """Wait while the process makes progress, however slow the machine is, and print a line now and then."""
        name = running.process.name
        patience = Patience(running.progress, lambda: isinstance(ready, Answers) and ready.heard)
        reported_at = patience.began
        pause = LOOK_EVERY
        while not ready():
            if running.owned.poll() is not None:
                raise ProcessFailed(f"{name} ended with status {running.owned.returncode} while it was starting.")
            if time.monotonic() - reported_at > REPORT_EVERY:
                reported_at = time.monotonic()
                self.say(name, f"still starting, after {reported_at - patience.began:.0f} s")
            if patience.is_over():
                raise ProcessFailed(f"{name} is not ready and has done nothing for {STUCK_AFTER:.0f} seconds.")
            time.sleep(pause)
            pause = min(pause * 1.1, 1.0)  # each check costs a starting process time, too

    def watch(self) -> None:
        """Restart whatever ends, until a signal arrives; raises ProcessFailed if a process ends that all others
        need.
        """
        while not self.stopping:  # an interrupt that is raised in a finalizer is lost
            for running in [running for group in self.groups for running in group]:
                self._look_after(running)
            time.sleep(LOOK_EVERY)

    def _look_after(self, running: Running) -> None:
        name = running.process.name
        if running.restart_at is not None:
            if time.monotonic() >= running.restart_at:
                running.spawn()
                self._read(running)
                self._announce()
        elif running.owned.poll() is not None:
            running.owned.kill()
            ended = f"ended with status {running.owned.returncode}"
            if not running.process.restart:
                raise ProcessFailed(f"{name} {ended}.")
            pause = running.plan_restart()
            self.say(name, f"{ended}, starting again" + (f" in {pause:g} s" if pause else ""))

    def pids(self) -> dict[str, int]:
        """The ids by name, of the processes themselves, not of their reapers."""
        found = ((running.process.name, running.owned.command_pid) for group in self.groups for running in group)
        return {name: pid for name, pid in found if pid}

    def stop(self) -> None:
        """Stop everything: side by side, then those that served others, last started first; a process that takes too
        long is killed.
        """
        running = [running for group in self.groups for running in group]
        waves = [[one for one in running if not one.process.serves_others]]
        waves += [[one] for one in reversed(running) if one.process.serves_others]
        self.groups.clear()
        for wave in waves:
            self._stop_together(wave)
        for reader in self._readers:
            reader.join(1.0)

    def _stop_together(self, wave: Sequence[Running]) -> None:
        for running in wave:
            if running.restart_at is None:
                running.owned.send_signal(signal.SIGTERM)
        began = reported_at = time.monotonic()
        while late := [running.process.name for running in wave if running.owned.poll() is None]:
            now = time.monotonic()
            if self.hurry or now - began > self.grace:
                break
            if now - reported_at > REPORT_EVERY:
                reported_at = now
                self.say("up", f"{', '.join(late)}: finishing what is under way; a second Ctrl-C ends it at once")
            time.sleep(LOOK_EVERY / 5)
        for running in wave:
            running.owned.kill()
        for running in wave:
            running.owned.wait()

    def say(self, name: str, line: str) -> None:
        """Print a line under a process's name."""
        prefix = f"{name:{self._width}} │ "
        if self._colored:
            prefix = f"\033[{COLORS[sum(map(ord, name)) % len(COLORS)]}m{prefix}\033[0m"
        with self._printing:
            try:
                print(prefix + line, file=self.out, flush=True)
            except OSError:  # nobody reads the output any more, but the processes must not block on it
                return

    def _read(self, running: Running) -> None:
        if running.owned.stdout is None:
            return
        reader = threading.Thread(
            target=self._pass_on,
            args=(running, running.owned.stdout),
            name=running.process.name,
            daemon=True,
        )
        reader.start()
        self._readers = [*(old for old in self._readers if old.is_alive()), reader]

    def _pass_on(self, running: Running, lines: IO[bytes]) -> None:
        name = running.process.name
        with lines:
            for printed in lines:
                running.lines += 1
                line = printed.decode(errors="replace").rstrip()
                if self.shown is None or self.shown(name, line):
                    self.say(name, line)

    def _announce(self) -> None:
        if self.changed:
            self.changed(self.pids())


def processor_seconds(root: int) -> float:
    """The processor time that a process and its descendants have used."""
    found = {root} | below(root)
    if sys.platform != "linux":
        listing = subprocess.run(["ps", "-A", "-o", "pid=,time="], capture_output=True, text=True)  # noqa: S607
        rows = [line.split() for line in listing.stdout.splitlines()]
        return sum(_seconds(used) for pid, used in rows if int(pid) in found)
    total = 0
    for pid in found:
        with contextlib.suppress(OSError):
            fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))  # its own, and that of children that have ended
    return total / os.sysconf("SC_CLK_TCK")


def _seconds(used: str) -> float:
    """The seconds of `1-02:03:04`, `02:03` or `0:01.50`, as `ps` prints them."""
    days, _, clock = used.rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + 86400 * int(days or 0)


class Answers:
    """A readiness check: the address answers with 200."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self.heard = False  # whether it has answered at all, with any status

    def __call__(self) -> bool:
        address = self._address
        connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=2)
        try:
            connection.request("GET", address.path or "/")
            status = connection.getresponse().status
            self.heard = True
            return status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
