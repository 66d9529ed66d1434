"""Money: whole minor units of one currency. A float never touches it, and currencies never mix.

The number of decimals of a currency is CLDR's (JPY none, EUR two, KWD three), through Babel.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Any, Self

from babel.numbers import get_currency_precision, get_currency_symbol, is_currency

from webapp.i18n import LazyString, lazy_gettext as _l

_AMOUNT = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})", re.ASCII)
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:(?:,\d{3})+|(?:\.\d{3})+)", re.ASCII)  # 1,234 or 1.234.567
_LOCALES = ("en", "fr", "de", "ja")
_TORN = re.compile(r"[0-9]\s+(?![0-9]{3}(?![0-9]))[0-9]")  # a space that is not before thousands
_EXACT = Context(prec=100)  # more digits than any amount has: nothing is ever rounded on the way


class CurrenciesDiffer(TypeError):
    """Money of two currencies was added or compared: a bug of the caller, since no sum of them means anything."""


class NotAnAmount(ValueError):
    """A text that is no amount of the currency. `problem` says why, behind the label of a field, where more is to be
    said than that.
    """

    def __init__(self, words: str, text: str, problem: LazyString | None = None) -> None:
        super().__init__(f"{words}: {text!r}")
        self.problem = problem


@lru_cache(maxsize=512)
def decimals(currency: str) -> int:
    """The number of decimals of this currency."""
    return get_currency_precision(currency)


@lru_cache(maxsize=512)
def _names(currency: str) -> frozenset[str]:
    """The currency's code, and its symbols in the languages of pages and documents."""
    return frozenset({currency, *(get_currency_symbol(currency, locale).upper() for locale in _LOCALES)})


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in minor units (cents; whole yen) of a currency by its ISO 4217 code."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError(f"money is whole minor units, not {type(self.minor).__name__}")

    @classmethod
    def parse(cls, text: str, currency: str) -> Self:
        """Exactly the amount of the text; `NotAnAmount` if it is not a number or has a fraction of a minor unit."""
        if not _AMOUNT.fullmatch(text):
            raise NotAnAmount("not an amount", text)
        scaled = Decimal(text).scaleb(decimals(currency), _EXACT)
        if scaled != int(scaled):
            problem = _l("“%(text)s” has more decimals than %(currency)s allows.", text=text, currency=currency)
            raise NotAnAmount(f"not an amount of {currency}", text, problem)
        return cls(int(scaled), currency)

    @classmethod
    def read(cls, text: str, currency: str) -> Self:
        """The amount as people type it: with a comma or a point before the decimals, spaces or separators between
        thousands, and with or without the currency's code or symbol, as pages write it. `NotAnAmount` as in `parse`,
        for another currency, and for what some read as thousands and others as decimals: 5.001 € or 5,001 €.
        """
        if _TORN.search(text):
            raise NotAnAmount("not an amount", text)
        plain = "".join(text.split())
        code = plain.strip("+-.,0123456789")
        if code and code.upper() not in _names(currency):
            problem = _l("“%(text)s” is not in %(currency)s.", text=text, currency=currency)
            raise NotAnAmount(f"not in {currency}", text, problem if is_currency(code.upper()) else None)
        sign = plain[: len(plain) - len(plain.lstrip("+-"))]
        plain = sign + plain.removeprefix(sign).removeprefix(code).removesuffix(code)
        if code and code in plain:
            raise NotAnAmount("not an amount", text)
        last = max(plain.rfind(","), plain.rfind("."))
        grouped = _GROUPED.fullmatch(plain) is not None
        if grouped and plain.count(plain[last]) == 1 and decimals(currency):
            if decimals(currency) != 3:
                problem = _l(
                    "“%(text)s” can be read in two ways. Leave out the thousands separator, or write all decimals.",
                    text=text,
                )
                raise NotAnAmount("not an amount that is clear", text, problem)
            grouped = False
        if last >= 0 and not grouped:
            plain = plain[:last].replace(",", "").replace(".", "") + "." + plain[last + 1 :]
        elif grouped:
            plain = plain.replace(",", "").replace(".", "")
        return cls.parse(plain, currency)

    @classmethod
    def round(cls, amount: Decimal, currency: str) -> Self:
        """The nearest minor unit, half away from zero: the only place where money is rounded."""
        return cls(int(amount.scaleb(decimals(currency), _EXACT).to_integral_value(ROUND_HALF_UP)), currency)

    @property
    def decimal(self) -> Decimal:
        return Decimal(self.minor).scaleb(-decimals(self.currency), _EXACT)

    def __str__(self) -> str:
        """The plain decimal string with the currency's decimals: "12.30", "1500"."""
        return f"{self.decimal:.{decimals(self.currency)}f}"

    def __bool__(self) -> bool:
        return self.minor != 0

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __mul__(self, times: int) -> "Money":
        return Money(self.minor * times, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._same(other)

    def split(self, weights: Sequence[int]) -> list["Money"]:
        """Shares in proportion to the weights that always add up to the whole.

        Each share is the difference of two rounded running sums, so that remainders fall where they arise and the last
        share completes the total. If all weights are zero, the shares are equal.
        """
        if not weights or any(weight < 0 for weight in weights):
            raise ValueError("shares need at least one weight, none negative")
        weights = weights if any(weights) else [1] * len(weights)
        whole, running, given, shares = sum(weights), 0, 0, []
        for weight in weights:
            running += weight
            upto = _half_away(self.minor * running, whole)
            shares.append(Money(upto - given, self.currency))
            given = upto
        return shares

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise CurrenciesDiffer(f"{self.currency} and {other.currency}")
        return other.minor


def _half_away(number: int, by: int) -> int:
    """The nearest integer to the fraction, half away from zero."""
    nearest = (2 * abs(number) + by) // (2 * by)
    return nearest if number >= 0 else -nearest


def money(column: str) -> Any:
    """A property that reads a column of minor units as Money in the row's `currency`; None stays None."""

    def read(row: Any) -> Money | None:
        minor = getattr(row, column)
        return None if minor is None else Money(minor, row.currency)

    return property(read)
