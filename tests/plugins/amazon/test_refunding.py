"""How a credit memo becomes components at Amazon, what can't be carried, and the message."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from plugins.amazon import refunding
from plugins.amazon.channel import AmazonChannel
from plugins.amazon.feeds.messages import ADJUSTMENT, BadMessage
from plugins.amazon.practice import MARKETPLACES, PracticeClient
from plugins.amazon.practice.feed_effects import ADJUSTMENT_REASONS
from tests.plugins.amazon.conftest import feeds_done
from webapp.api import (
    Accepted,
    Adjustment,
    Component,
    Outcome,
    RefundAmount,
    RefundRequest,
    Refusal,
    Refused,
    Sent,
    StoreAccess,
    Update,
)
from webapp.testing import HandedUpdates

US, DE, JP = (MARKETPLACES[code].id for code in ("US", "DE", "JP"))
LINES = {"L1": 3000, "L2": 1000}
ITEM, SHIPPING, WRAP, FEE = Component.ITEM, Component.SHIPPING, Component.GIFT_WRAP, Adjustment.FEE


def asked(*amounts: RefundAmount, marketplace: str = DE, currency: str = "EUR", **more: Any) -> RefundRequest:
    values: dict[str, Any] = {"order_number": "302-0000001-0000001", "reason": "CustomerReturn", "lines": LINES}
    return RefundRequest(marketplace=marketplace, currency=currency, amounts=amounts, **values | more)


def parts(*amounts: RefundAmount, **more: Any) -> list[tuple[str, str, int]]:
    return [(part.line, part.code, part.amount) for part in refunding.plan(asked(*amounts, **more)).parts]


# --- The plan ---------------------------------------------------------------------------------------------------------


def test_where_prices_include_the_tax_a_component_has_all_that_was_paid() -> None:
    plan = refunding.plan(asked(RefundAmount("L1", ITEM, 1000, 190, 100), RefundAmount("L1", SHIPPING, 400)))
    assert [(part.line, part.code, part.amount) for part in plan.parts] == [
        ("L1", "Principal", 1090),
        ("L1", "Shipping", 400),
    ]
    assert (plan.added, plan.total) == (0, 1490)


def test_where_amazon_adds_the_tax_it_computes_it() -> None:
    request = asked(RefundAmount("L1", ITEM, 1000, 80, 100), marketplace=US, currency="USD")
    plan = refunding.plan(request)
    assert [(part.code, part.amount) for part in plan.parts] == [("Principal", 900)]
    assert (plan.added, plan.total) == (80, 980)


def test_amounts_of_the_order_fall_on_its_lines_and_components_have_amazons_order() -> None:
    amounts = (
        RefundAmount("", Adjustment.REFUND, 101),
        RefundAmount("", SHIPPING, 400),
        RefundAmount("L2", WRAP, 5),
        RefundAmount("L1", ITEM, 1000),
    )
    assert parts(*amounts) == [
        ("L1", "Principal", 1000),
        ("L1", "Shipping", 300),
        ("L1", "Goodwill", 76),
        ("L2", "Shipping", 100),
        ("L2", "GiftWrap", 5),
        ("L2", "Goodwill", 25),
    ]


def test_a_fee_falls_on_what_is_refunded() -> None:
    whole = (RefundAmount("L1", ITEM, 900), RefundAmount("L2", ITEM, 100))
    assert parts(*whole, RefundAmount("", FEE, -500)) == [
        ("L1", "Principal", 900),
        ("L1", "RestockingFee", -450),
        ("L2", "Principal", 100),
        ("L2", "RestockingFee", -50),
    ]
    assert parts(*whole, RefundAmount("L2", FEE, -100))[-1] == ("L2", "RestockingFee", -100)


def test_a_discount_on_shipping_whose_tax_lowers_the_items_is_carried() -> None:
    free = (RefundAmount("L1", ITEM, 1000, 40), RefundAmount("L1", SHIPPING, 500, 40, 500))
    plan = refunding.plan(asked(*free, marketplace=US, currency="USD"))
    assert (plan.total, plan.added) == (1080, 80)


@pytest.mark.parametrize(
    ("amounts", "more", "refusal"),
    [
        ([RefundAmount("", Component.TIP, 100)], {}, refunding.TipStays),
        ([RefundAmount("L1", Component.COD, 100)], {}, refunding.CashStays),
        ([RefundAmount("L1", Component.OTHER, 100)], {}, refunding.UnknownComponent),
        ([RefundAmount("L1", "points", 100)], {}, refunding.UnknownComponent),
        ([RefundAmount("L3", ITEM, 100)], {}, refunding.NoLine),
        ([RefundAmount("", SHIPPING, 100)], {"lines": {}}, refunding.NoLine),
        ([RefundAmount("", SHIPPING, 100)], {"lines": {"L1": 0}}, refunding.NoLine),
        ([RefundAmount("L1", ITEM, 100, 0, 200)], {}, refunding.BelowZero),
        ([RefundAmount("L1", ITEM, 0, 80)], {"marketplace": US, "currency": "USD"}, refunding.TaxAlone),
        ([RefundAmount("L1", FEE, -100)], {}, refunding.FeeTooHigh),
        ([RefundAmount("", FEE, -100)], {}, refunding.FeeTooHigh),
        ([RefundAmount("L1", ITEM, 100), RefundAmount("", FEE, -101)], {}, refunding.FeeTooHigh),
        ([RefundAmount("L1", ITEM, 100), RefundAmount("", FEE, -100)], {}, refunding.FeeTooHigh),
        (
            [RefundAmount("L1", ITEM, 900), RefundAmount("L2", ITEM, 100), RefundAmount("L2", FEE, -101)],
            {},
            refunding.FeeTooHigh,
        ),
        ([], {}, refunding.NothingRefunded),
        ([RefundAmount("L1", ITEM, 100, 0, 100)], {}, refunding.NothingRefunded),
    ],
)
def test_what_can_not_be_carried(amounts: list[RefundAmount], more: dict[str, Any], refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        refunding.plan(asked(*amounts, **more))


def _amounts(draw: st.DrawFn, lines: Mapping[str, int]) -> list[RefundAmount]:
    found = []
    for line in (*lines, ""):
        for component in draw(st.lists(st.sampled_from((ITEM, SHIPPING, WRAP)), unique=True)):
            charged = draw(st.integers(1, 10**7))
            tax, discount = draw(st.integers(0, charged)), draw(st.integers(0, charged - 1))
            found.append(RefundAmount(line, component, charged, tax, discount))
    if draw(st.booleans()):
        found.append(RefundAmount("", Adjustment.REFUND, draw(st.integers(1, 10**5))))
    return found


@st.composite
def memos(draw: st.DrawFn) -> RefundRequest:
    """A memo that can be carried, if its fee leaves something."""
    lines = draw(
        st.dictionaries(st.from_regex(r"[0-9]{1,14}", fullmatch=True), st.integers(1, 10**8), min_size=1, max_size=6)
    )
    currency, marketplace = draw(st.sampled_from((("JPY", JP), ("EUR", DE), ("KWD", "unknown"), ("USD", US))))
    amounts = _amounts(draw, lines)
    net = sum(one.charged - one.discount for one in amounts)
    if net > 1 and draw(st.booleans()):
        amounts.append(RefundAmount("", FEE, -draw(st.integers(1, net - 1))))
    return asked(*amounts, marketplace=marketplace, currency=currency, lines=lines)


@settings(max_examples=100, deadline=None)
@given(memos())
def test_the_buyer_gets_exactly_what_the_memo_says(request: RefundRequest) -> None:
    try:
        plan = refunding.plan(request)
    except refunding.NothingRefunded:
        assert not request.amounts
        return
    assert plan.total == sum(amount.net for amount in request.amounts)
    assert all((part.amount < 0) == (part.code == "RestockingFee") for part in plan.parts)
    assert len({(part.line, part.code) for part in plan.parts}) == len(plan.parts)
    shared = {}
    for code, component in (("Shipping", SHIPPING), ("GiftWrap", WRAP)):
        for line in request.lines:
            alone = [one for one in request.amounts if one.component == component and one.line == line]
            sent = sum(one.net - (one.tax if request.marketplace == US else 0) for one in alone)
            got = sum(part.amount for part in plan.parts if (part.line, part.code) == (line, code))
            shared[line, code] = got - sent
    assert all(minor >= 0 for minor in shared.values())  # a line gets its own amounts, and a share of the order's
    update = Update(1, "refund", request.order_number, request.marketplace, "1", payload(request))
    body = refunding.message(update)
    places = {"JPY": 0, "KWD": 3}.get(request.currency, 2)
    for element in body.iter("Amount"):
        assert element.get("currency") == request.currency
        assert len((element.text or "").partition(".")[2]) == places
    sums = sum(int((one.text or "").replace(".", "")) for one in body.iter("Amount"))
    assert sums + plan.added == plan.total


def payload(request: RefundRequest, **changes: Any) -> dict[str, Any]:
    planned = [[part.line, part.code, part.amount] for part in refunding.plan(request).parts]
    told = {"version": 1, "reason": request.reason, "currency": request.currency, "memo": "7", "parts": planned}
    return told | changes


# --- The message ------------------------------------------------------------------------------------------------------


def test_a_message_has_one_item_a_line() -> None:
    request = asked(RefundAmount("L1", ITEM, 1000), RefundAmount("L2", ITEM, 500), RefundAmount("", FEE, -30))
    body = refunding.message(Update(1, "refund", "302-0000001-0000001", DE, "7", payload(request)))
    assert (body.findtext("AmazonOrderID"), body.findtext("ActionType")) == ("302-0000001-0000001", "Refund")
    first, second = body.findall("AdjustedItem")
    assert [child.tag for child in first] == [
        "AmazonOrderItemCode",
        "MerchantAdjustmentItemID",
        "AdjustmentReason",
        "ItemPriceAdjustments",
    ]
    assert first.findtext("MerchantAdjustmentItemID") == "7-L1"
    assert [one.text for one in first.iter("Type")] == ["Principal", "RestockingFee"]
    assert [one.text for one in first.iter("Amount")] == ["10.00", "-0.20"]
    assert second.findtext("AmazonOrderItemCode") == "L2"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"version": 2}, "version"),
        ({"reason": "BuyerCanceled"}, "AdjustmentReason"),
        ({"memo": ""}, "MerchantAdjustmentItemID"),
        ({"memo": 7}, "MerchantAdjustmentItemID"),
        ({"currency": "eur"}, "currency"),
        ({"parts": []}, "AdjustedItem"),
        ({"parts": "L1"}, "AdjustedItem"),
        ({"parts": [["<x>", "Principal", 1]]}, "AdjustedItem"),
        ({"parts": [["L1", "Principal"]]}, "AdjustedItem"),
        ({"parts": [["L1", "Principal", "1"]]}, "AdjustedItem"),
        ({"parts": [["L1", "Principal", True]]}, "AdjustedItem"),
        ({"parts": [["L1", "Gold", 1]]}, "Type"),
        ({"parts": [["L1", "Principal", 1], ["L1", "Principal", 1]]}, "Type"),
        ({"parts": [["L1", "Principal", 0]]}, "Amount"),
        ({"parts": [["L1", "Principal", -1]]}, "Amount"),
        ({"parts": [["L1", "Principal", 5], ["L1", "RestockingFee", 1]]}, "Amount"),
        ({"parts": [["L1", "Principal", 5], ["L1", "RestockingFee", -6]]}, "Amount"),
        ({"parts": [["L1", "Principal", 5], ["L1", "RestockingFee", -5]]}, "Amount"),
    ],
)
def test_a_payload_that_amazon_would_refuse_gives_no_message(changes: dict[str, Any], field: str) -> None:
    told = payload(asked(RefundAmount("L1", ITEM, 1000)), **changes)
    with pytest.raises(BadMessage) as raised:
        refunding.message(Update(1, "refund", "302-0000001-0000001", DE, "7", told))
    assert raised.value.values["field"] == field
    with pytest.raises(BadMessage):
        refunding.message(Update(1, "refund", "A-1", DE, "7", payload(asked(RefundAmount("L1", ITEM, 1000)))))


def test_amazon_knows_all_reasons(channel: AmazonChannel) -> None:
    assert {reason.code for reason in channel.refund_reasons(DE)} <= ADJUSTMENT_REASONS


# --- Over HTTP --------------------------------------------------------------------------------------------------------


def sent_and_found(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, updates: list[Update]
) -> dict[int, Outcome]:
    batch = HandedUpdates(updates)
    outcomes = channel.deliver(store, batch)
    feeds_done(amazon)
    asked_for = []
    for one in updates:
        outcome = outcomes[one.id]
        handle = outcome.handle if isinstance(outcome, Sent) else None
        asked_for.append(replace(one, handle=handle, begun=batch.attempts[-1]))
    return dict(channel.look_up(store, asked_for))


def test_refunds_go_together_and_amazon_says_which_it_does_not_book(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, refund: Callable[..., Update]
) -> None:
    placed = [amazon.place(marketplace="US", status="SHIPPED", lines=2) for _ in range(2)]
    good = [refund(one) for one in placed]
    bad = refund(placed[0], [[placed[0]["items"][0]["order_item_id"], "Principal", 10**9]])

    found = sent_and_found(channel, store, amazon, [*good, bad])

    assert [found[one.id] for one in good] == [Accepted()] * 2
    refused = found[bad.id]
    assert isinstance(refused, Refused)
    assert "more than what is left" in refused.sentence
    [feed] = amazon.feeds()
    assert (feed["feedType"], feed["messages"]) == (ADJUSTMENT, 3)
    [booked] = amazon.refunds(placed[1]["order_id"])
    assert sorted(booked["amounts"]) == sorted(item["order_item_id"] for item in placed[1]["items"])


def test_refunds_and_cancellations_of_units_share_a_lane(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, cancel: Callable[..., Update]
) -> None:
    assert channel.lane("refund", {}) == channel.lane("cancel", {"whole": False}) == ADJUSTMENT
    placed = amazon.place(marketplace="US", quantity=3)
    units = cancel(placed, whole=False, lines={placed["items"][0]["order_item_id"]: 1})
    assert sent_and_found(channel, store, amazon, [units]) == {units.id: Accepted()}


def test_a_planned_refund_of_everything_is_booked_to_the_cent(
    channel: AmazonChannel,
    make_store: Callable[..., StoreAccess],
    amazon: PracticeClient,
    refund: Callable[..., Update],
) -> None:
    for account, site in (("na", "US"), ("eu", "DE"), ("fe", "JP")):
        store = make_store(account)
        placed = amazon.place(marketplace=site, status="SHIPPED", lines=3, quantity=3, traits=["gift", "promotion"])
        order: Any = channel.fetch_order(store, placed["order_id"])
        amounts = [
            RefundAmount(line.number, one.component, one.charged, one.tax, one.discount)
            for line in order.lines
            for one in line.amounts
        ]
        whole = {line.number: line.total for line in order.lines}
        request = asked(*amounts, marketplace=order.marketplace, currency=order.currency, lines=whole)
        plan = channel.refund_plan(request)
        assert plan.total == order.total
        update = refund(placed, [[part.line, part.code, part.amount] for part in plan.parts])
        assert sent_and_found(channel, store, amazon, [update]) == {update.id: Accepted()}
        [booked] = amazon.refunds(placed["order_id"])
        assert booked["total"] == plan.total
