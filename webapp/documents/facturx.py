"""Factur-X: an issued invoice or credit memo as a PDF for archives (PDF/A-3) that carries the same document as XML, in
the profile EN 16931 of the Cross Industry Invoice.

The XML says only what the document says: a fact that the standard needs and the document does not have is a refusal.
Every row is a line of the XML; an amount without units is one lump sum. The libraries come with the extra `facturx`,
and are loaded with the first document. Before a document is handed out, its XML is checked against the standard's
schema. The standard's rules beyond it are kept by how the XML is built, which the tests check with the standard's own.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from typing import Any

from webapp.clock import now
from webapp.documents import formats, pdf
from webapp.documents.composed import labeled
from webapp.documents.invoices import Buyer, InvoiceContent, Kind, Row, TaxAtRate, compose, tax_summary
from webapp.errors import Refusal
from webapp.i18n import gettext as _, lazy_gettext as _l, spoken
from webapp.money import Money, decimals

_LEVEL = "en16931"  # the profile, as the library names it
_TYPES = {Kind.INVOICE: "380", Kind.CREDIT_MEMO: "381"}
_PIECE, _LUMP_SUM, _DISCOUNT = "C62", "LS", "95"  # codes of the standard's lists
_TAXED = "S"  # the standard rate or a reduced one
_NO_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DELIVERY = "ApplicableHeaderTradeDelivery"
_ADDRESS_LINES = ("addr_l1", "addr_l2", "addr_l3")


class NoFacturX(Refusal):
    """Something is missing of which a Factur-X is made."""

    code = "no_facturx"


class NotInstalled(NoFacturX):
    """The desk is installed without the extra."""

    code = "facturx_not_installed"
    sentence = _l(
        "Factur-X is not installed. The operator of the desk can add it with “make facturx” and then restart the desk."
    )


class NoVatNumber(NoFacturX):
    code = "facturx_no_vat_number"
    sentence = _l("Factur-X needs the seller's VAT number, and %(number)s was issued without one.")


class NoSellerAddress(NoFacturX):
    code = "facturx_no_seller_address"
    sentence = _l("Factur-X needs the seller's address, and %(number)s was issued without one.")


class NoSellerCountry(NoFacturX):
    """The document was issued by a version that did not record it."""

    code = "facturx_no_seller_country"
    sentence = _l(
        "Factur-X needs the country of the seller's registered office, and %(number)s was issued without one."
    )


class BuyerHidden(NoFacturX):
    code = "facturx_buyer_hidden"
    sentence = _l("Factur-X needs the buyer's address, and your role does not show buyer data.")


class NoBuyer(NoFacturX):
    """The buyer is withheld or erased, or their address has no country."""

    code = "facturx_no_buyer"
    sentence = _l("Factur-X needs the buyer's name and country, and %(number)s does not have both.")


class NoTaxRate(NoFacturX):
    code = "facturx_no_tax_rate"
    sentence = _l("Factur-X needs a tax rate in every row, and the tax rate of row %(row)s of %(number)s is not known.")


class Untaxed(NoFacturX):
    """A rate of zero: the ledger does not record under which rule nothing is due."""

    code = "facturx_untaxed"
    sentence = _l(
        "Factur-X needs the legal category of a tax of 0 %%, such as export or reverse charge, and the desk "
        "has no such category for row %(row)s of %(number)s."
    )


class TaxTooFarOff(NoFacturX):
    """The taxes of the rows are each within their rounding, but their sum is too far from the rate."""

    code = "facturx_tax_off"
    sentence = _l(
        "Factur-X allows taxes to differ by at most 1 %(currency)s from their rate, and the taxes of "
        "%(number)s at %(rate)s %% differ by more."
    )


class TooManyDecimals(NoFacturX):
    code = "facturx_decimals"
    sentence = _l("Factur-X allows amounts with up to two decimals, and %(currency)s has three.")


@cache
def is_installed() -> bool:
    """Whether the libraries of the extra are there; none of them is loaded."""
    return find_spec("facturx") is not None


def facturx_refusal(content: InvoiceContent) -> NoFacturX | None:
    """Why this document can't be a Factur-X; None if it can."""
    if not is_installed():
        return NotInstalled()
    return next(_missing(content), None)


def _missing(content: InvoiceContent) -> Iterator[NoFacturX]:
    number, face, currency = content.number, content.face, content.total.currency
    if decimals(currency) > 2:
        yield TooManyDecimals(currency=currency)
    if not face.vat_number:
        yield NoVatNumber(number=number)
    if not face.address:
        yield NoSellerAddress(number=number)
    if not face.country:
        yield NoSellerCountry(number=number)
    if content.buyer.hidden:
        yield BuyerHidden()
    address = content.buyer.snapshot.get("address") or {}
    if not address.get("country") or not _name(content.buyer):
        yield NoBuyer(number=number)
    for place, row in enumerate(content.lines, start=1):
        if row.tax_rate is None:
            yield NoTaxRate(number=number, row=place)
        elif not row.tax_rate:
            yield Untaxed(number=number, row=place)
    for one in tax_summary(content):
        if abs(one.net.decimal * (one.rate or 0) - one.tax.decimal) >= 1:
            yield TaxTooFarOff(number=number, rate=_percent(one.rate or Decimal(0)), currency=currency)


def facturx_of(content: InvoiceContent, pictures: pdf.Pictures) -> bytes:
    """The document as a Factur-X file; `pictures` gives the content of a logo.

    Raises `NoFacturX` with what is missing, and `DoesNotAddUp` if its amounts contradict each other.
    """
    document = compose(content)
    if (refusal := facturx_refusal(content)) is not None:
        raise refusal
    file = BytesIO()
    pdf.draw([document], file, pictures)
    about = {"title": document.foot, "author": _plain(content.face.legal_name or content.face.name)}
    return _for_archives(file, xml_of(content), about, document.language)


def _for_archives(file: BytesIO, xml: bytes, about: dict[str, str], language: str) -> bytes:
    """The PDF with the XML, and with what PDF/A-3 demands beside embedded fonts: a description of itself and a profile
    of its colors. The library's own way to attach the XML needs a file on disk, and leaves the first PDF in the second.
    """
    from facturx.facturx import FACTURX_FILENAME, generate_xmp_bytes
    from PIL import ImageCms
    from pypdf import PdfWriter
    from pypdf.generic import (
        ArrayObject,
        DecodedStreamObject,
        DictionaryObject,
        NameObject,
        NumberObject,
        TextStringObject,
    )

    writer = PdfWriter(clone_from=file)
    writer.pdf_header = "%PDF-1.7"
    writer.metadata = {"/Title": about["title"], "/Author": about["author"]}
    root = writer.root_object

    attached = writer.add_attachment(FACTURX_FILENAME, xml)
    attached.alternative_name = TextStringObject(FACTURX_FILENAME)
    attached.associated_file_relationship = NameObject("/Alternative")
    attached.subtype = NameObject("/text/xml")
    attached.description = TextStringObject("Factur-X")
    attached.size = NumberObject(len(xml))
    attached.modification_date = now()
    root[NameObject("/AF")] = ArrayObject([attached.pdf_object.indirect_reference])
    root[NameObject("/Lang")] = TextStringObject(language)

    described = DecodedStreamObject()
    described.set_data(generate_xmp_bytes("factur-x", _LEVEL, None, about))
    described.update({NameObject("/Type"): NameObject("/Metadata"), NameObject("/Subtype"): NameObject("/XML")})
    root[NameObject("/Metadata")] = writer._add_object(described)

    profile = DecodedStreamObject()
    profile.set_data(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[NameObject("/N")] = NumberObject(3)
    intent = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/OutputIntent"),
            NameObject("/S"): NameObject("/GTS_PDFA1"),
            NameObject("/OutputConditionIdentifier"): TextStringObject("sRGB"),
            NameObject("/DestOutputProfile"): writer._add_object(profile.flate_encode()),
        }
    )
    root[NameObject("/OutputIntents")] = ArrayObject([intent])
    made = BytesIO()
    writer.write(made)
    return made.getvalue()


# --- The XML ----------------------------------------------------------------------------------------------------------


def xml_of(content: InvoiceContent) -> bytes:
    """The XML of a document that is not refused, checked against the standard's schema. Its keys are the
    numbers by which the standard names its terms.
    """
    from facturx import generate_xml, xml_check_xsd
    from lxml import etree

    with spoken(formats.language_of(content.locale)):
        terms = _terms(content)
    root = etree.fromstring(generate_xml(terms, level=_LEVEL, check_xsd=False, check_schematron=False))
    for empty in root.iter(f"{{*}}{_DELIVERY}"):
        empty.attrib.clear()  # the library marks a delivery without a day as null, which the schema forbids
    xml_check_xsd(root, flavor="factur-x", level=_LEVEL)
    found: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True)
    return found


def _terms(content: InvoiceContent) -> dict[str, Any]:
    net = str(content.total - content.tax)
    return {
        "BT-1": content.number,
        "BT-2": content.issued_on,
        "BT-3": _TYPES[content.kind],
        "BT-5": content.total.currency,
        "BT-13": _plain(content.buyer.snapshot.get("purchase_order") or ""),
        "BT-14": content.order_number,
        "BG-1": [{"BT-22": _plain(note)} for note in _notes(content)],
        "BG-3": [{"BT-25": number} for number in content.corrects],
        "BG-4": _seller(content),
        "BG-7": _buyer(content.buyer),
        "BT-72": content.supplied_on,
        "BG-23": [_at_rate(one) for one in tax_summary(content)],
        "BG-25": list(_lines(content)),
        "BT-106": net,
        "BT-109": net,
        "BT-110": str(content.tax),
        "BT-112": str(content.total),
        "BT-113": str(content.total),  # nothing is due of any: the channel is paid before it tells of an order
        "BT-115": str(Money(0, content.total.currency)),
    }


def _notes(content: InvoiceContent) -> Iterator[str]:
    if content.practice:
        yield _("PRACTICE – not a real order")
    yield labeled(_("%(channel)s order number", channel=content.channel), content.channel_order_number).text
    if content.payment:
        yield content.payment
    yield from content.notes
    if content.footer:
        yield content.footer


def _seller(content: InvoiceContent) -> dict[str, Any]:
    face = content.face
    lines = [_plain(line) for line in face.address.splitlines() if line.strip()]
    rest = ", ".join(lines[len(_ADDRESS_LINES) - 1 :])
    return {
        "name": _plain(face.legal_name or face.name),
        "biz_name": _plain(face.name) if face.legal_name else "",
        "vat_identifier": face.vat_number,
        "country_code": face.country,
        **dict(zip(_ADDRESS_LINES, [*lines[: len(_ADDRESS_LINES) - 1], rest], strict=False)),
    }


def _buyer(buyer: Buyer) -> dict[str, Any]:
    address: Mapping[str, str] = buyer.snapshot["address"]
    name, person = _name(buyer), _plain(address.get("name") or buyer.snapshot.get("name") or "")
    last = ", ".join(filter(None, (address.get("line3"), address.get("district"))))
    return {
        "name": name,
        "contacts": [{"name": person}] if person and person != name else [],
        "addr_l1": _plain(address.get("line1") or ""),
        "addr_l2": _plain(address.get("line2") or ""),
        "addr_l3": _plain(last),
        "postcode": _plain(address.get("postal_code") or ""),
        "city": _plain(address.get("city") or ""),
        "country_subdivision": _plain(address.get("region") or ""),
        "country_code": address["country"],
        "vat_identifier": buyer.vat_number,
    }


def _name(buyer: Buyer) -> str:
    """The company, or the person."""
    said = buyer.snapshot
    address = said.get("address") or {}
    return _plain(said.get("company") or address.get("company") or address.get("name") or said.get("name") or "")


def _lines(content: InvoiceContent) -> Iterator[dict[str, Any]]:
    for place, row in enumerate(content.lines, start=1):
        rate = row.tax_rate or Decimal(0)
        net, discount = row.total - row.tax, row.discount or Money(0, content.total.currency)
        if content.prices_include_tax:
            discount = Money.round(discount.decimal / (1 + rate), discount.currency)
        charged = net + discount
        units = row.units if isinstance(row, Row) else 0
        times = units or (-1 if charged.minor < 0 else 1)  # a price is never below zero, but a quantity may be
        each, left = divmod(abs(charged.minor), abs(times))
        line: dict[str, Any] = {
            "BT-126": str(place),
            "BT-129": str(times),
            "BT-130": _PIECE if units else _LUMP_SUM,
            "BT-131": str(net),
            "BT-146": str(Money(abs(charged.minor) if left else each, net.currency)),
            "BT-151": _TAXED,
            "BT-152": _percent(rate),
        }
        if left:
            line["BT-149"] = str(abs(times))  # the price is that of so many, since that of one is not exact
        if isinstance(row, Row):
            line |= {"BT-153": _plain(row.title) or row.sku, "BT-155": _plain(row.sku)}
        else:
            line |= {"BT-153": _plain(row.name)}
        if discount:
            line |= {"BG-27": [{"amount": str(discount), "reason": _("Discount"), "reason_code": _DISCOUNT}]}
        yield line


def _at_rate(one: TaxAtRate) -> dict[str, str]:
    rate = _percent(one.rate or Decimal(0))
    return {"BT-116": str(one.net), "BT-117": str(one.tax), "BT-118": _TAXED, "BT-119": rate}


def _percent(rate: Decimal) -> str:
    return f"{(rate * 100).normalize():f}"


def _plain(text: str) -> str:
    """A text without the characters that no XML can hold."""
    return " ".join(_NO_XML.sub(" ", text).split())
