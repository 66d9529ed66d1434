"""Stores in the browser: adding one, its traffic, sales and settings, pausing and archiving it.

No page waits for a channel: jobs test and first read a new store. Only *Test* calls the channel at once, outside any
transaction, since the person waits for just that answer.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Blueprint, flash, render_template, request, url_for
from werkzeug.wrappers import Response

from webapp.billing import backlog
from webapp.billing.automatic import AUTOMATIC, WHEN, When
from webapp.channels import ages, authorizing, calls, described
from webapp.channels.connecting import Connection, StoreAccess
from webapp.channels.contract import Channel
from webapp.channels.keeping import BUYERS
from webapp.channels.models import Store
from webapp.channels.registered import channels
from webapp.channels.services import (
    access,
    access_with,
    access_without_secrets,
    account_refusal,
    add_store,
    change_store,
    channel_name,
    get_channel,
    seen_store,
    stores,
)
from webapp.channels.shops import next_numbers, shops
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, NotFound
from webapp.i18n import gettext as _
from webapp.orders import erasing
from webapp.orders.order_settings import IMPORT_ORDERS, OrderSettingsChanged, change_orders, treatment_of
from webapp.settings.declared import STORE
from webapp.settings.services import change as change_settings
from webapp.sync import activity, call_log, jobs, numbering, runs
from webapp.sync.taking_in.quarantine import quarantined_orders
from webapp.ui.desk.settings import stored_form
from webapp.ui.desk.store_page import (
    cards,
    erasing_facts,
    found_store,
    head,
    invoices_facts,
    overview,
    settings_facts,
    shown_preview,
    test_result,
    traffic_facts,
)
from webapp.ui.forms.settings import SettingsForm, buyers_form, retyped_form, settings_form
from webapp.ui.forms.stores import VERSION, OrdersForm, orders_form
from webapp.ui.frame import htmx
from webapp.ui.frame.access import current_actor, current_person, needs, without_query
from webapp.ui.frame.pages import page, parts, shown_stores
from webapp.ui.frame.proxies import by_local_name
from webapp.ui.frame.redirects import redirect

bp = Blueprint("stores", __name__, url_prefix="/stores")
_PRACTICE = "practice"


@bp.get("/")
@needs("stores.view")
def index() -> str:
    """The stores, the state of their traffic and their sales; archived stores apart."""
    found = shown_stores() or stores(current_actor())
    shown_ones = cards([store for store in found if store.archived_at is None], current_actor())
    archived = [store for store in found if store.archived_at is not None]
    return page("desk/stores/index.html", stores=shown_ones, archived=archived, test=None)


@bp.get("/<int(max=2147483647):store_id>")
@needs("stores.view")
def show(store_id: int) -> str:
    """One store: sales, orders by state, the newest orders."""
    return page("desk/stores/show.html", **overview(found_store(store_id), current_actor()))


@bp.get("/<int(max=2147483647):store_id>/orders")
@needs("orders.view")
def orders(store_id: int) -> Response:
    """All orders of a store, in the list that all stores share."""
    return redirect(url_for("orders.index", q=f"store:{found_store(store_id).id}"))


@bp.get("/<int(max=2147483647):store_id>/traffic")
@needs("stores.view")
def traffic(store_id: int) -> str:
    """The store's traffic: what was read from it and what its channel is owed."""
    return page("desk/stores/traffic.html", **traffic_facts(found_store(store_id), current_actor()))


@bp.get("/<int(max=2147483647):store_id>/settings")
@needs("stores.edit")
def settings(store_id: int) -> str:
    """A store's connection settings, and the rules for its orders."""
    store, actor = found_store(store_id), current_actor()
    actor.needs_shops(store.shop_ids)
    return page("desk/stores/settings.html", **settings_facts(store, actor))


@bp.post("/<int(max=2147483647):store_id>/settings")
@needs("stores.edit")
def change(store_id: int) -> Response | tuple[str, int]:
    """Change the store's name and connection settings, and test it with these."""
    store = _seen(store_id)
    form = settings_form(get_channel(store.channel), store, request.form)
    try:
        with unit_of_work():
            store = _seen(store_id)
            name = form.text_of("name")
            change_store(store, form.values, unset=form.unset, actor=current_actor(), name=name)
    except DeskError as error:
        form.complain(error)
        facts = settings_facts(_seen(store_id), current_actor(), connection=form)
        return page("desk/stores/settings.html", **facts), error.status
    flash(_("Saved. The connection is being tested."), "good")
    return redirect(url_for(".settings", store_id=store_id))


@bp.post("/<int(max=2147483647):store_id>/settings/test")
@needs("stores.edit")
def rehearse(store_id: int) -> tuple[str, int]:
    """Test the connection with the settings as typed; nothing is stored."""
    store = _seen(store_id)
    channel = get_channel(store.channel)
    form = settings_form(channel, store, request.form)
    try:
        with unit_of_work():
            credentials = access_with(_seen(store_id), form.values, unset=form.unset, actor=current_actor())
        found, status = _rehearsed(store_id, channel, credentials), 200
    except DeskError as error:
        form.complain(error)
        found, status = Connection(problem=error), error.status
    test, store = test_result(found) | {"rehearsed": True}, _seen(store_id)
    if htmx.is_htmx():
        return render_template("desk/stores/_test.html", store=head(store), test=test), status
    facts = settings_facts(store, current_actor(), connection=form)
    return page("desk/stores/settings.html", **facts | {"test": test}), status


def _rehearsed(store_id: int, channel: Channel, credentials: StoreAccess) -> Connection:
    """The channel's answer; or that another store has the account, as saving these settings would find out."""
    with call_log.logged(credentials) as credentials:
        found = calls.test(channel, credentials)
    with unit_of_work():
        refusal = account_refusal(_seen(store_id), found.account)
    return replace(found, problem=refusal) if found.ok and refusal else found


@bp.post("/<int(max=2147483647):store_id>/settings/orders")
@needs("stores.edit")
def change_what_becomes(store_id: int) -> Response | tuple[str, int]:
    """Change the rules for the store's orders; a run numbers those that arrived while importing was off."""
    form = _orders_form(_seen(store_id), request.form, next_numbers())
    try:
        with unit_of_work():
            store = _seen(store_id)
            change_orders(store, **form.values, actor=current_actor())
            numbered = IMPORT_ORDERS.of(store) and numbering.under_way(store_id) is not None
    except DeskError as error:
        store = _seen(store_id)
        if isinstance(error, OrderSettingsChanged):  # what was saved meanwhile is shown, and saved over the next time
            form[VERSION].data = treatment_of(store).version
        form.complain(error)
        return page("desk/stores/settings.html", **settings_facts(store, current_actor(), orders=form)), error.status
    flash(_("Saved. Orders that arrived in the meantime get their numbers now.") if numbered else _("Saved."), "good")
    return redirect(url_for(".settings", store_id=store_id))


@bp.get("/<int(max=2147483647):store_id>/settings/orders/preview")
@needs("stores.edit")
def preview(store_id: int) -> str:
    """How the newest order would look by the rules that are saved; loaded after the page."""
    store = found_store(store_id)
    current_actor().needs_shops(store.shop_ids)
    return render_template("desk/stores/_preview.html", store=store, preview=shown_preview(store, treatment_of(store)))


@bp.post("/<int(max=2147483647):store_id>/settings/orders/preview")
@needs("stores.edit")
def preview_typed(store_id: int) -> str:
    """How the newest order would look by the rules as they are typed; nothing is saved."""
    store = _seen(store_id)
    current_actor().needs_shops(store.shop_ids)
    form = _orders_form(store, request.form, {} if htmx.is_htmx() else next_numbers())
    shown = shown_preview(store, form.treatment)
    if htmx.is_htmx():
        return render_template("desk/stores/_preview.html", store=store, preview=shown)
    facts = settings_facts(store, current_actor(), orders=form) | {"preview": shown}
    return page("desk/stores/settings.html", **facts)


def _orders_form(store: Store, given: Any, examples: Mapping[int, str]) -> OrdersForm:
    return orders_form(store, shops(current_actor()), channel_name(store.channel), examples, given)


@bp.post("/<int(max=2147483647):store_id>/settings/groups/<code>")
@needs("stores.edit")
def change_group(store_id: int, code: str) -> Response | tuple[str, int]:
    """Store the values of a group of settings for this store."""
    form, status = stored_form(STORE, code, lambda: _seen(store_id))
    if status != 200:
        facts = settings_facts(_seen(store_id), current_actor(), typed={code: form})
        return page("desk/stores/settings.html", **facts), status
    flash(_("Saved."), "good")
    if code == AUTOMATIC.code and WHEN.of(_seen(store_id)) != When.BY_HAND and current_actor().may("orders.invoice"):
        return redirect(url_for(".due_invoices", store_id=store_id))
    return redirect(url_for(".settings", store_id=store_id))


@bp.get("/<int(max=2147483647):store_id>/settings/invoices")
@needs("stores.edit")
def due_invoices(store_id: int) -> str:
    """The invoices that the store's settings would issue now of the orders that are here."""
    store, actor = found_store(store_id), current_actor()
    actor.needs("orders.invoice")
    actor.needs_shops(store.shop_ids)
    return page("desk/stores/invoices.html", **invoices_facts(store, actor))


@bp.post("/<int(max=2147483647):store_id>/settings/invoices")
@needs("stores.edit")
def issue_due_invoices(store_id: int) -> Response:
    """Start a run that issues them, and redirect to it."""
    actor = current_actor()
    actor.needs("orders.invoice")
    ids = backlog.due_ids(_seen(store_id), actor)
    with unit_of_work():
        run = backlog.issue_all(_seen(store_id), ids, actor=actor, key=request.form.get("submission_key", ""))
        run_id = run.id
    return redirect(url_for("runs.show", run_id=run_id))


@bp.get("/<int(max=2147483647):store_id>/settings/erasing")
@needs("stores.edit")
def what_is_to_erase(store_id: int) -> str:
    """What is to be erased of the store's buyers now, for its settings page, which loads it after the rest."""
    return render_template("desk/stores/_erasing.html", **erasing_facts(found_store(store_id), current_actor()))


@bp.post("/<int(max=2147483647):store_id>/settings/buyers")
@needs("stores.edit")
def change_keeping(store_id: int) -> Response | tuple[str, int]:
    """Change how long the store's buyers are kept."""
    form = buyers_form(_seen(store_id), request.form)
    try:
        with unit_of_work():
            change_settings(BUYERS, form.values, _seen(store_id), actor=current_actor())
    except DeskError as error:
        form.complain(error)
        facts = settings_facts(_seen(store_id), current_actor(), buyers=form)
        return page("desk/stores/settings.html", **facts), error.status
    flash(_("Saved."), "good")
    return redirect(url_for(".settings", store_id=store_id))


@bp.post("/<int(max=2147483647):store_id>/erase")
@needs("stores.edit")
def erase(store_id: int) -> Response:
    """Erase what is past its date now, without waiting for the clock, and redirect to the run."""
    total = erasing.count_due(_seen(store_id))
    with unit_of_work():
        run = erasing.start(_seen(store_id), actor=current_actor(), total=total)
        run_id = run.id if run else None
    if run_id is None:
        flash(_("No buyer data is due to be erased."), "info")
        return redirect(url_for(".settings", store_id=store_id))
    return redirect(url_for("runs.show", run_id=run_id))


@bp.get("/<int(max=2147483647):store_id>/status")
@needs("stores.view")
def status(store_id: int) -> str:
    """The present state of the store's traffic."""
    return page("desk/stores/_status.html", store=head(found_store(store_id)))


# --- Its life ---------------------------------------------------------------------------------------------------------


@bp.post("/<int(max=2147483647):store_id>/activate")
@needs("stores.edit")
def activate(store_id: int) -> Response:
    """Activate the store; it is tested first."""
    with unit_of_work():
        store = _seen(store_id)
        activity.activate(store, actor=current_actor())
        jobs.connect.enqueue(store.id)
    flash(_("%(store)s is active again. Its connection is tested, then its orders are read.", store=store.name), "good")
    return redirect(url_for(".show", store_id=store_id))


@bp.post("/<int(max=2147483647):store_id>/deactivate")
@needs("stores.edit")
def deactivate(store_id: int) -> Response:
    """Pause the store."""
    with unit_of_work():
        store = _seen(store_id)
        activity.deactivate(store, actor=current_actor())
    flash(_("%(store)s is paused: nothing is read from it or sent to it.", store=store.name), "good")
    return redirect(url_for(".show", store_id=store_id))


@bp.post("/<int(max=2147483647):store_id>/stop_sending")
@needs("stores.edit")
def stop_sending(store_id: int) -> Response:
    """Make a store read-only."""
    with unit_of_work():
        store = _seen(store_id)
        activity.stop_sending(store, actor=current_actor())
    flash(_("Nothing is sent to %(store)s until somebody resumes sending.", store=store.name), "good")
    return redirect(url_for(".show", store_id=store_id))


@bp.post("/<int(max=2147483647):store_id>/let_send")
@needs("stores.edit")
def let_send(store_id: int) -> Response:
    """Allow sending to a read-only store."""
    with unit_of_work():
        store = _seen(store_id)
        activity.let_send(store, actor=current_actor())
    flash(_("Updates are sent to %(store)s again.", store=store.name), "good")
    return redirect(url_for(".show", store_id=store_id))


@bp.post("/<int(max=2147483647):store_id>/archive")
@needs("stores.edit")
def archive(store_id: int) -> Response:
    """Archive the store with all its orders."""
    with unit_of_work():
        store = _seen(store_id)
        activity.archive(store, actor=current_actor())
    flash(_("%(store)s is archived with all its orders. It can be restored at any time.", store=store.name), "good")
    return redirect(url_for(".index"))


@bp.post("/<int(max=2147483647):store_id>/restore")
@needs("stores.edit")
def restore(store_id: int) -> Response:
    """Restore an archived store."""
    with unit_of_work():
        store = _seen(store_id)
        activity.restore(store, actor=current_actor())
    flash(_("%(store)s is restored and paused. Activate it to read its orders.", store=store.name), "good")
    return redirect(url_for(".show", store_id=store_id))


# --- Its traffic ------------------------------------------------------------------------------------------------------


@bp.post("/<int(max=2147483647):store_id>/sync")
@needs("stores.sync")
def sync(store_id: int) -> Response:
    """Read the store's orders now, or join the run that already does."""
    with unit_of_work():
        store = _seen(store_id)
        runs.start(store, actor=current_actor())
        jobs.import_orders.enqueue(store.id)
    if not htmx.is_htmx():
        return redirect(url_for(".traffic", store_id=store_id))
    return parts("desk/stores/_status.html", store=head(_seen(store_id)))


@bp.post("/<int(max=2147483647):store_id>/test")
@needs("stores.sync")
def test(store_id: int) -> Response | str:
    """Ask the channel now whether the credentials work, and show the answer in plain words."""
    store = _seen(store_id)
    channel, credentials = get_channel(store.channel), access(store)
    db.session.rollback()  # no transaction is open while the network is called
    with call_log.logged(credentials) as credentials:
        connection = calls.test(channel, credentials)
    with unit_of_work():
        store = _seen(store_id)
        connection = activity.connected(store, connection)
        if connection.ok and store.active and not runs.sync_of(store.id).begun:  # it failed when added
            runs.start(store, actor=current_actor())
            jobs.import_orders.enqueue(store.id)
    if htmx.is_htmx():
        return parts("desk/stores/_test.html", store=head(store), test=test_result(connection))
    return page("desk/stores/traffic.html", **traffic_facts(store, current_actor()) | {"test": test_result(connection)})


@bp.post("/<int(max=2147483647):store_id>/asides/<int(max=2147483647):row_id>/retry")
@needs("stores.sync")
def retry_quarantined(store_id: int, row_id: int) -> Response:
    """Read a quarantined order again."""
    for order in quarantined_orders(current_actor(), store_id=store_id):
        if order.id == row_id:
            jobs.fetch_order.enqueue(store_id, order.number)
            flash(_("%(number)s is being read again.", number=order.number), "good")
            return redirect(url_for(".traffic", store_id=store_id))
    raise NotFound(name=row_id)


# --- Adding one -------------------------------------------------------------------------------------------------------


@bp.get("/add")
@needs("stores.edit")
def add() -> str:
    """The kinds of marketplace that can be connected."""
    return page("desk/stores/add.html", offers=_offers(), channel=None, form=None)


@bp.get("/add/<code>")
@needs("stores.edit")
def credentials(code: str) -> str:
    """The form of a channel's credentials."""
    channel = get_channel(code)
    return page("desk/stores/add.html", offers=[], channel=channel, form=_form_for_new(channel))


@bp.post("/add/<code>")
@needs("stores.edit")
def add_channel(code: str) -> Response | tuple[str, int]:
    """Connect a seller's account; jobs test it and start the first sync."""
    channel = get_channel(code)
    form = _form_for_new(channel, request.form)
    try:
        return _connected(channel, form.text_of("name"), form.values, practice=False)
    except DeskError as error:
        form.complain(error)
        return page("desk/stores/add.html", offers=[], channel=channel, form=form), error.status


@bp.post("/add/<code>/practice")
@needs("stores.edit")
def add_practice(code: str) -> Response:
    """Connect the channel's practice marketplace, with invented orders, by one click."""
    channel = get_channel(code)
    settings = _practice_settings(channel)
    if settings is None:
        raise NotFound(name=_PRACTICE)
    name = _("Practice %(channel)s", channel=str(channel.label))
    return _practiced(channel) or _connected(channel, name, settings, practice=True)


def _practiced(channel: Channel) -> Response | None:
    """To the channel's practice store, if there is one: an account connected twice would bring every order twice."""
    for store in stores():
        if store.practice and store.channel == channel.code:
            flash(_("%(store)s is connected already.", store=store.name), "info")
            return redirect(url_for(".show", store_id=store.id))
    return None


def _form_for_new(channel: Channel, given: Any = None) -> SettingsForm:
    """The form of a channel's credentials, with what was typed before an authorization that came to nothing."""
    typed = authorizing.typed(channel.code, session_id=current_person().session_id)
    return retyped_form(channel, typed, given) if typed else settings_form(channel, given=given)


def _connected(channel: Channel, name: str, values: Any, *, practice: bool) -> Response:
    with unit_of_work():
        store = add_store(channel.code, name, values, actor=current_actor(), practice=practice)
        activity.added(store)
        jobs.connect.enqueue(store.id)
        store_id = store.id
    authorizing.forget_typed(channel.code, session_id=current_person().session_id)
    flash(_("%(store)s was added. Its connection is tested, then its orders are read.", store=name.strip()), "good")
    return redirect(url_for(".show", store_id=store_id))


# --- Authorizing at the channel ---------------------------------------------------------------------------------------


@bp.post("/<int(max=2147483647):store_id>/authorize")
@needs("stores.edit")
def authorize(store_id: int) -> Response | str:
    """Begin an authorization of a known store at its channel's site."""
    store, actor = _seen(store_id), current_actor()
    actor.needs_shops(store.shop_ids)
    begun = authorizing.Begun(current_person().session_id, store.channel, store.id)
    return _leave(begun, access_without_secrets(store), url_for(".settings", store_id=store_id))


@bp.post("/add/<code>/authorize")
@needs("stores.edit")
def authorize_new(code: str) -> Response | str | tuple[str, int]:
    """Begin an authorization for a new store, with what was typed so far."""
    channel = get_channel(code)
    form = _form_for_new(channel, request.form)
    name, values = form.text_of("name").strip(), form.values
    try:
        access = authorizing.access_for_new(channel, name, values, actor=current_actor())
        begun = authorizing.Begun(current_person().session_id, code, name=name, values=values)
        return _leave(begun, access, url_for(".credentials", code=code))
    except DeskError as error:
        form.complain(error)
        return page("desk/stores/add.html", offers=[], channel=channel, form=form), error.status


@bp.post("/add/<code>/practice/authorize")
@needs("stores.edit")
def authorize_practice(code: str) -> Response | str:
    """Begin an authorization at the channel's practice marketplace."""
    channel = get_channel(code)
    values = {k: v for k, v in (_practice_settings(channel) or {}).items() if k not in channel.authorizes}
    if not values or not by_local_name():
        raise NotFound(name=_PRACTICE)
    if known := _practiced(channel):
        return known
    name = _("Practice %(channel)s", channel=str(channel.label))
    access = authorizing.access_for_new(channel, name, values, actor=current_actor(), practice=True)
    begun = authorizing.Begun(current_person().session_id, code, name=name, values=values, practice=True)
    return _leave(begun, access, url_for(".add"))


def _leave(begun: authorizing.Begun, access: StoreAccess, cancel_url: str) -> str:
    url = authorizing.begin(begun, access, back=_back())
    return page("desk/stores/authorize.html", channel=get_channel(begun.channel), url=url, cancel_url=cancel_url)


@bp.get("/authorized")
@needs("stores.edit")
@without_query
def authorized() -> Response:
    """Take the answer of a channel's consent page, and redirect at once: the address holds the answer.

    No token of a form protects this route: its state does, which one session gets and which is taken once.
    """
    begun = None
    try:
        begun = authorizing.take(request.args.get("state", ""), session_id=current_person().session_id)
        return _keep(begun, {name: value for name, value in request.args.items() if name != "state"})
    except DeskError as error:
        flash(str(error), "bad")
        return redirect(_before(begun))


def _before(begun: authorizing.Begun | None) -> str:
    """The page on which an authorization that failed was begun; it keeps what was typed there."""
    if begun is None:
        return url_for(".index")
    if begun.store_id:
        return url_for(".settings", store_id=begun.store_id)
    if begun.practice:
        return url_for(".add")
    authorizing.keep_typed(begun)
    return url_for(".credentials", code=begun.channel)


def _keep(begun: authorizing.Begun, answer: Mapping[str, str]) -> Response:
    """Exchange a channel's answer for the settings that it gives, and store them in the store, or in a new one."""
    channel, actor = get_channel(begun.channel), current_actor()
    if begun.store_id:
        credentials = access(_seen(begun.store_id))
    else:
        credentials = authorizing.access_for_new(
            channel, begun.name, begun.values, actor=actor, practice=begun.practice
        )
    db.session.rollback()  # no transaction is open while the network is called
    given = authorizing.settings_from(channel, credentials, answer, back=_back())
    if not begun.store_id:
        return _connected(channel, begun.name, {**begun.values, **given}, practice=begun.practice)
    with unit_of_work():
        store = _seen(begun.store_id)
        change_store(store, given, actor=actor)
        ages.entered(store, given)  # it is new, even if the channel gave the text that it gave before
    flash(_("%(channel)s gave the authorization. The connection is being tested.", channel=str(channel.label)), "good")
    return redirect(url_for(".show", store_id=begun.store_id))


def _back() -> str:
    return url_for(".authorized", _external=True)


def _practice_settings(channel: Channel) -> Mapping[str, Any] | None:
    """The settings of a store at the practice marketplace of this channel, if one runs."""
    url = configuration().practice_url
    return described.practice_settings(channel, url) if url else None


def _seen(store_id: int) -> Store:
    return seen_store(store_id, current_actor())


def _offers() -> list[dict[str, Any]]:
    """What can be connected: each channel, with its practice marketplace before it if one runs."""
    offers = []
    for channel in channels().values():
        facts = {"code": channel.code, "label": channel.label, "authorizes": channel.authorizes and by_local_name()}
        if _practice_settings(channel) is not None:
            offers.append(facts | {"practice": True})
        offers.append(facts | {"practice": False})
    return offers
