"""Reading a mail: its headers and text for the page, and what an answer to it needs.

Mails may be broken in any way: what can't be decoded is shown as far as it goes.
"""

import re
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import compat32, default
from email.utils import parseaddr
from typing import Final

MESSAGE_ID: Final = re.compile(r"<[!-;=?-~]+>")
LONGEST: Final = 100_000  # characters of a text that are shown


@dataclass(frozen=True)
class Reading:
    """What a mail says."""

    headers: tuple[tuple[str, str], ...]  # all of them, in their order
    text: str
    is_html: bool  # the text is HTML, as source
    attachments: tuple[tuple[str, str, int], ...]  # name, type, bytes

    def header(self, name: str) -> str:
        """The first value of a header; empty: it has none."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), "")

    @property
    def answer_to(self) -> str:
        """The address to which an answer goes."""
        return parseaddr(self.header("Reply-To") or self.header("From"))[1]

    def ids(self, name: str) -> list[str]:
        """The message ids in a header."""
        return MESSAGE_ID.findall(self.header(name))


def read(raw: bytes) -> Reading:
    """Read a mail, however broken it is."""
    try:
        message = BytesParser(policy=default).parsebytes(raw)
        headers = tuple((_clean(name), _clean(value)) for name, value in message.items())
    except Exception:  # the parser of headers fails on some that are broken
        message = BytesParser(policy=default).parsebytes(b"\r\n" + raw.partition(b"\r\n\r\n")[2])
        old = BytesParser(policy=compat32).parsebytes(raw)
        headers = tuple((_clean(name), _clean(value)) for name, value in old.items())
    body = message.get_body(("plain", "html"))
    text = _text(body) if isinstance(body, EmailMessage) else ""
    is_html = body is not None and body.get_content_subtype() == "html"
    text = "\n".join(_clean(line, keep_spaces=True) for line in text[:LONGEST].splitlines())
    return Reading(headers, text, is_html, tuple(_attachment(part) for part in message.iter_attachments()))


def _clean(value: object, *, keep_spaces: bool = False) -> str:
    """A text that can be stored and shown, on one line; bytes that are no letters become question marks."""
    text = str(value).encode("utf-8", "replace").decode()
    return text if keep_spaces else " ".join(text.split())


def _text(part: EmailMessage) -> str:
    try:
        return str(part.get_content())
    except (LookupError, ValueError):  # a character set that is unknown or wrong
        content = part.get_payload(decode=True)
        return content.decode("latin-1") if isinstance(content, bytes) else ""


def _attachment(part: EmailMessage) -> tuple[str, str, int]:
    content = part.get_payload(decode=True)
    size = len(content) if isinstance(content, bytes) else len(part.as_bytes())
    return _clean(part.get_filename() or ""), part.get_content_type(), size
