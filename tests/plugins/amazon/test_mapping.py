"""Amazon's orders in the desk's words, from dicts alone: what may be absent, odd or new."""

import copy
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from plugins.amazon.mapping import order_2026, read_order
from plugins.amazon.money import paid
from webapp.api import (
    BUYER_FIELDS,
    ChannelStage,
    Component,
    FulfilledBy,
    IncomingAmount,
    IncomingOrder,
    UnreadableOrder,
)

BARE: dict[str, Any] = {
    "orderId": "111-0000001-0000002",
    "createdTime": "2026-11-01T10:00:00Z",
    "lastUpdatedTime": "2026-11-02T10:00:00.123Z",
    "salesChannel": {"channelName": "AMAZON", "marketplaceId": "ATVPDKIKX0DER"},
    "orderItems": [{"orderItemId": "00000000000017", "quantityOrdered": 2, "product": {}}],
}


def money(amount: str, currency: str = "USD") -> dict[str, str]:
    return {"amount": amount, "currencyCode": currency}


def order_with(item: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    raw = copy.deepcopy(BARE) | parts
    raw["orderItems"][0] |= item or {}
    return raw


def with_proceeds(total: str | None, *breakdowns: tuple[Any, ...], currency: str = "USD") -> dict[str, Any]:
    """An order of one line with these (type, subtotal, details)."""
    parts = []
    for kind, subtotal, *details in breakdowns:
        part = {"type": kind, "subtotal": money(subtotal, currency)}
        if details:
            part["detailedBreakdowns"] = [{"subtype": n, "value": money(v, currency)} for n, v in details[0].items()]
        parts.append(part)
    proceeds: dict[str, Any] = {"breakdowns": parts}
    if total is not None:
        proceeds["proceedsTotal"] = money(total, currency)
    return order_with({"proceeds": proceeds}, proceeds={"grandTotal": money(total, currency)} if total else {})


def amounts_of(raw: dict[str, Any]) -> dict[Component, tuple[int, int, int]]:
    [line] = order_2026(raw).lines
    return {amount.component: (amount.charged, amount.tax, amount.discount) for amount in line.amounts}


def test_an_order_of_which_amazon_tells_almost_nothing() -> None:
    order = order_2026(BARE)

    assert order.created_at == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert order.updated_at.microsecond == 123_000
    assert (order.stage, order.status, order.total, order.currency) == (ChannelStage.UNKNOWN, "", None, None)
    assert (order.buyer, order.amounts, order.packages, order.flags) == ({}, (), (), ())
    [line] = order.lines
    assert (line.number, line.ordered, line.fulfilled, line.unfulfilled) == ("00000000000017", 2, 0, None)
    assert (line.unit_price, line.total, line.amounts, line.sku) == (None, None, (), "")


def test_an_order_of_brazil_with_all_there_is() -> None:
    raw = order_with(
        {
            "programs": ["TRANSPARENCY", "SUBSCRIBE_AND_SAVE", "NEW_ONE"],
            "product": {
                "asin": "B0TEST0001",
                "title": "Caneca",
                "sellerSku": "CANECA/1",
                "condition": {"conditionType": "USED", "conditionSubtype": "GOOD"},
                "price": {"unitPrice": money("12.345", "BRL"), "priceDesignation": "BUSINESS_PRICE"},
                "customization": {"customizedUrl": "https://example.com/zip"},
            },
            "promotion": {"breakdowns": [{"promotionId": "P1"}, {}]},
            "cancellation": {
                "cancellationRequest": {"requester": "BUYER", "cancelReason": "Errado"},
                "cancellationExecution": {"cancelledBy": "MERCHANT", "cancelReason": "BuyerCanceled"},
            },
            "fulfillment": {
                "quantityFulfilled": 1,
                "quantityUnfulfilled": 1,
                "packing": {"giftOption": {"giftMessage": "Parabéns", "giftWrapLevel": "X"}},
                "shipping": {
                    "shippingConstraints": {"signatureConfirmation": "MANDATORY"},
                    "internationalShipping": {"iossNumber": "IM3720000224"},
                },
            },
            "tax": {
                "taxCalculationBreakdowns": [{"reportingScheme": "NEW_ONE"}, {"reportingScheme": "IOSS"}],
                "taxCollections": [{"model": "MARKETPLACE_FACILITATOR", "responsibleParty": "Amazon Services"}],
            },
        },
        tax={
            "taxRegistrations": [
                {"entityType": "MERCHANT", "taxRegistrationNumber": "DE1"},
                {"entityType": "BUYER", "taxRegistrationType": "CNPJ", "taxRegistrationNumber": "BR2"},
            ]
        },
        programs=["DELIVERY_BY_AMAZON", "AMAZON_EASY_SHIP", "PREORDER", "IN_STORE_PICK_UP", "INVOICE_BY_AMAZON"],
        associatedOrders=[{"orderId": "111-0000009-0000009", "associationType": "EXCHANGE_ORIGINAL_ID"}],
        buyer={"buyerName": "Ana", "buyerEmail": "a@x", "buyerCompanyName": "Cia", "buyerPurchaseOrderNumber": "PO"},
        recipient={
            "deliveryAddress": {
                "name": "Ana",
                "addressLine1": "",
                "municipality": "Campinas",
                "postalCode": "13000",
                "countryCode": "BR",
                "extendedFields": {"streetName": "Rua A", "streetNumber": "7", "complement": "Ap 3"},
            },
            "deliveryPreference": {
                "dropOffLocation": "Porta",
                "addressInstruction": "Campainha",
                "deliveryCapabilities": ["HAS_ACCESS_POINT"],
            },
        },
        payment={"paymentExecutions": [{"paymentMethod": "Pix"}, {"paymentMethod": "Pix"}, {"acquirerId": "1"}]},
        fulfillment={
            "fulfillmentStatus": "PARTIALLY_SHIPPED",
            "fulfilledBy": "MERCHANT",
            "fulfillmentServiceLevel": "NEXT_DAY",
            "shipByWindow": {"latestDateTime": "2026-11-03T23:59:59Z"},
        },
        packages=[
            {
                "packageReferenceId": "1",
                "carrier": "Correios",
                "shipTime": "2026-11-02T09:00:00Z",
                "packageStatus": {"status": "IN_TRANSIT"},
                "packageItems": [
                    {"orderItemId": "00000000000017", "quantity": 1},
                    {"orderItemId": "00000000000017", "quantity": 1},
                ],
            }
        ],
    )

    order = order_2026(raw)

    [line] = order.lines
    assert (line.unit_price, line.condition, line.promotions) == (1235, "USED GOOD", ("P1",))
    assert (line.needs_codes, line.gift, line.canceled_by, line.cancel_reason) == (True, True, "MERCHANT", "Errado")
    assert {"NEW_ONE", "SIGNATURE_CONFIRMATION"} <= set(line.programs)
    assert set(order.flags) == {
        "delivery_by_channel", "easy_ship", "preorder", "pickup", "invoice_by_channel", "subscribe_and_save", "gift",
        "exchange",
    }  # fmt: skip
    assert (order.replaces, order.payment_methods) == ("111-0000009-0000009", ("Pix",))
    assert (order.ship_from, order.ship_by) == (None, datetime(2026, 11, 3, 23, 59, 59, tzinfo=UTC))
    assert order.stage is ChannelStage.OPEN
    assert set(order.buyer) == set(BUYER_FIELDS)
    assert order.buyer["vat_number"] == "BR2"
    assert (line.tax_scheme, line.ioss_number, line.tax_paid_by) == ("import_oss", "IM3720000224", "Amazon Services")
    assert order.buyer["instructions"] == "Porta\nCampainha\nHAS_ACCESS_POINT"
    assert order.buyer["address"] == {
        "name": "Ana", "line1": "Rua A 7", "line2": "Ap 3", "city": "Campinas", "postal_code": "13000", "country": "BR",
    }  # fmt: skip
    [package] = order.packages
    assert (package.lines, package.status, package.tracking_number) == ({"00000000000017": 2}, "IN_TRANSIT", "")


@pytest.mark.parametrize(
    ("word", "stage"),
    [
        ("PENDING_AVAILABILITY", ChannelStage.AWAITING_PAYMENT),
        ("PENDING", ChannelStage.AWAITING_PAYMENT),
        ("UNSHIPPED", ChannelStage.OPEN),
        ("SHIPPED", ChannelStage.SHIPPED),
        ("CANCELLED", ChannelStage.CANCELED),
        ("UNFULFILLABLE", ChannelStage.UNKNOWN),
        ("NEVER_HEARD", ChannelStage.UNKNOWN),
    ],
)
def test_every_status_has_a_stage_and_keeps_its_word(word: str, stage: ChannelStage) -> None:
    order = order_2026(order_with(fulfillment={"fulfillmentStatus": word, "fulfilledBy": "AMAZON"}))
    assert (order.stage, order.status, order.fulfilled_by) == (stage, word, FulfilledBy.CHANNEL)


def test_a_tracking_number_is_read_without_the_spaces_of_its_label() -> None:
    listed = {"packageReferenceId": "1", "trackingNumber": "94001 1189\u00a09223 39"}
    [package] = order_2026(order_with(packages=[listed])).packages
    assert package.tracking_number == "940011189922339"


def test_tax_beside_the_price_and_discounts_by_component() -> None:
    raw = with_proceeds(
        "24.20",
        ("ITEM", "20.00"),
        ("SHIPPING", "5.00"),
        ("TAX", "2.20", {"ITEM": "2.00", "SHIPPING": "0.50", "DISCOUNT": "-0.30"}),
        ("DISCOUNT", "-3.00", {"ITEM": "-2.00", "SHIPPING": "-1.00"}),
    )
    assert amounts_of(raw) == {Component.ITEM: (2000, 170, 200), Component.SHIPPING: (500, 50, 100)}


def test_tax_within_the_price_is_taken_out_of_it() -> None:
    raw = with_proceeds("11.90", ("ITEM", "11.90"), ("TAX", "1.90"), currency="EUR")
    assert amounts_of(raw) == {Component.ITEM: (1000, 190, 0)}


def test_the_sign_of_a_discount_does_not_matter_nor_whether_it_is_off_already() -> None:
    assert amounts_of(with_proceeds("9.00", ("ITEM", "10.00"), ("DISCOUNT", "1.00"))) == {
        Component.ITEM: (1000, 0, 100)
    }
    assert amounts_of(with_proceeds("9.00", ("ITEM", "9.00"), ("DISCOUNT", "-1.00"))) == {
        Component.ITEM: (1000, 0, 100)
    }


def test_a_tax_told_with_a_share_on_the_discount_adds_up() -> None:
    raw = with_proceeds(
        "106.60",
        ("ITEM", "80.00"),
        ("SHIPPING", "10.00"),
        ("GIFT_WRAP", "4.00"),
        ("DISCOUNT", "6.00", {"ITEM": "4.00", "SHIPPING": "2.00"}),
        ("TAX", "18.60", {"ITEM": "16.00", "SHIPPING": "2.00", "DISCOUNT": "1.20", "GIFT_WRAP": "0.60"}),
    )
    assert amounts_of(raw) == {
        Component.ITEM: (8000, 1600, 400),
        Component.SHIPPING: (1000, 200, 200),
        Component.GIFT_WRAP: (400, 60, 0),
    }
    order = order_2026(raw)
    assert paid(order.lines[0].amounts) == order.total == 10660


def test_yen_have_no_decimals_and_new_words_are_other() -> None:
    raw = with_proceeds("1650", ("ITEM", "1500"), ("SOMETHING_NEW", "150"), currency="JPY")
    assert amounts_of(raw) == {Component.ITEM: (1500, 0, 0), Component.OTHER: (150, 0, 0)}


def test_what_never_adds_up_is_kept_as_it_was_told() -> None:
    raw = with_proceeds("99.99", ("ITEM", "10.00"), ("TAX", "1.00"))
    assert amounts_of(raw) == {Component.ITEM: (1000, 100, 0)}
    assert order_2026(raw).total == 9999


def test_a_tip_and_a_fee_that_only_the_order_tells() -> None:
    raw = with_proceeds("10.00", ("ITEM", "10.00"))
    raw["proceeds"] = {
        "grandTotal": money("15.00"),
        "breakdowns": [
            {"type": "ITEM", "subtotal": money("10.00")},
            {"type": "OTHER", "subtotal": money("2.00")},
            {"type": "DELIVERY_TIP", "subtotal": money("3.00"), "status": "FINALIZED"},
        ],
    }
    assert order_2026(raw).amounts == (
        IncomingAmount(Component.TIP, 300),
        IncomingAmount(Component.OTHER, 200),
    )
    raw["proceeds"]["grandTotal"] = money("13.00")  # the fee is already in somewhere: only the tip is sure
    assert order_2026(raw).amounts == (IncomingAmount(Component.TIP, 300),)


def test_an_order_that_only_tells_its_totals() -> None:
    raw = order_with(
        proceeds={
            "grandTotal": money("12.00"),
            "breakdowns": [{"type": "ITEM", "subtotal": money("10.00")}, {"type": "TAX", "subtotal": money("2.00")}],
        }
    )
    order = order_2026(raw)
    assert order.amounts == (IncomingAmount(Component.ITEM, 1000, 200),)
    assert order.lines[0].amounts == ()


cents = st.integers(0, 10**7)


@given(
    item=cents, shipping=cents, tax=cents, shipping_tax=cents, discount=st.integers(0, 500),
    included=st.booleans(), net=st.booleans(), negative=st.booleans(), yen=st.booleans(),
)  # fmt: skip
def test_what_is_paid_always_adds_up_to_the_total(
    item: int, shipping: int, tax: int, shipping_tax: int, discount: int, *, included: bool, net: bool, negative: bool,
    yen: bool,
) -> None:  # fmt: skip
    total = item + shipping + (0 if included else tax + shipping_tax) - (0 if net else discount)

    def text(minor: int) -> str:
        return str(minor) if yen else f"{minor / 100:.2f}"

    raw = with_proceeds(
        text(total),
        ("ITEM", text(item)),
        ("SHIPPING", text(shipping)),
        ("TAX", text(tax + shipping_tax), {"ITEM": text(tax), "SHIPPING": text(shipping_tax)}),
        ("DISCOUNT", text(-discount if negative else discount)),
        currency="JPY" if yen else "USD",
    )
    order = order_2026(raw)

    assert order.total == total
    assert paid([*order.amounts, *order.lines[0].amounts]) == total
    assert all(amount.tax >= 0 and amount.discount >= 0 for amount in order.lines[0].amounts)


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ({"orderId": None}, "orderId"),
        ({"orderId": 17}, "orderId"),
        ({"createdTime": "yesterday"}, "createdTime"),
        ({"createdTime": "2026-11-01T10:00:00"}, "createdTime"),
        ({"lastUpdatedTime": None}, "lastUpdatedTime"),
        ({"orderItems": None}, "orderItems"),
        ({"orderItems": {}}, "orderItems"),
        ({"orderItems": [{"orderItemId": "1", "quantityOrdered": "2"}]}, "orderItems[0].quantityOrdered"),
        ({"orderItems": [{"orderItemId": "1", "quantityOrdered": -1}]}, "orderItems[0].quantityOrdered"),
        ({"orderItems": [{"orderItemId": "1", "quantityOrdered": 10**12}]}, "orderItems[0].quantityOrdered"),
        ({"orderItems": [{"quantityOrdered": 1}]}, "orderItems[0].orderItemId"),
        ({"proceeds": {"grandTotal": money("secret")}}, "proceeds.grandTotal"),
        ({"proceeds": {"grandTotal": money("1E+999999")}}, "proceeds.grandTotal"),
        ({"proceeds": {"grandTotal": money("NaN")}}, "proceeds.grandTotal"),
        ({"proceeds": {"grandTotal": money("1.00", "dollars")}}, "proceeds.grandTotal"),
        ({"proceeds": {"grandTotal": {"amount": "1.00"}}}, "proceeds.grandTotal"),
        ({"fulfillment": {"shipByWindow": {"latestDateTime": "soon"}}}, "fulfillment.shipByWindow.latestDateTime"),
        ({"packages": [{"packageReferenceId": ""}]}, "packages[0].packageReferenceId"),
        ({"salesChannel": "AMAZON"}, ""),
    ],
)
def test_what_cant_be_read_is_named_without_its_value(broken: dict[str, Any], field: str) -> None:
    raw = copy.deepcopy(BARE) | broken
    found = read_order(raw)

    assert isinstance(found, UnreadableOrder)
    assert found.field == field
    assert found.problem
    assert "secret" not in found.problem
    assert found.raw is raw


def test_a_time_that_an_offset_leads_out_of_the_calendar_is_never() -> None:
    window = {"earliestDateTime": "0001-01-01T00:00:00+14:00", "latestDateTime": "9999-12-31T23:59:59-05:00"}
    order = order_2026(copy.deepcopy(BARE) | {"fulfillment": {"shipByWindow": window}})
    assert order.ship_from == order.ship_by == datetime.max.replace(tzinfo=UTC)


def test_text_is_such_as_a_database_takes() -> None:
    order = order_2026(order_with({"product": {"title": "a\0b\ud800\nc", "sellerSku": 17, "asin": None}}))
    assert (order.lines[0].title, order.lines[0].sku) == ("ab?\nc", "")


def test_two_currencies_in_one_order_cant_be_read() -> None:
    raw = with_proceeds("1.00", ("ITEM", "1.00"))
    raw["orderItems"][0]["product"] = {"price": {"unitPrice": money("1.00", "EUR")}}
    found = read_order(raw)
    assert isinstance(found, UnreadableOrder)
    assert found.problem == "second_currency"


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(part=st.sampled_from([*sorted(BARE), "proceeds", "fulfillment", "packages", "buyer", "recipient", "payment"]),
       value=json_like)  # fmt: skip
def test_no_shape_of_an_answer_raises(part: str, value: Any) -> None:
    assert isinstance(read_order(copy.deepcopy(BARE) | {part: value}), IncomingOrder | UnreadableOrder)


@given(json_like)
def test_no_answer_at_all_raises(value: Any) -> None:
    assert isinstance(read_order(value), UnreadableOrder)


def test_mapping_keeps_ahead_of_any_import() -> None:
    raw = with_proceeds(
        "24.20", ("ITEM", "20.00"), ("SHIPPING", "5.00"), ("TAX", "2.20"), ("DISCOUNT", "-3.00"),
    )  # fmt: skip
    raw["orderItems"] *= 2
    started = time.process_time()
    for _ in range(500):
        read_order(raw)
    assert 500 / (time.process_time() - started) > 2_000


def test_nothing_needs_no_currency() -> None:
    order = order_2026(order_with(proceeds={"grandTotal": {"amount": "0.00"}}))
    assert (order.total, order.currency) == (0, None)
    for amount in ({"amount": "1.00"}, {"amount": "free"}, {"currencyCode": "USD"}, "0"):
        assert isinstance(read_order(order_with(proceeds={"grandTotal": amount})), UnreadableOrder)
