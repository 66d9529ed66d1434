"""Issued documents added up: taxes by period, shop, country, rate and currency, and totals by period and currency.

The figures come from the documents' own lines, so they are what was issued, whatever the channel says today. A document
belongs to the day of its issue in the zone of its shop, and to the country to which its order goes. Documents that take
money back count with negative amounts. Currencies are never added up.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, case, distinct, func, literal_column, or_, select

from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, CreditMemoLine, Invoice, InvoiceLine
from webapp.billing.taxes import WHOLE
from webapp.channels.models import Shop, Store
from webapp.db import among, db
from webapp.money import Money
from webapp.orders.models import Order
from webapp.reporting.figures import Interval, LastBeforeFirst, Scope


@dataclass(frozen=True, slots=True)
class Ledger:
    """The tables of one kind of document: documents, lines, the lines' column with the document's id, and the sign of
    the amounts.
    """

    document: type[Any]
    line: type[Any]
    of: Any
    sign: int


LEDGERS = (
    Ledger(Invoice, InvoiceLine, InvoiceLine.invoice_id, 1),
    Ledger(CreditMemo, CreditMemoLine, CreditMemoLine.memo_id, -1),  # without a number, it has no time of issue
)


class Period(NamedTuple):
    """An interval of days, both included."""

    start: date
    end: date


@dataclass(slots=True)
class Sums:
    """The number of documents, and their amounts in minor units of one currency."""

    currency: str
    documents: int = 0
    net_minor: int = 0
    tax_minor: int = 0

    @property
    def net(self) -> Money:
        return Money(self.net_minor, self.currency)

    @property
    def tax(self) -> Money:
        return Money(self.tax_minor, self.currency)

    @property
    def gross(self) -> Money:
        return self.net + self.tax

    def add(self, documents: int, net: int, tax: int) -> None:
        self.documents += documents
        self.net_minor += net
        self.tax_minor += tax


@dataclass(frozen=True, slots=True)
class TaxRow:
    """The sums of one period, shop, country, tax rate and currency. A document whose lines have several rates is
    counted in each of their rows. `rate` is a fraction of 1, None where it is not stated.
    """

    span: Period
    shop: str
    country: str
    rate: Decimal | None
    sums: Sums


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """The sums of one period and currency."""

    span: Period
    sums: Sums


@dataclass(slots=True)
class Report:
    """Rows, and the sums of all documents by currency, the currency with the most documents first."""

    since: date
    until: date
    by: Interval
    totals: list[Sums] = field(default_factory=list)


@dataclass(slots=True)
class TaxReport(Report):
    rows: list[TaxRow] = field(default_factory=list)


@dataclass(slots=True)
class InvoiceReport(Report):
    rows: list[PeriodRow] = field(default_factory=list)


def tax_report(
    actor: Actor, since: date, until: date, *, by: Interval = Interval.MONTH, scope: Scope | None = None
) -> TaxReport:
    """The taxes of the documents issued from a day to a day, both included, in the order of their periods.

    Raises `LastBeforeFirst`.
    """
    places = ("shop_id", "country", "tax_rate", "currency")
    reading = _Reading(actor, since, until, by, scope or Scope())
    found: dict[tuple[Any, ...], Sums] = {}
    for row, sign in reading.sums(places):
        key = (row.step, row.shop_id, row.country or "", row.tax_rate, row.currency)
        found.setdefault(key, Sums(row.currency)).add(row.documents, sign * int(row.net), sign * int(row.tax))
    rows = [
        TaxRow(
            reading.periods[step],
            reading.shops[shop_id].name,
            country,
            None if rate is None else Decimal(rate) / WHOLE,
            sums,
        )
        for (step, shop_id, country, rate, _currency), sums in found.items()
    ]
    rows.sort(key=_place_of)
    return TaxReport(since, until, by, reading.totals(), rows)


def _place_of(row: TaxRow) -> tuple[Any, ...]:
    """The place of a row in the report; of several rates, the highest comes first and the one not stated last."""
    return row.span, row.shop, row.country, row.sums.currency, row.rate is None, -(row.rate or 0)


def invoice_report(
    actor: Actor, since: date, until: date, *, by: Interval = Interval.DAY, scope: Scope | None = None
) -> InvoiceReport:
    """The number and the amounts of the documents issued from a day to a day, both included, by period."""
    return _by_period(_Reading(actor, since, until, by, scope or Scope()), since, until, by)


def refund_report(
    actor: Actor, since: date, until: date, *, by: Interval = Interval.DAY, scope: Scope | None = None
) -> InvoiceReport:
    """The number and the amounts of the credit memos issued from a day to a day, both included, by period: what was
    credited is positive here.
    """
    credited = [replace(ledger, sign=-ledger.sign) for ledger in LEDGERS if ledger.sign < 0]
    return _by_period(_Reading(actor, since, until, by, scope or Scope(), credited), since, until, by)


def _by_period(reading: "_Reading", since: date, until: date, by: Interval) -> InvoiceReport:
    rows = [PeriodRow(reading.periods[step], sums) for (step, _currency), sums in sorted(reading.by_period().items())]
    return InvoiceReport(since, until, by, reading.totals(), rows)


class _Reading:
    """Reads the documents of one period once for each way in which they are added up."""

    def __init__(
        self,
        actor: Actor,
        since: date,
        until: date,
        by: Interval,
        scope: Scope,
        ledgers: Sequence[Ledger] = LEDGERS,
    ) -> None:
        actor.needs("orders.view")
        if until < since:
            raise LastBeforeFirst
        self._actor, self._scope, self._ledgers = actor, scope, ledgers
        self.periods = list(_periods(since, until, by))
        self.shops = {row.id: row for row in db.session.execute(select(Shop.id, Shop.name, Shop.zone))}
        self._sums: dict[tuple[int, str], Sums] | None = None

    def by_period(self) -> dict[tuple[int, str], Sums]:
        """The sums by the place of the period and the currency; each document is counted once."""
        if self._sums is None:
            self._sums = {}
            for row, sign in self.sums(("currency",)):
                sums = self._sums.setdefault((row.step, row.currency), Sums(row.currency))
                sums.add(row.documents, sign * int(row.net), sign * int(row.tax))
        return self._sums

    def totals(self) -> list[Sums]:
        found: dict[str, Sums] = {}
        for (_step, currency), sums in self.by_period().items():
            found.setdefault(currency, Sums(currency)).add(sums.documents, sums.net_minor, sums.tax_minor)
        return sorted(found.values(), key=lambda sums: (-sums.documents, sums.currency))

    def sums(self, places: Sequence[str]) -> Iterator[tuple[Any, int]]:
        """The sums of each kind of document by period and these columns, with the sign of the kind."""
        if not self.shops:
            return
        for ledger in self._ledgers:
            lines = self._lines(ledger).subquery()
            keys = [lines.c.step, *(lines.c[name] for name in places)]
            counted = func.count(distinct(lines.c.id)).label("documents")
            amounts = [func.sum(lines.c[name]).label(name) for name in ("net", "tax")]
            for row in db.session.execute(select(*keys, counted, *amounts).group_by(*keys)):
                yield row, ledger.sign

    def _lines(self, ledger: Ledger) -> Select[Any]:
        document, line = ledger.document, ledger.line
        query = (
            select(
                self._step(document).label("step"),
                document.id,
                document.shop_id,
                document.currency,
                Order.country,
                line.tax_rate,
                (line.charged - line.discount).label("net"),
                line.tax,
            )
            .join(line, ledger.of == document.id)
            .join(Order, Order.id == document.order_id)
            .where(*self._when(document))
        )
        if self._actor.shops is not None:
            query = query.where(Order.shop_id.in_(self._actor.shops))
        if self._scope.channel:
            query = query.where(Order.store_id.in_(select(Store.id).where(Store.channel == self._scope.channel)))
        if self._scope.store_id:
            query = query.where(Order.store_id == self._scope.store_id)
        if self._scope.shop_id:
            query = query.where(document.shop_id == self._scope.shop_id)
        if self._scope.marketplace:
            query = query.where(Order.marketplace == self._scope.marketplace)
        return query

    def _step(self, document: type[Any]) -> ColumnElement[int]:
        """The place of the document's period, by the midnights of its shop's zone."""
        return case(
            *(
                (and_(document.issued_at < midnight, *of_zone), literal_column(str(place)))
                for zone, of_zone in self._zones(document)
                for place, midnight in enumerate(_midnights(self.periods, zone)[1:])
            )
        )

    def _when(self, document: type[Any]) -> list[ColumnElement[bool]]:
        """The document was issued in the periods; the first condition has the index of the time of issue."""
        ends = [(_midnights(self.periods, zone), of_zone) for zone, of_zone in self._zones(document)]
        within = (and_(document.issued_at >= m[0], document.issued_at < m[-1], *of_zone) for m, of_zone in ends)
        first, last = min(m[0] for m, _of_zone in ends), max(m[-1] for m, _of_zone in ends)
        return [document.issued_at >= first, document.issued_at < last, or_(*within)]

    def _zones(self, document: type[Any]) -> list[tuple[ZoneInfo, list[ColumnElement[bool]]]]:
        """The zones, each with the condition that a document's shop has it; without one if all shops have it."""
        zones: dict[str, list[int]] = {}
        for shop in self.shops.values():
            zones.setdefault(shop.zone, []).append(shop.id)
        alone = len(zones) == 1
        return [(ZoneInfo(name), [] if alone else [among(document.shop_id, ids)]) for name, ids in zones.items()]


def _periods(since: date, until: date, by: Interval) -> Iterator[Period]:
    start = since
    while start <= until:
        following = by.after(by.start(start))
        yield Period(start, min(until, following - timedelta(days=1)))
        start = following


def _midnights(periods: Sequence[Period], zone: ZoneInfo) -> list[datetime]:
    """The instants at which the periods begin, and the one at which the last ends."""
    days = [*(period.start for period in periods), periods[-1].end + timedelta(days=1)]
    return [datetime.combine(day, time(), zone) for day in days]
