"""The contents of a store's pages: traffic, sales, counts and orders in words. Nothing here changes anything."""

import secrets
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from flask import url_for
from sqlalchemy import text
from sqlalchemy.orm import joinedload

from webapp.audit.actor import Actor
from webapp.billing import backlog
from webapp.billing.automatic import AUTOMATIC, SINCE, WHEN, When
from webapp.channels import authorizing, described
from webapp.channels.ages import AGES, ages_of, warnings_of
from webapp.channels.connecting import Connection
from webapp.channels.keeping import BUYERS
from webapp.channels.models import Store
from webapp.channels.registered import channels
from webapp.channels.services import CONNECTION, access_without_secrets, channel_name, seen_store
from webapp.channels.shops import get_shop, next_numbers, shops
from webapp.clock import now
from webapp.db import db
from webapp.errors import sentence_of
from webapp.fulfillment.holding import CANCEL_HOLD, SHIP_HOLD
from webapp.i18n import gettext as _
from webapp.lists.listing import list_page
from webapp.orders import erasing
from webapp.orders.attention import in_words
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.order_settings import IMPORT_ORDERS, MARKETPLACES, NEW_ORDERS, Treatment, switched_off, treatment_of
from webapp.orders.queries import visible
from webapp.orders.states import STATE_LABELS
from webapp.orders.statuses import status_name
from webapp.reporting.figures import Figure, Interval, Sales, orders_by_state, sales_by_store
from webapp.search.compiling import Compiled
from webapp.settings.declared import STORE
from webapp.sync import health, runs
from webapp.sync.models import StoreSync
from webapp.sync.preview import newest_of, preview
from webapp.sync.streams import lane_label
from webapp.sync.taking_in.quarantine import quarantined_orders
from webapp.ui.desk import charts, sales
from webapp.ui.desk.cards import orders_url, traffic
from webapp.ui.desk.runs import shown_run
from webapp.ui.desk.settings import group_forms
from webapp.ui.forms import Form
from webapp.ui.forms.settings import SettingsForm, buyers_form, group_form, settings_form
from webapp.ui.forms.stores import orders_form
from webapp.ui.frame import unscripted
from webapp.ui.frame.access import current_actor
from webapp.ui.frame.formats import moment, money, number, state_label, zone
from webapp.ui.frame.pages import show_times_of, shown_stores
from webapp.ui.frame.proxies import by_local_name
from webapp.ui.orders import shown
from webapp.updates.models import OPEN_UPDATES, ChannelUpdate

RECENT, WAITING_SHOWN, DUE_SHOWN = 8, 20, 50
_WITH_MORE = (CONNECTION, AGES, NEW_ORDERS, MARKETPLACES, BUYERS)  # name, days, shops, and what is to be erased


def found_store(store_id: int) -> Store:
    """The store, from those that the frame has already read if it is among them."""
    for store in shown_stores():
        if store.id == store_id:
            return store  # type: ignore[no-any-return]
    return seen_store(store_id, current_actor())


def head(store: Store, state: health.Health | None = None) -> dict[str, Any]:
    """The head of every page of a store, and the context of its traffic's partials."""
    show_times_of([store])
    state = state or health.of_stores([store.id])[store.id]
    run = state.run
    shown_one = shown_run(run, {store.id: store}) if run else None
    facts = traffic(store, state)
    return facts | {
        "marketplaces": _marketplaces(store),
        "created_at": store.created_at,
        "archived_at": store.archived_at,
        "active": store.active,
        "read_only": sentence_of(store.read_only),
        "expiring": warnings_of(store),
        "shop": store.shop.name,
        "import_orders": IMPORT_ORDERS.of(store),
        "orders_url": orders_url(f"store:{store.id}"),
        "running": shown_one if state.running else None,
        "last_run": None if state.running else shown_one,
        "lanes": [_lane(lane) for lane in state.lanes],
    }


def _marketplaces(store: Store) -> list[str]:
    """The countries of the store's marketplaces; of one that is switched off, that it is."""
    off = switched_off(store)
    return [
        _("%(country)s: off", country=row.country) if row.marketplace in off else row.country
        for row in store.marketplaces
    ]


def _lane(lane: StoreSync) -> dict[str, Any]:
    """Another lane of a store: when it was read, or why it can't be and when it is tried again."""
    label, read_at = lane_label(lane.lane), lane.last_success_at
    return {
        "label": label,
        "problem": sentence_of(lane.last_failure),
        "again": _("Next try: %(again)s.", again=moment(lane.next_at)),
        "read": _("%(what)s: last read %(at)s.", what=label, at=moment(read_at)) if read_at else "",
    }


def cards(found: Sequence[Store], actor: Actor) -> list[dict[str, Any]]:
    """The stores for the page that lists them, each with its sales of the last 30 days."""
    show_times_of(list(found))
    states = health.of_stores([store.id for store in found])
    sold = _sold(actor)
    return [head(store, states[store.id]) | {"sales": sold.get(store.id)} for store in found]


def _sold(actor: Actor) -> dict[int, dict[str, Any]]:
    """Of every store with sales, thirty days compared with the thirty before them."""
    if not actor.may("orders.view"):
        return {}
    today = now().astimezone(zone()).date()
    times = [(today - timedelta(days=29), today), (today - timedelta(days=59), today - timedelta(days=30))]
    return {store_id: _sales(month, before) for store_id, (month, before) in sales_by_store(actor, times).items()}


def _sales(month: Sales, before: Sales) -> dict[str, Any]:
    """A month compared with the one before, each currency by itself."""
    no_data = sales.no_data_before(month, before)
    return {
        "orders": month.orders,
        "orders_change": sales.change(month.orders, before.orders, no_data),
        "currencies": [
            {
                "code": currency,
                "total": month.totals[currency].total,
                "change": sales.change(
                    month.totals[currency].minor, before.totals.get(currency, Figure(currency)).minor, no_data
                ),
                "spark": _spark(month, currency),
            }
            for currency in month.currencies
        ],
    }


def _spark(month: Sales, currency: str) -> charts.Chart:
    steps = list(month.steps.values())
    return charts.bars(
        [step.total(currency).minor for step in steps],
        title=_("Sales in %(currency)s, 30 days", currency=currency),
        description=sales.days(month.since, month.until),
        titles=[
            _("%(name)s: %(text)s", name=sales.step_label(step, Interval.DAY), text=money(step.total(currency)))
            for step in steps
        ],
        labels=(),
        words=str,
    )


def overview(store: Store, actor: Actor) -> dict[str, Any]:
    """The first page: sales, orders by state, the newest orders."""
    facts: dict[str, Any] = {"store": head(store), "tab": "show", "test": None}
    facts |= dict.fromkeys(("sales", "counts", "orders", "all_url"))
    if actor.may("orders.view"):
        of_store = Compiled((Order.store_id == store.id,))
        facts |= {
            "sales": _sold(actor).get(store.id),
            "counts": _counts(store, actor),
            "orders": [shown.ShownOrder(order) for order in list_page(ORDER_LIST, actor, of_store, limit=RECENT).rows],
            "all_url": facts["store"]["orders_url"],
        }
    return facts


def _counts(store: Store, actor: Actor) -> list[dict[str, str]]:
    found = orders_by_state(actor, store.id)
    return [
        {
            "label": state_label(state),
            "number": number(found[state]),
            "url": orders_url(f"store:{store.id} state:{state} archived:any"),
        }
        for state in STATE_LABELS
        if state in found
    ]


def traffic_facts(store: Store, actor: Actor) -> dict[str, Any]:
    """The page of the traffic: its state, the waiting updates, quarantined orders, runs."""
    return {
        "store": head(store),
        "tab": "traffic",
        "test": None,
        "waiting": _waiting(store, actor),
        "quarantined": quarantined_orders(actor, store_id=store.id, limit=50),
        "runs": [
            shown_run(run, {store.id: store}) for run in runs.runs(actor, store_id=store.id, limit=15, quiet=False)
        ],
    }


def _waiting(store: Store, actor: Actor) -> list[dict[str, Any]]:
    """The updates that are owed to its channel, soonest first."""
    if not actor.may("orders.view"):
        return []
    query = (
        visible(actor)
        .join(ChannelUpdate, ChannelUpdate.order_id == Order.id)
        .where(ChannelUpdate.store_id == store.id, text(OPEN_UPDATES))
        .with_only_columns(ChannelUpdate, Order)
        .options(joinedload(ChannelUpdate.order))
        .order_by(ChannelUpdate.due_at, ChannelUpdate.id)
        .limit(WAITING_SHOWN)
    )
    return [
        {
            "order": shown.ShownOrder(order),
            "kind": described.kind_label(store.channel, row.kind),
            "state": row.state,
            "due_at": row.due_at,
            "deadline": row.deadline,
        }
        for row, order in db.session.execute(query)
    ]


def settings_facts(
    store: Store,
    actor: Actor,
    *,
    connection: Form | None = None,
    orders: Form | None = None,
    buyers: Form | None = None,
    typed: dict[str, SettingsForm] | None = None,
) -> dict[str, Any]:
    """The page of the settings: connection, rules for its orders, and how long its buyers are kept."""
    channel = channels().get(store.channel)
    state = health.Health.of_lanes(runs.lanes_of([store.id]).get(store.id, ()))
    whole = unscripted.whole()
    return {
        "tab": "settings",
        "test": None,
        "can_authorize": channel is not None
        and (by_local_name() or not store.practice)  # a practice marketplace leads nowhere else
        and authorizing.can_begin(store, access_without_secrets(store)),
        "ages": ages_of(store),
        "ages_form": (typed or {}).get(AGES.code) or group_form(AGES, subject=store),
        "channel": channel,
        "form": connection or (settings_form(channel, store) if channel else None),
        "orders_form": orders or orders_form(store, shops(actor), channel_name(store.channel), next_numbers()),
        "buyers_form": buyers or buyers_form(store),
        "groups": group_forms(STORE, lambda code: _url_of_group(store, code), store, typed, _WITH_MORE),
        "links": _links_of_groups(store, actor),
        "whole": whole,
        "preview": shown_preview(store, treatment_of(store)) if whole else None,
        "import_from": _days_back(store),
        **(erasing_facts(store, actor) if whole else {"erasing": None, "erasing_run": None}),
        "store": head(store, state),
    }


def _links_of_groups(store: Store, actor: Actor) -> dict[str, dict[str, Any]]:
    """Where a group of settings leads on, by its code."""
    if WHEN.of(store) == When.BY_HAND or not actor.may("orders.invoice"):
        return {}
    label, url = _("Invoices due for existing orders"), url_for("stores.due_invoices", store_id=store.id)
    return {AUTOMATIC.code: {"label": label, "url": url}}


def shown_preview(store: Store, treatment: Treatment) -> dict[str, Any]:
    """How the store's newest order would look if it arrived now under these settings; `order` is None if there is none
    that the person may see.
    """
    actor = current_actor()
    newest = newest_of(store, actor) if actor.may("orders.view") else None
    if newest is None:
        return {"order": None, "may_see": actor.may("orders.view")}
    found = preview(newest, treatment)
    return {
        "order": shown.ShownOrder(newest),
        "number": found.number,
        "shop": store.shop.name if found.shop_id == store.shop_id else get_shop(found.shop_id).name,
        "state": found.state,
        "status": status_name(found.status) if found.status else "",
        "by_rule": found.by_rule,
        "once_paid": status_name(found.once_paid) if found.once_paid else "",
        "off": newest.marketplace in treatment.off,
        "invoice": _when_invoiced(store),
        "holds": [(_("Shipment confirmation"), SHIP_HOLD.of(store)), (_("Cancellation"), CANCEL_HOLD.of(store))],
        "attention": in_words(found.attention),
    }


def _days_back(store: Store) -> int | None:
    """How many days the first import reaches back, where the channel lets a merchant say so."""
    back = [one for one in CONNECTION.declared(store) if one.name == "import_from"]
    return int(CONNECTION.read(store, back)["import_from"]) if back else None


def _url_of_group(store: Store, code: str) -> str:
    return url_for("stores.change_group", store_id=store.id, code=code)


def invoices_facts(store: Store, actor: Actor) -> dict[str, Any]:
    """The page of the invoices that the store's settings would issue now."""
    found = backlog.preview(store, actor)
    return {
        "store": head(store),
        "tab": "settings",
        "test": None,
        "when": _when_invoiced(store),
        "since": date.fromisoformat(SINCE.of(store)) if SINCE.of(store) else None,
        "count": len(found.due),
        "more": found.more,
        "totals": found.totals,
        "rows": [
            {"order": shown.ShownOrder(one.order), "units": one.units, "total": one.total}
            for one in found.due[:DUE_SHOWN]
        ],
        "key": secrets.token_urlsafe(16),
    }


def _when_invoiced(store: Store) -> str:
    """When the store's orders are invoiced, in words."""
    return str((WHEN.options or {})[WHEN.of(store)])


def erasing_facts(store: Store, actor: Actor) -> dict[str, Any]:
    """What is to be erased of a store's buyers now, and the last run that erased any."""
    run = erasing.last_run(store)
    return {
        "store": store,
        "erasing": erasing.preview(store, actor),
        "erasing_run": shown_run(run, {store.id: store}) if run else None,
    }


def test_result(connection: Connection) -> dict[str, Any]:
    """The result of a connection test."""
    names = [f"{one.name} ({one.country})" for one in connection.marketplaces]
    problem = str(connection.problem) if connection.problem else ""
    return {"ok": connection.ok, "marketplaces": names, "problem": problem, "checks": connection.checks}
