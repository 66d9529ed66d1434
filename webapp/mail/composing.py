"""A mail as it is kept until it leaves, and as it leaves."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hmac import compare_digest, digest as hmac_digest

from webapp.config import configuration
from webapp.i18n import gettext as _
from webapp.mail.server import Sender, ascii_address
from webapp.vault.key_file import derive, open_secret, seal_secret

_ANY_ID = re.compile(r"<[!-;=?-~]{1,250}>")  # as headers can have it
_OWN_ID = re.compile(r"<waybill-(\d{1,18})-([0-9a-f]{32})@[^<>\s]+>")


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file that goes with a mail or a message; `draw` makes its content when that leaves, and uses no database."""

    name: str
    media_type: str
    draw: Callable[[], bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Letter:
    """What a mail says, and to whom. The rest is for letters that are written as they leave: the desk's own sender
    unless another is given, who gets blind copies, the Message-ID of the mail that it answers.
    """

    to: str
    subject: str
    text: str
    sender: Sender | None = None
    reply_to: str = ""
    copies: Sequence[str] = ()
    answers: str = ""
    files: Sequence[AttachedFile] = ()
    automatic: bool = True  # the desk wrote it, not a person: nobody's holiday notice should answer it

    def sealed(self) -> str:
        """Its recipient and words alone, sealed."""
        return seal_secret(json.dumps({"to": self.to, "subject": self.subject, "text": self.text}))

    @classmethod
    def opened(cls, sealed: str) -> "Letter":
        """A letter from its sealed form; raises `KeyProblem`."""
        return cls(**json.loads(open_secret(sealed)))


def compose(letter: Letter, desk: Sender, number: int, at: datetime) -> EmailMessage:
    """The mail with this number in the queue; one that is tried again keeps its Message-ID. Raises `NoSuchAddress`."""
    sender = letter.sender or desk
    message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))  # servers need not take eight bits
    message["From"] = Address(_one_line(sender.name), addr_spec=ascii_address(sender.address))
    message["To"] = Address(addr_spec=ascii_address(letter.to))
    if letter.reply_to:
        message["Reply-To"] = Address(addr_spec=ascii_address(letter.reply_to))
    message["Subject"] = _one_line(letter.subject)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = message_id(number, at, message["From"].addresses[0].domain)
    if _ANY_ID.fullmatch(letter.answers):
        message["In-Reply-To"] = message["References"] = letter.answers
    if letter.automatic:
        message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    for file in letter.files:
        main, _slash, sub = file.media_type.partition("/")
        message.add_attachment(file.draw(), maintype=main, subtype=sub, filename=file.name)
    return message


def _one_line(text: str) -> str:
    return " ".join(text.split())


def message_id(number: int, at: datetime, domain: str) -> str:
    """The Message-ID of the mail with this number, put into the queue at this moment: the same for each try, and
    nobody else can make it, so that nobody puts a mail into the thread of an order by inventing what it answers.
    """
    return f"<waybill-{number}-{_proof(number, at)}@{domain}>"


def number_of(message_id: str) -> int | None:
    """The number in the queue of the mail of ours with this Message-ID; None if it does not look like one of ours."""
    found = _OWN_ID.fullmatch(message_id)
    return int(found[1]) if found else None


def is_of(message_id: str, number: int, at: datetime) -> bool:
    """Whether this is the Message-ID of the mail with this number, put into the queue at this moment."""
    found = _OWN_ID.fullmatch(message_id)
    return found is not None and int(found[1]) == number and compare_digest(found[2], _proof(number, at))


def _proof(number: int, at: datetime) -> str:
    key = derive(configuration().secret_value(), b"desk", "message-ids")
    return hmac_digest(key, f"{number} {at:%Y%m%d%H%M%S}".encode(), "sha256").hex()[:32]


def trial_letter(to: str) -> Letter:
    """What somebody sends to see whether mail works."""
    return Letter(to, _("E-mail from Waybill works"), _("This is a test. Waybill can send e-mails."))
