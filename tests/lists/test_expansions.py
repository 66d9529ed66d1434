"""Files with several rows for each row of a list: whatever a plugin's expansion does, the file is written."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from webapp.audit.actor import Actor
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.lists.contract import Cell, Expansion, Subject
from webapp.lists.exporting import Table, rows_labels, stream_csv
from webapp.lists.subjects import find_subject
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.search.contract import Column
from webapp.testing import incoming_order

Take = Callable[..., list[Order]]
Cells = Callable[[Sequence[int]], Mapping[int, Sequence[Sequence[Cell]]]]


@pytest.fixture
def bring() -> Iterator[Callable[..., Subject]]:
    """Register a list with one column and an expansion, as a plugin does."""

    def register(**changed: Any) -> Subject:
        one = Expansion(code="parts", label=_l("Lines"), help=_l("Lines"), head=lambda: ["A", "B"], cells=two_of_each)
        numbers = Column(
            subject="odd", code="id", label="Id", reads={}, values=lambda rows, actor: {row.id: row.id for row in rows}
        )
        subject = replace(ORDER_LIST, code="odd", path="", always=("id",), expansions=[replace(one, **changed)])

        class Odd:
            @hookimpl
            def register_list_subjects(self) -> list[Subject]:
                return [subject]

            @hookimpl
            def register_columns(self) -> list[Column]:
                return [numbers]

        hooks.manager.register(Odd(), name="odd")
        return find_subject("odd")

    yield register
    hooks.manager.unregister(name="odd")


@pytest.fixture
def max_(make_user: Callable[..., Actor]) -> Actor:
    return make_user("manager", "Max")


def two_of_each(ids: Sequence[int]) -> dict[int, list[list[Cell]]]:
    return {row_id: [["one", 1], ["two", 2]] for row_id in ids}


def fail(*_given: Any) -> Any:
    raise ZeroDivisionError


def file_of(subject: Subject, actor: Actor, orders: Sequence[Order]) -> list[list[str]]:
    table = Table(subject, actor, "parts", ())
    return list(csv.reader(io.StringIO("".join(stream_csv(table, [order.id for order in orders])))))


def test_an_expansion_gives_several_rows_for_each(take: Take, max_: Actor, bring: Callable[..., Subject]) -> None:
    orders = take(incoming_order(), incoming_order())
    head, *rows = file_of(bring(), max_, orders)
    assert head == ["Id", "Practice", "A", "B"]
    assert rows == [[str(order.id), "", *more] for order in orders for more in (["one", "1"], ["two", "2"])]


@pytest.mark.parametrize(
    "cells",
    [
        fail,
        lambda ids: 3,
        lambda ids: {row_id: [["one"]] for row_id in ids},
        lambda ids: {row_id: [["one", object()]] for row_id in ids},
        lambda ids: {row_id: [["one", True]] for row_id in ids},
        lambda ids: dict.fromkeys(ids),
    ],
)
def test_cells_that_fail_leave_a_row_that_says_so(
    take: Take, max_: Actor, bring: Callable[..., Subject], plugin_failures: list[Failure], cells: Cells
) -> None:
    orders = take(incoming_order(), incoming_order())
    head, *rows = file_of(bring(cells=cells), max_, orders)
    assert head == ["Id", "Practice", "A", "B"]
    assert rows == [[str(order.id), "", "failed", "failed"] for order in orders]
    assert [(one.plugin, one.place, one.code) for one in plugin_failures] == [("odd", "export", "parts")]
    plugin_failures.clear()


def test_a_head_that_fails_leaves_one_column_that_says_so(
    take: Take, max_: Actor, bring: Callable[..., Subject], plugin_failures: list[Failure]
) -> None:
    [order] = take(incoming_order())
    assert file_of(bring(head=fail), max_, [order]) == [["Id", "Practice", "failed"], [str(order.id), "", "failed"]]
    plugin_failures.clear()


def test_a_label_that_fails_is_the_expansions_code(
    bring: Callable[..., Subject], plugin_failures: list[Failure]
) -> None:
    assert rows_labels(bring(label=LazyString(fail))) == {"odd": "One row per order", "parts": "parts"}
    assert [(one.plugin, one.code) for one in plugin_failures] == [("odd", "parts")]
    plugin_failures.clear()
