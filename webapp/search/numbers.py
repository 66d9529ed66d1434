"""Order numbers as people and documents write them: behind a sign (“No. 000003”, “#000003”), with typographic dashes or
full-width digits, with the marks and spaces around them, or inside a link to the order.

Only texts are read here. Which orders go by a number is asked in `orders.queries`.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from urllib.parse import parse_qsl, unquote, urlsplit

LINK = re.compile(r"https?://\S+", re.IGNORECASE)
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹘﹣"), "-")
_ONE_SIGN = re.compile(r"№|\bn[º°]\.?", re.IGNORECASE)  # of which normalizing makes letters
_SIGN_WORD = re.compile(r"n(?:o|r|um)\.+:?", re.IGNORECASE)
_SIGN = re.compile(  # ORDER-, NO- and such may be the prefix of a shop's own numbers
    r"(?:order(?=[\s#:])[\s:]*)?(?:#|n(?:o|r|um)(?:\.+:?|\s)|number\s)?\s*(?=[^\s-]\S*\d|\d)", re.IGNORECASE | re.ASCII
)
_AROUND = " .,;:()[]<>\"'“”„«»‹›"
_PARAMETER = re.compile(r"order[-_ ]?(?:id|no|nr|num|number)", re.IGNORECASE)


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """The text with plain digits, dashes and spaces, and without invisible characters, as pasted text has them."""
    if text.isascii():
        return text
    shown = "".join(char for char in _ONE_SIGN.sub("No. ", text) if unicodedata.category(char) != "Cf")
    digits = (str(unicodedata.decimal(char)) if char.isdecimal() else char for char in shown)
    return unicodedata.normalize("NFKC", "".join(digits).translate(_DASHES))


def is_sign(word: str) -> bool:
    """Whether a word only says that a number follows, as “No.” does."""
    return _SIGN_WORD.fullmatch(plain(word)) is not None


def bare_number(text: str) -> str:
    """The number alone: without its sign, the marks around it, and the rest of the link that contains it."""
    text = " ".join(text.split())
    if linked := number_in_link(text):
        return linked
    number = plain(text).strip(_AROUND)
    return re.sub(r"\s*-\s*", "-", number[_sign_of(number) :].strip(_AROUND))


def _sign_of(number: str) -> int:
    """The length of the sign before a number."""
    sign = _SIGN.match(number)
    return sign.end() if sign else 0


def spellings(text: str) -> list[str]:
    """Every form in which a number that is written like this may be stored, the written form first."""
    number = bare_number(text)
    forms = [text.strip(), number, number.upper(), number.replace(" ", ""), number.replace(" ", "-")]
    return list(dict.fromkeys(form for form in forms if form))


def number_in_link(text: str) -> str:
    """The number of the order to which a link leads, at the desk or at a marketplace; empty if it names none."""
    if not LINK.fullmatch(text):
        return ""
    try:
        link = urlsplit(text)
        found = [*_in_path(link.path), *_in_parameters(link.query), *_in_path(link.fragment)]
    except ValueError:  # no address, such as https://[
        return ""
    return found[0] if found else ""


def _in_path(path: str) -> Iterator[str]:
    """The parts of a path behind a part that speaks of orders: `/orders/000003`."""
    parts = [unquote(part) for part in path.partition("?")[0].split("/") if part]
    return (part for before, part in pairwise(parts) if "order" in before.casefold() and _has_digit(part))


def _in_parameters(query: str) -> Iterator[str]:
    return (value.strip() for name, value in parse_qsl(query) if _PARAMETER.search(name) and _has_digit(value))


def _has_digit(text: str) -> bool:
    return any(char.isdecimal() for char in text)
