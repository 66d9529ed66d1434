"""The kinds of mails: what one says, and what follows once it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from webapp.errors import Refusal
from webapp.i18n import LazyString
from webapp.mail.composing import Letter

if TYPE_CHECKING:
    from webapp.mail.models import Mail


KINDS: dict[str, MailKind] = {}  # by code


class NotNow(Refusal):
    """A mail is not to leave yet: it waits, and is tried again."""


class MailKind:
    """A kind of mail. By default, what a mail says is sealed in its row when it is queued."""

    code: ClassVar[str]
    label: ClassVar[LazyString | str]
    over: ClassVar[type[Refusal] | None] = None  # why one whose time is over is not sent again; None: it may be

    def letter(self, mail: Mail) -> Letter:
        """What the mail says, read just before it leaves, in a transaction of its own. Raises `NotNow` if it has to
        wait, or another `Refusal` if it is not to leave any more; then it ends as refused.
        """
        return Letter.opened(mail.sealed or "")

    def leaves(self, mail_id: int) -> None:
        """The mail is about to be given to the server. Raises a `DeskError` if it can't be now."""

    def lock(self, mail: Mail) -> None:
        """Lock what `ended` changes; called before the mail itself is locked."""

    def ended(self, mail: Mail) -> None:
        """The mail was sent, was refused, or may have been sent; about to be committed."""


def mail_kind(kind: type[MailKind]) -> type[MailKind]:
    """Make a kind known, by decorating its class."""
    KINDS[kind.code] = kind()
    return kind
