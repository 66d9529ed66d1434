"""Processing reports: what became of each message of a feed.

A report is believed only if it is complete and fits what was sent: it counts as many messages as the attempt had, its
results are as many as it counts, and each is about one of our messages. Messages without a result succeeded. A feed
that failed as a whole says so in its state; its report may say which of Amazon's checks it failed.

Feeds of one record, whose document is no XML, have a text as their report: counts, then a table of what went wrong.
"""

import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree as Xml

SCHEMA_BROKEN: Final = "25"  # the document was refused as a whole, since a message breaks the schema
LARGEST: Final = 50 * 1024 * 1024  # bytes of a report
LONGEST_SENTENCE: Final = 500


class Unclear(Exception):
    """The report is cut, contradicts itself, or is about something else."""


@dataclass(frozen=True, slots=True)
class Result:
    """What Amazon says of one message."""

    is_error: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Report:
    """A processing report as it stands."""

    processed: int
    errors: int
    warnings: int
    results: Mapping[int, Result] = field(default_factory=dict)  # by message id; an error goes before a warning
    codes: frozenset[str] = frozenset()
    counted: tuple[int, int] = (0, 0)  # the messages with an error and with a warning among the results

    def fits(self, messages: int, mine: Collection[int]) -> bool:
        """Whether it is about these messages, of an attempt that had so many, and says what became of each."""
        complete = self.processed == messages and (self.errors, self.warnings) == self.counted
        return complete and self.results.keys() <= set(mine)

    @property
    def broke_the_schema(self) -> bool:
        """Whether nothing was processed since a message broke the schema."""
        return self.processed == 0 and SCHEMA_BROKEN in self.codes


def read(content: bytes, *, compressed: bool = False) -> Report:
    """Read a report; raises `Unclear`."""
    if compressed:
        content = _unpacked(content)
    if b"<!DOCTYPE" in content or b"\0" in content or len(content) > LARGEST:  # no wide encoding hides it either
        raise Unclear("no report")
    try:
        root = Xml.fromstring(content)  # noqa: S314 - a document type, which could expand, was refused above
        report = next(root.iter("ProcessingReport"))
        summary = report.find("ProcessingSummary")
        counts = {one.tag: int(one.text or "") for one in summary} if summary is not None else {}
        processed, errors, warnings = (
            counts[name] for name in ("MessagesProcessed", "MessagesWithError", "MessagesWithWarning")
        )
        entries = [_result(one) for one in report.iter("Result")]
    except (Xml.ParseError, StopIteration, ValueError, KeyError) as error:
        raise Unclear(type(error).__name__) from None
    results: dict[int, Result] = {}
    for number, _, result in entries:
        if number and (number not in results or (result.is_error and not results[number].is_error)):
            results[number] = result
    failed = {number for number, _, result in entries if result.is_error and number}
    warned = {number for number, _, result in entries if not result.is_error and number}
    codes = frozenset(code for _, code, _ in entries)
    return Report(processed, errors, warnings, results, codes, (len(failed), len(warned)))


@dataclass(frozen=True, slots=True)
class RecordReport:
    """The report about a feed of one record: whether it was taken, and Amazon's code and sentence if not."""

    taken: bool
    code: str = ""
    sentence: str = ""


def read_record(content: bytes, *, compressed: bool = False) -> RecordReport:
    """Read the report about a feed of one record; raises `Unclear`."""
    text = (_unpacked(content) if compressed else content)[:LARGEST].decode(errors="replace")
    counts = [re.search(rf"records {word}\s+(\d+)", text) for word in ("processed", "successful")]
    lines = [line.split("\t") for line in text.splitlines()]
    head = next((place for place, cells in enumerate(lines) if "error-code" in cells), None)
    rows = [] if head is None else [dict(zip(lines[head], cells, strict=False)) for cells in lines[head + 1 :]]
    errors = [row for row in rows if row.get("error-code") and row.get("error-type") != "Warning"]
    processed, successful = (int(found[1]) if found else -1 for found in counts)
    if processed != 1 or successful not in (0, 1) or bool(errors) == bool(successful):
        raise Unclear("counts")
    if not errors:
        return RecordReport(taken=True)
    code = errors[0]["error-code"]
    return RecordReport(False, code, _plain(errors[0].get("error-message") or code))


def _result(entry: Xml.Element) -> tuple[int, str, Result]:
    number = int(entry.findtext("MessageID") or 0)
    code = (entry.findtext("ResultMessageCode") or "").strip()
    words = entry.findtext("ResultDescription") or code
    return number, code, Result((entry.findtext("ResultCode") or "").strip() != "Warning", _plain(words))


def _plain(words: str) -> str:
    """A sentence in one line, of a length that can be shown."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())[:LONGEST_SENTENCE]


def _unpacked(content: bytes) -> bytes:
    try:
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        whole = unpacker.decompress(content, LARGEST + 1)
    except zlib.error as error:
        raise Unclear(type(error).__name__) from None
    if not unpacker.eof and len(whole) <= LARGEST:
        raise Unclear("cut")
    return whole
