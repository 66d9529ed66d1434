"""The list of transactions: found by what finds their orders and by what is their own, and as files."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.billing.test_matching import arrive, item, told
from webapp.audit.actor import Actor
from webapp.billing.transaction_list import TRANSACTION_LIST, TRANSACTIONS, VIEWS
from webapp.channels.transactions import TransactionKind
from webapp.errors import Forbidden
from webapp.lists.exporting import Table, as_csv, ids_of
from webapp.lists.listing import list_page
from webapp.orders.models import Order
from webapp.search.compiling import compile_query
from webapp.search.query import parse


@pytest.fixture
def order(make_order: Callable[..., Order]) -> Order:
    """An order with a refund, which has a credit memo, and a larger claim, which has none."""
    made = make_order()
    claim = told(made, item("MUG", 200), number="T2", kind=TransactionKind.CLAIM)
    arrive(made, told(made, item("MUG", 100)), claim)
    return made


def found(text: str, actor: Actor, sort: str | None = None) -> list[str]:
    asked = compile_query(parse(text, TRANSACTIONS), actor)
    rows = list_page(TRANSACTION_LIST, actor, asked, sort=sort).rows
    return [str(row.number) for row in rows]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", ["T2", "T1"]),
        ("kind:claim", ["T2"]),
        ("has-memo", ["T1"]),
        ("memo:cm-000001", ["T1"]),
        ("transaction:T2", ["T2"]),
        ("posted:today transaction-status:released", ["T2", "T1"]),
        ("MUG total:<0 currency:eur", ["T2", "T1"]),
        ("total:<-1", ["T2"]),
        ("posted:<-30d", []),
    ],
)
def test_transactions_are_found_by_what_is_their_own(order: Order, mia: Actor, text: str, numbers: list[str]) -> None:
    assert sorted(found(text, mia), reverse=True) == numbers


def test_every_view_can_be_asked_and_the_list_is_sorted_by_total(order: Order, mia: Actor) -> None:
    assert [len(found(view.query, mia)) for view in VIEWS] == [2, 1, 0, 1]
    assert found("", mia, "total") == ["T2", "T1"]


def test_transactions_as_a_file(order: Order, make_user: Callable[..., Actor]) -> None:
    max_ = make_user("manager", "Max")
    table = Table(TRANSACTION_LIST, max_, TRANSACTIONS, ("total", "memo"))
    ids = ids_of(TRANSACTION_LIST, max_, compiled=compile_query(parse("kind:refund", TRANSACTIONS), max_))
    [row] = csv.DictReader(io.StringIO(as_csv([table.head]) + as_csv(table.cells(ids))))
    assert [row[name] for name in ("Kind", "Total", "Credit memo", "Number at the channel")] == [
        "Refund",
        "-0.50",
        "CM-000001",
        "T1",
    ]


def test_whoever_works_for_one_shop_sees_its_transactions_alone(order: Order, mia: Actor) -> None:
    assert found("", replace(mia, shops=frozenset())) == []
    with pytest.raises(Forbidden):
        found("", replace(mia, rights=frozenset()))
