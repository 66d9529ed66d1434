"""Fonts: they come with the desk, their letters are known, and a letter that no font has is named."""

import hashlib
import json

import pytest
from hypothesis import given, settings, strategies as st

from tools import vendor_fonts
from webapp.documents import letters
from webapp.documents.letters import FOLDER, Drawing, font_of, name_of, named, runs, without_font

FONTS = sorted(path.stem for path in FOLDER.glob("*.ttf"))
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=40)  # half characters, too


def test_every_font_is_what_was_fetched_and_has_its_license() -> None:
    listed = [line.split("  ") for line in (FOLDER / "SHA256SUMS").read_text().splitlines()]
    assert {name for _sum, name in listed} == {path.name for path in FOLDER.glob("*.t[tx][ft]*")}
    assert [name for digest, name in listed if hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() != digest] == []
    for font in FONTS:
        assert (FOLDER / f"{font.partition('-')[0]}.LICENSE.txt").is_file()


def test_the_lists_of_letters_are_those_of_the_fonts() -> None:
    known = json.loads((FOLDER / "coverage.json").read_text())
    assert known == {f"{font}.ttf": vendor_fonts.coverage(FOLDER / f"{font}.ttf") for font in FONTS}


def test_every_font_is_used() -> None:
    assert sorted({*letters.REGULAR, *letters.BOLD.values()}) == FONTS


def test_bold_has_what_its_regular_font_has() -> None:
    known = json.loads((FOLDER / "coverage.json").read_text())
    for regular, bold in letters.BOLD.items():
        assert known[f"{regular}.ttf"] == known[f"{bold}.ttf"]


@pytest.mark.parametrize(
    "text",
    ["Zoë Ångström", "Łódź", "Жук", "Αθήνα", "山田太郎", "東京都千代田区", "한글 주소", "★ ✓ ①", "Tiếng Việt", "50 €"],
)
@pytest.mark.parametrize("drawing", Drawing)
def test_what_buyers_are_called_is_printed_as_it_is(text: str, drawing: Drawing) -> None:
    assert named(text, drawing) == text
    assert without_font([text], drawing) == []


@pytest.mark.parametrize("text", ["שלום", "القاهرة", "กรุงเทพ", "नमस्ते"])
def test_scripts_that_the_pdf_does_not_set_are_named_in_it_and_printed_by_the_page(text: str) -> None:
    assert named(text, Drawing.PAGE) == text
    numbers = " ".join(f"U+{ord(letter):04X}" for letter in text)
    assert named(text, Drawing.PDF) == f"[{numbers}]"
    assert "".join(without_font([text, "Jane"], Drawing.PDF)) == "".join(dict.fromkeys(text))


@pytest.mark.parametrize("drawing", Drawing)
def test_a_letter_that_no_font_has_is_named(drawing: Drawing) -> None:
    assert named("Hi 😀🥳 you", drawing) == "Hi [U+1F600 U+1F973] you"
    assert named("\ue000", drawing) == "[U+E000]"
    assert named("\ud800", drawing) == "[U+D800]"
    assert [name_of(letter) for letter in without_font(["😀", "a😀"], drawing)] == ["U+1F600 GRINNING FACE"]


@settings(deadline=None)
@given(ANYTHING)
def test_whatever_is_typed_the_pdf_draws_letters_that_its_fonts_have(text: str) -> None:
    glyphs = _glyphs()
    for bold in (False, True):
        for paragraph in named(text, Drawing.PDF).split("\n"):
            for font, letters_of_run in runs(paragraph, bold=bold):
                assert all(glyphs[font].get(ord(letter)) for letter in letters_of_run)


@settings(deadline=None)
@given(ANYTHING)
def test_naming_twice_changes_nothing(text: str) -> None:
    for drawing in Drawing:
        once = named(text, drawing)
        assert named(once, drawing) == once
        assert without_font([once], drawing) == []
        once.encode()  # a half character would raise


@settings(deadline=None)
@given(st.characters(exclude_categories=()))
def test_a_letter_is_either_printed_or_named(letter: str) -> None:
    for drawing in Drawing:
        if without_font([letter], drawing):
            assert f"U+{ord(letter):04X}" in named(letter, drawing)
        elif drawing is Drawing.PAGE and not named(letter, drawing).isspace() and named(letter, drawing) == letter:
            assert font_of(letter, drawing) or letters._controls_neighbors(letter)


_KNOWN: dict[str, dict[int, int]] = {}


def _glyphs() -> dict[str, dict[int, int]]:
    if not _KNOWN:
        for font in FONTS:
            _KNOWN[font] = vendor_fonts.TTFontFile(str(FOLDER / f"{font}.ttf")).charToGlyph
    return _KNOWN
