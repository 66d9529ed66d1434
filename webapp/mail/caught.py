"""The mail of a desk that `up` runs beside a practice marketplace, which takes what the desk sends, delivers nothing,
and has a mailbox with what its buyers answer.

Where its servers are is no setting: `up` says it at each start, and only where it runs a practice marketplace. A mail
server that a person entered comes first (`webapp.mail.server`).
"""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from webapp.config import configuration


@dataclass(frozen=True, slots=True)
class PracticeServer:
    """A server of a practice marketplace, on this machine and without encryption."""

    host: str
    port: int
    user: str  # also the address of the mailbox
    password: str = field(repr=False)


def server() -> PracticeServer | None:
    """The mail server (SMTP) that catches what the desk sends; it asks for no password. None: there is none."""
    return _server(configuration().practice_smtp)


def mailbox() -> PracticeServer | None:
    """The mailbox (IMAP) with what practice buyers answer, where people entered none. None: there is none."""
    return _server(configuration().practice_imap.get_secret_value())


def _server(url: str) -> PracticeServer | None:
    parts = urlsplit(url)
    if not parts.hostname or not parts.port:
        return None
    return PracticeServer(parts.hostname, parts.port, unquote(parts.username or ""), unquote(parts.password or ""))
