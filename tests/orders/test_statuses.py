"""The merchant's own statuses: within a state, by hand or by rule, retired and never deleted."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from tests.orders.conftest import Do
from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, Invalid
from webapp.i18n import force_locale
from webapp.orders.events import events_of
from webapp.orders.inputs import input_fields
from webapp.orders.models import Order, OrderStatus
from webapp.orders.organizing import NoStatusHere
from webapp.orders.queries import find_order
from webapp.orders.services import find_action, offers
from webapp.orders.statuses import (
    StatusElsewhere,
    StatusRetired,
    all_statuses,
    apply_rules,
    change_status,
    find_status,
    make_status,
    move_status,
    numbers_of_orders,
    retire_status,
    revive_status,
    status_name,
    statuses_of,
)
from webapp.testing import again, incoming_line, incoming_order

Take = Callable[..., list[Order]]
MakeStatus = Callable[..., None]


@pytest.fixture
def make(app: Flask, operator: Actor) -> MakeStatus:
    """Make a status of processing orders, or of others."""

    def make_one(code: str, *, state: str = "processing", rule: str = "", **names: str) -> None:
        with unit_of_work():
            make_status(code, names or {"en": code.title()}, state=state, rule=rule, actor=operator)

    return make_one


def reloaded(order: Order) -> Order:
    db.session.rollback()
    return find_order(f"@{order.id}", Actor.operator())


def codes(order: Order) -> list[str]:
    return [entry.code for entry in events_of(reloaded(order))]


def test_a_status_is_given_and_taken_off(
    make: MakeStatus, make_order: Callable[..., Order], mia: Actor, do: Do
) -> None:
    order = make_order()
    make("packing", en="Packing", fr="Emballage")
    do(order, "status", {"status": "packing"}, mia)
    entry = events_of(reloaded(order))[0]
    assert (entry.code, entry.data["values"]) == ("status_set", {"status": "packing"})
    assert entry.data["before"]["order"] == {"status": None}
    assert numbers_of_orders(mia) == {"packing": 1}
    do(order, "status", {"status": "none"}, mia)
    assert (reloaded(order).status, codes(order)[0]) == (None, "status_cleared")


def test_names_are_in_the_readers_language(make: MakeStatus) -> None:
    make("packing", en="Packing", fr="Emballage")
    make("waiting", en="Waiting")
    with force_locale("fr"):
        assert [status_name(code) for code in ("packing", "waiting", "gone")] == ["Emballage", "Waiting", "gone"]
    assert status_name("packing", "en") == "Packing"


def test_only_statuses_of_the_orders_state_are_offered_and_taken(
    make: MakeStatus, make_order: Callable[..., Order], mia: Actor, do: Do
) -> None:
    order = make_order()
    [offer] = [offer for offer in offers(order, mia) if offer.code == "status"]
    assert isinstance(offer.refusal, NoStatusHere)
    make("packing")
    make("filed", state="complete")
    make("old")
    with unit_of_work():
        retire_status(find_status("old"), actor=Actor.operator())
    row = reloaded(order)
    [status] = input_fields(find_action("status"), row, mia)
    assert [code for code, _name in status.offered.choices] == ["packing", "none"]
    for code, refusal in (("filed", StatusElsewhere), ("old", StatusRetired), ("never", StatusElsewhere)):
        with pytest.raises(refusal):
            do(order, "status", {"status": code}, mia)
        with pytest.raises(refusal):
            do(order, "comment", {"text": "x", "status": code}, mia)
    assert reloaded(order).comments == 0


def test_a_status_is_left_with_its_state_in_the_same_event(
    make: MakeStatus, take: Take, make_order: Callable[..., Order], mia: Actor, do: Do
) -> None:
    make("packing")
    order, told = make_order(), incoming_order()
    [other] = take(told)
    for one in (order, other):
        do(one, "status", {"status": "packing"}, mia)
    do(order, "ship", {"carrier": "DHL", "tracking_number": "1"}, mia)
    take(again(told, stage=ChannelStage.CANCELED, status="CANCELLED"))
    for one, code in ((order, "shipped"), (other, "changed_there")):
        entry = events_of(reloaded(one))[0]
        assert (one.status, entry.code, entry.data["after"]["order"]["status"]) == (None, code, None)


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"code": "1st"}, "code"),
        ({"code": "a b"}, "code"),
        ({"code": ""}, "code"),
        ({"code": "packing"}, "code"),
        ({"state": "lost"}, "state"),
        ({"names": {"fr": "Emballage"}}, "name_en"),
        ({"names": {"en": "x" * 41}}, "name_en"),
        ({"tone": "pink"}, "tone"),
        ({"rule": "colour:red"}, "rule"),
        ({"rule": "state:"}, "rule"),
        ({"rule": "jane doe"}, "rule"),
        ({"rule": "buyer:jane"}, "rule"),
    ],
)
def test_what_is_no_status_is_said_at_its_field(
    make: MakeStatus, operator: Actor, told: dict[str, Any], field: str
) -> None:
    make("packing")
    given = {"code": "new_one", "names": {"en": "New"}, "state": "processing"} | told
    with pytest.raises(Invalid) as refused, unit_of_work():
        make_status(given.pop("code"), given.pop("names"), actor=operator, **given)
    assert refused.value.values["field"] == field


def test_statuses_are_kept_by_who_may_change_settings(make: MakeStatus, mia: Actor, operator: Actor) -> None:
    with pytest.raises(Forbidden), unit_of_work():
        make_status("packing", {"en": "Packing"}, state="processing", actor=mia)
    for code in ("one", "two", "three"):
        make(code)
    with unit_of_work():
        move_status(find_status("three"), up=True, actor=operator)
        move_status(find_status("one"), up=True, actor=operator)
        change_status(find_status("two"), {"en": "Second"}, tone="warn", rule="", actor=operator)
        retire_status(find_status("one"), actor=operator)
    assert [row.code for row in all_statuses()] == ["one", "three", "two"]
    assert [(row.code, status_name(row.code)) for row in statuses_of("processing")] == [
        ("three", "Three"),
        ("two", "Second"),
    ]
    with unit_of_work():
        revive_status(find_status("one"), actor=operator)
    assert len(statuses_of("processing")) == 3


def test_a_retired_status_stays_where_it_is(
    make: MakeStatus, make_order: Callable[..., Order], mia: Actor, operator: Actor, do: Do
) -> None:
    order = make_order()
    make("packing", en="Packing")
    do(order, "status", {"status": "packing"}, mia)
    with unit_of_work():
        retire_status(find_status("packing"), actor=operator)
    row = reloaded(order)
    assert (row.status, status_name("packing")) == ("packing", "Packing")
    [offer] = [offer for offer in offers(row, mia) if offer.code == "status"]
    assert offer.refusal is None  # it can be taken off
    do(order, "status", {"status": "none"}, mia)


# --- Rules ------------------------------------------------------------------------------------------------------------


def test_new_orders_get_the_first_status_whose_rule_they_fit(make: MakeStatus, take: Take) -> None:
    make("japan", rule="total:>500")
    make("every", rule="state:processing")
    make("paid_for", state="pending", rule="state:pending")
    dear, cheap, waiting, done = take(
        incoming_order([incoming_line(price=99_900)]),
        incoming_order(),
        incoming_order(stage=ChannelStage.AWAITING_PAYMENT, status="PENDING"),
        incoming_order(stage=ChannelStage.SHIPPED, status="SHIPPED"),
    )
    assert [reloaded(order).status for order in (dear, cheap, waiting, done)] == ["japan", "every", "paid_for", None]
    entry = events_of(dear)[0]
    assert (entry.code, entry.actor_kind, entry.cause) == ("status_set", "job", "rule")
    assert [entry.version for entry in events_of(dear)] == [2, 1]


def test_an_order_that_comes_into_a_state_gets_its_status(make: MakeStatus, take: Take) -> None:
    make("to_pack", rule="state:processing")
    told = incoming_order(stage=ChannelStage.AWAITING_PAYMENT, status="PENDING")
    [order] = take(told)
    assert order.status is None
    take(again(told, stage=ChannelStage.OPEN, status="UNSHIPPED"))
    assert reloaded(order).status == "to_pack"
    assert codes(order) == ["status_set", "changed_there", "placed"]


def test_an_order_that_comes_to_fit_gets_its_status(
    make: MakeStatus, make_order: Callable[..., Order], make_user: Callable[..., Actor], do: Do
) -> None:
    manager = make_user("manager", "Max")
    order = make_order()
    do(order, "tag", {"add": ["gift"]}, manager)
    do(order, "tag", {"remove": ["gift"]}, manager)
    make("wrap", rule="tag:gift")
    do(order, "tag", {"add": ["gift"]}, manager)
    assert reloaded(order).status == "wrap"


def test_who_takes_a_status_off_has_the_last_word_while_the_state_lasts(
    make: MakeStatus, take: Take, mia: Actor, do: Do
) -> None:
    make("to_pack", rule="state:processing")
    told = incoming_order([incoming_line(quantity=2)])
    [order] = take(told)
    do(order, "status", {"status": "none"}, mia)
    do(order, "comment", {"text": "changes something"}, mia)
    take(again(told, status="INVOICE_UNCONFIRMED"))
    assert reloaded(order).status is None
    take(again(told, minutes=9, stage=ChannelStage.AWAITING_PAYMENT, status="PENDING"))
    take(again(told, minutes=19, stage=ChannelStage.OPEN, status="UNSHIPPED"))
    assert reloaded(order).status == "to_pack"


def test_what_somebody_chose_is_not_replaced(
    make: MakeStatus, make_order: Callable[..., Order], mia: Actor, do: Do
) -> None:
    order = make_order()
    make("mine")
    do(order, "status", {"status": "mine"}, mia)
    make("to_pack", rule="state:processing")
    do(order, "comment", {"text": "x"}, mia)
    assert reloaded(order).status == "mine"


def test_a_rule_that_is_no_longer_understood_keeps_no_order_out(
    make: MakeStatus, make_order: Callable[..., Order]
) -> None:
    make("odd", rule="state:processing")
    make("every", rule="state:processing")
    with unit_of_work():
        db.session.get_one(OrderStatus, "odd").rule = "gone:yes"
    assert reloaded(make_order()).status == "every"


def test_a_retired_status_has_no_rule(make: MakeStatus, make_order: Callable[..., Order], operator: Actor) -> None:
    make("every", rule="state:processing")
    with unit_of_work():
        retire_status(find_status("every"), actor=operator)
    assert reloaded(make_order()).status is None


def test_without_rules_one_small_table_is_asked_once(make_order: Callable[..., Order]) -> None:
    order_id = make_order().id
    asked: list[str] = []
    with unit_of_work():
        event.listen(db.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
        apply_rules([order_id])
        apply_rules([order_id])
    assert len([statement for statement in asked if statement.startswith("SELECT")]) == 1
