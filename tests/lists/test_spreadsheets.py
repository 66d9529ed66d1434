"""Cells are read as spreadsheets leave them, and numbers that lost digits are recognized."""

import pytest

from webapp.lists.spreadsheets import Damage, cleaned, damage_of, rounded_together


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("'000123", "000123"),
        ("’000123", "000123"),
        ('="000123"', "000123"),
        ("\u00a0GLS\u00a0Hungary\u202f", "GLS Hungary"),
        ("\ufeff000\u200b123", "000123"),
        ("123.0", "123"),
        ("12.50", "12.50"),
    ],
)
def test_what_spreadsheets_add_to_a_cell_is_left_out(cell: str, text: str) -> None:
    assert cleaned(cell) == text


@pytest.mark.parametrize(
    "number",
    [
        "9400111899223000000001", "9400 1118 9922 3000 0000 00", "JD014600003450001234", "1Z999AA10123456784", "5E3",
        "1234567890123450", "000123", "302-1234567-1234567", "TRK-12", "3-12", "MARCH",
    ],
)  # fmt: skip
def test_what_a_label_may_say_is_not_damaged(number: str) -> None:
    assert damage_of(number) is None


@pytest.mark.parametrize(
    ("number", "damage"),
    [
        ("9.40011E+21", Damage.EXPONENT),
        ("9,40011e+21", Damage.EXPONENT),
        ("9E+21", Damage.EXPONENT),
        ("9400111899223000000000", Damage.ZEROS),
        ("9 400 111 899 223 000 000 000", Damage.ZEROS),
        ("12-Mar", Damage.DATE),
        ("Mar-26", Damage.DATE),
        ("12. Mrz 26", Damage.DATE),
        ("12 mars 2026", Damage.DATE),
        ("2026-03-12", Damage.DATE),
        ("12/03/2026", Damage.DATE),
    ],
)
def test_a_damaged_number_is_recognized(number: str, damage: Damage) -> None:
    assert damage_of(number) is damage


def test_a_rounded_column_shows_in_its_shorter_numbers() -> None:
    rounded = [f"{number}0" for number in (123456789012345, 223456789012345, 323456789012345)]
    assert rounded_together([*rounded, "JD1"])
    assert not rounded_together(rounded[:2])  # may be an accident
    assert not rounded_together([*rounded, "1234567890123456"])
