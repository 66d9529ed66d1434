"""A mail as it is kept until it leaves, and as it leaves."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from webapp.i18n import gettext as _
from webapp.mail.server import Sender, ascii_address
from webapp.vault.key_file import open_secret, seal_secret


@dataclass(frozen=True, slots=True)
class Letter:
    """What a mail says, and to whom."""

    to: str
    subject: str
    text: str

    def sealed(self) -> str:
        return seal_secret(json.dumps(asdict(self)))

    @classmethod
    def opened(cls, sealed: str) -> "Letter":
        """A letter from its sealed form; raises `KeyProblem`."""
        return cls(**json.loads(open_secret(sealed)))


def compose(letter: Letter, sender: Sender, number: int, at: datetime) -> EmailMessage:
    """The mail with this number in the queue; one that is tried again keeps its Message-ID. Raises `NoSuchAddress`."""
    message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))  # servers need not take eight bits
    message["From"] = Address(sender.name, addr_spec=sender.address)
    message["To"] = Address(addr_spec=ascii_address(letter.to))
    message["Subject"] = " ".join(letter.subject.split())
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<waybill-{number}-{at:%Y%m%d%H%M%S}@{sender.address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message


def trial_letter(to: str) -> Letter:
    """What somebody sends to see whether mail works."""
    return Letter(to, _("Mail from Waybill works"), _("If you read this, the desk can send mail."))
