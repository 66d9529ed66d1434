"""Stores in the browser: adding one, whether it can be reached, its traffic with numbers, its settings.

No page waits for a channel: a new store is tested and first read by jobs. *Test* alone asks at once, outside of any
transaction, since somebody is waiting for just that answer.
"""

from typing import Any

from flask import Blueprint, flash, redirect, request, url_for
from werkzeug.wrappers import Response

from webapp.audit.actor import Actor
from webapp.channels.contract import Channel, Connection
from webapp.channels.models import Store
from webapp.channels.services import (
    ChannelLeftOut,
    access,
    add_store,
    change_store,
    channels,
    get_channel,
    get_store,
    remember_marketplaces,
    stores,
)
from webapp.clock import now
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, NotFound, sentence_of
from webapp.i18n import gettext as _
from webapp.jobs.models import Run
from webapp.sync import jobs, runs
from webapp.sync.models import StoreSync
from webapp.ui import htmx, shown
from webapp.ui.access import current_actor, needs
from webapp.ui.forms import Form
from webapp.ui.forms.settings import settings_form
from webapp.ui.pages import page, parts, show_times_of
from webapp.ui.runs import shown_run

bp = Blueprint("stores", __name__, url_prefix="/stores")
_PRACTICE = "practice"


@bp.get("/")
@needs("stores.view")
def index() -> str:
    """The stores and how their traffic stands."""
    found = stores()
    show_times_of(found)
    syncs = runs.syncs_of([store.id for store in found])
    return page("stores/index.html", stores=[_shown(store, syncs.get(store.id)) for store in found])


@bp.get("/<int:store_id>")
@needs("stores.view")
def show(store_id: int) -> str:
    """One store: traffic, what was put aside, settings, runs."""
    store = get_store(store_id)
    channel = channels().get(store.channel)
    form = settings_form(channel, store) if channel else None
    return page("stores/show.html", **_facts(store, current_actor(), form))


@bp.post("/<int:store_id>")
@needs("stores.edit")
def change(store_id: int) -> Response | tuple[str, int]:
    """Change the store's name and settings, and test it with them."""
    actor, store = current_actor(), get_store(store_id)
    form = settings_form(get_channel(store.channel), store, request.form)
    try:
        with unit_of_work():
            store = get_store(store_id)
            change_store(store, form.values, actor=actor, name=form.text_of("name"))
            jobs.connect.enqueue(store.id)
    except DeskError as error:
        form.complain(error)
        return page("stores/show.html", **_facts(get_store(store_id), actor, form)), error.status
    flash(_("Saved. The connection is being tested."), "good")
    return redirect(url_for(".show", store_id=store_id))


@bp.get("/<int:store_id>/status")
@needs("stores.view")
def status(store_id: int) -> str:
    """How the store's traffic stands now."""
    return page("stores/_status.html", store=_shown_now(get_store(store_id)))


@bp.post("/<int:store_id>/sync")
@needs("stores.sync")
def sync(store_id: int) -> Response:
    """Read the store's orders now, or join the run that does so already."""
    with unit_of_work():
        store = get_store(store_id)
        runs.start(store, actor=current_actor())
        jobs.import_orders.enqueue(store.id)
    if not htmx.is_htmx():
        return redirect(url_for(".show", store_id=store_id))
    return parts("stores/_status.html", store=_shown_now(get_store(store_id)))


@bp.post("/<int:store_id>/test")
@needs("stores.sync")
def test(store_id: int) -> Response | str:
    """Ask the channel now whether the credentials work, and say so in plain words."""
    store = get_store(store_id)
    channel, reach = get_channel(store.channel), access(store)
    db.session.rollback()  # nothing is held open while the network is asked
    connection = channel.connect(reach)
    with unit_of_work():
        store = get_store(store_id)
        remember_marketplaces(store, connection)
        if connection.ok and not runs.syncs_of([store.id]):  # it failed when it was added, and was never read
            runs.start(store, actor=current_actor())
            jobs.import_orders.enqueue(store.id)
    told = _told(connection)
    if htmx.is_htmx():
        return parts("stores/_test.html", store=_shown_now(store), test=told)
    actor = current_actor()
    return page("stores/show.html", **_facts(store, actor, settings_form(channel, store)), test=told)


@bp.get("/add")
@needs("stores.edit")
def add() -> str:
    """The kinds of marketplace that can be connected."""
    return page("stores/add.html", offers=_offers(), channel=None)


@bp.get("/add/<code>")
@needs("stores.edit")
def credentials(code: str) -> str:
    """The form of a channel's credentials."""
    channel = get_channel(code)
    return page("stores/add.html", channel=channel, form=settings_form(channel))


@bp.post("/add/<code>")
@needs("stores.edit")
def add_channel(code: str) -> Response | tuple[str, int]:
    """Connect a seller's account; testing it and the first sync follow by themselves."""
    channel = get_channel(code)
    form = settings_form(channel, given=request.form)
    try:
        return _connected(channel, form.text_of("name"), form.values, practice=False)
    except DeskError as error:
        form.complain(error)
        return page("stores/add.html", channel=channel, form=form), error.status


@bp.post("/add/<code>/practice")
@needs("stores.edit")
def add_practice(code: str) -> Response:
    """Connect the channel's practice marketplace: invented orders, by one click."""
    channel = get_channel(code)
    settings = channel.practice_settings(configuration().practice_url) if configuration().practice_url else None
    if settings is None:
        raise NotFound(name=_PRACTICE)
    for store in stores():
        if store.practice and store.channel == code:  # the same account twice would bring every order twice
            flash(_("%(store)s is connected already.", store=store.name), "info")
            return redirect(url_for(".show", store_id=store.id))
    return _connected(channel, _("Practice %(channel)s", channel=str(channel.label)), settings, practice=True)


def _connected(channel: Channel, name: str, values: Any, *, practice: bool) -> Response:
    with unit_of_work():
        store = add_store(channel.code, name, values, actor=current_actor(), practice=practice)
        jobs.connect.enqueue(store.id)
        store_id = store.id
    flash(_("%(store)s is there. It is being tested, then its orders are read.", store=name.strip()), "good")
    return redirect(url_for(".show", store_id=store_id))


@bp.post("/<int:store_id>/asides/<int:aside_id>/retry")
@needs("stores.sync")
def retry_aside(store_id: int, aside_id: int) -> Response:
    """Read an order that was put aside once more."""
    for aside in runs.asides(current_actor(), store_id=store_id):
        if aside.id == aside_id:
            jobs.fetch_order.enqueue(store_id, aside.number)
            flash(_("%(number)s is being read again.", number=aside.number), "good")
            return redirect(url_for(".show", store_id=store_id))
    raise NotFound(name=aside_id)


# --- What the pages show ----------------------------------------------------------------------------------------------


def _offers() -> list[dict[str, Any]]:
    """What can be connected: each channel, before it its practice marketplace where one runs."""
    practice_url = configuration().practice_url
    offers = []
    for channel in channels().values():
        if practice_url and channel.practice_settings(practice_url) is not None:
            offers.append({"code": channel.code, "label": channel.label, "practice": True})
        offers.append({"code": channel.code, "label": channel.label, "practice": False})
    return offers


def _facts(store: Store, actor: Actor, form: Form | None) -> dict[str, Any]:
    show_times_of([store])
    return {
        "store": _shown_now(store),
        "form": form,
        "runs": [
            shown_run(run, {store.id: store}) for run in runs.runs(actor, store_id=store.id, limit=15, quiet=False)
        ],
        "asides": runs.asides(actor, store_id=store.id, limit=50),
    }


def _shown_now(store: Store) -> dict[str, Any]:
    show_times_of([store])
    return _shown(store, runs.syncs_of([store.id]).get(store.id))


def _shown(store: Store, sync: StoreSync | None) -> dict[str, Any]:
    run: Run | None = sync.run if sync else None
    open_run = run is not None and run.is_open
    problem = store.problem or (run.problem if run and sync and sync.failures else None)
    left_out = None if store.channel in channels() else ChannelLeftOut(channel=store.channel)
    if left_out or store.problem or (sync and sync.failures):
        state = "failing"
    elif not store.active:
        state = "paused"
    elif sync is None:
        state = "new"
    else:
        state = "connected"
    shown_one = shown_run(run, {store.id: store}) if run else None
    return {
        "id": store.id,
        "name": store.name,
        "channel_name": shown.channel_name(store),
        "is_practice": store.practice,
        "marketplaces": [row.country for row in store.marketplaces],
        "state": state,
        "problem": str(left_out) if left_out else sentence_of(problem),
        "running": shown_one if open_run else None,
        "last_run": None if open_run else shown_one,
        "last_success_at": sync.last_success_at if sync else None,
        "next_at": sync.next_at if sync and sync.next_at > now() and not store.problem else None,
    }


def _told(connection: Connection) -> dict[str, Any]:
    names = [f"{one.name} ({one.country})" for one in connection.marketplaces]
    problem = str(connection.problem) if connection.problem else ""
    return {"ok": connection.ok, "marketplaces": names, "problem": problem}
