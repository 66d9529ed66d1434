"""The stream of transactions: windows, pages, late ones, faults, and the transactions of one order."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from unittest.mock import Mock

import pytest
import time_machine

from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, Transaction
from webapp.channels.connecting import Denied, Disconnected, Throttled
from webapp.channels.incoming import PageRefused
from webapp.channels.models import Store
from webapp.channels.transactions import IncomingTransaction, TransactionKind, TransactionPart
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.orders.models import Order
from webapp.sync import finances, jobs, runs
from webapp.sync.models import StoreSync
from webapp.testing import FakeChannel, incoming_line, incoming_order

Work = Callable[[], int]


def payment(number: str, *, days: float = 0, order: str = "") -> IncomingTransaction:
    return IncomingTransaction(
        number=number, kind=TransactionKind.PAYMENT, word="Shipment", status="RELEASED", currency="EUR", total=100,
        posted_at=now() - timedelta(days=days), order_number=order,
    )  # fmt: skip


@pytest.fixture
def begun(channel: FakeChannel, store: Store, work: Work) -> Store:
    """A store whose orders were read, on a channel that tells transactions, two in a page."""
    channel.has_transactions, channel.page_size = True, 2
    with unit_of_work():
        runs.start(db.session.get_one(Store, store.id), actor=Actor.operator())
    jobs.import_orders(store.id)
    work()
    return store


def look(work: Work, **later: float) -> None:
    """What the clock and the workers do after some time."""
    with time_machine.travel(now() + timedelta(**later), tick=True):
        jobs.find_due()
        work()


def numbers() -> Sequence[str]:
    db.session.expire_all()
    return [row.number for row in db.session.query(Transaction).order_by(Transaction.id)]


def lane(store: Store) -> StoreSync:
    db.session.expire_all()
    return db.session.get_one(StoreSync, (store.id, finances.LANE))


def test_transactions_are_read_page_by_page_as_far_back_as_orders(
    begun: Store, channel: FakeChannel, work: Work
) -> None:
    channel.transactions = [payment(f"T{place}", days=place) for place in range(5)] + [payment("old", days=31)]
    look(work)
    assert numbers() == ["T0", "T1", "T2", "T3", "T4"]
    assert [window.page for window in channel.transactions_asked] == [None, "2", "4"]
    low = channel.transactions_asked[0].low
    assert timedelta(days=29) < now() - low < timedelta(days=31)
    assert {window.low for window in channel.transactions_asked} == {low}


def test_later_windows_begin_before_the_cursor_and_at_times_as_early_as_one_may_be_late(
    begun: Store, channel: FakeChannel, work: Work
) -> None:
    look(work)
    channel.transactions = [payment("late", days=1.5), payment("new")]
    look(work, minutes=31)
    assert numbers() == ["new"]
    look(work, hours=7)
    assert numbers() == ["new", "late"]
    look(work, hours=8)
    assert len(channel.transactions_asked) == 4


def test_a_window_that_the_channel_cut_short_goes_on_at_once(
    begun: Store, channel: FakeChannel, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = channel.fetch_transactions
    ends = [now() - timedelta(days=10), now()]
    monkeypatch.setattr(channel, "fetch_transactions", lambda *asked: replace(whole(*asked), bound=ends.pop(0)))
    look(work)
    first, second = channel.transactions_asked
    assert second.low == pytest.approx(now() - timedelta(days=10, minutes=10), abs=timedelta(minutes=1))
    assert first.low < second.low


def test_a_page_that_is_gone_begins_its_window_again(begun: Store, channel: FakeChannel, work: Work) -> None:
    look(work)
    channel.transactions = [payment(f"T{place}") for place in range(3)]
    fetch = channel.fetch_transactions

    def gone_once(store: object, window: object) -> object:
        if getattr(window, "page", None) and not channel.told_gone:
            channel.told_gone = True
            raise PageRefused(channel="Fake")
        return fetch(store, window)

    channel.told_gone = False
    channel.fetch_transactions = gone_once
    look(work, minutes=31)
    assert numbers() == ["T0", "T1", "T2"]


@pytest.mark.parametrize(
    "error",
    [
        Denied(name="listTransactions", channel="Fake", problem="no role"),
        Disconnected(channel="Fake"),
        Throttled(channel="Fake", seconds=1.0),
    ],
)
def test_a_fault_disconnects_nothing_and_is_tried_again(
    begun: Store, channel: FakeChannel, work: Work, error: Exception
) -> None:
    channel.transactions = [payment("T1")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channel, "fetch_transactions", Mock(side_effect=error))
        look(work)
    assert lane(begun).store.problem is None
    look(work, days=1)
    assert (numbers(), lane(begun).failures) == (["T1"], 0)


def test_a_channel_without_transactions_is_not_asked(begun: Store, channel: FakeChannel, work: Work) -> None:
    channel.has_transactions = False
    look(work)
    assert channel.transactions_asked == []


def test_the_transactions_of_one_order_are_read_once_in_a_while(
    begun: Store, channel: FakeChannel, work: Work, take: Callable[..., list[Order]]
) -> None:
    [order] = take(incoming_order([incoming_line("CUP", price=500)]))
    refund = replace(
        payment("R", order=order.channel_order_number), kind=TransactionKind.REFUND,
        parts=(TransactionPart("", "CUP", "item", 0, -100),),
    )  # fmt: skip
    channel.transactions = [payment(str(place), order=order.channel_order_number) for place in range(3)] + [refund]
    for _ in range(2):
        finances.read_soon(order)
        work()
    assert [window.order_number for window in channel.transactions_asked] == [order.channel_order_number] * 2
    assert numbers() == ["0", "1", "2", "R"]
    assert db.session.query(CreditMemo).one().total_minor == 100

    channel.failures = [Denied(name="listTransactions", channel="Fake", problem="no role")]
    finances.read_transactions(begun.id, order.channel_order_number)
    assert numbers() == ["0", "1", "2", "R"]
