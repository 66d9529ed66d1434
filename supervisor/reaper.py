"""Keeps the processes that we start from outliving us, however we end.

Each process runs under a reaper, a small Python process that holds one end of a lifeline, a pipe whose other end is
ours. When the lifeline breaks, by `kill()` or because we are gone, the reaper ends its process and all its descendants,
also those in a session of their own such as RQ's work-horses. When its process ends by itself, the reaper ends the
remaining descendants and exits with the same status, so that a restart finds nothing in its way.

This file is the reaper too: it runs by path and alone, so it imports nothing of ours. The supervisor decides who is
started, in which order, and what a restart needs.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_lifelines: set[socket.socket] = set()


class OwnedProcess(subprocess.Popen[bytes]):
    """A running process that ends with us, at the latest.

    Signals reach only the process itself, in a session of its own, so that Ctrl-C in a terminal does not reach all
    processes at once.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        user: str | None = None,
    ) -> None:
        ours, theirs = socket.socketpair()
        reaper = [sys.executable, "-I", "-S", __file__, str(theirs.fileno()), user or ""]
        with theirs:
            try:
                super().__init__(
                    [*reaper, *map(str, command)],
                    cwd=cwd,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        _lifelines.add(ours)
        self._lifeline = ours
        self._command_pid: int | None = None

    @property
    def command_pid(self) -> int | None:
        """The id of the process itself, not of its reaper; None if it could not be started."""
        if self._command_pid is None and self._lifeline in _lifelines:
            received = self._lifeline.recv(32)
            self._command_pid = int(received) if received else None
        return self._command_pid

    def kill(self) -> None:
        """End the process and all its descendants at once."""
        _lifelines.discard(self._lifeline)
        self._lifeline.close()

    def stop(self, grace: float = 5.0, by: signal.Signals = signal.SIGTERM) -> int:
        """Ask the process to end, kill it if it has not ended within `grace` seconds, and return its status."""
        self.send_signal(by)
        try:
            return self.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.wait()
        finally:
            self.kill()


def _let_go() -> None:
    """Close the lifelines in a fork of ours: otherwise they would not break when we end."""
    for lifeline in _lifelines:
        lifeline.close()
    _lifelines.clear()


os.register_at_fork(after_in_child=_let_go)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _keep(lifeline: socket.socket, user: str, command: list[str]) -> NoReturn:
    """Run a command until it ends or the lifeline breaks; the whole work of a reaper."""
    wake, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    for handled in (*_FORWARDED, signal.SIGCHLD):
        signal.signal(handled, lambda *_: None)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # orphans among our descendants become our children
    process = _start(command, user)
    with contextlib.suppress(OSError):
        lifeline.sendall(str(process.pid).encode())
    status = None
    while status is None:
        readable, _, _ = select.select([lifeline, wake], [], [])
        if lifeline in readable:
            status = -signal.SIGKILL
            break
        for number in wake.recv(64):
            if number != signal.SIGCHLD:
                _send(process.pid, number)
        status = _reap(process.pid)
    _end_all()
    os._exit(status if status >= 0 else 128 - status)


def _start(command: list[str], user: str) -> subprocess.Popen[bytes]:
    account = pwd.getpwnam(user) if user else None
    try:
        return subprocess.Popen(
            command,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # in case the reaper itself is killed
        )
    except OSError as error:
        print(f"{command[0]} could not be started: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)


def _reap(awaited: int) -> int | None:
    """Wait for every child that has ended and return the status of the awaited process, if it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == awaited:
                found = os.waitstatus_to_exitcode(ended[1])
    return found


def _end_all() -> None:
    """Kill every descendant of this process; each is stopped first, so that none can fork after it was listed."""
    halted: set[int] = set()
    while found := below(os.getpid()) - halted:
        for pid in found:
            _send(pid, signal.SIGSTOP)
        halted |= found
    for pid in halted:
        _send(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def below(root: int) -> set[int]:
    """Every living descendant of this process."""
    children: dict[int, list[int]] = {}
    for pid, parent in processes().items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            found.add(pid)
            waiting.append(pid)
    return found


def processes() -> dict[int, int]:
    """Every living process on this machine, with its parent."""
    if sys.platform != "linux":
        return listed_processes()
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError):
                state, parent = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    found[int(entry)] = int(parent)
    return found


def listed_processes() -> dict[int, int]:
    """Every living process by `ps`, without `ps` itself, with its parent."""
    listing = subprocess.Popen(["ps", "-A", "-o", "pid=,ppid=,stat="], stdout=subprocess.PIPE, text=True)  # noqa: S607
    rows = [line.split() for line in listing.communicate()[0].splitlines()]
    return {int(pid): int(parent) for pid, parent, state in rows if int(pid) != listing.pid and state[0] != "Z"}


if __name__ == "__main__":
    _keep(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sys.argv[3:])
