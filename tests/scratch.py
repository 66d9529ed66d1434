"""The folder of this test process for temporary files and servers: its path is short enough for sockets; deleted at
the end.

A killed process leaves its folder; the next one removes it, since nobody holds its lock any more.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import IO

_PREFIX = "wbtest-"


@cache
def folder() -> Path:
    """The folder, created on the first call. Every user may enter it: PostgreSQL runs as another user."""
    remove_the_dead()
    made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_parent()))
    made.chmod(0o711)
    lock = (made / "owner").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)  # open while this process lives
    atexit.register(_remove, made, lock, os.getpid())
    return made


def remove_the_dead() -> None:
    """Remove the folders of test processes that were killed."""
    for left in _parent().glob(_PREFIX + "*"):
        try:
            with (left / "owner").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue


def _parent() -> Path:
    usual = tempfile.gettempdir()
    return Path(usual if len(usual) < 60 else "/tmp")  # the path of a socket has 108 bytes on Linux, 104 on macOS


def _remove(made: Path, lock: IO[str], owner: int) -> None:
    lock.close()
    if os.getpid() == owner:  # a fork that exits normally runs this too
        shutil.rmtree(made, ignore_errors=True)
