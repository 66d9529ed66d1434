"""Code 128: a scanner reads the printed text back; a text that the code can't hold has no bars."""

import pytest
from hypothesis import given, settings, strategies as st

from tests.documents.code128 import read_back
from webapp.documents import bars
from webapp.documents.composed import PAPERS

CARRIED = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40)


@settings(deadline=None)  # the first one loads the encoder
@given(CARRIED)
def test_bars_are_read_back_as_the_text(text: str) -> None:
    assert read_back(bars.widths(text)) == text


@pytest.mark.parametrize("text", ["100000012", "WB-100000012", "028-1234567-1234567", "S01-0000001", "a#b/c 7"])
def test_numbers_of_orders_are_read_back(text: str) -> None:
    assert read_back(bars.widths(text)) == text


@pytest.mark.parametrize("text", ["", "Größe-1", "注文1", "1\n2", "1\t2", "\x7f", "😀"])
def test_what_code_128_does_not_carry_has_no_bars(text: str) -> None:
    assert bars.widths(text) == ()
    assert bars.thinnest(text, 1000) == 0


@pytest.mark.parametrize("paper", PAPERS)
def test_the_thinnest_bar_is_whole_dots_of_a_label_printer_and_fits(paper: str) -> None:
    room = PAPERS[paper].room_for_bars
    for text in ("100000012", "WB-100000012", "028-1234567-1234567"):
        thinnest = bars.thinnest(text, room)
        assert thinnest in (0.375, 0.25)  # 3 or 2 dots of 203 dpi, and no thinner than 10 mil
        assert (sum(bars.widths(text)) + 2 * 10) * thinnest <= room
    assert bars.thinnest("X" * 60, room) == 0
