"""When the batches of a lane go, and what a look-up is told of the others."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.updates import till as tills
from tests.updates.conftest import LANE, Credit, Work, connected, later, run, update
from webapp.audit.actor import Actor
from webapp.channels.connecting import StoreAccess
from webapp.channels.models import Store
from webapp.channels.outgoing import Begun, Outcome, Update
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.orders.models import Order
from webapp.sync import jobs
from webapp.testing import incoming_order
from webapp.updates import deciding
from webapp.updates.models import UpdateAttempt


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The seconds that the till's lane waits, usually and at least."""
    seconds = {"usual": 0.0, "urgent": 0.0}

    def when(self: Any, store: StoreAccess, lane: str, *, urgent: bool = False) -> float:
        assert lane == LANE
        assert "secret" not in store.settings
        return seconds["urgent" if urgent else "usual"]

    monkeypatch.setattr(tills.TillChannel, "when", when)
    return seconds


@pytest.fixture
def looks(channel: tills.TillChannel, monkeypatch: pytest.MonkeyPatch) -> list[Update]:
    """What the channel was given to look up."""
    given: list[Update] = []
    look_up = tills.TillChannel.look_up

    def remember(self: Any, store: StoreAccess, updates: Sequence[Update]) -> Mapping[int, Outcome]:
        given.extend(updates)
        return look_up(self, store, updates)

    monkeypatch.setattr(tills.TillChannel, "look_up", remember)
    return given


def begun_of(one: Update) -> Begun:
    assert one.begun is not None
    return one.begun


# --- When a batch goes ------------------------------------------------------------------------------------------------


def test_a_lane_that_waits_sends_nothing_and_its_updates_can_be_undone(
    store: Store, till: tills.Ledger, credit: Credit, waits: dict[str, float], mia: Actor
) -> None:
    credit(1)
    credit(2)
    waits["usual"] = 300.0
    run(store)
    assert till.paid == []
    for number in (1, 2):
        assert update(number).never_left
        assert update(number).due_at > now() + timedelta(seconds=200)
    with unit_of_work():
        deciding.undo(update(1), actor=mia)
    waits["usual"] = 0.0
    with later(310):
        run(store)
    assert till.paid == ["C2"]


def test_one_that_a_person_wants_sent_goes_as_soon_as_the_channel_allows(
    store: Store, till: tills.Ledger, credit: Credit, waits: dict[str, float], mia: Actor
) -> None:
    credit(1)
    waits |= {"usual": 1200.0, "urgent": 60.0}
    run(store)
    assert deciding.sendable(update())
    with unit_of_work():
        deciding.send_now(update(), actor=mia)
    assert not deciding.sendable(update())
    run(store)
    assert till.paid == []
    assert update().due_at < now() + timedelta(seconds=61)
    waits["urgent"] = 0.0
    with later(61):
        run(store)
    assert till.paid == ["C1"]


def test_what_is_put_off_for_another_reason_is_not_sent_now(
    store: Store, till: tills.Ledger, credit: Credit, mia: Actor
) -> None:
    credit(1)
    till.fail = 1
    run(store)
    assert (update().state, update().attempts) == ("owed", 1)
    with pytest.raises(deciding.NotHeld), unit_of_work():
        deciding.send_now(update(), actor=mia)


def test_a_channel_that_fails_to_say_when_keeps_nothing_back(
    store: Store, till: tills.Ledger, credit: Credit, monkeypatch: pytest.MonkeyPatch, plugin_failures: list[Any]
) -> None:
    def breaks(self: Any, store: StoreAccess, lane: str, *, urgent: bool = False) -> float:
        raise KeyError("no")

    monkeypatch.setattr(tills.TillChannel, "when", breaks)
    credit(1)
    run(store)
    assert till.paid == ["C1"]
    assert [(one.place, one.code) for one in plugin_failures] == [("update", "till")]
    plugin_failures.clear()


def test_very_many_go_in_one_larger_batch(
    store: Store, till: tills.Ledger, credit: Credit, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipment, carriage = tills.TillChannel.kinds
    monkeypatch.setattr(tills.TillChannel, "kinds", (shipment, replace(carriage, batch=2, many=5)))
    for number in range(1, 5):
        credit(number)
    run(store)
    assert [len(batch) for batch in till.batches.values()] == [2]
    for number in range(5, 8):
        credit(number)
    run(store)
    assert [len(batch) for batch in till.batches.values()] == [2, 5]
    assert sorted(till.paid) == [f"C{number}" for number in range(1, 8)]


# --- What a look-up is told -------------------------------------------------------------------------------------------


def test_a_lost_one_is_looked_up_with_all_of_its_attempt_and_the_handles_of_others(
    store: Store, till: tills.Ledger, channel: tills.TillChannel, credit: Credit, looks: list[Update]
) -> None:
    other = connected(till, channel, "The same till")
    with unit_of_work():
        db.session.get_one(Store, other.id).account = db.session.get_one(Store, store.id).account
    credit(1)
    run(store)
    first = update(1).handle
    credit(2)
    credit(3)
    till.drop = 1
    run(store)
    assert {update(2).state, update(3).state} == {"unknown"}
    looks.clear()
    with later(3):
        for _ in range(2):  # each attempt by itself
            jobs.look_up(store.id, LANE)
    [one, _] = [one for one in looks if one.handle is None]
    assert begun_of(one).updates == {update(2).id, update(3).id}
    assert begun_of(one).messages == 2
    assert one.known == {first}


def test_the_handle_of_an_attempt_stays_known_when_its_updates_are_sent_again(
    store: Store, till: tills.Ledger, credit: Credit
) -> None:
    till.leaves = {1}
    credit(1)
    run(store)
    handle = update().handle
    with later(3):
        jobs.look_up(store.id, LANE)
    assert (update().state, update().handle, update().attempt_id) == ("owed", None, None)
    assert [attempt.handle for attempt in db.session.query(UpdateAttempt)] == [handle]


def test_accepted_ones_are_marked_and_their_orders_are_read(
    store: Store,
    till: tills.Ledger,
    channel: tills.TillChannel,
    order: Order,
    credit: Credit,
    looks: list[Update],
    work: Work,
) -> None:
    credit(1)
    run(store)
    with later(3):
        jobs.look_up(store.id, LANE)
    assert update().state == "accepted"
    with later(400):
        jobs.look_up(store.id, LANE)
    assert [one.accepted for one in looks] == [False, True]
    channel.offer(incoming_order(number=order.channel_order_number, flags=("credited:C1",)))
    work()
    assert update().state == "effective"


def test_many_results_are_written_in_parts(
    store: Store, till: tills.Ledger, credit: Credit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SETTLED_AT_ONCE", 2)
    settle, parts = jobs.settle, []

    def counted(outcomes: Mapping[int, Outcome], owner: str) -> int | None:
        parts.append(len(outcomes))
        return settle(outcomes, owner)

    monkeypatch.setattr(jobs, "settle", counted)
    for number in (1, 2, 3):
        credit(number)
    run(store)
    assert parts == [2, 1]
    assert {update(number).state for number in (1, 2, 3)} == {"sent"}
