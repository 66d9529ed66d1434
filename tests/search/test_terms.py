"""Words are found without marks or case, by their beginnings; the index holds no plain word."""

import pytest
from hypothesis import given, strategies as st

from webapp.search.terms import forms, normalize, term, terms, words

KEY = b"k" * 32


@given(st.text(max_size=40))
def test_normalizing_twice_is_normalizing_once(text: str) -> None:
    once = words(text)
    assert [word for part in once for word in words(part)] == once


@pytest.mark.parametrize(
    ("written", "sought"),
    [("Crème BRÛLÉE", "creme brulee"), ("Straße", "STRASSE"), ("Ｆｕｌｌ", "full"), ("Łódź", "łódz"), ("ﬁne", "FINE")],
)
def test_marks_case_and_forms_make_no_difference(written: str, sought: str) -> None:
    assert normalize(written) == normalize(sought)


@given(st.text(st.characters(categories=["Ll"], max_codepoint=0x24F), min_size=3, max_size=12), st.integers(3, 12))
def test_a_word_is_found_by_its_beginning(word: str, length: int) -> None:
    for part in words(word):
        if len(part) >= 3:
            assert term("buyer", part[: max(3, length)], KEY) in terms("buyer", word, KEY)


@given(st.text("0123456789", min_size=5, max_size=18))
def test_a_number_is_found_by_its_last_four_digits_and_more(number: str) -> None:
    found = set(forms(number))
    assert {number[-4:], number[-5:], number[:3], number} <= found
    assert not {form for form in found if len(form) < 3}


def test_an_ideograph_is_found_alone_and_with_its_neighbor() -> None:
    assert {"渋", "谷", "区", "渋谷", "谷区", "渋谷区"} == set(forms("渋谷区"))


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_terms_differ_by_kind_word_and_key_and_fit_64_bits(one: str, other: str) -> None:
    value = term("buyer", one, KEY)
    assert value == term("buyer", one, KEY)
    assert -(2**63) <= value < 2**63
    assert value != term("number", one, KEY)
    assert value != term("buyer", one, b"x" * 32)
    assert (value == term("buyer", other, KEY)) is (one == other)
