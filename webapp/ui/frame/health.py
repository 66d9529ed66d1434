"""Whether the desk is alive, and whether it can work: for supervisors and load balancers. Secrets are never shown.

`/healthz` checks only this process. `/readyz` checks what a page or a job needs. A stopped scheduler is shown there but
does not make a web process unready, since removing the process would not help. Neither do waiting jobs: they are shown
in `/metrics`, and in the banner of pages.
"""

import shutil
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flask import Blueprint, Response as FlaskResponse, abort, jsonify, render_template
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response

from webapp import schema
from webapp.config import configuration
from webapp.db import db
from webapp.errors import DeskError
from webapp.jobs import schedule
from webapp.jobs.backlog import Backlog, backlogs, workers
from webapp.live import connection, key
from webapp.sync import streams
from webapp.ui.frame.access import needs, public
from webapp.ui.frame.proxies import asked_from_within

bp = Blueprint("health", __name__)
LEAST_DISK = 200 * 2**20
_TICKS = 60.0  # the scheduler must have written a slot within so many seconds
_TELLS_ONLY = {"disk", "scheduler"}  # pages work without them


@bp.get("/healthz")
@public
def alive() -> Response:
    """This process answers."""
    return jsonify(status="ok", version=configuration().version)


@bp.get("/readyz")
@public
def ready() -> tuple[Response, int]:
    """Every check with its result: 200 if all is well, else 503."""
    checks = {name: _asked(check) for name, check in _CHECKS.items()}
    well = all(found["ok"] for name, found in checks.items() if name not in _TELLS_ONLY)
    return jsonify(status="ok" if well else "not ready", checks=checks), 200 if well else 503


def _asked(check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"ok": True} | check()
    except DeskError as error:
        return {"ok": False, "problem": error.code}
    except (SQLAlchemyError, RedisError, OSError) as error:
        return {"ok": False, "problem": type(error).__name__}


def _database() -> dict[str, Any]:
    schema.check()
    db.session.rollback()
    return {"schema": schema.needed()}


def _queue() -> dict[str, Any]:
    connection().ping()
    return {}


def _disk() -> dict[str, Any]:
    free = shutil.disk_usage(configuration().data_dir).free
    return {"ok": free > LEAST_DISK, "free_mb": free // 2**20}


def _scheduler() -> dict[str, Any]:
    """Checks the slots that the scheduler writes: the job with the shortest interval must have a recent one."""
    busiest = min(schedule.registered(), key=lambda one: one.every, default=None)
    if busiest is None:
        return {"last_tick_seconds": None}
    at = time.time()
    last = busiest.slot(at)
    slots = [last - back for back in range(int(_TICKS // busiest.every) + 1)]
    written: Any = connection().mget([key("slot", busiest.job.name, str(slot)) for slot in slots])
    for slot, mark in zip(slots, written, strict=True):
        if mark is not None:
            return {"last_tick_seconds": round(max(0.0, at - slot * busiest.every), 1)}
    return {"ok": False, "last_tick_seconds": None}


_CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "database": _database,
    "queue": _queue,
    "disk": _disk,
    "scheduler": _scheduler,
}


@bp.get("/metrics")
@public
def metrics() -> tuple[Response, int]:
    """The waiting jobs of each kind of work, in the text format of Prometheus, for this machine and trusted
    addresses only.

    503 while Redis can't be reached.
    """
    if not asked_from_within():
        abort(404)
    try:
        text = _metrics(configuration().queue, int(time.monotonic()))
    except RedisError:
        return FlaskResponse("", mimetype="text/plain"), 503
    return FlaskResponse(text, content_type="text/plain; version=0.0.4; charset=utf-8"), 200


@lru_cache(maxsize=1)
def _metrics(queue: str, second: int) -> str:
    """The metrics, cached for a second, so that frequent requests cost Redis nothing."""
    found, serving = backlogs(streams.lanes()), workers()
    lines = [
        "# HELP waybill_jobs_waiting Jobs that wait for a worker.",
        "# TYPE waybill_jobs_waiting gauge",
        *(f'waybill_jobs_waiting{{work="{one.work}"}} {one.waiting}' for one in found),
        "# HELP waybill_jobs_oldest_seconds For how long the oldest of them has been waiting.",
        "# TYPE waybill_jobs_oldest_seconds gauge",
        *(f'waybill_jobs_oldest_seconds{{work="{one.work}"}} {one.oldest:.1f}' for one in found),
        "# HELP waybill_workers Workers that serve the queues.",
        "# TYPE waybill_workers gauge",
        f"waybill_workers {serving}",
    ]
    return "\n".join(lines) + "\n"


@bp.get("/backlog")
@needs("orders.view")
def backlog() -> str:
    """The banner, as of now."""
    return render_template("frame/_backlog.html")


@bp.app_template_global()
def late_work() -> dict[str, Any] | None:
    """The background work that is late: the number of waiting jobs, the age of the oldest in seconds, and whether
    there is any worker; None while all is well. If Redis can't be reached, the log and `/readyz` say so.
    """
    try:
        late: list[Backlog] = [one for one in backlogs() if one.late]
        if not late:
            return None
        return {
            "waiting": sum(one.waiting for one in late),
            "oldest": int(max(one.oldest for one in late)),
            "workers": workers(),
        }
    except RedisError:
        return None
