"""Formatting values for a page: money, times, countdowns, states. The words come from where the codes are declared."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal
from flask import Flask, g
from markupsafe import Markup, escape

from webapp.channels.incoming import COMPONENT_LABELS
from webapp.channels.refunds import ADJUSTMENT_LABELS
from webapp.clock import iso, now
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l
from webapp.jobs.models import RunState
from webapp.money import Money
from webapp.orders.states import STATE_LABELS as ORDER_STATES, STATE_TONES
from webapp.ui.frame import access
from webapp.ui.frame.languages import language
from webapp.updates.models import STATE_LABELS as UPDATE_STATES, STATE_TONES as UPDATE_TONES

RUN_STATES: dict[str, LazyString] = {
    RunState.QUEUED: _l("Waiting"),
    RunState.RUNNING: _l("Running"),
    RunState.PAUSED: _l("Paused"),
    RunState.DONE: _l("Done"),
    RunState.FAILED: _l("Failed"),
    RunState.STOPPED: _l("Stopped"),
}
COMPONENTS: Mapping[str, LazyString] = {
    str(code): label for code, label in (*COMPONENT_LABELS.items(), *ADJUSTMENT_LABELS.items())
}
_LABELS: Mapping[str, LazyString] = {**ORDER_STATES, **UPDATE_STATES, **RUN_STATES}
SOON = timedelta(hours=4)


def init_app(app: Flask) -> None:
    app.add_template_filter(money)
    app.add_template_filter(when)
    app.add_template_filter(countdown)
    app.add_template_filter(age)
    app.add_template_filter(number)
    app.add_template_filter(clock)
    app.add_template_filter(day)
    app.add_template_filter(to_the_second)
    app.add_template_filter(duration)
    app.jinja_env.globals.update(
        state_label=state_label,
        state_tones=STATE_TONES,
        update_tones=UPDATE_TONES,
        component_label=component_label,
        can=access.may,
    )


def state_label(code: str) -> str:
    """The label of a state of an order, an update or a run; an unknown code is returned itself."""
    return str(_LABELS.get(code, code))


def component_label(code: str) -> str:
    return str(COMPONENTS.get(code, code))


@dataclass(frozen=True, slots=True)
class Reader:
    """The reader of values: language, zone, and the present time. A list creates it once, not for every cell."""

    locale: str
    zone: ZoneInfo
    at: datetime

    def money(self, amount: Money) -> str:
        return _money(amount, self.locale)

    def when(self, instant: datetime) -> Markup:
        """An instant in the page's zone; its title has it to the second."""
        exact, text = self._written(instant)
        return Markup(f"<time {exact}>{text}</time>")  # noqa: S704 - numbers and words of ours

    def moment(self, instant: datetime) -> str:
        """An instant in the page's zone as plain text, for sentences."""
        return self._written(instant)[1]

    def countdown(self, instant: datetime, left: str = "") -> Markup:
        """The time left until `instant`, or the time since it has passed; page.js updates it in the browser. `left` is
        the sentence around {time} while it is still to come.
        """
        until, text, passed = instant - self.at, self._apart(instant), _words_left(self.locale)[-1]
        late = until < timedelta(minutes=-0.5)
        due = "late" if late else "soon" if until < SOON else ""
        text = (passed if late else left or "{time}").replace("{time}", text)
        around = f' data-left="{escape(left)}"' if left else ""
        time = f'<time {self._written(instant)[0]} data-countdown{around} data-due="{due}">{escape(text)}</time>'
        return Markup(time)  # noqa: S704

    def age(self, instant: datetime) -> Markup:
        """The time since `instant`, which has no deadline; page.js updates it in the browser."""
        return Markup(f'<time {self._written(instant)[0]} data-countdown="age">{self._apart(instant)}</time>')  # noqa: S704

    def _apart(self, instant: datetime) -> str:
        """The time between now and `instant`, in its two largest units."""
        minutes = abs(round((instant - self.at).total_seconds() / 60))
        days, hours, rest = minutes // 1440, minutes % 1440 // 60, minutes % 60
        day, hour, minute, _passed = _words_left(self.locale)
        parts = [(days, day), (hours, hour)] if days else [(hours, hour), (rest, minute)]
        shown = [f"{number} {word}" for number, word in parts if number][: 1 if days > 2 else 2]
        return " ".join(shown) or f"0 {minute}"

    def _written(self, instant: datetime) -> tuple[str, str]:
        return _written(instant, self.zone, self.locale, self.at.year)


def reader() -> Reader:
    """The reader for whom this page is drawn."""
    return Reader(language(), zone(), now())


def money(amount: Money) -> str:
    return _money(amount, language())


def number(count: float) -> str:
    return str(format_decimal(count, locale=language()))


def day(one: date) -> str:
    """A day with its year."""
    return str(format_date(one, "medium", locale=language()))


def clock(instant: datetime) -> str:
    """The time of day only."""
    return f"{instant.astimezone(zone()):%H:%M}"


def to_the_second(instant: datetime) -> str:
    """An instant as people wait for it: to the second within an hour."""
    if abs(instant - now()) < timedelta(hours=1):
        return f"{instant.astimezone(zone()):%H:%M:%S}"
    return moment(instant)


def duration(seconds: int) -> str:
    """A duration in its largest unit: seconds up to two minutes, minutes up to two hours."""
    if seconds < 120:
        return str(_("%(seconds)s s", seconds=seconds))
    if seconds < 7200:
        return str(_("%(minutes)s min", minutes=seconds // 60))
    return str(_("%(hours)s h", hours=number(seconds // 3600)))


def when(instant: datetime) -> Markup:
    return reader().when(instant)


def moment(instant: datetime) -> str:
    return reader().moment(instant)


def countdown(instant: datetime, left: str = "") -> Markup:
    return reader().countdown(instant, left)


def age(instant: datetime) -> Markup:
    return reader().age(instant)


@lru_cache(maxsize=8)
def _words_left(locale: str) -> tuple[str, str, str, str]:
    """The words of a countdown in the page's language, which is `locale`; cached, since a list shows a hundred of
    them.
    """
    return str(_("d")), str(_("h")), str(_("min")), str(_("{time} late"))


@lru_cache(maxsize=8192)
def _written(instant: datetime, zone: ZoneInfo, locale: str, this_year: int) -> tuple[str, str]:
    """An instant as attributes of its element, and in words; cached, since a list shows most of them twice."""
    local = instant.astimezone(zone)
    exact = f'datetime="{iso(instant)}" title="{local:%Y-%m-%d %H:%M:%S %Z}"'
    return exact, f"{_day(local.date(), locale, local.year == this_year)}, {local:%H:%M}"


def zone() -> ZoneInfo:
    """The zone in which this page shows times."""
    return _zone(str(g.get("zone") or "UTC"))


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=4096)
def _day(day: date, locale: str, this_year: bool) -> str:
    skeletons = Locale.parse(locale).datetime_skeletons
    return str(format_date(day, skeletons["MMMd" if this_year else "yMMMd"].pattern, locale=locale))


@lru_cache(maxsize=8192)
def _money(amount: Money, locale: str) -> str:
    return str(format_currency(amount.decimal, amount.currency, locale=locale))
