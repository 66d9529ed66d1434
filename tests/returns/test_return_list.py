"""The list of returns: found by what they and their orders are, and orders by them."""

from collections.abc import Callable
from functools import partial

import pytest

from tests.plans import plans_of
from tests.refunds import shipped_line, shipped_order
from webapp.audit.actor import Actor
from webapp.channels.returns import ReturnReason
from webapp.db import db, unit_of_work
from webapp.lists.listing import count_rows, list_page, matching_ids
from webapp.lists.rows import read_rows, values_of
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.returns import services
from webapp.returns.contract import ReturnItem
from webapp.returns.models import Return
from webapp.returns.return_list import LINES, RETURN_LIST, RETURNS, TO_DECIDE
from webapp.search.compiling import compile_query
from webapp.search.query import parse
from webapp.search.registered import list_columns

Take = Callable[..., list[Order]]


@pytest.fixture
def returns(take: Take, mia: Actor) -> list[Return]:
    """One that is requested, one that is denied, and one of two products of a buyer in Japan, partly here."""
    lines, buyer = [shipped_line("BOWL", 2), shipped_line("CUP")], {"name": "田中 Bo"}
    orders = take(shipped_order(), shipped_order(), shipped_order(lines, buyer=buyer))
    reasons = (ReturnReason.OTHER, ReturnReason.TOO_LATE, ReturnReason.DEFECTIVE)
    made = []
    with unit_of_work():
        for order, reason in zip(orders, reasons, strict=True):
            items = [ReturnItem(line.id, line.shipped, reason) for line in locked(order).lines]
            made.append(services.request_return(order, items, actor=mia))
        services.deny_return(orders[1], made[1].id, actor=mia)
        services.authorize_return(orders[2], made[2].id, {}, actor=mia)
        services.receive_return(orders[2], made[2].id, {orders[2].lines[0].id: 1}, actor=mia)
    return made


def found(text: str, actor: Actor) -> list[int]:
    asked = compile_query(parse(text, RETURNS), actor)
    rows = list_page(RETURN_LIST, actor, asked).rows
    assert count_rows(RETURN_LIST, actor, asked) == (len(rows), False)
    assert list(db.session.scalars(matching_ids(RETURN_LIST, actor, asked))) == [row.id for row in rows]
    return [row.id for row in rows]


def said(code: str, rows: list[Return], actor: Actor) -> list[object]:
    column, ids = list_columns(RETURNS)[code], [row.id for row in rows]
    values = values_of(column, read_rows(RETURN_LIST, actor, ids, [column]), actor)
    return [values.get(id_) for id_ in ids]


def test_each_return_says_what_it_is_and_how_far_it_has_come(returns: list[Return], mia: Actor) -> None:
    assert said("rma", returns, mia) == ["R-000001", "R-000002", "R-000003"]
    states = [[label.text for label in labels] for labels in said("return", returns, mia)]  # type: ignore[attr-defined]
    assert states == [["Requested"], ["Denied"], ["Partly received"]]
    assert said("asked", returns, mia) == [1, 1, 3]
    assert said("received", returns, mia) == [0, 0, 1]
    assert said("reason", returns, mia) == ["Another reason", "Arrived too late", "Damaged or defective"]
    assert (said("by", returns[:1], mia), said("buyer", returns[2:], mia)) == (["Mia"], ["田中 Bo"])
    [bowl, cup] = LINES.cells([returns[2].id])[returns[2].id]
    assert (bowl[0], bowl[2:7], cup[2:7]) == ("BOWL", [2, 2, 1, 0, 0], [1, 1, 0, 0, 0])
    assert bowl[7:] == ["Damaged or defective", "Not known", "Refund the buyer"]


def test_returns_are_found_and_orders_by_them(returns: list[Return], mia: Actor) -> None:
    for query, places in {
        "": [2, 1, 0],
        "rma:R-000002": [1],
        "rma:3": [2],
        "rma:R-x": [],
        "return:requested,denied": [1, 0],
        "-return:denied": [2, 0],
        "reason:defective": [2],
        "requested:today": [2, 1, 0],
        "sku:BOWL": [2],
        "田中": [2],
    }.items():
        assert found(query, mia) == [returns[place].id for place in places], query
    for query in ("return:partly_received", "rma:r-3"):
        asked = compile_query(parse(query), mia)
        assert [row.id for row in list_page(ORDER_LIST, mia, asked).rows] == [returns[2].order_id]


def test_returns_that_wait_are_found_by_their_state(returns: list[Return], mia: Actor) -> None:
    """Few of all returns wait; those that are over are read along the sorting."""
    for query, index in {TO_DECIDE: "ix_returns_state", "return:closed": "ix_returns_requested_at"}.items():
        asked = compile_query(parse(query, RETURNS), mia)
        [plan, *_] = plans_of(partial(list_page, RETURN_LIST, mia, asked), "returns")
        assert db.engine.dialect.name == "postgresql" or index in plan, plan
