"""How addresses are written: postal codes and regions by country, and the fields that an address must have.

Codes of regions are those of ISO 3166-2; for the United States also the armed forces' three of USPS Publication 28. The
formats of postal codes follow the Universal Postal Union's addressing sheets. A code is not required if Google's
address data (libaddressinput) have no code in a country's format, or list the fields that an address needs without the
code. A country that is not in the tables takes any code.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from babel import Locale

from webapp.errors import Invalid
from webapp.i18n import LazyString, get_locale, lazy_gettext as _l
from webapp.search.terms import digits

FIELDS: dict[str, LazyString] = {
    "name": _l("Recipient"),
    "company": _l("Company"),
    "line1": _l("Street and number"),
    "line2": _l("Address line 2"),
    "line3": _l("Address line 3"),
    "postal_code": _l("Postal code"),
    "city": _l("City"),
    "district": _l("District"),
    "region": _l("State or region"),
    "country": _l("Country"),
    "phone": _l("Phone"),
}
LONGEST = 100

_US = (
    "AL Alabama, AK Alaska, AZ Arizona, AR Arkansas, CA California, CO Colorado, CT Connecticut, DE Delaware, "
    "DC District of Columbia, FL Florida, GA Georgia, HI Hawaii, ID Idaho, IL Illinois, IN Indiana, IA Iowa, "
    "KS Kansas, KY Kentucky, LA Louisiana, ME Maine, MD Maryland, MA Massachusetts, MI Michigan, MN Minnesota, "
    "MS Mississippi, MO Missouri, MT Montana, NE Nebraska, NV Nevada, NH New Hampshire, NJ New Jersey, NM New Mexico, "
    "NY New York, NC North Carolina, ND North Dakota, OH Ohio, OK Oklahoma, OR Oregon, PA Pennsylvania, "
    "RI Rhode Island, SC South Carolina, SD South Dakota, TN Tennessee, TX Texas, UT Utah, VT Vermont, VA Virginia, "
    "WA Washington, WV West Virginia, WI Wisconsin, WY Wyoming, AS American Samoa, GU Guam, "
    "MP Northern Mariana Islands, PR Puerto Rico, VI Virgin Islands, AA Armed Forces Americas, "
    "AE Armed Forces Europe, AP Armed Forces Pacific"
)
_CA = (
    "AB Alberta, BC British Columbia, MB Manitoba, NB New Brunswick, NL Newfoundland and Labrador, NS Nova Scotia, "
    "NT Northwest Territories, NU Nunavut, ON Ontario, PE Prince Edward Island, QC Quebec, SK Saskatchewan, YT Yukon"
)
_AU = (
    "ACT Australian Capital Territory, NSW New South Wales, NT Northern Territory, QLD Queensland, "
    "SA South Australia, TAS Tasmania, VIC Victoria, WA Western Australia"
)
_REGIONS = {
    country: dict(pair.split(" ", 1) for pair in table.split(", "))
    for country, table in {"US": _US, "CA": _CA, "AU": _AU}.items()
}

# Per country: the code without spaces and hyphens, in its groups; the separator of the groups; an example.
_CODES = {
    "AT": (r"(\d{4})", "", "1010"),
    "AU": (r"(\d{4})", "", "2000"),
    "BE": (r"(\d{4})", "", "1000"),
    "BR": (r"(\d{5})(\d{3})", "-", "01310-100"),
    "CA": (r"([A-CEGHJ-NPR-TVXY]\d[A-CEGHJ-NPR-TV-Z])(\d[A-CEGHJ-NPR-TV-Z]\d)", " ", "K1A 0B1"),
    "CH": (r"(\d{4})", "", "3030"),
    "CZ": (r"(\d{3})(\d{2})", " ", "110 00"),
    "DE": (r"(\d{5})", "", "10115"),
    "DK": (r"(\d{4})", "", "2100"),
    "ES": (r"(\d{5})", "", "28013"),
    "FI": (r"(\d{5})", "", "00100"),
    "FR": (r"(\d{5})", "", "75001"),
    "GB": (r"((?:[A-Z]{1,2}\d[A-Z\d]?|GIR))(\d[A-Z]{2}|0AA)", " ", "SW1A 1AA"),
    "GR": (r"(\d{3})(\d{2})", " ", "105 57"),
    "HU": (r"(\d{4})", "", "1051"),
    "IE": (r"([A-Z]\d[\dW])([A-Z\d]{4})", " ", "D02 X285"),
    "IN": (r"(\d{6})", "", "110001"),
    "IT": (r"(\d{5})", "", "00184"),
    "JP": (r"(\d{3})(\d{4})", "-", "100-0001"),
    "KR": (r"(\d{5})", "", "03051"),
    "LU": (r"L?(\d{4})", "", "1111"),
    "MX": (r"(\d{5})", "", "06000"),
    "NL": (r"(\d{4})([A-Z]{2})", " ", "1012 JS"),
    "NO": (r"(\d{4})", "", "0150"),
    "NZ": (r"(\d{4})", "", "6011"),
    "PL": (r"(\d{2})(\d{3})", "-", "00-950"),
    "PT": (r"(\d{4})(\d{3})", "-", "1000-205"),
    "RO": (r"(\d{6})", "", "010011"),
    "SE": (r"(\d{3})(\d{2})", " ", "114 55"),
    "SG": (r"(\d{6})", "", "238823"),
    "SK": (r"(\d{3})(\d{2})", " ", "811 01"),
    "TR": (r"(\d{5})", "", "34110"),
    "US": (r"(\d{5})(\d{4})?", "-", "20500"),
}
_WITHOUT_CODES = (
    "AE AG AO AQ AW BF BI BJ BO BQ BS BV BW BZ CD CF CG CI CK CM CW DJ DM ER FJ GA GD GM GQ GY HK JM KI KM KN KP LY ML "
    "MO MR MW NR NU QA RW SB SC SL SR SS ST SX SY TD TF TG TK TL TO TV UG VU YE ZW"
)
# Countries with codes that many addresses lack: Eircodes are usually left out, much of Latin America hardly uses codes,
# and those of GH, LC, MS, NA, PS, TT and WS are so new that the address data do not have them.
_CODES_LEFT_OUT = "CL CO CR DO EC GH GI GT HN ID IE IQ KY LC MS NA NI PA PE PG PS PY SO SV TT UY VE VG WS"
_WITHOUT_CITIES = frozenset({"GI", "HK", "JP", "MC", "MO", "SG", "VA"})  # Japan's are part of the prefecture or line 1
_EXTENSION = re.compile(r"[\s,;]*(?:ext(?:ension|n)?\.?|x|#|;ext=)\s*(\d{1,9})\s*$", re.ASCII | re.IGNORECASE)
_NO_COUNTRIES = frozenset({"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"})  # which CLDR lists among countries


@dataclass(frozen=True, slots=True)
class Address:
    """A delivery address in the form in which it is written on a parcel."""

    lines: list[str]
    phone: str = ""

    @property
    def phone_url(self) -> str:
        """The phone number as a link, with only the characters that RFC 3966 allows."""
        number, extension = telephone(self.phone)
        bare = ("+" if number.strip().startswith("+") else "") + digits(number)
        return f"tel:{bare};ext={extension}" if extension else f"tel:{bare}"


def address_of(given: Mapping[str, Any] | None) -> Address | None:
    """An address in the order of fields of its country; None if the channel gave no address."""
    if not given:
        return None
    country = str(given.get("country") or "")
    place = [str(given.get(name) or "") for name in ("postal_code", "city", "region")]
    if country in ("US", "CA", "AU"):
        town = ", ".join(filter(None, (place[1], " ".join(filter(None, (place[2], place[0]))))))
        towns = [town]
    elif country == "GB":
        towns = [place[1], place[2], place[0]]
    else:
        towns = [" ".join(filter(None, place[:2])), place[2]]
    names = [str(given.get(name) or "") for name in ("name", "company", "line1", "line2", "line3", "district")]
    lines = [line for line in (*names, *towns, territory(country)) if line]
    return Address(lines, str(given.get("phone") or ""))


def territory(code: str) -> str:
    """A country's name in the reader's language."""
    locale = get_locale() or Locale("en")
    return str(locale.territories.get(code, code))


@cache
def country_codes() -> frozenset[str]:
    """ISO 3166 codes of two letters, as far as CLDR has them."""
    known = map(str, Locale("en").territories)
    return frozenset(code for code in known if len(code) == 2 and code.isalpha()) - _NO_COUNTRIES


def countries() -> list[tuple[str, str]]:
    """Countries with their names in the reader's language, by name."""
    names = (get_locale() or Locale("en")).territories
    return sorted(((code, str(names.get(code, code))) for code in country_codes()), key=lambda pair: _folded(pair[1]))


@lru_cache(maxsize=512)
def needed(country: str) -> frozenset[str]:
    """The fields that every address in this country must have."""
    fields = {"name", "line1", "country"}
    if country not in _WITHOUT_CITIES:
        fields.add("city")
    if country not in (*_WITHOUT_CODES.split(), *_CODES_LEFT_OUT.split()):
        fields.add("postal_code")
    if country in _REGIONS:
        fields.add("region")
    return frozenset(fields)


def normalized(given: Mapping[str, str]) -> dict[str, str]:
    """The address in the form for parcels, without empty fields; raises `Invalid` naming the field and its error."""
    address = {name: " ".join(str(given.get(name) or "").split()) for name in FIELDS}
    for name, value in address.items():
        if len(value) > LONGEST:
            raise Invalid(field=name, problem=_l("is too long."))
    country = address["country"] = address["country"].upper()
    if not country:
        raise Invalid(field="country", problem=_l("is needed."))
    if country not in country_codes():
        raise Invalid(field="country", problem=_l("must be a country's code of two letters, such as DE."))
    for name in ("name", "line1", "city"):
        if name in needed(country) and not address[name]:
            raise Invalid(field=name, problem=_l("is needed."))
    address["region"] = _region(country, address["region"])
    address["postal_code"] = _postal_code(country, address["postal_code"])
    if address["phone"] and sum(letter.isdigit() for letter in address["phone"]) < 5:
        raise Invalid(field="phone", problem=_l("is no phone number."))
    return {name: value for name, value in address.items() if value}


def code_parts(country: str, code: str) -> list[str]:
    """The groups of a postal code, however it is spaced; none if the code can't be of this country."""
    pattern, _between, _example = _CODES.get(country, ("", "", ""))
    found = re.fullmatch(pattern, re.sub(r"[\s-]", "", code.upper()), re.ASCII)
    return [group for group in found.groups() if group] if found else []


def telephone(number: str) -> tuple[str, str]:
    """A phone number and its extension, which is empty if there is none."""
    found = _EXTENSION.search(number)
    return (number[: found.start()], found[1]) if found else (number, "")


def _region(country: str, region: str) -> str:
    known = _REGIONS.get(country)
    if known is None:
        return region
    if not region:
        raise Invalid(field="region", problem=_l("is needed in %(country)s.", country=territory(country)))
    wanted = _folded(region.removeprefix(f"{country}-"))
    for code, name in known.items():
        if wanted in (_folded(code), _folded(name)):
            return code
    raise Invalid(
        field="region",
        problem=_l("“%(told)s” is no state or region of %(country)s.", told=region, country=territory(country)),
    )


def _postal_code(country: str, code: str) -> str:
    if not code:
        if "postal_code" not in needed(country):
            return ""
        raise Invalid(field="postal_code", problem=_l("is needed in %(country)s.", country=territory(country)))
    code = code.upper()
    if country not in _CODES:
        return code
    pattern, between, example = _CODES[country]
    bare = re.sub(r"^[A-Z]{1,3}-(?=\d)", "", code)  # D-10115: a prefix for the country, as it was once usual
    found = re.fullmatch(pattern, re.sub(r"[\s-]", "", bare), re.ASCII)
    if found is None:
        raise Invalid(
            field="postal_code",
            problem=_l(
                "“%(told)s” is no postal code of %(country)s, such as %(example)s.",
                told=code,
                country=territory(country),
                example=example,
            ),
        )
    return between.join(group for group in found.groups() if group)


def _folded(text: str) -> str:
    """Letters alone, without accents and capitals, so that “Québec” and “N.S.W.” are found too."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in plain if letter.isalnum())
