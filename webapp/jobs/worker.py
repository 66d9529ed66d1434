"""The worker: RQ's forking worker, so that a job that hangs or dies harms no other.

The app is loaded once and every job runs in a fork of it (a job is a page or a batch, so the 15 ms of a fork don't
matter). Connections are never shared with the parent: the fork drops the pool that it inherited. The queues that a
worker serves are its service (`queues`); several workers are forked from one loaded process (`crew`).
"""

import os
import signal
import sys
import time
from types import FrameType

import structlog
from flask import Flask
from redis import RedisError
from rq import Worker
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job as RqJob
from rq.queue import Queue
from rq.serializers import JSONSerializer

from webapp.db import db
from webapp.jobs import queue
from webapp.jobs.queues import WHOLE_SERVICE, Service
from webapp.live import connection

log = structlog.get_logger(__name__)

LISTENS = 60  # seconds, at most, until an idle worker looks again whether it was told to stop
_ALIVE = 15  # seconds that RQ lets a worker be late


class DeskWorker(Worker):
    """RQ's worker with the desk's app around each job, serving groups of queues in turn."""

    app: Flask
    groups: list[tuple[str, ...]]
    told_to_stop = False
    at_work = False  # in the loop in which RQ can be told to stop at any time

    def register_birth(self) -> None:
        """Register with RQ. RQ installs its signal handlers later: a worker that is ended in between would never
        unregister.
        """
        self._install_signal_handlers()  # type: ignore[no-untyped-call]
        super().register_birth()  # type: ignore[no-untyped-call]

    def check_for_suspension(self, burst: bool) -> None:
        self.at_work = True
        super().check_for_suspension(burst)

    def reorder_queues(self, reference_queue: Queue) -> None:
        """Put the group of this queue last, now that a job of it is taken."""
        self.groups.sort(key=lambda group: reference_queue.name in group)
        self._ordered_queues = [queue(name) for group in self.groups for name in group]

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self.pid:  # RQ's scheduler is forked from a worker and does not handle signals yet
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
            return
        self.told_to_stop = True
        if self.at_work:
            super().request_stop(signum, frame)  # type: ignore[no-untyped-call]
        else:
            self._stop_requested = True

    def _shutdown(self) -> None:
        self._stop_requested = True  # the exception is lost if the signal arrives within a destructor
        super()._shutdown()  # type: ignore[no-untyped-call]

    def perform_job(self, job: RqJob, queue: Queue, execution: Execution) -> bool:
        with self.app.app_context(), structlog.contextvars.bound_contextvars(job_id=job.id):
            db.engine.dispose(close=False)  # the connections belong to the parent
            return bool(super().perform_job(job, queue, execution))


def run_worker(app: Flask, *, service: Service = WHOLE_SERVICE, burst: bool = False) -> None:
    """Serve these queues until told to stop; with `burst`, until they are empty.

    RQ's worker exits if Redis becomes unreachable during a job; another worker is started once Redis is back.
    """
    try:
        while not _serve(app, service, burst=burst):
            log.warning("queue_lost")
            while not _queue_answers():
                time.sleep(0.5)
    except StopRequested:  # a signal may arrive between two workers
        pass
    if not burst:
        log.info("worker_stopped", serves=service.name)
        sys.stdout.flush()
        os._exit(0)  # threads of RQ's scheduler must not keep the process alive


def _serve(app: Flask, service: Service, *, burst: bool) -> bool:
    """Whether the worker ended because it was told to."""
    worker = DeskWorker(
        [queue(name) for group in service.groups for name in group],
        connection=connection(),
        serializer=JSONSerializer,
        maintenance_interval=10,
        worker_ttl=LISTENS + _ALIVE,
        job_monitoring_interval=5,
        log_job_description=False,
    )
    worker.app, worker.groups = app, list(service.groups)
    try:
        worker.work(burst=burst, with_scheduler=not burst, logging_level="WARNING")
    except RedisError as error:  # it could not even unregister
        log.warning("queue_unreachable", problem=type(error).__name__)
    return burst or worker.told_to_stop


def _queue_answers() -> bool:
    try:
        return bool(connection().ping())
    except RedisError:
        return False
