"""Money adds up to the last cent in every currency, never mixes currencies, and no float comes near it."""

from decimal import Decimal

import pytest
from babel.numbers import format_currency
from hypothesis import given, strategies as st

from webapp.money import CurrenciesDiffer, Money, NotAnAmount, decimals

CURRENCIES = st.sampled_from(["EUR", "USD", "JPY", "KWD"])
MINOR = st.integers(-(10**15), 10**15)
WEIGHTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=20)


@given(MINOR, CURRENCIES)
def test_what_is_written_is_read_again(minor: int, currency: str) -> None:
    amount = Money(minor, currency)
    assert Money.parse(str(amount), currency) == amount
    assert Money.round(amount.decimal, currency) == amount


@given(MINOR, CURRENCIES, WEIGHTS)
def test_shares_add_up_to_the_whole(minor: int, currency: str, weights: list[int]) -> None:
    whole = Money(minor, currency)
    shares = whole.split(weights)
    assert sum((share.minor for share in shares), 0) == minor
    assert len(shares) == len(weights)
    if any(weights):
        assert all(not share for share, weight in zip(shares, weights, strict=True) if weight == 0)
        for share, weight in zip(shares, weights, strict=True):
            assert abs(share.minor - Decimal(minor) * weight / sum(weights)) <= 1


def test_shares_of_amounts_beyond_28_digits_add_up_too() -> None:
    shares = Money(10**27 + 1, "EUR").split([10**12, 10**12 + 1, 3])
    assert sum(share.minor for share in shares) == 10**27 + 1


@pytest.mark.parametrize(
    ("weights", "shares"), [([1, 1, 1], [33, 34, 33]), ([0, 0], [50, 50]), ([2, 0, 1], [67, 0, 33])]
)
def test_remainders_fall_where_they_arise(weights: list[int], shares: list[int]) -> None:
    assert [share.minor for share in Money(100, "EUR").split(weights)] == shares


@pytest.mark.parametrize("weights", [[], [1, -1]])
def test_a_split_needs_weights_none_negative(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weight"):
        Money(100, "EUR").split(weights)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.30", "EUR", 1230),
        ("1500", "JPY", 1500),
        ("1.234", "KWD", 1234),
        ("-0.01", "USD", -1),
        ("12.300", "EUR", 1230),
    ],
)
def test_an_amount_is_read_exactly(text: str, currency: str, minor: int) -> None:
    assert Money.parse(text, currency).minor == minor


@pytest.mark.parametrize(
    "text", ["12.345", "", "twelve", "NaN", "sNaN", "Infinity", "1e2", "1e999999", "1_000", " 1 ", "١٢"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        Money.parse(text, "EUR")


def test_yen_have_no_fraction_and_dinars_have_three_decimals() -> None:
    with pytest.raises(ValueError, match="not an amount of JPY"):
        Money.parse("1500.5", "JPY")
    assert (str(Money(1500, "JPY")), str(Money(1230, "EUR")), str(Money(5, "KWD"))) == ("1500", "12.30", "0.005")
    assert [decimals(currency) for currency in ("JPY", "EUR", "KWD")] == [0, 2, 3]


@pytest.mark.parametrize(("amount", "minor"), [("0.005", 1), ("-0.005", -1), ("0.0049", 0), ("2.675", 268)])
def test_half_a_cent_goes_away_from_zero(amount: str, minor: int) -> None:
    assert Money.round(Decimal(amount), "EUR").minor == minor


def test_currencies_never_mix() -> None:
    euro, yen = Money(100, "EUR"), Money(100, "JPY")
    for mix in (lambda: euro + yen, lambda: euro - yen, lambda: euro < yen, lambda: euro <= yen, lambda: euro > yen):
        with pytest.raises(CurrenciesDiffer):
            mix()
    assert euro != yen


def test_no_float_becomes_money() -> None:
    for make in (
        lambda: Money(1.0, "EUR"),  # type: ignore[arg-type]
        lambda: Money.parse(12.5, "EUR"),  # type: ignore[arg-type]
        lambda: Money(100, "EUR") * 0.5,  # type: ignore[operator]
        lambda: Money(True, "EUR"),
    ):
        with pytest.raises(TypeError):
            make()
    with pytest.raises(AttributeError):
        Money.round(0.5, "EUR")  # type: ignore[arg-type]


def test_sums_and_signs() -> None:
    assert Money(5, "EUR") + Money(7, "EUR") - Money(2, "EUR") == -Money(-10, "EUR") == Money(5, "EUR") * 2
    assert not Money(0, "EUR")
    assert sorted([Money(2, "EUR"), Money(1, "EUR")]) == [Money(1, "EUR"), Money(2, "EUR")]


# --- As people type it ------------------------------------------------------------------------------------------------


@given(MINOR, st.sampled_from(["EUR", "USD", "JPY", "KWD", "CAD", "SEK"]), st.sampled_from(["en", "fr", "de", "ja"]))
def test_what_pages_write_is_read_back(minor: int, currency: str, locale: str) -> None:
    amount = Money(minor, currency)
    assert Money.read(str(amount), currency) == amount
    assert Money.read(f"{amount} {currency.lower()}", currency) == amount
    assert Money.read(format_currency(amount.decimal, currency, locale=locale), currency) == amount


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("1,5", "EUR", 150),
        ("1.5", "EUR", 150),
        ("1.234,50", "EUR", 123450),
        ("1,234.50", "EUR", 123450),
        ("1 234,50", "EUR", 123450),
        ("1\u202f234,50\u00a0€", "EUR", 123450),
        ("0.500", "EUR", 50),
        ("1.234.567", "EUR", 123456700),
        ("1,234", "JPY", 1234),
        ("1,234", "KWD", 1234),  # three decimals: one separator is before them
        ("1,234,567", "KWD", 1234567000),
        ("5.00 EUR", "EUR", 500),
        ("EUR 5", "EUR", 500),
        ("$5.00", "USD", 500),
        (" 5 ", "EUR", 500),
        (",5", "EUR", 50),
        ("5.", "EUR", 500),
        ("-5,00", "EUR", -500),
    ],
)
def test_an_amount_is_read_as_people_type_it(text: str, currency: str, minor: int) -> None:
    assert Money.read(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("5.00 USD", "EUR"),
        ("$5.00", "EUR"),
        ("$5.00", "CAD"),  # whose dollars?
        ("EUR", "EUR"),
        ("", "EUR"),
        ("five", "EUR"),
        ("1,5", "JPY"),
        ("1.2345", "EUR"),
        ("1,234.567", "EUR"),
        ("5.001", "EUR"),  # five, or five thousand?
        ("1,234", "EUR"),
        ("0.005", "EUR"),
        ("5 EUR 5", "EUR"),
        ("5 5", "EUR"),
        ("1 5,00", "EUR"),
        ("5 EUR EUR EUR", "EUR"),
        ("--5", "EUR"),
        ("5-", "EUR"),
        ("١٢", "EUR"),
        ("1e5", "EUR"),
        ("NaN", "EUR"),
        ("5" * 31, "EUR"),
    ],
)
def test_what_cant_be_meant_is_not_guessed(text: str, currency: str) -> None:
    with pytest.raises(ValueError, match=r"not (an amount|in)"):
        Money.read(text, currency)


def test_an_amount_in_another_currency_is_named_as_such() -> None:
    with pytest.raises(NotAnAmount) as refused:
        Money.read("5.00 JPY", "EUR")
    assert str(refused.value.problem) == "“5.00 JPY” is not in EUR."
    assert Money.read("5.00 JPY", "JPY") == Money.read("5", "JPY")
