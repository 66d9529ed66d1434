"""What a mail from outside says: bytes in, a `ReadMail` out. Nothing here uses the database or the network.

Mails are read as tolerantly as people expect: charsets that are missing or wrong, parts that are cut off, headers that
break the rules. Headers are decoded here and not by the email package's newer policy, which raises errors on some
broken ones, and tears letters apart where a program has encoded a word in two pieces.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header
from email.message import Message
from email.policy import compat32
from email.utils import collapse_rfc2231_value, getaddresses, parsedate_to_datetime
from enum import StrEnum
from hashlib import sha256
from mimetypes import guess_extension

from webapp.mail.composing import number_of
from webapp.mail.plain_text import clean_line, clean_text, decoded, text_of_html, without_addresses
from webapp.mail.quoting import split_quoted

MOST_FILES = 20  # that are kept
LARGEST_FILE = 10_000_000  # bytes; of a larger one, only its name is kept
LARGEST_FILES = 20_000_000  # bytes of all files of a mail that are kept
_MOST_NAMES = 100  # of files
LARGEST_MAIL = 25_000_000  # bytes; of a larger mail, only the beginning is read
_LONGEST_TEXT = 200_000
_LONGEST_HTML = 2_000_000
_LONGEST_LINE = 500
_LONGEST_ID = 400
_MOST_REFERENCES = 50
_MOST_PARTS = 200
_MOST_COMPARED = 20_000_000  # lines with boundaries: a few seconds
_BOUNDARY = re.compile(rb"(?i)boundary")
_HEAD = re.compile(rb"\r?\n\r?\n")
_ID = re.compile(r"<[^<>\s\x00-\x1f\x7f]{1,998}>")
_ID_IN_HEAD = re.compile(rf"(?im)^message-id:\s*({_ID.pattern})")
_ID_IN_TEXT = re.compile(rf"(?im)^[> ]*message-id:\s*({_ID.pattern})")
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"]+@[^\s<>()\[\],;:\"]+")
_STATUS = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
_CODED = re.compile(r"(?m)^\W{0,9}[45]\d\d[ -].*$|^.{0,200}\b[45]\.\d{1,3}\.\d{1,3}\b.*$")
_FOLDED = re.compile(r"\r?\n[ \t]*")
_ENCODED_GAP = re.compile(r"(\?=)\s+(=\?)")
_SERVERS = {"mailer-daemon", "postmaster"}
_RETURNED = re.compile(r"(?i)undeliver|deliver(y|ed)\b.*\b(fail|status|problem)|failure notice|returned mail|unzustell")


class MailSort(StrEnum):
    """What a mail is."""

    ANSWER = "answer"  # a person has written it
    AUTOMATIC = "automatic"  # a program has: somebody is away, a mail was read, or is delayed
    BOUNCE = "bounce"  # a mail server could not deliver a mail of ours
    LOOP = "loop"  # a mail of ours that came back


@dataclass(frozen=True, slots=True)
class MailFile:
    """A file that came with a mail. `content` is None if it is not to be kept: it, or what came before it, is too much,
    or it can't be read.
    """

    name: str
    media_type: str
    size: int
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Bounced:
    """Which mail could not be delivered, and what the server said about it."""

    message_id: str  # empty if the server does not say
    status: str  # such as 5.1.1; empty if the server does not say
    sentence: str


@dataclass(frozen=True, slots=True)
class ReadMail:
    """A mail as it was read."""

    sort: MailSort
    sender: str
    sender_name: str
    reply_to: str  # empty: an answer goes to the sender
    to: tuple[str, ...]
    subject: str
    sent_at: datetime | None
    message_id: str
    references: tuple[str, ...]  # the mails that it answers, the closest first
    text: str
    quoted: str
    is_whole: bool  # False: the rest of a very long text, or of a very large mail, was not read
    files: tuple[MailFile, ...]
    bounced: Bounced | None
    fingerprint: str  # the same for each copy of a mail, in whichever mailbox


def read_mail(raw: bytes, *, is_cut: bool = False) -> ReadMail:
    """Read a mail, or the beginning of one (`is_cut`); of any bytes whatsoever, it gives what can be read."""
    headers_only = _is_endless(raw)
    head = _HEAD.split(raw, maxsplit=1)[0]
    message = message_from_bytes(head if headers_only else raw, policy=compat32)
    parts = [] if headers_only else list(_parts(message))
    written, is_whole = _text(parts)
    subject = _header(message, "Subject")
    bounced = _bounce(message, parts, written)
    text, quoted = (written, "") if bounced else split_quoted(written, subject)
    name, sender = _sender(message)
    message_id = _first(_ids(message, "Message-ID"))
    return ReadMail(
        sort=_sort(message, message_id, bounced),
        sender=sender,
        sender_name=name,
        reply_to=next((address for _name, address in _addresses(message, "Reply-To")), ""),
        to=tuple(address for _name, address in _addresses(message, "To", "Cc"))[:_MOST_REFERENCES],
        subject=subject,
        sent_at=_date(message),
        message_id=message_id,
        references=_references(message),
        text=text,
        quoted=quoted,
        is_whole=is_whole and not headers_only and not is_cut,
        files=tuple(_files(parts, _last_parts(message) if is_cut else [])),
        bounced=bounced,
        fingerprint=_fingerprint(head if is_cut else raw, message, message_id),
    )


def _is_endless(raw: bytes) -> bool:
    """Whether the parts of a mail are so many in one another, and its lines so many, that reading them takes minutes:
    each line is compared with the boundaries of all parts around it.
    """
    return raw.count(b"\n") * len(_BOUNDARY.findall(raw)) > _MOST_COMPARED


def hashed_id(message_id: str) -> str:
    """The form in which a Message-ID is kept to find it again."""
    return sha256(message_id.encode(errors="surrogatepass")).hexdigest()


# --- Headers ----------------------------------------------------------------------------------------------------------


def _raw(message: Message, name: str) -> str:
    """A header as it stands in the mail, unfolded; bytes beyond ASCII are read as a text's would be."""
    value = next((value for key, value in message.raw_items() if key.lower() == name.lower()), "")
    return _FOLDED.sub(" ", _unescaped(str(value)))


def _unescaped(text: str) -> str:
    if text.isascii():
        return text
    return decoded(text.encode("ascii", "surrogateescape") if _is_escaped(text) else text.encode(errors="replace"), "")


def _is_escaped(text: str) -> bool:
    return all(char.isascii() or "\udc80" <= char <= "\udcff" for char in text)


def _words(raw: str) -> str:
    """A header's value with its encoded words decoded."""
    if "=?" not in raw:
        return raw
    try:
        pieces = decode_header(_ENCODED_GAP.sub(r"\1 \2", raw))
    except (MessageError, ValueError):
        return raw
    return "".join(piece if isinstance(piece, str) else decoded(piece, charset or "utf-8") for piece, charset in pieces)


def _header(message: Message, name: str, longest: int = _LONGEST_LINE) -> str:
    return clean_line(_words(_raw(message, name)[: longest * 20]), longest)


def _addresses(message: Message, *names: str) -> Iterator[tuple[str, str]]:
    """The names and addresses in these headers."""
    for name in names:
        raw = _raw(message, name)[:20_000]
        try:
            found = getaddresses([raw])
        except (ValueError, IndexError, AttributeError, TypeError):
            found = []
        if not any(address for _name, address in found):  # the parser gives up at what people see at once
            found = [("", one) for one in _ADDRESS.findall(raw)]
        for shown, address in found:
            address = clean_line(address, _LONGEST_ID).replace(" ", "")
            if "@" in address:
                yield clean_line(_words(shown), _LONGEST_LINE), address.lower()


def _sender(message: Message) -> tuple[str, str]:
    return next(_addresses(message, "From", "Sender", "Reply-To"), ("", ""))


def _ids(message: Message, *names: str) -> list[str]:
    return [one[:_LONGEST_ID] for name in names for one in _ID.findall(_raw(message, name)[:100_000])]


def _first(found: list[str]) -> str:
    return clean_line(found[0], _LONGEST_ID) if found else ""


def _references(message: Message) -> tuple[str, ...]:
    found = _ids(message, "In-Reply-To") + _ids(message, "References")[::-1]
    return tuple(dict.fromkeys(found))[:_MOST_REFERENCES]


def _date(message: Message) -> datetime | None:
    try:
        at = parsedate_to_datetime(_raw(message, "Date")[:200])
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return at.astimezone(UTC) if 1990 < at.year < 2200 else None
    except (ValueError, TypeError, OverflowError, IndexError, AttributeError):
        return None


def _fingerprint(raw: bytes, message: Message, message_id: str) -> str:
    """A Message-ID alone is not enough: whoever knows that of another mail could have it taken for a copy."""
    if not message_id:
        return sha256(raw).hexdigest()
    same = [message_id, *(_raw(message, name) for name in ("From", "Date", "Subject"))]
    return sha256("\0".join(same).encode(errors="replace")).hexdigest()


# --- Parts ------------------------------------------------------------------------------------------------------------


def _parts(message: Message) -> Iterator[Message]:
    """The parts of a mail that hold something, without what is in mails inside it."""
    waiting, seen = [message], 0
    while waiting and seen < _MOST_PARTS:
        part, seen = waiting.pop(0), seen + 1
        if part.is_multipart() and part.get_content_maintype() == "multipart":
            inner = _inner(part)
            waiting = (_best(inner) if part.get_content_subtype() == "alternative" else inner) + waiting
        else:
            yield part


def _inner(part: Message) -> list[Message]:
    """The parts of a part; a part without any is not decoded, which some character sets make fail."""
    return [one for one in part.get_payload() if isinstance(one, Message)] if part.is_multipart() else []


def _best(alternatives: list[Message]) -> list[Message]:
    """Of forms of the same text, the plain one if it says something; forms that hold other parts stay."""
    texts = [one for one in alternatives if one.get_content_type() == "text/plain" and _decoded_text(one).strip()]
    if not texts:
        return alternatives
    return texts + [one for one in alternatives if one.is_multipart() or one.get_content_maintype() != "text"]


def _content(part: Message) -> bytes:
    """The bytes of a part; of a mail inside a mail, as it would be saved."""
    if part.is_multipart():
        try:
            return b"\n".join(one.as_bytes() for one in _inner(part))
        except (ValueError, LookupError, TypeError, AttributeError, IndexError, KeyError, MessageError):
            return b""
    for decode in (True, False):
        try:
            found = part.get_payload(decode=decode)
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError, MessageError):
            continue
        return found if isinstance(found, bytes) else str(found or "").encode(errors="replace")
    return b""


def _decoded_text(part: Message) -> str:
    return decoded(_content(part)[: _LONGEST_HTML * 2], _parameter(part.get_param("charset")))


def _parameter(value: object) -> str:
    try:
        return collapse_rfc2231_value(value) if isinstance(value, str | tuple) else ""
    except (LookupError, ValueError, TypeError):
        return ""


def _name(part: Message) -> str:
    """The name of a part's file; empty if it has none."""
    for header, parameter in (("Content-Disposition", "filename"), ("Content-Type", "name")):
        alone = Message(policy=compat32)  # the whole part would replace every letter beyond ASCII
        alone[header] = _raw(part, header)[:5_000]
        try:
            given = _parameter(alone.get_param(parameter, None, header))
        except (ValueError, LookupError, TypeError, AttributeError):
            given = ""
        if given:
            return clean_line(_words(given).replace("/", "_").replace("\\", "_"), 200)
    return ""


def _is_file(part: Message) -> bool:
    is_text = part.get_content_type() in ("text/plain", "text/html")
    return not is_text or part.get_content_disposition() == "attachment" or bool(_name(part))


def _text(parts: list[Message]) -> tuple[str, bool]:
    """The text of a mail, and whether it is whole."""
    whole, texts = True, []
    for part in parts:
        if _is_file(part):
            continue
        text = _decoded_text(part)
        if part.get_content_type() == "text/html":
            whole = whole and len(text) <= _LONGEST_HTML
            text = text_of_html(text[:_LONGEST_HTML])
        texts.append(clean_text(text))
    joined = "\n\n".join(text for text in texts if text)
    return joined[:_LONGEST_TEXT], whole and len(joined) <= _LONGEST_TEXT


def _last_parts(message: Message) -> list[Message]:
    """The last part of a mail, and those around it."""
    found = [message]
    while inner := _inner(found[-1]):
        found.append(inner[-1])
    return found


def _files(parts: list[Message], cut: list[Message]) -> Iterator[MailFile]:
    """The files of a mail, some of which are only named. What came of a part that is cut off is not kept."""
    found = [part for part in parts if _is_file(part)]
    count, room = 0, LARGEST_FILES
    for position, part in enumerate(found[:_MOST_NAMES], 1):
        content = b"" if any(part is one for one in cut) else _content(part)
        media_type = clean_line(part.get_content_type(), 100)
        ending = ".eml" if media_type == "message/rfc822" else guess_extension(media_type) or ""
        is_kept = 0 < len(content) <= min(LARGEST_FILE, room) and count < MOST_FILES
        count, room = (count + 1, room - len(content)) if is_kept else (count, room)
        name = _name(part) or f"{position}{ending}"
        yield MailFile(name, media_type, len(content), content if is_kept else None)


# --- What it is -------------------------------------------------------------------------------------------------------


def _sort(message: Message, message_id: str, bounced: Bounced | None) -> MailSort:
    if number_of(message_id) is not None:
        return MailSort.LOOP
    if bounced is not None:
        return MailSort.BOUNCE
    return MailSort.AUTOMATIC if _is_automatic(message) else MailSort.ANSWER


def _is_automatic(message: Message) -> bool:
    submitted = _raw(message, "Auto-Submitted").strip().lower()
    if submitted and not submitted.startswith("no"):
        return True
    if message.get_content_type() == "multipart/report":
        return True
    if _raw(message, "Precedence").strip().lower() in ("auto_reply", "junk"):  # relays put "bulk" on what people write
        return True
    return any(_raw(message, name) for name in ("X-Autoreply", "X-Autorespond", "X-Autoresponder"))


def _bounce(message: Message, parts: list[Message], text: str) -> Bounced | None:
    """What a mail server says about a mail that it could not deliver; None if this is no such mail."""
    report = next((part for part in parts if part.get_content_type() == "message/delivery-status"), None)
    if report is not None:
        said = decoded(_content(report)[:100_000], "")
        fields = {name.lower(): value for name, value in re.findall(r"(?m)^([\w-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", said)}
        if not fields.get("action", "failed").strip().lower().startswith("failed"):
            return None  # it is delayed, or has arrived
        given = fields.get("status", "").strip()
        status = _STATUS.search(given) or _STATUS.search(fields.get("diagnostic-code", ""))
        sentence = re.sub(r"(?i)^\s*[\w-]+;\s*", "", fields.get("diagnostic-code", ""))
        return Bounced(
            _returned_id(message, parts, text), status[0] if status else "", _sentence(sentence) or _said_in(text)
        )
    name = _sender(message)[1].partition("@")[0]
    from_server = name in _SERVERS or _raw(message, "Return-Path").strip() == "<>"
    if _raw(message, "X-Failed-Recipients") or (from_server and _RETURNED.search(_header(message, "Subject"))):
        status = _STATUS.search(text)
        return Bounced(_returned_id(message, parts, text), status[0] if status else "", _said_in(text))
    return None


def _returned_id(message: Message, parts: list[Message], text: str) -> str:
    """The Message-ID of the mail that comes back."""
    for part in parts:
        if part.get_content_type() in ("message/rfc822", "message/rfc822-headers", "text/rfc822-headers"):
            head = decoded(_content(part)[:200_000], "")
            if found := _ID_IN_HEAD.search(head):
                return found[1][:_LONGEST_ID]
    if found := _ID_IN_TEXT.search(text):
        return found[1][:_LONGEST_ID]
    return next(iter(_references(message)), "")


def _said_in(text: str) -> str:
    """The line with a server's code in a text that may also tell of the buyer, or repeat our mail; empty if there is
    none.
    """
    found = _CODED.search(text)
    return _sentence(found[0]) if found else ""


def _sentence(text: str) -> str:
    """What the server said, without addresses: it is shown to people who may not see buyers."""
    return without_addresses(text, 300)
