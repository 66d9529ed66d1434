"""The mailboxes whose mail the desk reads: adding and changing them, and whose turn it is to be read.

What becomes of the mails is decided above (`webapp.messaging`). A worker claims a mailbox; the claim ends by itself if
the worker dies. A mailbox that can't be read is tried again at growing distances.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ScalarSelect, case, func, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.clock import now
from webapp.db import any_row, db
from webapp.errors import DeskError, Invalid, NotFound, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.mail import caught
from webapp.mail.imap import ImapAccount
from webapp.mail.models import Mailbox
from webapp.mail.server import PLAIN, STARTTLS, TLS
from webapp.vault.key_file import KeyProblem, open_secret, seal_secret

BEFORE = timedelta(days=30)  # mails that arrived so long before a mailbox was connected are read
PORTS = {TLS: 993, STARTTLS: 143, PLAIN: 143}
MOST = 50  # mailboxes
_PAUSE = timedelta(minutes=1)
_CLAIMED = timedelta(minutes=10)  # longer than one mail takes
_WAITS = (*(timedelta(minutes=minutes) for minutes in (1, 5, 15)), timedelta(hours=1))  # after each failure
_WHERE = ("host", "port", "user", "folder")  # a change of these makes it another mailbox


class UnknownMailbox(NotFound):
    code = "unknown_mailbox"
    sentence = _l("There is no mailbox “%(name)s”.")


class TooManyMailboxes(Refusal):
    code = "too_many_mailboxes"
    sentence = _l("There are %(most)s mailboxes already, and no more can be added. Delete one first.")


class MailboxFailed(DeskError):
    """Reading it failed with a bug, which is in the log."""

    code = "mailbox_failed"
    sentence = _l("Reading this mailbox failed. The log shows the reason.")


def every() -> Sequence[Mailbox]:
    """All mailboxes, by name."""
    return db.session.scalars(select(Mailbox).order_by(Mailbox.name, Mailbox.id)).all()


def broken() -> Sequence[Mailbox]:
    """The mailboxes that can't be read, by name."""
    return db.session.scalars(select(Mailbox).where(Mailbox.problem.is_not(None)).order_by(Mailbox.name)).all()


def broken_count() -> ScalarSelect[int]:
    """An expression for how many mailboxes can't be read."""
    return select(func.count()).select_from(Mailbox).where(Mailbox.problem.is_not(None)).scalar_subquery()


def get(mailbox_id: int) -> Mailbox:
    """The mailbox with this id; raises `UnknownMailbox`."""
    if (row := db.session.get(Mailbox, mailbox_id)) is None:
        raise UnknownMailbox(name=mailbox_id)
    return row


def add(values: Mapping[str, Any], *, actor: Actor) -> Mailbox:
    """Connect a mailbox; raises `Invalid` for what is missing."""
    check_right(actor)
    if len(every()) >= MOST:
        raise TooManyMailboxes(most=MOST)
    given = _checked(values)
    row = Mailbox(**given | {"password": seal_secret(given["password"])}, added_at=now(), next_at=now())
    db.session.add(row)
    db.session.flush()
    audit("mailbox_added", actor=actor, mailbox=row.id)
    return row


def change(row: Mailbox, values: Mapping[str, Any], *, actor: Actor) -> None:
    """Change a mailbox, and read it at once; an empty password leaves the one that is stored, unless it would be sent
    to another server.
    """
    check_right(actor)
    moved = any(values[name] != getattr(row, name) for name in ("host", "port", "security"))
    given = _checked(values, keeps_password=not moved)
    if any(given[name] != getattr(row, name) for name in _WHERE):
        row.uid_validity, row.last_uid, row.added_at = None, 0, now()
    password = given.pop("password")
    for name, value in given.items():
        setattr(row, name, value)
    if password:
        row.password = seal_secret(password)
    row.claim, row.failures, row.problem, row.next_at = None, 0, None, now()
    row.trying, row.tries = None, 0
    audit("mailbox_changed", actor=actor, mailbox=row.id)


def remove(row: Mailbox, *, actor: Actor) -> None:
    """Read a mailbox no more; what was read stays."""
    check_right(actor)
    audit("mailbox_removed", actor=actor, mailbox=row.id)
    db.session.delete(row)


def read_soon(row: Mailbox, *, actor: Actor) -> None:
    """Have a mailbox read now, whatever became of it before."""
    check_right(actor)
    row.next_at = now()


def follow_practice() -> None:
    """Have the mailbox of a practice marketplace read where it is now, at each start of `up`; it is connected unless
    people have connected others.
    """
    there, rows = caught.mailbox(), every()
    if there is None:
        return
    row = next((row for row in rows if row.user == there.user), None)
    if row is not None:
        row.host, row.port, row.password, row.next_at = there.host, there.port, seal_secret(there.password), now()
    elif not rows:
        values = {"name": "", "host": there.host, "port": there.port, "security": PLAIN, "folder": ""}
        add(values | {"user": there.user, "password": there.password}, actor=Actor.operator())


def account_of(row: Mailbox) -> ImapAccount:
    """Where a mailbox is read; raises `KeyProblem`."""
    return ImapAccount(row.host, row.port, row.security, row.user, open_secret(row.password), row.folder)


def may_see(actor: Actor) -> bool:
    """Whether mailboxes are for this actor."""
    return actor.may("settings.edit") and actor.shops is None


def check_right(actor: Actor) -> None:
    """Raise `Forbidden` unless mailboxes are for this actor."""
    actor.needs("settings.edit")
    actor.needs_all_shops()


def _checked(values: Mapping[str, Any], *, keeps_password: bool = False) -> dict[str, Any]:
    given = {name: str(values[name]).strip() for name in ("name", "host", "user", "folder")}
    given |= {name: values[name] for name in ("port", "security", "password")}
    needed = ("host", "user") if keeps_password else ("host", "user", "password")
    for name in needed:
        if not given[name]:
            raise Invalid(field=name, problem=_l("Enter a value."))
    given["folder"] = given["folder"] or "INBOX"
    given["name"] = given["name"] or given["user"]
    return given


# --- In the worker ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mailbox that this worker has claimed."""

    id: int
    claim: str
    account: ImapAccount
    added_at: datetime
    uid_validity: int | None
    last_uid: int
    failures: int

    def since(self, uid_validity: int) -> tuple[int, datetime]:
        """After which mail, and since when, the folder is read. If its numbers mean other mails than before, it is read
        again from the start; mails that may have been forgotten since are not taken twice.
        """
        since = self.added_at - BEFORE
        if self.uid_validity is None:
            return 0, since
        return (self.last_uid, since) if uid_validity == self.uid_validity else (0, max(since, now() - BEFORE))


def any_due() -> bool:
    """Whether a mailbox is to be read now."""
    return any_row(Mailbox, Mailbox.next_at <= now())


def claim(mailbox_id: int | None = None) -> Claimed | None:
    """Claim the next mailbox that is due, or this one, in the open unit of work; None if there is none, or its password
    can't be opened.
    """
    query = select(Mailbox).where(Mailbox.next_at <= now()).order_by(Mailbox.next_at, Mailbox.id).limit(1)
    if mailbox_id is not None:
        query = select(Mailbox).where(Mailbox.id == mailbox_id)
    row = db.session.scalar(query.with_for_update(skip_locked=True).execution_options(populate_existing=True))
    if row is None:
        return None
    try:
        account = account_of(row)
    except KeyProblem as problem:  # the others are read all the same
        row.problem, row.failures, row.next_at = problem.stored(), row.failures + 1, now() + _WAITS[-1]
        return None
    row.claim, row.next_at = str(uuid.uuid4()), now() + _CLAIMED
    return Claimed(row.id, row.claim, account, row.added_at, row.uid_validity, row.last_uid, row.failures)


def tries_at(mailbox: Claimed, place: str) -> int:
    """Note in the open unit of work that the mail at this place is read next; returns for how many times now, and 0 if
    the claim is lost. It counts before the mail is read, so that one of which a worker dies counts, too.
    """
    tries = case((Mailbox.trying == place, Mailbox.tries + 1), else_=1)
    statement = update(Mailbox).values(trying=place, tries=tries, next_at=now() + _CLAIMED)
    return next(iter(_moved(mailbox, statement.returning(Mailbox.tries))), 0)


def spare(mailbox: Claimed) -> None:
    """Count one try less in the open unit of work: it was no fault of the mail."""
    _moved(mailbox, update(Mailbox).values(tries=Mailbox.tries - 1).returning(Mailbox.id))


def reached(mailbox: Claimed, uid_validity: int, uid: int, *, loops: int = 0) -> bool:
    """Note in the open unit of work that all mails up to this one were read; False if the claim is lost."""
    values = {"uid_validity": uid_validity, "last_uid": uid, "next_at": now() + _CLAIMED}
    statement = update(Mailbox).values(loops=Mailbox.loops + loops, **values)
    return bool(_moved(mailbox, statement.returning(Mailbox.id)))


def finished(mailbox: Claimed, *, more: bool) -> None:
    """Give a claimed mailbox back; `more`: it has mails left that can be read at once."""
    next_at = now() if more else now() + _PAUSE
    values = {"claim": None, "failures": 0, "problem": None, "read_at": now(), "next_at": next_at}
    _moved(mailbox, update(Mailbox).values(**values).returning(Mailbox.id))


def put_off(mailbox: Claimed, problem: DeskError) -> None:
    """Give a claimed mailbox back that could not be read."""
    wait = _WAITS[min(mailbox.failures, len(_WAITS) - 1)]
    values = {"claim": None, "failures": mailbox.failures + 1, "problem": problem.stored(), "next_at": now() + wait}
    _moved(mailbox, update(Mailbox).values(**values).returning(Mailbox.id))


def _moved(mailbox: Claimed, statement: ReturningUpdate[int]) -> Sequence[int]:
    """Change a claimed mailbox; what the change returns is empty if the claim is lost."""
    mine = statement.where(Mailbox.id == mailbox.id, Mailbox.claim == mailbox.claim)
    return db.session.scalars(mine, execution_options={"synchronize_session": False}).all()
