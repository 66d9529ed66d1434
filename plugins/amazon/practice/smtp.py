"""The mail server of the practice Amazon: it takes every mail and delivers none."""

import asyncio
from typing import Any, Final

from aiosmtpd.smtp import SMTP, Envelope, Session

from plugins.amazon.practice.answering import caught
from plugins.amazon.practice.mail_faults import ANSWERS
from plugins.amazon.practice.mail_store import LARGEST
from plugins.amazon.practice.practice import Practice

TAKEN: Final = "250 OK: caught, and delivered to nobody"


def protocol(practice: Practice, loop: asyncio.AbstractEventLoop) -> SMTP:
    """The protocol of one connection."""
    return SMTP(
        _Handler(practice), data_size_limit=LARGEST, hostname="practice.example",
        ident="Practice Amazon", loop=loop,
    )  # fmt: skip


class _Handler:
    """What becomes of senders, recipients and mails."""

    def __init__(self, practice: Practice) -> None:
        self._practice = practice

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if fault := self._practice.mail_faults.next("sender"):
            return ANSWERS[fault.kind]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if fault := self._practice.mail_faults.next("recipient"):
            return ANSWERS[fault.kind]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        fault = self._practice.mail_faults.next("data")
        if fault and fault.kind in ANSWERS:
            return ANSWERS[fault.kind]
        content = envelope.content
        raw = content if isinstance(content, bytes) else (content or "").encode()
        caught(self._practice, envelope.mail_from or "", envelope.rcpt_tos, raw)
        if fault and fault.kind == "data_drop" and isinstance(server.transport, asyncio.Transport):
            server.transport.abort()
        elif fault:
            await asyncio.sleep(fault.seconds)
        return TAKEN
