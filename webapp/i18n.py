"""Words for people: translations, and the formats of dates and money by locale.

English is the message id. Nothing translated is ever stored: codes and values are, and are put into words at the door,
which is why class-level sentences are lazy. A door that knows its reader sets `g.locale` and `g.zone`; elsewhere the
desk's own language holds.
"""

from zoneinfo import ZoneInfo

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


def init_app(app: Flask) -> None:
    """Load the core's catalogs and every plugin's."""
    folders = [ROOT / "webapp" / "translations", *sorted(ROOT.glob("plugins/*/translations"))]
    Babel(
        app,
        default_translation_directories=";".join(str(folder) for folder in folders),
        locale_selector=lambda: g.get("locale") or configuration().language,
        timezone_selector=lambda: g.get("zone") or "UTC",
    )


def reader_zone() -> ZoneInfo:
    """The zone in which whoever asks counts days: the shop's, where the door knows it."""
    return ZoneInfo(g.get("zone") or "UTC")


__all__ = [
    "LANGUAGES",
    "LazyString",
    "force_locale",
    "get_locale",
    "gettext",
    "init_app",
    "lazy_gettext",
    "lazy_pgettext",
    "ngettext",
    "pgettext",
    "reader_zone",
]
