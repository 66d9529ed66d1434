"""What happened to an order is written once and never rewritten; no change of an order goes without it."""

from collections.abc import Callable

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable

from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.audit.services import audit
from webapp.db import db, unit_of_work
from webapp.orders.amounts import OWN
from webapp.orders.events import LINE_COLUMNS, ORDER_COLUMNS, after_of, event_words, events_of, plain, rebuild, record
from webapp.orders.holds import hold
from webapp.orders.models import Order, OrderEvent
from webapp.orders.queries import find_order, locked, reference
from webapp.vault.services import open_sealed


@pytest.fixture
def order(make_order: Callable[..., Order]) -> Order:
    return make_order()


@pytest.mark.parametrize(
    "statement",
    [
        update(OrderEvent).values(code="rewritten"),
        update(OrderEvent).values(data={}),
        update(OrderEvent).values(actor_id=99),
        update(OrderEvent).values(cause="another"),
        update(OrderEvent).values(sealed=b"something else"),
        delete(OrderEvent),
    ],
    ids=["code", "data", "actor", "cause", "sealed", "delete"],
)
def test_events_are_never_rewritten(order: Order, statement: Executable) -> None:
    before = [(event.code, event.data, event.actor_id) for event in events_of(order)]
    with pytest.raises(DBAPIError, match="append-only"), unit_of_work():
        db.session.execute(statement.execution_options(synchronize_session=False))
    db.session.expire_all()
    assert [(event.code, event.data, event.actor_id) for event in events_of(order)] == before


def test_the_event_of_an_order_s_arrival_keeps_only_what_says_something(order: Order) -> None:
    [placed] = events_of(order)
    kept = [value for part in after_of(placed) if part for value in placed.data["after"]["lines"][part].values()]
    kept += placed.data["after"]["order"].values()
    assert kept
    assert not [value for value in kept if value is None or value is False or value in ("", [])]
    columns, lines, amounts = rebuild([placed])
    assert columns == {name: plain(getattr(order, name)) for name in ORDER_COLUMNS}
    assert lines == {str(line.id): {name: plain(getattr(line, name)) for name in LINE_COLUMNS} for line in order.lines}
    assert amounts == {(row.line_id or OWN, row.component): row.figures for row in order.amounts}
    assert amounts


def test_an_arrival_that_told_no_country_yet_leaves_it_unknown() -> None:
    old = OrderEvent(data={"after": {"order": {"channel_order_id": 1, "state": "complete"}}})
    told = after_of(old)[""]
    assert "country" not in told
    assert (told["state"], told["tags"], told["archived_at"], told["comments"]) == ("complete", [], None, 0)


def test_what_is_sealed_of_an_event_may_be_erased(order: Order, mia: Actor) -> None:
    with unit_of_work():
        event = record(find_order(reference(order), mia, lock=True), "commented", actor=mia, sealed="Mrs. Quixelworth")
    assert event.sealed is not None
    assert open_sealed([(order.id, "event", event.sealed)]) == ["Mrs. Quixelworth"]
    with unit_of_work():
        db.session.execute(update(OrderEvent).values(sealed=None))
    db.session.expire_all()
    assert events_of(order)[0].sealed is None
    assert events_of(order)[0].code == "commented"


@pytest.mark.parametrize("statement", [update(AuditEntry).values(code="rewritten"), delete(AuditEntry)])
def test_the_record_of_who_did_what_is_never_rewritten(order: Order, operator: Actor, statement: Executable) -> None:
    with unit_of_work():
        audit("tried", actor=operator)
    with pytest.raises(DBAPIError, match="append-only"), unit_of_work():
        db.session.execute(statement)


def test_an_order_changed_without_an_event_is_not_committed(order: Order, mia: Actor) -> None:
    for change in ("state", "line", "early"):
        with pytest.raises(RuntimeError, match="changed without an event"), unit_of_work():  # noqa: PT012
            locked = find_order(reference(order), mia, lock=True)
            if change == "line":
                locked.lines[0].shipped = 1
            else:
                locked.on_hold = True
            if change == "early":
                db.session.flush()
        db.session.expire_all()
        assert (order.on_hold, order.lines[0].shipped) == (False, 0)
    with unit_of_work():  # and what was refused is forgotten
        hold(find_order(reference(order), mia, lock=True), "check", actor=mia)


def test_what_changed_before_a_flush_is_in_the_event_all_the_same(order: Order, mia: Actor) -> None:
    with unit_of_work():
        locked = find_order(reference(order), mia, lock=True)
        locked.on_hold = True
        db.session.flush()
        locked.canceling = True
        locked.on_hold = False
        db.session.flush()
        event = record(locked, "tried", actor=mia)
    assert event.data["after"] == {"order": {"on_hold": False, "canceling": True}}
    assert event.data["before"] == {"order": {"on_hold": False, "canceling": False}}


def test_values_before_are_kept_where_a_person_changed_them(order: Order, mia: Actor) -> None:
    for actor, kept in ((mia, True), (Actor.channel(1), False)):
        with unit_of_work():
            locked = find_order(reference(order), mia, lock=True)
            locked.on_hold = not locked.on_hold
            event = record(locked, "tried", actor=actor)
        assert ("before" in event.data) is kept


def test_news_that_change_nothing_make_no_form_stale(order: Order, mia: Actor) -> None:
    with unit_of_work():
        locked = find_order(reference(order), mia, lock=True)
        record(locked, "update_sent", actor=Actor.channel(1))
        assert locked.version == 1
        record(locked, "commented", actor=mia)
        assert locked.version == 2


def test_every_event_has_words_and_no_sentence_is_stored(order: Order, mia: Actor) -> None:
    with unit_of_work():
        hold(find_order(reference(order), mia, lock=True), "check", actor=mia)
    stored = db.session.scalars(select(OrderEvent)).all()
    assert {event.code for event in stored} <= set(event_words())
    for event in stored:
        sentence = str(event_words()[event.code].sentence)
        assert sentence % event.data["values"] if "values" in event.data else sentence
        assert sentence not in str(event.data)


def test_a_savepoint_rolled_back_takes_only_its_own_changes_along(make_order: Callable[..., Order], mia: Actor) -> None:
    order = make_order(quantity=3)
    with unit_of_work():
        row = locked(order)
        row.service_level = "kept"
        db.session.flush()
        savepoint = db.session.begin_nested()
        row.service_level = "lost"
        db.session.flush()
        savepoint.rollback()
        with db.session.begin_nested():
            row.marketplace = "kept too"
        record(row, "touched", actor=mia)
    event = db.session.scalars(select(OrderEvent).where(OrderEvent.code == "touched")).one()
    assert event.data["after"]["order"] == {"service_level": "kept", "marketplace": "kept too"}
