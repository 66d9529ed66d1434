"""A run whose work fails again and again ends with a sentence; after passing trouble, or a kill, it is tried again."""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from jinja2 import TemplateNotFound
from redis import RedisError
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError as PoolEmpty
from structlog.testing import capture_logs

from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DatabaseBusy, Invalid, Unavailable, sentence_of
from webapp.jobs import JobFailed, job, queue, runs
from webapp.jobs.models import Run
from webapp.jobs.runs import TRIES, any_stands_still, look_after_runs

CHUNKS = 3
went_wrong: list[BaseException] = []  # the errors of the next tries, in order


@job("now")
@runs.gives_up
def stumble(run_id: int, chunk: int) -> None:
    """A chunk that does its work, and then fails as the test wants."""
    with unit_of_work():
        run = runs.take_chunk(run_id, chunk)
        if run is None:
            return
        run.done += 1
        if went_wrong:
            raise went_wrong.pop(0)
        if run.done == CHUNKS:
            runs.finish(run)
        else:
            runs.go_on(run)


runs.carried_by("stumbling", stumble)


@pytest.fixture
def run_id(app: Flask) -> Iterator[int]:
    went_wrong.clear()
    with unit_of_work():
        begun = runs.begin("stumbling", actor=Actor.operator(), total=CHUNKS).id
    yield begun
    went_wrong.clear()


def run_of(run_id: int) -> Run:
    db.session.rollback()
    return runs.find_run(run_id)


def try_until_quiet(work: Callable[[], int]) -> int:
    """Let the clock find runs without progress until there are none; returns how many tries failed."""
    failed = 0
    for minute in range(20):
        with after(2 * minute):
            try:
                work()
            except (JobFailed, SystemExit):
                failed += 1
            db.session.rollback()
        with after(2 * minute + 2):
            look_after_runs()
        if not len(queue("now")):
            return failed
    raise AssertionError("it never ends")


def after(minutes: float) -> AbstractContextManager[object]:
    return time_machine.travel(now() + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    "bug", [ZeroDivisionError(), FileNotFoundError(errno.ENOENT, "gone"), TemplateNotFound("bulk/gone.html")]
)
def test_a_bug_ends_the_run_with_a_sentence(run_id: int, work: Callable[[], int], bug: Exception) -> None:
    went_wrong.extend([bug] * 10)
    assert try_until_quiet(work) == TRIES
    run = run_of(run_id)
    assert (run.state, run.done, run.is_open) == ("failed", 0, False)
    assert "Waybill had an internal error, 3 times in a row." in str(sentence_of(run.problem))


def test_what_the_work_itself_says_is_the_runs_last_word(run_id: int, work: Callable[[], int]) -> None:
    went_wrong.extend(Invalid(field="Key", problem="is lost.") for _ in range(10))
    try_until_quiet(work)
    assert "is lost" in str(sentence_of(run_of(run_id).problem))


def test_every_chunk_has_its_own_tries(run_id: int, work: Callable[[], int]) -> None:
    for chunk in range(CHUNKS):
        went_wrong.extend(ZeroDivisionError() for _ in range(TRIES - 1))
        assert run_of(run_id).chunk == chunk
        for minute in range(TRIES - 1):
            with after(minute), pytest.raises(ZeroDivisionError):
                stumble(run_id, chunk)
        stumble(run_id, chunk)
    assert (run_of(run_id).state, run_of(run_id).done) == ("done", CHUNKS)


def test_failures_within_a_minute_count_once(run_id: int) -> None:
    went_wrong.extend(ZeroDivisionError() for _ in range(10))
    for minutes, is_open in ((0, True), (0.03, True), (0.2, True), (1.1, True), (2, True), (2.2, False)):
        with after(minutes), pytest.raises(ZeroDivisionError):
            stumble(run_id, 0)
        assert run_of(run_id).is_open is is_open, minutes


def test_what_the_work_said_is_told_though_it_could_not_be_counted(
    run_id: int, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*told: object) -> None:
        raise OperationalError("select", {}, Exception("gone"))

    went_wrong.append(ZeroDivisionError())
    monkeypatch.setattr(runs, "_count_failure", gone)
    with capture_logs() as said, pytest.raises(JobFailed, match="ZeroDivisionError"):
        work()
    assert [(line["event"], line["kind"]) for line in said] == [
        ("failure_not_counted", "OperationalError"),
        ("job_failed", "ZeroDivisionError"),
    ]


@pytest.mark.parametrize(
    "trouble",
    [
        DatabaseBusy(),
        Unavailable(what="database"),
        OperationalError("select", {}, Exception("gone")),
        InterfaceError("select", {}, Exception("closed")),
        PoolEmpty(),
        RedisError(),
        OSError(errno.ENOSPC, "full"),
        PermissionError(errno.EACCES, "away"),
        SystemExit("killed"),
    ],
)
def test_what_passes_by_itself_ends_no_run(run_id: int, work: Callable[[], int], trouble: BaseException) -> None:
    went_wrong.extend([trouble] * 2 * TRIES)
    assert try_until_quiet(work) == 2 * TRIES
    assert (run_of(run_id).state, run_of(run_id).done) == ("done", CHUNKS)


def die_in(run_id: int, chunk: int) -> int:
    """Do a chunk in a process that is killed before its commit; returns the signal that ended it."""
    db.session.remove()
    child = os.fork()
    if not child:
        try:
            db.engine.dispose(close=False)  # the connections belong to the parent
            runs.go_on = lambda run, **more: os.kill(os.getpid(), signal.SIGKILL)
            stumble(run_id, chunk)
        finally:
            os._exit(1)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


@pytest.mark.own_desk
def test_a_worker_that_is_killed_ends_no_run(run_id: int, work: Callable[[], int]) -> None:
    for _ in range(2 * TRIES):
        assert die_in(run_id, 0) == signal.SIGKILL
    assert (run_of(run_id).chunk, run_of(run_id).done) == (0, 0)
    work()
    assert (run_of(run_id).state, run_of(run_id).done) == ("done", CHUNKS)


def test_a_run_that_rests_for_a_week_is_stopped(run_id: int, work: Callable[[], int]) -> None:
    stumble(run_id, 0)
    with unit_of_work():
        runs.pause(runs.find_run(run_id, lock=True))
    work()
    for days, state in ((6.9, "paused"), (7.1, "stopped")):
        with after(days * 24 * 60):
            assert any_stands_still() is (state == "stopped")
            look_after_runs()
        assert (run_of(run_id).state, run_of(run_id).done) == (state, 1)
    assert work() == 0


def test_a_late_failure_of_an_earlier_turn_counts_for_nothing(run_id: int) -> None:
    stumble(run_id, 0)
    for _ in range(TRIES):
        runs._count_failure(run_id, 0, ZeroDivisionError())
    assert (run_of(run_id).state, run_of(run_id).numbers) == ("running", {})
