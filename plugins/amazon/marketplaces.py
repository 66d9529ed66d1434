"""Amazon's marketplaces and regions, as published; the marketplaces of a seller come from Amazon itself (`connect`)."""

from webapp.api import Marketplace, gettext, lazy_gettext as _l

ENDPOINTS = {
    "na": "https://sellingpartnerapi-na.amazon.com",
    "eu": "https://sellingpartnerapi-eu.amazon.com",
    "fe": "https://sellingpartnerapi-fe.amazon.com",
}
TOKEN_ENDPOINT = "https://api.amazon.com/auth/o2/token"  # noqa: S105 - an address
REGIONS = {
    "na": _l("North America and Brazil"),
    "eu": _l("Europe, Middle East and India"),
    "fe": _l("Far East"),
}

EUROPEAN = frozenset({"GB", "DE", "FR", "IT", "ES", "NL", "SE", "PL", "BE", "IE"})
_REGIONAL = {
    "na": (
        ("ATVPDKIKX0DER", "US", "USD", "en_US", "America/Los_Angeles", "amazon.com"),
        ("A2EUQ1WTGCTBG2", "CA", "CAD", "en_CA", "America/Toronto", "amazon.ca"),
        ("A1AM78C64UM0Y8", "MX", "MXN", "es_MX", "America/Mexico_City", "amazon.com.mx"),
        ("A2Q3Y263D00KWC", "BR", "BRL", "pt_BR", "America/Sao_Paulo", "amazon.com.br"),
    ),
    "eu": (
        ("A1F83G8C2ARO7P", "GB", "GBP", "en_GB", "Europe/London", "amazon.co.uk"),
        ("A1PA6795UKMFR9", "DE", "EUR", "de_DE", "Europe/Berlin", "amazon.de"),
        ("A13V1IB3VIYZZH", "FR", "EUR", "fr_FR", "Europe/Paris", "amazon.fr"),
        ("APJ6JRA9NG5V4", "IT", "EUR", "it_IT", "Europe/Rome", "amazon.it"),
        ("A1RKKUPIHCS9HS", "ES", "EUR", "es_ES", "Europe/Madrid", "amazon.es"),
        ("A1805IZSGTT6HS", "NL", "EUR", "nl_NL", "Europe/Amsterdam", "amazon.nl"),
        ("A2NODRKZP88ZB9", "SE", "SEK", "sv_SE", "Europe/Stockholm", "amazon.se"),
        ("A1C3SOZRARQ6R3", "PL", "PLN", "pl_PL", "Europe/Warsaw", "amazon.pl"),
        ("AMEN7PMS3EDWL", "BE", "EUR", "fr_BE", "Europe/Brussels", "amazon.com.be"),
        ("A28R8C7NBKEWEA", "IE", "EUR", "en_IE", "Europe/Dublin", "amazon.ie"),
        ("A33AVAJ2PDY3EV", "TR", "TRY", "tr_TR", "Europe/Istanbul", "amazon.com.tr"),
        ("A2VIGQ35RCS4UG", "AE", "AED", "en_AE", "Asia/Dubai", "amazon.ae"),
        ("A17E79C6D8DWNP", "SA", "SAR", "ar_SA", "Asia/Riyadh", "amazon.sa"),
        ("ARBP9OOSHTCHU", "EG", "EGP", "ar_EG", "Africa/Cairo", "amazon.eg"),
        ("AE08WJ6YKNBMC", "ZA", "ZAR", "en_ZA", "Africa/Johannesburg", "amazon.co.za"),
        ("A21TJRUUN4KGV", "IN", "INR", "en_IN", "Asia/Kolkata", "amazon.in"),
    ),
    "fe": (
        ("A1VC38T7YXB528", "JP", "JPY", "ja_JP", "Asia/Tokyo", "amazon.co.jp"),
        ("A39IBJ37TRP1C6", "AU", "AUD", "en_AU", "Australia/Sydney", "amazon.com.au"),
        ("A19VAU5U5O7RUS", "SG", "SGD", "en_SG", "Asia/Singapore", "amazon.sg"),
    ),
}


def _marketplace(id: str, country: str, currency: str, language: str, zone: str, domain: str) -> Marketplace:
    return Marketplace(id, country, domain.capitalize(), currency, language, zone)


# Where prices exclude the tax, which Amazon adds and computes itself, also that of a refund; elsewhere they include it.
TAX_ADDED = frozenset({"ATVPDKIKX0DER", "A2EUQ1WTGCTBG2"})
# To these, sellers upload their invoices: those of the European Union and the United Kingdom.
TAKING_INVOICES = frozenset(row[0] for row in _REGIONAL["eu"] if row[1] in EUROPEAN)
DOMAINS = {row[0]: row[5] for rows in _REGIONAL.values() for row in rows}
MARKETPLACES = {row[0]: _marketplace(*row) for rows in _REGIONAL.values() for row in rows}
_BY_COUNTRY = {marketplace.country: marketplace for marketplace in MARKETPLACES.values()}


def chosen(text: str) -> list[Marketplace]:
    """The marketplaces of a comma list of country codes (GB or UK); ValueError with a sentence for an unknown code."""
    codes = (code.strip().upper() for code in text.split(","))
    countries = list(dict.fromkeys("GB" if code == "UK" else code for code in codes if code))
    unknown = [code for code in countries if code not in _BY_COUNTRY]
    if unknown:
        raise ValueError(
            gettext(
                "%(codes)s is not a country of an Amazon marketplace. Choose from these countries: %(known)s.",
                codes=", ".join(unknown),
                known=", ".join(sorted(_BY_COUNTRY)),
            )
        )
    return [_BY_COUNTRY[code] for code in countries]


def region_of(marketplace: str) -> str | None:
    """The region of a marketplace by its id; None if it is unknown."""
    return next((region for region, rows in _REGIONAL.items() if any(row[0] == marketplace for row in rows)), None)
