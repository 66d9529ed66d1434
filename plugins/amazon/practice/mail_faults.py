"""Faults of mail on purpose: a number of the next mails, or of the next readings of the mailbox, fail.

Like those of calls (`faults.py`), they are kept in memory and used in the order in which they were queued.
"""

from dataclasses import asdict, dataclass
from itertools import count
from threading import Lock
from typing import Any, Final

ANSWERS: Final = {  # the mail server's answers, by kind
    "sender_later": "451 4.3.0 Sender refused for now",
    "sender_never": "550 5.7.1 Sender refused",
    "recipient_later": "450 4.2.0 Recipient refused for now",
    "recipient_never": "550 5.1.1 No such recipient",
    "data_later": "451 4.3.2 Mail refused for now",
    "data_never": "554 5.7.1 Mail refused",
}
KINDS: Final = (
    *ANSWERS,
    "data_drop",  # the mail is taken, and the connection closes without an answer
    "data_slow",  # the mail is taken, and answered after `seconds`
    "login_refused",  # the mailbox refuses user and password
    "select_renumbered",  # the mailbox opens with a new UIDVALIDITY and new UIDs
    "fetch_drop",  # the connection closes in the middle of a mail
    "fetch_garbage",  # nonsense instead of mails
    "fetch_slow",  # mails come after `seconds`
)


class BadMailFault(Exception):
    """An impossible fault; its text says why."""


@dataclass
class MailFault:
    """One fault of mail."""

    id: int
    kind: str
    times: int = 1
    seconds: float = 0.0


class MailFaults:
    """All current faults of mail."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ids = count(1)
        self._queue: list[MailFault] = []

    def add(self, kind: str, *, times: int = 1, seconds: float = 0.0) -> MailFault:
        """Queue a fault; raises BadMailFault."""
        if kind not in KINDS:
            raise BadMailFault(f"No fault {kind!r}; there are {', '.join(KINDS)}.")
        if times < 1 or not 0 <= seconds <= 3600:
            raise BadMailFault("A fault has times from 1, and seconds up to 3,600.")
        with self._lock:
            fault = MailFault(next(self._ids), kind, times, seconds)
            self._queue.append(fault)
            return fault

    def next(self, step: str) -> MailFault | None:
        """The fault of this step (sender, recipient, data, login, select or fetch), with one use less."""
        with self._lock:
            for fault in self._queue:
                if fault.kind.startswith(f"{step}_"):
                    fault.times -= 1
                    if fault.times <= 0:
                        self._queue.remove(fault)
                    return fault
        return None

    def all(self) -> list[dict[str, Any]]:
        """The current faults."""
        with self._lock:
            return [asdict(fault) for fault in self._queue]

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._queue.clear()
