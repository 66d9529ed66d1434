"""A shop's legal face: what documents and messages say about the merchant. Settings of each shop.

Documents use `face_of`, mails `sender_of`; for a field that is not set, the result has the shop's name, or nothing.
"""

import re
from dataclasses import dataclass
from functools import cache

from babel import Locale

from webapp.accounts.services import checked_email
from webapp.channels.logos import Logo, logo_of
from webapp.channels.models import Shop
from webapp.errors import Invalid
from webapp.i18n import LANGUAGES, lazy_gettext as _l
from webapp.mail.server import NoSuchAddress, ascii_address
from webapp.settings.declared import SHOP, Setting, SettingsGroup

_ADDRESS_LINES, _LONGEST, _COPIES = 8, 100, 5
_SPACING = re.compile(r"[\s.\-/]+")
_VAT = re.compile(r"([A-Z]{2})([0-9A-Z+*]{2,18})", re.ASCII)
_COUNTRY_OF = {"EL": "GR"}  # Greek numbers begin with letters of their own; those of Northern Ireland begin with XI
_SEAT_OF = {"XI": "GB"}
_BRITISH = r"\d{9}|\d{12}|(GD|HA)\d{3}"
# The formats of the European Union as its VIES page lists them, and of neighbors; others are any letters and digits.
_SHAPES = {
    "AT": r"U\d{8}",
    "BE": r"[01]\d{9}",
    "BG": r"\d{9,10}",
    "CH": r"E\d{9}(MWST|TVA|IVA)?",
    "CY": r"\d{8}[A-Z]",
    "CZ": r"\d{8,10}",
    "DE": r"\d{9}",
    "DK": r"\d{8}",
    "EE": r"\d{9}",
    "EL": r"\d{9}",
    "ES": r"[A-Z0-9]\d{7}[A-Z0-9]",
    "FI": r"\d{8}",
    "FR": r"[0-9A-HJ-NP-Z]{2}\d{9}",
    "GB": _BRITISH,
    "HR": r"\d{11}",
    "HU": r"\d{8}",
    "IE": r"\d[A-Z0-9+*]\d{5}[A-Z]{1,2}",
    "IT": r"\d{11}",
    "LT": r"\d{9}|\d{12}",
    "LU": r"\d{8}",
    "LV": r"\d{11}",
    "MT": r"\d{8}",
    "NL": r"[A-Z0-9+*]{9}B\d{2}",
    "NO": r"\d{9}(MVA)?",
    "PL": r"\d{10}",
    "PT": r"\d{9}",
    "RO": r"\d{2,10}",
    "SE": r"\d{12}",
    "SI": r"\d{8}",
    "SK": r"\d{10}",
    "XI": _BRITISH,
}


@dataclass(frozen=True, slots=True)
class Face:
    """What a document says about its shop. A field that was not set is empty, and so is a legal name equal to the
    shop's name. `country` is that of the shop's seat, in two letters.
    """

    name: str
    legal_name: str
    address: str
    vat_number: str
    logo: Logo | None = None
    country: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender of mails to a shop's buyers; `address` and `reply_to` are empty if none was set. `copies` are those
    who get a blind copy of each.
    """

    name: str
    reply_to: str
    address: str = ""
    copies: tuple[str, ...] = ()


def _check_line(text: str) -> None:
    if len(text) > _LONGEST:
        raise ValueError(_l("This text is too long. Shorten it."))
    if not text.isprintable():  # a line break would begin another header of a message
        raise ValueError(_l("Enter one line of text without special characters."))


def _check_address(text: str) -> None:
    lines = text.splitlines()
    if len(lines) > _ADDRESS_LINES or any(len(line) > _LONGEST for line in lines):
        raise ValueError(_l("Enter up to 8 lines of 100 characters."))


def _check_address_of_mail(text: str) -> None:
    if not text:
        return
    try:
        ascii_address(checked_email(text))
    except Invalid as error:
        raise ValueError(error.values["problem"]) from None
    except NoSuchAddress:
        raise ValueError(_l("Some mail servers don't accept this e-mail address. Enter another one.")) from None


def _check_copies(text: str) -> None:
    if len(addresses := _listed(text)) > _COPIES:
        raise ValueError(_l("Enter at most %(most)s addresses.", most=_COPIES))
    for address in addresses:
        _check_address_of_mail(address)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (one.strip() for one in re.split(r"[,;\s]", text))))


def _read_vat_numbers(text: str) -> dict[str, str]:
    """The numbers by their countries' codes, in the given order. Raises ValueError for an invalid number."""
    numbers: dict[str, str] = {}
    for part in filter(None, (one.strip() for one in re.split(r"[,;\n]", text))):
        number = _SPACING.sub("", part).upper()
        found = _VAT.fullmatch(number)
        prefix, rest = found.groups() if found else ("", "")
        if prefix not in _prefixes():
            raise ValueError(
                _l("“%(number)s” does not begin with the two letters of a country. Example: DE123456789.", number=part)
            )
        shape = _SHAPES.get(prefix)
        if (shape is None and not re.search(r"\d", rest)) or (shape and not re.fullmatch(shape, rest, re.ASCII)):
            raise ValueError(
                _l("“%(number)s” is not a VAT number of %(country)s. Check its digits.", number=part, country=prefix)
            )
        country = _COUNTRY_OF.get(prefix, prefix)
        if country in numbers:
            raise ValueError(
                _l("There are two VAT numbers of %(country)s. Enter one number per country.", country=country)
            )
        numbers[country] = number
    return numbers


@cache
def _prefixes() -> frozenset[str]:
    known = {str(code) for code in Locale("en").territories if len(str(code)) == 2}
    return frozenset({*known, *_SHAPES}) - {"EU", "EZ", "GR", "QO", "UN", "XA", "XB", "ZZ"}


LEGAL_NAME = Setting(
    name="legal_name",
    label=_l("Legal name"),
    help=_l("The registered name of your company. If empty, the shop's name is used."),
    check=_check_line,
)
ADDRESS = Setting(
    name="address",
    label=_l("Address"),
    help=_l("The sender's address on packing slips, invoices and credit memos."),
    lines=4,
    check=_check_address,
)
VAT_NUMBERS = Setting(
    name="vat_numbers",
    label=_l("VAT numbers"),
    help=_l(
        "One number per country, with the country's letters: DE123456789, FR12345678901. Enter the number of "
        "your home country first: it is used where you have none for the marketplace's country."
    ),
    check=_read_vat_numbers,
)
RETURN_ADDRESS = Setting(
    name="return_address",
    label=_l("Return address"),
    help=_l(
        "The address on return slips, to which buyers send goods back. If empty, the legal name and the "
        "address above are used."
    ),
    lines=4,
    check=_check_address,
)
FOOTER = Setting(
    name="footer",
    label=_l("Footer of invoices"),
    help=_l(
        "Register number, bank account or terms. They are printed below the amounts of every invoice and credit memo."
    ),
    lines=4,
    check=_check_address,
)
LANGUAGE = Setting(
    name="language",
    label=_l("Language"),
    default="en",
    choices=LANGUAGES,
    help=_l("The language of documents for marketplaces whose own language is not available."),
)
SENDER_NAME = Setting(
    name="sender_name",
    label=_l("Name"),
    help=_l("The sender's name in messages to buyers. If empty, the shop's name is used."),
    check=_check_line,
)
REPLY_TO = Setting(
    name="reply_to",
    label=_l("Reply address"),
    help=_l("The e-mail address to which your buyers answer."),
    check=_check_address_of_mail,
)
SENDER_ADDRESS = Setting(
    name="sender_address",
    label=_l("Address"),
    compact=True,
    check=_check_address_of_mail,
    help=_l("The sender's address of e-mails to buyers. If empty, the desk's address is used."),
)
COPIES = Setting(
    name="copies",
    label=_l("Copies to"),
    check=_check_copies,
    help=_l("These addresses get a blind copy of every e-mail to a buyer. Separate them with commas."),
)
FACE = SettingsGroup(
    "legal",
    _l("On documents"),
    (LEGAL_NAME, ADDRESS, RETURN_ADDRESS, VAT_NUMBERS, FOOTER, LANGUAGE),
    scope=SHOP,
)
SENDER = SettingsGroup("sender", _l("Sender of messages"), (SENDER_NAME, SENDER_ADDRESS, REPLY_TO, COPIES), scope=SHOP)


def face_of(shop: Shop, country: str = "") -> Face:
    """What a document says about the shop, for a sale in this country."""
    legal_name, numbers = LEGAL_NAME.of(shop), vat_numbers(shop)
    number = numbers.get(country) or next(iter(numbers.values()), "")
    legal_name = "" if legal_name == shop.name else legal_name
    return Face(shop.name, legal_name, ADDRESS.of(shop), number, logo_of(shop.id), seat_of(shop))


def seat_of(shop: Shop) -> str:
    """The country of the shop's seat, in two letters: that of its first VAT number; empty if it has none."""
    seat = next(iter(vat_numbers(shop)), "")
    return _SEAT_OF.get(seat, seat)


def return_address_of(shop: Shop) -> tuple[str, ...]:
    """The lines of the address to which buyers send goods back; none if the shop has no address."""
    if own := RETURN_ADDRESS.of(shop):
        return tuple(own.splitlines())
    address = ADDRESS.of(shop)
    return (LEGAL_NAME.of(shop) or shop.name, *address.splitlines()) if address else ()


def vat_numbers(shop: Shop) -> dict[str, str]:
    """The shop's VAT numbers by the codes of their countries, with the country of the shop's seat first."""
    return _read_vat_numbers(VAT_NUMBERS.of(shop))


def sender_of(shop: Shop) -> Sender:
    """The sender of mails to the shop's buyers."""
    copies = _listed(COPIES.of(shop))
    return Sender(SENDER_NAME.of(shop) or shop.name, REPLY_TO.of(shop), SENDER_ADDRESS.of(shop), copies)
