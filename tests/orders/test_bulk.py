"""Bulk acts: each order once, whatever dies or comes twice; a result for each; pause, stop, and another try."""

import errno
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
import time_machine

from webapp.accounts.models import User
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DatabaseBusy, DiskFull, Forbidden, Refusal, sentence_of
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.i18n import lazy_gettext as _l
from webapp.jobs import runs
from webapp.jobs.models import Run, RunResult
from webapp.orders import bulk
from webapp.orders.bulk import (
    InputLost,
    NothingChosen,
    NothingToRepeat,
    NotInBulk,
    TooManyForOneRun,
    act_on_chunk,
    chosen_ids,
    result_counts,
    start_bulk,
    start_each,
    try_again,
)
from webapp.orders.contract import ActionInput, OrderAction
from webapp.orders.jobs import forget_submissions
from webapp.orders.models import BulkAct, Order, OrderComment
from webapp.orders.services import ManagedAtChannel, comment, find_action, read_input
from webapp.testing import incoming_line, incoming_order
from webapp.vault.services import open_sealed


class NoteInput(ActionInput):
    text: str


class OddOnes(Refusal):
    code = "odd_ones"
    sentence = _l("Orders like this one are not noted.")


class Note(OrderAction):
    """Comments, and calls the test's own function meanwhile."""

    code, label, right, bulk, Input = "note", _l("Note"), "orders.comment", True, NoteInput

    def __init__(self) -> None:
        self.before: Callable[[Order], None] = lambda order: None

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return None

    def perform(self, order: Order, data: NoteInput, actor: Actor) -> None:
        comment(order, data.text, actor=actor)
        self.before(order)


class NoteAlone(Note):
    code, bulk = "note_alone", False


class Plugin:
    def __init__(self, *actions: OrderAction) -> None:
        self.actions = list(actions)

    @hookimpl
    def register_order_actions(self) -> list[OrderAction]:
        return self.actions


@pytest.fixture
def note(app: Any) -> Iterator[Note]:
    action = Note()
    plugin = Plugin(action, NoteAlone())
    hooks.manager.register(plugin)
    yield action
    hooks.manager.unregister(plugin)


@pytest.fixture
def orders(take: Callable[..., list[Order]]) -> list[int]:
    """Ids of seven orders."""
    return [order.id for order in take(*(incoming_order([incoming_line()]) for _ in range(7)))]


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 3)


def begin(actor: Actor, ids: list[int] | None, text: str = "Rang Mrs. Quixelworth", **more: Any) -> int:
    data, key = read_input(find_action("note"), {"text": text}), more.pop("key", "")
    chosen = chosen_ids(actor, ids=ids, **more)
    with unit_of_work():
        return start_bulk("note", data, actor=actor, ids=chosen, key=key).id


def run_of(run_id: int) -> Run:
    db.session.expire_all()
    return runs.find_run(run_id)


def lead(run_id: int, what: Callable[[Run], None]) -> None:
    with unit_of_work():
        what(runs.find_run(run_id, lock=True))


def notes() -> dict[int, int]:
    """How many comments each order has."""
    found: dict[int, int] = {}
    for order_id in db.session.scalars(db.select(OrderComment.order_id)):
        found[order_id] = found.get(order_id, 0) + 1
    return found


def test_every_order_is_acted_on_once(note: Note, orders: list[int], mia: Actor, work: Callable[[], int]) -> None:
    run_id = begin(mia, orders[1:])
    assert (run_of(run_id).state, run_of(run_id).total) == ("queued", 6)
    work()
    run = run_of(run_id)
    assert (run.state, run.done, run.failed, run.ended_at is not None) == ("done", 6, 0, True)
    assert notes() == dict.fromkeys(orders[1:], 1)
    assert result_counts(run) == {"done": 6}
    [row] = db.session.query(OrderComment).filter_by(order_id=orders[1])
    assert (row.actor_kind, row.actor_id) == ("person", mia.id)


def test_what_was_typed_is_sealed_and_in_no_number(
    note: Note, orders: list[int], mia: Actor, work: Callable[[], int]
) -> None:
    run = run_of(begin(mia, orders))
    work()
    assert b"Quixelworth" not in db.session.get_one(BulkAct, run.id).sealed
    [entry] = db.session.query(AuditEntry).filter_by(code="bulk_started")
    assert "Quixelworth" not in f"{entry.data} {run_of(run.id).numbers}"
    assert (entry.actor_id, entry.data) == (mia.id, {"run": run.id, "action": "note", "orders": 7})
    row = db.session.query(OrderComment).first()
    assert row is not None
    assert open_sealed([(row.order_id, "comment", row.sealed)]) == ["Rang Mrs. Quixelworth"]


def test_what_was_typed_is_forgotten_a_month_after_the_end(
    note: Note, orders: list[int], mia: Actor, work: Callable[[], int]
) -> None:
    run_id = begin(mia, [*orders, 99999])
    open_id = begin(mia, orders)
    act_on_chunk(open_id, 0)
    act_on_chunk(run_id, 0)
    lead(run_id, runs.stop)
    act_on_chunk(run_id, 1)
    with time_machine.travel(now() + timedelta(days=31)):
        forget_submissions()
    db.session.expire_all()
    assert db.session.get_one(BulkAct, run_id).sealed == b""
    assert db.session.get_one(BulkAct, open_id).sealed != b""
    with unit_of_work(), pytest.raises(InputLost):
        try_again(runs.find_run(run_id), actor=mia)


def test_everything_found_is_acted_on(note: Note, orders: list[int], mia: Actor, work: Callable[[], int]) -> None:
    run_id = begin(mia, None)
    work()
    assert run_of(run_id).done == 7
    assert notes() == dict.fromkeys(orders, 1)


def test_nothing_chosen_begins_nothing(note: Note, orders: list[int], mia: Actor) -> None:
    for ids in ([], [999_999]):
        with pytest.raises(NothingChosen):
            begin(mia, ids)
    assert db.session.query(Run).filter_by(kind="bulk").count() == 0


def test_a_run_has_its_limit(note: Note, orders: list[int], mia: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CAP", 6)
    with pytest.raises(TooManyForOneRun, match="up to 6 orders"):
        begin(mia, None)
    assert db.session.query(RunResult).count() == 0
    begin(mia, orders[:6])


def test_right_and_kind_of_action_are_asked_first(
    note: Note, orders: list[int], mia: Actor, make_user: Callable[..., Actor]
) -> None:
    with pytest.raises(Forbidden):
        begin(make_user("read_only", "Rob"), orders)
    with pytest.raises(NotInBulk, match="one order at a time"), unit_of_work():
        start_bulk("note_alone", NoteInput(text="x"), actor=mia, ids=orders)


def test_a_form_sent_twice_is_one_run(note: Note, orders: list[int], mia: Actor, work: Callable[[], int]) -> None:
    first = begin(mia, orders, key="k1")
    assert begin(mia, orders, key="k1") == first
    work()
    assert begin(mia, orders, key="k1") == first
    assert notes() == dict.fromkeys(orders, 1)


def test_a_form_sent_many_times_at_once_is_one_run(app: Any, note: Note, orders: list[int], mia: Actor) -> None:
    together = Barrier(4)

    def send() -> int:
        together.wait(60)
        with app.app_context():
            return begin(mia, orders, key="k1")

    db.session.rollback()
    with ThreadPoolExecutor(4) as pool:
        found = {task.result(60) for task in [pool.submit(send) for _ in range(4)]}
    assert len(found) == db.session.query(Run).count() == 1


def test_refusals_and_bugs_are_results_and_stop_nobody(
    note: Note, orders: list[int], mia: Actor, work: Callable[[], int], plugin_failures: list[Failure]
) -> None:
    def before(order: Order) -> None:
        if order.id == orders[1]:
            raise OddOnes
        if order.id == orders[4]:
            raise ZeroDivisionError("Mrs. Quixelworth")

    note.before = before
    run_id = begin(mia, orders)
    work()
    run = run_of(run_id)
    assert (run.state, run.done, run.failed) == ("done", 7, 2)
    results = {row.subject_id: row for row in bulk.results_of(run)}
    assert [row.position for row in results.values()] == [1, 2, 3, 4, 5, 6, 7]
    assert results[orders[1]].state == "refused"
    assert sentence_of(results[orders[1]].problem) == "Orders like this one are not noted."
    assert results[orders[4]].state == "failed"
    assert "Quixelworth" not in str(results[orders[4]].problem)
    assert notes() == dict.fromkeys(set(orders) - {orders[1], orders[4]}, 1)
    assert db.session.get_one(Order, orders[1]).version == 1
    assert [(one.place, one.code) for one in plugin_failures] == [("action", "note")]
    plugin_failures.clear()

    note.before = lambda order: None
    with unit_of_work():
        again = try_again(runs.find_run(run_id), actor=mia).id
    work()
    assert (run_of(again).total, run_of(again).failed) == (2, 0)
    assert notes() == dict.fromkeys(orders, 1)
    with pytest.raises(NothingToRepeat), unit_of_work():
        try_again(runs.find_run(again), actor=mia)


def test_a_worker_that_dies_mid_chunk_loses_and_repeats_nothing(
    note: Note, orders: list[int], mia: Actor, work: Callable[[], int]
) -> None:
    run_id = begin(mia, orders)

    def die(order: Order) -> None:
        if order.id == orders[4]:
            raise SystemExit("killed")

    note.before = die
    with pytest.raises(SystemExit):
        work()
    db.session.rollback()
    assert result_counts(run_of(run_id)) == {"done": 3, "waiting": 4}
    assert run_of(run_id).done == 3

    note.before = lambda order: None
    runs.look_after_runs()
    assert work() == 0  # the worker may still be running
    with time_machine.travel(now() + timedelta(seconds=61)):
        runs.look_after_runs()
        runs.look_after_runs()
        work()
    assert (run_of(run_id).state, run_of(run_id).done) == ("done", 7)
    assert notes() == dict.fromkeys(orders, 1)


@pytest.mark.parametrize("trouble", [DiskFull(), DatabaseBusy(), OSError(errno.ENOSPC, "No space left on device")])
def test_trouble_that_passes_is_no_result_of_an_order(
    note: Note, orders: list[int], mia: Actor, trouble: Exception
) -> None:
    run_id = begin(mia, orders)

    def fail(order: Order) -> None:
        if order.id == orders[1]:
            raise trouble

    note.before = fail
    with pytest.raises((DiskFull, DatabaseBusy)):
        act_on_chunk(run_id, 0)
    db.session.rollback()
    assert result_counts(run_of(run_id)) == {"waiting": 7}

    note.before = lambda order: None
    act_on_chunk(run_id, 0)
    assert result_counts(run_of(run_id)) == {"done": 3, "waiting": 4}


def test_a_job_that_comes_twice_or_late_does_nothing(
    note: Note, orders: list[int], mia: Actor, work: Callable[[], int]
) -> None:
    run_id = begin(mia, orders)
    act_on_chunk(run_id, 0)
    act_on_chunk(run_id, 0)
    assert run_of(run_id).done == 3
    work()
    act_on_chunk(run_id, run_of(run_id).chunk)
    assert (run_of(run_id).state, run_of(run_id).done) == ("done", 7)
    assert notes() == dict.fromkeys(orders, 1)


def test_a_run_rests_goes_on_and_stops(note: Note, orders: list[int], mia: Actor, work: Callable[[], int]) -> None:
    run_id = begin(mia, orders)
    act_on_chunk(run_id, 0)
    lead(run_id, runs.pause)
    work()
    assert (run_of(run_id).state, run_of(run_id).done) == ("paused", 3)
    with time_machine.travel(now() + timedelta(minutes=5)):
        runs.look_after_runs()
        work()
    assert run_of(run_id).done == 3
    lead(run_id, runs.resume)
    act_on_chunk(run_id, run_of(run_id).chunk)
    assert run_of(run_id).done == 6
    lead(run_id, runs.stop)
    work()
    assert (run_of(run_id).state, run_of(run_id).done, run_of(run_id).wish) == ("stopped", 6, None)
    with pytest.raises(runs.RunEnded):
        lead(run_id, runs.resume)
    with unit_of_work():
        again = try_again(runs.find_run(run_id), actor=mia).id
    work()
    assert (run_of(again).total, run_of(again).state) == (1, "done")
    assert notes() == dict.fromkeys(orders, 1)


def test_a_resting_run_stops_at_once(note: Note, orders: list[int], mia: Actor, work: Callable[[], int]) -> None:
    run_id = begin(mia, orders)
    lead(run_id, runs.pause)
    work()
    lead(run_id, runs.stop)
    assert run_of(run_id).state == "stopped"
    assert notes() == {}


def test_a_run_has_the_rights_that_its_starter_has_now(
    note: Note, orders: list[int], mia: Actor, work: Callable[[], int]
) -> None:
    run_id = begin(mia, orders)
    with unit_of_work():
        db.session.get_one(User, mia.id).role = "read_only"
    work()
    run = run_of(run_id)
    assert (run.state, run.done, run.failed) == ("done", 7, 7)
    assert "right" in (sentence_of(bulk.results_of(run)[0].problem) or "")
    assert notes() == {}


def test_a_run_of_somebody_who_was_let_go_ends(
    note: Note, orders: list[int], mia: Actor, work: Callable[[], int]
) -> None:
    run_id = begin(mia, orders)
    with unit_of_work():
        db.session.get_one(User, mia.id).disabled_at = now()
    work()
    run = run_of(run_id)
    assert run.state == "failed"
    assert "see orders" in (sentence_of(run.problem) or "")
    assert notes() == {}


def test_a_run_whose_plugin_is_gone_ends(app: Any, orders: list[int], mia: Actor, work: Callable[[], int]) -> None:
    plugin = Plugin(Note())
    hooks.manager.register(plugin)
    run_id = begin(mia, orders)
    hooks.manager.unregister(plugin)
    work()
    assert (run_of(run_id).state, run_of(run_id).done) == ("failed", 0)


def test_orders_without_a_number_are_refused_with_their_reason(
    note: Note, orders: list[int], mia: Actor, work: Callable[[], int]
) -> None:
    with unit_of_work():
        db.session.execute(db.update(Order).where(Order.id == orders[0]).values(number=None))
    run_id = begin(mia, orders)
    work()
    first = bulk.results_of(run_of(run_id), state="refused")
    assert [(row.subject_id, sentence_of(row.problem)) for row in first] == [(orders[0], str(ManagedAtChannel()))]


def test_each_order_can_be_told_something_else(
    note: Note, orders: list[int], mia: Actor, work: Callable[[], int]
) -> None:
    with unit_of_work():
        inputs = {order_id: NoteInput(text=f"note {order_id}") for order_id in orders}
        run = start_each("note", inputs, actor=mia)
        run_id = run.id
    work()
    assert run_of(run_id).done == 7
    rows = db.session.query(OrderComment).all()
    texts = open_sealed([(row.order_id, "comment", row.sealed) for row in rows])
    assert texts == [f"note {row.order_id}" for row in rows]


def test_results_are_read_by_state_and_page(note: Note, orders: list[int], mia: Actor, work: Callable[[], int]) -> None:
    run_id = begin(mia, orders)
    act_on_chunk(run_id, 0)
    run = run_of(run_id)
    assert [row.position for row in bulk.results_of(run, state="waiting")] == [4, 5, 6, 7]
    assert [row.position for row in bulk.results_of(run, after=2, limit=3)] == [3, 4, 5]
