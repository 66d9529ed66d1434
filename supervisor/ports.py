"""Free ports for the processes of a desk: no two desks of a machine choose the same port."""

import fcntl
import os
import tempfile
from collections.abc import Sequence

from webapp.cli.ports import is_free, taken

_claimed: set[int] = set()


class PortTaken(Exception):
    """The requested port belongs to another program."""


def free_port(preferred: int, *, explicit: bool, host: str = "127.0.0.1", avoid: Sequence[int] = ()) -> int:
    """The preferred port, or the next free one unless it was requested; raises PortTaken if there is none.

    The port stays claimed for the life of this process, so that a desk that starts beside it does not choose it.
    """
    if preferred not in avoid and claim(preferred) and is_free(preferred, host):
        return preferred
    if explicit:
        raise PortTaken(taken(preferred, host))
    for port in range(preferred + 1, min(preferred + 100, 65536)):
        if port not in avoid and claim(port) and is_free(port, host):
            return port
    raise PortTaken(f"No port from {preferred} to {preferred + 99} on {host} is free; choose one.")


def claim(port: int) -> bool:
    """Whether no other desk of this machine has claimed the port; this process claims it."""
    if port in _claimed:
        return True
    path = os.path.join(tempfile.gettempdir(), f"waybill-port-{port}.lock")
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:  # another user's: the first to listen has it
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    _claimed.add(port)  # the file stays open
    return True
