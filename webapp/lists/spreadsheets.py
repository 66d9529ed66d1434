"""What spreadsheets do to the cells of a table: what can still be read, and which numbers have lost digits.

A spreadsheet takes digits for an amount. It writes many of them with an exponent, or with zeros after the fifteenth
digit, and takes 3-12 for a day. What was lost can't be restored here, so such a number must not be used. Everything
that is read from a file or a pasted table is cleaned and checked by these functions.
"""

import re
import unicodedata
from collections.abc import Sequence
from enum import Enum, auto
from functools import cache

from babel.dates import get_month_names

_DIGITS = 15  # significant digits that a spreadsheet keeps of a number
_ZEROS = 3  # so many zeros after the kept digits are no accident
_LANGUAGES = ("en", "fr", "de", "es", "it", "nl", "pl", "pt", "sv", "tr")  # in which spreadsheets write months
_EXPONENT = re.compile(r"\d[.,]\d+E[+-]?\d+|\dE\+\d+", re.ASCII | re.IGNORECASE)
_THOUSANDS = re.compile(r"\d{1,3}([., '’]\d{3})+", re.ASCII)
_DATE = re.compile(r"\d{4}([-/.])\d{1,2}\1\d{1,2}([T ][\d:]+)?|\d{1,2}([-/.])\d{1,2}\3(\d\d|\d{4})( [\d:]+)?", re.ASCII)
_WITH_MONTH = re.compile(r"(?:\d{1,4}[-./ ]{1,2})?([^\W\d_]{3,})\.?(?:[-./ ]{1,2}\d{1,4})?")
_FORMULA = re.compile(r'="([^"]*)"')  # how programs keep a spreadsheet from reading digits as an amount
_FLOAT = re.compile(r"(\d{1,15})\.0+", re.ASCII)


class Damage(Enum):
    """What a spreadsheet did to a number."""

    EXPONENT = auto()  # 9.40011E+21
    ZEROS = auto()  # 9400111899223000000000
    DATE = auto()  # 12-Mar


def cleaned(text: str) -> str:
    """The text of a cell without what spreadsheets add to it: apostrophes and formulas that keep digits as text, odd
    spaces, characters that nobody sees, and the decimal point of a whole number.
    """
    plain = "".join(" " if letter.isspace() or unicodedata.category(letter) == "Zs" else letter for letter in text)
    plain = "".join(filter(str.isprintable, plain)).strip()
    if formula := _FORMULA.fullmatch(plain):
        plain = formula[1].strip()
    if plain[:1] in ("'", "’"):
        plain = plain[1:].lstrip()
    whole = _FLOAT.fullmatch(plain)
    return whole[1] if whole else plain


def damage_of(number: str) -> Damage | None:
    """What a spreadsheet did to the number of an order, an item or a parcel; None if it can be what people wrote.

    Zeros at the end of a number with spaces, other than between thousands, are right: no spreadsheet writes it so.
    """
    text = number.strip()
    if _EXPONENT.fullmatch("".join(text.split())):
        return Damage.EXPONENT
    digits = re.sub(r"\D", "", text) if _THOUSANDS.fullmatch(text) else text
    if _zeros(digits) >= _ZEROS:
        return Damage.ZEROS
    return Damage.DATE if _is_date(text) else None


def rounded_together(numbers: Sequence[str]) -> bool:
    """Whether the numbers of a column that are longer than a spreadsheet keeps were rounded: each ends in zeros, and
    there are too many for an accident. It shows also with those that are only a digit or two longer.
    """
    zeros = [_zeros(number) for number in numbers if is_longer(number)]
    return all(zeros) and sum(zeros) >= _ZEROS


def is_longer(number: str) -> bool:
    """Whether a number consists of more digits than a spreadsheet keeps."""
    return len(number) > _DIGITS and number.isascii() and number.isdigit()


def _zeros(digits: str) -> int:
    """The number of digits after those that a spreadsheet keeps, if all of them are zeros."""
    return len(digits) - _DIGITS if is_longer(digits) and not digits[_DIGITS:].strip("0") else 0


def _is_date(text: str) -> bool:
    if _DATE.fullmatch(text):
        return True
    month = _WITH_MONTH.fullmatch(text)
    return bool(month and text != month[1] and month[1].casefold() in _months())


@cache
def _months() -> frozenset[str]:
    """The names of the months and their short forms, as spreadsheets write them."""
    names = (
        name.strip(".").casefold()
        for language in _LANGUAGES
        for width in ("abbreviated", "wide")
        for name in get_month_names(width, locale=language).values()
    )
    return frozenset({*names, "mrz"})
