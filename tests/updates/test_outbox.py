"""The outbox: updates of all orders, found by what finds their orders and by what is their own."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.plans import plans_of
from tests.updates import till as tills
from tests.updates.conftest import Credit, later
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Forbidden, NotFound
from webapp.lists.listing import count_rows, list_page, matching_ids
from webapp.lists.rows import read_rows, values_of
from webapp.orders.models import Order
from webapp.search.compiling import compile_query
from webapp.search.contract import ORDERS, KeyKind
from webapp.search.query import QueryMistake, parse
from webapp.search.registered import choices_of, filter_keys, list_columns, query_keys
from webapp.testing import incoming_order
from webapp.updates import deciding
from webapp.updates.models import ChannelUpdate, UpdateState
from webapp.updates.outbox import DEADLINE, DUE, OUTBOX, OUTBOX_LIST, QUEUED

Take = Callable[..., list[Order]]
STATES = ("held", "owed", "sent", "accepted", "effective", "refused", "unknown", "withdrawn")
EVERY = [f"C{number}" for number in range(len(STATES), 0, -1)]  # newest first


def change(number: int, **values: object) -> None:
    with unit_of_work():
        assert db.session.query(ChannelUpdate).filter_by(reference=f"C{number}").update(values) == 1  # type: ignore[arg-type]


@pytest.fixture
def updates(till: tills.Ledger, store: Store, order: Order, take: Take, credit: Credit, mia: Actor) -> list[int]:
    """An update in each state, the last four of another order; ids, oldest first."""
    [other] = take(incoming_order(buyer={"name": "Bo Tanaka"}))
    for number, state in enumerate(STATES, start=1):
        credit(number, of=order if number <= 4 else other)
        change(number, state=state, created_at=now() - timedelta(days=10 - number))
    change(3, sent_at=now())
    change(4, sent_at=now())
    return list(db.session.scalars(matching_ids(OUTBOX_LIST, mia, sort=QUEUED)))


def found(text: str, actor: Actor) -> list[str]:
    """The references of the updates that a query finds, newest first."""
    asked = compile_query(parse(text, OUTBOX), actor)
    rows = list_page(OUTBOX_LIST, actor, asked).rows
    assert count_rows(OUTBOX_LIST, actor, asked) == (len(rows), False)
    assert list(db.session.scalars(matching_ids(OUTBOX_LIST, actor, asked))) == [row.id for row in rows]
    return [row.reference for row in rows]


def said(code: str, ids: list[int], actor: Actor) -> list[object]:
    column = list_columns(OUTBOX)[code]
    values = values_of(column, read_rows(OUTBOX_LIST, actor, ids, [column]), actor)
    return [values.get(id_) for id_ in ids]


def texts(code: str, ids: list[int], actor: Actor) -> list[str]:
    return [labels[0].text for labels in said(code, ids, actor)]  # type: ignore[index]


def test_each_update_says_what_it_is_how_far_it_came_and_why_not_further(updates: list[int], mia: Actor) -> None:
    change(1, due_at=now() + timedelta(minutes=10))
    change(6, problem={"code": "not_shown", "values": {}}, deadline=now(), attempts=2)
    assert texts("sending", updates, mia) == [
        "Held", "Queued", "Sent", "Accepted", "Confirmed", "Refused", "Unknown", "Withdrawn",
    ]  # fmt: skip
    assert set(said("kind", updates, mia)) == {"Credit"}
    lane, refused = "This update waits until “Credit” of this account has finished.", said("reason", updates, mia)[5]
    assert said("reason", updates, mia) == [None, lane, None, None, None, refused, None, None]
    assert "does not show it" in str(refused)
    assert [at is not None for at in said("goes", updates, mia)] == [True, *[False] * 7]
    assert said(DEADLINE, updates, mia)[5] is not None
    assert said("attempts", updates, mia) == [0, 0, 0, 0, 0, 2, 0, 0]
    assert len(set(map(str, said("channel_number", updates, mia)))) == 2
    change(6, state="withdrawn")
    assert said(DEADLINE, updates, mia)[5] is None


@pytest.mark.parametrize(
    ("query", "references"),
    [
        ("", EVERY),
        ("sending:owed", ["C2"]),
        ("sending:held,owed", ["C2", "C1"]),
        ("sending:effective,owed", ["C5", "C2"]),
        ("-sending:refused,unknown", ["C8", "C5", "C4", "C3", "C2", "C1"]),
        ("kind:credit", EVERY),
        ("-kind:credit", []),
        ("decide:yes", ["C7", "C6"]),
        ("decide", ["C7", "C6"]),
        ("decide:no sending:sent,refused", ["C3"]),
        ("tanaka sending:refused", ["C6"]),
        ("302-7777777-0000001", ["C4", "C3", "C2", "C1"]),
        ("queued:<=-7d sending:held,owed,sent", ["C3", "C2", "C1"]),
        ("state:processing -tanaka", ["C4", "C3", "C2", "C1"]),
    ],
)
def test_updates_are_found(updates: list[int], mia: Actor, query: str, references: list[str]) -> None:
    assert found(query, mia) == references


def test_what_was_never_shown_or_is_denied_needs_a_decision(updates: list[int], mia: Actor) -> None:
    change(3, sent_at=now() - timedelta(days=30))
    assert found("decide:yes", mia) == ["C7", "C6", "C3"]
    assert "C3" not in found("decide:no", mia)
    change(2, problem={"code": "channel_denied", "values": {}})
    assert found("decide:yes", mia) == ["C7", "C6", "C3", "C2"]


def test_times_count_while_something_can_be_done(updates: list[int], mia: Actor) -> None:
    for number in range(1, 9):
        change(number, deadline=now() + timedelta(hours=number - 5), due_at=now())
    assert found("deadline:late", mia) == ["C4", "C3", "C2", "C1"]
    assert found("deadline:<3h", mia) == ["C7", "C6", "C4", "C3", "C2", "C1"]  # C5 is confirmed
    assert found("goes:<=tomorrow", mia) == ["C2", "C1"]


def test_every_key_divides_the_list(updates: list[int], mia: Actor) -> None:
    values = {
        KeyKind.YES_NO: ["yes", "no"],
        KeyKind.NUMBER: [">=0"],
        KeyKind.MONEY: [">=0"],
        KeyKind.DATE: ["today", ">=2020-01-01"],
        KeyKind.DEADLINE: ["late", ">=2020-01-01"],
        KeyKind.TEXT: ["C1", "MUG"],
    }
    asked = 0
    for code, key in query_keys(OUTBOX).items():
        for text in values.get(key.kind) or choices_of(key, mia):
            try:
                ours, others = found(f"{code}:{text}", mia), found(f"-{code}:{text}", mia)
            except QueryMistake:
                continue
            assert sorted(ours + others) == sorted(EVERY), (code, text)
            asked += 1
    assert asked > 60


def test_keys_of_orders_hold_and_those_of_its_own_clash_with_none(updates: list[int], mia: Actor) -> None:
    own = {"sending", "kind", "decide", QUEUED, "goes", DEADLINE}
    assert set(query_keys(ORDERS)).isdisjoint(own)
    assert set(query_keys(OUTBOX)) == own | set(query_keys(ORDERS))
    assert {*own, "store", "shop"} <= set(filter_keys(OUTBOX))


def test_whoever_works_for_one_shop_sees_its_updates_alone(updates: list[int], mia: Actor) -> None:
    apart = replace(mia, shops=frozenset())
    assert found("", apart) == []
    assert deciding.in_order(updates, apart) == []
    with pytest.raises(Forbidden):
        list_page(OUTBOX_LIST, Actor(mia.kind))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hours=st.lists(st.integers(0, 3) | st.none(), min_size=8, max_size=8), limit=st.integers(1, 9))
def test_pages_walk_over_every_update_once(updates: list[int], mia: Actor, hours: list[int | None], limit: int) -> None:
    at = now()
    for number, hour in enumerate(hours, start=1):
        change(
            number,
            deadline=None if hour is None else at + timedelta(hours=hour),
            due_at=at + timedelta(hours=hour or 0),
        )
    for name in (QUEUED, DUE, DEADLINE):
        for sort in (name, f"-{name}"):
            every = [row.id for row in list_page(OUTBOX_LIST, mia, sort=sort, limit=0).rows]
            walked, page = [], list_page(OUTBOX_LIST, mia, sort=sort, limit=limit)
            while True:
                walked += [row.id for row in page.rows]
                if page.older is None:
                    break
                page = list_page(OUTBOX_LIST, mia, sort=sort, after=page.older, limit=limit)
            assert walked == every
            assert sorted(walked) == sorted(updates)


def test_of_many_those_that_are_refused_leave_the_others_alone(updates: list[int], mia: Actor) -> None:
    ids = deciding.in_order([*updates, 10_000], mia)
    assert ids == updates
    with unit_of_work():
        found = deciding.decide_each([*ids, 10_000], deciding.close, actor=mia)
    assert isinstance(found[10_000], NotFound)
    done = {id_ for id_, problem in found.items() if problem is None}
    assert done == {updates[5], updates[6]}
    states = {row.id: row.state for row in db.session.query(ChannelUpdate)}
    assert {states[id_] for id_ in done} == {UpdateState.WITHDRAWN}
    assert [states[id_] for id_ in updates[:5]] == list(STATES[:5])
    assert all(isinstance(found[id_], DeskError) for id_ in updates[:5])


def test_a_decision_about_many_asks_the_right_of_each_kind(
    updates: list[int], mia: Actor, make_user: Callable[..., Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    packer = make_user("packer", "Paula")
    with unit_of_work():
        refused = deciding.decide_each([updates[5]], deciding.close, actor=packer)
    assert isinstance(refused[updates[5]], Forbidden)
    monkeypatch.setattr(tills.CreditKind, "right", "orders.view")
    with unit_of_work():
        assert deciding.decide_each([updates[5]], deciding.close, actor=packer) == {updates[5]: None}


def test_what_is_offered_of_a_row_is_what_is_offered_of_its_update(updates: list[int], mia: Actor) -> None:
    column = list_columns(OUTBOX)["sending"]
    with later(90_000):
        for row in read_rows(OUTBOX_LIST, mia, updates, [column]):
            update = db.session.get_one(ChannelUpdate, row.id)
            assert [one.code for one in deciding.offers(row.update, mia)] == [
                one.code for one in deciding.offers(update, mia)
            ]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("sort", "index"),
    [
        (QUEUED, "ix_channel_updates_store_created_at"),
        (DUE, "ix_channel_updates_store_due_at"),
        (DEADLINE, "ix_channel_updates_store_deadline"),
    ],
)
def test_the_updates_of_a_store_are_read_in_their_order(updates: list[int], mia: Actor, sort: str, index: str) -> None:
    """Without all orders of the store being read first."""
    store_id = db.session.get_one(ChannelUpdate, updates[0]).store_id
    asked = compile_query(parse(f"store:{store_id}", OUTBOX), mia)
    for way in (sort, f"-{sort}"):
        [plan, *_] = plans_of(partial(list_page, OUTBOX_LIST, mia, asked, sort=way), "channel_updates")
        assert f"INDEX {index} " in plan
