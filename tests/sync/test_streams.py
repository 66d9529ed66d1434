"""Streams: each lane of a store is read by itself, and a fault in one affects no other."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from rq.timeouts import JobTimeoutException
from sqlalchemy import event, select, text

from webapp.api import Stream, StreamPage
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.audit.services import audit
from webapp.channels.connecting import ChannelError, Denied, Disconnected, StoreAccess, Throttled
from webapp.channels.incoming import PageRefused
from webapp.channels.models import Store
from webapp.channels.services import add_store
from webapp.cli.presenting import store_rows
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import sentence_of
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.jobs import perform, queue
from webapp.jobs.backlog import backlogs
from webapp.jobs.models import Run
from webapp.orders.models import Order
from webapp.sync import activity, jobs, leases, runs, streams
from webapp.sync.models import StoreSync
from webapp.testing import FakeChannel, incoming_order

Work = Callable[[], int]
PAGE = 2
BOB = Actor.job("letters")


class Letters:
    """A plugin that reads letters, two at a time; each fault that it is told to make is made once."""

    def __init__(self, **more: Any) -> None:
        self.there: list[str] = []
        self.asked: list[str | None] = []
        self.while_fetching: list[Callable[[], Any]] = []
        self.while_taking_in: list[Callable[[], Any]] = []
        values: dict[str, Any] = {"lane": "letters", "label": "Letters", "every": 60.0}
        self.stream = Stream(code="letters", fetch=self.fetch, take_in=self.take_in, **values | more)

    def fetch(self, store: StoreAccess, place: str | None) -> Any:
        self.asked.append(place)
        if self.while_fetching and (page := self.while_fetching.pop(0)()) is not None:
            return page if page != "nothing" else None
        start = int(place or 0)
        items = self.there[start : start + PAGE]
        return StreamPage(items, place=str(start + len(items)), more=start + PAGE < len(self.there))

    def take_in(self, store: StoreAccess, page: StreamPage) -> Any:
        for letter in page.items:
            audit("letter", actor=BOB, store=store.id, text=letter)
        if self.while_taking_in and (answer := self.while_taking_in.pop(0)()) is not None:
            return answer
        return len(page.items)

    @hookimpl
    def register_streams(self) -> list[Stream]:
        return [self.stream]


@pytest.fixture
def letters(store: Store) -> Letters:
    made = Letters()
    hooks.manager.register(made, name="letters")
    return made


@pytest.fixture
def begun(store: Store, channel: FakeChannel, letters: Letters, work: Work) -> Store:
    """A store whose orders were read once, and whose letters were not yet."""
    with unit_of_work():
        runs.start(db.session.get_one(Store, store.id), actor=Actor.operator())
    jobs.import_orders(store.id)
    work()
    return store


def written() -> list[str]:
    db.session.expire_all()
    entries = db.session.scalars(select(AuditEntry).where(AuditEntry.code == "letter").order_by(AuditEntry.id))
    return [entry.data["text"] for entry in entries]


def lane(store: Store, name: str = "letters") -> StoreSync:
    db.session.expire_all()
    return db.session.get_one(StoreSync, (store.id, name))


def look(work: Work) -> int:
    """What the clock and the workers do at this moment."""
    jobs.find_due()
    return work()


def raising(error: BaseException) -> Callable[[], Any]:
    def fail() -> None:
        raise error

    return fail


# --- A stream reads ---------------------------------------------------------------------------------------------------


def test_a_stream_is_read_page_by_page_and_goes_on_where_it_was(begun: Store, letters: Letters, work: Work) -> None:
    letters.there = list("abcde")
    look(work)
    assert written() == list("abcde")
    assert letters.asked == [None, "2", "4"]
    row = lane(begun)
    [run] = db.session.scalars(select(Run).where(Run.kind == "stream"))
    assert (row.place, row.failures, row.lease_owner, run.state, run.id) == ("5", 0, None, "done", row.run_id)
    assert (run.numbers["pages"], run.numbers["seen"], run.numbers["new"], run.numbers["lane"]) == (3, 5, 5, "letters")
    letters.there.append("f")
    with time_machine.travel(now() + timedelta(seconds=50), tick=True):
        look(work)
    assert written() == list("abcde")
    with time_machine.travel(now() + timedelta(seconds=61), tick=True):
        look(work)
    assert written() == list("abcdef")


def test_what_waits_for_a_stream_is_told_by_its_queue_and_makes_no_other_work_late(begun: Store) -> None:
    jobs._send(begun.id, "letters")
    found = {one.work: one.waiting for one in backlogs(streams.lanes())}
    assert found == {"now": 0, "channel": 0, "clock": 0, "stream-finances": 0, "stream-letters": 1}
    with time_machine.travel(now() + timedelta(minutes=6), tick=True):
        assert [one.work for one in backlogs(streams.lanes()) if one.late] == ["stream-letters"]
        assert not any(one.late for one in backlogs())


def test_a_stream_begins_once_the_orders_have(store: Store, letters: Letters, work: Work) -> None:
    letters.there = ["a"]
    with unit_of_work():
        activity.added(db.session.get_one(Store, store.id))
    assert look(work) == 0
    with unit_of_work():
        runs.start(db.session.get_one(Store, store.id), actor=Actor.operator())
    look(work)
    assert written() == ["a"]


def test_pages_of_a_stream_wait_in_a_queue_of_their_own(begun: Store, letters: Letters, work: Work) -> None:
    jobs.find_due()
    assert len(queue("stream-letters")) == 1
    job = queue("stream-letters").get_jobs()[0]
    assert (job.args[0], job.args[1], job.timeout) == ("webapp.sync.read_lane", [begun.id, "letters"], 60)
    work()


def test_a_stream_reads_the_stores_of_its_channels(begun: Store, work: Work) -> None:
    elsewhere = Letters(lane="faxes", channels=("elsewhere",))
    hooks.manager.register(elsewhere, name="faxes")
    look(work)
    assert elsewhere.asked == []
    assert ("faxes" in {pair[1] for pair in streams.due()}, [one.lane for one in streams.streams()]) == (
        False,
        ["orders", "finances", "letters", "faxes"],
    )


def test_a_stream_whose_plugin_is_gone_rests(begun: Store, letters: Letters, work: Work) -> None:
    letters.there = ["a"]
    jobs.find_due()
    hooks.manager.unregister(name="letters")
    perform("webapp.sync.read_lane", [begun.id, "letters"], {})
    assert (written(), streams.due()) == ([], [])
    assert streams.lane_label("letters") == "letters"
    hooks.manager.register(letters, name="letters")
    look(work)
    assert written() == ["a"]


def test_a_job_of_the_version_before_reads_the_orders(store: Store, channel: FakeChannel) -> None:
    channel.offer(incoming_order(created_at=now()))
    with unit_of_work():
        runs.start(db.session.get_one(Store, store.id), actor=Actor.operator())
    perform("webapp.sync.import_orders", [store.id], {})
    assert db.session.query(Order).count() == 1


WRONG: dict[str, dict[str, Any]] = {
    "the orders' lane": {"lane": "orders"},
    "a lane with spaces": {"lane": "my lane"},
    "a channel and no channels": {"lane": "other", "channels": "fake"},
    "channels that are none": {"lane": "other", "channels": 7},
    "never": {"lane": "other", "every": 0},
    "no time": {"lane": "other", "seconds": 0},
    "no label": {"lane": "other", "label": ""},
}


@pytest.mark.parametrize("more", WRONG.values(), ids=WRONG.keys())
def test_a_stream_that_can_not_be_is_left_out_alone(
    more: dict[str, Any], begun: Store, letters: Letters, work: Work, plugin_failures: list[Failure]
) -> None:
    class Wrong:
        @hookimpl
        def register_streams(self) -> list[Stream]:
            return [Letters(**more).stream]

    hooks.manager.register(Wrong(), name="wrong")
    letters.there = ["a"]
    look(work)
    assert [(one.plugin, one.place) for one in plugin_failures] == [("wrong", "registration")]
    assert ([one.lane for one in streams.streams()], written()) == (["orders", "finances", "letters"], ["a"])
    plugin_failures.clear()


# --- A stream fails ---------------------------------------------------------------------------------------------------


class Speechless(ChannelError):
    """A plugin's own error whose sentence can't be built."""

    code = "speechless"
    sentence = "%(channel)q"


def unknown_statement() -> None:
    db.session.execute(text("SELECT nothing FROM nowhere"))


def leave_a_row_that_can_not_be() -> None:
    db.session.add(StoreSync(store_id=987654, lane="nobody", next_at=now()))


def change_an_order_in_secret() -> None:
    db.session.scalars(select(Order)).first().total_minor = 1


FETCHING: dict[str, Callable[[], Any]] = {
    "raises": raising(ZeroDivisionError("Jane Quixelworth")),
    "knows why": raising(ChannelError(channel="Mail", problem="HTTP 500")),
    "is refused": raising(Disconnected(channel="Mail", problem="revoked")),
    "is denied": raising(Denied(channel="Mail", problem="no role")),
    "knows why and can't say it": raising(Speechless(channel="Mail")),
    "gives nothing": lambda: "nothing",
    "does not lead on": lambda: StreamPage(place="0", more=True),
    "gives words": lambda: "a page",
    "gives no items": lambda: StreamPage(None),  # type: ignore[arg-type]
    "gives a place that can't be kept": lambda: StreamPage(place="a\0b"),
    "gives a number of letters": lambda: StreamPage(["x"], place=7),  # type: ignore[arg-type]
    "asks wrongly": unknown_statement,
    "hangs": raising(JobTimeoutException("told to stop")),
}
TAKING_IN: dict[str, Callable[[], Any]] = {
    "raises": raising(KeyError("Jane Quixelworth")),
    "knows why": raising(ChannelError(channel="Mail", problem="unreadable")),
    "is refused": raising(Disconnected(channel="Mail", problem="revoked")),
    "gives words": lambda: "five",
    "asks wrongly": unknown_statement,
    "rolls back": lambda: db.session.rollback(),
    "commits": lambda: db.session.commit(),
    "leaves what the database refuses": leave_a_row_that_can_not_be,
    "changes an order without an event": change_an_order_in_secret,
    "hangs": raising(JobTimeoutException("told to stop")),
}
FAULTS = [("fetching", *one) for one in FETCHING.items()] + [("taking in", *one) for one in TAKING_IN.items()]


@pytest.mark.parametrize(("where", "how", "fault"), FAULTS, ids=[f"{where} {how}" for where, how, _ in FAULTS])
def test_what_fails_in_a_stream_stays_in_its_lane(
    where: str,
    how: str,
    fault: Callable[[], Any],
    begun: Store,
    channel: FakeChannel,
    letters: Letters,
    work: Work,
    plugin_failures: list[Failure],
) -> None:
    """The page is not written, the lane pauses and says why, orders are read as usual; then it recovers."""
    channel.offer(incoming_order(created_at=now()))
    look(work)
    letters.asked.clear()
    with time_machine.travel(now() + timedelta(seconds=61), tick=True):
        jobs.import_orders(begun.id)  # an order is there
        work()
        letters.there = list("abc")
        (letters.while_fetching if where == "fetching" else letters.while_taking_in).append(fault)
        jobs.read_lane(begun.id, "letters")
        row, at = lane(begun), now()
        known = how in ("knows why and can't say it", "knows why", "is refused", "is denied")
        assert (row.failures, row.place, row.lease_owner, written()) == (1, "0", None, [])
        assert row.run is not None
        assert (row.run.state, row.run.quiet) == ("failed", False)
        pause = (row.next_at - at).total_seconds()
        assert pause > 6 * 3600 - 10 if how == "is denied" else 50 < pause <= 60
        assert "Jane" not in (sentence_of(row.last_failure) or "Jane")
        assert [(one.plugin, one.place) for one in plugin_failures] == [] if known else [("letters", "stream")]
        assert [one.problem for one in plugin_failures] == ["slow"] if how == "hangs" else True
        assert db.session.get_one(Store, begun.id).problem is None
        assert (lane(begun, "orders").failures, lane(begun, "orders").run.state) == (0, "done")
        channel.offer(incoming_order(created_at=now()))
        with unit_of_work():
            lane(begun, "orders").next_at = now()
        look(work)
        assert db.session.query(Order).count() == 2
        assert letters.asked == ["0"]
    plugin_failures.clear()
    with time_machine.travel(now() + timedelta(hours=7), tick=True):
        look(work)
        row = lane(begun)
        assert (written(), row.failures, row.last_failure, row.place) == (list("abc"), 0, None, "3")


def test_a_stream_that_is_throttled_goes_on_in_its_run(begun: Store, letters: Letters, work: Work) -> None:
    letters.there = ["a"]
    letters.while_fetching.append(raising(Throttled(channel="Mail", seconds=40)))
    look(work)
    row = lane(begun)
    assert (row.run.state, row.run.numbers["throttled"], row.failures) == ("running", 1, 0)
    with time_machine.travel(now() + timedelta(seconds=41), tick=True):
        look(work)
    assert (written(), lane(begun).run.state) == (["a"], "done")


@pytest.mark.parametrize("seconds", [-5, 0, 10**12, float("nan"), float("inf")])
def test_a_pause_that_can_not_be_is_a_short_one(
    seconds: float, begun: Store, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = Throttled(channel="Mail", seconds=1)
    error.retry_after = seconds
    letters.while_fetching.append(raising(error))
    jobs.read_lane(begun.id, "letters")
    assert 0 < (lane(begun).next_at - now()).total_seconds() <= 1


def test_a_place_that_is_no_longer_good_begins_from_the_start_once(begun: Store, letters: Letters, work: Work) -> None:
    letters.there = list("ab")
    look(work)
    letters.while_fetching += [raising(PageRefused(channel="Mail")), raising(PageRefused(channel="Mail"))]
    with time_machine.travel(now() + timedelta(seconds=61), tick=True):
        look(work)
        assert letters.asked == [None, "2", None]
        assert (lane(begun).failures, lane(begun).place) == (1, None)


def test_a_stream_that_begins_from_the_start_on_and_on_rests(begun: Store, letters: Letters, work: Work) -> None:
    """Its second page is refused at every request."""
    letters.there = list("abc")
    refused = raising(PageRefused(channel="Mail"))
    letters.while_fetching += [lambda: None, refused, lambda: None, refused]
    look(work)
    assert letters.asked == [None, "2", None, "2"]
    assert (lane(begun).failures, lane(begun).place, lane(begun).run.state) == (1, None, "failed")


def test_a_stream_that_fails_on_and_on_waits_longer_and_leaves_no_heap_of_runs(
    begun: Store, letters: Letters, work: Work
) -> None:
    at, pauses = now(), []
    for _ in range(8):
        letters.while_fetching.append(raising(ChannelError(channel="Mail", problem="HTTP 503")))
        with time_machine.travel(at, tick=False):
            look(work)
            pauses.append((lane(begun).next_at - at).total_seconds())
            at = lane(begun).next_at + timedelta(seconds=1)
    assert (pauses, max(pauses)) == (sorted(pauses), 600)
    listed = runs.runs(Actor.operator(), store_id=begun.id, quiet=False)
    assert [run.state for run in listed if run.kind == "stream"] == ["failed"]
    with unit_of_work():  # "Sync now", or new credentials
        runs.start(db.session.get_one(Store, begun.id), actor=Actor.operator())
    letters.there = ["a"]
    look(work)
    assert written() == ["a"]


# --- Leases -----------------------------------------------------------------------------------------------------------


def test_a_reader_that_is_killed_in_the_middle_loses_and_doubles_nothing(
    begun: Store, letters: Letters, work: Work
) -> None:
    """Its lane, whose page may have killed it, pauses before it is read again; the orders' does not."""

    class Killed(BaseException):
        pass

    letters.there = list("abc")
    letters.while_taking_in.append(raising(Killed()))
    with pytest.raises(Killed):
        jobs.read_lane(begun.id, "letters")
    assert (written(), lane(begun).lease_owner is not None) == ([], True)
    look(work)
    assert len(letters.asked) == 1  # its lease lasts
    with time_machine.travel(now() + leases.LEASE + timedelta(seconds=1), tick=True):
        look(work)
        row = lane(begun)
        assert (written(), row.failures, row.lease_owner) == ([], 1, None)
        assert sentence_of(row.last_failure) == (
            "The sync was interrupted because its worker stopped. Waybill retries automatically."
        )
    with time_machine.travel(now() + leases.LEASE + timedelta(seconds=62), tick=True):
        look(work)
    assert written() == list("abc")


def test_who_lost_its_lease_writes_nothing(begun: Store, letters: Letters) -> None:
    letters.there = ["a"]

    def overtaken() -> None:
        with unit_of_work():
            db.session.get_one(StoreSync, (begun.id, "letters")).lease_owner = "another"

    letters.while_fetching.append(overtaken)
    jobs.read_lane(begun.id, "letters")
    assert (written(), lane(begun).lease_owner) == ([], "another")


def test_two_workers_at_once_on_one_lane_read_each_page_once(app: Flask, begun: Store, letters: Letters) -> None:
    """They meet at the first page, before the row of the lane exists."""
    letters.there = list("abcdefghijkl")
    barrier, errors, store_id = threading.Barrier(3), [], begun.id

    def read() -> None:
        with app.app_context():
            barrier.wait(30)
            try:
                for _ in range(6):
                    jobs.read_lane(store_id, "letters")
            except Exception as error:
                errors.append(error)
            finally:
                db.session.remove()

    db.session.rollback()
    workers = [threading.Thread(target=read) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []
    while lane(begun).next_at <= now():
        jobs.read_lane(begun.id, "letters")
    assert written() == list("abcdefghijkl")


def test_the_lanes_of_a_store_are_read_at_once(begun: Store, channel: FakeChannel, letters: Letters) -> None:
    """While a page of letters is fetched, a whole run of orders is read, and the other way round."""
    letters.there = ["a"]
    channel.offer(incoming_order(created_at=now()))
    states = []

    def orders_beside() -> None:
        with unit_of_work():
            lane(begun, "orders").next_at = now()
        jobs.import_orders(begun.id)
        states.append((db.session.query(Order).count(), lane(begun).lease_owner is not None, written()))

    letters.while_fetching.append(orders_beside)
    jobs.read_lane(begun.id, "letters")
    assert (states, written()) == ([(1, True, [])], ["a"])


# --- A store rests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", [activity.deactivate, activity.archive])
def test_a_store_that_rests_rests_in_all_lanes(
    rest: Callable[..., None], begun: Store, letters: Letters, work: Work
) -> None:
    letters.there = list("abc")
    jobs.read_lane(begun.id, "letters")
    with unit_of_work():
        rest(db.session.get_one(Store, begun.id), actor=Actor.operator())
    assert lane(begun).run.state == "paused"
    assert (look(work), written()) == (1, ["a", "b"])  # the job that waited finds nothing to do
    with unit_of_work():
        activity.restore(db.session.get_one(Store, begun.id), actor=Actor.operator())
        activity.activate(db.session.get_one(Store, begun.id), actor=Actor.operator())
    look(work)
    assert (written(), lane(begun).run.state) == (list("abc"), "done")


def test_a_disconnected_store_rests_in_all_lanes(begun: Store, channel: FakeChannel, letters: Letters) -> None:
    with unit_of_work():
        lane(begun, "orders").next_at = now()
    channel.failures.append(Disconnected(channel="Fake", problem="revoked"))
    jobs.import_orders(begun.id)
    assert db.session.get_one(Store, begun.id).problem is not None
    assert streams.due() == []


# --- What is seen -----------------------------------------------------------------------------------------------------


def test_a_lane_that_fails_is_named_with_its_reason(begun: Store, letters: Letters, work: Work) -> None:
    letters.while_fetching.append(raising(ChannelError(channel="Mail", problem="HTTP 500")))
    look(work)
    [row] = store_rows([db.session.get_one(Store, begun.id)])
    [told] = row["lanes"]
    hooks.manager.unregister(name="letters")
    [gone] = store_rows([db.session.get_one(Store, begun.id)])
    assert gone["lanes"] == []
    assert (told["lane"], told["failures"], "HTTP 500" in told["last_failure"]) == ("letters", 1, True)
    assert (row["failures"], row["last_failure"], row["disconnected"]) == (0, None, None)


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    """The queries that look for lanes to read."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT store"):
            found.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield found
    event.remove(db.engine, "before_cursor_execute", note)


def test_what_is_due_is_found_in_as_many_statements_for_many_stores_and_lanes(
    begun: Store, letters: Letters, statements: list[str]
) -> None:
    numbers = []
    for count in (0, 5):
        for number in range(count):
            hooks.manager.register(Letters(lane=f"lane{number}"), name=f"more{number}")
            with unit_of_work():
                other = add_store("fake", f"Store {number}", {"key": "k"}, actor=Actor.operator())
                runs.start(other, actor=Actor.operator())
        streams.streams()
        statements.clear()
        found = streams.due()
        numbers.append((len(found), len(statements)))
    assert numbers == [(1, 2), (5 + 6 * 6, 2)]
