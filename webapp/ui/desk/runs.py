"""Runs in the browser: long work of every kind, its numbers and results, and controlling it: pause, resume, stop,
repeat.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from flask import Blueprint, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from webapp.accounts.models import User
from webapp.audit.actor import Actor, ActorKind
from webapp.channels.models import Store
from webapp.channels.services import seen_store, stores
from webapp.db import db, unit_of_work
from webapp.documents import print_runs, store as document_store
from webapp.errors import Forbidden, NotFound, sentence_of
from webapp.hooks.fence import PluginFailed, ask
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l, ngettext
from webapp.jobs import runs as long_work
from webapp.jobs.models import Run, RunState
from webapp.lists import export_runs as exports
from webapp.lists.exporting import rows_labels
from webapp.lists.models import Export
from webapp.lists.subjects import subjects
from webapp.orders import bulk, erasing
from webapp.orders.contract import OrderAction
from webapp.orders.models import BulkAct
from webapp.orders.queries import orders_by_id
from webapp.orders.services import actions
from webapp.sync import runs
from webapp.sync.streams import lane_label
from webapp.ui.forms.actions import in_words
from webapp.ui.frame import htmx
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.pages import page, parts, show_times_of
from webapp.ui.frame.redirects import redirect
from webapp.ui.orders import shown

log = structlog.get_logger(__name__)
bp = Blueprint("runs", __name__, url_prefix="/runs")
RESULTS = 100  # on one page
_CUT_SHORT = (RunState.STOPPED, RunState.FAILED)
_WITH_RESULTS = (bulk.KIND, print_runs.KIND)  # kinds of runs with a result for each order
_PERSONAL = (bulk.KIND, exports.KIND, print_runs.KIND)  # kinds of runs that show which orders somebody chose
_MAKES_FILES = (exports.KIND, print_runs.KIND)
_KINDS: dict[str, LazyString] = {
    runs.KIND: _l("Reading orders"),
    runs.NUMBERING: _l("Numbering orders"),
    erasing.KIND: _l("Erasing buyer data"),
    bulk.KIND: _l("Bulk action"),
    exports.KIND: _l("Export"),
    "index": _l("Building the search index"),
}


@bp.get("/")
@needs("stores.view")
def index() -> str:
    """The last runs, newest first, with a count of those that found nothing, or with `quiet` the last of these; of bulk
    acts and exports those that this person controls.
    """
    actor = current_actor()
    own = () if _leads_any(actor) else _PERSONAL
    unfolded = "quiet" in request.args
    quiet, last_quiet = (0, None) if unfolded else runs.quiet_runs(actor)
    shown = _shown(runs.runs(actor, quiet=unfolded, own=own))
    return page("desk/runs/index.html", runs=shown, quiet=quiet, last_quiet=last_quiet, unfolded=unfolded)


@bp.get("/<int(max=2147483647):run_id>")
@needs("orders.view")
def show(run_id: int) -> str:
    """One run, with the results for its orders."""
    run = _found(run_id)
    [row] = _shown([run])
    part = "desk/runs/_results.html" if run.kind in _WITH_RESULTS else ""
    return page("desk/runs/show.html", part=part, run=row, **_results(run))


@bp.get("/<int(max=2147483647):run_id>/progress")
@needs("orders.view")
def progress(run_id: int) -> AnyResponse:
    """The present state of a run, and those of its results that the page shows."""
    run = _found(run_id)
    [row] = _shown([run])
    found = _results(run)
    beside = [] if found["results"] is None else ["desk/runs/_results.html"]
    return parts("desk/runs/_progress.html", *beside, run=row, **found)


@bp.get("/<int(max=2147483647):run_id>/strip")
@needs("orders.view")
def strip(run_id: int) -> AnyResponse:
    """The message about a run on the page that started it; once the run has ended, the page gets an event."""
    row = _strip_facts(_found(run_id))
    return parts("desk/runs/_strip.html", run=row, event=None if row["is_open"] else "run-ended")


@bp.app_template_global()
def run_of_page() -> dict[str, Any] | None:
    """The run that was started from this page, as its message shows it."""
    run_id = request.args.get("run", type=int) or 0
    if request.endpoint != "orders.index" or not 0 < run_id < 2**31:
        return None
    try:
        return _strip_facts(_found(run_id))
    except NotFound:
        return None


def _strip_facts(run: Run) -> dict[str, Any]:
    """A run with its message: the progress, or the results; and whether it can be undone."""
    [row] = _shown([run])
    row |= {"sentence": "", "tone": "calm" if run.is_open else "bad" if row["message"] else "good", "undo": False}
    if run.kind == bulk.KIND:
        action = actions().get(db.session.scalar(select(BulkAct.action).where(BulkAct.run_id == run.id)) or "")
        if action is not None and run.is_open:
            row["sentence"] = _words(action, action.doing, run.total or 0)
        elif action is not None and not row["message"]:
            row["sentence"] = ", ".join(_outcome(run, action))
            row["undo"] = bulk.undoing(run, current_actor()) is not None
        if run.failed and not run.is_open:
            row["tone"] = "warn"
    return row


def _words(action: OrderAction, say: Callable[[int], str], count: int) -> str:
    """A plugin's words; if they fail, the act's name with the number."""
    try:
        return str(ask(action, "label", say, count, gives=str))
    except PluginFailed:
        text: str = ngettext("%(action)s: %(num)s order", "%(action)s: %(num)s orders", count, action=action.label)
        return text


def _outcome(run: Run, action: OrderAction) -> list[str]:
    """The results for a run's orders, in a few words each: "34 shipped", "1 refused"."""
    counts = bulk.result_counts(run)
    words: dict[str, Callable[[int], str]] = {
        bulk.ResultState.DONE: lambda count: _words(action, action.done, count),
        bulk.ResultState.REFUSED: lambda count: str(ngettext("%(num)s refused", "%(num)s refused", count)),
        bulk.ResultState.FAILED: lambda count: str(ngettext("%(num)s failed", "%(num)s failed", count)),
        bulk.ResultState.WAITING: lambda count: str(ngettext("%(num)s not done", "%(num)s not done", count)),
    }
    return [word(counts[code]) for code, word in words.items() if counts.get(code)]


@bp.post("/<int(max=2147483647):run_id>/pause")
@needs("orders.view")
def pause(run_id: int) -> AnyResponse:
    """Pause the run after the current orders."""
    return _led(run_id, long_work.pause)


@bp.post("/<int(max=2147483647):run_id>/resume")
@needs("orders.view")
def resume(run_id: int) -> AnyResponse:
    """Resume the run."""
    return _led(run_id, long_work.resume)


@bp.post("/<int(max=2147483647):run_id>/stop")
@needs("orders.view")
def stop(run_id: int) -> AnyResponse:
    """End the run after the current orders."""
    return _led(run_id, long_work.stop)


@bp.post("/<int(max=2147483647):run_id>/undo")
@needs("orders.view")
def undo(run_id: int) -> AnyResponse:
    """Start a run that undoes this one."""
    with unit_of_work():
        run = _found(run_id)
        if run.kind != bulk.KIND:
            raise NotFound(name=run_id)
        new_id = bulk.undo(run, actor=current_actor(), key=f"undo-{run_id}").id
    return redirect(url_for("orders.index", run=new_id))


@bp.post("/<int(max=2147483647):run_id>/again")
@needs("orders.view")
def again(run_id: int) -> AnyResponse:
    """Start a run over those orders of this one that are not done."""
    with unit_of_work():
        run = _found(run_id)
        if run.kind != bulk.KIND:
            raise NotFound(name=run_id)
        key = request.form.get("submission_key", "")
        new = bulk.try_again(run, actor=current_actor(), key=key)
        new_id = new.id
    return redirect(url_for("orders.index", run=new_id))


def _led(run_id: int, lead: Callable[[Run], None]) -> AnyResponse:
    with unit_of_work():
        run = _found(run_id, lock=True)
        _check_leads(run, current_actor())
        lead(run)
    return progress(run_id) if htmx.is_htmx() else redirect(url_for(".show", run_id=run_id, **_asked()))


def _found(run_id: int, *, lock: bool = False) -> Run:
    """The run. Raises `NotFound` for a bulk act or export that the actor does not control, and for work on a store
    that the actor may not see.
    """
    run = long_work.find_run(run_id, lock=lock)
    if run.kind in _PERSONAL and not _leads(run, current_actor()):
        raise NotFound(name=run_id)
    if run.kind in runs.STORE_KINDS:
        seen_store(run.subject_id or 0, current_actor())
    return run


def _leads(run: Run, actor: Actor) -> bool:
    """Whether the actor controls a run: one that they began, or any if they may change the desk's settings for all
    shops.
    """
    return (run.actor_kind, run.actor_id) == (actor.kind, actor.id) or _leads_any(actor)


def _leads_any(actor: Actor) -> bool:
    return actor.may("settings.edit") and actor.shops is None


def _check_leads(run: Run, actor: Actor) -> None:
    if not long_work.can_be_led(run.kind) or not _leads(run, actor):
        raise Forbidden(right=_("control somebody else's run"))


def _shown(found: Sequence[Run]) -> list[dict[str, Any]]:
    """Runs in words: what each works on and who began it, in four queries for any number."""
    known = {store.id: store for store in stores()}
    show_times_of(list(known.values()))
    people = {run.actor_id for run in found if run.actor_kind == ActorKind.PERSON}
    names: dict[int | None, str] = {}
    if people:
        query = select(User.id, User.name, User.email).where(User.id.in_(people))
        names = {id_: name or email for id_, name, email in db.session.execute(query)}
    subjects = _bulk_subjects(found) | _export_subjects(found)
    actor = current_actor()
    return [
        shown_run(run, known)
        | {
            "subject": subjects.get(run.id, ""),
            "by": names.get(run.actor_id) if run.actor_kind == ActorKind.PERSON else _doer(run.actor_kind),
            "led": long_work.can_be_led(run.kind) and _leads(run, actor),
        }
        for run in found
    ]


def _bulk_subjects(found: Sequence[Run]) -> dict[int, str]:
    ids = [run.id for run in found if run.kind == bulk.KIND]
    if not ids:
        return {}
    known = actions()
    query = select(BulkAct.run_id, BulkAct.action).where(BulkAct.run_id.in_(ids))
    return {run_id: str(known[code].label) if code in known else code for run_id, code in db.session.execute(query)}


def _export_subjects(found: Sequence[Run]) -> dict[int, str]:
    ids = [run.id for run in found if run.kind == exports.KIND]
    if not ids:
        return {}
    query = select(Export.run_id, Export.format, Export.subject, Export.rows).where(Export.run_id.in_(ids))
    labels = {subject.code: rows_labels(subject) for subject in subjects().values()}
    return {
        run_id: f"{format.upper()} · {labels.get(subject, {}).get(rows, rows)}"
        for run_id, format, subject, rows in db.session.execute(query)
    }


def _doer(kind: str) -> str:
    return str(_("Operator")) if kind == ActorKind.OPERATOR else "Waybill"


def _kind_label(run: Run) -> str:
    if run.kind == runs.STREAM:
        return lane_label(str(run.numbers.get("lane", "")))
    if run.kind == print_runs.KIND:
        return str(print_runs.printed_by(run).label)
    return str(_KINDS.get(run.kind, run.kind))


def shown_run(run: Run, stores: Mapping[int, Store]) -> dict[str, Any]:
    """A run in words and numbers."""
    read = (runs.KIND, runs.STREAM)
    store = stores.get(run.subject_id or 0) if run.kind in runs.STORE_KINDS else None
    numbers = {name: run.numbers.get(name, 0) if run.kind in read else None for name in runs.NUMBERS}
    return {
        "id": run.id,
        "kind": run.kind,
        "kind_label": _kind_label(run),
        "topic": f"stores-{run.subject_id}" if run.kind in read else f"runs-{run.id}",
        "store_name": store.name if store else "",
        "subject": "",
        "by": "",
        "led": False,
        "state": run.state,
        "wish": run.wish,
        "is_open": run.is_open,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "done": run.done,
        "total": run.total,
        "failed": run.failed,
        "succeeded": run.done - run.failed,
        "not_done": 0 if run.is_open else _not_done(run),
        "message": sentence_of(run.problem),
        "download": (download := _file_url(run)),
        "file_comes": run.kind in _MAKES_FILES and run.is_open,
        "file_gone": run.kind in _MAKES_FILES and run.state == RunState.DONE and not download,
        **numbers,
    }


def _not_done(run: Run) -> int:
    return run.failed + (run.total - run.done if run.total and run.state in _CUT_SHORT else 0)


def _file_url(run: Run) -> str:
    """Where this person gets the file that a run made; empty where there is none for them."""
    actor = current_actor()
    if run.kind == exports.KIND and exports.can_fetch(run, actor):
        return url_for("exports.fetch", run_id=run.id)
    if run.kind == print_runs.KIND and document_store.can_fetch(run, actor):
        return url_for("documents.fetch", run_id=run.id)
    return ""


def _results(run: Run) -> dict[str, Any]:
    """A page of the results for the run's orders; orders that this person may not see are only counted."""
    if run.kind not in _WITH_RESULTS:
        return {"results": None, "asked": {}, "older": None, "states": [], "undone": 0, "key": ""}
    asked = _asked()
    rows = bulk.results_of(run, state=asked["state"], after=asked["after"] or 0, limit=RESULTS + 1)
    ids = [row.subject_id for row in rows]
    order_of = print_runs.printed_by(run).orders_of(ids) if run.kind == print_runs.KIND else {id_: id_ for id_ in ids}
    found = orders_by_id(sorted(set(order_of.values())), current_actor())
    seen = {order.id: shown.ShownOrder(order) for order in found}
    orders = {id_: seen[order_id] for id_, order_id in order_of.items() if order_id in seen}
    counts = bulk.result_counts(run)
    action = actions().get(db.session.scalar(select(BulkAct.action).where(BulkAct.run_id == run.id)) or "")
    return {
        "results": [
            {
                "position": row.position,
                "state": row.state,
                "order": orders.get(row.subject_id),
                "sentence": in_words(action, orders[row.subject_id].order, row.problem)
                if row.subject_id in orders
                else "",
            }
            for row in rows[:RESULTS]
        ],
        "asked": asked,
        "older": rows[RESULTS - 1].position if len(rows) > RESULTS else None,
        "states": [(code, str(label), counts[code]) for code, label in bulk.RESULT_LABELS.items() if counts.get(code)],
        "undone": 0 if run.is_open else sum(counts.get(code, 0) for code in bulk.UNDONE),
        "key": secrets.token_urlsafe(16),
    }


def _asked() -> dict[str, Any]:
    """Which results the page shows: those of one state, those after a position."""
    state = request.args.get("state")
    return {
        "state": state if state in bulk.RESULT_LABELS else None,
        "after": request.args.get("after", type=int) or None,
    }


@bp.app_template_global()
def result_label(code: str) -> str:
    """The label of the result for one thing that a run worked on."""
    return str(bulk.RESULT_LABELS.get(code, code))  # type: ignore[call-overload]
