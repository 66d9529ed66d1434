"""Credit memos: what can be refunded, how a refund waits, goes out, is accepted or refused, and what is left then."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
import time_machine
from flask import Flask
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError

from tests.conftest import run_by_the_clock
from tests.plans import statements_of
from tests.refunds import WHOLE, shipped_order
from webapp.accounts.models import Role
from webapp.audit.actor import Actor
from webapp.billing.holding import SETTINGS
from webapp.billing.memos import (
    AboveOwnLimit,
    CancelInstead,
    CancelRest,
    NoSuchProposal,
    NothingToRefund,
    NotReversible,
    NotUndoableRefund,
    OwnProposal,
    PlanOutdated,
    Reversed,
    ShownInAccounts,
    approve_refund,
    decline_refund,
    record_refund,
    refund_refusal,
    reverse_memo,
    undo_refund,
)
from webapp.billing.models import CreditMemo, CreditMemoLine, MemoState
from webapp.billing.refund_updates import RefundKind
from webapp.billing.refund_words import REFUNDS
from webapp.billing.refundable import (
    CancelUnshipped,
    FeeTakesAll,
    LineWish,
    NothingChosen,
    Refundable,
    TooManyToRefund,
    TooMuchToRefund,
    Wish,
)
from webapp.billing.services import TotalWithheld
from webapp.channels.incoming import Component, IncomingAmount, IncomingOrder
from webapp.channels.outgoing import Accepted, Refused
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Invalid
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.attention import in_words
from webapp.orders.events import events_of
from webapp.orders.models import Order, OrderAmount
from webapp.orders.queries import AROUND, locked, locked_all
from webapp.orders.states import OrderState
from webapp.settings.services import store_all
from webapp.testing import FakeChannel, again, incoming_line, incoming_order, line_again
from webapp.updates.deciding import close, offers, retry
from webapp.updates.models import ChannelUpdate, UpdateState

Take = Callable[..., list[Order]]
HAT = (IncomingAmount(Component.ITEM, 700), IncomingAmount(Component.SHIPPING, 200))
MUG = (IncomingAmount(Component.ITEM, 3000, 570, 300), IncomingAmount(Component.SHIPPING, 499, 95))


def shipped(take: Take, incoming: IncomingOrder, actor: Actor, *, there: bool = True) -> Order:
    """An order that was shipped whole at the desk and, with `there`, as its channel shows it."""
    [order] = take(incoming)
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD1")], actor=actor)
    if there:
        lines = tuple(line_again(incoming, place, fulfilled=line.ordered, unfulfilled=0)[place]
                      for place, line in enumerate(incoming.lines))  # fmt: skip
        take(again(incoming, lines=lines))
    hold(order, 0)
    return order


def hold(order: Order, seconds: int) -> None:
    with unit_of_work():
        store_all(SETTINGS, {"refund_hold": seconds}, order.store)


@pytest.fixture
def incoming() -> IncomingOrder:
    """Three mugs with shipping, a cup, and a tip for the whole order."""
    lines = [incoming_line("MUG", 3, amounts=MUG, total=3864), incoming_line("CUP", price=500)]
    return incoming_order(lines, amounts=(IncomingAmount(Component.TIP, 101),), total=4565)


@pytest.fixture
def order(take: Take, incoming: IncomingOrder, mia: Actor) -> Order:
    return shipped(take, incoming, mia)


def refund(order: Order, wish: Wish, *, actor: Actor, reason: str = "CustomerReturn", comment: str = "") -> CreditMemo:
    with unit_of_work():
        return record_refund(locked(order), wish, reason, comment=comment, actor=actor)


def units(order: Order, **by_sku: int) -> Wish:
    wanted = {line.id: by_sku.get(line.sku.lower(), 0) for line in order.lines}
    return Wish({line_id: LineWish(count) for line_id, count in wanted.items() if count})


def rows(memo: CreditMemo) -> list[tuple[str, int, tuple[int, ...]]]:
    return [(line.component, line.units, tuple(line.figures)) for line in memo.lines]


def codes(order: Order) -> list[str]:
    return [event.code for event in events_of(order)][::-1]  # oldest first


def the_update(memo: CreditMemo) -> ChannelUpdate:
    found: ChannelUpdate = db.session.query(ChannelUpdate).filter_by(kind="refund", source_id=memo.id).one()
    return found


# --- What can be refunded ---------------------------------------------------------------------------------------------


def test_units_bring_their_share_and_the_last_ones_take_what_is_left(order: Order, mia: Actor) -> None:
    mug, cup = order.lines
    first = refund(order, units(order, mug=1), actor=mia)
    second = refund(order, units(order, mug=2), actor=mia)

    assert rows(first) == [("item", 1, (1000, 190, 100))]
    assert rows(second) == [("item", 2, (2000, 380, 200))]
    assert (mug.refunding, mug.refunded, order.refunding_minor) == (3, 0, 3270)
    assert Refundable(order).units == {cup.id: 1}
    assert (mug.id, "shipping") in Refundable(order).amounts


def test_an_amount_is_of_goods_and_brings_its_discount_and_tax(order: Order, mia: Actor) -> None:
    mug, _cup = order.lines
    half = refund(order, Wish({mug.id: LineWish(1, {"item": 1350})}), actor=mia)
    assert rows(half) == [("item", 1, (1500, 285, 150))]

    own_tax = refund(order, Wish({mug.id: LineWish(0, {"item": 100}, {"item": 7})}), actor=mia)
    assert rows(own_tax) == [("item", 0, (111, 7, 11))]
    assert (mug.refunding, order.refunding_minor) == (1, 1635 + 107)


def test_shipping_is_spread_over_what_is_left_of_it(take: Take, mia: Actor) -> None:
    each = [
        incoming_line("A", amounts=(IncomingAmount(Component.ITEM, 100), IncomingAmount(Component.SHIPPING, 300))),
        incoming_line("B", amounts=(IncomingAmount(Component.ITEM, 100), IncomingAmount(Component.SHIPPING, 101))),
    ]
    order = shipped(take, incoming_order(each, total=601), mia)

    assert rows(refund(order, Wish(shipping=200), actor=mia)) == [
        ("shipping", 0, (150, 0, 0)),
        ("shipping", 0, (50, 0, 0)),
    ]
    assert rows(refund(order, Wish(all_shipping=True), actor=mia)) == [
        ("shipping", 0, (150, 0, 0)),
        ("shipping", 0, (51, 0, 0)),
    ]


def test_adjustments_add_and_withhold(order: Order, mia: Actor) -> None:
    mug, _cup = order.lines
    wish = Wish({mug.id: LineWish(1)}, shipping=499, adjustment_refund=250, adjustment_fee=100)
    memo = refund(order, wish, actor=mia)
    assert rows(memo) == [
        ("item", 1, (1000, 190, 100)),
        ("shipping", 0, (499, 95, 0)),
        ("adjustment_refund", 0, (250, 0, 0)),
        ("adjustment_fee", 0, (-100, 0, 0)),
    ]
    assert memo.total_minor == 1090 + 594 + 150  # CRM-11: rows + shipping + adjustment refund - adjustment fee


def test_everything_that_is_left(channel: FakeChannel, take: Take, mia: Actor) -> None:
    lines = [incoming_line("MUG", 3, amounts=MUG, total=3864), incoming_line("CUP", price=500)]
    order = shipped(take, incoming_order(lines, total=4464), mia)
    refund(order, units(order, mug=1), actor=mia)
    rest = refund(order, Wish(whole=True), actor=mia)

    assert order.refunding_minor == 4464
    assert rest.total_minor == 4464 - 1090
    assert isinstance(refund_refusal(order, mia), NothingToRefund)


@pytest.mark.parametrize(
    ("wish", "problem", "left"),
    [
        (lambda mug: Wish({mug: LineWish(4)}), TooManyToRefund, "3"),
        (lambda mug: Wish({mug: LineWish(1, {"item": 2701})}), TooMuchToRefund, "27.00 EUR"),
        (lambda mug: Wish({mug: LineWish(1, {}, {"item": 571})}), TooMuchToRefund, "5.70 EUR"),
        (lambda mug: Wish({mug: LineWish(0, {"gift_wrap": 1})}), TooMuchToRefund, "0.00 EUR"),
        (lambda _mug: Wish(shipping=500), TooMuchToRefund, "4.99 EUR"),
        (lambda _mug: Wish(shipping=1, shipping_tax=96), TooMuchToRefund, "0.95 EUR"),
        (lambda mug: Wish({mug: LineWish(3)}, all_shipping=True, adjustment_refund=702), TooMuchToRefund, "45.65 EUR"),
        (lambda _mug: Wish(), NothingChosen, None),
        (lambda _mug: Wish(adjustment_fee=1090), NothingChosen, None),
        (lambda mug: Wish({mug: LineWish(1)}, adjustment_fee=1090), FeeTakesAll, None),
        (lambda mug: Wish({mug: LineWish(1)}, adjustment_fee=9999), FeeTakesAll, None),
        (lambda mug: Wish({mug: LineWish(-1)}), Invalid, None),
        (lambda mug: Wish({mug: LineWish(1, {"item": -5})}), Invalid, None),
        (lambda mug: Wish({mug: LineWish(1, restock=2)}), Invalid, None),
        (lambda mug: Wish({mug + 999: LineWish(1)}), Invalid, None),
        (lambda mug: Wish({mug: LineWish(1, {"fuel": 5})}), Invalid, None),
        (lambda _mug: Wish(shipping=-1), Invalid, None),
    ],
)
def test_more_than_there_is_is_refused_to_the_cent(
    order: Order, mia: Actor, wish: Callable[[int], Wish], problem: type[DeskError], left: str | None
) -> None:
    before = (order.version, order.refunding_minor)
    with pytest.raises(problem) as caught:
        refund(order, wish(order.lines[0].id), actor=mia)
    db.session.expire_all()

    assert type(caught.value) is problem
    assert left is None or str(caught.value.values["left"]) == left
    assert (order.version, order.refunding_minor) == before
    assert db.session.query(CreditMemo).count() == 0


def test_a_reason_must_be_one_of_the_channels(order: Order, mia: Actor) -> None:
    for reason in ("", "Because"):
        with pytest.raises(Invalid, match="reason"):
            refund(order, units(order, mug=1), actor=mia, reason=reason)


def test_what_has_not_shipped_is_canceled_instead(take: Take, incoming: IncomingOrder, mia: Actor) -> None:
    [order] = take(incoming)
    assert isinstance(refund_refusal(order, mia), CancelInstead)


def test_of_a_partly_shipped_order_only_what_left_is_refunded(take: Take, incoming: IncomingOrder, mia: Actor) -> None:
    lines = [*incoming.lines, incoming_line("HAT", price=700, amounts=HAT, total=900)]
    [order] = take(replace(incoming, lines=tuple(lines), amounts=(), total=5364))
    mug, cup, hat = order.lines
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD1", lines={mug.id: 2, cup.id: 1})], actor=mia)
    hold(order, 60)
    unshipped = {
        "sku": Wish({hat.id: LineWish(1)}),
        "units": Wish({mug.id: LineWish(3)}),
        "amount": Wish({hat.id: LineWish(0, {"item": 1})}),
        "part": Wish({mug.id: LineWish(0, {"item": 1801})}),
        "shipping": Wish(shipping=500),
        "beside": Wish(adjustment_refund=3375),
    }
    left = {}
    for name, wish in unshipped.items():
        with pytest.raises(CancelUnshipped, match="Cancel units that have not shipped") as caught:
            refund(order, wish, actor=mia)
        left[name] = str(caught.value.values["left"])
    assert left == {
        "sku": "0", "units": "2", "amount": "0.00 EUR", "part": "18.00 EUR", "shipping": "4.99 EUR",
        "beside": "33.74 EUR",
    }  # fmt: skip

    beside = refund(order, Wish(adjustment_refund=100), actor=mia)
    assert {number for number, _code, _minor in beside.plan["parts"]} == {
        mug.channel_line_number, cup.channel_line_number,
    }  # fmt: skip
    with unit_of_work():
        undo_refund(locked(order), actor=mia)
    assert refund(order, WHOLE, actor=mia).total_minor == 3374
    assert isinstance(refund_refusal(order, mia), CancelRest)
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD2")], actor=mia)
    assert refund(order, WHOLE, actor=mia).total_minor == 5364 - 3374


def test_of_a_free_line_that_shipped_nothing_is_left_to_refund(take: Take, mia: Actor) -> None:
    [order] = take(incoming_order([incoming_line("CARD", amounts=(), total=0), incoming_line("MUG")]))
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD1", lines={order.lines[0].id: 1})], actor=mia)
    assert str(refund_refusal(order, mia)).startswith(
        "The shipped units have nothing left to refund. Cancel the remaining units"
    )


def test_a_withheld_total_is_not_refunded(take: Take, mia: Actor) -> None:
    order = shipped(take, incoming_order([incoming_line(total=None, amounts=(), unit_price=None)], total=None), mia)
    assert isinstance(refund_refusal(order, mia), TotalWithheld)


# --- How it goes out --------------------------------------------------------------------------------------------------


def test_it_is_issued_when_the_channel_accepts_it(
    channel: FakeChannel, order: Order, mia: Actor, work: Callable[[], int]
) -> None:
    work()
    channel.outcomes = [Accepted()]
    memo = refund(order, units(order, mug=3, cup=1), actor=mia)
    assert (memo.state, memo.number) == (MemoState.RECORDED, None)
    work()

    [told] = [one for one in channel.delivered if one.kind == "refund"]
    mug, cup = order.lines
    assert told.payload == {
        "version": 1,
        "reason": "CustomerReturn",
        "currency": "EUR",
        "memo": str(memo.id),
        "parts": [[mug.channel_line_number, "item", 3270], [cup.channel_line_number, "item", 600]],
    }
    assert (memo.state, memo.number, memo.effective_at) == (MemoState.ISSUED, "CM-000001", None)
    assert None not in (memo.seller, memo.sealed, memo.issued_at)
    assert (mug.refunding, mug.refunded, cup.refunded) == (0, 3, 1)
    assert (order.refunding_minor, order.refunded_minor) == (0, 3870)
    assert order.state == OrderState.CLOSED
    assert codes(order)[-3:] == ["refund_asked", "update_accepted", "memo_issued"]


def test_those_of_a_batch_are_issued_together(take: Take, mia: Actor) -> None:
    memos = [refund(order, WHOLE, actor=mia) for order in take(*[shipped_order() for _ in range(7)])]

    def accept(some: list[CreditMemo]) -> int:
        with unit_of_work():
            locked_all([memo.order_id for memo in some], mia, *AROUND)
            updates = [the_update(memo) for memo in some]
            return sum(
                "INTO order_events" not in text for text in statements_of(lambda: RefundKind().accepted(updates))
            )

    accept(memos[:1])  # begins the sequence of numbers
    two, four = accept(memos[1:3]), accept(memos[3:])
    assert [memo.number for memo in memos] == [f"CM-00000{place}" for place in range(1, 8)]
    assert four == two


def test_a_refused_one_never_had_a_number_and_its_amounts_are_free(
    channel: FakeChannel, order: Order, mia: Actor, work: Callable[[], int]
) -> None:
    work()
    channel.outcomes = [Refused("The amount exceeds what was charged.")]
    memo = refund(order, units(order, mug=2), actor=mia)
    work()

    assert (memo.state, memo.number) == (MemoState.REFUSED, None)
    assert memo.problem is not None
    assert (order.lines[0].refunding, order.lines[0].refunded, order.refunding_minor) == (0, 0, 0)
    assert [trouble["kind"] for trouble in order.attention] == ["refund_refused"]
    assert [offer.code for offer in offers(the_update(memo), mia)] == ["retry", "close"]  # nobody says: done elsewhere
    with pytest.raises(DeskError, match="Create a new refund"), unit_of_work():
        retry(the_update(memo), actor=Actor.operator())
    channel.outcomes = [Accepted()]
    following = refund(order, units(order, mug=2), actor=mia)
    work()
    assert following.number == "CM-000001"


def test_it_can_be_undone_until_it_leaves(
    channel: FakeChannel, order: Order, mia: Actor, work: Callable[[], int]
) -> None:
    work()
    hold(order, 60)
    memo = refund(order, units(order, mug=2), actor=mia)
    assert the_update(memo).state == UpdateState.HELD
    with unit_of_work():
        undo_refund(locked(order), actor=mia)
    work()

    assert memo.state == MemoState.WITHDRAWN
    assert (order.lines[0].refunding, order.refunding_minor) == (0, 0)
    assert [one for one in channel.delivered if one.kind == "refund"] == []
    with pytest.raises(NotUndoableRefund), unit_of_work():
        undo_refund(locked(order), actor=mia)


def test_it_waits_until_the_channel_shows_its_units_as_shipped(
    channel: FakeChannel, take: Take, incoming: IncomingOrder, mia: Actor, work: Callable[[], int]
) -> None:
    order = shipped(take, incoming, mia, there=False)
    memo = refund(order, units(order, mug=1), actor=mia)
    work()
    assert (the_update(memo).state, memo.state) == (UpdateState.OWED, MemoState.RECORDED)

    lines = line_again(incoming, 0, fulfilled=3, unfulfilled=0)
    take(again(incoming, lines=lines))
    channel.outcomes = [Accepted()]
    with time_machine.travel(now() + timedelta(minutes=10), tick=True):
        run_by_the_clock()
    assert memo.number == "CM-000001"


def test_what_the_channel_will_never_show_as_shipped_is_not_sent(
    channel: FakeChannel, take: Take, incoming: IncomingOrder, mia: Actor, work: Callable[[], int]
) -> None:
    order = shipped(take, incoming, mia, there=False)
    channel.outcomes = [Refused("Not this way.")]
    work()
    memo = refund(order, units(order, mug=1), actor=mia)
    work()

    assert memo.state == MemoState.WITHDRAWN
    assert order.refunding_minor == 0
    assert [one.kind for one in channel.delivered] == ["shipment"]
    [trouble] = [one for one in in_words(order.attention) if one.kind == "refund_not_sent"]
    assert trouble.cause.startswith("A refund was not sent to the channel: The channel does not show")
    assert codes(order)[-2:] == ["update_impossible", "refund_not_sent"]
    with unit_of_work():
        close(the_update(memo), actor=mia)
    assert "refund_not_sent" not in [one["kind"] for one in order.attention]


def test_where_the_channel_takes_no_refunds_it_is_issued_at_once(
    channel: FakeChannel, order: Order, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeChannel, "kinds", FakeChannel.kinds[:2])
    memo = refund(order, units(order, cup=1), actor=mia)
    assert (memo.record_only, memo.number, order.refunded_minor) == (True, "CM-000001", 600)

    with unit_of_work():
        opposite = reverse_memo(locked(order), memo.id, actor=mia)
    assert (opposite.number, opposite.total_minor) == ("CM-000002", -600)
    assert (order.refunded_minor, order.lines[1].refunded) == (0, 0)
    with pytest.raises(Reversed), unit_of_work():
        reverse_memo(locked(order), memo.id, actor=mia)


def test_what_the_channel_was_told_is_not_reversed(
    channel: FakeChannel, order: Order, mia: Actor, work: Callable[[], int]
) -> None:
    work()
    channel.outcomes = [Accepted()]
    memo = refund(order, units(order, cup=1), actor=mia)
    work()
    with pytest.raises(NotReversible), unit_of_work():
        reverse_memo(locked(order), memo.id, actor=mia)


# --- A second pair of eyes --------------------------------------------------------------------------------------------


@pytest.fixture
def limited(mia: Actor) -> Actor:
    """Mia, whose role may refund up to 10.00 EUR alone."""
    with unit_of_work():
        db.session.add(Role(code="clerk", name="", base="clerk", given=[], taken=[], refund_limits={"EUR": 1000}))
    return mia


def test_above_the_limit_somebody_else_approves(
    channel: FakeChannel, order: Order, limited: Actor, make_user: Callable[..., Actor], work: Callable[[], int]
) -> None:
    work()
    small = refund(order, units(order, cup=1), actor=limited)
    assert small.state == MemoState.RECORDED
    memo = refund(order, units(order, mug=1), actor=limited)
    assert (memo.state, order.refunding_minor) == (MemoState.PROPOSED, 1690)

    ben, ada = make_user("clerk", "Ben"), make_user("manager", "Ada")
    with pytest.raises(OwnProposal), unit_of_work():
        approve_refund(locked(order), memo.id, actor=limited)
    with pytest.raises(AboveOwnLimit, match=r"10\.00 EUR"), unit_of_work():
        approve_refund(locked(order), memo.id, actor=ben)
    with unit_of_work():
        approve_refund(locked(order), memo.id, actor=ada)
    channel.outcomes = [Accepted(), Accepted()]
    work()
    assert memo.number is not None
    with pytest.raises(NoSuchProposal), unit_of_work():
        decline_refund(locked(order), memo.id, actor=limited)


def test_a_declined_proposal_frees_its_amounts(order: Order, limited: Actor) -> None:
    memo = refund(order, units(order, mug=1), actor=limited)
    with unit_of_work():
        decline_refund(locked(order), memo.id, actor=limited)
    assert (memo.state, order.refunding_minor, order.lines[0].refunding) == (MemoState.WITHDRAWN, 0, 0)


def test_a_currency_without_a_limit_needs_approval(take: Take, limited: Actor) -> None:
    order = shipped(take, incoming_order(currency="USD"), limited)
    assert refund(order, units(order, mug=1), actor=limited).state == MemoState.PROPOSED


def test_a_proposal_that_the_channel_takes_no_more_is_not_approved(
    order: Order, limited: Actor, make_user: Callable[..., Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    memo, ada = refund(order, units(order, mug=1), actor=limited), make_user("manager", "Ada")
    monkeypatch.setattr(FakeChannel, "kinds", FakeChannel.kinds[:2])
    with pytest.raises(PlanOutdated), unit_of_work():
        approve_refund(locked(order), memo.id, actor=ada)
    db.session.expire_all()
    assert (memo.state, order.refunding_minor) == (MemoState.PROPOSED, 1090)


def test_one_that_did_not_happen_after_all_is_taken_back_once(
    channel: FakeChannel, order: Order, mia: Actor, work: Callable[[], int]
) -> None:
    work()
    channel.outcomes = [Accepted()]
    memo = refund(order, units(order, cup=1), actor=mia)
    work()
    for state in (UpdateState.REFUSED, UpdateState.WITHDRAWN):
        with unit_of_work():
            locked(order)
            row = the_update(memo)
            row.state = state
            RefundKind().settled(row)
    [opposite] = db.session.query(CreditMemo).filter_by(corrects_id=memo.id)
    assert (opposite.number, opposite.total_minor, order.refunded_minor) == ("CM-000002", -600, 0)


def test_one_that_the_accounts_show_is_not_reversed(order: Order, mia: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeChannel, "kinds", FakeChannel.kinds[:2])
    memo = refund(order, units(order, cup=1), actor=mia)
    with unit_of_work():
        memo.effective_at = now()
    with pytest.raises(ShownInAccounts), unit_of_work():
        reverse_memo(locked(order), memo.id, actor=mia)


# --- In the database --------------------------------------------------------------------------------------------------


def test_two_clerks_never_refund_more_than_there_is(app: Flask, order: Order, mia: Actor) -> None:
    wish, order_id, start = units(order, mug=2), order.id, Barrier(2)

    def try_it(_place: int) -> str:
        with app.app_context():
            start.wait()
            try:
                refund(db.session.get_one(Order, order_id), wish, actor=mia)
            except TooManyToRefund:
                return "refused"
            finally:
                db.session.remove()
            return "done"

    db.session.rollback()
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(try_it, range(2))) == ["done", "refused"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orders SET refunding_minor = refund_ceiling_minor + 1",
        "UPDATE orders SET refunded_minor = -1",
        "UPDATE order_lines SET refunding = 4",
        "UPDATE order_amounts SET pending_charged = ceiling + 1",
    ],
)
def test_the_database_refuses_more_too(order: Order, mia: Actor, statement: str) -> None:
    refund(order, units(order, mug=1), actor=mia)
    with pytest.raises(DBAPIError), unit_of_work():
        db.session.execute(text(statement))


def test_an_issued_memo_stays_as_it_is(channel: FakeChannel, order: Order, mia: Actor, work: Callable[[], int]) -> None:
    work()
    channel.outcomes = [Accepted()]
    memo = refund(order, units(order, mug=1), actor=mia)
    work()
    extra = {"memo_id": memo.id, "position": 9, "component": "tip", "sku": "", "title": "", "units": 0, "restock": 0}
    figures = {"charged": 1, "tax": 0, "discount": 0, "counted": True}
    for statement in (
        update(CreditMemo).values(total_minor=1),
        update(CreditMemo).values(number="CM-9"),
        update(CreditMemo).values(state="recorded", number=None),
        update(CreditMemo).values(sealed=b"other"),
        delete(CreditMemo),
        update(CreditMemoLine).values(charged=1),
        delete(CreditMemoLine),
        CreditMemoLine.__table__.insert().values(**extra, **figures),  # type: ignore[attr-defined]
    ):
        with pytest.raises(DBAPIError), unit_of_work():
            db.session.execute(statement)
    with unit_of_work():
        db.session.execute(update(CreditMemo).values(sealed=None, channel_minor=5))
    assert memo.number == "CM-000001"


def test_a_lower_amount_leaves_nothing_to_refund_of_it(
    take: Take, incoming: IncomingOrder, order: Order, mia: Actor
) -> None:
    refund(order, units(order, mug=2), actor=mia)
    cheaper = (IncomingAmount(Component.ITEM, 1000, 190, 100), MUG[1])
    lines = line_again(incoming, 0, amounts=cheaper, total=1684, fulfilled=3, unfulfilled=0)
    take(again(incoming, minutes=10, lines=lines, total=2385))
    mug = order.lines[0]

    assert (mug.id, "item") not in Refundable(order).amounts
    assert db.session.query(OrderAmount).filter_by(line_id=mug.id, component="item").one().pending.net == 2180


def test_the_timeline_groups_refunds(order: Order, mia: Actor) -> None:
    refund(order, units(order, mug=1), actor=mia, comment="He was kind.")
    assert codes(order)[-2:] == ["refund_asked", "commented"]  # the first one names the act in its message
    assert REFUNDS.code == "refunds"
