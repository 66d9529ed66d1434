"""The highest update and attempt that ever left, kept in the data directory and outside of the database.

A database that knows less was put back from a backup: what it calls owed may have left. It is on the disk before
anything leaves.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import NamedTuple

from webapp.channels.contract import ChannelError
from webapp.config import configuration
from webapp.i18n import lazy_gettext as _l


class NotKept(ChannelError):
    """Without it a database that is older than what was sent would not be found out, so nothing is sent."""

    code = "sent_not_kept"
    sentence = _l("Nothing is sent, since the desk can't keep in “%(path)s” what it sends: %(problem)s")


class Mark(NamedTuple):
    update: int = 0
    attempt: int = 0


def read() -> Mark:
    """What ever left; nothing where nothing did. Raises `NotKept` where the file can't be read."""
    try:
        kept = json.loads(_path().read_text())
        return Mark(int(kept["update"]), int(kept["attempt"]))
    except FileNotFoundError:
        return Mark()
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise NotKept(path=str(_path()), problem=str(error)) from error


def note(*, update: int, attempt: int = 0) -> None:
    """Keep that this update, and this attempt, are about to leave. Raises `NotKept`."""
    try:
        _keep(update, attempt)
    except OSError as error:
        raise NotKept(path=str(_path()), problem=str(error)) from error


def _keep(update: int, attempt: int) -> None:
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name("sent.lock"), "w") as lock:  # several workers send at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = read()
        wanted = Mark(max(known.update, update), max(known.attempt, attempt))
        if wanted == known:
            return
        fresh = path.with_name("sent.new")
        with open(fresh, "w") as file:
            json.dump(wanted._asdict(), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _path() -> Path:
    return configuration().data_dir / "sent.json"
