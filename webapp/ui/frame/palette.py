"""Doing anything by name: what Ctrl K offers beside the acts of the current page, which `palette.js` finds there.

An entry is a link, or is done by posting its fields. Each is offered to people with the right that its route declares.
Typed text is filtered in the browser and only sent when it is chosen, and then posted: a number may be a buyer's.
Without scripts the entries are a page.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.errors import NotFound, SeveralFit
from webapp.hooks.registered import is_ours, owner_of
from webapp.i18n import LANGUAGES, gettext as _
from webapp.lists.saved_views import EVERYTHING, list_state, views_by_subject
from webapp.lists.subjects import subjects
from webapp.orders.contract import OrderAction, PartAction
from webapp.orders.listing import ORDER_LIST
from webapp.orders.queries import find_order, reference
from webapp.orders.services import actions, bar, offers
from webapp.settings.declared import DESK
from webapp.settings.services import groups
from webapp.ui.frame.access import current_actor, may, needs, right_of
from webapp.ui.frame.pages import page, shown_stores
from webapp.ui.frame.plugin_pages import plugin_ways
from webapp.ui.frame.redirects import redirect

bp = Blueprint("palette", __name__, url_prefix="/palette")


@dataclass(frozen=True, slots=True)
class Way:
    """A page to go to or an act to do, by its name; `about` names its part of the desk."""

    label: str
    url: str
    about: str = ""
    fields: dict[str, str] | None = None  # the fields to post; None for a link
    refusal: str = ""  # why it is not possible now
    forget: bool = False  # the browser deletes kept input


@bp.get("/")
@needs("orders.view")
def index() -> str | Response:
    """Every entry, as a page or for the dialog; if it was reached from an order, that order's acts come first."""
    if request.accept_mimetypes.best_match(("text/html", "application/json")) == "application/json":
        acts = [{"code": action.code, "label": str(action.label)} for action in _acts()]
        return jsonify({"ways": [asdict(way) for way in _ways()], "acts": acts})
    ways = [*_of_order(request.args.get("order", "")), *_ways()]
    return page("frame/palette/index.html", ways=ways, acts=_acts())


@bp.post("/")
@needs("orders.view")
def open_order() -> AnyResponse:
    """Redirect to the form of an act on the order with this number; any other text becomes a search, which finds an
    order by its number too.
    """
    text, code = request.form.get("text", ""), request.form.get("act", "")
    if code in [action.code for action in _acts()]:
        with suppress(NotFound, SeveralFit):
            number = reference(find_order(text, current_actor()))
            return redirect(url_for("orders.choose", number=number, code=code, _anchor="order-actions"))
    return redirect(url_for("orders.search"), code=307)  # posted again, so that it is in no URL


def _acts() -> list[OrderAction]:
    """The acts on whole orders that this person may do; those on one part of an order are done beside it."""
    return [action for action in actions().values() if may(action.right) and not isinstance(action, PartAction)]


def _ways() -> list[Way]:
    return [way for way in (*_main(), *_views(), *_other_lists(), *_stores(), *_settings(), *_person()) if way]


def _way(
    label: str, endpoint: str, about: str, *, fields: dict[str, str] | None = None, forget: bool = False, **args: Any
) -> Way | None:
    """The link to a route, for people with the right that it declares."""
    right = right_of(current_app, endpoint)
    return Way(label, url_for(endpoint, **args), about, fields, forget=forget) if not right or may(right) else None


def _of_order(number: str) -> Iterator[Way]:
    """The acts on the order of the page before."""
    if not number:
        return
    order, actor = find_order(number, current_actor()), current_actor()
    about = _("Order %(number)s", number=order.number or order.channel_order_number)
    for offer in bar(offers(order, actor, of_parts=False)):
        url = url_for("orders.choose", number=reference(order), code=offer.code, _anchor="order-actions")
        yield Way(offer.label, url, about, refusal=str(offer.refusal or ""))


def _main() -> Iterator[Way | None]:
    desk, orders = _("Go to"), _("Orders")
    yield _way(_("Dashboard"), "dashboard.index", desk)
    yield _way(_("Orders"), "orders.index", desk)
    yield _way(_("Shipments"), "shipments.index", desk)
    yield _way(_("Returns"), "returns.index", desk)
    yield _way(_("Invoices"), "invoices.index", desk)
    yield _way(_("Credit memos"), "credit_memos.index", desk)
    yield _way(_("Transactions"), "transactions.index", desk)
    yield _way(_("Outbox"), "outbox.index", desk)
    yield _way(_("Stores"), "stores.index", desk)
    yield _way(_("Runs"), "runs.index", desk)
    yield _way(_("Communication"), "calls.index", desk)
    yield _way(_("Orders report"), "dashboard.report", desk)
    yield _way(_("Tax report"), "reports.taxes", desk)
    yield _way(_("Invoice report"), "reports.invoices", desk)
    yield _way(_("Refund report"), "reports.refunds", desk)
    yield _way(_("Plugins"), "plugins.index", desk)
    for way in plugin_ways():
        yield Way(way.label, way.url, desk)
    yield _way(_("Style guide"), "styleguide.index", desk)
    yield _way(_("Ship from a list"), "ship_list.give", orders)
    yield _way(_("Filter the orders"), "orders.filters", orders)
    yield _way(_("Choose columns"), "orders.layout", orders)
    yield _way(_("Export all orders"), "orders.export", orders, all="1")
    yield _way(_("Download the report as CSV"), "dashboard.report_csv", orders)


def _views() -> Iterator[Way | None]:
    about, export = _("View"), _("Export")
    views = [*ORDER_LIST.views, *list_state(current_actor()).views]
    for view in views:
        yield _way(str(view.name), "orders.index", about, view=view.code)
    yield _way(_("New saved view"), "orders.index", about, _anchor="view-name")
    yield _way(_("Manage views"), "orders.views", about)
    yield _way(_("Begin with the dashboard"), "dashboard.start", about, fields={})
    for view in views:
        if view.code != EVERYTHING and not view.sealed:  # sealed words are in no link
            label, sort = _("Export “%(name)s”", name=str(view.name)), view.sort or None
            yield _way(label, "orders.export", export, all="1", q=view.query, sort=sort, view=view.code)


def _other_lists() -> Iterator[Way | None]:
    """The views of the desk's lists beside that of orders, which has more to offer."""
    saved = views_by_subject(current_actor())
    for subject in subjects().values():
        if subject is ORDER_LIST or not is_ours(owner_of(subject)) or not may(subject.right):
            continue
        code, about = subject.code, str(subject.label)
        for view in (*subject.views, *saved.get(code, ())):
            if view.code != EVERYTHING:
                yield _way(str(view.name), f"{code}.index", about, view=view.code)
        yield _way(str(subject.words.filter), f"{code}.filters", about)
        yield _way(_("Manage views"), f"{code}.views", about)
        yield _way(_("Export"), f"{code}.export", about, all="1")


def _stores() -> Iterator[Way | None]:
    about = _("Store")
    if not may("stores.view"):
        return
    for store in shown_stores():
        here: dict[str, Any] = {"store_id": store.id}
        yield _way(store.name, "stores.show", about, **here)
        if store.active and store.archived_at is None:
            yield _way(_("Sync %(store)s now", store=store.name), "stores.sync", about, fields={}, **here)
            yield _way(_("Test the connection of %(store)s", store=store.name), "stores.test", about, fields={}, **here)
        yield _way(_("Traffic of %(store)s", store=store.name), "stores.traffic", about, **here)
        yield _way(_("Settings of %(store)s", store=store.name), "stores.settings", about, **here)
        yield _way(_("All orders of %(store)s", store=store.name), "orders.index", about, q=f"store:{store.id}")
    yield _way(_("Add a store"), "stores.add", about)


def _settings() -> Iterator[Way | None]:
    about = _("Settings")
    yield _way(_("Settings"), "settings.index", _("Go to"))
    yield _way(_("Shops"), "shops.index", about)
    yield _way(_("Add a shop"), "shops.add", about)
    yield _way(_("Statuses"), "labels.all_statuses", about)
    yield _way(_("Add a status"), "labels.new_status", about)
    yield _way(_("Tags"), "labels.all_tags", about)
    yield _way(_("Message templates"), "message_templates.index", about)
    yield _way(_("Add a template"), "message_templates.new", about)
    yield _way(_("People"), "people.index", about)
    yield _way(_("Invite somebody"), "people.add", about)
    yield _way(_("Roles"), "roles.index", about)
    yield _way(_("Add a role"), "roles.add", about)
    for group in groups(DESK):
        yield _way(str(group.label), "settings.index", about, _anchor=f"settings-{group.code}")


def _person() -> Iterator[Way | None]:
    about, here = _("Account and display"), url_for(".index")
    yield _way(_("Your account"), "account.show", about)
    for theme, label in (("system", _("Theme: system")), ("light", _("Theme: light")), ("dark", _("Theme: dark"))):
        yield _way(label, "account.theme", about, fields={"theme": theme, "next": here})
    for code, name in LANGUAGES.items():
        label = _("Language: %(name)s", name=name)
        yield _way(label, "account.language", about, fields={"language": code, "next": here})
    yield _way(_("Sign out"), "sign_in.sign_out", about, fields={}, forget=True)
