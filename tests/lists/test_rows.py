"""What columns of plugins read of each row: if one can't be read, the list and its other columns still work."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import JSON, ColumnElement, cast, func, literal, literal_column, null, select
from sqlalchemy.orm import aliased

from webapp.audit.actor import Actor
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.hooks.fence import PluginFailed
from webapp.lists.contract import Subject
from webapp.lists.listing import count_rows, list_page
from webapp.lists.rows import Rows, values_of
from webapp.lists.subjects import find_subject
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order, OrderLine
from webapp.search.compiling import compile_query
from webapp.search.contract import Column, Found, KeyKind, QueryKey, WordSource
from webapp.search.query import QueryMistake, parse
from webapp.search.registered import list_columns
from webapp.testing import incoming_line, incoming_order

Take = Callable[..., list[Order]]


def asking(code: str, **reads: Any) -> Column:
    """A column whose values are what it has read."""

    def values(rows: Sequence[Any], actor: Actor) -> Mapping[int, str]:
        return {row.id: ",".join(str(getattr(row, name)) for name in reads) for row in rows}

    return Column(code=code, label=code, values=values, reads=reads)


@pytest.fixture
def bring() -> Iterator[Callable[..., None]]:
    """Register columns, and what else a list is made of, as a plugin does."""

    def register(
        *columns: Column,
        keys: Sequence[QueryKey] = (),
        sources: Sequence[WordSource] = (),
        subjects: Sequence[Subject] = (),
    ) -> None:
        class Odd:
            @hookimpl
            def register_columns(self) -> list[Column]:
                return list(columns)

            @hookimpl
            def register_query_keys(self) -> list[QueryKey]:
                return list(keys)

            @hookimpl
            def register_word_sources(self) -> list[WordSource]:
                return list(sources)

            @hookimpl
            def register_list_subjects(self) -> list[Subject]:
                return list(subjects)

        hooks.manager.register(Odd(), name="odd")

    yield register
    hooks.manager.unregister(name="odd")


def said(rows: Rows, code: str, actor: Actor) -> list[Any]:
    """The values of a column for these rows; if it fails, the failure in words."""
    try:
        return [values_of(list_columns()[code], rows, actor).get(row.id) for row in rows]
    except PluginFailed as problem:
        return [str(problem)]


@pytest.mark.parametrize(
    "reads",
    [
        {"odd": literal_column("nothing_of_this_name")},
        {"odd": "orders.number"},
        {"odd": Order.lines},
        {"number": Order.currency},
        {"placed_at": Order.updated_at},
        {"currency": Order.country},
        {"store": Order.store_id},
        {"odd": OrderLine.sku},
        {"odd": func.count(OrderLine.id)},
        {"odd": aliased(Order).number},
    ],
)
def test_a_column_that_asks_for_what_cannot_be_read_fails_alone(
    take: Take, mia: Actor, bring: Callable[..., None], plugin_failures: list[Failure], reads: dict[str, Any]
) -> None:
    orders = take(incoming_order(), incoming_order())
    bring(asking("before", due=Order.deliver_by), asking("faulty", **reads), asking("after", place=Order.country))
    columns = [list_columns()[code] for code in ("total", "before", "faulty", "after", "number")]
    page = list_page(ORDER_LIST, mia, columns=columns, limit=1)
    page = list_page(ORDER_LIST, mia, columns=columns, after=page.older, limit=1)
    [row] = page.rows
    assert row.id == orders[0].id
    assert said(page.rows, "faulty", mia) == ["“faulty” of the plugin “odd” failed. The Plugins page shows the reason."]
    assert said(page.rows, "before", mia) == [str(orders[0].deliver_by)]
    assert said(page.rows, "after", mia) == [orders[0].country]
    assert said(page.rows, "total", mia) == [orders[0].total]
    assert said(page.rows, "number", mia)[0].text == orders[0].number
    assert {(one.plugin, one.code) for one in plugin_failures} == {("odd", "faulty")}
    plugin_failures.clear()


def test_columns_may_read_one_thing_under_one_name(take: Take, mia: Actor, bring: Callable[..., None]) -> None:
    [order] = take(incoming_order())
    skus = select(func.count(OrderLine.id)).where(OrderLine.order_id == Order.id).scalar_subquery()
    bring(
        asking("own", currency=Order.__table__.c.currency),
        asking("none", maybe=cast(null(), JSON), two=literal(2)),
        asking("lines", lines=skus),
    )
    page = list_page(ORDER_LIST, mia, columns=[list_columns()[code] for code in ("total", "own", "none", "lines")])
    assert said(page.rows, "own", mia) == [order.currency]
    assert said(page.rows, "none", mia) == ["None,2"]
    assert said(page.rows, "lines", mia) == ["1"]
    assert said(page.rows, "total", mia) == [order.total]


def test_a_key_that_speaks_of_a_table_beside_the_list_is_refused_by_name(
    take: Take, mia: Actor, bring: Callable[..., None], plugin_failures: list[Failure]
) -> None:
    def beside(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
        return OrderLine.sku.in_(values)

    def found(values: Sequence[str]) -> Mapping[str, list[Found]]:
        return {value: [Found(where=(OrderLine.sku == value,))] for value in values}

    def words(tokens: Sequence[str]) -> Mapping[str, Found]:
        return {token: Found(where=(OrderLine.sku == token,)) for token in tokens}

    def within(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
        return Order.id.in_(select(OrderLine.order_id).where(OrderLine.sku.in_(values)))

    take(incoming_order([incoming_line("CUP", 1), incoming_line("CUP", 1)]))
    bring(
        keys=[
            QueryKey(code="beside", label="Beside", kind=KeyKind.TEXT, condition=beside),
            QueryKey(code="found", label="Found", kind=KeyKind.TEXT, find=found),
            QueryKey(code="within", label="Within", kind=KeyKind.TEXT, condition=within),
        ],
        sources=[WordSource(code="lines", label="Lines", find=words)],
    )
    assert count_rows(ORDER_LIST, mia, compile_query(parse("within:CUP"), mia)) == (1, False)
    with pytest.raises(QueryMistake, match="“Beside” of the plugin “odd” failed"):
        compile_query(parse("beside:CUP"), mia)
    with pytest.raises(QueryMistake, match="“Found” of the plugin “odd” failed"):
        compile_query(parse("found:CUP"), mia)
    asked = compile_query(parse("CUP"), mia)
    assert count_rows(ORDER_LIST, mia, asked) == (1, False)
    assert asked.notes == ("“Lines” of the plugin “odd” failed. The Plugins page shows the reason.",)
    assert {(one.plugin, one.code, one.detail) for one in plugin_failures} == {
        ("odd", code, "the list does not join order_lines") for code in ("beside", "found", "lines")
    }
    plugin_failures.clear()


def test_a_list_that_reads_of_a_table_beside_it_fails_in_place_of_wrong_rows(
    take: Take, mia: Actor, bring: Callable[..., None], plugin_failures: list[Failure]
) -> None:
    take(incoming_order([incoming_line("CUP", 1), incoming_line("MUG", 1)]))
    subject = replace(ORDER_LIST, code="odd", path="")
    bring(subjects=[subject, replace(subject, code="beside", row={**subject.row, "sku": OrderLine.sku})])
    assert len(list_page(find_subject("odd"), mia, columns=[]).rows) == 1
    with pytest.raises(PluginFailed, match="of the plugin “odd” failed"):
        list_page(find_subject("beside"), mia, columns=[])
    assert [(one.code, one.detail) for one in plugin_failures] == [("beside", "the list does not join order_lines")]
    plugin_failures.clear()
