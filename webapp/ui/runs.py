"""Runs in the browser: long work with its numbers, whatever its kind."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint

from webapp.channels.models import Store
from webapp.channels.services import stores
from webapp.db import db
from webapp.errors import NotFound, sentence_of
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.jobs.models import Run
from webapp.sync import runs
from webapp.ui.access import current_actor, needs
from webapp.ui.pages import page, show_times_of

bp = Blueprint("runs", __name__, url_prefix="/runs")
_KINDS: dict[str, LazyString] = {runs.KIND: _l("Reading orders")}


@bp.get("/")
@needs("stores.view")
def index() -> str:
    """The last runs, newest first."""
    known = {store.id: store for store in stores()}
    show_times_of(list(known.values()))
    return page("runs/index.html", runs=[shown_run(run, known) for run in runs.runs(current_actor(), quiet=False)])


@bp.get("/<int(max=2147483647):run_id>")
@needs("stores.view")
def show(run_id: int) -> str:
    """One run."""
    return page("runs/show.html", run=_one(run_id))


@bp.get("/<int(max=2147483647):run_id>/progress")
@needs("stores.view")
def progress(run_id: int) -> str:
    """How far a run is now."""
    return page("runs/_progress.html", run=_one(run_id))


def _one(run_id: int) -> dict[str, Any]:
    run = db.session.get(Run, run_id)
    if run is None:
        raise NotFound(name=run_id)
    known = {store.id: store for store in stores()}
    show_times_of(list(known.values()))
    return shown_run(run, known)


def shown_run(run: Run, stores: Mapping[int, Store]) -> dict[str, Any]:
    """A run in words and numbers."""
    store = stores.get(run.subject_id or 0) if run.kind == runs.KIND else None
    return {
        "id": run.id,
        "kind_label": str(_KINDS.get(run.kind, run.kind)),
        "topic": f"stores-{run.subject_id}",
        "store_name": store.name if store else "",
        "state": run.state,
        "is_open": run.is_open,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "done": run.done,
        "total": run.total,
        "failed": run.failed,
        "message": sentence_of(run.problem),
        **{name: run.numbers.get(name, 0) for name in runs.NUMBERS},
    }
