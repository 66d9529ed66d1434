"""Runs: long work of any kind, done chunk by chunk.

A run begins in the unit of work of whoever asked for it. Each of its jobs does one chunk and enqueues the next, in one
transaction: a job that dies leaves nothing of its chunk, and of two jobs of one chunk one does nothing. A wish to pause
or to stop is honored between two chunks. If the job of a run is lost, the clock sends another. A run whose chunk fails
again and again is ended with its reason; a run that is paused for a week is stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING

import structlog
from redis import RedisError
from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError as PoolEmpty

from webapp import live
from webapp.clock import iso, now, parse_instant
from webapp.db import any_row, db, unit_of_work
from webapp.errors import DatabaseBusy, DeskError, DiskFull, NotFound, Refusal, Unavailable
from webapp.i18n import lazy_gettext as _l
from webapp.jobs import Job, job
from webapp.jobs.models import Run, RunState

if TYPE_CHECKING:
    from webapp.audit.actor import Actor

log = structlog.get_logger(__name__)
PAUSE, STOP = "pause", "stop"
PATIENCE = timedelta(seconds=60)  # how long a run may be without progress before its job is assumed lost
TRIES = 3  # failures of one chunk, before the run is given up
RESTS_FOR = timedelta(days=7)  # until a paused run is stopped
APART = timedelta(minutes=1)  # between two failures that are counted: RQ retries within seconds
_PASSING = (DatabaseBusy, DiskFull, Unavailable, OperationalError, InterfaceError, PoolEmpty, RedisError)
_jobs: dict[str, Job[[int, int]]] = {}


class RunEnded(Refusal):
    code = "run_ended"
    sentence = _l("This run has ended already.")


class WorkFailed(DeskError):
    """A bug of the work itself, which no retry repairs."""

    code = "work_failed"
    sentence = _l(
        "Waybill had an internal error, %(tries)s times in a row. The log of the worker has the details. "
        "What was done is kept. Start the run again once the error is fixed."
    )


def gives_up(work: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """End the run with a sentence once the job of one chunk has failed `TRIES` times, minutes apart.

    Trouble that passes by itself, such as an unreachable database or a full disk, is not counted; nor is a killed
    worker, for which the clock sends another job.
    """

    @wraps(work)
    def tried(run_id: int, chunk: int) -> None:
        try:
            work(run_id, chunk)
        except Exception as error:
            if not passes(error):
                try:
                    _count_failure(run_id, chunk, error)
                except Exception as other:  # the log needs the error of the work itself
                    log.error("failure_not_counted", run=run_id, kind=type(other).__name__)
            raise

    return tried


def passes(error: Exception) -> bool:
    """Whether the error is no fault of the work and passes by itself. An error of disk or network has an errno; a
    file that does not exist will not appear.
    """
    if isinstance(error, OSError):
        return error.errno is not None and not isinstance(error, FileNotFoundError)
    return isinstance(error, _PASSING)


def _count_failure(run_id: int, chunk: int, error: Exception) -> None:
    db.session.rollback()
    with unit_of_work():
        run = find_run(run_id, lock=True)
        if not run.is_open or run.chunk != chunk:
            return
        failed_chunk, times, counted_at = run.numbers.get("tries") or (chunk, 0, None)
        if failed_chunk != chunk:
            times = 0
        elif counted_at and now() - parse_instant(counted_at) < APART:
            return
        times += 1
        run.numbers = run.numbers | {"tries": [chunk, times, iso(now())]}
        if times >= TRIES:
            fail(run, error if isinstance(error, DeskError) else WorkFailed(tries=times))


def carried_by(kind: str, carrier: Job[[int, int]]) -> None:
    """Declare the job that does one chunk of runs of this kind; its arguments are the run's id and the chunk's
    number.
    """
    _jobs[kind] = carrier


def can_be_led(kind: str) -> bool:
    """Whether runs of this kind can be paused and stopped."""
    return kind in _jobs


def begin(kind: str, *, actor: Actor, total: int | None = None, subject_id: int | None = None) -> Run:
    """Add a run in the open unit of work; its first job is sent with the commit."""
    run = Run(
        kind=kind,
        subject_id=subject_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        state=RunState.QUEUED,
        started_at=now(),
        total=total,
        numbers={},
        chunk=0,
    )
    db.session.add(run)
    db.session.flush()
    _send(run)
    return run


def take_chunk(run_id: int, chunk: int) -> Run | None:
    """The run, locked until the unit of work ends; None if the chunk is already done or the run was told to pause or
    stop.
    """
    run = find_run(run_id, lock=True)
    if not run.is_open or run.chunk != chunk or run.state == RunState.PAUSED:
        return None
    if run.wish == STOP:
        _end(run, RunState.STOPPED)
        return None
    if run.wish == PAUSE:
        run.state, run.wish, run.look_again_at = RunState.PAUSED, None, now() + RESTS_FOR
        live.publish("runs", [run.id])
        return None
    run.state = RunState.RUNNING
    return run


def go_on(run: Run, *, patience: timedelta = PATIENCE, by: Job[[int, int]] | None = None) -> None:
    """Finish the chunk and enqueue the next. The clock looks at the run again only after `patience`.

    With `by`, the next chunk runs as that job, in another queue, so that others need not wait for it.
    """
    run.chunk += 1
    _send(run, patience, by)


def finish(run: Run) -> None:
    """End the run: all of it is done."""
    _end(run, RunState.DONE)


def fail(run: Run, problem: DeskError) -> None:
    """End the run with the reason of its failure."""
    run.problem = problem.stored()
    _end(run, RunState.FAILED)


def pause(run: Run) -> None:
    """Pause the run after the current chunk; the caller holds the run's lock."""
    _open(run).wish = PAUSE
    live.publish("runs", [run.id])


def resume(run: Run) -> None:
    """Continue a paused run, or cancel the wish to pause it; the caller holds the run's lock."""
    _open(run).wish = None
    if run.state == RunState.PAUSED:
        run.state = RunState.QUEUED
        go_on(run)
    live.publish("runs", [run.id])


def stop(run: Run) -> None:
    """End the run after the current chunk; the caller holds the run's lock. Finished chunks stay done."""
    if _open(run).state == RunState.PAUSED:
        _end(run, RunState.STOPPED)
    else:
        run.wish = STOP
        live.publish("runs", [run.id])


class UnknownRun(NotFound):
    """No run has this id."""

    code = "unknown_run"
    sentence = _l("There is no run “%(name)s”.")


def find_run(run_id: int, *, lock: bool = False) -> Run:
    """The run; with `lock`, locked until the unit of work ends. Raises `NotFound`."""
    query = select(Run).where(Run.id == run_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    run = db.session.scalar(query)
    if run is None:
        raise UnknownRun(name=run_id)
    return run


@job("clock")
def look_after_runs() -> None:
    """Send another job for every run without progress: the queue may have lost its job. Stop every run that has been
    paused for a week: the data that it keeps sealed would otherwise stay for ever.
    """
    with unit_of_work():
        for run in db.session.scalars(select(Run).where(*_standing_still())):
            _send(run)
        forgotten = select(Run).where(*_resting_too_long()).with_for_update()
        for run in db.session.scalars(forgotten.execution_options(populate_existing=True)):
            _end(run, RunState.STOPPED)


def any_stands_still() -> bool:
    """Whether there is a run whose job may be lost, or one that has been paused for too long."""
    return any_row(Run, *_standing_still()) or any_row(Run, *_resting_too_long())


def _standing_still() -> tuple[ColumnElement[bool], ...]:
    return (Run.kind.in_(_jobs), Run.state.in_((RunState.QUEUED, RunState.RUNNING)), Run.look_again_at < now())


def _resting_too_long() -> tuple[ColumnElement[bool], ...]:
    return (Run.kind.in_(_jobs), Run.state == RunState.PAUSED, Run.look_again_at < now())


def _send(run: Run, patience: timedelta = PATIENCE, by: Job[[int, int]] | None = None) -> None:
    run.look_again_at = now() + patience
    (by or _jobs[run.kind]).enqueue(run.id, run.chunk)
    live.publish("runs", [run.id])


def _open(run: Run) -> Run:
    if not run.is_open:
        raise RunEnded
    return run


def _end(run: Run, state: RunState) -> None:
    run.state, run.wish, run.ended_at = state, None, now()
    live.publish("runs", [run.id])
