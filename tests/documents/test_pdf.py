"""Documents as PDF: the text of the page and no other, whole lines, numbered sheets, bars, letters of known fonts."""

import io
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from time import process_time, sleep
from typing import Any

import pypdfium2
import pytest
from flask import Flask
from hypothesis import given, settings, strategies as st
from PIL import Image
from pypdf import PdfReader

from tests.documents.code128 import read_back
from tests.documents.examples import LONG, document, row
from tests.pictures import png
from webapp.channels.legal_face import Face
from webapp.channels.logos import Logo
from webapp.documents import pdf
from webapp.documents.composed import MILLIMETER, PAPERS, Document, Party, Style, Text, texts
from webapp.documents.laying_out import laid_out
from webapp.documents.letters import Drawing, named


def drawn(*documents: Document, pictures: pdf.Pictures = lambda logo: None) -> bytes:
    file = io.BytesIO()
    pdf.draw(documents, file, pictures)
    return file.getvalue()


def read(content: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]


def letters(text: str) -> str:
    """A text without spaces and line breaks, in which drawings may differ, and with each accent composed with its
    letter, as in the PDF.
    """
    return "".join(unicodedata.normalize("NFC", text).split())


def said(found: Document, drawing: Drawing = Drawing.PDF) -> str:
    return letters("".join(named(text, drawing) for text in texts(found)))


def of_page(app: Flask, found: Document) -> str:
    from webapp.ui.lists.documents import drawn as drawn_on_page

    with app.test_request_context():
        html = str(drawn_on_page(found))
    plain = re.sub(r"<[^>]+>", "", html)
    for sign, letter in (("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&#34;", '"'), ("&#39;", "'")):
        plain = plain.replace(sign, letter)
    return letters(plain)


@pytest.mark.parametrize("paper", PAPERS)
def test_both_drawings_say_all_of_the_document_in_its_order(app: Flask, paper: str) -> None:
    found = document(paper)
    pages = read(drawn(found))
    if len(pages) == 1:
        assert letters(pages[0]) == said(found)
    assert of_page(app, found) == said(found, Drawing.PAGE) == said(found)


def test_a_letter_that_no_font_has_is_named() -> None:
    [page] = read(drawn(document()))
    assert "Zoë [U+1F600]" in page


def trial_letters_of_other_scripts_are_drawn_in_fonts_that_come_along() -> None:
    fonts = set()
    for page in PdfReader(io.BytesIO(drawn(document()))).pages:
        fonts |= {font.get_object()["/BaseFont"].partition("+")[2] for font in page["/Resources"]["/Font"].values()}
    assert {"NotoSans-Regular", "NotoSans-Bold", "DroidSansFallback", "NanumGothic"} <= fonts
    assert "Helvetica" not in fonts


def test_five_hundred_lines_are_on_numbered_sheets_each_below_the_head_of_the_table() -> None:
    pages = read(drawn(document(length=500)))
    assert len(pages) > 10
    for number, page in enumerate(pages, start=1):
        assert f"WB-100000012 · {number} / {len(pages)}" in page
        assert letters("QuantitySKUProduct") in letters(page) or "MUG" not in page
    whole = "".join(letters(page) for page in pages)
    assert whole.count("MUG-BLUE") == 250
    assert whole.count(letters(LONG)) == 250


def test_documents_of_one_file_are_numbered_each_by_itself() -> None:
    first = document(length=60)
    long, single = len(read(drawn(first))), document(length=1, codes=("B-2",))
    pages = read(drawn(first, single, first))
    assert len(pages) == 2 * long + 1
    assert [re.findall(r"\d+ / \d+", page) for page in pages[: long + 1]] == [
        *([f"{number} / {long}"] for number in range(1, long + 1)),
        [],
    ]
    assert f"1 / {long}" in pages[long + 1]


@pytest.mark.parametrize("paper", PAPERS)
def test_nothing_leaves_its_sheet(paper: str) -> None:
    found = document(paper, length=30, parties=(Party("Ship to", ("W" * 300, "東" * 200, "x")),))
    layout = laid_out(found, ())
    right = layout.width - layout.margin
    for page in layout.pages:
        below = layout.height
        for placed in page:
            assert placed.top <= below + 0.01
            below = placed.top - placed.block.height
            assert below >= layout.margin - 0.01
            for line in (line for cell in placed.block.cells for line in cell):
                for piece in line.pieces:
                    assert layout.margin - 0.01 <= piece.x
                    assert piece.x + wide(piece) <= right + 0.01


def test_a_text_without_end_takes_its_time_by_its_length() -> None:
    """A word of 100,000 letters is 1,500 lines of a label; measuring the rest of the word for each line would take
    minutes.
    """
    found = document("4x6", rows=(row(1, "X", Text("x" * 100_000, Style.QUOTE)),))
    began = process_time()
    layout = laid_out(found, ())
    assert process_time() - began < 20
    assert sum(len(piece.text) for page in layout.pages for placed in page for piece in pieces_of(placed)) > 100_000


def wide(piece: Any) -> float:
    from reportlab.pdfbase.pdfmetrics import stringWidth

    return float(stringWidth(piece.text, piece.font, piece.size))


@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=400), min_size=4, max_size=4))
@settings(max_examples=40, deadline=None)
def test_whatever_is_typed_is_drawn_whole_with_glyphs_that_the_fonts_have(typed: Sequence[str]) -> None:
    name, title, wish, address = typed
    found = document(
        "4x6",
        parties=(Party("Ship to", (name, address)),),
        rows=(row(1, title, Text(title), Text(wish, Style.QUOTE)),) * 2,
        notes=(Text(f"Wish: {wish}", Style.NOTE, lead="Wish"),),
        face=Face(name, "", address, ""),
        codes=(title[:20],),
    )
    layout = laid_out(found, ())
    pieces = [piece for page in layout.pages for placed in page for piece in pieces_of(placed)]
    for piece in pieces:
        glyphs = glyphs_of(piece.font)
        assert all(glyphs.get(ord(letter)) for letter in piece.text)
    repeated = len(layout.pages) - 1
    assert len(letters("".join(piece.text for piece in pieces))) >= len(said(found))
    assert repeated or sorted(letters("".join(piece.text for piece in pieces))) == sorted(said(found))
    drawn(found)


def pieces_of(placed: Any) -> Iterator[Any]:
    for cell in placed.block.cells:
        for line in cell:
            yield from line.pieces


def glyphs_of(font: str) -> Any:
    from reportlab.pdfbase.pdfmetrics import getFont

    return getFont(font).face.charToGlyph


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("number", ["WB-100000012", "000001", "028-1234567-1234567"])
def test_a_scanner_reads_the_order_number_off_the_sheet(paper: str, number: str) -> None:
    """Reads one row of pixels of the sheet at 600 dots per inch, like the beam of a laser scanner."""
    image = rendered(drawn(document(paper, codes=(number,), banner="", length=1)), 600 / 72)[0].convert("L")
    scale = 600 / 25.4
    found = None
    for y in range(0, image.height, 20):
        runs = runs_of(image.crop((0, y, image.width, y + 1)).tobytes())
        widths = bars_in(runs)
        if widths is not None:
            found = widths
            break
    assert found is not None
    thinnest = min(found)
    assert thinnest / scale >= 0.24
    assert read_back([round(width / thinnest_of(found)) for width in found]) == number


def thinnest_of(found: Sequence[int]) -> float:
    """The width of a module: each letter of a code has 11 modules, its end has 13."""
    letters_of_code = (len(found) - 7) // 6
    return sum(found) / (11 * letters_of_code + 13)


def runs_of(pixels: bytes) -> list[tuple[bool, int]]:
    """The lengths of dark and light runs in a row of pixels, in turn."""
    found: list[tuple[bool, int]] = []
    for pixel in pixels:
        dark = pixel < 128
        if found and found[-1][0] is dark:
            found[-1] = (dark, found[-1][1] + 1)
        else:
            found.append((dark, 1))
    return found


def bars_in(runs: Sequence[tuple[bool, int]]) -> list[int] | None:
    """The widths of the bars in a row that has one code between two quiet zones and nothing else; None for any other
    row.
    """
    inner = [width for _dark, width in runs[1:-1]]
    if len(inner) < 25 or len(inner) % 2 == 0 or max(inner) > 5 * min(inner):
        return None
    return inner if min(runs[0][1], runs[-1][1]) >= 10 * min(inner) * 0.95 else None


def rendered(content: bytes, scale: float = 1.0) -> list[Any]:
    with closing(pypdfium2.PdfDocument(content)) as opened:
        return [page.render(scale=scale).to_pil() for page in opened]


def test_a_logo_is_drawn_and_a_damaged_one_is_left_out() -> None:
    face = Face("Harbor", "", "", "", Logo(1, "png", 400, 120, "abc"))
    plain, with_logo, damaged = (
        drawn(document(face=face, length=1), pictures=lambda logo, content=content: content)
        for content in (None, png(400, 120), b"\x89PNG\r\n\x1a\n nothing")
    )
    sheets = [PdfReader(io.BytesIO(content)).pages[0] for content in (plain, with_logo, damaged)]
    assert [len(sheet.images) for sheet in sheets] == [0, 1, 0]
    assert letters(read(plain)[0]) == letters(read(damaged)[0])


def test_a_large_logo_is_drawn_with_as_many_dots_as_are_printed() -> None:
    large = io.BytesIO()
    Image.new("RGBA", (3000, 1500), (200, 30, 30, 128)).save(large, "PNG")
    face = Face("Harbor", "", "", "", Logo(1, "png", 3000, 1500, "abc"))
    documents = [document(face=face, length=1)] * 3
    sheets = PdfReader(io.BytesIO(drawn(*documents, pictures=lambda logo: large.getvalue()))).pages
    assert [sheet.images[0].image.size for sheet in sheets] == [(1000, 500)] * 3
    assert len({sheet.images[0].indirect_reference.idnum for sheet in sheets}) == 1  # the file holds the logo once


def test_documents_drawn_by_several_threads_at_once_are_each_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads share the read position in a font: if another thread runs in between, the next read is at a wrong
    place.
    """
    from reportlab.pdfbase.ttfonts import TTFontFace

    documents = [
        document(parties=(Party("Ship to", (f"Zoë Ångström {place}" + "äöüéèçñ"[place],)),)) for place in range(6)
    ]
    alone = [rendered(drawn(found), 0.5)[0].tobytes() for found in documents]
    seek = TTFontFace.seek

    def seek_and_wait(face: Any, place: int) -> None:
        seek(face, place)
        sleep(0)

    monkeypatch.setattr(TTFontFace, "seek", seek_and_wait)
    with ThreadPoolExecutor(6) as pool:
        contents = list(pool.map(drawn, documents))
    for found, content, picture in zip(documents, contents, alone, strict=True):
        assert letters(read(content)[0]) == said(found)
        assert rendered(content, 0.5)[0].tobytes() == picture


def test_sheets_have_the_size_of_their_paper() -> None:
    for code, paper in PAPERS.items():
        box = PdfReader(io.BytesIO(drawn(document(code)))).pages[0].mediabox
        size = (paper.width * MILLIMETER, paper.height * MILLIMETER)
        assert (float(box.width), float(box.height)) == pytest.approx(size, abs=0.1)


def test_the_file_names_no_buyer_beside_its_text() -> None:
    assert dict(PdfReader(io.BytesIO(drawn(document()))).metadata or {}).get("/Title") == "Packing slip"


def test_a_desk_starts_without_the_library_that_draws() -> None:
    asked = "import sys, webapp.ui, webapp.documents.pdf; print([name for name in sys.modules if 'reportlab' in name])"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
