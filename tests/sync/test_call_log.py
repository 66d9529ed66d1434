"""The communication log: what channels report of their calls is written after the act, and kept by rule."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.plans import plans_of
from tests.sync.conftest import update
from webapp.audit.actor import Actor
from webapp.channels.calling import calling
from webapp.channels.connecting import Call, CallOutcome, ChannelError, Denied, Disconnected, StoreAccess, Throttled
from webapp.channels.incoming import PageRefused, UnreadableOrder
from webapp.channels.models import AccountState, Store
from webapp.channels.services import access
from webapp.clock import now
from webapp.db import analyze, db, unit_of_work
from webapp.jobs.schedule import enqueue_due
from webapp.orders.models import Order
from webapp.settings.services import change
from webapp.sync import call_log, jobs
from webapp.sync.hookimpls import register_schedules
from webapp.sync.models import ChannelCall
from webapp.testing import FakeChannel, incoming_order, sync_now

Take = Callable[..., list[Order]]
Work = Callable[[], int]


def calls() -> list[ChannelCall]:
    """Every call that was logged, oldest first."""
    db.session.expire_all()
    return list(db.session.scalars(select(ChannelCall).order_by(ChannelCall.id)))


def brief() -> list[tuple[Any, ...]]:
    return [(one.operation, one.outcome, one.order_id, one.update_id) for one in calls()]


def call(**more: Any) -> Call:
    usual: dict[str, Any] = {"operation": "order", "outcome": CallOutcome.OK, "at": now(), "seconds": 0.25}
    return Call(**{**usual, "status": 200, **more})


def report(store: Store, *reported: Any) -> None:
    """Report calls in a job of this store."""
    with call_log.logged(access(store)) as given:
        for one in reported:
            given.report(one)


# --- Where calls come from --------------------------------------------------------------------------------------------


def test_reading_a_store_is_logged_without_orders(store: Store, channel: FakeChannel) -> None:
    channel.offer(incoming_order(), incoming_order())
    with unit_of_work():
        db.session.get_one(Store, store.id).account_state = AccountState.UNASKED
    sync_now(store)
    assert set(brief()) == {("connect", "ok", None, None), ("orders", "ok", None, None)}
    assert {one.status for one in calls()} == {200}


def test_an_act_is_logged_with_its_order_and_its_update(shipped: Order, work: Work) -> None:
    work()
    assert update().state == "sent"
    assert ("shipment", "ok", shipped.id, update().id) in brief()


@pytest.mark.parametrize(
    ("error", "outcome", "problem"),
    [
        (Throttled(channel="Fake", seconds=60), "throttled", "channel_throttled"),
        (Denied(channel="Fake", problem="no role"), "refused", "channel_denied"),
        (Disconnected(channel="Fake", problem="no"), "refused", "channel_disconnected"),
        (ChannelError(channel="Fake", problem="a web page"), "failed", "channel_failed"),
    ],
)
def test_what_fails_says_why(
    shipped: Order, channel: FakeChannel, work: Work, error: ChannelError, outcome: str, problem: str
) -> None:
    channel.failures.append(error)
    work()
    [one] = [one for one in calls() if one.operation == "shipment" and one.outcome != "ok"]
    assert (one.outcome, one.problem, one.order_id, one.update_id) == (outcome, problem, shipped.id, update().id)


def test_a_single_order_is_logged_also_if_it_was_unknown_before(store: Store, channel: FakeChannel) -> None:
    told = incoming_order()
    channel.offer(told)
    jobs.fetch_order(store.id, told.number)
    order = db.session.scalars(select(Order)).one()
    assert brief() == [("order", "ok", order.id, None)]
    channel.orders[told.number] = UnreadableOrder(told.number, "lines", "missing")
    jobs.fetch_order(store.id, "nothing")
    assert brief()[-1] == ("order", "ok", None, None)


def test_a_test_of_the_connection_is_logged(store: Store) -> None:
    with unit_of_work():
        db.session.get_one(Store, store.id).account_state = AccountState.UNASKED
    jobs.connect_again(store.id)
    assert brief() == [("connect", "ok", None, None)]


# --- One call ---------------------------------------------------------------------------------------------------------


def test_a_call_is_reported_however_its_block_ends() -> None:
    reported: list[Call] = []
    with calling(reported.append, "search") as made:
        for status in (503, 200):
            with made.sending():
                pass
            made.answered(status, request_id=f"r{status}", detail="Busy" if status == 503 else "")
    with calling(reported.append, "nothing"):
        pass  # nothing was called
    for error, writes in ((PageRefused(channel="Fake"), False), (KeyError("x"), False), (SystemExit(), True)):
        with pytest.raises(type(error)), calling(reported.append, "act", writes=writes) as made, made.sending():
            raise error
    assert [(one.operation, one.outcome, one.tries) for one in reported] == [
        ("search", "ok", 2), ("act", "refused", 1), ("act", "failed", 1), ("act", "lost", 1),
    ]  # fmt: skip
    assert (reported[0].status, reported[0].request_id, reported[0].detail) == (200, "r200", "")
    assert reported[1].problem == "channel_page_refused"


def test_a_call_about_many_orders_has_a_row_for_each(store: Store, take: Take) -> None:
    orders = take(*[incoming_order() for _ in range(3)])
    numbers = [one.channel_order_number for one in orders]
    report(store, call(orders=[*numbers, numbers[0], "unknown"]), call(orders=["unknown"]))
    assert [one.order_id for one in calls()[-4:]] == [*(one.id for one in orders), None]


def test_orders_and_updates_of_another_store_are_not_named(
    shipped: Order, store: Store, take: Take, operator: Actor
) -> None:
    with unit_of_work():
        other = Store(channel="fake", name="Other", shop_id=store.shop_id, created_at=now())
        db.session.add(other)
    report(other, call(updates=[update().id], orders=[shipped.channel_order_number]))
    assert (calls()[-1].store_id, calls()[-1].order_id, calls()[-1].update_id) == (other.id, None, None)


def test_only_codes_and_numbers_are_kept(store: Store) -> None:
    sentence = "No such address: Jane Quixelworth, 7 Zanzibar Mews"
    report(store, call(outcome=CallOutcome.REFUSED, problem=sentence, detail=sentence, request_id=sentence, status=400))
    [one] = calls()
    assert (one.problem, one.detail, one.request_id, one.status) == ("", "", "", 400)
    codes = {"problem": "amazon_refused", "detail": "QuotaExceeded", "request_id": "a1-b2:c3"}
    report(store, call(seconds=1.2345, tries=3, **codes))
    one = calls()[-1]
    assert (one.detail, one.problem, one.request_id) == ("QuotaExceeded", "amazon_refused", "a1-b2:c3")
    assert (one.took, one.tries) == (1234, 3)


@pytest.mark.parametrize(
    "odd",
    [
        {"operation": "Jane Quixelworth"},
        {"operation": 7},
        {"outcome": "fine"},
        {"at": datetime(2026, 1, 1)},  # noqa: DTZ001 - that is what is odd
        {"seconds": None},
    ],
)
def test_what_a_plugin_reports_wrongly_is_left_out(store: Store, odd: dict[str, Any]) -> None:
    report(store, call(**odd), "no call", call(seconds=float("inf"), status="200", tries=-1))
    [one] = calls()
    assert (one.took, one.status, one.tries) == (0, None, 1)


def test_a_log_that_cannot_be_written_fails_no_act(
    shipped: Order, channel: FakeChannel, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_given: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(call_log, "write_rows", full)
    work()
    assert (update().state, len(channel.delivered)) == ("sent", 1)
    assert calls() == []


def test_a_call_is_written_after_the_act_even_if_the_job_fails(store: Store) -> None:
    def fail(given: StoreAccess) -> None:
        given.report(call())
        assert calls() == []
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"), call_log.logged(access(store)) as given:
        fail(given)
    assert len(calls()) == 1


def test_nobody_keeps_calls_outside_of_jobs(store: Store) -> None:
    StoreAccess(store.id, {}).report(call())
    assert calls() == []


# --- Kept by rule -----------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(store: Store, take: Take) -> Order:
    """Of each age a call of each sort: quiet, failed, of an order, failed of an order."""
    [order] = take(incoming_order())
    with unit_of_work():
        db.session.query(ChannelCall).delete()
    sorts = [
        call(operation="quiet"),
        call(operation="failed", outcome=CallOutcome.FAILED),
        call(operation="of_order", orders=[order.channel_order_number]),
        call(operation="failed_of_order", outcome=CallOutcome.LOST, orders=[order.channel_order_number]),
    ]
    for days in (1, 10, 100):
        report(store, *(replace(one, at=now() - timedelta(days=days)) for one in sorts))
    return order


def left() -> list[tuple[str, int]]:
    return [(one.operation, (now() - one.at).days) for one in calls()]


LEFT = [
    ("quiet", 1), ("failed", 1), ("of_order", 1), ("failed_of_order", 1), ("failed", 10), ("of_order", 10),
    ("failed_of_order", 10), ("failed_of_order", 100),
]  # fmt: skip


def test_calls_are_kept_by_rule(kept: Order) -> None:
    [due] = [one for one in register_schedules() if one.job is jobs.forget_calls]
    assert enqueue_due([due]) == [jobs.forget_calls.name]
    jobs.forget_calls()
    assert left() == LEFT
    assert not call_log.any_to_forget()


def test_the_rule_is_a_setting(kept: Order, operator: Actor) -> None:
    with unit_of_work():
        change(call_log.SETTINGS, {call_log.KEPT.name: 5, call_log.QUIET_KEPT.name: 400}, actor=operator)
    jobs.forget_calls()
    assert [one for one in left() if one[1] > 5] == [("failed_of_order", 10), ("failed_of_order", 100)]


def test_many_calls_are_deleted_in_batches(kept: Order, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    report(store, *[call(at=now() - timedelta(days=50)) for _ in range(1200)])
    with unit_of_work():
        assert call_log.forget_some()
    assert len(calls()) == 12 + 1200 - 500
    jobs.forget_calls()
    assert left() == LEFT


def test_forgetting_reads_only_what_it_deletes(kept: Order, store: Store) -> None:
    """Failed calls of orders are kept for years, and would be read at each deletion."""
    old = {"outcome": CallOutcome.LOST, "orders": [kept.channel_order_number], "at": now() - timedelta(days=100)}
    report(store, *[call(**old) for _ in range(2_000)])
    analyze()
    for ask in (call_log.any_to_forget, call_log.forget_some):
        with unit_of_work():
            plans = plans_of(ask, "channel_calls")
        assert plans
        for plan in plans:
            assert re.search("ix_channel_calls_(quiet|dated)", plan), plans
            assert not re.search("ix_channel_calls_(at|failed|store|order)", plan), plans
    assert len(plans) == 2  # without a call to delete, both rules are asked
    assert "ix_channel_calls_quiet" in plans[0]
    assert "ix_channel_calls_dated" in plans[1]
