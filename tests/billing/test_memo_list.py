"""The list of credit memos, with and without a number: found by what they and their orders are, and orders by them."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from tests.refunds import only_recorded, refund, reverse, shipped_line, shipped_order
from webapp.audit.actor import Actor
from webapp.billing.document_columns import ISSUED, TOTAL
from webapp.billing.memo_list import CREDIT_MEMOS, MEMO_LIST, RECORDED, name_of
from webapp.billing.models import CreditMemo, MemoState
from webapp.billing.refundable import LineWish, Wish
from webapp.channels.incoming import Component, IncomingAmount
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.lists.exporting import Table, ids_of
from webapp.lists.listing import count_rows, list_page, matching_ids
from webapp.lists.rows import read_rows, values_of
from webapp.money import Money
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.search.compiling import compile_query
from webapp.search.contract import KeyKind
from webapp.search.query import QueryMistake, parse
from webapp.search.registered import choices_of, filter_keys, list_columns, query_keys
from webapp.testing import JAPAN, incoming_order

Take = Callable[..., list[Order]]


@pytest.fixture
def memos(take: Take, mia: Actor, monkeypatch: pytest.MonkeyPatch) -> list[CreditMemo]:
    """One in the channel's accounts and one that takes it back, in euros; one in yen; then one of each other state."""
    bowl = shipped_line("BOWL", amounts=(IncomingAmount(Component.ITEM, 900, 0),), total=900)
    orders = take(
        shipped_order(),
        shipped_order([bowl], total=900, currency="JPY", marketplace=JAPAN.id, buyer={"name": "Bo Tanaka"}),
        *(shipped_order([shipped_line("CUP", 2)]) for _ in MemoState if _ != MemoState.ISSUED),
    )
    pending = [
        refund(order, Wish({order.lines[0].id: LineWish(1)}), actor=mia, reason="CustomerReturn")
        for order in orders[2:]
    ]
    only_recorded(monkeypatch)
    first, yen = (refund(order, actor=mia) for order in orders[:2])
    back = reverse(first, actor=mia)
    with unit_of_work():
        first.effective_at = now()
        for memo, state in zip(pending, [state for state in MemoState if state != MemoState.ISSUED], strict=True):
            memo.state = state
    return [first, back, yen, *pending]


def found(text: str, actor: Actor, sort: str | None = None) -> list[int]:
    asked = compile_query(parse(text, CREDIT_MEMOS), actor)
    rows = list_page(MEMO_LIST, actor, asked, sort=sort).rows
    assert count_rows(MEMO_LIST, actor, asked) == (len(rows), False)
    assert list(db.session.scalars(matching_ids(MEMO_LIST, actor, asked, sort))) == [row.id for row in rows]
    return [row.id for row in rows]


def said(code: str, memos: list[CreditMemo], actor: Actor) -> list[object]:
    column, ids = list_columns(CREDIT_MEMOS)[code], [memo.id for memo in memos]
    values = values_of(column, read_rows(MEMO_LIST, actor, ids, [column]), actor)
    return [values.get(id_) for id_ in ids]


def test_each_memo_says_what_it_is_and_how_far_it_has_come(memos: list[CreditMemo], mia: Actor) -> None:
    first, back, yen, proposed, *_rest = memos
    shown = [first, yen, back, proposed]
    assert said("document", shown, mia) == ["CM-000001", "CM-000002", "CM-000003", None]
    assert said("total", shown, mia) == [
        Money(1200, "EUR"), Money(900, "JPY"), Money(-1200, "EUR"), Money(1200, "EUR"),
    ]  # fmt: skip
    assert said("units", shown, mia) == [1, 1, -1, 1]
    states = [[label.text for label in labels] for labels in said("refund", shown, mia)]  # type: ignore[attr-defined]
    assert states == [
        ["Issued", "Only recorded here"], ["Issued", "Only recorded here"], ["Issued", "Reverses another"],
        ["Waiting for approval"],
    ]  # fmt: skip
    assert said("corrects", [back], mia) == ["CM-000001"]
    assert said("by", shown, mia) == ["Mia"] * 4
    assert said("buyer", [yen], mia) == ["Bo Tanaka"]
    assert said("reason", [first], mia) != ["CustomerReturn"]  # in words
    [row] = list_page(MEMO_LIST, mia, compile_query(parse("refund:proposed", CREDIT_MEMOS), mia), columns=[]).rows
    assert str(proposed.order.number) in name_of(row)


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ("", [0, 1, 2, 3, 4, 5, 6]),
        ("memo:CM-000001", [0]),
        ("memo:CM-*", [0, 1, 2]),
        ("issued:today", [0, 1, 2]),
        ("recorded:today", [0, 1, 2, 3, 4, 5, 6]),
        ("total:<0", [1]),
        ("total:900 currency:JPY", [2]),
        ("refund:proposed", [3]),
        ("refund:pending", [4]),
        ("refund:issued", [0, 1, 2]),
        ("refund:effective", [0]),
        ("refund:withdrawn", [5]),
        ("refund:refused", [6]),
        ("refund:proposed,pending", [3, 4]),
        ("-refund:issued", [3, 4, 5, 6]),
        ("reason:customerreturn", [0, 1, 2, 3, 4, 5, 6]),
        ("reason:None*", []),
        ("tanaka", [2]),
        ("sku:BOWL", [2]),
    ],
)
def test_memos_are_found(memos: list[CreditMemo], mia: Actor, query: str, places: list[int]) -> None:
    assert sorted(found(query, mia)) == sorted(memos[place].id for place in places)


def test_every_key_divides_the_list_in_every_sorting(memos: list[CreditMemo], mia: Actor) -> None:
    texts = {
        KeyKind.YES_NO: ["yes"], KeyKind.NUMBER: [">=0"], KeyKind.MONEY: [">=0"], KeyKind.DATE: ["today"],
        KeyKind.DEADLINE: ["late"], KeyKind.TEXT: ["CM-000001"],
    }  # fmt: skip
    everything, asked = sorted(memo.id for memo in memos), 0
    for code, key in query_keys(CREDIT_MEMOS).items():
        for text in texts.get(key.kind) or choices_of(key, mia):
            try:
                ours, others = found(f"{code}:{text}", mia), found(f"-{code}:{text}", mia)
            except QueryMistake:
                continue
            if code not in ("issued",):  # what has no number was not issued on another day either
                assert sorted(ours + others) == everything, (code, text)
            asked += 1
    assert asked > 40
    for sort in (RECORDED, ISSUED, TOTAL):
        for sign in ("", "-"):
            assert sorted(found("", mia, f"{sign}{sort}")) == everything
    assert found("", mia, ISSUED)[:3] == [memos[0].id, memos[2].id, memos[1].id]  # those without a number come last


def test_orders_are_found_by_their_memos(memos: list[CreditMemo], take: Take, mia: Actor) -> None:
    take(incoming_order())

    def orders(text: str) -> set[int]:
        return {row.id for row in list_page(ORDER_LIST, mia, compile_query(parse(text), mia)).rows}

    assert orders("memo:cm-000001") == {memos[0].order_id}
    assert orders("refund:proposed") == {memos[3].order_id}
    assert orders("refund:pending") == {memos[4].order_id}
    assert orders("refund:effective") == {memos[0].order_id}
    assert orders("refund:issued") == orders("memo:CM-*") == {memos[0].order_id, memos[2].order_id}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("query", "sort", "index"),
    [
        ("", RECORDED, "ix_credit_memos_recorded_at"),
        ("issued:>=-30d", RECORDED, "ix_credit_memos_recorded_at"),
        ("country:DE", ISSUED, "ix_credit_memos_issued_at"),
        ("", TOTAL, "ix_credit_memos_total_minor"),
        ("refund:proposed", RECORDED, ""),
        ("memo:CM-000001", RECORDED, ""),
    ],
)
def test_the_index_of_the_sorting_is_walked_for_what_many_memos_are(
    mia: Actor, query: str, sort: str, index: str
) -> None:
    asked = compile_query(parse(query, CREDIT_MEMOS), mia)
    [part] = MEMO_LIST.walk.parts(MEMO_LIST, mia, asked, sort).parts
    text = str(part.compile(db.engine))
    assert ("INDEXED BY" in text) is bool(index)
    assert index in text
    list_page(MEMO_LIST, mia, asked, sort=sort)


def test_the_filters_are_few_and_the_file_has_every_line(
    memos: list[CreditMemo], make_user: Callable[..., Actor]
) -> None:
    assert {"issued", "recorded", "total", "currency", "reason", "refund", "store"} <= set(filter_keys(CREDIT_MEMOS))
    assert "attention" not in filter_keys(CREDIT_MEMOS)
    max_ = make_user("manager", "Max")
    ids = ids_of(MEMO_LIST, max_)
    cells = list(Table(MEMO_LIST, max_, "lines", ()).cells(ids))
    lines = db.session.scalars(select(CreditMemo)).all()
    assert len(cells) == sum(len(memo.lines) for memo in lines)
