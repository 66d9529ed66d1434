"""Reading the figures: sales by interval and currency, and orders by state.

A sale is an order that is not canceled, on the day on which it was placed, in its shop's zone. While a channel
withholds an order's total, the order is counted and its amount is not. Currencies are never added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    Table,
    and_,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)

from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.db import db, table_of
from webapp.errors import DeskError
from webapp.i18n import lazy_gettext as _l
from webapp.money import Money
from webapp.orders.models import Order
from webapp.orders.queries import visible
from webapp.orders.states import OrderState
from webapp.reporting.models import DailyFigure, FigureChange

STEPS_SHOWN = 130  # the most bars that can be told apart


class OddPeriod(DeskError):
    """A period whose days can't be read, or are too far apart."""

    code, status = "odd_period", 422
    sentence = _l("Enter two days that are at most ten years apart.")


class LastBeforeFirst(OddPeriod):
    """A period that ends before it begins."""

    code = "last_before_first"
    sentence = _l("The last day is before the first day. Correct one of them.")


class Interval(StrEnum):
    """How days are grouped."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def start(self, day: date) -> date:
        """The first day of the interval that contains `day`; weeks begin on Monday."""
        if self is Interval.WEEK:
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self is Interval.MONTH else day

    def after(self, start: date) -> date:
        """The first day of the next interval."""
        if self is Interval.MONTH:
            return (start.replace(day=28) + timedelta(days=4)).replace(day=1)
        return start + timedelta(days=7 if self is Interval.WEEK else 1)

    @classmethod
    def fitting(cls, wish: Interval | None, since: date, until: date) -> Interval:
        """The interval wished for, or a longer one if a chart could not show that many."""
        days = (until - since).days + 1
        fine = Interval.DAY if days <= 45 else Interval.WEEK if days <= 200 else Interval.MONTH
        chosen = wish or fine
        if chosen is Interval.DAY and days > STEPS_SHOWN:
            chosen = Interval.WEEK
        if chosen is Interval.WEEK and days > 7 * STEPS_SHOWN:
            chosen = Interval.MONTH
        return chosen


@dataclass(frozen=True, slots=True)
class Scope:
    """Which orders are counted; None means no restriction."""

    channel: str = ""
    store_id: int | None = None
    shop_id: int | None = None
    marketplace: str = ""


@dataclass(slots=True)
class Figure:
    """The sums of some orders of one currency; without a currency, of orders whose total is withheld."""

    currency: str
    orders: int = 0
    units: int = 0
    minor: int = 0

    @property
    def total(self) -> Money:
        return Money(self.minor, self.currency)

    @property
    def average(self) -> Money | None:
        return Money(_nearest(self.minor, self.orders), self.currency) if self.orders else None


@dataclass(slots=True)
class Sales:
    """The sales of a period, as a whole and by interval."""

    since: date
    until: date
    by: Interval
    first: date | None = None  # the day of the first order of the stores, if there is one in any of the periods asked
    orders: int = 0
    units: int = 0
    canceled: int = 0
    totals: dict[str, Figure] = field(default_factory=dict)  # by currency
    steps: dict[date, Step] = field(default_factory=dict)  # every interval, also those without orders

    @property
    def currencies(self) -> list[str]:
        """The currencies of the sales, that with the most orders first."""
        known = [figure for figure in self.totals.values() if figure.currency]
        return [figure.currency for figure in sorted(known, key=lambda figure: (-figure.orders, figure.currency))]

    def _count(self, row: Any) -> None:
        self.first = row.first
        if not self.since <= row.day <= self.until:
            return
        step = self.steps[max(self.by.start(row.day), self.since)]
        if row.canceled:
            self.canceled += row.orders
            step.canceled += row.orders
            return
        for whole in (self, step):
            whole.orders += row.orders
            whole.units += row.units
            figure = whole.totals.setdefault(row.currency, Figure(row.currency))
            figure.orders += row.orders
            figure.units += row.units
            figure.minor += row.total_minor


@dataclass(slots=True)
class Step:
    """One interval of sales."""

    start: date
    end: date
    orders: int = 0
    units: int = 0
    canceled: int = 0
    totals: dict[str, Figure] = field(default_factory=dict)

    def total(self, currency: str) -> Money:
        figure = self.totals.get(currency)
        return figure.total if figure else Money(0, currency)


def sales(actor: Actor, since: date, until: date, *, by: Interval = Interval.DAY, scope: Scope | None = None) -> Sales:
    """The sales from a day to a day, both included."""
    [found] = sales_of(actor, [(since, until)], by=by, scope=scope)
    return found


def sales_of(
    actor: Actor, times: Sequence[tuple[date, date]], *, by: Interval = Interval.DAY, scope: Scope | None = None
) -> list[Sales]:
    """The sales of several periods, in one query: a period, and the one before."""
    scope = scope or Scope()
    figures = _figures(actor, _within(times), scope)
    found = [_empty(since, until, by) for since, until in times]
    first = select(func.min(_first_days(actor, scope).c.first)).scalar_subquery()
    for row in db.session.execute(_grouped(figures, first)):
        for one in found:
            one._count(row)
    return found


def sales_by_store(actor: Actor, times: Sequence[tuple[date, date]]) -> dict[int, list[Sales]]:
    """The sales of several periods by day, for every store with sales, in one query."""
    figures = _figures(actor, _within(times), Scope())
    found: dict[int, list[Sales]] = {}
    store_id, first = figures.c.store_id, _first_days(actor, Scope())
    grouped = _grouped(figures, func.min(first.c.first), store_id)
    for row in db.session.execute(grouped.select_from(figures.outerjoin(first, first.c.store_id == store_id))):
        if row.store_id not in found:
            found[row.store_id] = [_empty(since, until, Interval.DAY) for since, until in times]
        for one in found[row.store_id]:
            one._count(row)
    return found


def orders_by_state(actor: Actor, store_id: int) -> dict[str, int]:
    """The number of a store's orders shown in each state, of all time; a held order counts as held, not in its
    state.
    """
    figures = _figures(actor, None, Scope(store_id=store_id))
    counted = select(figures.c.state, func.sum(figures.c.orders), literal(0)).group_by(figures.c.state)
    of_store = Order.store_id + 0 == store_id  # reads the few held orders, not all that the store ever sold
    held = visible(actor).where(literal_column("orders.on_hold"), of_store).subquery()
    shown: dict[str, int] = {}
    state_there = held.c.state.concat("")  # not grouped along an index of states, for the same reason
    on_hold = select(state_there, literal(0), func.count()).group_by(state_there)
    for state, orders, kept in db.session.execute(union_all(counted, on_hold)):
        shown[state] = shown.get(state, 0) + int(orders) - kept
        shown["on_hold"] = shown.get("on_hold", 0) + kept
    return {state: orders for state, orders in shown.items() if orders}


def _empty(since: date, until: date, by: Interval) -> Sales:
    found, start = Sales(since, until, by), since
    while start <= until:
        following = by.after(by.start(start))
        found.steps[start] = Step(start, min(until, following - timedelta(days=1)))
        start = following
    return found


def _within(times: Sequence[tuple[date, date]]) -> Sequence[tuple[date, date]]:
    """Whether a day is in one of the periods; adjacent periods are joined for the database."""
    joined: list[tuple[date, date]] = []
    for since, until in sorted(times):
        if joined and since <= joined[-1][1] + timedelta(days=1):
            joined[-1] = (joined[-1][0], max(until, joined[-1][1]))
        else:
            joined.append((since, until))
    return joined


def _figures(actor: Actor, times: Sequence[tuple[date, date]] | None, scope: Scope) -> Any:
    """Daily figures and changes not yet folded into them, of the orders that the actor may see."""
    actor.needs("orders.view")
    parts: list[Select[Any]] = []
    for table in (table_of(DailyFigure), table_of(FigureChange)):
        columns = [table.c[name] for name in ("day", "store_id", "state", "currency", "orders", "units", "total_minor")]
        parts.append(select(*columns).where(*_conditions(table, actor, times, scope)))
    return union_all(*parts).subquery()


def _first_days(actor: Actor, scope: Scope) -> Subquery:
    """The first day of each store's figures, or of the changes to them, for the stores of a scope. The desk has no data
    before. Orders are read store by store, so that the first order of a shop or a marketplace says nothing.
    """
    of_stores = Scope(channel=scope.channel, store_id=scope.store_id)
    parts: list[Select[Any]] = []
    for table in (table_of(DailyFigure), table_of(FigureChange)):
        conditions = [*_conditions(table, actor, None, of_stores), table.c.orders > 0]
        parts.append(select(table.c.store_id, table.c.day).where(*conditions))
    days = union_all(*parts).subquery()
    return select(days.c.store_id, func.min(days.c.day).label("first")).group_by(days.c.store_id).subquery()


def _conditions(
    table: Table, actor: Actor, times: Sequence[tuple[date, date]] | None, scope: Scope
) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if times is not None:
        found.append(or_(*(and_(table.c.day >= since, table.c.day <= until) for since, until in times)))
    if actor.shops is not None:
        found.append(table.c.shop_id.in_(actor.shops))
    if scope.channel:
        found.append(table.c.store_id.in_(select(Store.id).where(Store.channel == scope.channel)))
    for name in ("store_id", "shop_id", "marketplace"):
        if wanted := getattr(scope, name):
            found.append(table.c[name] == wanted)
    return found


def _grouped(rows: Any, first: ColumnElement[Any], *more: ColumnElement[Any]) -> Select[Any]:
    canceled = (rows.c.state == OrderState.CANCELED.value).label("canceled")
    keys = [rows.c.day, rows.c.currency, canceled, *more]
    sums = [_whole(rows.c[name]) for name in ("orders", "units", "total_minor")]
    return select(*keys, *sums, first.label("first")).group_by(*keys)


def _whole(column: ColumnElement[int]) -> Any:
    """Sums as integers: PostgreSQL returns decimals for sums of large numbers."""
    return func.sum(column).cast(column.type).label(column.name)


def _nearest(minor: int, parts: int) -> int:
    return (2 * minor + parts) // (2 * parts)
