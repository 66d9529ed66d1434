"""Words of IMAP commands: reading what clients ask for, and cutting it out of a mail."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

ATOM: Final = re.compile(rb"[^\s(){\"\x00-\x1f]+")
QUOTED: Final = re.compile(rb'"((?:[^"\\\r\n]|\\["\\])*)"')
ITEM: Final = re.compile(
    rb"(?P<name>BODY(?P<peek>\.PEEK)?\[(?P<section>[^\]]*)\](?:<(?P<first>\d{1,9})\.(?P<count>\d{1,9})>)?"
    rb"|[A-Z0-9.]+)",
    re.IGNORECASE,
)
FIELDS: Final = re.compile(r"HEADER\.FIELDS(?P<but>\.NOT)? \((?P<names>[^()]+)\)")
PLAIN_ITEMS: Final = frozenset(
    {"UID", "FLAGS", "RFC822.SIZE", "INTERNALDATE", "RFC822", "RFC822.HEADER", "RFC822.TEXT"},
)
SECTION: Final = "BODY[]"
GROUPS: Final = {"FAST": ("FLAGS", "INTERNALDATE", "RFC822.SIZE")}


class BadCommand(Exception):
    """The answer BAD; its text says why."""


@dataclass(frozen=True)
class Item:
    """What is fetched of a mail."""

    name: str  # as in PLAIN_ITEMS, or SECTION
    section: str = ""
    peek: bool = True
    first: int | None = None
    length: int = 0

    @property
    def shown(self) -> str:
        """Its name in the answer."""
        if self.name != SECTION:
            return self.name
        return f"BODY[{self.section}]" + ("" if self.first is None else f"<{self.first}>")

    @property
    def marks_seen(self) -> bool:
        """Whether a mail counts as read once it was fetched."""
        return self.name in ("RFC822", "RFC822.TEXT") or (self.name == SECTION and not self.peek)


class Words:
    """The words of a command, read one by one; between them are the client's literals."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts, self._at = list(parts), 0  # texts and literals by turns, the first and last are texts
        self._skip()

    def __bool__(self) -> bool:
        return bool(self._parts[0][self._at :]) or len(self._parts) > 1

    def _skip(self) -> None:
        while self._parts[0][self._at : self._at + 1] == b" ":
            self._at += 1

    def _match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        if found := pattern.match(self._parts[0], self._at):
            self._at = found.end()
            self._skip()
        return found

    def atom(self) -> str:
        """The next word."""
        if not (found := self._match(ATOM)):
            raise BadCommand("A word is missing.")
        return found[0].decode("ascii", "replace")

    def next_is(self, word: str) -> bool:
        """Whether this word comes next; if so, it is read."""
        return self._match(re.compile(re.escape(word.encode()) + rb"(?= |$)", re.IGNORECASE)) is not None

    def string(self) -> bytes:
        """The next word, quoted text or literal."""
        if found := self._match(QUOTED):
            return re.sub(rb'\\(["\\])', rb"\1", found[1])
        if self._at == len(self._parts[0]) and len(self._parts) > 1:
            value, self._parts, self._at = self._parts[1], self._parts[2:], 0
            self._skip()
            return value
        if found := self._match(ATOM):
            return found[0]
        raise BadCommand("A word is missing.")

    def opens(self) -> bool:
        """Whether a parenthesis opens here; if so, it is read."""
        return self._match(re.compile(rb"\(")) is not None

    def closes(self) -> bool:
        """Whether a parenthesis closes here; if so, it is read."""
        if not self:
            raise BadCommand("A parenthesis is missing.")
        return self._match(re.compile(rb"\)")) is not None

    def items(self) -> list[str]:
        """The next words, in parentheses or alone."""
        if not self.opens():
            found = [self._flag()]
            while self:
                found.append(self._flag())
            return found
        found = []
        while not self.closes():
            found.append(self._flag())
        return found

    def _flag(self) -> str:
        if not (found := self._match(re.compile(rb"\\?[^\s(){%*\"\\\]\x00-\x1f]+"))):
            raise BadCommand("A word is missing.")
        return found[0].decode("ascii", "replace")

    def item(self) -> Item | None:
        """The next thing to fetch, if it is one."""
        if not (found := self._match(ITEM)):
            return None
        if found["section"] is None:
            return Item(found["name"].decode().upper())
        first = None if found["first"] is None else int(found["first"])
        asked = found["section"].decode("ascii", "replace").upper().replace('"', "")
        return Item(SECTION, asked, found["peek"] is not None, first, int(found["count"] or 0))


def wanted(words: Words) -> list[Item]:
    """The things to fetch. Raises BadCommand for those that are not known here."""
    found: list[Item] = []
    in_list = words.opens()
    while words and not (in_list and words.closes()):
        if (item := words.item()) is None:
            raise BadCommand("What to fetch is missing.")
        if item.name in GROUPS:
            found += [Item(name) for name in GROUPS[item.name]]
            continue
        is_known = item.name in PLAIN_ITEMS or (
            item.name == SECTION
            and (item.section in ("", "HEADER", "TEXT") or FIELDS.fullmatch(item.section) is not None)
        )
        if not is_known:
            raise BadCommand(f"FETCH {item.shown} is not known here.")
        found.append(item)
        if not in_list:
            break
    if not found:
        raise BadCommand("What to fetch is missing.")
    return found


def section(raw: bytes, item: Item) -> bytes:
    """The part of a mail that is asked for."""
    head, gap, text = raw.partition(b"\r\n\r\n")
    head += gap
    if item.name in ("RFC822.HEADER", "RFC822.TEXT"):
        return head if item.name == "RFC822.HEADER" else text
    if item.section == "HEADER":
        part = head
    elif item.section == "TEXT":
        part = text
    elif found := FIELDS.fullmatch(item.section):
        part = _fields(head, set(found["names"].split()), but=found["but"] is not None)
    else:
        part = raw
    return part if item.first is None else part[item.first : item.first + item.length]


def _fields(head: bytes, names: set[str], *, but: bool) -> bytes:
    """The header lines with these names, or without them, and the empty line."""
    fields = re.findall(rb"[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*", head)
    chosen = (one for one in fields if (one.partition(b":")[0].decode("ascii", "replace").upper() in names) != but)
    return b"".join(chosen) + b"\r\n"


@dataclass(frozen=True)
class Numbers:
    """Stretches of numbers, each with its ends."""

    stretches: tuple[tuple[int, int], ...]

    def __contains__(self, number: int) -> bool:
        return any(low <= number <= high for low, high in self.stretches)


def numbers(text: str, highest: int) -> Numbers:
    """A set such as 1,4:7,9:*. Raises BadCommand."""
    found = []
    for one in text.split(","):
        if not re.fullmatch(r"(?:\d{1,10}|\*)(?::(?:\d{1,10}|\*))?", one):
            raise BadCommand("A set of numbers is wrong.")
        low, _, high = (highest if end == "*" else end for end in one.partition(":"))
        ends = (int(low), int(high or low))
        found.append((min(ends), max(ends)))
    return Numbers(tuple(found))


def day(text: bytes) -> date:
    """A day such as 1-Feb-2026. Raises BadCommand."""
    try:
        return datetime.strptime(text.decode("ascii"), "%d-%b-%Y").date()  # noqa: DTZ007  # a day has no zone
    except ValueError:
        raise BadCommand("A day is wrong.") from None


def literal(content: bytes) -> bytes:
    """A literal of an answer."""
    return b"{%d}\r\n%s" % (len(content), content)
