"""How the buyer of an order reads: the language and the paper of the marketplace, and money, dates and rates as the
locale writes them.
"""

from datetime import date
from decimal import Decimal

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent

from webapp.channels.connecting import Marketplace
from webapp.channels.legal_face import LANGUAGE
from webapp.channels.models import Shop
from webapp.i18n import LANGUAGES
from webapp.money import Money

LETTER_COUNTRIES = frozenset({"US", "CA", "MX"})


def locale_for(marketplace: Marketplace | None, shop: Shop) -> str:
    """The marketplace's locale, such as "fr_FR"; if the desk does not have its language, the shop's language."""
    code = marketplace.language if marketplace else ""
    return code if _language(code) in LANGUAGES else LANGUAGE.of(shop)


def language_of(locale: str) -> str:
    """The language of a locale if the desk has it, otherwise English."""
    language = _language(locale)
    return language if language in LANGUAGES else "en"


def paper_for(country: str) -> str:
    """The code of the paper that offices of the country use."""
    return "letter" if country in LETTER_COUNTRIES else "a4"


def formats_of(locale: str) -> Locale:
    """The locale by which numbers and dates are written beside words in the language of `locale`: its own, unless the
    desk does not have its language.
    """
    language = language_of(locale)
    try:
        return Locale.parse(locale if _language(locale) == language else language)
    except (UnknownLocaleError, ValueError):
        return Locale.parse(language)


def money(amount: Money, locale: Locale) -> str:
    return str(format_currency(amount.decimal, amount.currency, locale=locale))


def number(count: int, locale: Locale) -> str:
    return str(format_decimal(count, locale=locale))


def rate(fraction: Decimal, locale: Locale) -> str:
    """A fraction of 1 in percent, with as many decimals as it has, up to six: "19%", "8.875%"."""
    pattern = locale.percent_formats[None].pattern.replace("0", "0.######")
    return str(format_percent(fraction, format=pattern, locale=locale))


def day(one: date, locale: Locale) -> str:
    """A day with its year, since paper is kept for long."""
    return str(format_date(one, locale.datetime_skeletons["yMMMd"].pattern, locale=locale))


def _language(locale: str) -> str:
    return locale.partition("_")[0]
