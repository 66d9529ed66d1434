"""Held, undone, corrected, closed: what people decide about updates, and what no longer stands."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.updates import till as tills
from tests.updates.conftest import LANE, Credit, Work, go_on, later, run, update
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, sentence_of
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order, OrderEvent
from webapp.orders.queries import locked
from webapp.sync import delivering, jobs, settling
from webapp.ui.orders.shown import next_step
from webapp.updates import deciding
from webapp.updates.contract import Impossible, Owing
from webapp.updates.models import ChannelUpdate
from webapp.updates.owing import OnItsWay, owe, withdraw

# --- Held, undone, no longer wanted ---------------------------------------------------------------------------------


def test_it_is_held_and_undone_before_it_leaves(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, mia: Actor, order: Order
) -> None:
    credit(held=True)
    assert update().state == "held"
    assert update().due_at - update().created_at == timedelta(seconds=tills.HOLD)
    with later(tills.HOLD - 1):
        jobs.find_due()
        work()
        with unit_of_work():
            deciding.undo(update(), actor=mia)
    go_on(store, work)
    assert (update().state, till.paid) == ("withdrawn", [])
    assert tills.CreditKind.ended == [("C1", "withdrawn")]
    codes = db.session.scalars(select(OrderEvent.code).where(OrderEvent.order_id == order.id)).all()
    assert codes[-1] == "update_undone"


def test_one_that_a_worker_ever_took_is_on_its_way(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, mia: Actor, order: Order
) -> None:
    credit()
    with unit_of_work():
        assert delivering.claim_due(store.id, LANE, "worker") is not None
    for decide in (lambda: deciding.undo(update(), actor=mia), lambda: withdraw("credit", locked(order), ["C1"])):
        with (
            pytest.raises(OnItsWay, match="This update is already being sent, so it can't be withdrawn"),
            unit_of_work(),
        ):
            decide()
    till.fail = 1
    go_on(store, work, times=1)
    with pytest.raises(OnItsWay), unit_of_work():
        deciding.undo(update(), actor=mia)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_undo_and_claim_at_the_same_moment_do_not_both_have_it(
    store: Store, till: tills.Ledger, credit: Credit, mia: Actor, app: Any
) -> None:
    done: list[str] = []

    def claim() -> None:
        with app.app_context(), unit_of_work():
            found = delivering.claim_due(store.id, LANE, "worker")
            if found and found[1]:
                done.append("claimed")

    def undo() -> None:
        with app.app_context(), suppress(OnItsWay), unit_of_work():
            deciding.undo(update(number), actor=mia)
            done.append("undone")

    for number in range(1, 5):
        credit(number)
        done.clear()
        threads = [threading.Thread(target=one) for one in (claim, undo)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(done) == 1
        with unit_of_work():
            db.session.execute(ChannelUpdate.__table__.update().values(state="withdrawn", lease_owner=None))


def test_one_that_is_held_goes_at_once_when_somebody_says_so(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, mia: Actor
) -> None:
    credit(held=True)
    with unit_of_work():
        deciding.send_now(update(), actor=mia)
    work()
    assert till.paid == ["C1"]
    with pytest.raises(deciding.NotHeld), unit_of_work():
        deciding.send_now(update(), actor=mia)


def test_what_no_longer_stands_is_withdrawn_with_its_sentence(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, mia: Actor, order: Order
) -> None:
    credit()
    tills.CreditKind.unwanted.add("C1")
    run(store)
    assert (update().state, sentence_of(update().problem)) == ("withdrawn", "Nobody wants this credit any more.")
    with pytest.raises(tills.Unwanted), unit_of_work():
        owe("credit", [Owing(locked(order), tills.Credit(1, 5))])
    till.refuses = {"C2"}
    credit(2)
    run(store)
    go_on(store, work, times=1)
    tills.CreditKind.unwanted.add("C2")
    with pytest.raises(tills.Unwanted), unit_of_work():
        deciding.retry(update(2), actor=mia)
    assert (update(2).state, till.paid) == ("refused", [])


def test_one_that_is_not_ready_waits_and_says_why(store: Store, till: tills.Ledger, credit: Credit, work: Work) -> None:
    tills.CreditKind.waiting.add("C1")
    credit(1)
    credit(2)
    run(store)
    assert (update(1).state, update(2).state) == ("owed", "sent")
    assert sentence_of(update(1).problem) == "Nobody wants this credit any more."
    assert update(1).never_left
    tills.CreditKind.waiting.clear()
    go_on(store, work)
    assert till.paid == ["C2", "C1"]


def test_two_kinds_of_one_order_that_exclude_each_other_never_leave_together(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, order: Order, mia: Actor, take: Callable[..., Any]
) -> None:
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD0001")], actor=mia)
    work()  # the shipment is sent, and not shown yet
    credit()
    run(store)
    assert (update().state, till.paid) == ("owed", [])
    assert sentence_of(update().problem) == "This update waits for the result of “Shipment confirmation” of this order."
    shipment = db.session.scalars(select(ChannelUpdate).where(ChannelUpdate.kind == "shipment")).one()
    with unit_of_work():
        settling.end([shipment], "effective")  # type: ignore[arg-type]
    jobs.find_due()
    work()
    assert till.paid == ["C1"]


# --- Corrections ------------------------------------------------------------------------------------------------------


def test_a_correction_rewrites_what_has_not_left(store: Store, till: tills.Ledger, credit: Credit, work: Work) -> None:
    credit(1, 100)
    credit(1, 90)
    assert (update().revision, update().payload["amount"]) == (1, 90)
    run(store)
    assert [one["amount"] for [one] in till.batches.values()] == [90]


def test_a_correction_of_what_has_left_goes_after_it_and_closes_it(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, mia: Actor
) -> None:
    till.refuses = {"C1"}
    credit(1, 100)
    run(store)
    go_on(store, work, times=1)
    credit(1, 90)
    earlier, later_one = db.session.scalars(select(ChannelUpdate).order_by(ChannelUpdate.id))
    assert (earlier.revision, later_one.revision) == (1, 2)
    with pytest.raises(deciding.NotRetriable), unit_of_work():
        deciding.retry(earlier, actor=mia)
    till.refuses = set()
    run(store)
    db.session.expire_all()
    assert (earlier.state, sentence_of(earlier.problem)) == ("withdrawn", "A correction replaced this update.")
    assert (later_one.state, till.paid) == ("sent", ["C1"])
    assert [one["amount"] for [one] in till.batches.values()] == [100, 90]


# --- What people say --------------------------------------------------------------------------------------------------


def test_a_kind_that_can_not_be_looked_up_waits_for_a_person(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tills.CreditKind, "provable", False)
    till.drop = 1
    credit(1)
    run(store)
    go_on(store, work)
    assert (update().state, update().look_again_at, till.paid) == ("unknown", None, ["C1"])
    assert "then decide here" in (sentence_of(update().problem) or "")
    with unit_of_work():
        deciding.confirm(update(), actor=mia)
    go_on(store, work)
    assert (update().state, till.paid) == ("effective", ["C1"])


def test_what_was_refused_can_be_said_to_be_done_elsewhere(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, mia: Actor, order: Order
) -> None:
    till.refuses = {"C1"}
    credit()
    run(store)
    go_on(store, work, times=1)
    assert update().state == "refused"
    assert [offer.code for offer in deciding.offers(update(), mia)] == ["retry", "elsewhere", "close"]
    with unit_of_work():
        deciding.elsewhere(update(), actor=mia)
    till.refuses = set()
    go_on(store, work)
    row = update()
    assert (row.state, row.problem, till.paid) == ("done_elsewhere", None, [])
    assert row.refused_at is not None
    assert row.effective_at is not None
    assert tills.CreditKind.ended[-1] == ("C1", "done_elsewhere")
    assert deciding.offers(row, mia) == []
    assert db.session.get_one(Order, order.id).attention == []
    codes = db.session.scalars(select(OrderEvent.code).where(OrderEvent.order_id == order.id)).all()
    assert codes[-1] == "update_said_elsewhere"
    entry = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()
    assert (entry.code, entry.actor_id) == ("update_done_elsewhere", mia.id)


@pytest.mark.parametrize("state", ["held", "owed", "sent", "accepted", "effective", "unknown", "withdrawn"])
def test_only_what_was_refused_can_be_done_elsewhere(credit: Credit, mia: Actor, state: str) -> None:
    credit()
    with unit_of_work():
        update().state = state
    assert "elsewhere" not in [offer.code for offer in deciding.offers(update(), mia)]
    with pytest.raises(deciding.NotRefused, match="Only a refused update"), unit_of_work():
        deciding.elsewhere(update(), actor=mia)
    assert update().state == state


def test_nobody_says_that_it_was_done_elsewhere_where_only_a_reading_shows_it(
    credit: Credit, mia: Actor, make_user: Callable[..., Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    credit()
    with unit_of_work():
        update().state = "refused"
    reader = make_user("packer", "Paula")
    assert deciding.offers(update(), reader) == []
    with pytest.raises(Forbidden), unit_of_work():
        deciding.elsewhere(update(), actor=reader)
    monkeypatch.setattr(tills.CreditKind, "confirmable", False)
    assert [offer.code for offer in deciding.offers(update(), mia)] == ["retry", "close"]
    with pytest.raises(deciding.OnlyReadingsShow), unit_of_work():
        deciding.elsewhere(update(), actor=mia)
    assert update().state == "refused"


def test_that_money_did_not_move_can_be_said_three_days_later_after_a_fresh_look(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tills.CreditKind, "disowned_after", timedelta(hours=72))
    till.drop = 1
    credit(1)
    run(store)

    def close() -> None:
        with unit_of_work():
            deciding.close(update(), actor=mia)

    with pytest.raises(deciding.TooSoonToDisown, match="72 hours"):
        close()
    with later(73 * 3600):
        with pytest.raises(deciding.LookFirst):
            close()
        with unit_of_work():
            update().looked_at = now()
        close()
    assert update().state == "withdrawn"


def test_one_that_can_not_be_sent_is_refused_here_and_says_why(
    store: Store,
    till: tills.Ledger,
    credit: Credit,
    work: Work,
    order: Order,
    monkeypatch: pytest.MonkeyPatch,
    mia: Actor,
) -> None:
    credit()
    with monkeypatch.context() as patched:
        patched.setattr(tills.CreditKind, "ready", lambda kind, row, order: Impossible(tills.Unwanted()))
        run(store)
    assert (update().state, sentence_of(update().problem)) == ("refused", "Nobody wants this credit any more.")
    assert [trouble["kind"] for trouble in db.session.get_one(Order, order.id).attention] == ["update_impossible"]
    assert tills.CreditKind.ended == [("C1", "refused")]
    assert next_step(db.session.get_one(Order, order.id), None)[0].startswith("An update can't be sent")
    with unit_of_work():
        deciding.retry(update(), actor=mia)
    go_on(store, work)
    assert till.paid == ["C1"]
    assert db.session.get_one(Order, order.id).attention == []


def test_what_has_ended_can_not_be_undone(store: Store, till: tills.Ledger, credit: Credit, mia: Actor) -> None:
    credit(held=True)
    with unit_of_work():
        deciding.undo(update(), actor=mia)
    with pytest.raises(deciding.AlreadyEnded, match="“Withdrawn”, so it can't be undone"), unit_of_work():
        deciding.undo(update(), actor=mia)
