"""An address as the post of its country wants it written, for whoever sends from home.

Names and the lines of the street are printed as they were given, and nothing that a carrier needs is left out. The
country comes last: for parcels abroad in capitals and in the sender's language, as the Universal Postal Union asks.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from babel import Locale

from webapp.channels.described import country_of
from webapp.channels.legal_face import LANGUAGE, seat_of
from webapp.i18n import get_locale
from webapp.orders.models import Order
from webapp.orders.postal import country_codes, telephone, territory
from webapp.orders.postal_rules import CountryRules, Part, folded, rules_of
from webapp.search.terms import digits


@dataclass(frozen=True, slots=True)
class Home:
    """From where and in which language a parcel is sent; `country` is empty if it is not known."""

    country: str
    language: str


@dataclass(frozen=True, slots=True)
class Address:
    """An address in the form in which it is written on a parcel."""

    lines: list[str]
    phone: str = ""

    @property
    def phone_url(self) -> str:
        """The phone number as a link, with only the characters that RFC 3966 allows."""
        number, extension = telephone(self.phone)
        is_global = number.strip().startswith(("+", "\uff0b"))
        if is_global:
            number = number.replace("(0)", "")  # dialed at home only
        bare = ("+" if is_global else "") + digits(number)
        return f"tel:{bare};ext={extension}" if extension else f"tel:{bare}"


def home_of(order: Order) -> Home:
    """Where the order is sent from: the seat of its shop; the marketplace's country if the shop has named no seat."""
    country = seat_of(order.shop) or country_of(order.store, order.marketplace)
    return Home(country if country in country_codes() else "", LANGUAGE.of(order.shop))


def readers_home(order: Order) -> Home:
    """From where a person sends who reads the order on a page: where it was sold, in their language. The settings of
    the shop are not read for it.
    """
    country = country_of(order.store, order.marketplace)
    return Home(country if country in country_codes() else "", str(get_locale() or "en"))


def address_of(given: Mapping[str, Any] | None, home: Home | None = None) -> Address | None:
    """An address in the form of its country; None if the channel gave no address. Without a home it is only read."""
    if not given:
        return None
    country = str(given.get("country") or "").upper()
    rules = rules_of(country)
    values = _values(given, rules)
    lines = [
        line
        for parts in (rules.form if _is_native(values) else rules.latin_form)
        for line in _written(parts, values, is_domestic=home is not None and country == home.country).splitlines()
    ]
    if name := _country_line(country, home):
        lines.append(name)
    return Address(lines, str(given.get("phone") or ""))


def _country_line(country: str, home: Home | None) -> str:
    if home is None or not home.country or country == home.country:
        return territory(country)
    return str(Locale.parse(home.language).territories.get(country, country)).upper()


def _values(given: Mapping[str, Any], rules: CountryRules) -> dict[str, str]:
    """The values of the form's fields. A place is not named twice, and a region is left out where the post finds
    every place by city and postal code.
    """
    found = {name: str(given.get(name) or "").strip() for name in ("name", "company", "district", "city")}
    found["street"] = "\n".join(filter(None, (str(given.get(f"line{number}") or "").strip() for number in (1, 2, 3))))
    given_code = str(given.get("postal_code") or "").strip(" 〒")
    found["postal_code"] = rules.written_code(given_code)
    found["region"] = rules.written_region(str(given.get("region") or "").strip())
    by_code = "region" in rules.beyond and {"city", "postal_code"} <= rules.requires
    if (by_code and found["city"] and found["postal_code"]) or folded(found["region"]) == folded(found["city"]):
        found["region"] = ""
    if "city" in rules.beyond and folded(found["city"]) == folded(str(Locale("en").territories.get(rules.country))):
        found["city"] = ""
    found["postal_code"] = found["postal_code"] or given_code
    return found | {name: found[name].upper() for name in rules.capitals}


def _written(parts: tuple[Part, ...], values: Mapping[str, str], *, is_domestic: bool) -> str:
    """One line of a form, or several with those of the street. The text between two fields is only there with both; a
    prefix for the country is left out at home.
    """
    line, between = "", ""
    for part in parts:
        own = part.before if part.is_own else ""
        between = between or ("" if own else part.before)
        value = values[part.field]
        if not value:
            continue
        if own.endswith("-") and (is_domestic or value.startswith(own)):
            own = ""
        line += f"{between if line and not own else ''}{own if line else own.lstrip()}{value}"
        between = ""
    return line


def _is_native(values: Mapping[str, str]) -> bool:
    """Whether the address is in the script of its country where that is not the Latin one."""
    return any(
        sign.isalpha() and not unicodedata.name(sign, "").startswith("LATIN")
        for name in ("street", "district", "city", "region")
        for sign in values[name]
        if not sign.isascii()
    )
