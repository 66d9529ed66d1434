"""The communication log as a list: calls found by what finds their orders and by what is their own, and tried again."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.sync.conftest import update
from tests.sync.test_call_log import call, calls, report
from webapp.audit.actor import Actor
from webapp.channels.connecting import CallOutcome
from webapp.channels.models import Store
from webapp.channels.outgoing import Refused
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, NotFound
from webapp.lists.listing import count_rows, list_page, matching_ids
from webapp.lists.rows import read_rows, values_of
from webapp.orders.models import Order
from webapp.search.compiling import compile_query
from webapp.search.contract import ORDERS
from webapp.search.query import parse
from webapp.search.registered import choices_of, filter_keys, list_columns, query_keys
from webapp.sync.call_list import AT, CALL_LIST, CALLS, VIEWS, WentWell, offered, try_again
from webapp.sync.models import ChannelCall
from webapp.testing import FakeChannel, incoming_order

Work = Callable[[], int]
FAILED, LOST = CallOutcome.FAILED, CallOutcome.LOST


@pytest.fixture
def log(store: Store, take: Callable[..., list[Order]]) -> tuple[Order, Order]:
    """Eight calls, the first the oldest: of the store, of an order, of another one; each is known by its tries."""
    one, other = take(incoming_order(number="302-7777777-0000001"), incoming_order(buyer={"name": "Bo Tanaka"}))
    with unit_of_work():
        db.session.query(ChannelCall).delete()
    first, second = [one.channel_order_number], [other.channel_order_number]
    reported = [
        call(operation="orders"),
        call(operation="orders", outcome=FAILED, status=None, problem="channel_failed", detail="ReadTimeout"),
        call(operation="orders", outcome=CallOutcome.THROTTLED, status=429, detail="QuotaExceeded"),
        call(orders=first, seconds=5.4),
        call(orders=first, outcome=CallOutcome.REFUSED, status=400, problem="channel_denied", detail="InvalidInput"),
        call(orders=second, seconds=4.9),
        call(operation="shipment", orders=second, outcome=LOST, status=500, seconds=31, request_id="a1-b2"),
        call(operation="gone", orders=second, outcome=FAILED, problem="an_error_of_yesterday"),
    ]
    for number, each in enumerate(reported, start=1):
        report(store, replace(each, tries=number, at=now() - timedelta(minutes=10 - number)))
    return one, other


def found(text: str, actor: Actor) -> list[int]:
    """The calls that a query finds, newest first, by their tries."""
    asked = compile_query(parse(text, CALLS), actor)
    rows = list_page(CALL_LIST, actor, asked).rows
    assert count_rows(CALL_LIST, actor, asked) == (len(rows), False)
    assert list(db.session.scalars(matching_ids(CALL_LIST, actor, asked))) == [row.id for row in rows]
    return [row.tries for row in rows]


def said(code: str, actor: Actor) -> list[Any]:
    """The values of a column, oldest first; of labels the first text."""
    column, ids = list_columns(CALLS)[code], [one.id for one in calls()]
    values = values_of(column, read_rows(CALL_LIST, actor, ids, [column]), actor)
    return [one[0].text if isinstance(one := values.get(id_), list) and one else one for id_ in ids]


def test_each_call_says_what_it_was_and_how_it_ended(log: object, store: Store, mia: Actor) -> None:
    assert said("operation", mia) == [
        "Reading orders", "Reading orders", "Reading orders", "Reading a single order", "Reading a single order",
        "Reading a single order", "Confirming shipments", "gone",
    ]  # fmt: skip
    assert said("outcome", mia) == [
        "Done", "Failed", "Throttled", "Done", "Refused", "Done", "Answer lost", "Failed",
    ]  # fmt: skip
    assert said("http", mia) == ["200", None, "429", "200", "400", "200", "500", "200"]
    assert list(map(str, said("took", mia)))[3:7] == ["5.40", "0.25", "4.90", "31.00"]
    assert said("code", mia)[1:5] == ["ReadTimeout", "QuotaExceeded", "", "InvalidInput"]
    assert said("request_id", mia)[6] == "a1-b2"
    assert set(said("store", mia)) == {store.name}
    assert set(said("channel", mia)) == {"Fake channel"}


def test_the_message_is_the_desks_sentence_with_the_channels_code(log: object, mia: Actor) -> None:
    messages = said("message", mia)
    assert messages[1] == "Fake channel sent an answer that Waybill can't process: ReadTimeout"
    assert messages[4] == "Fake channel denies Waybill access: InvalidInput"
    assert messages[7] == "an_error_of_yesterday"
    assert messages[0] is None


def test_columns_of_orders_are_empty_without_an_order(log: tuple[Order, Order], mia: Actor) -> None:
    numbers = [one and one.text for one in said("number", mia)]
    one, other = log
    assert numbers == [None, None, None, one.number, one.number, other.number, other.number, other.number]
    for code, column in list_columns(CALLS).items():
        values = said(code, mia)
        assert column.code == code
        assert len(values) == 8


@pytest.mark.parametrize(
    ("query", "tries"),
    [
        ("", [8, 7, 6, 5, 4, 3, 2, 1]),
        ("outcome:ok", [6, 4, 1]),
        ("outcome:failed", [8, 2]),
        ("outcome:failed,ok", [8, 6, 4, 2, 1]),
        ("-outcome:ok", [8, 7, 5, 3, 2]),
        ("operation:order", [6, 5, 4]),
        ("http:429", [3]),
        ("http:>=400", [7, 5, 3]),
        ("-http:200", [7, 5, 3, 2]),
        ("took:>=5", [7, 4]),
        ("took:5", [4]),
        ("took:<5 outcome:ok", [6, 1]),
        ("took:>5", [7]),
        ("code:QuotaExceeded", [3]),
        ("code:channel_*", [5, 2]),
        ("request:a1*", [7]),
        ("store:1", [8, 7, 6, 5, 4, 3, 2, 1]),
        ("channel:fake outcome:lost", [7]),
        ("302-7777777-0000001", [5, 4]),
        ("tanaka outcome:lost", [7]),
        ("state:processing", [8, 7, 6, 5, 4]),
        ("at:<2020-01-01", []),
    ],
)
def test_calls_are_found(log: object, mia: Actor, query: str, tries: list[int]) -> None:
    assert found(query, mia) == tries


def test_views_and_filters(log: object, mia: Actor) -> None:
    assert {view.code: found(view.query.replace("at:today", ""), mia) for view in VIEWS} == {
        "all": [8, 7, 6, 5, 4, 3, 2, 1],
        "failed_today": [8, 7, 5, 2], "throttled_today": [3], "slow_today": [7, 4],
        "failed": [8, 7, 5, 2], "throttled": [3], "slow": [7, 4],
    }  # fmt: skip
    own = {"at", "operation", "outcome", "http", "took", "code", "request"}
    assert set(query_keys(CALLS)) == own | set(query_keys(ORDERS))
    assert {*own, "store", "channel", "shop", "state"} <= set(filter_keys(CALLS))
    assert choices_of(query_keys(CALLS)["operation"], mia)["shipment"] == "Confirming shipments"


def test_pages_lead_through_all(log: object, mia: Actor) -> None:
    page, walked = list_page(CALL_LIST, mia, limit=3), []
    walked += [row.tries for row in page.rows]
    while page.older:
        page = list_page(CALL_LIST, mia, after=page.older, limit=3)
        walked += [row.tries for row in page.rows]
    assert walked == [8, 7, 6, 5, 4, 3, 2, 1]
    assert [row.tries for row in list_page(CALL_LIST, mia, sort=AT).rows] == [1, 2, 3, 4, 5, 6, 7, 8]


# --- Who may see what -------------------------------------------------------------------------------------------------


def test_calls_without_an_order_need_the_right_to_see_stores(log: object, mia: Actor) -> None:
    packer = replace(mia, rights=frozenset({"orders.view"}))
    assert found("", packer) == [8, 7, 6, 5, 4]
    with pytest.raises(Forbidden):
        list_page(CALL_LIST, replace(mia, rights=frozenset({"stores.view"})))


def test_people_of_a_shop_see_its_calls_only(log: object, store: Store, mia: Actor) -> None:
    assert found("", replace(mia, shops=frozenset({store.shop_id}))) == [8, 7, 6, 5, 4, 3, 2, 1]
    assert found("", replace(mia, shops=frozenset({store.shop_id + 1}))) == []


# --- Trying again -----------------------------------------------------------------------------------------------------


def labels(actor: Actor) -> list[str | None]:
    """What is offered for each call, oldest first."""
    rows = read_rows(CALL_LIST, actor, [one.id for one in calls()], [])
    return [None if (word := offered(row, actor)) is None else str(word) for row in rows]


def test_each_failed_call_is_offered_its_act(log: object, operator: Actor, mia: Actor) -> None:
    store, order = "Sync the store", "Reload the order"
    assert labels(operator) == [None, store, store, None, order, None, order, order]
    assert set(labels(replace(mia, rights=frozenset({"orders.view", "stores.view"})))) == {None}


def test_a_refused_update_is_sent_again(shipped: Order, channel: FakeChannel, work: Work, mia: Actor) -> None:
    channel.outcomes.append(Refused("no"))
    work()
    report(shipped.store, call(operation="shipment", outcome=CallOutcome.REFUSED, updates=[update().id]))
    assert update().state == "refused"
    assert labels(mia)[-1] == "Try again"

    with unit_of_work():
        assert str(try_again(calls()[-1].id, actor=mia)) == "The update is being sent again."
    work()
    assert (update().state, len(channel.delivered)) == ("sent", 2)
    assert labels(mia)[-1] in ("Reload the order", None)


def test_an_order_is_read_again(
    log: tuple[Order, Order], channel: FakeChannel, work: Work, operator: Actor, store: Store
) -> None:
    with unit_of_work():
        try_again(calls()[4].id, actor=operator)
    work()
    assert (calls()[-1].operation, calls()[-1].order_id) == ("order", log[0].id)
    with unit_of_work():
        assert str(try_again(calls()[1].id, actor=operator)) == "The sync of the store has started."
    work()
    assert len(channel.asked) > 0
    with pytest.raises(WentWell), unit_of_work():
        try_again(calls()[0].id, actor=operator)


def test_nobody_repeats_what_they_may_not(log: object, mia: Actor, store: Store) -> None:
    ids = [one.id for one in calls()]
    with pytest.raises(Forbidden), unit_of_work():
        try_again(ids[4], actor=replace(mia, rights=frozenset({"orders.view"})))
    with pytest.raises(NotFound), unit_of_work():
        try_again(ids[1], actor=replace(mia, rights=frozenset({"orders.view", "stores.sync"})))
    with pytest.raises(NotFound), unit_of_work():
        try_again(ids[4], actor=replace(mia, shops=frozenset({store.shop_id + 1})))
