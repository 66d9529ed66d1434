"""Laying out a document on sheets: its parts become blocks of lines, and blocks are put on pages.

A line is never split between pages. A block is kept on one page if a page can hold it; a taller block continues with
its next line on the next page, below the head of its table. Sizes are points; a text is measured in the fonts that draw
it.
"""

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field

from reportlab.pdfbase.pdfmetrics import stringWidth

from webapp.channels.logos import Logo
from webapp.documents import bars
from webapp.documents.composed import MILLIMETER, PAPERS, Column, Document, Fact, Rows, Style, Text
from webapp.documents.letters import Drawing, named, runs

# A Chinese or Japanese letter with the signs behind it that must not begin a line; other words; the spaces between.
_WORDS = re.compile(
    "[\u2e80-\u9fff\uf900-\ufaff\uff01-\uff60\U00020000-\U0003ffff][\u3001\u3002\uff0c\uff0e\u300d\u300f\u3011\uff09\uff01\uff1f\u30fc]*"
    "|[ \t]+"
    "|[^ \t\u2e80-\u9fff\uf900-\ufaff\uff01-\uff60\U00020000-\U0003ffff]+"
)
_DARK, _GRAY, _LIGHT = 0.07, 0.27, 0.73


@dataclass(slots=True)
class Piece:
    """Letters of one font at a place in a line, measured from the left border of the sheet."""

    x: float
    text: str
    font: str
    size: float
    gray: float = _DARK


@dataclass(slots=True)
class Line:
    """One line of text, a picture or a bar code, with its height."""

    height: float
    pieces: Sequence[Piece] = ()
    bar: float | None = None  # the place of a rule at the left, such as that of a quotation
    picture: tuple[Logo, float, float, float] | None = None  # with its place, width and height
    code: tuple[str, float, float] | None = None  # the text, with its place and the width of the narrowest bar


@dataclass(slots=True)
class Block:
    """Lines that belong together: cells side by side, each with its lines from the top."""

    cells: list[list[Line]]
    space: float = 0.0  # space above the block, except at the top of a page
    rule: tuple[float, float] | None = None  # a rule below the block: its thickness and its gray
    head: "Block | None" = None  # the head of the block's table, repeated on each page
    framed: bool = False

    @property
    def height(self) -> float:
        return max((sum(line.height for line in cell) for cell in self.cells), default=0.0)


@dataclass(slots=True)
class Placed:
    """A block, or a part of one, with its top on a page, measured from the bottom of the page."""

    top: float
    block: Block


@dataclass(slots=True)
class Layout:
    """The pages of a document."""

    width: float
    height: float
    margin: float
    size: float
    pages: list[list[Placed]] = field(default_factory=list)


def laid_out(document: Document, drawable: Container[Logo]) -> Layout:
    """Lay the document out on pages of its paper; its logo is included if it is among the `drawable` ones."""
    paper = PAPERS[document.paper]
    width, height, margin = (length * MILLIMETER for length in (paper.width, paper.height, paper.margin))
    layout = Layout(width, height, margin, size=8 if paper.is_small else 9.5)
    sheets = _Sheets(layout)
    for block in _Composer(document, layout, drawable).blocks():
        sheets.put(block)
    return layout


class _Sheets:
    """The pages of a layout while they are filled: each block is put below the last one, or on the next page."""

    def __init__(self, layout: Layout) -> None:
        self._pages = layout.pages
        self._top, self._bottom = layout.height - layout.margin, layout.margin + layout.size  # the foot is below
        self._head: Block | None = None  # the last head on this page
        self._turn()

    def put(self, block: Block) -> None:
        space = block.space if self._pages[-1] else 0.0
        head = block.head if block.head is not self._head else None
        needed = space + (head.height if head else 0.0) + block.height
        if self._pages[-1] and needed > self._room:
            self._turn()
        else:
            self._y -= space
        self._put_head(block)
        part, rest = _split(block, self._room)
        self._place(part)
        while rest is not None:
            self._turn()
            self._put_head(block)
            part, rest = _split(rest, self._room)
            self._place(part)

    @property
    def _room(self) -> float:
        return self._y - self._bottom

    def _turn(self) -> None:
        self._pages.append([])
        self._y, self._head = self._top, None

    def _put_head(self, block: Block) -> None:
        if block.head is not None and block.head is not self._head:
            self._place(block.head)
            self._head = block.head

    def _place(self, block: Block) -> None:
        self._pages[-1].append(Placed(self._y, block))
        self._y -= block.height


def _split(block: Block, room: float) -> tuple[Block, Block | None]:
    """The part of a block that fits, with at least a line of each cell, and the rest of it."""
    if block.height <= room:
        return block, None
    fitting, left = [], []
    for cell in block.cells:
        taken = 0.0
        count = 0
        for line in cell:
            if count and taken + line.height > room:
                break
            taken += line.height
            count += 1
        fitting.append(cell[:count])
        left.append(cell[count:])
    if not any(left):
        return block, None
    return Block(fitting, framed=block.framed), Block(left, rule=block.rule, head=block.head, framed=block.framed)


class _Composer:
    """Makes blocks of the parts of a document, in the order of `composed.texts`."""

    def __init__(self, document: Document, layout: Layout, drawable: Container[Logo]) -> None:
        self.document, self.size, self.drawable = document, layout.size, drawable
        self.paper = PAPERS[document.paper]
        self.left, self.width = layout.margin, layout.width - 2 * layout.margin
        self.gap = (2 if self.paper.is_small else 4) * MILLIMETER

    def blocks(self) -> Iterator[Block]:
        document = self.document
        if document.banner:
            yield Block([self._centered(document.banner)], framed=True)
        yield from self._head()
        yield from self._facts()
        for note in document.notes:
            yield Block([self._text(note, self.left, self.width)], space=self.size / 2)
        yield from self._table(document.columns, document.rows)
        for fact in document.totals:
            labels = self._label_width((fact,), self.width)
            yield Block([self._fact(fact, self.left, labels, self.width)], space=self.size / 2)
        if document.sums:
            yield Block([[line for fact in document.sums for line in self._sum(fact)]], space=self.size / 2)
        for table in document.tables:
            yield from self._table(table.columns, table.rows)
        for note in document.closing:
            yield Block([self._text(note, self.left, self.width)], space=self.size / 2)

    def _head(self) -> Iterator[Block]:
        face, small = self.document.face, self.paper.is_small
        half = self.width if small else (self.width - self.gap) / 2
        lines: list[Line] = []
        if face.logo is not None and face.logo in self.drawable:
            lines.append(self._logo(face.logo, half))
        lines += self._lines(face.name, self.left, half, size=self.size * 1.3, bold=True)
        for text in (face.legal_name, face.address, self.document.vat_number):
            lines += self._lines(text, self.left, half) if text else []
        x = self.left if small else self.left + half + self.gap
        title = self._lines(self.document.title, x, half, size=self.size * 1.5, bold=True, to_right=not small)
        for code in self.document.codes:
            title += self._code(code, x, half, to_right=not small)
        rule = (1.2, _DARK)
        title.append(Line(self.size / 2))
        lines.append(Line(self.size / 2))
        if small:
            yield Block([lines], space=self.size / 2)
            yield Block([title], rule=rule, space=self.size / 2)
        else:
            yield Block([lines, title], rule=rule, space=self.size)

    def _facts(self) -> Iterator[Block]:
        document, small = self.document, self.paper.is_small
        share = self.width if small else self.width * 0.55 - self.gap
        parties: list[Line] = []
        for party in document.parties:
            parties += [Line(self.size / 2)] if parties else []
            parties += self._lines(party.label, self.left, share, gray=_GRAY, bold=True)
            for line in party.lines or (party.reason,):
                parties += self._lines(line, self.left, share, size=self.size * 1.1 if party.lines else self.size)
        x = self.left if small else self.left + self.width * 0.55
        room = self.width if small else self.width * 0.45
        labels = self._label_width(document.facts, room)
        facts = [line for fact in document.facts for line in self._fact(fact, x, labels, room)]
        if small:
            yield Block([parties], space=self.size / 2)
            yield Block([facts], space=self.size / 2)
        else:
            yield Block([parties, facts], space=self.size * 1.5)

    def _table(self, columns: Sequence[Column], rows: Rows) -> Iterator[Block]:
        places, x = [], self.left
        for column, wide in zip(columns, self._widths(columns, rows), strict=True):
            places.append((x, wide - self.gap, column.is_number))
            x += wide
        places[-1] = (places[-1][0], places[-1][1] + self.gap, places[-1][2])
        labels = zip(columns, places, strict=True)
        cells = [
            self._lines(column.label, x, wide, size=self.size * 0.9, gray=_GRAY, bold=True, to_right=number)
            for column, (x, wide, number) in labels
        ]
        head = self._spaced(Block(cells, rule=(0.8, _DARK)))
        for place, row in enumerate(rows):
            found = [
                [line for text in cell for line in self._text(text, x, wide, to_right=number)]
                for cell, (x, wide, number) in zip(row, places, strict=True)
            ]
            yield self._spaced(Block(found, rule=(0.4, _LIGHT), head=head, space=self.size if place == 0 else 0.0))

    def _widths(self, columns: Sequence[Column], rows: Rows) -> list[float]:
        """The widths of the columns with the gaps behind them. Columns as wide as their texts take at most 70 % of the
        table; longer texts are broken.
        """
        fitting = {place: self._widest(column, place, rows) for place, column in enumerate(columns) if not column.share}
        taken, shares = sum(fitting.values()), sum(column.share for column in columns)
        scale = min(1.0, self.width * 0.7 / taken) if taken else 1.0
        rest = self.width - taken * scale
        return [
            fitting[place] * scale if place in fitting else rest * column.share / shares
            for place, column in enumerate(columns)
        ]

    def _widest(self, column: Column, place: int, rows: Rows) -> float:
        """The width of the longest text in a column, or of the longest word of its label, with the gap behind it."""
        head = max(_width(word, self.size * 0.9, bold=True) for word in column.label.split(" "))
        cells = {(text.text, text.style is Style.STRONG) for row in rows for text in row[place]}
        return max([head, *(_width(text, self.size, bold=bold) for text, bold in cells)]) + self.gap + 0.1

    def _sum(self, fact: Fact) -> list[Line]:
        """A label with its amount at the right border, in one line if there is room for both."""
        x = self.left if self.paper.is_small else self.left + self.width * 0.55
        room = self.left + self.width - x
        bold = fact.style is Style.STRONG
        label = self._lines(fact.label, x, room, gray=_GRAY)
        value = self._lines(fact.text, x, room, bold=bold, to_right=True)
        wide = _width(fact.label, self.size, bold=False) + self.gap + _width(fact.text, self.size, bold=bold)
        if wide > room:
            return label + value
        return [Line(value[0].height, [*label[0].pieces, *value[0].pieces])]

    def _spaced(self, block: Block) -> Block:
        """A row with space above and below its text."""
        air = self.size * 0.3
        for cell in block.cells:
            cell[:0] = [Line(air)]
            cell.append(Line(air))
        return block

    def _text(self, text: Text, x: float, width: float, *, to_right: bool = False) -> list[Line]:
        if text.style is Style.QUOTE:
            indent = self.size * 0.8
            lines = self._lines(text.text, x + indent, width - indent)
            for line in lines:
                line.bar = x
            return lines
        size = self.size * 0.92 if text.style is Style.NOTE else self.size
        bold = text.style is Style.STRONG
        return self._lines(text.text, x, width, size=size, bold=bold, to_right=to_right, lead=text.lead)

    def _fact(self, fact: Fact, x: float, labels: float, room: float) -> list[Line]:
        """A label with its value beside it, or below it if the label is too long. A value below its label begins where
        the other values do, or further left if it would not fit.
        """
        bold = fact.style is Style.STRONG
        label = self._lines(fact.label, x, room, gray=_GRAY)
        if len(label) > 1 or _width(fact.label, self.size, bold=False) > labels:
            indent = max(0.0, min(labels, room - _width(fact.text, self.size, bold=bold) - 0.1))
            return label + self._lines(fact.text, x + indent, room - indent, bold=bold)
        first, *others = self._lines(fact.text, x + labels, room - labels, bold=bold)
        return [Line(first.height, [*label[0].pieces, *first.pieces]), *others]

    def _label_width(self, facts: Sequence[Fact], room: float) -> float:
        """The width of the labels and the space behind them, limited so that the values keep some room."""
        widest = max((_width(fact.label, self.size, bold=False) for fact in facts), default=0.0)
        return min(widest + self.size, room * 0.6)

    def _logo(self, logo: Logo, room: float) -> Line:
        scale = min(room / logo.width, 70 * MILLIMETER / logo.width, 18 * MILLIMETER / logo.height, 0.75)
        width, height = logo.width * scale, logo.height * scale
        return Line(height + self.size / 2, picture=(logo, self.left, width, height))

    def _code(self, text: str, x: float, room: float, *, to_right: bool) -> list[Line]:
        thinnest = bars.thinnest(text, self.paper.room_for_bars) * MILLIMETER
        size = self.size * 0.9
        if not thinnest:
            return self._lines(text, x, room, size=size, to_right=to_right)
        modules = sum(bars.widths(text)) + 2 * bars.QUIET
        wide = modules * thinnest
        place = x + room - wide if to_right else x
        below = _width(text, size, bold=False)
        return [
            Line(self.size / 2),
            Line(bars.HEIGHT * MILLIMETER, code=(text, place + bars.QUIET * thinnest, thinnest)),
            *self._lines(text, place + max(0.0, (wide - below) / 2), max(room, below), size=size),
        ]

    def _centered(self, text: str) -> list[Line]:
        size = self.size * 1.1
        wide = _width(text, size, bold=True)
        x = self.left + max(0.0, (self.width - wide) / 2)
        lines = self._lines(text, x, min(wide + 1, self.width), size=size, bold=True)
        return [Line(size * 0.4), *lines, Line(size * 0.4)]

    def _leading(self, size: float) -> float:
        return size * 1.36

    def _lines(
        self,
        text: str,
        x: float,
        width: float,
        *,
        size: float | None = None,
        bold: bool = False,
        gray: float = _DARK,
        to_right: bool = False,
        lead: str = "",
    ) -> list[Line]:
        size = size or self.size
        lines = []
        for words in wrapped(text, width, size, bold=bold, lead=lead):
            pieces, at = [], x
            for word, is_bold in words:
                for font, letters in runs(word, bold=is_bold):
                    pieces.append(Piece(at, letters, font, size, gray))
                    at += stringWidth(letters, font, size)
            if to_right:
                for piece in pieces:
                    piece.x += x + width - at
            lines.append(Line(self._leading(size), pieces))
        return lines


def wrapped(text: str, width: float, size: float, *, bold: bool, lead: str = "") -> Iterator[list[tuple[str, bool]]]:
    """The lines of a text, each as pieces that are bold or not. First, letters that no font has are replaced by
    their names. A word wider than the line is split between letters.
    """
    lead = named(lead, Drawing.PDF)
    given = named(text, Drawing.PDF)
    at_bold = len(lead) if lead and given.startswith(lead) else 0
    passed = 0
    for paragraph in given.split("\n"):
        line: list[tuple[str, bool]] = []
        used = 0.0
        spaces = ""
        for word in _WORDS.findall(paragraph):
            is_bold = bold or passed < at_bold
            passed += len(word)
            if word.isspace() and word.strip(" \t") == "":
                spaces += word.replace("\t", " ")
                continue
            before = _width(spaces, size, bold=is_bold) if line else 0.0
            wide = _width(word, size, bold=is_bold)
            if line and used + before + wide > width:
                yield _joined(line)
                line, used, before = [], 0.0, 0.0
            elif line and spaces:
                line.append((spaces, is_bold))
            used += before
            spaces = ""
            if wide > width:
                while (fits := _fitting(word, width, size, bold=is_bold)) < len(word):
                    yield [(word[:fits], is_bold)]
                    word = word[fits:]
                wide = _width(word, size, bold=is_bold)
            line.append((word, is_bold))
            used += wide
        passed += 1
        yield _joined(line)


def _joined(line: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """The line with neighboring pieces of the same weight joined, so that it has few pieces."""
    found: list[tuple[str, bool]] = []
    for word, is_bold in line:
        if found and found[-1][1] == is_bold:
            found[-1] = (found[-1][0] + word, is_bold)
        else:
            found.append((word, is_bold))
    return found


def _fitting(word: str, width: float, size: float, *, bold: bool) -> int:
    """How many letters of a word fit, at least one; it prefers to end behind a sign such as a hyphen or a slash."""
    used = 0.0
    for place, letter in enumerate(word):
        used += _width(letter, size, bold=bold)
        if used > width:
            joint = max(word.rfind(sign, 0, place) for sign in "-/_,;")
            return joint + 1 or max(1, place)
    return len(word)


def _width(text: str, size: float, *, bold: bool) -> float:
    return sum(float(stringWidth(letters, font, size)) for font, letters in runs(text, bold=bold))
