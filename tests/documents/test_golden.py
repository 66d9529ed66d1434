"""Documents against approved results: their texts, and their sheets as pictures.

After an intended change, write the results again with `WAYBILL_KEEP=1`, look at them, and commit them with the change.
The fonts are part of the desk, so the pictures don't depend on the machine; a few pixels may differ between versions of
the libraries that draw.
"""

import io
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image, ImageChops, ImageFilter, ImageStat
from pypdf import PdfReader

from tests.documents.examples import document
from webapp.documents import pdf
from webapp.documents.composed import PAPERS, Document

KEPT = Path(__file__).parent / "kept"
KEEP = os.environ.get("WAYBILL_KEEP") == "1"
NEAR = 3  # of 255: the largest average difference in the gray of a part
PARTS = 8  # parts of a picture in each direction


def unlike(one: Any, other: Any) -> str:
    """The place where two pictures differ by more than antialiasing and parts of a pixel; empty if they are alike."""
    if abs(one.width - other.width) > 1 or abs(one.height - other.height) > 1:
        return f"sizes {one.size} and {other.size}"
    blurred = (image.filter(ImageFilter.GaussianBlur(2)) for image in (one, other.resize(one.size)))
    difference = ImageChops.difference(*blurred)
    wide, high = one.width / PARTS, one.height / PARTS
    for column in range(PARTS):
        for line in range(PARTS):
            box = (int(column * wide), int(line * high), int((column + 1) * wide), int((line + 1) * high))
            if (gray := ImageStat.Stat(difference.crop(box)).mean[0]) > NEAR:
                return f"part {column}, {line} by {gray:.1f}"
    return ""


def same_picture(image: Any, name: str) -> None:
    """Fail if a picture differs from the approved one."""
    file = KEPT / f"{name}.png"
    if KEEP:
        file.parent.mkdir(exist_ok=True)
        image.convert("L").quantize(16).save(file, optimize=True)
    assert file.exists()
    with Image.open(file) as kept:
        assert unlike(image.convert("L"), kept.convert("L")) == ""


def same_sheets(found: Document, name: str) -> None:
    """Fail if the text or the sheets of a document differ from the approved ones."""
    file = io.BytesIO()
    pdf.draw([found], file, lambda logo: None)
    text = "\f".join(page.extract_text() for page in PdfReader(file).pages)
    kept = KEPT / f"{name}.txt"
    if KEEP:
        KEPT.mkdir(exist_ok=True)
        kept.write_text(text + "\n")
    assert text + "\n" == kept.read_text()
    with closing(pypdfium2.PdfDocument(file.getvalue())) as opened:
        for number, page in enumerate(opened, start=1):
            same_picture(page.render(scale=1.25).to_pil(), f"{name}-{number}")


@pytest.mark.parametrize("paper", PAPERS)
def test_a_documents_sheets_are_those_that_were_found_good(paper: str) -> None:
    same_sheets(document(paper, length=3), f"slip-{paper}")


def test_a_picture_that_differs_is_seen() -> None:
    with Image.open(KEPT / "slip-a4-1.png") as kept:
        good = kept.convert("L")
    moved = ImageChops.offset(good, 0, 6)
    assert unlike(good, good) == ""
    assert "part" in unlike(good, moved)
    without = good.copy()
    without.paste(255, (400, 20, 740, 160))  # no bars
    assert "part" in unlike(good, without)
