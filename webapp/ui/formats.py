"""How values read on a page: money, times, countdowns, states. The words come from where their codes are declared."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_time
from flask import Flask, g
from flask_babel import format_currency
from markupsafe import Markup

from webapp.channels.contract import Component
from webapp.clock import iso, now
from webapp.i18n import LazyString, get_locale, gettext as _, lazy_gettext as _l
from webapp.jobs.models import RunState
from webapp.money import Money
from webapp.orders.states import STATE_LABELS as ORDER_STATES
from webapp.sync.updates import STATE_LABELS as UPDATE_STATES
from webapp.ui import access

RUN_STATES: dict[str, LazyString] = {
    RunState.QUEUED: _l("Waiting"),
    RunState.RUNNING: _l("Running"),
    RunState.PAUSED: _l("Paused"),
    RunState.DONE: _l("Done"),
    RunState.FAILED: _l("Failed"),
    RunState.STOPPED: _l("Stopped"),
}
COMPONENTS: dict[str, LazyString] = {
    Component.ITEM: _l("Items"),
    Component.SHIPPING: _l("Shipping"),
    Component.GIFT_WRAP: _l("Gift wrap"),
    Component.COD: _l("Cash on delivery"),
    Component.TIP: _l("Tip"),
    Component.OTHER: _l("Other"),
}
_LABELS: Mapping[str, LazyString] = {**ORDER_STATES, **UPDATE_STATES, **RUN_STATES}
SOON = timedelta(hours=4)


def init_app(app: Flask) -> None:
    app.add_template_filter(money)
    app.add_template_filter(when)
    app.add_template_filter(countdown)
    app.jinja_env.globals.update(state_label=state_label, component_label=component_label, can=access.may)


def state_label(code: str) -> str:
    """The word of a state of an order, an update or a run; a code no longer known stands for itself."""
    return str(_LABELS.get(code, code))


def component_label(code: str) -> str:
    return str(COMPONENTS.get(code, code))


def money(amount: Money) -> str:
    return str(format_currency(amount.decimal, amount.currency))


def when(instant: datetime) -> Markup:
    """An instant in the page's zone, exact to the second for who points at it."""
    return Markup('<time datetime="{}" title="{}">{}</time>').format(iso(instant), _exact(instant), moment(instant))


def moment(instant: datetime) -> str:
    """The same as plain text, for sentences."""
    local, locale = instant.astimezone(zone()), get_locale()
    pattern = _pattern(str(locale), local.year == now().astimezone(zone()).year)
    return f"{format_date(local, pattern, locale=locale)}, {format_time(local, 'HH:mm', locale=locale)}"


def countdown(instant: datetime) -> Markup:
    """How much time is left until an instant, or by how much it has passed; waybill.js keeps it going."""
    left = instant - now()
    minutes = abs(round(left.total_seconds() / 60))
    days, hours, rest = minutes // 1440, minutes % 1440 // 60, minutes % 60
    parts = [(days, _("d")), (hours, _("h"))] if days else [(hours, _("h")), (rest, _("min"))]
    shown = [f"{number} {word}" for number, word in parts if number][: 1 if days > 2 else 2]
    text = " ".join(shown) or f"0 {_('min')}"
    late = left < timedelta(minutes=-0.5)
    due = "late" if late else "soon" if left < SOON else ""
    return Markup('<time datetime="{}" title="{}" data-countdown data-due="{}">{}</time>').format(
        iso(instant), _exact(instant), due, _("{time} late").replace("{time}", text) if late else text
    )


def zone() -> ZoneInfo:
    """The zone in which this page shows times."""
    return _zone(str(g.get("zone") or "UTC"))


def _exact(instant: datetime) -> str:
    local, locale = instant.astimezone(zone()), get_locale()
    day = format_date(local, "full", locale=locale)
    return f"{day}, {format_time(local, 'HH:mm:ss', locale=locale)} {local.tzname()}"


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=16)
def _pattern(locale: str, this_year: bool) -> Any:
    skeleton = "MMMd" if this_year else "yMMMd"
    return Locale.parse(locale).datetime_skeletons[skeleton].pattern
