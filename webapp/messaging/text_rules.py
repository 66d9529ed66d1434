"""What channels forbid in messages to buyers: links, e-mail addresses and telephone numbers."""

import re

_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_SITE = re.compile(r"(?<![\w@.-])(?:[a-z0-9-]+\.)+[a-z]{2,}/\S*", re.IGNORECASE)
_MAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]{2,}")
_PHONE = re.compile(r"(?<![\w-])(?:\+|00|0)\d[\d ()/.-]{6,}\d(?![\w-])")


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


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[0].strip() if found else ""
