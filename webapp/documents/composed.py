"""A document as data: composed once, in one language and for one paper, and then drawn for the page or for a printer.

Nothing here decides how a document looks: `pdf` draws it for printers, a template for the page. Both draw its parts in
the order of `texts`. The document holds its buyer's data in plain text, so it is stored only sealed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from webapp.channels.legal_face import Face
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l

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
        """Whether the sheet is too narrow for two columns of facts side by side."""
        return self.width < 150

    @property
    def room_for_bars(self) -> float:
        """Millimeters for the bar code beside the shop's name; on a small sheet the bar code has a line of its own."""
        inside = self.width - 2 * self.margin
        return inside if self.is_small else inside / 2


PAPERS = {
    "a4": Paper("A4", 210, 297, 14),
    "letter": Paper("Letter", 215.9, 279.4, 14),
    "4x6": Paper(_l("Label 4 × 6 in"), 101.6, 152.4, 5),
}


class Style(StrEnum):
    """The style by which a text differs from others."""

    PLAIN = "plain"
    STRONG = "strong"
    NOTE = "note"
    QUOTE = "quote"


@dataclass(frozen=True, slots=True)
class Text:
    """A text; its line breaks are kept. `lead` is the beginning of the text, drawn in bold."""

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
    """A person or company that the document names, line by line; without lines, the reason why they are missing."""

    label: str
    lines: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column; `share` is its part of the table's width, in percent. A column whose share is 0 is as wide
    as its widest text, and the others share the rest of the width.
    """

    label: str
    share: int
    is_number: bool = False


Rows = tuple[tuple[tuple[Text, ...], ...], ...]  # for each column, the texts of its cell, one below the other


@dataclass(frozen=True, slots=True)
class Table:
    """A table beside the document's first one, such as the taxes of an invoice."""

    columns: tuple[Column, ...]
    rows: Rows


@dataclass(frozen=True, slots=True)
class Document:
    """The content of one document."""

    title: str
    language: str
    paper: str
    face: Face
    vat_number: str  # as a sentence in the document's language
    codes: tuple[str, ...]  # printed as bar codes, with the text below them
    parties: tuple[Party, ...]
    facts: tuple[Fact, ...]
    columns: tuple[Column, ...]
    rows: Rows
    totals: tuple[Fact, ...] = ()
    banner: str = ""
    notes: tuple[Text, ...] = ()  # before the table
    closing: tuple[Text, ...] = ()  # behind the tables
    sums: tuple[Fact, ...] = ()  # amounts below each other, at the right border
    tables: tuple[Table, ...] = ()  # behind the sums
    foot: str = ""  # by which several sheets are told from those of other documents; without it, by the codes


def texts(document: Document) -> Iterator[str]:
    """All texts of the document, in the order in which they are read."""
    face = document.face
    yield from (document.banner, face.name, face.legal_name, face.address, document.vat_number, document.title)
    yield from document.codes
    for party in document.parties:
        yield party.label
        yield from party.lines or (party.reason,)
    for fact in document.facts:
        yield from (fact.label, fact.text)
    yield from (note.text for note in document.notes)
    yield from _texts_of_table(document.columns, document.rows)
    for fact in (*document.totals, *document.sums):
        yield from (fact.label, fact.text)
    for table in document.tables:
        yield from _texts_of_table(table.columns, table.rows)
    yield from (note.text for note in document.closing)


def _texts_of_table(columns: tuple[Column, ...], rows: Rows) -> Iterator[str]:
    yield from (column.label for column in columns)
    for row in rows:
        yield from (text.text for cell in row for text in cell)


def labeled(name: str, text: str) -> Text:
    """A note that begins with a name, in bold."""
    return Text(_("%(name)s: %(text)s", name=name, text=text), Style.NOTE, lead=name)
