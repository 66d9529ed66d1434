"""Facts: a listener that fails is called again, and delays neither an import nor another listener."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DatabaseBusy, Refusal
from webapp.fulfillment.contract import ShipmentCreated
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.jobs import telling
from webapp.jobs.models import MissedFact
from webapp.jobs.telling import any_to_tell, tell_again, waiting
from webapp.orders.contract import Amount, AmountChange, Move, OrdersChange, Origin, UnitsMoved
from webapp.orders.events import record
from webapp.orders.models import Order, OrderEvent, Tag
from webapp.orders.services import comment
from webapp.testing import again, incoming_order

Take = Callable[..., list[Order]]
Pass = Callable[[timedelta], None]


class Listening:
    """A plugin that listens to orders, and fails while the test wants it to."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.heard: list[Any] = []

    def hear(self, fact: Any) -> None:
        db.session.add(Tag(name=f"{id(self)} {len(self.heard)}"))
        db.session.flush()
        if self.error is not None:
            raise self.error
        self.heard.append(fact)

    @hookimpl
    def orders_imported(self, orders: list[int]) -> None:
        self.hear(orders)

    @hookimpl
    def orders_changed(self, changes: list[OrdersChange]) -> None:
        self.hear(changes)


@pytest.fixture
def first(app: object) -> Listening:
    made = Listening()
    hooks.manager.register(made, name="first")
    return made


@pytest.fixture
def second(app: object) -> Listening:
    made = Listening()
    hooks.manager.register(made, name="second")
    return made


@pytest.fixture
def clock() -> Iterator[Pass]:
    """Let time pass."""
    with time_machine.travel(now(), tick=True) as traveller:
        yield lambda passed: traveller.shift(passed)


def tags() -> int:
    return len(db.session.scalars(select(Tag.id)).all())


@pytest.mark.parametrize("error", [ValueError("Quixelworth"), AttributeError("x"), Refusal()])
def test_an_import_goes_on_and_the_listener_is_told_again(
    take: Take,
    first: Listening,
    second: Listening,
    clock: Pass,
    plugin_failures: list[Failure],
    error: Exception,
) -> None:
    first.error = error
    orders = take(incoming_order(), incoming_order())
    ids = sorted(order.id for order in orders)
    assert len(ids) == 2
    assert [sorted(heard) for heard in second.heard] == [ids]
    assert tags() == 1  # the first listener's writes are rolled back
    assert waiting() == {"first": 1}
    assert not any_to_tell()
    db.session.rollback()

    clock(timedelta(minutes=2))
    assert any_to_tell()
    tell_again()
    assert waiting() == {"first": 1}
    first.error = None
    clock(timedelta(minutes=1))
    assert not any_to_tell()  # each try waits twice as long
    db.session.rollback()
    clock(timedelta(minutes=3))
    tell_again()

    assert [sorted(heard) for heard in first.heard] == [ids]
    assert (waiting(), tags()) == ({}, 2)
    assert {(one.plugin, one.code) for one in plugin_failures} == {("first", "orders_imported")}
    assert "Quixelworth" not in str(plugin_failures)
    plugin_failures.clear()
    db.session.rollback()
    tell_again()
    assert len(first.heard) == 1


def test_changes_are_told_again_as_they_were(
    take: Take, first: Listening, second: Listening, clock: Pass, plugin_failures: list[Failure]
) -> None:
    order = incoming_order()
    take(order)
    first.error = ValueError()
    take(again(order, ship_by=order.created_at + timedelta(days=9), service_level="EXPEDITED"))
    first.error = None
    clock(timedelta(minutes=2))
    tell_again()
    assert first.heard[-1] == second.heard[-1]
    assert first.heard[-1][0].changed["service_level"] == "EXPEDITED"
    plugin_failures.clear()


def test_what_is_kept_reads_as_it_was() -> None:
    facts: list[tuple[str, Any]] = [
        ("orders_changed", OrdersChange(1, "changed_there", {"ship_by": "2026-11-30T10:00:00Z"}, {"ship_by": None})),
        ("units_moved", UnitsMoved(1, 7, Move.CANCELED, 2, Origin.ELSEWHERE)),
        ("amounts_changed", AmountChange(1, None, "item", Amount(100, 20), Amount(90, 18, 2))),
        ("shipments_created", ShipmentCreated(3, 1, Origin.DESK)),
    ]
    for hook, fact in facts:
        adapter = telling._adapter(hook)
        [kept] = adapter.validate_python(json.loads(json.dumps(adapter.dump_python([fact], mode="json"))))
        assert kept == fact
        assert type(kept) is type(fact)
    assert telling._adapter("orders_changed").validate_python(  # from a desk whose changes contained the amounts
        [{"order_id": 1, "code": "changed_there", "changed": {}, "before": {}, "amounts": [{"line_id": 7}]}]
    ) == [OrdersChange(1, "changed_there")]


def test_trouble_of_the_database_is_nobodys_fault(take: Take, first: Listening) -> None:
    first.error = DatabaseBusy()
    with pytest.raises(DatabaseBusy):
        take(incoming_order())
    db.session.rollback()
    assert waiting() == {}
    assert db.session.scalars(select(Order)).all() == []


def test_a_plugin_that_is_gone_is_waited_for_and_given_up_after_a_month(
    take: Take, first: Listening, clock: Pass, plugin_failures: list[Failure]
) -> None:
    first.error = ValueError()
    take(incoming_order())
    plugin_failures.clear()
    hooks.manager.unregister(first)
    clock(timedelta(days=2))
    tell_again()
    assert waiting() == {"first": 1}
    db.session.rollback()
    clock(timedelta(days=29))
    tell_again()
    assert waiting() == {}


def test_a_part_is_told_at_once(first: Listening, clock: Pass, work: Callable[[], int]) -> None:
    at = now() - timedelta(minutes=1)
    row = {"plugin": "first", "hook": "orders_imported", "at": at, "next_at": at, "tries": 1}
    with unit_of_work():
        db.session.add_all([MissedFact(**row, facts=[number]) for number in range(telling.AT_ONCE + 3)])
    tell_again()
    assert len(first.heard) == telling.AT_ONCE
    assert work() == 1
    assert sorted(number for [number] in first.heard) == list(range(telling.AT_ONCE + 3))


@pytest.mark.parametrize(("hook", "facts"), [("units_moved", [{"order": 1}]), ("units_were_moved", [1])])
def test_what_another_version_kept_holds_no_other_fact_back(
    first: Listening, clock: Pass, hook: str, facts: list[Any]
) -> None:
    first.units_moved = hookimpl(lambda moves: first.heard.append(moves))  # type: ignore[attr-defined]
    hooks.manager.unregister(first)
    hooks.manager.register(first, name="first")
    at = now() - timedelta(minutes=1)
    row = {"plugin": "first", "at": at, "next_at": at, "tries": 1}
    with unit_of_work():
        db.session.add(MissedFact(**row, hook=hook, facts=facts))
        db.session.flush()
        db.session.add(MissedFact(**row | {"next_at": now()}, hook="orders_imported", facts=[7]))
    tell_again()
    assert first.heard == [[7]]
    assert waiting() == {"first": 1}
    db.session.rollback()
    clock(timedelta(days=31))
    tell_again()
    assert waiting() == {}


class Recording:
    """A plugin that records an event on every changed order of which it is told."""

    def __init__(self, name: str) -> None:
        self.name, self.heard = name, list[str]()

    @hookimpl
    def orders_changed(self, changes: list[OrdersChange]) -> None:
        self.heard += [change.code for change in changes]
        for change in changes:
            order = db.session.get_one(Order, change.order_id, with_for_update=True)
            record(order, f"heard_by_{self.name}", actor=Actor.job(self.name))


def events() -> list[str]:
    """The events that listeners recorded."""
    codes = select(OrderEvent.code).where(OrderEvent.code.like("heard%"))
    return list(db.session.scalars(codes.order_by(OrderEvent.id)))


@pytest.mark.parametrize("path", ["act", "import"])
def test_what_a_listener_records_is_told_to_the_others_and_never_to_itself(
    path: str, take: Take, mia: Actor, plugin_failures: list[Failure]
) -> None:
    """Two listeners that each record an event on the other's event: each is told the fact and the other's event, and
    no more.
    """
    coming = incoming_order()
    [order] = take(coming)
    one, two = Recording("one"), Recording("two")
    for plugin in (one, two):
        hooks.manager.register(plugin, name=plugin.name)
    if path == "act":
        with unit_of_work():
            comment(db.session.get_one(Order, order.id, with_for_update=True), "Hello", actor=mia)
    else:
        take(again(coming, status="Odd"))
    said = "commented" if path == "act" else "changed_there"
    assert sorted(one.heard) == sorted([said, "heard_by_two"])
    assert sorted(two.heard) == sorted([said, "heard_by_one"])
    assert len(events()) == 4
    assert (waiting(), plugin_failures) == ({}, [])


def test_what_a_listener_records_when_it_is_told_again_is_not_told_to_itself(
    take: Take, clock: Pass, plugin_failures: list[Failure]
) -> None:
    coming = incoming_order()
    take(coming)
    one = Recording("one")
    hooks.manager.register(one, name="one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.record", None)
        take(again(coming, status="Odd"))
    assert waiting() == {"one": 1}
    plugin_failures.clear()
    clock(timedelta(minutes=2))
    tell_again()
    assert (waiting(), events()) == ({}, ["heard_by_one"])


def test_what_is_written_because_of_a_listener_that_fails_is_undone_with_it(
    take: Take, plugin_failures: list[Failure]
) -> None:
    """The next fact is reported to it all the same."""
    coming = incoming_order()
    take(coming)

    class Failing(Recording):
        @hookimpl
        def orders_changed(self, changes: list[OrdersChange]) -> None:
            super().orders_changed(changes)
            if self.heard[-1] == "changed_there":
                raise ValueError("Quixelworth")

    failing, other = Failing("failing"), Recording("other")
    hooks.manager.register(failing, name="failing")
    hooks.manager.register(other, name="other")
    take(again(coming, status="Odd"))
    take(again(coming, minutes=9, status="Odder"))
    assert failing.heard.count("changed_there") == 2
    assert sorted(events()) == ["heard_by_failing", "heard_by_failing", "heard_by_other", "heard_by_other"]
    assert waiting() == {"failing": 2}
    plugin_failures.clear()
