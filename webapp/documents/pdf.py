"""Documents as PDF, for printers: each document laid out on sheets of its paper, one after the other in one file.

The library that writes the file is loaded with the first document, since a web process starts often and prints seldom.
All threads share the read position in the library's fonts, so only one document is drawn at a time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from webapp.channels.logos import Logo
from webapp.documents import bars, letters
from webapp.documents.composed import MILLIMETER, Document

if TYPE_CHECKING:
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    from webapp.documents.laying_out import Layout, Line, Placed

log = structlog.get_logger(__name__)
DOTS = 1_000  # of a logo's longer side: 300 per inch or more at its printed size
_one_at_a_time = Lock()
Pictures = Callable[[Logo], bytes | None]


class Sink(Protocol):
    """The file to which the PDF is written."""

    def write(self, data: bytes, /) -> int: ...


def draw(documents: Sequence[Document], file: Sink, pictures: Pictures) -> int:
    """Write the documents into a PDF file; `pictures` gives the content of a logo. Returns the number of pages."""
    contents = {logo: pictures(logo) for logo in {one.face.logo for one in documents} if logo is not None}
    readable = {logo: picture for logo, content in contents.items() if content and (picture := _readable(content))}
    with _one_at_a_time:
        return _draw(documents, file, readable)


def _draw(documents: Iterable[Document], file: Sink, readable: Mapping[Logo, Any]) -> int:
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    from webapp.documents.laying_out import laid_out

    _register_fonts()
    readers = {logo: ImageReader(picture) for logo, picture in readable.items()}  # the file then holds each logo once
    canvas, pages = Canvas(file, pageCompression=1, initialFontName=letters.REGULAR[0]), 0  # no font stays outside
    for document in documents:
        layout = laid_out(document, readers)
        if not pages:
            canvas.setTitle(document.title)
            canvas.setCreator("Waybill")
        _draw_pages(canvas, document, layout, readers)
        pages += len(layout.pages)
    canvas.save()
    return pages


def _draw_pages(canvas: "Canvas", document: Document, layout: "Layout", readers: "Mapping[Logo, ImageReader]") -> None:
    for number, page in enumerate(layout.pages, start=1):
        canvas.setPageSize((layout.width, layout.height))
        for placed in page:
            _draw_block(canvas, placed, layout, readers)
        if len(layout.pages) > 1:
            names = (document.foot,) if document.foot else document.codes
            foot = " · ".join((*names, f"{number} / {len(layout.pages)}"))
            _draw_foot(canvas, foot, layout)
        canvas.showPage()


def _draw_foot(canvas: "Canvas", text: str, layout: "Layout") -> None:
    """Draw a text in the bottom margin by which sheets of different documents can be told apart."""
    size = layout.size * 0.85
    canvas.setFillGray(0.27)
    at = layout.margin
    for font, found in letters.runs(letters.named(text, letters.Drawing.PDF), bold=False):
        canvas.setFont(font, size)
        canvas.drawString(at, layout.margin - size * 0.4, found)
        at += canvas.stringWidth(found, font, size)


def _draw_block(canvas: "Canvas", placed: "Placed", layout: "Layout", readers: "Mapping[Logo, ImageReader]") -> None:
    block, right = placed.block, layout.width - layout.margin
    for cell in block.cells:
        y = placed.top
        for line in cell:
            _draw_line(canvas, line, y, readers)
            y -= line.height
    below = placed.top - block.height
    if block.rule is not None:
        thick, gray = block.rule
        canvas.setStrokeGray(gray)
        canvas.setLineWidth(thick)
        canvas.line(layout.margin, below, right, below)
    if block.framed:
        canvas.setStrokeGray(0.07)
        canvas.setLineWidth(1)
        canvas.setDash(4, 3)
        canvas.rect(layout.margin, below, right - layout.margin, block.height)
        canvas.setDash()


def _draw_line(canvas: "Canvas", line: "Line", top: float, readers: "Mapping[Logo, ImageReader]") -> None:
    for piece in line.pieces:
        canvas.setFont(piece.font, piece.size)
        canvas.setFillGray(piece.gray)
        canvas.drawString(piece.x, top - piece.size * 1.06, piece.text)
    if line.bar is not None:
        canvas.setStrokeGray(0.07)
        canvas.setLineWidth(1.5)
        canvas.line(line.bar, top, line.bar, top - line.height)
    if line.picture is not None:
        logo, x, width, height = line.picture
        canvas.drawImage(readers[logo], x, top - height, width, height, mask="auto")
    if line.code is not None:
        text, x, thinnest = line.code
        canvas.setFillGray(0)
        for place, width in enumerate(bars.widths(text)):
            if place % 2 == 0:
                canvas.rect(x, top - bars.HEIGHT * MILLIMETER, width * thinnest, bars.HEIGHT * MILLIMETER, 0, 1)
            x += width * thinnest


@lru_cache(maxsize=8)
def _readable(content: bytes) -> Any:
    """A logo as a picture with no more dots than are printed; None for a damaged one, which is left out of
    documents.
    """
    from PIL import Image

    try:
        with Image.open(BytesIO(content)) as picture:
            picture.thumbnail((DOTS, DOTS))
            return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    except Exception as error:  # the library raises many kinds of errors for damaged pictures
        log.warning("logo_not_drawn", kind=type(error).__name__)
        return None


@lru_cache(maxsize=1)
def _register_fonts() -> None:
    """Register the PDF's fonts in the library."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    for name in letters.FONTS_OF_PDF:
        pdfmetrics.registerFont(TTFont(name, str(letters.FOLDER / f"{name}.ttf")))
