"""The crew: several workers forked from one process that has loaded the app once, which saves time and memory.

A worker that ends without being told to is replaced, after a delay that grows unless it had run steadily. When the crew
is told to stop, every worker ends its job first. No worker outlives its parent: on Linux the kernel signals it.
"""

import ctypes
import gc
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from flask import Flask

from webapp.jobs.queues import Service, services
from webapp.jobs.worker import run_worker

log = structlog.get_logger(__name__)
_STOPS = (signal.SIGTERM, signal.SIGINT)
_LOOK_EVERY = 0.1
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_FIRST_PAUSE, _LONGEST_PAUSE, _STEADY_AFTER = 0.5, 30.0, 60.0  # seconds, around restarts


@dataclass
class _Place:
    """The place of one worker in the crew, kept over all its restarts."""

    service: Service
    pid: int = 0
    started_at: float = 0.0
    start_at: float = 0.0
    pause: float = 0.0


def run_crew(app: Flask, workers: int, streams: Sequence[str] = ()) -> None:
    """Run this many workers, and one for each of these streams until told to stop; the caller has closed every
    connection.
    """
    signals: list[int] = []  # not an Event: the interrupted code could hold its lock
    for number in _STOPS:
        signal.signal(number, lambda number, _frame: signals.append(number))
    gc.collect()
    gc.freeze()  # the forks share what was loaded, as long as nobody touches it
    places = [_Place(service) for service in services(workers, streams)]
    while not signals:
        for place in places:
            if not place.pid and time.monotonic() >= place.start_at:
                _start(app, place)
            elif place.pid and (ended := _ended(place.pid)) is not None:
                _plan_restart(place, ended)
        time.sleep(_LOOK_EVERY)
    _stop(places)


def _start(app: Flask, place: _Place) -> None:
    sys.stdout.flush()
    parent, place.started_at = os.getpid(), time.monotonic()
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)  # a stop signal to a child without a handler yet is not lost
    place.pid = os.fork()
    if place.pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        log.info("worker_started", serves=place.service.name, pid=place.pid)
        return
    status = 1
    try:
        for number in _STOPS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        _end_with_parent()
        _stop_forks_too()
        if os.getppid() == parent:
            run_worker(app, service=place.service)
            status = 0
    except Exception as error:
        log.exception("worker_failed", serves=place.service.name, kind=type(error).__name__)
    finally:
        os._exit(status)  # the child must not run the parent's exit handlers


def _end_with_parent() -> None:
    """On Linux, let the kernel tell this process to stop once its parent is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _stop_forks_too() -> None:
    """Let no fork of this process outlive it or miss a signal to stop: RQ tells its scheduler once, and then waits for
    its end. Python drops what arrives before a fork runs its first line.
    """
    parent = 0

    def before() -> None:
        nonlocal parent
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)

    def after() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)

    def after_in_child() -> None:
        _end_with_parent()
        if os.getppid() != parent:  # it ended before the kernel was asked to tell
            os.kill(os.getpid(), signal.SIGTERM)
        after()

    os.register_at_fork(before=before, after_in_parent=after, after_in_child=after_in_child)


def _ended(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _plan_restart(place: _Place, status: int) -> None:
    steady = time.monotonic() - place.started_at > _STEADY_AFTER
    place.pause = 0.0 if steady else min(max(place.pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
    place.pid, place.start_at = 0, time.monotonic() + place.pause
    log.warning("worker_ended", serves=place.service.name, status=status, starts_in=place.pause)


def _stop(places: list[_Place]) -> None:
    """Let every worker end its job."""
    left = [place.pid for place in places if place.pid]
    for pid in left:
        os.kill(pid, signal.SIGTERM)  # not yet waited for, so no other process can have its id
    while left := [pid for pid in left if _ended(pid) is None]:
        time.sleep(_LOOK_EVERY)
