"""A stream for logs into which several processes write: each entry is written whole, however long it is.

The web process and its forks share one standard error, commands share one file. The system keeps writes into a pipe
together only up to 4096 bytes, and a buffered stream cuts an entry at the end of its buffer. Here an entry is collected
until it is flushed, and is then written under a lock that all processes of the same pipe, file or terminal respect.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from typing import TextIO

_writing = threading.RLock()  # the lock between processes does not exclude threads; a signal handler may log, too


def _begin_again() -> None:
    """Renew the lock after a fork: the thread that holds it may not exist in the fork."""
    global _writing
    _writing = threading.RLock()


os.register_at_fork(after_in_child=_begin_again)


class WholeLines:
    """Writes at once what a thread wrote since its last flush; raises OSError if the stream can't be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._parts = threading.local()

    def write(self, text: str) -> int:
        self._collected().append(text)
        return len(text)

    def flush(self) -> None:
        parts = self._collected()
        text = "".join(parts)
        parts.clear()
        if not text:
            return
        try:
            number = self._stream.fileno()
        except (OSError, AttributeError, ValueError):  # a stream in memory, or none: only this process writes to it
            self._stream.write(text)
            self._stream.flush()
            return
        left = memoryview(text.encode(errors="backslashreplace"))
        with _writing, _alone(number):
            self._stream.flush()
            while left:
                left = left[os.write(number, left) :]

    def _collected(self) -> list[str]:
        parts: list[str] = self._parts.__dict__.setdefault("parts", [])
        return parts


@contextlib.contextmanager
def _alone(number: int) -> Iterator[None]:
    """Keep the other processes from writing; a record lock, since forks share locks of the other kind."""
    try:
        fcntl.lockf(number, fcntl.LOCK_EX)
    except OSError:  # a system or a stream without such locks: as well as possible
        yield
        return
    try:
        yield
    finally:
        fcntl.lockf(number, fcntl.LOCK_UN)
