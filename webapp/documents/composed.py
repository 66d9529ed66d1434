"""A document as data: composed once, in one language and for one paper, and drawn by whoever shows or prints it.

Nothing here knows how it looks: `pdf` draws it for printers, a template for the page. Both draw the parts in the order
of `texts`, and no other. What a document says of its buyer is in here in plain, so it is never stored but sealed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from webapp.channels.legal_face import Face
from webapp.i18n import LazyString, lazy_gettext as _l

MILLIMETER = 72 / 25.4


@dataclass(frozen=True, slots=True)
class Paper:
    """A sheet, in millimeters."""

    label: str | LazyString
    width: float
    height: float
    margin: float

    @property
    def is_small(self) -> bool:
        """Whether two columns of facts don't fit beside each other."""
        return self.width < 150

    @property
    def room_for_bars(self) -> float:
        """Millimeters beside the shop's name; on a small sheet the bars have a line to themselves."""
        inside = self.width - 2 * self.margin
        return inside if self.is_small else inside / 2


PAPERS = {
    "a4": Paper("A4", 210, 297, 14),
    "letter": Paper("Letter", 215.9, 279.4, 14),
    "4x6": Paper(_l("Label 4 × 6 in"), 101.6, 152.4, 5),
}


class Style(StrEnum):
    """How a text is set apart from others."""

    PLAIN = "plain"
    STRONG = "strong"
    NOTE = "note"
    QUOTE = "quote"


@dataclass(frozen=True, slots=True)
class Text:
    """Some words; line breaks in them are kept. `lead` is the beginning of the text that is set in bold."""

    text: str
    style: Style = Style.PLAIN
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A value with its label."""

    label: str
    text: str
    style: Style = Style.PLAIN


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody whom the document names, line by line; without lines, the reason why they are not there."""

    label: str
    lines: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column; `share` is its part of the table's width, in percent."""

    label: str
    share: int
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """What one document says."""

    title: str
    language: str
    paper: str
    face: Face
    vat_number: str  # as a sentence in the document's language
    codes: tuple[str, ...]  # printed as bars that scanners read, with the text below them
    parties: tuple[Party, ...]
    facts: tuple[Fact, ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[tuple[Text, ...], ...], ...]  # for each column what its cell says, one text below the other
    totals: tuple[Fact, ...] = ()
    banner: str = ""
    notes: tuple[Text, ...] = ()  # before the table
    closing: tuple[Text, ...] = ()  # behind it


def texts(document: Document) -> Iterator[str]:
    """Everything that the document says, in the order in which it is read."""
    face = document.face
    yield from (document.banner, face.name, face.legal_name, face.address, document.vat_number, document.title)
    yield from document.codes
    for party in document.parties:
        yield party.label
        yield from party.lines or (party.reason,)
    for fact in document.facts:
        yield from (fact.label, fact.text)
    yield from (note.text for note in document.notes)
    yield from (column.label for column in document.columns)
    for row in document.rows:
        yield from (text.text for cell in row for text in cell)
    for fact in document.totals:
        yield from (fact.label, fact.text)
    yield from (note.text for note in document.closing)
