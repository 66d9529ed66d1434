"""Taking received mails in: to the order that each belongs to, or into the inbox.

A mail is taken in once, however often and from however many mailboxes it is read. What it says is sealed under the
order's key; in the inbox, and for an order whose buyer was erased, under the week's key, and then goes after 30 days.
"""

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

import structlog
from sqlalchemy import delete, func, select, update

from webapp.audit.actor import Actor
from webapp.channels.legal_face import REPLY_TO, SENDER as SENDER_OF_SHOP, SENDER_ADDRESS
from webapp.clock import now
from webapp.db import any_row, db, insert_into, unit_of_work, write_rows
from webapp.errors import DeskError
from webapp.jobs import TimeOver
from webapp.jobs.runs import passes
from webapp.mail import mailboxes
from webapp.mail.imap import Fetched, Folder, Listed, opened
from webapp.mail.mailboxes import Claimed, MailboxFailed
from webapp.mail.reading import MailSort, ReadMail, hashed_id, read_mail
from webapp.mail.server import SENDER, ServerUnreachable
from webapp.messaging import received_words as words
from webapp.messaging.matching import Match, mail_of, match, message_of, order_of_reference
from webapp.messaging.models import (
    UNREADABLE,
    Direction,
    Matched,
    Message,
    ReceivedMail,
    Route,
    SaidByMail,
    SaidFile,
)
from webapp.messaging.sealing import SEALED
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.queries import locked_all
from webapp.orders.services import raise_attention
from webapp.settings.declared import SHOP
from webapp.settings.stored import stored_everywhere
from webapp.vault import files, services as vault
from webapp.vault.models import VaultFile, VaultFileOrder

log = structlog.get_logger(__name__)
FILES = "mail"  # the kind of the sealed files of a received mail
KEPT = timedelta(days=30)  # mails under the week's key
MOST_OF_INBOX = 1_000_000_000  # bytes of files that belong to no order
LEAST_FREE = 2_000_000_000  # bytes on the disk that files of mails leave free
CHUNK = 50  # mails of one mailbox that are read in a run
_LONGEST_RUN = 20.0  # seconds after which a run leaves the rest to the next
_WITH_ORDER = timedelta(days=3650)  # files under an order go with its buyer's data; at the latest then
_TRIES = 3  # readings that may end at one mail
_LONGEST_RAW = 200_000  # characters of an unreadable mail that are kept
_BY = Actor.job("mail")
_EVENTS = {MailSort.ANSWER: words.ANSWERED, MailSort.AUTOMATIC: words.AUTOMATIC, MailSort.BOUNCE: words.BOUNCED_EVENT}


class Taken(StrEnum):
    """What became of a mail that was read."""

    ORDER = "order"
    INBOX = "inbox"
    UNREADABLE = "unreadable"
    KNOWN = "known"  # it was taken in before
    OLD = "old"  # it arrived too long before the mailbox was connected
    LOOP = "loop"


@dataclass(frozen=True, slots=True)
class MailboxRead:
    """What one reading of a mailbox found; `problem` says why it ended early."""

    mailbox_id: int
    taken: Counter[Taken]
    more: bool
    problem: DeskError | None = None


def read_next(mailbox_id: int | None = None, *, most: int = CHUNK) -> MailboxRead | None:
    """Read new mails of the mailbox that is due, or of this one; opens a unit of work for each mail. None if no mailbox
    is due.
    """
    with unit_of_work():
        mailbox = mailboxes.claim(mailbox_id)
    if mailbox is None:
        return None
    taken: Counter[Taken] = Counter()
    problem: DeskError
    try:
        with opened(mailbox.account) as folder:
            more = _read(mailbox, folder, most, taken)
    except DeskError as error:
        problem = error
    except Exception:
        with unit_of_work():
            mailboxes.put_off(mailbox, MailboxFailed())
        raise
    else:
        with unit_of_work():
            mailboxes.finished(mailbox, more=more)
        return MailboxRead(mailbox.id, taken, more)
    with unit_of_work():
        mailboxes.put_off(mailbox, problem)
    return MailboxRead(mailbox.id, taken, False, problem)


def _read(mailbox: Claimed, folder: Folder, most: int, taken: Counter[Taken]) -> bool:
    """Take in the next mails of a folder; returns whether more are left."""
    until = time.monotonic() + _LONGEST_RUN
    after, since = mailbox.since(folder.uid_validity)
    uids = folder.new_uids(after, since)
    for uid in uids[:most]:
        with unit_of_work():
            tries = mailboxes.tries_at(mailbox, f"{folder.uid_validity}:{uid}")
        if not tries:
            return True
        other = next((one for one in reversed(uids) if one != uid), None)
        result = _read_one(mailbox, folder, uid, since, tries, other)
        taken[result] += 1
        with unit_of_work():
            mine = mailboxes.reached(mailbox, folder.uid_validity, uid, loops=int(result is Taken.LOOP))
        if not mine or time.monotonic() > until:
            return True
    return len(uids) > most


def _read_one(
    mailbox: Claimed, folder: Folder, uid: int, since: datetime, tries: int, other: int | None = None
) -> Taken:
    """Fetch a mail and take it in. One at which so many readings ended is left in the mailbox, and holds up no other;
    before that, its beginning alone is asked for. A lost connection counts only if the server then gives `other`.
    """
    if tries > _TRIES:
        log.warning("mail_left", mailbox=mailbox.id)
        left = words.MailNotGiven(tries=_TRIES)
        return _keep_unreadable(mailbox.id, Listed(uid, 0, now()), left, f"{mailbox.id}:{folder.uid_validity}:{uid}")
    try:
        found = folder.fetch(uid, beginning=tries == _TRIES)
    except DeskError as error:
        if isinstance(error, ServerUnreachable) and not _answers(mailbox, other):
            with unit_of_work():
                mailboxes.spare(mailbox)
            raise
        raise words.MailHoldsUp(problem=error) from None
    if found is None or found.listed.arrived_at < since:
        return Taken.OLD
    try:
        return _take_safely(mailbox.id, found)
    except Exception as error:
        if isinstance(error, DeskError) or passes(error):
            with unit_of_work():
                mailboxes.spare(mailbox)
        raise


def _answers(mailbox: Claimed, uid: int | None) -> bool:
    """Whether the server can be reached again, and gives this mail if there is one. It is the newest, so that of two
    mails at which connections break, the next that arrives shows that the server works.
    """
    try:
        with opened(mailbox.account) as folder:
            if uid is not None:
                folder.fetch(uid, beginning=True)
    except ServerUnreachable:
        return False
    except DeskError:  # it has answered
        return True
    return True


def _take_safely(mailbox_id: int, found: Fetched) -> Taken:
    """Take a mail in; one that can't be read is kept as it came, and holds up no other."""
    try:
        return take_in(mailbox_id, read_mail(found.raw, is_cut=found.is_cut), found.listed)
    except (DeskError, TimeOver):
        raise
    except Exception as error:
        if passes(error):  # it is no fault of the mail, which is read again
            raise
        log.warning("mail_unreadable", mailbox=mailbox_id, error=type(error).__name__)  # nothing of the mail itself
    return _keep_unreadable(mailbox_id, found.listed, words.MailUnreadable(), found.raw)


def _keep_unreadable(mailbox_id: int, listed: Listed, problem: DeskError, raw: bytes | str) -> Taken:
    """Keep in the inbox why a mail can't be read, with what came; or of one that did not come, only where it is."""
    said = _said_of(None, [])
    if isinstance(raw, bytes):
        said["text"] = raw[:_LONGEST_RAW].decode("latin-1").replace("\0", "")
    with unit_of_work():
        row = _row(mailbox_id, sha256(raw if isinstance(raw, bytes) else raw.encode()).hexdigest(), UNREADABLE, listed)
        if row is None:
            return Taken.KNOWN
        row.problem = problem.stored()
        seal_apart(row, said)
    return Taken.UNREADABLE


def take_in(mailbox_id: int, mail: ReadMail, listed: Listed) -> Taken:
    """Take a mail in that was read, in a unit of work of its own."""
    if mail.sort is MailSort.LOOP:
        if mail_of(mail.message_id) is not None:
            return Taken.LOOP
        mail = replace(mail, sort=MailSort.ANSWER)  # from another merchant's desk
    own = _own_addresses()
    if mail.sender in own:
        if not mail.reply_to or mail.reply_to in own:
            return Taken.LOOP
        mail = replace(mail, sender=mail.reply_to)  # such as from the contact form of the shop's site
    if any_row(ReceivedMail, ReceivedMail.fingerprint == mail.fingerprint):
        return Taken.KNOWN
    with _sealed_files(mail) as written, unit_of_work():
        row = _row(mailbox_id, mail.fingerprint, mail.sort, listed)
        if row is None:
            _discard(written)
            return Taken.KNOWN
        row.reference = hashed_id(mail.message_id) if mail.message_id else ""
        found = _match(mail, row)
        order = next(iter(locked_all([found.order_id], _BY)), None) if found.order_id is not None else None
        if order is None and not _have_room(written):
            log.warning("mail_files_not_kept", mailbox=mailbox_id, why="the inbox has too many")
            _discard(written)
            written.clear()
        for position, writer in written:
            writer.keep(FILES, row.id, position, expires_at=now() + KEPT)
        said = _said_of(mail, [position for position, _writer in written])
        if order is None:
            seal_apart(row, said)
            return Taken.INBOX
        row.from_buyer = found.from_buyer
        put(row, order, said, found.how, actor=_BY)
    return Taken.ORDER


def _own_addresses() -> set[str]:
    """The addresses from which the desk and its shops write, and those to which they ask for answers."""
    found = [SENDER.of()]
    for setting in (SENDER_ADDRESS, REPLY_TO):
        found += stored_everywhere(SHOP, SENDER_OF_SHOP.code, setting.name).values()
    return {address.strip().lower() for address in found} - {""}


def _row(mailbox_id: int, fingerprint: str, sort: str, listed: Listed) -> ReceivedMail | None:
    """The new row of a mail; None if there is one already, perhaps from another mailbox a moment ago."""
    values = {"mailbox_id": mailbox_id, "fingerprint": fingerprint, "sort": sort, "received_at": listed.arrived_at}
    insert = insert_into(ReceivedMail).values(reference="", from_buyer=False, period="", **values)
    statement = insert.on_conflict_do_nothing(index_elements=["fingerprint"]).returning(ReceivedMail.id)
    row_id = db.session.scalar(statement)
    return None if row_id is None else db.session.get_one(ReceivedMail, row_id)


def _match(mail: ReadMail, row: ReceivedMail) -> Match:
    """The order of a mail; of one that came back, also the message that it carried."""
    if mail.bounced is None:
        return match(mail)
    row.problem = words.NotDelivered(answer=mail.bounced.sentence or mail.bounced.status or "…").stored()
    if (message := message_of(mail.bounced.message_id)) is not None:
        row.bounced_id = message.id
        return Match(message.order_id, Matched.REFERENCE)
    order_id = order_of_reference(mail.bounced.message_id)
    return Match() if order_id is None else Match(order_id, Matched.REFERENCE)


def put(row: ReceivedMail, order: Order, said: SaidByMail, how: Matched | None, *, actor: Actor) -> None:
    """Put a mail to an order, whose lock the caller holds: as a message of its thread, unread if it is an answer."""
    is_erased = bool(vault.erased([order.id]))
    message = Message(
        order_id=order.id,
        direction=Direction.IN,
        route=Route.MAIL,
        kind=row.sort,
        sealed=b"" if is_erased else vault.seal(order.id, SEALED, said),
        written_at=row.received_at,
        actor_kind=_BY.kind,
        actor_id=None,
    )
    db.session.add(message)
    db.session.flush()
    row.message_id, row.matched = message.id, how
    if is_erased:
        seal_apart(row, said)
    else:
        row.period, row.sealed, row.expires_at = "", None, None
    _put_files(row, order, is_erased=is_erased)
    if row.sort == MailSort.AUTOMATIC:
        row.done_at = now()
    if row.bounced_id is not None:
        raise_attention(order, words.BOUNCED.code, of=row.bounced_id, problem=row.problem)
    count_unread(order)
    if order.unread or row.bounced_id is not None:
        order.archived_at = None  # somebody has to see it
    event = words.PUT if how is Matched.PERSON else _EVENTS.get(MailSort(row.sort), words.ANSWERED)
    record(order, event.code, actor=actor, values={"id": message.id})


def count_unread(order: Order) -> None:
    """Count the order's answers that are not done; the caller holds its lock and records the event."""
    db.session.flush()
    query = select(func.count()).select_from(ReceivedMail).join(Message, ReceivedMail.message_id == Message.id)
    query = query.where(Message.order_id == order.id, ReceivedMail.sort == MailSort.ANSWER)
    order.unread = db.session.scalar(query.where(ReceivedMail.done_at.is_(None))) or 0


def seal_apart(row: ReceivedMail, said: SaidByMail) -> None:
    """Seal what a mail says under the week's key, for 30 days."""
    row.period, row.sealed = vault.seal_apart(SEALED, said)
    row.expires_at = now() + KEPT


def _put_files(row: ReceivedMail, order: Order, *, is_erased: bool) -> None:
    """Keep the files of a mail as long as the buyer's data of its order."""
    kept = files.files_of(FILES, row.id)
    if not kept:
        return
    if not is_erased:
        ids = [one.id for one in kept]
        db.session.execute(update(VaultFile).where(VaultFile.id.in_(ids)).values(expires_at=now() + _WITH_ORDER))
    write_rows(VaultFileOrder, [{"file_id": one.id, "order_id": order.id} for one in kept])


def _said_of(mail: ReadMail | None, kept: Sequence[int]) -> SaidByMail:
    if mail is None:
        return SaidByMail(
            subject="", text="", quoted="", sender="", sender_name="", message_id="", whole=True, files=[]
        )
    return SaidByMail(
        subject=mail.subject,
        text=mail.text,
        quoted=mail.quoted,
        sender=mail.sender,
        sender_name=mail.sender_name,
        message_id=mail.message_id,
        whole=mail.is_whole,
        files=[
            SaidFile(name=one.name, type=one.media_type, size=one.size, kept=position in kept)
            for position, one in enumerate(mail.files)
        ],
    )


@contextmanager
def _sealed_files(mail: ReadMail) -> Iterator[list[tuple[int, files.Writer]]]:
    """The files of a mail, sealed on the disk, with their positions; deleted if the mail is not taken in. None where
    the disk is nearly full.
    """
    written: list[tuple[int, files.Writer]] = []
    contents = [(position, file.content) for position, file in enumerate(mail.files) if file.content is not None]
    size = sum(len(content) for _position, content in contents)
    if contents and shutil.disk_usage(files.folder()).free < LEAST_FREE + size:
        log.warning("mail_files_not_kept", why="the disk is nearly full")
        contents = []
    try:
        for position, content in contents:
            with files.writing() as writer:
                writer.write(content)
            written.append((position, writer))
        yield written
    except BaseException:
        _discard(written)
        raise


def _have_room(written: Sequence[tuple[int, files.Writer]]) -> bool:
    """Whether the inbox may have these files, too: anybody can send some."""
    if not written:
        return True
    of_mails = select(func.sum(VaultFile.size)).where(VaultFile.kind == FILES, VaultFile.period != "")
    kept = db.session.scalar(of_mails.where(VaultFile.expires_at <= now() + KEPT)) or 0  # those of orders stay longer
    return int(kept) + sum(writer.size for _position, writer in written) <= MOST_OF_INBOX


def _discard(written: Sequence[tuple[int, files.Writer]]) -> None:
    for _position, writer in written:
        writer.discard()


# --- After 30 days ----------------------------------------------------------------------------------------------------


def any_expired() -> bool:
    """Whether a mail is past its date."""
    return any_row(ReceivedMail, ReceivedMail.expires_at <= now())


def forget_expired() -> bool:
    """Forget some mails past their date, in the open unit of work; returns whether more may be left. Of one in an
    order's thread, the row stays: that something arrived is part of what happened.
    """
    expired = select(ReceivedMail.id).where(ReceivedMail.expires_at <= now()).limit(200)
    ids = list(db.session.scalars(expired))
    if not ids:
        return False
    db.session.execute(delete(ReceivedMail).where(ReceivedMail.id.in_(ids), ReceivedMail.message_id.is_(None)))
    kept = update(ReceivedMail).where(ReceivedMail.id.in_(ids)).values(period="", sealed=None, expires_at=None)
    db.session.execute(kept)
    of_mails = select(VaultFile.id).where(VaultFile.kind == FILES, VaultFile.subject_id.in_(ids))
    files.forget(list(db.session.scalars(of_mails)))
    return True
