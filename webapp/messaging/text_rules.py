"""What no message to a buyer may have: what channels forbid, such as links, and variables that were not filled."""

import re

from webapp.errors import Invalid
from webapp.i18n import lazy_gettext as _l

_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_SITE = re.compile(r"(?<![\w@.-])(?:[a-z0-9-]+\.)+[a-z]{2,}/\S*", re.IGNORECASE)
_MAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]{2,}")
PLACEHOLDER = re.compile(r"\{\s*([A-Za-z][A-Za-z_]*)\s*\}")  # a variable of a template
_ADVERTISING = re.compile(  # words of English, French and German
    r"\b(?:discount|coupon|voucher|promo(?:tion)? code|newsletter|special offer|follow us|positive (?:review|feedback)|"
    r"(?:5|five)[ -]stars?|code promo|r[ée]duction|bon d[’']achat|offre sp[ée]ciale|suivez-nous|avis positif|"
    r"(?:5|cinq) [ée]toiles|rabatt|gutschein|sonderangebot|positive bewertung|(?:5|f[üu]nf) sterne)\b",
    re.IGNORECASE,
)
_PHONE = re.compile(r"(?<![\w-])(?:\+|00|0)\d[\d ()/.-]{6,}\d(?![\w-])")


def checked_words(text: str, longest: int, *, forbids: bool) -> str:
    """A text as it is sent, without white space at the ends of its lines. Raises `Invalid` for one that is empty, too
    long, or, where the channel `forbids` it, has a link or an e-mail address.
    """
    text = "\n".join(line.rstrip() for line in text.strip().splitlines())
    if not text:
        raise Invalid(field="text", problem=_l("Enter a value."))
    if len(text) > longest:
        problem = _l(
            "This text has %(length)s characters. Shorten it to %(longest)s or fewer.",
            length=len(text),
            longest=longest,
        )
        raise Invalid(field="text", problem=problem)
    check_words(text, "text", forbids=forbids)
    return text


def check_words(text: str, field: str, *, forbids: bool) -> None:
    """Raises `Invalid` for words of this field that have a variable, or, where the channel `forbids` it, a link or an
    e-mail address.
    """
    if left := placeholder_in(text):
        raise Invalid(
            field=field, problem=_l("This text still has %(found)s. Replace it with your own words.", found=left)
        )
    if forbids and (link := link_in(text)):
        raise Invalid(
            field=field,
            problem=_l("This text has a link, which is not allowed. Remove the link: %(found)s", found=link),
        )
    if forbids and (address := address_in(text)):
        raise Invalid(
            field=field,
            problem=_l(
                "This text has an e-mail address, which is not allowed. Remove the address: %(found)s", found=address
            ),
        )


def link_in(text: str) -> str:
    """The first link in a text; empty if it has none."""
    return _first(_LINK, text)


def site_in(text: str) -> str:
    """The first thing that looks like the address of a site, without `https://` before it; empty if there is none."""
    return _first(_SITE, text)


def address_in(text: str) -> str:
    """The first e-mail address in a text; empty if it has none."""
    return _first(_MAIL, text)


def phone_in(text: str) -> str:
    """The first thing that looks like a telephone number; empty if there is none."""
    return _first(_PHONE, text)


def placeholder_in(text: str) -> str:
    """The first variable that was left in a text, as it stands there; empty if there is none."""
    return _first(PLACEHOLDER, text)


def advertising_in(text: str) -> str:
    """The first words that look like advertising, or like a wish for a good review; empty if there are none."""
    return _first(_ADVERTISING, text)


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[0].strip() if found else ""
