"""The queue of outgoing mail, and the mailboxes whose mail is read."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Model
from webapp.i18n import LazyString, lazy_gettext as _l, lazy_pgettext


class MailState(StrEnum):
    """The state of a mail: queued → leaving → sent | refused | unknown; one that can't be sent now is queued again, and
    one that waits can be undone.
    """

    QUEUED = "queued"
    LEAVING = "leaving"  # the server is being given its text: from now on nobody can know that it has not left
    SENT = "sent"  # the server took it
    REFUSED = "refused"
    UNKNOWN = "unknown"  # the server may have it: it is sent again only if a person says so
    UNDONE = "undone"


STATE_LABELS: dict[str, LazyString] = {
    MailState.QUEUED: _l("Queued"),
    MailState.LEAVING: _l("Sending"),
    MailState.SENT: lazy_pgettext("mail", "Sent"),
    MailState.REFUSED: lazy_pgettext("mail", "Refused"),
    MailState.UNKNOWN: lazy_pgettext("mail", "Unknown"),
    MailState.UNDONE: _l("Undone"),
}
STATE_TONES = {
    MailState.QUEUED: "waits",
    MailState.LEAVING: "info",
    MailState.SENT: "good",
    MailState.REFUSED: "bad",
    MailState.UNKNOWN: "warn",
    MailState.UNDONE: "calm",
}
ENDED_STATES = (MailState.SENT, MailState.REFUSED, MailState.UNKNOWN)
UNSENT_STATES = (MailState.QUEUED, MailState.LEAVING)
UNSENT = "state IN ('queued', 'leaving')"  # the condition of an index: queries must repeat it literally
SEALED_ONES = "source_id IS NULL"  # so, too


class Mail(Model):
    """A mail that is to leave, or has left. `sealed` is what it says and to whom (a `webapp.mail.composing.Letter`);
    it is forgotten once the mail has left. A mail with a source has nothing sealed: it is written when it leaves.
    """

    __tablename__ = "mails"
    __table_args__ = (
        CheckConstraint("sealed IS NOT NULL OR source_id IS NOT NULL OR state = 'sent'", name="sealed_until_sent"),
        Index("ix_mails_due", "next_at", "id", sqlite_where=text(UNSENT), postgresql_where=text(UNSENT)),
        Index("ix_mails_created_at", "created_at", "id"),
        Index("ix_mails_forgotten", "created_at", sqlite_where=text(SEALED_ONES), postgresql_where=text(SEALED_ONES)),
        {"sqlite_autoincrement": True},  # the id is in the Message-ID: ids are never reused
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]  # the code of a `webapp.mail.contract.MailKind`
    source_id: Mapped[int | None]  # what it is made of, by its kind
    state: Mapped[str] = mapped_column(default=MailState.QUEUED)
    sealed: Mapped[str | None]
    created_at: Mapped[datetime]
    next_at: Mapped[datetime]  # when it is tried next, or when the worker that sends it counts as dead
    ends_at: Mapped[datetime]  # it is not tried any more then
    tries: Mapped[int] = mapped_column(default=0)
    claim: Mapped[str | None]  # of the worker that sends it
    sent_at: Mapped[datetime | None]
    problem: Mapped[dict[str, Any] | None]  # why the last try failed: a stored DeskError


class Mailbox(Model):
    """A folder of mails on an IMAP server, which the desk reads and never changes. Mails have rising numbers (UIDs) as
    long as the folder's `uid_validity` stays the same.
    """

    __tablename__ = "mailboxes"
    __table_args__ = ({"sqlite_autoincrement": True},)  # mails name their mailbox by its id: ids are never reused

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    host: Mapped[str]
    port: Mapped[int]
    security: Mapped[str]
    user: Mapped[str]
    password: Mapped[str]  # sealed
    folder: Mapped[str]
    added_at: Mapped[datetime]
    uid_validity: Mapped[int | None] = mapped_column(BigInteger)  # None until it was read
    last_uid: Mapped[int] = mapped_column(BigInteger, default=0)
    trying: Mapped[str | None]  # the mail that is read, or at which the last reading ended: "<uid_validity>:<uid>"
    tries: Mapped[int] = mapped_column(default=0, server_default="0")  # at this mail
    next_at: Mapped[datetime]  # when it is read next, or when the worker that reads it counts as dead
    claim: Mapped[str | None]  # of the worker that reads it
    failures: Mapped[int] = mapped_column(default=0)  # in a row
    problem: Mapped[dict[str, Any] | None]  # why it could not be read last time: a stored DeskError
    read_at: Mapped[datetime | None]
    loops: Mapped[int] = mapped_column(default=0)  # mails of the desk's own that came back, which are left out
