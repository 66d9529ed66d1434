"""Reading orders of Amazon's Orders API v2026-01-01 into the desk's types.

Pure functions: no network, no clock, no database. Values that Amazon may leave out are then missing here too, unknown
codes are kept as they are, and a value that can't be read makes the order unreadable; the error has the name of the
field, never its value. Fields exist only with their data set (`channel` asks for all) and only if the application has
the role for them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from plugins.amazon.money import BadMoney, Proceeds, Purse, divide
from webapp.api import (
    ChannelStage,
    FulfilledBy,
    IncomingLine,
    IncomingOrder,
    IncomingPackage,
    TaxScheme,
    UnreadableOrder,
    parse_instant,
)

STAGES = {
    "PENDING_AVAILABILITY": ChannelStage.AWAITING_PAYMENT,
    "PENDING": ChannelStage.AWAITING_PAYMENT,
    "UNSHIPPED": ChannelStage.OPEN,
    "PARTIALLY_SHIPPED": ChannelStage.OPEN,
    "SHIPPED": ChannelStage.SHIPPED,
    "CANCELLED": ChannelStage.CANCELED,
}
_FLAGS = {
    "PRIME": "prime",
    "AMAZON_BUSINESS": "business",
    "PREMIUM": "premium",
    "FBM_SHIP_PLUS": "label_required",
    "INVOICE_BY_AMAZON": "invoice_by_channel",
    "IN_STORE_PICK_UP": "pickup",
    "AMAZON_HAUL": "haul",
    "AMAZON_BAZAAR": "bazaar",
    "AMAZON_EASY_SHIP": "easy_ship",
    "DELIVERY_BY_AMAZON": "delivery_by_channel",
    "PREORDER": "preorder",
    "SUBSCRIBE_AND_SAVE": "subscribe_and_save",
}
_ORIGINALS = {"REPLACEMENT_ORIGINAL_ID": "replacement", "EXCHANGE_ORIGINAL_ID": "exchange"}
_CONSTRAINTS = {  # what the delivery must take care of, kept as flags of the line
    "palletDelivery": "PALLET_DELIVERY",
    "cashOnDelivery": "CASH_ON_DELIVERY",
    "signatureConfirmation": "SIGNATURE_CONFIRMATION",
    "recipientIdentityVerification": "RECIPIENT_IDENTITY_VERIFICATION",
    "recipientAgeVerification": "RECIPIENT_AGE_VERIFICATION",
}
_ADDRESS = {
    "name": "name",
    "company": "companyName",
    "line1": "addressLine1",
    "line2": "addressLine2",
    "line3": "addressLine3",
    "city": "city",
    "district": "districtOrCounty",
    "region": "stateOrRegion",
    "postal_code": "postalCode",
    "country": "countryCode",
    "phone": "phone",
    "kind": "addressType",
}
_BUYER = {
    "name": "buyerName",
    "email": "buyerEmail",
    "company": "buyerCompanyName",
    "purchase_order": "buyerPurchaseOrderNumber",
}
_SCHEMES = {"UOSS": TaxScheme.UNION, "IOSS": TaxScheme.IMPORT}
MOST = 2**31 - 1  # the largest number of units that a database column holds
_NOTHING: Mapping[str, Any] = {}


class _Unreadable(Exception):
    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field, self.problem = field, problem


def read_order(raw: Any, *, missing: Sequence[str] = ()) -> IncomingOrder | UnreadableOrder:
    """The order, or the reason why it could not be read; `missing` are the data sets that Amazon refused this time."""
    try:
        return order_2026(raw, missing=missing)
    except _Unreadable as fault:
        field, problem = fault.field, fault.problem
    except (AttributeError, TypeError, KeyError, ValueError):  # a structure that no answer should have
        field, problem = "", "odd_shape"
    number = raw.get("orderId") if isinstance(raw, dict) else None
    return UnreadableOrder(
        number if isinstance(number, str) else "", field, problem, raw if isinstance(raw, dict) else {"answer": raw}
    )


def order_2026(raw: Mapping[str, Any], *, missing: Sequence[str] = ()) -> IncomingOrder:
    """One order of an answer of searchOrders or getOrder; raises for what `read_order` reports as unreadable."""
    number = _text(raw, "orderId")
    sales = raw.get("salesChannel") or _NOTHING
    fulfillment = raw.get("fulfillment") or _NOTHING
    proceeds = raw.get("proceeds") or _NOTHING
    status = _word(fulfillment.get("fulfillmentStatus"))
    items = raw.get("orderItems")
    if not isinstance(items, list):
        raise _Unreadable("orderItems", "missing" if items is None else "not_a_list")

    purse = Purse()
    total = _money(purse, proceeds.get("grandTotal"), "proceeds.grandTotal")
    line_proceeds = [_line_proceeds(item, purse, index) for index, item in enumerate(items)]
    try:
        of_order = Proceeds(proceeds.get("breakdowns") or (), total, purse)
    except BadMoney as error:
        raise _Unreadable("proceeds.breakdowns", str(error)) from None
    of_lines, own = divide(of_order, line_proceeds)
    lines = tuple(
        _line(item, line_proceeds[index].total, of_lines[index], purse, index) for index, item in enumerate(items)
    )

    programs = tuple(_words(raw.get("programs")))
    origins = {one.get("associationType"): one.get("orderId") for one in raw.get("associatedOrders") or ()}
    replaces = next((_word(origins[kind]) for kind in _ORIGINALS if origins.get(kind)), None) or None
    ship_from, ship_by = _window(fulfillment, "shipByWindow")
    deliver_from, deliver_by = _window(fulfillment, "deliverByWindow")
    return IncomingOrder(
        number=number,
        created_at=_instant(raw, "createdTime"),
        updated_at=_instant(raw, "lastUpdatedTime"),
        marketplace=_word(sales.get("marketplaceId")),
        stage=STAGES.get(status, ChannelStage.UNKNOWN),
        status=status,
        fulfilled_by=FulfilledBy.CHANNEL if fulfillment.get("fulfilledBy") == "AMAZON" else FulfilledBy.MERCHANT,
        currency=purse.currency,
        total=total,
        lines=lines,
        amounts=own,
        packages=tuple(_package(one, index) for index, one in enumerate(raw.get("packages") or ())),
        # orders of other channels that Amazon only ships: the merchant sold them elsewhere
        is_sale=sales.get("channelName") != "NON_AMAZON" and not number.startswith("S01-"),
        ship_from=ship_from,
        ship_by=ship_by,
        deliver_from=deliver_from,
        deliver_by=deliver_by,
        service_level=_word(fulfillment.get("fulfillmentServiceLevel")),
        flags=tuple(_flags(programs, lines, origins)),
        programs=programs,
        payment_methods=_payment_methods(raw),
        replaces=replaces,
        missing=tuple(missing),
        buyer=_buyer(raw, items),
        raw=raw,
    )


# --- Lines ----------------------------------------------------------------------------------------------------------


def _line_proceeds(item: Mapping[str, Any], purse: Purse, index: int) -> Proceeds:
    proceeds = item.get("proceeds") or _NOTHING
    total = _money(purse, proceeds.get("proceedsTotal"), "orderItems[%d].proceeds.proceedsTotal", index)
    breakdowns = proceeds.get("breakdowns") or ()
    try:
        read = Proceeds(breakdowns, total, purse)
    except BadMoney as error:
        raise _Unreadable(f"orderItems[{index}].proceeds.breakdowns", str(error)) from None
    if total and not breakdowns:
        read = Proceeds([{"type": "ITEM", "subtotal": proceeds["proceedsTotal"]}], total, purse)
    return read


def _line(item: Mapping[str, Any], total: int | None, amounts: Any, purse: Purse, index: int) -> IncomingLine:
    product = item.get("product") or _NOTHING
    fulfillment = item.get("fulfillment") or _NOTHING
    cancellation = item.get("cancellation") or _NOTHING
    execution = cancellation.get("cancellationExecution") or _NOTHING
    request = cancellation.get("cancellationRequest")
    condition = product.get("condition") or _NOTHING
    gift = (fulfillment.get("packing") or _NOTHING).get("giftOption")
    shipping = fulfillment.get("shipping") or _NOTHING
    constraints = shipping.get("shippingConstraints") or _NOTHING
    programs = tuple(_words(item.get("programs")))
    tax = item.get("tax") or _NOTHING
    ioss_number = _word((shipping.get("internationalShipping") or _NOTHING).get("iossNumber"))
    promotions = (item.get("promotion") or _NOTHING).get("breakdowns") or ()
    unit_price = (product.get("price") or _NOTHING).get("unitPrice")
    return IncomingLine(
        number=_text(item, "orderItemId", "orderItems[%d].orderItemId", index),
        ordered=_count(item, "quantityOrdered", "orderItems[%d].quantityOrdered", index),
        fulfilled=_count(fulfillment, "quantityFulfilled", "orderItems[%d].fulfillment.quantityFulfilled", index, 0),
        unfulfilled=_count(
            fulfillment, "quantityUnfulfilled", "orderItems[%d].fulfillment.quantityUnfulfilled", index, None
        ),
        sku=_word(product.get("sellerSku")),
        product_code=_word(product.get("asin")),
        title=_word(product.get("title")),
        condition=" ".join(_words(dict.fromkeys((condition.get("conditionType"), condition.get("conditionSubtype"))))),
        unit_price=_money(purse, unit_price, "orderItems[%d].product.price.unitPrice", index),
        total=total,
        amounts=amounts,
        programs=programs + tuple(word for name, word in _CONSTRAINTS.items() if name in constraints)
        if constraints
        else programs,
        promotions=tuple(_words(one.get("promotionId") for one in promotions)) if promotions else (),
        needs_codes="TRANSPARENCY" in programs,
        gift=bool(gift),
        cancel_requested=request is not None,
        cancel_reason=_word((request or _NOTHING).get("cancelReason")) or _word(execution.get("cancelReason")),
        canceled_by=_word(execution.get("cancelledBy")),
        tax_scheme=_tax_scheme(tax) or (TaxScheme.IMPORT if ioss_number else ""),
        ioss_number=ioss_number,
        tax_paid_by=_tax_paid_by(tax),
    )


def _tax_scheme(tax: Mapping[str, Any]) -> str:
    """The first scheme that Amazon names and the desk knows."""
    told = (one.get("reportingScheme") for one in tax.get("taxCalculationBreakdowns") or ())
    return next((_SCHEMES[scheme] for scheme in told if scheme in _SCHEMES), "")


def _tax_paid_by(tax: Mapping[str, Any]) -> str:
    """Who withholds the tax of a line and remits it on behalf of the seller; empty: the seller does."""
    by_amazon = (one for one in tax.get("taxCollections") or () if one.get("model") == "MARKETPLACE_FACILITATOR")
    return next((_word(one.get("responsibleParty")) or "Amazon" for one in by_amazon), "")


def _package(raw: Mapping[str, Any], index: int) -> IncomingPackage:
    lines: dict[str, int] = {}
    for item in raw.get("packageItems") or ():
        line = _text(item, "orderItemId", "packages[%d].packageItems.orderItemId", index)
        lines[line] = lines.get(line, 0) + _count(item, "quantity", "packages[%d].packageItems.quantity", index)
    status = _word((raw.get("packageStatus") or _NOTHING).get("status"))
    return IncomingPackage(
        number=_text(raw, "packageReferenceId", "packages[%d].packageReferenceId", index),
        lines=lines,
        carrier=_word(raw.get("carrier")),
        service=_word(raw.get("shippingService")),
        tracking_number="".join(_word(raw.get("trackingNumber")).split()),  # others confirm it with a label's spaces
        shipped_at=_instant(raw, "shipTime", "packages[%d].shipTime", index) if raw.get("shipTime") else None,
        status=status,
        delivered=status == "DELIVERED",
    )


def _flags(programs: Sequence[str], lines: Sequence[IncomingLine], origins: Mapping[Any, Any]) -> Iterable[str]:
    words = dict.fromkeys(_FLAGS[program] for program in programs if program in _FLAGS)
    for line in lines:
        words.update(dict.fromkeys(_FLAGS[program] for program in line.programs if program in _FLAGS))
    if any(line.gift for line in lines):
        words["gift"] = None
    words.update(dict.fromkeys(flag for kind, flag in _ORIGINALS.items() if kind in origins))
    return words


def _payment_methods(raw: Mapping[str, Any]) -> tuple[str, ...]:
    executions = (raw.get("payment") or _NOTHING).get("paymentExecutions") or ()
    return tuple(_words(dict.fromkeys(one.get("paymentMethod") for one in executions)))


# --- The buyer: everything personal, and only here ------------------------------------------------------------------


def _buyer(raw: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    their_buyer = raw.get("buyer") or _NOTHING
    recipient = raw.get("recipient") or _NOTHING
    buyer: dict[str, Any] = {name: word for name, theirs in _BUYER.items() if (word := _word(their_buyer.get(theirs)))}
    registrations = (raw.get("tax") or _NOTHING).get("taxRegistrations") or ()
    numbers = (one.get("taxRegistrationNumber") for one in registrations if one.get("entityType") == "BUYER")
    if vat_number := next(iter(_words(numbers)), ""):
        buyer["vat_number"] = vat_number
    if address := _address(recipient.get("deliveryAddress") or _NOTHING):
        buyer["address"] = address
    if preference := recipient.get("deliveryPreference"):
        parts = [preference.get("dropOffLocation"), preference.get("addressInstruction")]
        if instructions := "\n".join(_words([*parts, *(preference.get("deliveryCapabilities") or ())])):
            buyer["instructions"] = instructions
    messages, customizations = {}, {}
    for item in items:
        gift = ((item.get("fulfillment") or _NOTHING).get("packing") or _NOTHING).get("giftOption")
        if gift and (message := _word(gift.get("giftMessage"))):
            messages[item["orderItemId"]] = message
        customization = (item.get("product") or _NOTHING).get("customization")
        if customization and (url := _word(customization.get("customizedUrl"))):
            customizations[item["orderItemId"]] = url
    if messages:
        buyer["gift_messages"] = messages
    if customizations:
        buyer["customizations"] = customizations
    return buyer


def _address(given: Mapping[str, Any]) -> dict[str, str]:
    address = {name: word for name, theirs in _ADDRESS.items() if (word := _word(given.get(theirs)))}
    extended = given.get("extendedFields") or _NOTHING
    if extended:  # Brazil: the parts of the street, beside or instead of the lines
        street = " ".join(_words([extended.get("streetName"), extended.get("streetNumber")]))
        parts = {
            "line1": street,
            "line2": _word(extended.get("complement")),
            "district": _word(extended.get("neighborhood")),
        }
        address = {name: part for name, part in parts.items() if part} | address
    if municipality := _word(given.get("municipality")):
        address.setdefault("district" if "city" in address else "city", municipality)
    return address


# --- Small readers --------------------------------------------------------------------------------------------------


def _word(value: Any) -> str:
    """A text that any database can store; empty if the value is no text."""
    if not isinstance(value, str):
        return ""
    return value if value.isprintable() else _clean(value)


def _clean(value: str) -> str:
    """The text without NUL, which PostgreSQL refuses, and without halves of characters, which no file can hold."""
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def _words(values: Iterable[Any] | None) -> Iterable[str]:
    return filter(None, map(_word, values or ()))


def _text(raw: Mapping[str, Any], name: str, field: str = "", index: int = 0) -> str:
    value = raw.get(name)
    if isinstance(value, str) and (text := _word(value)):
        return text
    raise _Unreadable(_field(field or name, index), "missing" if not value else "not_text")


def _count(raw: Mapping[str, Any], name: str, field: str, index: int, *absent: int | None) -> Any:
    value = raw.get(name)
    if value is None and absent:
        return absent[0]
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Unreadable(_field(field, index), "missing" if value is None else "not_whole")
    if not 0 <= value <= MOST:
        raise _Unreadable(_field(field, index), "negative" if value < 0 else "too_many")
    return value


def _instant(raw: Mapping[str, Any], name: str, field: str = "", index: int = 0) -> datetime:
    value = raw.get(name)
    if isinstance(value, str):
        try:
            return parse_instant(value)
        except ValueError:
            pass
        except OverflowError:  # its offset leads beyond the calendar: “never”, for which the desk has this year
            return datetime.max.replace(tzinfo=UTC)
    raise _Unreadable(_field(field or name, index), "not_a_time" if value else "missing")


def _field(field: str, index: int) -> str:
    return field.replace("%d", str(index))


def _window(fulfillment: Mapping[str, Any], name: str) -> tuple[datetime | None, datetime | None]:
    window = fulfillment.get(name) or _NOTHING
    earliest, latest = (
        _instant(window, end, f"fulfillment.{name}.{end}") if window.get(end) else None
        for end in ("earliestDateTime", "latestDateTime")
    )
    return earliest, latest


def _money(purse: Purse, money: Any, field: str, index: int = 0) -> int | None:
    try:
        return purse.minor(money)
    except BadMoney as error:
        raise _Unreadable(_field(field, index), str(error)) from None
