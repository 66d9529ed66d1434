"""The mailbox of the practice Amazon over IMAP4rev1 (RFC 3501): one user, one mailbox, and what clients that read need.

A connection numbers the mails that it has told its client of; before each command by UID, and at NOOP, it tells of
those that came and went. There are neither folders nor APPEND, COPY, IDLE or structures of mails: those are refused.
"""

import asyncio
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from plugins.amazon.practice.imap_words import BadCommand, Item, Words, day, literal, numbers, section, wanted
from plugins.amazon.practice.mail_store import InBox
from plugins.amazon.practice.marketplaces import MAILBOX, MAILBOX_PASSWORD
from plugins.amazon.practice.practice import Practice

CAPABILITIES: Final = "IMAP4rev1"
FLAGS: Final = r"\Answered \Flagged \Deleted \Seen \Draft"
LASTING: Final = FLAGS + r" \*"
LONGEST: Final = 65_536  # bytes of a command line
LONGEST_LITERAL: Final = 10_000
LITERAL: Final = re.compile(rb"\{(\d{1,9})\}\r?\n$")
SEEN, DELETED = "\\Seen", "\\Deleted"


class _Refused(Exception):
    """The answer NO; its text says why."""


class _Hangup(Exception):
    """The connection closes without another word."""


class Connection:
    """One client's conversation."""

    def __init__(self, practice: Practice, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._practice, self._box = practice, practice.mail
        self._reader, self._writer = reader, writer
        self._signed_in = False
        self._known: list[int] | None = None  # the UIDs that the client was told of, in its numbering; None: not open
        self._read_only = False

    async def run(self) -> None:
        """Answer until the client leaves."""
        self._say(f"* OK [CAPABILITY {CAPABILITIES}] Practice Amazon")
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, _Hangup, ValueError):  # ValueError: a long line
                while (parts := await self._command()) and await self._answer(parts):
                    pass
                await self._writer.drain()
        finally:
            self._writer.close()

    async def _command(self) -> list[bytes]:
        """The next command: its text, with each literal as an item of its own. Empty: the client has left."""
        parts: list[bytes] = []
        while line := await self._reader.readline():
            if not (found := LITERAL.search(line)):
                return [*parts, line.rstrip(b"\r\n")]
            if (size := int(found[1])) > LONGEST_LITERAL:
                self._say("* BYE The literal is too long.")
                raise _Hangup
            self._say("+ Go on")
            await self._writer.drain()
            parts += [line[: found.start()], await self._reader.readexactly(size)]
        return []

    async def _answer(self, parts: list[bytes]) -> bool:
        """Carry out one command; returns whether the conversation goes on."""
        tag = "*"
        try:
            words = Words(parts)
            tag = words.atom()
            name = words.atom().upper()
            done = await self._carry_out(name, words)
        except BadCommand as error:
            self._say(f"{tag} BAD {error}")
        except _Refused as error:
            self._say(f"{tag} NO {error}")
        else:
            self._say(f"{tag} OK {done}")
            if name == "LOGOUT":
                return False
        await self._writer.drain()
        return True

    async def _carry_out(self, name: str, words: Words) -> str:
        by_uid = name == "UID"
        if by_uid:
            name = words.atom().upper()
            if name not in ("SEARCH", "FETCH", "STORE"):
                raise BadCommand(f"UID {name} is not known here.")
        match name:
            case "CAPABILITY":
                self._say(f"* CAPABILITY {CAPABILITIES}")
                return "CAPABILITY completed"
            case "LOGOUT":
                self._say("* BYE Good-bye")
                return "LOGOUT completed"
            case "LOGIN":
                return self._login(words.string(), words.string())
            case "NOOP" | "CHECK" if not self._signed_in or self._known is None:
                return f"{name} completed"
        if not self._signed_in:
            raise BadCommand("Sign in first.")
        self._practice.catch_up()
        match name:
            case "LIST" | "LSUB":
                return self._list(name, words)
            case "SELECT" | "EXAMINE":
                return self._select(name, words)
            case "STATUS":
                return self._status(words)
        if self._known is None:
            raise BadCommand(f"{name} is not known here, or needs an open mailbox.")
        if by_uid or name in ("NOOP", "CHECK", "EXPUNGE", "CLOSE"):
            self._tell_news()
        match name:
            case "NOOP" | "CHECK":
                return f"{name} completed"
            case "CLOSE" | "UNSELECT":
                if name == "CLOSE" and not self._read_only:
                    self._box.expunge(self._deleted())
                self._known = None
                return f"{name} completed"
            case "EXPUNGE":
                self._writable()
                self._box.expunge(self._deleted())
                self._tell_news()
                return "EXPUNGE completed"
            case "SEARCH":
                return self._search(words, by_uid)
            case "FETCH":
                return await self._fetch(words, by_uid)
            case "STORE":
                return self._store(words, by_uid)
        raise BadCommand(f"{name} is not known here.")

    def _say(self, text: str) -> None:
        self._writer.write(text.encode("utf-8", "replace") + b"\r\n")

    # signing in, and opening the mailbox

    def _login(self, user: bytes, password: bytes) -> str:
        if self._signed_in:
            raise BadCommand("You are signed in already.")
        refused = self._practice.mail_faults.next("login")
        if refused or (user.decode(errors="replace"), password.decode(errors="replace")) != (MAILBOX, MAILBOX_PASSWORD):
            raise _Refused("[AUTHENTICATIONFAILED] User name or password is wrong.")
        self._signed_in = True
        return f"[CAPABILITY {CAPABILITIES}] LOGIN completed"

    def _list(self, name: str, words: Words) -> str:
        words.string()
        pattern = words.string().decode(errors="replace")
        if not pattern:
            self._say(f'* {name} (\\Noselect) "/" ""')
        elif pattern.upper() == "INBOX" or set(pattern) & set("*%"):
            self._say(f'* {name} (\\HasNoChildren) "/" INBOX')
        return f"{name} completed"

    def _select(self, name: str, words: Words) -> str:
        self._known = None
        _is_inbox(words)
        if self._practice.mail_faults.next("select"):
            self._box.renumber()
        mails = self._box.mailbox()
        self._known, self._read_only = [mail.uid for mail in mails], name == "EXAMINE"
        self._say(f"* FLAGS ({FLAGS})")
        self._say(f"* {len(mails)} EXISTS")
        self._say("* 0 RECENT")
        unseen = next((place for place, mail in enumerate(mails, 1) if SEEN not in mail.flags), None)
        if unseen:
            self._say(f"* OK [UNSEEN {unseen}] First unseen mail")
        self._say(f"* OK [PERMANENTFLAGS ({'' if self._read_only else LASTING})] Flags that stay")
        self._say(f"* OK [UIDVALIDITY {self._box.uid_validity}] UIDs are valid")
        self._say(f"* OK [UIDNEXT {self._box.next_uid}] The next UID")
        return f"[{'READ-ONLY' if self._read_only else 'READ-WRITE'}] {name} completed"

    def _status(self, words: Words) -> str:
        _is_inbox(words)
        mails = self._box.mailbox()
        known = {
            "MESSAGES": len(mails),
            "RECENT": 0,
            "UIDNEXT": self._box.next_uid,
            "UIDVALIDITY": self._box.uid_validity,
            "UNSEEN": sum(SEEN not in mail.flags for mail in mails),
        }
        asked = [str(item).upper() for item in words.items()]
        if unknown := [item for item in asked if item not in known]:
            raise BadCommand(f"STATUS has no {unknown[0]}.")
        self._say(f"* STATUS INBOX ({' '.join(f'{item} {known[item]}' for item in asked)})")
        return "STATUS completed"

    def _tell_news(self) -> None:
        """Tell the client which mails have gone, and how many there are."""
        known = self._known or []
        now = [mail.uid for mail in self._box.mailbox()]
        for uid in [uid for uid in known if uid not in set(now)]:
            self._say(f"* {known.index(uid) + 1} EXPUNGE")
            known.remove(uid)
        if len(now) != len(known):
            known[:] = now
            self._say(f"* {len(known)} EXISTS")

    def _writable(self) -> None:
        if self._read_only:
            raise _Refused("The mailbox is open for reading only.")

    def _deleted(self) -> list[int]:
        return [mail.uid for mail in self._box.mailbox() if DELETED in mail.flags]

    # mails

    def _mails(self) -> list[tuple[int, InBox]]:
        """The mails that the client knows of, with their numbers; those that have gone meanwhile are left out."""
        by_uid = {mail.uid: mail for mail in self._box.mailbox()}
        return [(place, by_uid[uid]) for place, uid in enumerate(self._known or [], 1) if uid in by_uid]

    def _chosen(self, words: Words, by_uid: bool) -> list[tuple[int, InBox]]:
        mails = self._mails()
        ids = [mail.uid if by_uid else place for place, mail in mails]
        chosen = numbers(words.atom(), max(ids, default=0))
        return [one for one, id in zip(mails, ids, strict=True) if id in chosen]

    def _search(self, words: Words, by_uid: bool) -> str:
        mails = self._mails()
        if words.next_is("CHARSET"):
            words.atom()
            if words.atom().upper() not in ("UTF-8", "US-ASCII"):
                raise _Refused("[BADCHARSET (UTF-8)] This character set is not known here.")
        chosen = {mail.uid for _, mail in mails}
        while words:
            chosen &= self._found(words, mails)
        ids = [str(mail.uid if by_uid else place) for place, mail in mails if mail.uid in chosen]
        self._say(" ".join(("* SEARCH", *ids)))
        return "SEARCH completed"

    def _found(self, words: Words, mails: list[tuple[int, InBox]]) -> set[int]:
        """The UIDs of the mails that the next criterion finds."""
        if words.opens():
            found = {mail.uid for _, mail in mails}
            while not words.closes():
                found &= self._found(words, mails)
            return found
        key = words.atom().upper()
        match key:
            case "ALL":
                return {mail.uid for _, mail in mails}
            case "SEEN" | "ANSWERED" | "FLAGGED" | "DELETED" | "DRAFT":
                return {mail.uid for _, mail in mails if f"\\{key.capitalize()}" in mail.flags}
            case "UNSEEN" | "UNANSWERED" | "UNFLAGGED" | "UNDELETED" | "UNDRAFT":
                return {mail.uid for _, mail in mails if f"\\{key[2:].capitalize()}" not in mail.flags}
            case "NOT":
                return {mail.uid for _, mail in mails} - self._found(words, mails)
            case "OR":
                return self._found(words, mails) | self._found(words, mails)
            case "UID":
                chosen = numbers(words.atom(), max((mail.uid for _, mail in mails), default=0))
                return {mail.uid for _, mail in mails if mail.uid in chosen}
            case "SINCE" | "BEFORE" | "ON":
                at = day(words.string())
                came = {mail.uid: datetime.fromtimestamp(mail.at_ms / 1000, UTC).date() for _, mail in mails}
                tests = {"SINCE": lambda one: one >= at, "BEFORE": lambda one: one < at, "ON": lambda one: one == at}
                return {uid for uid, one in came.items() if tests[key](one)}
        if key[0].isdigit() or key[0] == "*":
            chosen = numbers(key, len(mails))
            return {mail.uid for place, mail in mails if place in chosen}
        raise BadCommand(f"SEARCH {key} is not known here.")

    async def _fetch(self, words: Words, by_uid: bool) -> str:
        chosen, items = self._chosen(words, by_uid), wanted(words)
        if by_uid and not any(item.name == "UID" for item in items):
            items = [Item("UID"), *items]
        fault = self._practice.mail_faults.next("fetch") if chosen else None
        if fault and fault.kind == "fetch_slow":
            await asyncio.sleep(fault.seconds)
        for place, mail in chosen:
            if (raw := self._box.text(mail.uid)) is None:
                continue
            answer = self._fetched(place, mail, raw, items)
            if fault and fault.kind == "fetch_garbage":
                self._writer.write(b"* %d FETCH (UID \xff\xfe)) {99 \x00 {nonsense\r\n" % place)
                continue
            if fault and fault.kind == "fetch_drop":
                self._writer.write(answer[: len(answer) // 2])
                await self._writer.drain()
                raise _Hangup
            self._writer.write(answer)
            await self._writer.drain()
        return "FETCH completed"

    def _fetched(self, place: int, mail: InBox, raw: bytes, items: list[Item]) -> bytes:
        if SEEN not in mail.flags and not self._read_only and any(item.marks_seen for item in items):
            mail = InBox(mail.uid, mail.at_ms, (*mail.flags, SEEN), mail.size)
            self._box.flag(mail.uid, mail.flags)
            if not any(item.name == "FLAGS" for item in items):
                items = [*items, Item("FLAGS")]
        parts: list[bytes] = []
        for item in items:
            match item.name:
                case "UID":
                    parts.append(b"UID %d" % mail.uid)
                case "FLAGS":
                    parts.append(f"FLAGS ({' '.join(mail.flags)})".encode())
                case "RFC822.SIZE":
                    parts.append(b"RFC822.SIZE %d" % mail.size)
                case "INTERNALDATE":
                    came = datetime.fromtimestamp(mail.at_ms // 1000, UTC)
                    parts.append(f'INTERNALDATE "{came:%d-%b-%Y %H:%M:%S} +0000"'.encode())
                case _:
                    parts.append(item.shown.encode() + b" " + literal(section(raw, item)))
        return b"* %d FETCH (%s)\r\n" % (place, b" ".join(parts))

    def _store(self, words: Words, by_uid: bool) -> str:
        self._writable()
        chosen, how = self._chosen(words, by_uid), words.atom().upper()
        given = [str(flag) for flag in words.items()]
        sign, silent = how[0] if how[0] in "+-" else "", how.endswith(".SILENT")
        if how.removeprefix(sign).removesuffix(".SILENT") != "FLAGS":
            raise BadCommand(f"STORE {how} is not known here.")
        given = [f"\\{flag[1:].capitalize()}" if flag.startswith("\\") else flag for flag in given]
        for place, mail in chosen:
            had = set(mail.flags)
            flags = sorted(had | set(given) if sign == "+" else had - set(given) if sign == "-" else set(given))
            self._box.flag(mail.uid, flags)
            if not silent:
                uid = f" UID {mail.uid}" if by_uid else ""
                self._say(f"* {place} FETCH (FLAGS ({' '.join(flags)}){uid})")
        return "STORE completed"


def _is_inbox(words: Words) -> None:
    if words.string().decode(errors="replace").upper() != "INBOX":
        raise _Refused("[NONEXISTENT] There is only INBOX.")
