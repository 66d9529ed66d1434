"""Words for people: translations, and the formats of dates and money by locale.

English is the message id and has no catalog. Nothing translated is ever stored: codes and values are stored, and the
doors translate them, which is why class-level sentences are lazy. A door that knows its reader sets `g.locale` and
`g.zone`; elsewhere the desk's own language is used.
"""

import gettext as catalogs
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from flask import Flask, g
from flask_babel import (
    Babel,
    LazyString,
    force_locale,
    get_locale,
    gettext,
    lazy_gettext,
    lazy_pgettext,
    ngettext,
    pgettext,
)

from webapp.config import ROOT, configuration

LANGUAGES = {"en": "English", "fr": "Français"}


def init_app(app: Flask, plugins: Iterable[Path] = ()) -> None:
    """Load the catalogs in these folders of plugins, and the desk's own.

    The desk's catalogs are loaded last: of two translations of one sentence the later is used, and so are the later
    catalog's plural rules, so that no plugin changes how the desk's own pages read.
    """
    folders = [*plugins, ROOT / "webapp" / "translations"]
    Babel(
        app,
        default_translation_directories=";".join(str(folder) for folder in folders),
        locale_selector=lambda: g.get("locale") or configuration().language,
        timezone_selector=lambda: g.get("zone") or "UTC",
    )


def check_catalogs(folder: Path) -> None:
    """Raise ValueError for a compiled catalog that can't be read: each page in its language would fail."""
    for path in sorted(folder.glob("*/LC_MESSAGES/messages.mo")):
        try:
            with path.open("rb") as file:
                catalogs.GNUTranslations(file)
        except Exception as error:  # any error of the standard library for bytes that are not a catalog
            raise ValueError(f"{path.relative_to(folder)} can't be read ({error})") from error


@contextmanager
def spoken(code: str) -> Iterator[None]:
    """Speak another language for a while, such as that of a document's reader."""
    before = g.get("locale")
    g.locale = code
    try:
        with force_locale(code):
            yield
    finally:
        g.locale = before


def known_locale(code: str) -> Locale | None:
    """The locale of a code such as "fr", "fr_FR" or "fr-FR"; None if there is none."""
    try:
        return Locale.parse(code.strip().replace("-", "_")) if code else None
    except (UnknownLocaleError, ValueError):
        return None


def reader_zone() -> ZoneInfo:
    """The zone in which the reader counts days: the shop's, if the door knows it."""
    return ZoneInfo(g.get("zone") or "UTC")


def day_of(instant: datetime) -> str:
    """The day of an instant, for sentences: in the reader's language and zone."""
    return str(format_date(instant.astimezone(reader_zone()), "medium", locale=get_locale()))


__all__ = [
    "LANGUAGES",
    "LazyString",
    "day_of",
    "force_locale",
    "get_locale",
    "gettext",
    "init_app",
    "known_locale",
    "lazy_gettext",
    "lazy_pgettext",
    "ngettext",
    "pgettext",
    "reader_zone",
    "spoken",
]
