"""What an address has and lacks, by the rules of its country, and how a corrected one is kept.

The rules are in `postal_rules`; `postal_lines` writes an address as its country does. Orders are never kept back by an
address: what is missing for its carrier marks the order, what is only unusual is a hint beside the address.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from babel import Locale

from webapp.errors import Invalid, InvalidInput
from webapp.i18n import LazyString, get_locale, lazy_gettext as _l
from webapp.orders.postal_rules import CountryRules, folded, rules_of

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

_EXTENSION = re.compile(r"[\s,;]*(?:ext(?:ension|n)?\.?|x|#|;ext=)\s*(\d{1,9})\s*$", re.ASCII | re.IGNORECASE)
_FIELD_POST = re.compile(r"\b(?:[ADF]PO|BFPO|CFPO)\b")  # military post offices
_MUNICIPALITY = re.compile("[\u3040-\u30ff\u3400-\u9fff]{2}[市区區町村郡县縣]|[\uac00-\ud7a3]{2}[시군구]")
_CITIES = ("市", "시")  # as regions that are cities end
_WORDS = re.compile(r"[^\W\d_][^\d_]{2,}")
_WITHIN_HOUSES = frozenset(["apartment", "apt", "building", "c/o", "flat", "floor", "rear", "room", "suite", "unit"])
_NO_COUNTRIES = frozenset({"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"})  # which CLDR lists among countries


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
    return sorted(((code, str(names.get(code, code))) for code in country_codes()), key=lambda pair: folded(pair[1]))


# --- What an address has ----------------------------------------------------------------------------------------------


def needed(country: str) -> frozenset[str]:
    """The fields that addresses of this country usually have: forms ask for them. What one can't do without, `gaps`
    decides.
    """
    rules = rules_of(country)
    places = {_place_field(rules), *(rules.requires & {"region"})} if rules.needs_place else set()
    return frozenset({"name", "line1", "country"} | places | (rules.requires & {"postal_code"}))


def gaps(address: Mapping[str, Any]) -> list[str]:
    """The fields for want of which a carrier could not deliver to this address; none if nothing is missing.

    A thing may be in another field than its own: what is asked is whether the address has it. A name may be that of a
    company, and lines of the street may have a city or a postal code.
    """
    rules = rules_of(_text(address, "country"))
    found = {
        "name": not (_text(address, "name") or _text(address, "company")),
        "line1": not _lines(address),
        _place_field(rules): not _has_place(address, rules),
        "postal_code": "postal_code" in rules.requires and not _has_code(address, rules),
        "country": not _text(address, "country"),
    }
    return [name for name, is_missing in found.items() if is_missing]


def hints(address: Mapping[str, Any]) -> list[LazyString]:
    """What is unusual about an address for its country, in sentences. None of it keeps a parcel from being sent."""
    if gaps(address):
        return []
    rules = rules_of(_text(address, "country"))
    return [*_of_empty_fields(address, rules), *_of_code(address, rules), *_of_region(address, rules)]


def _text(address: Mapping[str, Any], name: str) -> str:
    """The field's text; empty if it has no letter and no digit, such as a dash that only fills the field."""
    text = str(address.get(name) or "").strip()
    return text if any(map(str.isalnum, text)) else ""


def _lines(address: Mapping[str, Any]) -> list[str]:
    return [line for name in ("line1", "line2", "line3") if (line := _text(address, name))]


def _place_field(rules: CountryRules) -> str:
    return "region" if "city" in rules.beyond and "region" not in rules.beyond else "city"


def _has_place(address: Mapping[str, Any], rules: CountryRules) -> bool:
    """Whether the address names the city or what stands for it, in whatever field."""
    if not rules.needs_place or _text(address, "city"):
        return True
    region, needs_both = _text(address, "region"), {"city", "region"} <= rules.requires
    if (region and not needs_both) or region.endswith(_CITIES):
        return True
    if "city" not in rules.requires and _text(address, "district"):
        return True
    if "city" in rules.beyond and rules.written_code(_text(address, "postal_code")):
        return True  # the code names the quarter, as in Japan
    return _have_place(_lines(address), rules)


def _have_place(lines: Sequence[str], rules: CountryRules) -> bool:
    """Whether lines of the street could also name the city: by a postal code, a region, a military post office, the
    ending of a municipality, or words after those of the street.
    """
    whole = "\n".join(lines).strip()
    if _FIELD_POST.search(whole) or _MUNICIPALITY.search(whole):
        return True
    if rules.has_code_in(lines) or rules.has_region_in(whole):
        return True
    _street, *others = (part.strip() for part in re.split(r"[,;\n]", whole))
    return any(_WORDS.fullmatch(part) and part.casefold().split()[0] not in _WITHIN_HOUSES for part in others if part)


def _has_code(address: Mapping[str, Any], rules: CountryRules) -> bool:
    if _text(address, "postal_code"):
        return True
    return rules.has_code_in([*_lines(address), *(_text(address, name) for name in ("district", "city", "region"))])


def _of_empty_fields(address: Mapping[str, Any], rules: CountryRules) -> Iterator[LazyString]:
    """Fields that the country needs, where the address has the thing only in another field."""
    names = {"city", "postal_code"} & rules.requires
    if _text(address, "region").endswith(_CITIES) or _FIELD_POST.search(" ".join(_lines(address))):
        names -= {"city"}
    for name in sorted(names):
        if not _text(address, name):
            yield _l("“%(field)s” is empty: check that other lines of the address have it.", field=FIELDS[name])


def _of_code(address: Mapping[str, Any], rules: CountryRules) -> Iterator[LazyString]:
    code, country = _text(address, "postal_code"), LazyString(territory, rules.country)
    if not code or rules.code is None:
        return
    region = rules.region_code(_text(address, "region"))
    if not (written := rules.written_code(code)):
        yield _l(
            "“%(told)s” is not a postal code of %(country)s. Example: %(example)s.",
            told=code,
            country=country,
            example=rules.examples[0],
        )
    elif not re.match(rules.region_codes.get(region, ""), written):
        yield _l("“%(told)s” is not a postal code of %(region)s.", told=code, region=rules.region_names[region])


def _of_region(address: Mapping[str, Any], rules: CountryRules) -> Iterator[LazyString]:
    region, country = _text(address, "region"), LazyString(territory, rules.country)
    if not rules.has_coded_regions or rules.region_code(region):
        return
    if region:
        yield _l("“%(told)s” is not a state or region of %(country)s.", told=region, country=country)
    elif _text(address, "city"):
        yield _l("Addresses of %(country)s usually have a state or region.", country=country)


# --- A corrected address ----------------------------------------------------------------------------------------------


def normalized(given: Mapping[str, str]) -> dict[str, str]:
    """The address in the form for parcels, without empty fields; raises `Invalid` naming the field and its error."""
    address = {name: " ".join(str(given.get(name) or "").split()) for name in FIELDS}
    for name, value in address.items():
        if len(value) > LONGEST:
            raise Invalid(field=name, problem=_l("This text is too long. Shorten it."))
    country = address["country"] = address["country"].upper()
    if not country:
        raise Invalid(field="country", problem=_l("Enter a value."))
    if country not in country_codes():
        raise Invalid(field="country", problem=_l("Enter a country code of two letters, such as DE."))
    if missing := [Invalid(field=name, problem=_missing(name, country)) for name in gaps(address)]:
        raise InvalidInput(missing)
    rules = rules_of(country)
    if rules.has_coded_regions:
        address["region"] = rules.region_code(address["region"]) or address["region"]
    code = address["postal_code"]
    address["postal_code"] = rules.written_code(code) or code.upper()
    if address["phone"] and sum(letter.isdigit() for letter in address["phone"]) < 5:
        raise Invalid(field="phone", problem=_l("This is not a phone number. Correct it."))
    return {name: value for name, value in address.items() if value}


def _missing(name: str, country: str) -> LazyString:
    if name == "postal_code":
        return _l("Enter a value. Addresses in %(country)s need one.", country=territory(country))
    return _l("Enter a value.")


def code_parts(country: str, code: str) -> list[str]:
    """The groups of a postal code, however it is spaced; none if the code can't be of this country."""
    return re.split("[ -]", written) if (written := rules_of(country).written_code(code)) else []


def telephone(number: str) -> tuple[str, str]:
    """A phone number and its extension, which is empty if there is none."""
    found = _EXTENSION.search(number)
    return (number[: found.start()], found[1]) if found else (number, "")
