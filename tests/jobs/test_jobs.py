"""A job leaves with the commit or not at all, carries plain JSON, and may be lost: the schedule finds what is due."""

import json
import os
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
import time_machine
from flask import Flask
from sqlalchemy import text
from structlog.testing import capture_logs
from structlog.typing import EventDict

from webapp import jobs, live, log
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.hooks.failures import Failure
from webapp.jobs import LONGEST_OF_CLOCK, QUEUES, Job, current_id, job, perform, queue
from webapp.jobs.backlog import backlogs
from webapp.jobs.schedule import Schedule, enqueue_due, registered
from webapp.orders.models import Order
from webapp.orders.queries import find_order
from webapp.sync.jobs import find_due
from webapp.testing import FakeChannel

done: list[object] = []


@job("now")
def remember(what: object) -> None:
    done.append(what)


@job("now", timeout=7)
def tick() -> None:
    done.append("tick")


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


def waiting() -> int:
    return sum(len(queue(name)) for name in QUEUES)


def test_a_job_leaves_with_the_commit(app: Flask, work: Callable[[], int]) -> None:
    with unit_of_work():
        remember.enqueue(7)
        assert waiting() == 0
    assert waiting() == 1
    assert work() == 1
    assert done == [7]


def test_a_job_of_a_rolled_back_unit_of_work_never_arrives(app: Flask) -> None:
    with pytest.raises(ValueError, match="stop"), unit_of_work():  # noqa: PT012
        remember.enqueue(7)
        raise ValueError("stop")
    with unit_of_work():
        pass
    assert waiting() == 0


def test_a_job_for_later_waits_its_time(app: Flask) -> None:
    with unit_of_work():
        remember.enqueue_in(60, 7)
    assert waiting() == 0
    assert len(queue("now").scheduled_job_registry.get_job_ids()) == 1


def test_arguments_travel_as_json(app: Flask) -> None:
    with unit_of_work():
        remember.enqueue({"order": 7, "kinds": ["shipment"]})
    [sent] = queue("now").get_jobs()
    name, args, kwargs = sent.args
    assert (name, args, kwargs) == (remember.name, [{"order": 7, "kinds": ["shipment"]}], {})
    stored = live.connection().hget(sent.key, "data")
    assert json.loads(zlib.decompress(stored))[2] == [name, args, kwargs]  # type: ignore[arg-type]
    assert sent.timeout == 300


def test_what_is_no_json_is_refused_before_the_commit(app: Flask) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"), unit_of_work():  # noqa: PT012
        tick.enqueue()
        remember.enqueue(datetime.now(UTC))
    assert waiting() == 0


def test_an_unknown_job_fails_visibly(app: Flask) -> None:
    with pytest.raises(KeyError, match=r"of\.another\.version"):
        perform("of.another.version", [], {})


def test_an_unknown_queue_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="no queue 'fast'"):
        job("fast")


def test_outside_of_a_job_a_process_and_thread_own_their_leases() -> None:
    assert current_id().startswith(f"process-{os.getpid()}-")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(current_id).result() != current_id()


def test_a_backlog_is_told_by_kind_of_work_with_the_age_of_its_oldest_job(app: Flask) -> None:
    assert [(one.work, one.waiting, one.oldest) for one in backlogs()] == [
        ("now", 0, 0.0), ("channel", 0, 0.0), ("clock", 0, 0.0)
    ]  # fmt: skip
    with unit_of_work():
        tick.enqueue()
        remember.enqueue(1)
    now, channel, clock = backlogs()
    assert (channel.waiting, clock.waiting) == (0, 0)
    assert now.waiting == 2
    assert 0 < now.oldest < 20
    assert not now.late
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=40), tick=False):
        assert 40 <= backlogs()[0].oldest < 60
        assert backlogs()[0].late


# --- Never twice ------------------------------------------------------------------------------------------------------


def test_a_job_never_waits_twice_with_the_same_arguments(app: Flask, work: Callable[[], int]) -> None:
    with unit_of_work():
        remember.enqueue(7)
        remember.enqueue(7)
        remember.enqueue(8)
    assert waiting() == 2
    assert work() == 2
    assert done == [7, 8]
    with unit_of_work():
        remember.enqueue(7)
    assert waiting() == 1


def test_a_job_taken_by_a_worker_may_wait_again(app: Flask) -> None:
    """The first may already have read the rows for which the second was sent."""
    assert remember.send((7,))
    [taken] = queue("now").get_job_ids()
    queue("now").remove(taken)
    assert remember.send((7,))
    assert not remember.send((7,))
    assert waiting() == 1


def test_a_job_whose_mark_outlived_the_queue_is_sent(app: Flask) -> None:
    remember.send((7,))
    live.connection().delete(queue("now").key)  # as if Redis had lost its last second
    assert remember.send((7,))
    assert waiting() == 1


def test_of_many_senders_at_once_one_puts_it_into_the_queue(app: Flask) -> None:
    together = Barrier(8)

    def send() -> bool:
        with app.app_context():
            together.wait(60)
            return remember.send((7,))

    with ThreadPoolExecutor(8) as pool:
        assert sum(sent.result(60) for sent in [pool.submit(send) for _ in range(8)]) == waiting() == 1


# --- The schedule -----------------------------------------------------------------------------------------------------


def test_each_slot_is_enqueued_once_however_many_schedulers_run(app: Flask, work: Callable[[], int]) -> None:
    schedules = [Schedule(tick, every=10)]

    def scheduler(together: Barrier, at: float) -> int:
        with app.app_context():
            together.wait(60)
            return len(enqueue_due(schedules, at=at)) + len(enqueue_due(schedules, at=at + 5))

    with ThreadPoolExecutor(8) as pool:
        for slot in range(5):
            together = Barrier(8)
            sent = [pool.submit(scheduler, together, 1_000_000.0 + 10 * slot) for _ in range(8)]
            assert sum(task.result(60) for task in sent) == waiting() == 1
            assert work() == 1


def test_the_next_slot_comes_by_itself(app: Flask, work: Callable[[], int]) -> None:
    schedules = [Schedule(tick, every=2)]
    assert enqueue_due(schedules, at=1000.0) == [tick.name]
    work()
    assert enqueue_due(schedules, at=1001.9) == []
    assert enqueue_due(schedules, at=1002.0) == [tick.name]


def test_while_no_worker_comes_one_is_enough(app: Flask, work: Callable[[], int]) -> None:
    schedules = [Schedule(tick, every=2)]
    assert [len(enqueue_due(schedules, at=1000.0 + second)) for second in range(10)] == [1] + [0] * 9
    assert waiting() == 1
    work()
    assert enqueue_due(schedules, at=1010.0) == [tick.name]


def test_one_that_waits_for_days_still_stands_there_once(app: Flask) -> None:
    schedules = [Schedule(tick, every=2)]
    assert sum(len(enqueue_due(schedules, at=1000.0 + 20_000 * step)) for step in range(20)) == 1
    assert waiting() == 1


def test_a_slot_with_nothing_due_is_left_out_and_one_that_nobody_can_tell_of_is_not(
    app: Flask, plugin_failures: list[Failure]
) -> None:
    asked: list[float] = []

    def nothing() -> bool:
        asked.append(1)
        return False

    def broken() -> bool:
        raise OSError("the database is gone")

    assert enqueue_due([Schedule(tick, every=2, due=nothing)], at=1000.0) == []
    assert enqueue_due([Schedule(tick, every=2, due=nothing)], at=1001.0) == []
    assert len(asked) == 1  # each slot is asked for once
    assert enqueue_due([Schedule(tick, every=2, due=lambda: True)], at=1002.0) == [tick.name]
    assert enqueue_due([Schedule(tick, every=3, due=broken)], at=2000.0) == []
    queue("now").empty()
    assert enqueue_due([Schedule(tick, every=3, due=broken)], at=2004.0) == [tick.name]
    assert {(one.place, one.code) for one in plugin_failures} == {("schedule", tick.name)}
    plugin_failures.clear()


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_connection_that_is_cut_while_asking_does_not_end_the_scheduler(app: Flask) -> None:
    def cut() -> bool:
        process = db.session.scalar(text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:process, 10000)"), {"process": process})
        return True

    assert enqueue_due([Schedule(tick, every=2, due=cut)], at=1000.0) == [tick.name]


def test_the_clocks_own_work_is_short_and_said_where_it_is_not(
    app: Flask, make_order: Callable[..., Order], logged: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(20):
        make_order()
    names = [schedule.job.name for schedule in registered() if schedule.job.queue == "clock"]
    for name in names:
        began = time.process_time()
        perform(name, [], {})
        assert time.process_time() - began < LONGEST_OF_CLOCK, name
    monkeypatch.setattr(jobs, "LONGEST_OF_CLOCK", -1.0)
    perform(names[0], [], {})
    assert [entry["event"] for entry in logged][-1:] == ["clock_job_took_long"]


def test_a_quiet_desk_enqueues_nothing_but_what_can_not_be_asked(
    app: Flask, store: Store, work: Callable[[], int]
) -> None:
    enqueue_due(registered())
    work()
    unasked = {"webapp.sync.keep_statistics", "webapp.vault.destroy_unused_keys"}
    assert set(enqueue_due(registered(), at=time.time() + 86_400)) == unasked


def test_the_desks_own_work_is_scheduled(app: Flask) -> None:
    assert {"webapp.sync.find_due", "webapp.audit.services.write_readings"} <= {one.job.name for one in registered()}


# --- Without a queue --------------------------------------------------------------------------------------------------


@pytest.fixture
def logged(app: Flask) -> Iterator[list[EventDict]]:
    log.configure(configuration().model_copy(update={"log_level": "warning"}))
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def no_queue(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """The queue is gone until it is put back."""
    there = os.environ["REDIS_URL"]
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    configuration.cache_clear()

    def put_back() -> None:
        monkeypatch.setenv("REDIS_URL", there)
        configuration.cache_clear()

    yield put_back
    put_back()


def test_shipping_succeeds_while_the_queue_is_gone_and_the_channel_is_told_once_it_is_back(
    make_order: Callable[..., Order],
    channel: FakeChannel,
    mia: Actor,
    no_queue: Callable[[], None],
    work: Callable[[], int],
    logged: list[EventDict],
) -> None:
    number = make_order(quantity=1).number
    assert number is not None
    with unit_of_work():
        ship_order(find_order(number, mia, lock=True), [PackageInput("DHL", "JD0001")], actor=mia)
    assert find_order(number, mia).state == "complete"
    assert ("job_not_sent", "webapp.sync.deliver") in [(entry["event"], entry.get("job")) for entry in logged]

    no_queue()
    assert channel.told("shipment") == []
    with unit_of_work():
        find_due.enqueue()  # as the schedule does every two seconds
    work()
    assert [told["package"]["tracking_number"] for told in channel.told("shipment")] == ["JD0001"]


def test_a_job_is_called_like_the_function_it_is() -> None:
    assert isinstance(remember, Job)
    remember(3)
    assert done == [3]
