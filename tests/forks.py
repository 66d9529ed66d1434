"""Processes of a desk, forked from one that has loaded it: loading takes a second, forking almost no time.

    python -m tests.forks /tmp/wbtest-…/forks.sock

A fork runs a module as `python -m` does, with its own environment and output, creates its own application, and can be
killed like any other process. The parent process has loaded the desk's modules and has no connection, thread or
application. The start of a desk, and anything about what is installed, is tested with new processes instead.
"""

import contextlib
import gc
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

from supervisor.reaper import OwnedProcess, below

ROOT = Path(__file__).resolve().parents[1]
_PATIENCE = 300.0


class Forks:
    """The loaded process, and its forks."""

    def __init__(self, folder: Path) -> None:
        self._address = str(folder / "forks.sock")
        log = folder / "forks.log"
        with log.open("wb") as out:
            self._loaded = OwnedProcess(
                [sys.executable, "-m", __name__, self._address], cwd=ROOT, stdout=out, stderr=out
            )
        deadline = time.monotonic() + _PATIENCE
        while not os.path.exists(self._address):
            if self._loaded.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Waybill could not be loaded: {log.read_text()}")
            time.sleep(0.02)

    def start(
        self, module: str, *argv: str, env: Mapping[str, str], stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]
    ) -> None:
        """Run a module as `python -m` does, in the folder of this checkout."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(self._address)
            socket.send_fds(line, [b"."], [file.fileno() for file in (stdin, stdout, stderr)])
            line.sendall(json.dumps({"argv": [module, *argv], "env": dict(env)}).encode() + b"\n")
            line.recv(1)  # once it runs

    def end_all(self) -> None:
        """Kill every fork and whatever it started; returns once none is left."""
        while left := below(self._loaded.pid) - {self._loaded.command_pid}:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)

    def close(self) -> None:
        self._loaded.kill()
        self._loaded.wait()


def serve(address: str) -> None:
    """Fork on every request, without end."""
    load()
    if threading.active_count() > 1 or _sockets():
        raise SystemExit(f"a fork would share {threading.enumerate()} {_sockets()}")
    signal.signal(signal.SIGCHLD, lambda *_: _bury())
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.new")
        listener.listen()
        os.rename(f"{address}.new", address)
        while True:
            line, _ = listener.accept()
            with line:
                _, files, _, _ = socket.recv_fds(line, 1, 3)
                with line.makefile("rb") as wishes:
                    wish = json.loads(wishes.readline())
                if os.fork():
                    line.sendall(b".")
                else:
                    listener.close()
                    line.close()
                    _become(wish["argv"], wish["env"], files)
            for file in files:
                os.close(file)


def load() -> None:
    """Load the modules that processes of a desk load."""
    from webapp import create_app

    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"WAYBILL_DATA_DIR": folder, "DATABASE_URL": "", "REDIS_URL": ""}
        create_app()


def _bury() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _sockets() -> list[str]:
    folder = "/proc/self/fd"
    if sys.platform != "linux":
        return []
    files = (os.path.join(folder, name) for name in os.listdir(folder))
    return [where for file in files if os.path.islink(file) and (where := os.readlink(file)).startswith("socket:")]


def _become(argv: list[str], env: dict[str, str], files: Iterable[int]) -> None:
    """Run the module in this fork, and end."""
    from webapp.config import configuration

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(env)
    configuration.cache_clear()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.argv = argv
    status = 1
    try:
        runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1 if ended.code else 0
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
