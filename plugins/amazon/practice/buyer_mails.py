"""Mails of buyers: an answer to a mail or to a message, in one of the forms in which such mails arrive."""

import html
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import SMTP, compat32
from email.utils import format_datetime, formataddr
from secrets import token_hex
from typing import Final

from plugins.amazon.practice.buyer_words import ABOUT_ORDER, AWAY, OUTLOOK, STRAY, day_and_time, wrote
from plugins.amazon.practice.marketplaces import MAILBOX

HOWS: Final = ("plain", "html", "japanese", "auto_reply", "bounce", "attachment", "loop", "new", "stray")
OF_MAILS: Final = frozenset({"bounce", "loop"})  # a message through the Messaging API neither bounces nor comes back
ADDRESS: Final = re.compile(r"[\w.+!#$%&'*/=?^`{|}~-]+@[\w-]+(\.[\w-]+)*", re.ASCII)
JAPANESE: Final = "iso-2022-jp"
OLD: Final = compat32.clone(linesep="\r\n")
PHOTO: Final = bytes.fromhex(  # one gray pixel
    "89504e470d0a1a0a0000000d494844520000000100000001080000000" + "03a7e9b550000000a4944415408d763a80f00010401"
    "8180f3b1e20000000049454e44ae426082"
)


class BadAnswer(Exception):
    """An answer that no buyer can give; its text says why."""


@dataclass(frozen=True)
class Original:
    """What a buyer answers: a mail, or a message through the Messaging API."""

    buyer: str  # the address that answers
    name: str  # of the buyer; may be empty
    desk: str  # the address that is answered
    subject: str  # of an answer
    text: str
    at_ms: int
    language: str
    order_id: str = ""
    message_id: str = ""
    references: str = ""
    raw: bytes = field(default=b"", repr=False)  # of a mail

    @property
    def quote(self) -> str:
        """The text as answers quote it; empty if there is none."""
        if not self.text.strip():
            return ""
        lines = (f"> {line}".rstrip() for line in self.text.rstrip().splitlines())
        return "\n".join((wrote(self.language, self.at_ms, self.desk), *lines))


def is_address(text: str) -> bool:
    """Whether a mail can be from there, or go there."""
    return ADDRESS.fullmatch(text) is not None


def compose(how: str, original: Original, subject: str, text: str, at_ms: int) -> bytes:
    """A buyer's mail, as it is put into the mailbox; `text` is used as it is. Raises BadAnswer."""
    if how not in HOWS:
        raise BadAnswer(f"No answer {how!r}; there are {', '.join(HOWS)}.")
    if how in OF_MAILS and not original.raw:
        raise BadAnswer("Only a mail can come back.")
    if how == "new" and not original.order_id:
        raise BadAnswer("It names no order: enter an order number.")
    subject = " ".join((subject or original.subject).split())
    if how == "loop":
        return _loop(original, at_ms)
    if how == "bounce":
        return _bounce(original, at_ms).as_bytes(policy=OLD)
    if how == "japanese":
        return _japanese(original, subject, text, at_ms).as_bytes(policy=OLD)
    return _mail(how, original, subject, text, at_ms).as_bytes()


def _mail(how: str, original: Original, subject: str, text: str, at_ms: int) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    own = text.replace(original.quote, "").rstrip() if original.quote else text
    if how == "html":
        mail.set_content(_outlook(original, own), subtype="html")
    else:
        mail.set_content(own if how in ("new", "stray") else text)
    buyer, name = original.buyer, original.name
    if how in ("new", "stray"):
        buyer, name = "buyer@mail.example", ""
        words = (ABOUT_ORDER if how == "new" else STRAY)[original.language]
        if subject == original.subject:
            subject = words.format(order=original.order_id)
        elif how == "new" and original.order_id not in subject:
            subject = f"{subject} {original.order_id}"
    elif how == "auto_reply":
        subject = AWAY[original.language].format(subject=subject.removeprefix("Re: "))
        mail["Auto-Submitted"] = "auto-replied"
        mail["X-Auto-Response-Suppress"] = "All"
        mail["Precedence"] = "bulk"
    elif how == "attachment":
        mail.add_attachment(PHOTO, "image", "png", filename="Photo dégât.png")
    mail["Return-Path"] = f"<{buyer}>"
    mail["From"] = Address(name, addr_spec=buyer)
    mail["To"] = Address(addr_spec=original.desk)
    mail["Subject"] = subject
    mail["Date"] = _date(at_ms)
    mail["Message-ID"] = _new_id(buyer)
    if original.message_id and how not in ("new", "stray"):
        mail["In-Reply-To"] = original.message_id
        mail["References"] = f"{original.references} {original.message_id}".strip()
    return mail


def _outlook(original: Original, text: str) -> str:
    """An answer as Outlook writes it: HTML alone, with the mail that it answers below a line."""
    words = OUTLOOK[original.language]
    values = (original.desk, day_and_time(original.at_ms), original.buyer, original.subject.removeprefix("Re: "))
    headers = "<br>".join(f"<b>{word}</b> {html.escape(value)}" for word, value in zip(words, values, strict=True))
    return (
        "<html><head><style>p.MsoNormal {margin: 0cm; font-family: Calibri, sans-serif}</style></head>"
        f'<body lang="{original.language}"><div class="WordSection1">{_paragraphs(text)}'
        '<img src="https://images.example/logo.gif" width="1" height="1" alt="">'
        '<div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm">'
        f'<p class="MsoNormal">{headers}</p></div>{_paragraphs(original.text)}</div></body></html>'
    )


def _paragraphs(text: str) -> str:
    return "".join(f'<p class="MsoNormal">{html.escape(line) or "&nbsp;"}</p>' for line in text.splitlines())


def _japanese(original: Original, subject: str, text: str, at_ms: int) -> Message:
    """A text in ISO-2022-JP, seven bits wide; letters that it lacks become question marks."""
    mail = MIMEText(_lacking(text), "plain", JAPANESE)
    mail["Return-Path"] = f"<{original.buyer}>"
    mail["From"] = formataddr((_lacking(original.name), original.buyer), JAPANESE)
    mail["To"] = original.desk
    mail["Subject"] = Header(_lacking(subject), JAPANESE).encode()
    mail["Date"] = format_datetime(_date(at_ms))
    mail["Message-ID"] = _new_id(original.buyer)
    if original.message_id:
        mail["In-Reply-To"] = original.message_id
        mail["References"] = f"{original.references} {original.message_id}".strip()
    return mail


def _lacking(text: str) -> str:
    return text.encode(JAPANESE, "replace").decode(JAPANESE)


def _bounce(original: Original, at_ms: int) -> Message:
    """A mail server's report that the mail could not be delivered, with the headers of the mail."""
    server = original.buyer.rpartition("@")[2]
    mail = MIMEMultipart("report", report_type="delivery-status")
    mail["Return-Path"] = "<>"
    mail["From"] = f"Mail Delivery System <MAILER-DAEMON@{server}>"
    mail["To"] = original.desk
    mail["Subject"] = "Undelivered Mail Returned to Sender"
    mail["Date"] = format_datetime(_date(at_ms))
    mail["Message-ID"] = _new_id(original.buyer)
    mail["Auto-Submitted"] = "auto-replied"
    reason = f"550 5.1.1 <{original.buyer}>: Recipient address rejected"
    mail.attach(MIMEText(f"Your message could not be delivered.\n\n<{original.buyer}>: {reason}\n"))
    status = MIMEBase("message", "delivery-status")
    for fields in (
        {"Reporting-MTA": f"dns; {server}"},
        {
            "Final-Recipient": f"rfc822; {original.buyer}",
            "Action": "failed",
            "Status": "5.1.1",
            "Diagnostic-Code": f"smtp; {reason}",
        },
    ):
        group = Message()
        for name, value in fields.items():
            group[name] = value
        status.attach(group)
    mail.attach(status)
    headers = MIMEBase("text", "rfc822-headers")
    headers.set_payload(original.raw.partition(b"\r\n\r\n")[0].decode("ascii", "replace") + "\r\n")
    mail.attach(headers)
    return mail


def _loop(original: Original, at_ms: int) -> bytes:
    """The mail itself, which came back by a forwarding of the buyer."""
    server = original.buyer.rpartition("@")[2]
    trace = (
        f"Return-Path: <{original.buyer}>\r\nDelivered-To: {original.desk}\r\n"
        f"Received: from {server} by {MAILBOX.rpartition('@')[2]}; {format_datetime(_date(at_ms))}\r\n"
    )
    return trace.encode() + original.raw


def _date(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC)


def _new_id(buyer: str) -> str:
    return f"<{token_hex(12)}@{buyer.rpartition('@')[2]}>"
