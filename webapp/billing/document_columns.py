"""Columns and query keys of lists of issued documents: what every kind of document has, from its model.

A kind of document is a table with the columns of `Invoice`, whose lines have those of `InvoiceLine`. Words that name
the kind, such as the label of its number, are given by its list, as is what only one kind has.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import TextClause

from webapp.accounts.models import User
from webapp.audit.actor import Actor, ActorKind
from webapp.channels.services import channel_name
from webapp.db import among, begins_with, db, table_of
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l, lazy_pgettext
from webapp.lists.contract import Cell, Expansion, Parts, PlainRow, Subject, Walk
from webapp.lists.rows import by_name, of_each
from webapp.money import Money
from webapp.orders.lent_columns import columns_of_orders
from webapp.orders.listing import ORDER_LIST, named_columns
from webapp.orders.models import Order
from webapp.orders.query_keys import total_between
from webapp.search.compiling import Compiled
from webapp.search.conditions import between, spelled
from webapp.search.contract import Column, ColumnKind, KeyKind, QueryKey, Reads

ISSUED, TOTAL = "issued", "total"  # what these lists can be sorted by, and perhaps by more
DOCUMENT_COLUMN = "document"
FILTERS = ("store", "shop", "channel", "marketplace", "country", "state", "tag")
_ORDER_CODES = (  # columns of orders, by code
    "channel_number",
    "channel_status",
    "badges",
    "buyer",
    "company",
    "address",
    "country",
    "store",
    "shop",
    "channel",
    "marketplace",
    "fulfilled_by",
    "ship_by",
    "assignee",
    "tags",
)
# Most documents meet conditions on only these columns: the newest are read until a page is full.
_BROAD = {"archived_at", "canceling", "country", "currency", "fulfilled_by", "marketplace", "on_hold", "shop_id"}
_BROAD |= {"issued_at", "recorded_at", "state", "store_id"}


class DocumentWalk(Walk):
    """Reads along the index of the sorting; SQLite would choose an index that finds half of all orders."""

    def parts(self, subject: Subject, actor: Actor, compiled: Compiled, sort: str) -> Parts:
        found = super().parts(subject, actor, compiled, sort)
        if found.gathered or not named_columns(compiled.conditions, Order, subject.model) <= _BROAD:
            return found
        if any(isinstance(part, TextClause) for one in compiled.conditions for part in visitors.iterate(one)):
            return found  # the condition of a partial index of few orders
        hint = f"INDEXED BY ix_{subject.model.__tablename__}_{subject.sorts[sort].key}"
        return Parts([part.with_hint(subject.model, hint, dialect_name="sqlite") for part in found.parts])


def sorts_of(model: type[Any]) -> Mapping[str, Any]:
    """The columns by which the documents can be sorted, by name."""
    return {ISSUED: model.issued_at, TOTAL: model.total_minor}


def row_of(model: type[Any]) -> Reads:
    """What is read of every document, by name."""
    return {**ORDER_LIST.row, DOCUMENT_COLUMN: model.number, **by_name(model.issued_at)}


# --- Columns ----------------------------------------------------------------------------------------------------------


def _amount(row: PlainRow, minor: int | None) -> Money:
    return Money(minor or 0, row.currency)


def issuer(row: PlainRow) -> str:
    """The name of the person who issued the document, or what else did."""
    match row.actor_kind:
        case ActorKind.PERSON:
            return str(row.person_name or "")
        case ActorKind.OPERATOR:
            return str(_("Operator"))
        case ActorKind.CHANNEL:
            return channel_name(row.store.channel)
    return "Waybill"


def columns(
    subject: str,
    model: type[Any],
    line: type[Any],
    of: Any,
    label: LazyString,
    by: LazyString,
    shown: Collection[str],
) -> tuple[Column, ...]:
    """The columns of a list of documents; `line` is the model of their lines, `of` its column with the document's id,
    `label` the label of the document's number, and `by` that of whoever made it. Those in `shown` are shown by default,
    besides the document's number, its day and its total.
    """
    money = by_name(model.total_minor, model.currency)
    sums = {
        name: select(func.sum(column).cast(column.type)).where(of == model.id).correlate(model).scalar_subquery()
        for name, column in {"tax_minor": line.tax, "units_issued": line.units}.items()
    }
    person = (
        select(func.coalesce(func.nullif(User.name, ""), User.email))
        .where(User.id == model.actor_id, model.actor_kind == ActorKind.PERSON.value)
        .correlate(model)
        .scalar_subquery()
    )
    return (
        Column(
            subject=subject,
            code=DOCUMENT_COLUMN,
            label=label,
            values=of_each(lambda row: row.document),
            reads={},
            always=True,
            default=True,
            width=140,
        ),
        Column(
            subject=subject,
            code=ISSUED,
            label=_l("Issued on"),
            kind=ColumnKind.TIME,
            values=of_each(lambda row: row.issued_at),
            reads={},
            sort=ISSUED,
            default=True,
            width=110,
        ),
        *columns_of_orders(subject, ("number", "placed", "state"), shown),
        Column(
            subject=subject,
            code=TOTAL,
            label=_l("Total"),
            kind=ColumnKind.MONEY,
            values=of_each(lambda row: _amount(row, row.total_minor)),
            reads=money,
            sort=TOTAL,
            default=True,
            width=115,
            help=_l(
                "Amounts are sorted by their smallest unit, so ¥900 is next to €9.00. “currency:EUR” shows one "
                "currency only."
            ),
        ),
        Column(
            subject=subject,
            code="tax",
            label=_l("Tax"),
            kind=ColumnKind.MONEY,
            values=of_each(lambda row: _amount(row, row.tax_minor)),
            reads={**money, "tax_minor": sums["tax_minor"]},
            default="tax" in shown,
            width=110,
        ),
        Column(
            subject=subject,
            code="net",
            label=_l("Total without tax"),
            kind=ColumnKind.MONEY,
            values=of_each(lambda row: _amount(row, row.total_minor - (row.tax_minor or 0))),
            reads={**money, "tax_minor": sums["tax_minor"]},
            width=125,
        ),
        Column(
            subject=subject,
            code="currency",
            label=_l("Currency"),
            values=of_each(lambda row: row.currency),
            reads=by_name(model.currency),
            width=80,
        ),
        Column(
            subject=subject,
            code="units",
            label=_l("Units"),
            kind=ColumnKind.NUMBER,
            values=of_each(lambda row: row.units_issued or 0),
            reads={"units_issued": sums["units_issued"]},
            width=80,
        ),
        Column(
            subject=subject,
            code="by",
            label=by,
            values=of_each(issuer),
            reads={**by_name(model.actor_kind), "person_name": person},
            width=130,
        ),
        *columns_of_orders(subject, _ORDER_CODES, shown),
    )


# --- Keys -------------------------------------------------------------------------------------------------------------


def by_number(model: type[Any]) -> Callable[[Sequence[str], Actor], ColumnElement[bool]]:
    """The condition of a key that finds orders by the number of a document, in capitals or not."""

    def condition(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
        spelled = {spelling for value in values for spelling in (value, value.upper())}
        whole = [value for value in spelled if not value.endswith("*")]
        begun = sorted(value.rstrip("*") for value in spelled if value.endswith("*"))
        found = or_(model.number.in_(whole), *(begins_with(model.number, one) for one in begun))
        return Order.id.in_(select(model.order_id).where(found))

    return condition


def keys(subject: str, model: type[Any], code: str, label: LazyString, name: LazyString) -> tuple[QueryKey, ...]:
    """The query keys of the documents' own columns; `code`, `label` and `name` are those of the key for the number."""
    return (
        QueryKey(
            subject=subject, code=code, label=label, kind=KeyKind.TEXT, condition=spelled(model.number, str),
            filter=False, help=_l("“*” at the end matches any text."),
            name=name,
        ),
        QueryKey(
            subject=subject, code=ISSUED, label=_l("Issued on"), kind=KeyKind.DATE, condition=between(model.issued_at),
            name=lazy_pgettext("query key", "issued"),
        ),
        QueryKey(
            subject=subject, code=TOTAL, label=_l("Total"), kind=KeyKind.MONEY,
            condition=total_between(model.total_minor, model.currency), help=_l("In each document's currency."),
            name=lazy_pgettext("query key", "total"),
        ),
        QueryKey(
            subject=subject, code="currency", label=_l("Currency"), kind=KeyKind.TEXT,
            condition=spelled(model.currency, str.upper),
            name=lazy_pgettext("query key", "currency"),
        ),
    )  # fmt: skip


# --- Files ------------------------------------------------------------------------------------------------------------

_LINE_LABELS = (
    _l("SKU"), _l("Title"), _l("Component"), _l("Units"), _l("Charged"), _l("Discount"), _l("Tax rate (%)"), _l("Tax"),
    _l("Line total"), _l("Currency"),
)  # fmt: skip


def lines(model: type[Any], line: type[Any], of: Any) -> Expansion:
    """A row of a file for each line of a document: amounts as decimals, the rate in percent."""

    def cells(ids: Sequence[int]) -> dict[int, list[list[Cell]]]:
        table = table_of(line)
        query = (
            select(table, model.currency)
            .join(model, model.id == of)
            .where(among(of, ids))
            .order_by(of, table.c.position)
        )
        found: dict[int, list[list[Cell]]] = {}
        for row in db.session.execute(query):
            net = row.charged + row.tax - row.discount
            charged, discount, tax, total = (
                Money(minor, row.currency).decimal for minor in (row.charged, row.discount, row.tax, net)
            )
            rate = None if row.tax_rate is None else Decimal(row.tax_rate) / 10_000
            found.setdefault(row._mapping[table.c[of.key]], []).append(
                [row.sku, row.title, row.component, row.units, charged, discount, rate, tax, total, row.currency]
            )
        return found

    return Expansion(
        code="lines",
        label=_l("One row per line"),
        help=_l("Exports with one row per line also contain SKU, title, component, units, amounts and tax rate."),
        head=lambda: [str(label) for label in _LINE_LABELS],
        cells=cells,
    )
