"""What Amazon's accounts say, read tolerantly, and over HTTP from a practice Amazon."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from plugins.amazon import finances
from plugins.amazon.channel import AmazonChannel
from plugins.amazon.client import LIST_TRANSACTIONS
from plugins.amazon.errors import AccessDenied, Unintelligible
from plugins.amazon.practice import PracticeClient
from webapp.api import (
    Adjustment,
    Component,
    IncomingTransaction,
    PageRefused,
    StoreAccess,
    Throttled,
    TransactionKind,
    TransactionPart,
    TransactionsWindow,
    now,
)

ITEM, SHIPPING = Component.ITEM, Component.SHIPPING
Json = dict[str, Any]


def net(part: TransactionPart) -> int:
    """What the buyer pays for the part, or gets back."""
    return part.charged + part.tax - part.discount


def money(amount: Any, currency: str = "EUR") -> Json:
    return {"currencyAmount": amount, "currencyCode": currency}


def charge(name: str, amount: Any, *details: Json, currency: str = "EUR") -> Json:
    return {"breakdownType": name, "breakdownAmount": money(amount, currency), "breakdowns": list(details) or None}


def transaction(*items: Json, **changes: Any) -> Json:
    return {
        "transactionId": "T-1",
        "transactionType": "Refund",
        "transactionStatus": "RELEASED",
        "description": "Refund Order",
        "postedDate": "2026-11-20T10:00:00Z",
        "totalAmount": money(-8.5),
        "marketplaceDetails": {"marketplaceId": "A1PA6795UKMFR9"},
        "relatedIdentifiers": [
            {"relatedIdentifierName": "ORDER_ID", "relatedIdentifierValue": "302-0000001-0000001"},
            {"relatedIdentifierName": "REFUND_ID", "relatedIdentifierValue": "5"},
        ],
        "items": list(items),
    } | changes


def item(*breakdowns: Json, sku: Any = "MUG", units: Any = 1) -> Json:
    context = {"contextType": "ProductContext", "sku": sku, "quantityShipped": units, "asin": "B0"}
    adjustment = {
        "itemRelatedIdentifierName": "ORDER_ADJUSTMENT_ITEM_ID",
        "itemRelatedIdentifierValue": "6226957701205",
    }
    return {"breakdowns": list(breakdowns), "contexts": [context], "relatedIdentifiers": [adjustment]}


REFUNDED = item(
    charge("Tax", -1.6, charge("OurPriceTax", -1.6)),
    charge("ProductCharges", -8.4, charge("OurPricePrincipal", -8.4)),
    charge("PromoRebates", 0.5, charge("OurPriceDiscount", 0.5)),
    charge("AmazonFees", 1.0, charge("Commission", 1.5, charge("Base", 1.5)), charge("RefundCommission", -0.5)),
)


def read(raw: Any) -> IncomingTransaction:
    found = finances.read_transaction(raw)
    assert found is not None
    return found


def test_a_refund_is_read_by_component_with_its_fees() -> None:
    one = read(transaction(REFUNDED))
    assert (one.number, one.kind, one.word, one.status) == ("T-1", TransactionKind.REFUND, "Refund", "RELEASED")
    assert (one.total, one.fees, one.currency) == (-850, 100, "EUR")
    assert (one.order_number, one.marketplace) == ("302-0000001-0000001", "A1PA6795UKMFR9")
    [part] = one.parts
    assert (part.line, part.sku, part.component, part.units) == ("", "MUG", ITEM, 1)
    assert (part.charged, part.tax, part.discount, net(part)) == (-840, -160, -50, -950)
    assert sum(net(part) for part in one.parts) + one.fees == one.total


@pytest.mark.parametrize(
    ("type_", "description", "kind"),
    [
        ("Shipment", "Order Payment", TransactionKind.PAYMENT),
        ("Refund", "Refund Order", TransactionKind.REFUND),
        ("Refund", "Chargeback Refund", TransactionKind.CHARGEBACK),
        ("Chargeback", None, TransactionKind.CHARGEBACK),
        ("GuaranteeClaim", "", TransactionKind.CLAIM),
        ("A-to-z Guarantee Claim", "", TransactionKind.CLAIM),
        ("ServiceFee", "Subscription", TransactionKind.OTHER),
        ("Tomorrow'sType", None, TransactionKind.OTHER),
        (None, None, TransactionKind.OTHER),
        (5, [], TransactionKind.OTHER),
    ],
)
def test_kinds(type_: Any, description: Any, kind: TransactionKind) -> None:
    assert read(transaction(REFUNDED, transactionType=type_, description=description)).kind is kind


def test_a_release_repeats_what_was_deferred_and_is_no_second_refund() -> None:
    held = {"relatedIdentifierName": "DEFERRED_TRANSACTION_ID", "relatedIdentifierValue": "T-1"}
    raw = transaction(REFUNDED, transactionId="T-2")
    raw["relatedIdentifiers"] = [*raw["relatedIdentifiers"], held]
    assert read(raw).kind is TransactionKind.OTHER
    for status in ("DEFERRED", "DEFERRED_RELEASED"):
        one = read(transaction(REFUNDED, transactionStatus=status))
        assert (one.kind, one.status) == (TransactionKind.REFUND, status)


def test_a_refund_that_costs_the_seller_nothing_is_amazons() -> None:
    paid_back = item(charge("ProductCharges", -8.4, charge("OurPricePrincipal", -8.4)), charge("Reimbursement", 8.4))
    assert read(transaction(paid_back, totalAmount=money(0))).kind is TransactionKind.FUNDED
    tax = item(charge("Tax", -1.6, charge("OurPriceTax", -1.6)), charge("MarketplaceFacilitatorTax-Principal", 1.6))
    assert read(transaction(tax, totalAmount=money(0))).kind is TransactionKind.REFUND


def test_restocking_goodwill_and_tax_that_amazon_withholds() -> None:
    raw = item(
        charge(
            "ProductCharges",
            0,
            charge("OurPricePrincipal", -20),
            charge("RestockingDeductionPrincipal", 4),
            charge("RestockingDeductionTax", 0.28),
            charge("GoodwillPrincipal", -1.5),
        ),
        charge("Tax", -1.6, charge("OurPriceTax", -1.6), charge("MarketplaceFacilitatorTax-Principal", 1.6)),
        charge("Shipping", -3, charge("ShippingPrincipal", -3), charge("ShippingDiscount", 3)),
        charge("GiftWrap", -2),
    )
    one = read(transaction(raw))
    found = {part.component: (part.charged, part.tax, part.discount) for part in one.parts}
    assert found == {
        ITEM: (-2000, -160, 0),
        Adjustment.FEE: (400, 28, 0),
        Adjustment.REFUND: (-150, 0, 0),
        SHIPPING: (-300, 0, -300),
        Component.GIFT_WRAP: (-200, 0, 0),
    }
    assert one.fees == 160


def test_without_details_of_items_those_of_the_transaction_count() -> None:
    summary = [
        charge("Sales", 6.84, charge("AmazonFees", 6.84)),
        charge("Expenses", -57.01, charge("ProductCharges", -57.01)),
    ]
    one = read(transaction({"breakdowns": None, "contexts": []}, breakdowns=summary, totalAmount=money(-50.17)))
    [part] = one.parts
    assert (part.sku, part.component, part.charged, one.fees) == ("", ITEM, -5701, 684)


def test_lines_of_one_sku_and_blank_skus() -> None:
    one = read(
        transaction(
            REFUNDED,
            REFUNDED,
            item(charge("ProductCharges", -1), sku=" "),
            item(charge("ProductCharges", -2), sku=None),
        )
    )
    assert [(part.sku, part.units, part.charged) for part in one.parts] == [("MUG", 2, -1680), ("", 2, -300)]


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
def test_decimals_are_those_of_the_currency(currency: str) -> None:
    raw = item(charge("ProductCharges", 1234, charge("OurPricePrincipal", 1234, currency=currency), currency=currency))
    one = read(transaction(raw, totalAmount=money(1234, currency), transactionType="Shipment"))
    assert one.parts[0].charged == one.total == (1234 if currency == "JPY" else 1234000)


@pytest.mark.parametrize("amount", [None, "much", float("nan"), float("inf"), 1e300, True, [], {}])
def test_bad_money_leaves_the_parts_out_and_keeps_the_transaction(amount: Any) -> None:
    one = read(transaction(REFUNDED, item(charge("ProductCharges", amount))))
    assert (one.parts, one.fees, one.total) == ((), 0, -850)
    without = read(transaction(REFUNDED, totalAmount=money(amount)))
    assert (without.total, without.kind, len(without.parts)) == (0, TransactionKind.REFUND, 1)


def test_a_second_currency_leaves_the_parts_out_and_a_missing_one_is_the_marketplaces() -> None:
    assert read(transaction(item(charge("ProductCharges", -1, currency="USD")))).parts == ()
    one = read(transaction(REFUNDED, totalAmount=None))
    assert (one.currency, one.total, len(one.parts)) == ("EUR", 0, 1)
    assert read(transaction(totalAmount=None, marketplaceDetails=None)).currency == "XXX"


def test_without_an_id_the_content_is_the_number_whatever_the_status() -> None:
    first, later = (read(transaction(REFUNDED, transactionId=None, transactionStatus=one)) for one in ("DEFERRED", "X"))
    assert first.number == later.number != read(transaction(transactionId=" ")).number


@pytest.mark.parametrize("raw", [None, [], "x", {}, {"postedDate": "soon"}, {"postedDate": None}])
def test_what_has_no_time_is_left_out(raw: Any) -> None:
    assert finances.read_transaction(raw) is None


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_NAMES = ("transactionId", "transactionType", "transactionStatus", "description", "totalAmount", "items", "breakdowns")
_MORE = ("marketplaceDetails", "sellingPartnerMetadata", "relatedIdentifiers", "contexts")


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from((*_NAMES, *_MORE)), _json), st.lists(_json, max_size=2), _json)
def test_any_transaction_with_a_time_is_kept_or_left_out_and_never_fails(
    changes: Json, breakdowns: list[Any], amount: Any
) -> None:
    broken = item(charge("ProductCharges", amount), *breakdowns)
    for raw in (transaction(REFUNDED, **changes), transaction(broken), transaction(broken, breakdowns=breakdowns)):
        one = finances.read_transaction(raw)
        if one is not None:
            assert one.number
            assert len(one.currency) == 3
            assert all(abs(net(part)) < 10**17 for part in one.parts)


# --- Over HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture
def placed(amazon: PracticeClient) -> Json:
    return amazon.place(marketplace="US", status="SHIPPED", lines=2, quantity=2)


def window(placed: Json) -> TransactionsWindow:
    return TransactionsWindow(now(), order_number=placed["order_id"])


def test_an_order_is_paid_and_refunded(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json
) -> None:
    amazon.refund_elsewhere(placed["order_id"], share=0.5)
    page = channel.fetch_transactions(store, window(placed))
    assert page.next_page is None
    found = {one.kind: one for one in page.transactions}
    assert set(found) == {TransactionKind.PAYMENT, TransactionKind.REFUND}
    [booked] = amazon.refunds(placed["order_id"])
    refund = found[TransactionKind.REFUND]
    assert -sum(net(part) for part in refund.parts) == booked["total"]
    assert sum(net(part) for part in refund.parts) + refund.fees == refund.total
    assert {part.sku for part in refund.parts} <= {item["sku"] for item in placed["items"]}
    order: Any = channel.fetch_order(store, placed["order_id"])
    assert sum(net(part) for part in found[TransactionKind.PAYMENT].parts) == pytest.approx(order.total, abs=6)
    assert page.bound is not None
    assert page.bound <= now() - timedelta(minutes=2)


@pytest.mark.parametrize(
    ("kind", "read_as"),
    [
        ("claim", TransactionKind.CLAIM),
        ("chargeback", TransactionKind.CHARGEBACK),
        ("funded", TransactionKind.FUNDED),
        ("elsewhere", TransactionKind.REFUND),
    ],
)
def test_other_ways_are_told_apart(
    channel: AmazonChannel,
    store: StoreAccess,
    amazon: PracticeClient,
    placed: Json,
    kind: str,
    read_as: TransactionKind,
) -> None:
    amazon.refund_elsewhere(placed["order_id"], kind=kind)
    kinds = {one.kind for one in channel.fetch_transactions(store, window(placed)).transactions}
    assert kinds == {TransactionKind.PAYMENT, read_as}


def test_a_month_is_read_a_page_at_a_time(channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient) -> None:
    asked, found, token, pages = now() - timedelta(days=31), list[str](), None, 0
    while pages == 0 or token:
        page = channel.fetch_transactions(store, TransactionsWindow(asked, token))
        found += [one.number for one in page.transactions]
        token, pages = page.next_page, pages + 1
    assert pages > 1
    assert len(found) == len(set(found)) > 50
    assert {call["status"] for call in amazon.calls("listTransactions")} == {200}
    ends = {
        (call["params"]["postedAfter"], call["params"]["postedBefore"]) for call in amazon.calls("listTransactions")
    }
    assert len(ends) == 1  # whatever the clock says meanwhile


def test_a_window_of_more_than_180_days_ends_early(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient
) -> None:
    low = now() - timedelta(days=400)
    bound = channel.fetch_transactions(store, TransactionsWindow(low)).bound
    assert bound is not None
    assert timedelta(days=179) < bound - low <= timedelta(days=180)
    just_now = channel.fetch_transactions(store, TransactionsWindow(now()))
    assert just_now.transactions == []


def test_a_spoiled_page_token_is_refused(channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient) -> None:
    low = now() - timedelta(days=31)
    token = channel.fetch_transactions(store, TransactionsWindow(low)).next_page
    assert token is not None
    changed = json.dumps(json.loads(token) | {"nextToken": "made up"})
    for bad in ("x", "[]", "{}", changed):
        with pytest.raises(PageRefused):
            channel.fetch_transactions(store, TransactionsWindow(low, bad))


def test_a_missing_role_denies_this_and_nothing_else(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json
) -> None:
    amazon.settings(lacks_finance=True)
    with pytest.raises(AccessDenied) as raised:
        channel.fetch_transactions(store, window(placed))
    assert raised.value.denial.name == LIST_TRANSACTIONS.name
    assert str(channel.denied_label(raised.value.denial)) == "Reading transactions"
    assert channel.fetch_order(store, placed["order_id"]) is not None


def test_a_deferred_refund_counts_once(
    channel: AmazonChannel, make_store: Callable[..., StoreAccess], amazon: PracticeClient
) -> None:
    placed = amazon.place(marketplace="DE", status="SHIPPED", placed_ago=3600)
    amazon.settings(deferred=1)
    amazon.refund_elsewhere(placed["order_id"])
    found = channel.fetch_transactions(make_store("eu"), window(placed)).transactions
    assert [one.kind for one in found].count(TransactionKind.REFUND) == 1
    assert [one.kind for one in found].count(TransactionKind.OTHER) == 2


def test_half_an_answer_and_an_empty_bucket(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json
) -> None:
    amazon.fault("listTransactions", "garbage")
    with pytest.raises(Unintelligible):
        channel.fetch_transactions(store, window(placed))
    amazon.fault("listTransactions", "429")
    with pytest.raises(Throttled):
        channel.fetch_transactions(store, window(placed))
