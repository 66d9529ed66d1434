"""The archive: by hand and by rule, back again, and found all the same; nothing that is still under way goes there."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.orders.conftest import Do
from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage
from webapp.channels.outgoing import Effective, Refused
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Refusal
from webapp.hooks import hookimpl, hooks
from webapp.lists.listing import list_page
from webapp.orders import jobs
from webapp.orders.archiving import SETTINGS, AlreadyArchived, NotArchived, StillOpen, archive_refusal
from webapp.orders.bulk import start_bulk
from webapp.orders.events import events_of, record
from webapp.orders.holds import OnHold
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.queries import find_order, reference
from webapp.orders.services import find_action, raise_attention, read_input
from webapp.search.compiling import compile_query
from webapp.search.query import parse
from webapp.settings.services import change as change_settings
from webapp.sync import jobs as sync_jobs
from webapp.testing import FakeChannel, again, incoming_line, incoming_order
from webapp.updates.deciding import retry
from webapp.updates.models import ChannelUpdate
from webapp.updates.queries import UpdateRefused, UpdatesUnsettled

Take = Callable[..., list[Order]]


@pytest.fixture
def done(take: Take) -> Order:
    """An order that was complete when it was imported."""
    return take(incoming_order(stage=ChannelStage.SHIPPED, status="SHIPPED"))[0]


@pytest.fixture
def asked(app: Flask) -> Iterator[list[list[int]]]:
    """The orders about which the listeners were asked, one list for each call."""

    class Listener:
        @hookimpl
        def keep_from_archive(self, orders: list[int]) -> dict[int, Refusal]:
            questions.append(orders)
            return {}

    questions: list[list[int]] = []
    plugin = Listener()
    hooks.manager.register(plugin)
    yield questions
    hooks.manager.unregister(plugin)


def reloaded(order: Order) -> Order:
    db.session.rollback()
    return find_order(f"@{order.id}", Actor.operator())


def test_an_order_goes_into_the_archive_and_back(done: Order, mia: Actor, do: Do) -> None:
    with pytest.raises(NotArchived):
        do(done, "restore", {}, mia)
    rested(done, 1)
    do(done, "archive", {}, mia)
    row = reloaded(done)
    assert row.archived_at is not None
    assert now() - row.updated_at < timedelta(minutes=5)
    entry = events_of(row)[0]
    assert (entry.code, list(entry.data["after"]["order"]), entry.data["before"]["order"]) == (
        "archived",
        ["archived_at"],
        {"archived_at": None},
    )
    with pytest.raises(AlreadyArchived):
        do(done, "archive", {}, mia)
    do(done, "restore", {}, mia)
    assert reloaded(done).archived_at is None


def test_archived_orders_are_found_but_not_in_the_way(done: Order, mia: Actor, do: Do) -> None:
    do(done, "archive", {}, mia)
    db.session.rollback()
    assert find_order(reference(done), mia).id == done.id
    assert list_page(ORDER_LIST, mia).rows == []
    for text in ("archived:yes", done.channel_order_number, "quixelworth"):
        found = list_page(ORDER_LIST, mia, compile_query(parse(text), mia)).rows
        assert [order.id for order in found] == [done.id], text


def test_what_is_still_to_be_worked_stays(
    take: Take, mia: Actor, do: Do, channel: FakeChannel, work: Callable[[], int]
) -> None:
    order, held = take(incoming_order(), told := incoming_order())
    with pytest.raises(StillOpen):
        do(order, "archive", {}, mia)
    do(order, "ship", {"carrier": "DHL", "tracking_number": "1"}, mia)
    with pytest.raises(UpdatesUnsettled):
        do(order, "archive", {}, mia)
    channel.outcomes.append(Refused("no such package"))
    work()
    with pytest.raises(UpdateRefused):
        do(order, "archive", {}, mia)
    channel.outcomes.append(Effective())
    with unit_of_work():
        retry(db.session.scalars(select(ChannelUpdate)).one(), actor=mia)
    sync_jobs.find_due()
    work()
    do(order, "archive", {}, mia)
    do(held, "hold", {"reason": "x"}, mia)
    take(again(told, stage=ChannelStage.CANCELED, status="CANCELLED"))
    with unit_of_work():  # like one that an earlier version left for half a minute
        db.session.execute(update(Order).where(Order.id == held.id).values(on_hold=True))
    with pytest.raises(OnHold):
        do(held, "archive", {}, mia)


def test_many_are_archived_by_hand_with_one_question_whether_something_keeps_them(
    take: Take, mia: Actor, asked: list[list[int]], work: Callable[[], int]
) -> None:
    orders = take(*(incoming_order(stage=ChannelStage.SHIPPED, status="SHIPPED") for _ in range(6)))
    ids = sorted(order.id for order in orders)
    with unit_of_work():
        start_bulk("archive", read_input(find_action("archive"), {}), actor=mia, ids=ids)
    work()
    assert [sorted(each) for each in asked] == [ids]
    assert all(reloaded(order).archived_at is not None for order in orders)


def test_what_keeps_an_order_is_asked_anew_once_it_changed(take: Take, mia: Actor, asked: list[list[int]]) -> None:
    [order] = take(incoming_order(stage=ChannelStage.SHIPPED, status="SHIPPED"))
    with unit_of_work():
        row = find_order(reference(order), mia, lock=True)
        for _ in range(2):
            assert archive_refusal(row, mia) is None
        record(row, "tried", actor=mia)
        assert archive_refusal(row, mia) is None
    assert asked == [[order.id]] * 2


def test_an_order_that_opens_again_leaves_the_archive(take: Take, mia: Actor, do: Do) -> None:
    told = incoming_order([incoming_line(quantity=1)], stage=ChannelStage.CANCELED, status="CANCELLED")
    [order] = take(told)
    do(order, "archive", {}, mia)
    lines = (*told.lines, incoming_line("CUP", 2))
    [order] = take(again(told, stage=ChannelStage.OPEN, status="UNSHIPPED", lines=lines))
    assert (order.state, order.archived_at) == ("processing", None)
    assert events_of(order)[0].data["after"]["order"]["archived_at"] is None


@pytest.fixture
def after_a_week(app: Flask) -> None:
    with unit_of_work():
        change_settings(SETTINGS, {"archive_after_days": "7"}, actor=Actor.operator())


def rested(order: Order, days: float) -> None:
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == order.id).values(updated_at=now() - timedelta(days=days)))


def by_rule(work: Callable[[], int]) -> None:
    jobs.archive_by_rule.enqueue()
    work()
    db.session.rollback()


@pytest.mark.usefixtures("after_a_week")
def test_the_rule_archives_what_rested_long_enough(take: Take, work: Callable[[], int], mia: Actor, do: Do) -> None:
    shipped = {"stage": ChannelStage.SHIPPED, "status": "SHIPPED"}
    old, young, troubled, restored = take(*(incoming_order(**shipped) for _ in range(4)))
    canceled, waiting = take(incoming_order(stage=ChannelStage.CANCELED, status="CANCELLED"), incoming_order())
    with unit_of_work():
        row = find_order(reference(troubled), mia, lock=True)
        raise_attention(row, "update_unseen")
        record(row, "tried", actor=mia)
    for act in ("archive", "restore"):
        do(restored, act, {}, mia)
    for order in (old, troubled, restored, canceled, waiting):
        rested(order, 7.1)
    rested(young, 6.9)
    when = reloaded(old).updated_at
    for _ in range(2):
        by_rule(work)
    orders = (old, young, troubled, restored, canceled, waiting)
    assert [reloaded(order).archived_at is not None for order in orders] == [True, False, False, False, True, False]
    assert reloaded(old).updated_at == when  # nobody did anything to it
    entries = events_of(old)
    assert [(entry.code, entry.cause) for entry in entries] == [("archived", "rule"), ("placed", "import")]


@pytest.mark.usefixtures("after_a_week")
def test_the_rule_goes_on_in_chunks(take: Take, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "CHUNK", 2)
    orders = take(*(incoming_order(stage=ChannelStage.SHIPPED, status="SHIPPED") for _ in range(5)))
    for order in orders:
        rested(order, 8)
    by_rule(work)
    assert all(reloaded(order).archived_at is not None for order in orders)


def test_without_days_nothing_is_archived(done: Order, work: Callable[[], int]) -> None:
    rested(done, 4000)
    by_rule(work)
    assert reloaded(done).archived_at is None
