"""Sales as pages show them: the requested period, compared with the one before, in words, charts and rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from babel.dates import format_interval, format_skeleton
from babel.numbers import format_compact_currency, format_percent

from webapp.audit.actor import Actor
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l
from webapp.money import Money
from webapp.reporting.figures import Figure, Interval, LastBeforeFirst, OddPeriod, Sales, Scope, Step, sales_of
from webapp.ui.desk import charts
from webapp.ui.frame.formats import money, number
from webapp.ui.frame.languages import language

RANGES: dict[str, LazyString] = {
    "today": _l("Today"),
    "7d": _l("7 days"),
    "30d": _l("30 days"),
    "month": _l("This month"),
    "quarter": _l("This quarter"),
    "year": _l("This year"),
}
INTERVALS: dict[str, LazyString] = {
    Interval.DAY: _l("Day"),
    Interval.WEEK: _l("Week"),
    Interval.MONTH: _l("Month"),
}
_TITLES: dict[str, LazyString] = {
    Interval.DAY: _l("Sales in %(currency)s per day"),
    Interval.WEEK: _l("Sales in %(currency)s per week"),
    Interval.MONTH: _l("Sales in %(currency)s per month"),
}
USUAL, CUSTOM = "30d", "custom"
_LONGEST = 3660  # days: ten years
NAMES = ("range", "from", "to", "by", "channel", "store", "shop", "marketplace")


@dataclass(frozen=True, slots=True)
class Asked:
    """The period and filters that a person wants to see; `args` are its address again. With a `problem`, the period is
    a usual one, and not the one that was typed.
    """

    range: str
    since: date
    until: date
    before: tuple[date, date]
    by: Interval
    scope: Scope
    args: dict[str, str] = field(default_factory=dict)
    problem: OddPeriod | None = None

    @property
    def days(self) -> tuple[str, str]:
        """The first and the last day in the fields of the form: those that were typed, if they make no period."""
        if self.problem is not None:
            return self.args.get("from", ""), self.args.get("to", "")
        return self.since.isoformat(), self.until.isoformat()

    @property
    def kept(self) -> dict[str, str]:
        """What stays when another period is chosen."""
        return {name: value for name, value in self.args.items() if name not in ("range", "from", "to")}


def asked(args: Mapping[str, str], today: date) -> Asked:
    """Read a request from a page's address; a part that can't be understood is left out, and a period named."""
    given = {name: value for name in NAMES if (value := args.get(name, "").strip())}
    chosen, problem = given.get("range", USUAL), None
    if chosen not in RANGES and chosen != CUSTOM:
        chosen = USUAL
    since, until = _range(chosen, today)
    if chosen == CUSTOM or "from" in given or "to" in given:
        try:
            typed = _typed(given)
        except OddPeriod as odd:
            problem = odd
        else:
            chosen, (since, until) = chosen if typed == (since, until) else CUSTOM, typed
    wish = Interval(given["by"]) if given.get("by") in INTERVALS else None
    scope = Scope(
        channel=given.get("channel", ""),
        store_id=_number(given.get("store")),
        shop_id=_number(given.get("shop")),
        marketplace=given.get("marketplace", ""),
    )
    by = Interval.fitting(wish, since, until)
    return Asked(chosen, since, until, _before(chosen, since, until), by, scope, given, problem)


def _typed(given: Mapping[str, str]) -> tuple[date, date]:
    try:
        since, until = (date.fromisoformat(given[name]) for name in ("from", "to"))
    except (KeyError, ValueError):
        raise OddPeriod from None
    if until < since:
        raise LastBeforeFirst
    if (until - since).days > _LONGEST or since.year < 1990 or until.year > 2100:
        raise OddPeriod
    return since, until


def _range(chosen: str, today: date) -> tuple[date, date]:
    match chosen:
        case "today":
            return today, today
        case "7d":
            return today - timedelta(days=6), today
        case "month":
            return today.replace(day=1), today
        case "quarter":
            return today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1), today
        case "year":
            return today.replace(month=1, day=1), today
    return today - timedelta(days=29), today


def _before(chosen: str, since: date, until: date) -> tuple[date, date]:
    """As many days before; for a month, quarter or year, as many days of the one before it."""
    days = (until - since).days
    if chosen in ("month", "quarter", "year"):
        months = {"month": 1, "quarter": 3, "year": 12}[chosen]
        first = since
        for _month in range(months):
            first = (first - timedelta(days=1)).replace(day=1)
        return first, min(first + timedelta(days=days), since - timedelta(days=1))
    return since - timedelta(days=days + 1), since - timedelta(days=1)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


# --- In words ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """The change of a number from the period before, in words; `way` is up, down, same or new."""

    way: str
    words: str


def change(now: int, before: int, no_data: str = "") -> Change:
    """`no_data`: that the period before is not known as a whole (see `no_data_before`); then nothing is compared."""
    if no_data:
        return Change("new", no_data)
    if now == before:
        return Change("same", _("no change"))
    if before <= 0:
        return Change("new", _("none in the period before"))
    if now >= 10 * before:
        return Change("up", _("%(times)s times as much", times=number(now // before)))
    percent = format_percent(abs(now - before) / before, format=_percents(now, before), locale=language())
    if now > before:
        return Change("up", f"+{percent}")
    return Change("down", f"−{percent}")


def _percents(now: int, before: int) -> str | None:
    """One decimal if a whole percent would be zero."""
    return "#,##0.0%" if abs(now - before) / before < 0.1 else None


def no_data_before(now: Sales, before: Sales) -> str:
    """Words for a period before that begins earlier than the first order; empty if all of it is known."""
    if before.first is None or before.first <= before.since:
        return ""
    skeleton = "MMMd" if before.first.year == now.until.year else "yMMMd"
    return str(_("no data before %(day)s", day=format_skeleton(skeleton, before.first, locale=language())))


def days(since: date, until: date) -> str:
    """A period in words: Oct 25 – Nov 23."""
    if since == until:
        return str(format_skeleton("yMMMd", since, locale=language()))
    return str(format_interval(since, until, "yMMMd", locale=language()))


def month(day: date) -> str:
    """The month of a day in words: Nov 2026."""
    return str(format_skeleton("yMMM", day, locale=language()))


def step_label(step: Step, by: Interval, *, short: bool = False) -> str:
    """An interval's name: a day, the days of a week, a month."""
    if by is Interval.MONTH:
        return month(step.start)
    if by is Interval.WEEK and not short:
        return days(step.start, step.end)
    return str(format_skeleton("MMMd" if short else "yMMMd", step.start, locale=language()))


def compact(amount: Money) -> str:
    """An amount for a scale: €12K."""
    return str(format_compact_currency(amount.decimal, amount.currency, locale=language(), fraction_digits=1))


# --- For templates ----------------------------------------------------------------------------------------------------


def shown(actor: Actor, wanted: Asked, *, charted: bool = True) -> dict[str, Any]:
    """All that the sales card and the report draw."""
    times = [(wanted.since, wanted.until), wanted.before]
    now, before = sales_of(actor, times, by=wanted.by, scope=wanted.scope)
    no_data = no_data_before(now, before)
    return {
        "asked": wanted,
        "sales": now,
        "time": days(now.since, now.until),
        "time_before": days(before.since, before.until),
        "orders_change": change(now.orders, before.orders, no_data),
        "units_change": change(now.units, before.units, no_data),
        "canceled_share": _share(now.canceled, now.orders + now.canceled),
        "withheld": now.totals[""].orders if "" in now.totals else 0,
        "currencies": [_currency(currency, now, before, charted) for currency in now.currencies],
        "rows": list(rows(now)),
    }


def _share(part: int, whole: int) -> str:
    share = format_percent(part / whole if whole else 0, format="#,##0.0%", locale=language())
    return str(_("%(percent)s of all orders", percent=share))


def _currency(currency: str, now: Sales, before: Sales, charted: bool) -> dict[str, Any]:
    figure, had = now.totals[currency], before.totals.get(currency, Figure(currency))
    no_data = no_data_before(now, before)
    return {
        "code": currency,
        "figure": figure,
        "change": change(figure.minor, had.minor, no_data),
        "average_change": change(_average(figure), _average(had), no_data),
        "chart": _chart(currency, now, before) if charted else None,
    }


def _average(figure: Figure) -> int:
    return figure.average.minor if figure.average else 0


def _chart(currency: str, now: Sales, before: Sales) -> charts.Chart:
    steps = list(now.steps.values())
    return charts.bars(
        [step.total(currency).minor for step in steps],
        before=[
            None if before.first and step.end < before.first else step.total(currency).minor
            for step in before.steps.values()
        ],
        title=str(_TITLES[now.by]) % {"currency": currency},
        description=_(
            "Bars: %(time)s. Line: %(before)s.",
            time=days(now.since, now.until),
            before=days(before.since, before.until),
        ),
        titles=[
            _("%(name)s: %(text)s", name=step_label(step, now.by), text=money(step.total(currency))) for step in steps
        ],
        labels=[step_label(step, now.by, short=True) for step in steps],
        words=lambda minor: compact(Money(minor, currency)),
    )


def rows(sales: Sales) -> Iterator[dict[str, Any]]:
    """The table of a chart: every interval, newest first."""
    for step in reversed(list(sales.steps.values())):
        yield {
            "label": step_label(step, sales.by),
            "start": step.start,
            "end": step.end,
            "orders": step.orders,
            "units": step.units,
            "canceled": step.canceled,
            "totals": [step.total(currency) for currency in sales.currencies],
        }
