"""Documents as PDF, for printers: each laid out on the sheets of its paper, one behind the other in one file.

The library that writes the file is loaded with the first document, since a web process prints seldom and starts often.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Protocol

import structlog

from webapp.channels.logos import Logo
from webapp.documents import bars, letters
from webapp.documents.composed import MILLIMETER, Document

if TYPE_CHECKING:
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    from webapp.documents.laying_out import Layout, Line, Placed

log = structlog.get_logger(__name__)
Pictures = Callable[[Logo], bytes | None]


class Sink(Protocol):
    """Where a file is written to."""

    def write(self, data: bytes, /) -> int: ...


def draw(documents: Iterable[Document], file: Sink, pictures: Pictures) -> int:
    """Write the documents into a PDF file; `pictures` gives the content of a logo. Returns the number of pages."""
    from reportlab.pdfgen.canvas import Canvas

    from webapp.documents.laying_out import laid_out

    _register_fonts()
    known: dict[str, ImageReader | None] = {}

    def picture(logo: Logo) -> "ImageReader | None":
        if logo.digest not in known:
            known[logo.digest] = _readable(pictures(logo))
        return known[logo.digest]

    canvas, pages = Canvas(file, pageCompression=1), 0
    for document in documents:
        layout = laid_out(document, lambda logo: picture(logo) is not None)
        if not pages:
            canvas.setTitle(document.title)
            canvas.setCreator("Waybill")
        _draw_pages(canvas, document, layout, picture)
        pages += len(layout.pages)
    canvas.save()
    return pages


def _draw_pages(
    canvas: "Canvas", document: Document, layout: "Layout", picture: "Callable[[Logo], ImageReader | None]"
) -> None:
    for number, page in enumerate(layout.pages, start=1):
        canvas.setPageSize((layout.width, layout.height))
        for placed in page:
            _draw_block(canvas, placed, layout, picture)
        if len(layout.pages) > 1:
            foot = " · ".join((*document.codes, f"{number} / {len(layout.pages)}"))
            _draw_foot(canvas, foot, layout)
        canvas.showPage()


def _draw_foot(canvas: "Canvas", text: str, layout: "Layout") -> None:
    """What tells the sheets of one document from those of the next, in the margin."""
    size = layout.size * 0.85
    canvas.setFillGray(0.27)
    at = layout.margin
    for font, found in letters.runs(letters.named(text, letters.Drawing.PDF), bold=False):
        canvas.setFont(font, size)
        canvas.drawString(at, layout.margin - size * 0.4, found)
        at += canvas.stringWidth(found, font, size)


def _draw_block(
    canvas: "Canvas", placed: "Placed", layout: "Layout", picture: "Callable[[Logo], ImageReader | None]"
) -> None:
    block, right = placed.block, layout.width - layout.margin
    for cell in block.cells:
        y = placed.top
        for line in cell:
            _draw_line(canvas, line, y, picture)
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


def _draw_line(canvas: "Canvas", line: "Line", top: float, picture: "Callable[[Logo], ImageReader | None]") -> None:
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
        canvas.drawImage(picture(logo), x, top - height, width, height, mask="auto")
    if line.code is not None:
        text, x, thinnest = line.code
        canvas.setFillGray(0)
        for place, width in enumerate(bars.widths(text)):
            if place % 2 == 0:
                canvas.rect(x, top - bars.HEIGHT * MILLIMETER, width * thinnest, bars.HEIGHT * MILLIMETER, 0, 1)
            x += width * thinnest


def _readable(content: bytes | None) -> "ImageReader | None":
    """A picture that the library can draw; None for one that it can't, which a document does without."""
    from reportlab.lib.utils import ImageReader

    if content is None:
        return None
    try:
        reader = ImageReader(BytesIO(content))
        reader.getRGBData()
    except Exception as error:  # whatever the library makes of a damaged picture
        log.warning("logo_not_drawn", kind=type(error).__name__)
        return None
    return reader


@lru_cache(maxsize=1)
def _register_fonts() -> None:
    """Let the library know the fonts that the PDF uses."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    for name in letters.FONTS_OF_PDF:
        pdfmetrics.registerFont(TTFont(name, str(letters.FOLDER / f"{name}.ttf")))
