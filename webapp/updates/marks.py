"""The highest ids of an update, an attempt and a mail to a buyer that ever left, in a file of the data directory,
outside the database.

A database with lower ids was restored from a backup: what it calls owed may have left. The file is on the disk
before anything leaves.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import NamedTuple

from webapp.channels.connecting import ChannelError
from webapp.config import configuration
from webapp.i18n import lazy_gettext as _l


class NotKept(ChannelError):
    """Nothing is sent without the file: a database that is older than what was sent would not be detected."""

    code = "sent_not_kept"
    sentence = _l("Nothing is sent, because Waybill can't write its record of sent updates to “%(path)s”: %(problem)s")


class Mark(NamedTuple):
    update: int = 0
    attempt: int = 0
    mail: int = 0


def read() -> Mark:
    """The highest ids that ever left; None if none did. Raises `NotKept` if the file can't be read."""
    try:
        kept = json.loads(_path().read_text())
        return Mark(int(kept["update"]), int(kept["attempt"]), int(kept.get("mail", 0)))
    except FileNotFoundError:
        return Mark()
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise NotKept(path=str(_path()), problem=str(error)) from error


def note(*, update: int = 0, attempt: int = 0, mail: int = 0) -> None:
    """Record that this update, this attempt or this mail is about to leave. Raises `NotKept`."""
    try:
        _keep(Mark(update, attempt, mail))
    except OSError as error:
        raise NotKept(path=str(_path()), problem=str(error)) from error


def _keep(leaving: Mark) -> None:
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name("sent.lock"), "w") as lock:  # several workers send at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = read()
        wanted = Mark(*map(max, known, leaving))
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
