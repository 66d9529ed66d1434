"""The highest update and attempt that ever left, kept in the data directory and outside of the database.

A database that knows less was put back from a backup: what it calls owed may have left. It is on the disk before
anything leaves.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import NamedTuple

from webapp.config import configuration


class Mark(NamedTuple):
    update: int = 0
    attempt: int = 0


def read() -> Mark:
    """What ever left; nothing where nothing did. Raises `ValueError` where the file can't be read."""
    try:
        kept = json.loads(_path().read_text())
        return Mark(int(kept["update"]), int(kept["attempt"]))
    except FileNotFoundError:
        return Mark()
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{_path()} says nothing of what ever left: it is no longer whole") from error


def note(*, update: int, attempt: int = 0) -> None:
    """Keep that this update, and this attempt, are about to leave."""
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
