"""The figures equal the sums over the orders, after any order of imports, acts, folds and kills."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import delete, func, select

from webapp.audit.actor import Actor, ActorKind
from webapp.channels.incoming import ChannelStage
from webapp.channels.models import Shop, Store
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.live import connection, key
from webapp.money import Money
from webapp.orders.holds import hold, hold_refusal, release
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.orders.services import comment
from webapp.reporting import jobs
from webapp.reporting.figures import Interval, Scope, orders_by_state, sales, sales_by_store, sales_of
from webapp.reporting.folding import LEASE, Lease, LeaseLost, fold, missing, only_one, shops_to_count
from webapp.reporting.jobs import fold_all, put_right
from webapp.reporting.models import DailyFigure, FigureChange, FigureZone
from webapp.testing import again, incoming_line, incoming_order

DAY = date(2026, 11, 10)
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
ALONE: Any = SimpleNamespace(keep=lambda: None)  # in a test nobody else folds
STAGES = [ChannelStage.AWAITING_PAYMENT, ChannelStage.OPEN, ChannelStage.SHIPPED, ChannelStage.CANCELED]

readings = st.tuples(st.just("read"), st.integers(0, 2), st.sampled_from(STAGES), st.sampled_from([None, 900, 4200]))
acts = st.tuples(st.sampled_from(["ship", "hold", "release", "comment"]), st.integers(0, 2))
others = st.sampled_from([("fold",), ("fold one",), ("zone", "Asia/Tokyo"), ("zone", "UTC"), ("undone",)])
steps = st.lists(st.one_of(readings, acts, others), min_size=1, max_size=12)


def fold_figures() -> None:
    """Count and fold, as the clock's job and the jobs that it enqueues do."""
    jobs.count_shops()
    jobs.fold_figures()


def rows_of(model: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def exact() -> bool:
    """Whether orders and figures agree, once days are counted in the shops' present zones."""
    db.session.rollback()
    return missing(ALONE)[0] == {}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=steps)
def test_figures_are_what_the_orders_say(
    take: Callable[..., list[Order]], store: Store, operator: Actor, script: Sequence[Any]
) -> None:
    told = [incoming_order(created_at=NOON + timedelta(hours=11 * n), marketplace="DE") for n in range(3)]
    orders = take(*told)
    for step in script:
        db.session.rollback()
        match step:
            case ("read", which, stage, total):
                currency = told[which].currency if total else None
                told[which] = again(told[which], stage=stage, status=stage.value, total=total, currency=currency)
                take(told[which])
            case ("fold",):
                fold_figures()
            case ("fold one",):
                with unit_of_work():
                    fold(1)
            case ("zone", zone):
                with unit_of_work():
                    db.session.get_one(Shop, store.shop_id).zone = zone
                fold_figures()
            case ("undone",):
                killed_while_folding()
            case (what, which):
                act(orders[which].id, what, operator)
        assert exact(), step
    fold_figures()
    assert rows_of(FigureChange) == 0
    assert exact()


def act(order_id: int, what: str, actor: Actor) -> None:
    with unit_of_work():
        order = locked(db.session.get_one(Order, order_id))
        match what:
            case "ship" if order.state == "processing" and order.unshipped and not order.on_hold:
                line = order.lines[0]
                ship_order(order, [PackageInput("DHL", "JD1", lines={line.id: line.open})], actor=actor)
            case "hold" if hold_refusal(order, actor) is None:
                hold(order, "wait", actor=actor)
            case "release" if order.on_hold:
                release(order, actor=actor)
            case "comment":
                comment(order, "a word", actor=actor)


def killed_while_folding() -> None:
    """A fold that is killed before its commit has no effect."""
    folded = rows_of(DailyFigure), rows_of(FigureChange)
    db.session.rollback()
    with contextlib.suppress(ZeroDivisionError), unit_of_work():
        fold()
        raise ZeroDivisionError
    assert (rows_of(DailyFigure), rows_of(FigureChange)) == folded


def test_a_page_becomes_a_few_rows_and_an_act_two(take: Callable[..., list[Order]], operator: Actor) -> None:
    orders = take(*(incoming_order(created_at=NOON) for _ in range(30)))
    assert rows_of(FigureChange) == 1

    act(orders[0].id, "ship", operator)

    rows = db.session.execute(select(FigureChange.state, FigureChange.orders).order_by(FigureChange.id)).all()
    assert [tuple(row) for row in rows] == [("processing", 30), ("processing", -1), ("complete", 1)]
    act(orders[1].id, "comment", operator)
    assert rows_of(FigureChange) == 3


def test_the_same_again_adds_nothing(take: Callable[..., list[Order]]) -> None:
    order = incoming_order()
    take(order)
    take(order)
    take(again(order, ship_by=NOON))
    assert rows_of(FigureChange) == 1


def test_orders_from_before_the_figures_are_counted_once(take: Callable[..., list[Order]], operator: Actor) -> None:
    take(*(incoming_order(created_at=NOON) for _ in range(5)))
    with unit_of_work():
        db.session.execute(delete(FigureChange))
    fold_figures()
    fold_figures()
    assert sales(operator, DAY, DAY).orders == 5
    assert shops_to_count() == {}


def test_a_day_is_the_shops_own(take: Callable[..., list[Order]], store: Store, operator: Actor) -> None:
    take(incoming_order(created_at=NOON + timedelta(hours=8)))
    fold_figures()
    with unit_of_work():
        db.session.get_one(Shop, store.shop_id).zone = "Asia/Tokyo"
    assert sales(operator, DAY, DAY).orders == 1  # until a job has counted again

    fold_figures()

    assert sales(operator, DAY, DAY).orders == 0
    assert sales(operator, DAY + timedelta(days=1), DAY + timedelta(days=1)).orders == 1
    assert db.session.scalars(select(FigureZone.zone)).all() == ["Asia/Tokyo"]


def test_only_one_folds_at_a_time(take: Callable[..., list[Order]]) -> None:
    take(incoming_order())
    other = connection().lock(key("figures"), timeout=60)
    assert other.acquire()
    fold_figures()
    assert rows_of(FigureChange) == 1
    other.release()
    fold_figures()
    assert (rows_of(FigureChange), rows_of(DailyFigure)) == (0, 1)


def test_a_turn_lasts_for_as_long_as_it_is_kept_up_and_a_minute_after_a_death(app: Flask) -> None:
    lock = connection().lock(key("figures"))
    with only_one() as lease:
        assert lease is not None
        connection().expire(key("figures"), 5)
        lease.keep()
        assert LEASE - 2 <= connection().ttl(key("figures")) <= LEASE <= 60  # then it is anybody's, dead or alive
        with only_one() as other:
            assert other is None
    assert not lock.locked()


def test_whoever_lost_the_turn_writes_nothing(take: Callable[..., list[Order]]) -> None:
    take(incoming_order())
    with only_one() as lease:
        assert lease is not None
        connection().delete(key("figures"))
        for work in (lambda: fold_all(lease), lambda: put_right(lease, {}, {}), lambda: missing(lease)):
            with pytest.raises(LeaseLost):
                work()
    assert (rows_of(FigureChange), rows_of(DailyFigure)) == (1, 0)


def test_a_lost_turn_is_left_to_whoever_has_it_now(app: Flask) -> None:
    another = connection().lock(key("figures"), timeout=60)
    with only_one() as lease:
        assert lease is not None
        connection().delete(key("figures"))
        assert another.acquire(blocking=False)
    assert another.owned()
    another.release()


def test_nobody_waits_for_the_turn_to_be_kept_up(
    take: Callable[..., list[Order]], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may wait for Redis while it hangs: it would delay whatever waits for the writer's open transaction."""
    take(incoming_order())
    asked: list[bool] = []
    keep = Lease.keep

    def watched(lease: Lease) -> None:
        asked.append(db.session().in_transaction())
        keep(lease)

    monkeypatch.setattr(Lease, "keep", watched)
    fold_figures()
    with unit_of_work():
        db.session.get_one(Shop, store.shop_id).zone = "Asia/Tokyo"
    fold_figures()
    assert len(asked) > 4
    assert not any(asked)
    assert exact()


def test_sales_keep_currencies_apart_and_leave_canceled_orders_out(
    take: Callable[..., list[Order]], operator: Actor
) -> None:
    take(
        incoming_order([incoming_line(price=1000)], created_at=NOON),
        incoming_order([incoming_line(price=2001)], created_at=NOON),
        incoming_order([incoming_line(price=500)], created_at=NOON, marketplace="JP", currency="JPY"),
        incoming_order(created_at=NOON, stage=ChannelStage.CANCELED, status="CANCELLED"),
        incoming_order(created_at=NOON, total=None, stage=ChannelStage.AWAITING_PAYMENT, status="PENDING"),
    )
    for folded in (False, True):
        if folded:
            fold_figures()
        found = sales(operator, DAY, DAY)
        assert (found.orders, found.units, found.canceled) == (4, 4, 1)
        assert found.currencies == ["EUR", "JPY"]
        assert found.totals["EUR"].total == Money(1200 + 2401, "EUR")
        assert found.totals["EUR"].average == Money(1801, "EUR")
        assert found.totals["JPY"].total == Money(600, "JPY")
        assert found.totals[""].orders == 1


def test_sales_by_interval_and_scope(take: Callable[..., list[Order]], store: Store, operator: Actor) -> None:
    days = [date(2026, 10, 31), date(2026, 11, 1), date(2026, 11, 9), DAY]
    take(*(incoming_order(created_at=datetime(day.year, day.month, day.day, 12, tzinfo=UTC)) for day in days))
    take(incoming_order(created_at=NOON, marketplace="JP", currency="JPY"))

    by_month = sales(operator, date(2026, 10, 1), DAY, by=Interval.MONTH)
    assert [(step.start, step.end, step.orders) for step in by_month.steps.values()] == [
        (date(2026, 10, 1), date(2026, 10, 31), 1),
        (date(2026, 11, 1), DAY, 4),
    ]
    by_week = sales(operator, date(2026, 11, 4), DAY, by=Interval.WEEK)
    assert [(step.start, step.orders) for step in by_week.steps.values()] == [
        (date(2026, 11, 4), 0),
        (date(2026, 11, 9), 3),
    ]
    for scope, orders in (
        (Scope(marketplace="JP"), 1),
        (Scope(store_id=store.id), 2),
        (Scope(store_id=store.id + 1), 0),
        (Scope(shop_id=store.shop_id), 2),
        (Scope(channel="fake"), 2),
        (Scope(channel="other"), 0),
    ):
        assert sales(operator, DAY, DAY, scope=scope).orders == orders, scope
    now, before = sales_of(operator, [(DAY, DAY), (DAY - timedelta(days=1), DAY - timedelta(days=1))])
    assert (now.orders, before.orders) == (2, 1)
    assert [one.orders for one in sales_by_store(operator, [(DAY, DAY)])[store.id]] == [2]
    assert orders_by_state(operator, store.id) == {"processing": 5}


def test_who_sees_no_shop_sees_no_sales(take: Callable[..., list[Order]], mia: Actor) -> None:
    take(incoming_order(created_at=NOON))
    assert sales(mia, DAY, DAY).orders == 1
    assert sales(replace(mia, shops=frozenset()), DAY, DAY).orders == 0
    with pytest.raises(Forbidden):
        sales(Actor(ActorKind.PERSON, id=9), DAY, DAY)


@pytest.mark.parametrize(
    ("wish", "days", "interval"),
    [
        (None, 7, Interval.DAY),
        (None, 90, Interval.WEEK),
        (None, 365, Interval.MONTH),
        (Interval.DAY, 365, Interval.WEEK),
        (Interval.DAY, 3650, Interval.MONTH),
        (Interval.MONTH, 7, Interval.MONTH),
    ],
)
def test_an_interval_is_wide_enough_to_be_seen(wish: Interval | None, days: int, interval: Interval) -> None:
    assert Interval.fitting(wish, DAY - timedelta(days=days - 1), DAY) is interval
