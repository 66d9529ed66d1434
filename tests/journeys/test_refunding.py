"""Refunds over real HTTP: sent by feed, booked by the practice Amazon, told by its accounts, and matched here."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import update

from plugins.amazon.feeds.messages import ADJUSTMENT
from plugins.amazon.practice import PracticeServer
from tests.journeys.conftest import until
from tests.refunds import offers
from webapp.audit.actor import Actor
from webapp.billing.holding import SETTINGS
from webapp.billing.jobs import match_refunds
from webapp.billing.memos import record_refund
from webapp.billing.models import CreditMemo, MemoState, Transaction
from webapp.billing.refund_words import PARTLY
from webapp.billing.refundable import Refundable, Wish
from webapp.billing.taxes import INCLUDED, RATES, TAXES
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.orders.models import Order
from webapp.orders.queries import find_order
from webapp.settings.services import store_all
from webapp.sync import finances, jobs
from webapp.updates.deciding import send_now
from webapp.updates.models import WAITING, ChannelUpdate, UpdateState

pytestmark = [pytest.mark.slow, pytest.mark.own_desk]

ME = Actor.operator()


@pytest.fixture
def store(amazon_store: Store, practice: PracticeServer) -> Store:
    """A store whose refunds go at once, and whose accounts show them at once."""
    practice.client.settings(transactions_late=0, refund_after=0)
    with unit_of_work():
        found = db.session.get_one(Store, amazon_store.id)
        store_all(SETTINGS, {"refund_hold": 0}, found)
        found.created_at = now() - timedelta(days=1)
    return found


def shipped(practice: PracticeServer, store: Store) -> Order:
    """An order that was shipped there."""
    [placed] = practice.client.place_many(1, marketplace="DE", status="UNSHIPPED", fulfilled_by="MERCHANT")
    number = str(placed["order_id"])
    practice.client.ship_elsewhere(number)
    jobs.fetch_order(store.id, number)
    return find_order(number, ME)


def refunded(practice: PracticeServer, order: Order) -> CreditMemo:
    """A refund of everything that is left, which Amazon accepted."""
    with unit_of_work():
        memo = record_refund(
            find_order(order.channel_order_number, ME, lock=True), Wish(whole=True), "CustomerReturn", actor=ME
        )
    answered(order.store)
    assert memo.state == MemoState.ISSUED
    return memo


def answered(store: Store) -> None:
    """Send the refunds that wait, in one feed, and read what Amazon says of them."""
    waiting = db.session.query(ChannelUpdate).filter_by(kind="refund", state=UpdateState.OWED).all()
    for sent in waiting:
        with unit_of_work():
            send_now(sent, actor=ME)
    jobs.deliver(store.id, waiting[0].lane)

    def look() -> bool:
        with unit_of_work():
            db.session.execute(update(ChannelUpdate).values(look_again_at=now()))
        jobs.look_up(store.id, waiting[0].lane)
        db.session.expire_all()
        return not any(sent.state in WAITING or sent.state == UpdateState.SENT for sent in waiting)

    until(look, "Amazon's report")


def read(order: Order, kind: str = "refund", count: int = 1) -> Sequence[Transaction]:
    """What Amazon's accounts tell of the order, matched."""

    def there() -> bool:
        finances.read_transactions(order.store_id, order.channel_order_number)
        return db.session.query(Transaction).filter_by(order_id=order.id, kind=kind).count() >= count

    until(there, "the transactions")
    match_refunds()
    db.session.expire_all()
    return list(db.session.query(Transaction).filter_by(order_id=order.id, kind=kind).order_by(Transaction.id))


def state_of(memo: CreditMemo) -> str:
    return str(db.session.query(ChannelUpdate).filter_by(kind="refund", source_id=memo.id).one().state)


def adopted(order: Order) -> list[CreditMemo]:
    return list(db.session.query(CreditMemo).filter_by(order_id=order.id, origin="elsewhere").order_by(CreditMemo.id))


@pytest.mark.parametrize(
    ("database", "mark", "state", "differs", "rest"),
    [
        ("sqlite", "", "effective", 0, False),
        ("postgres", "refund_less", "accepted", -1, False),
        ("postgres", "refund_more", "effective", 0, True),
        ("sqlite", "refund_other_tax", "effective", 1, False),
    ],
    indirect=["database"],
)
def test_a_refund_by_feed_is_proven_by_amazons_accounts(
    practice: PracticeServer, store: Store, mark: str, state: str, differs: int, rest: bool
) -> None:
    with unit_of_work():  # memos have the tax within prices apart, as Amazon's accounts do
        store_all(TAXES, {RATES.name: "DE 19", INCLUDED.name: True}, store.shop)
    order = shipped(practice, store)
    if mark:
        practice.client.mark_next_feed(ADJUSTMENT, mark)
    memo = refunded(practice, order)
    [row] = read(order)
    assert (state_of(memo), row.memo_id, row.rest_id is not None) == (state, memo.id, rest)
    got = memo.total_minor if memo.channel_minor is None else memo.channel_minor
    assert (got > memo.total_minor) - (got < memo.total_minor) == differs
    assert (PARTLY.code in [one["kind"] for one in order.attention]) is (state == "accepted")
    assert [one.total_minor > 0 for one in adopted(order)] == [True] * rest


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_amazon_refuses_nothing_that_is_offered_of_a_partly_shipped_order(
    practice: PracticeServer, store: Store
) -> None:
    def placed(pieces: int) -> Order:
        lines = [{"sku": f"SKU-{place}", "quantity": 2, "unit_price": 10} for place in range(2)]
        wish = {"status": "UNSHIPPED", "fulfilled_by": "MERCHANT", "traits": ["gift"]}
        number = practice.client.place(marketplace="DE", lines=lines, **wish)["order_id"]
        for _ in range(pieces):
            practice.client.ship_elsewhere(number, part=True)
        jobs.fetch_order(store.id, number)
        return find_order(number, ME)

    assert list(offers(placed(0))) == []
    for pieces in (1, 2, 3):
        for place in range(8):  # the practice Amazon draws what each costs to ship, so that not all offer the same
            order = placed(pieces)
            found = list(offers(order))
            with unit_of_work():
                row = find_order(order.channel_order_number, ME, lock=True)
                record_refund(row, found[place % len(found)], "CustomerReturn", actor=ME)
    memos = db.session.query(CreditMemo).order_by(CreditMemo.id).all()
    assert len(memos) == 24
    answered(store)
    assert {memo.state for memo in memos} == {MemoState.ISSUED}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_refunds_made_elsewhere_are_adopted_and_claims_are_not(practice: PracticeServer, store: Store) -> None:
    order = shipped(practice, store)
    booked = practice.client.refund_elsewhere(order.channel_order_number, share=0.5)
    [row] = read(order)
    [memo] = adopted(order)
    assert (memo.id, memo.total_minor, order.refunded_minor) == (row.memo_id, booked["total"], booked["total"])
    assert all(line.counted for line in memo.lines)
    assert Refundable(order).total == (order.total_minor or 0) - memo.total_minor

    practice.client.refund_elsewhere(order.channel_order_number, kind="claim")
    [claim] = read(order, "claim")
    assert (claim.memo_id, len(adopted(order))) == (None, 1)
