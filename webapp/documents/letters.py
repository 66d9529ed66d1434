"""Which font has a letter: only the desk's own fonts, which come with it, and no font of the machine.

On the page, a browser draws a document and can join the letters of every script; in the PDF, a library draws one glyph
after the other, from left to right. So each of the two can draw other letters. A letter that can't be drawn is replaced
by its name, such as [U+1F600], and never drawn as an empty box. The lists of letters come with the fonts
(`tools/vendor_fonts.py`), so that no font has to be read for this.
"""

import json
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path

FOLDER = Path(__file__).parent / "fonts"
# In the order in which they are tried: Latin, Greek, Cyrillic; symbols; Chinese and Japanese; Korean; then the fonts
# that only the page can use.
REGULAR = (
    "NotoSans-Regular",
    "NotoSansSymbols-Regular",
    "NotoSansSymbols2-Regular",
    "DroidSansFallback",
    "NanumGothic-Regular",
    "NotoSansArabic-Regular",
    "NotoSansHebrew-Regular",
    "NotoSansThai-Regular",
)
BOLD = {"NotoSans-Regular": "NotoSans-Bold"}
FONTS_OF_PDF = (*BOLD.values(), *REGULAR[:5])


class Drawing(StrEnum):
    """What draws the document: a browser, or the library for PDF."""

    PAGE = "page"
    PDF = "pdf"


@cache
def _coverage() -> dict[str, dict[str, tuple[list[int], list[int]]]]:
    """For each font and drawing, the first letters and the last letters of its ranges."""
    read = json.loads((FOLDER / "coverage.json").read_text())
    return {
        name.removesuffix(".ttf"): {
            drawing: ([first for first, _last in found], [last for _first, last in found])
            for drawing, found in of_font.items()
        }
        for name, of_font in read.items()
    }


@lru_cache(maxsize=16_384)
def font_of(letter: str, drawing: Drawing) -> str | None:
    """The first font that has the letter; None if none has it."""
    code = ord(letter)
    for name in REGULAR if drawing is Drawing.PAGE else FONTS_OF_PDF[1:]:
        firsts, lasts = _coverage()[name][drawing]
        place = bisect_right(firsts, code) - 1
        if place >= 0 and code <= lasts[place]:
            return name
    return None


def named(text: str, drawing: Drawing) -> str:
    """The text with the letters that no font has replaced by their numbers, neighbors in one bracket."""
    if text.isascii() and text.isprintable():
        return text
    parts = []
    for letters, has_none in _pieces_with_or_without_font(text, drawing):
        parts.append(f"[{' '.join(f'U+{ord(letter):04X}' for letter in letters)}]" if has_none else letters)
    return "".join(parts)


def without_font(texts: Iterable[str], drawing: Drawing) -> list[str]:
    """The letters of these texts that no font has, each once."""
    found: dict[str, None] = {}
    for text in texts:
        if text.isascii():
            continue
        for letters, has_none in _pieces_with_or_without_font(text, drawing):
            if has_none:
                found |= dict.fromkeys(letters)
    return list(found)


def runs(text: str, *, bold: bool) -> Iterator[tuple[str, str]]:
    """Pieces of a text that `named` has returned, each with the PDF's font that has all its letters."""
    for name, letters in groupby(text, key=lambda letter: font_of(letter, Drawing.PDF)):
        font = name or REGULAR[0]
        yield BOLD.get(font, font) if bold else font, "".join(letters)


def name_of(letter: str) -> str:
    """The name of a letter for people: its number and its name in Unicode."""
    return f"U+{ord(letter):04X} {unicodedata.name(letter, '')}".rstrip()


def _pieces_with_or_without_font(text: str, drawing: Drawing) -> Iterator[tuple[str, bool]]:
    """Pieces of the text, each with whether no font has its letters. Invisible characters that control their
    neighbors, such as joiners, are kept for browsers and dropped for the PDF, which can't use them.
    """
    if drawing is Drawing.PDF:
        text = unicodedata.normalize("NFC", text)
    for has_none, letters in groupby(_cleaned(text, drawing), key=lambda letter: _has_none(letter, drawing)):
        yield "".join(letters), has_none


def _has_none(letter: str, drawing: Drawing) -> bool:
    return letter != "\n" and not _controls_neighbors(letter) and font_of(letter, drawing) is None


def _cleaned(text: str, drawing: Drawing) -> Iterator[str]:
    for letter in text:
        if letter == "\n":
            yield letter
        elif _controls_neighbors(letter):
            if drawing is Drawing.PAGE:
                yield letter
        elif unicodedata.category(letter) in ("Cc", "Zl", "Zp") or (
            unicodedata.category(letter) == "Zs" and font_of(letter, drawing) is None
        ):
            yield " "
        else:
            yield letter


def _controls_neighbors(letter: str) -> bool:
    """Whether the character is invisible and only changes how its neighbors are drawn: joiners, directions, choices
    of a variant.
    """
    variant = "\ufe00" <= letter <= "\ufe0f" or "\U000e0100" <= letter <= "\U000e01ef"
    return variant or unicodedata.category(letter) == "Cf"
