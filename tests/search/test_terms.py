"""Words are found without marks or case, by their beginnings; the index holds no plain word."""

import pytest
from hypothesis import given, strategies as st

from webapp.search.terms import digits, forms, normalize, sought, term, terms, words

KEY = b"k" * 32


@given(st.text(max_size=40))
def test_normalizing_twice_is_normalizing_once(text: str) -> None:
    once = words(text)
    assert [word for part in once for word in words(part)] == once


@pytest.mark.parametrize(
    ("written", "sought"),
    [
        ("Crème BRÛLÉE", "creme brulee"),
        ("Straße", "STRASSE"),
        ("Ｆｕｌｌ", "full"),
        ("Łódź", "łódz"),
        ("ﬁne", "FINE"),
        ("Søren", "soren"),
        ("Łódź", "lodz"),
    ],
)
def test_marks_case_and_forms_make_no_difference(written: str, sought: str) -> None:
    assert normalize(written) == normalize(sought)


@given(st.text(st.characters(categories=["Ll"], max_codepoint=0x24F), min_size=3, max_size=12), st.integers(3, 12))
def test_a_word_is_found_by_its_beginning(word: str, length: int) -> None:
    for part in words(word):
        if len(part) >= 3:
            assert term("buyer", part[: max(3, length)], KEY) in terms("buyer", word, KEY)


@given(st.text(st.characters(categories=["Ll"], max_codepoint=0x24F), min_size=1, max_size=30))
def test_a_word_has_few_forms_and_answers_to_what_is_sought(word: str) -> None:
    for part in words(word):
        assert len(set(forms(part))) <= 10
        assert set(sought(part)) <= set(forms(part))


def test_a_short_word_is_found_whole() -> None:
    assert set(forms("li")) == {"li"}


def test_ideographs_are_found_by_one_or_two_that_stand_together() -> None:
    assert set(forms("渋谷区")) == {"渋", "谷", "区", "渋谷", "谷区"}
    assert sought("渋谷区") == ["渋谷", "谷区"]
    assert sought("渋") == ["渋"]
    assert words("김철수") == ["김철수"]


def test_digits_of_any_script_are_digits() -> None:
    assert digits("+49 (170) 12٣") == "4917012" + "3"


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_terms_differ_by_kind_word_and_key_and_fit_64_bits(one: str, other: str) -> None:
    value = term("buyer", one, KEY)
    assert value == term("buyer", one, KEY)
    assert -(2**63) <= value < 2**63
    assert value != term("number", one, KEY)
    assert value != term("buyer", one, b"x" * 32)
    assert (value == term("buyer", other, KEY)) is (one == other)
