"""Words for people: translations, and the formats of dates and money by locale.

English is the message id. Nothing translated is ever stored: codes and values are, and are put into words at the door,
which is why class-level sentences are lazy.
"""

from flask_babel import Babel, LazyString, force_locale, get_locale, gettext, lazy_gettext, ngettext

LANGUAGES = {"en": "English", "fr": "Français"}

__all__ = ["LANGUAGES", "Babel", "LazyString", "force_locale", "get_locale", "gettext", "lazy_gettext", "ngettext"]
