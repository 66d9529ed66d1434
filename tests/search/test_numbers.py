"""Order numbers as people write them: a sign is taken off, and the prefix of a shop's own numbers is not."""

import pytest

from webapp.search.numbers import bare_number


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("#000003", "000003"),
        ("No. 000003", "000003"),
        ("Order 000003", "000003"),
        ("order: #000003", "000003"),
        ("ORDER-000003", "ORDER-000003"),
        ("NO-000003", "NO-000003"),
        ("ORDER000003", "ORDER000003"),
        ("https://desk.example/orders/000003?tab=timeline", "000003"),
    ],
)
def test_a_sign_is_taken_off_and_a_prefix_is_not(written: str, number: str) -> None:
    assert bare_number(written) == number
