"""A mail server on this machine, which takes what the desk sends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.ports import unused_port
from webapp.db import unit_of_work
from webapp.mail import server as desk
from webapp.settings.services import store_all


class Postbox:
    """What a server took; it refuses what is in `refused`, and once it has a mail, it `dies` instead of answering, or
    `stalls`: is silent about this one mail.
    """

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []  # of each, with those of blind copies
        self.refused: dict[str, str] = {}  # by command
        self.dies = self.stalls = False

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        envelope.mail_from = address
        return self.refused.get("MAIL", "250 OK")

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        envelope.rcpt_tos.append(address)
        return self.refused.get("RCPT", "250 OK")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if "DATA" in self.refused:
            return self.refused["DATA"]
        assert isinstance(envelope.content, bytes)
        self.recipients.append(list(envelope.rcpt_tos))
        self.mails.append(BytesParser(policy=default).parsebytes(envelope.content))
        if self.stalls:
            self.stalls = False
            await asyncio.sleep(5)
        if self.dies:
            assert server.transport is not None
            server.transport.abort()
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[Postbox]:
    """A mail server on this machine, which the desk uses."""
    box = Postbox()

    def knows(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and data.password == b"right"
        return AuthResult(success=known, handled=False)

    running = Controller(
        box, hostname="127.0.0.1", port=unused_port(), authenticator=knows, auth_require_tls=False, auth_required=False
    )
    running.start()
    try:
        set_up(port=running.port)
        yield box
    finally:
        running.stop()


def set_up(**values: Any) -> None:
    given = {"host": "127.0.0.1", "security": desk.PLAIN, "sender": "desk@example.com", "sender_name": "Mäuse & Co"}
    with unit_of_work():
        store_all(desk.MAIL, given | values)
