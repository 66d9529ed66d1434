"""The merchant's acts reach the channel exactly once, or say why not: killed, repeated, refused, lost."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select, update as change

from tests.plans import plans_of
from tests.sync.conftest import update
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.channels.connecting import ChannelError, Denied, Disconnected, Throttled
from webapp.channels.incoming import IncomingPackage
from webapp.channels.models import Store
from webapp.channels.outgoing import Effective, NothingLearned, NotYet, Outcome, Refused, Sent, Unknown
from webapp.clock import now
from webapp.db import analyze, db, unit_of_work, write_rows
from webapp.errors import Forbidden, sentence_of
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.hooks.failures import Failure
from webapp.i18n import force_locale
from webapp.jobs import queue
from webapp.jobs.queues import DELIVERING
from webapp.orders.models import Order, OrderEvent
from webapp.orders.queries import locked
from webapp.sync import delivering, jobs, leases, settling
from webapp.testing import FakeChannel, again, incoming_line, incoming_order, line_again
from webapp.updates import deciding, queries
from webapp.updates.models import ChannelUpdate, UpdateState

Work = Callable[[], int]


def later(seconds: float) -> time_machine.travel:
    return time_machine.travel(now() + timedelta(seconds=seconds), tick=True)


def events(order: Order) -> list[str]:
    return list(
        db.session.scalars(select(OrderEvent.code).where(OrderEvent.order_id == order.id).order_by(OrderEvent.id))
    )


def test_a_confirmation_is_owed_with_the_shipment_and_not_without_it(shipped: Order, channel: FakeChannel) -> None:
    row = update()
    assert (row.state, row.reference, row.attempts) == ("owed", "1", 0)
    assert row.payload["lines"] == {shipped.lines[0].channel_line_number: 2}
    assert channel.delivered == []


def test_nothing_is_owed_when_the_act_is_rolled_back(take: Callable[..., list[Order]], mia: Actor, work: Work) -> None:
    [order] = take(incoming_order())

    def crash() -> None:
        with unit_of_work():
            ship_order(locked(order), [PackageInput("DHL", "JD0001")], actor=mia)
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        crash()
    assert db.session.query(ChannelUpdate).count() == 0
    assert work() == 0


def test_it_is_sent_and_effective_by_a_later_reading(
    shipped: Order, channel: FakeChannel, work: Work, take: Callable[..., list[Order]]
) -> None:
    work()
    assert update().state == "sent"
    line = shipped.lines[0].channel_line_number
    told = incoming_order([incoming_line("MUG", 2, number=line)], number=shipped.channel_order_number)
    package = IncomingPackage("1", {line: 2}, "DHL", "", "JD0001")
    take(again(told, packages=(package,), lines=line_again(told, fulfilled=2, unfulfilled=0)))
    row = update()
    assert row.state == "effective"
    assert row.effective_at is not None
    assert events(shipped)[:2] == ["placed", "shipped"]
    assert set(events(shipped)[2:]) == {"update_sent", "changed_there", "update_effective"}


def test_it_is_effective_by_looking_up_after_90_seconds(shipped: Order, channel: FakeChannel, work: Work) -> None:
    work()
    channel.found.append(Effective())
    jobs.find_due()
    work()
    assert update().state == "sent"
    with later(91):
        jobs.find_due()
        work()
    assert update().state == "effective"


def test_a_refusal_stands_with_the_channels_sentence_and_can_be_retried(
    shipped: Order, channel: FakeChannel, work: Work, mia: Actor
) -> None:
    channel.outcomes.append(Refused("PackageToUpdateNotFound"))
    work()
    row = update()
    assert (row.state, sentence_of(row.problem)) == ("refused", "PackageToUpdateNotFound")
    assert "update_refused" in [trouble["kind"] for trouble in shipped.attention]

    with unit_of_work():
        deciding.retry(update(), actor=mia)
    with later(1):
        jobs.find_due()
        work()
    assert update().state == "sent"
    assert len(channel.delivered) == 2
    assert shipped.attention == []


def test_a_refused_one_is_closed_without_being_sent_and_keeps_its_reason(
    shipped: Order, channel: FakeChannel, work: Work, mia: Actor, make_user: Callable[..., Actor]
) -> None:
    channel.outcomes.append(Refused("order is canceled"))
    work()
    rob = make_user("read_only", "Rob")
    with pytest.raises(Forbidden), unit_of_work():
        deciding.close(update(), actor=rob)
    with unit_of_work():
        deciding.close(update(), actor=mia)
    with later(3600):
        jobs.find_due()
        work()
    row = update()
    assert (row.state, sentence_of(row.problem)) == ("withdrawn", "order is canceled")
    assert len(channel.delivered) == 1
    assert troubles(shipped) == []
    assert queries.unconfirmed([shipped.id]) == {}
    assert events(shipped)[-1] == "update_closed"
    assert db.session.scalars(select(AuditEntry.data).where(AuditEntry.code == "update_closed")).all() == [
        {"update": row.id, "order": shipped.id}
    ]
    with pytest.raises(deciding.NotClosable, match="can't be closed"), unit_of_work():
        deciding.close(update(), actor=mia)


def test_one_of_unknown_fate_is_closed_and_what_a_worker_learns_later_changes_nothing(
    shipped: Order, channel: FakeChannel, work: Work, mia: Actor
) -> None:
    channel.outcomes.append(Unknown())
    work()
    assert update().state == "unknown"
    with later(10):
        with unit_of_work():
            assert delivering.claim_to_look_up(shipped.store_id, "shipment", "worker") is not None
        with unit_of_work():
            deciding.close(update(), actor=mia)
        with unit_of_work():
            settling.settle({update().id: Refused("too late")}, "worker")
        jobs.find_due()
        work()
    row = update()
    assert (row.state, row.problem, len(channel.delivered)) == ("withdrawn", None, 1)


def test_what_is_on_its_way_is_not_closed(shipped: Order, work: Work, mia: Actor) -> None:
    for _state in ("owed", "sent"):
        with pytest.raises(deciding.NotClosable), unit_of_work():
            deciding.close(update(), actor=mia)
        work()


def test_what_never_settles_by_itself_keeps_no_buyer(
    shipped: Order, store: Store, channel: FakeChannel, work: Work
) -> None:
    def kept() -> bool:
        db.session.expire_all()
        return shipped.id in queries.under_way([shipped.id])

    assert kept()
    disconnected = Disconnected(channel="Fake", problem="revoked").stored()
    for changes in ({"active": False}, {"problem": disconnected}, {"channel": "left_out"}):
        before = {name: getattr(db.session.get_one(Store, store.id), name) for name in changes}
        with unit_of_work():
            db.session.execute(change(Store).values(changes))
        assert not kept()
        with unit_of_work():
            db.session.execute(change(Store).values(before))
    problem = Denied(channel="Fake", problem="no role").stored()
    channel.outcomes.append(NotYet(6 * 3600, cause=problem))
    work()
    assert update().state == "owed"
    assert not kept()
    with later(6.1 * 3600):
        jobs.find_due()
        work()
        assert update().state == "sent"
        assert kept()
    with later(31 * 3600):
        assert not kept()


def test_why_one_can_not_be_sent_again_is_stored_as_a_code(shipped: Order, mia: Actor) -> None:
    with force_locale("fr"), pytest.raises(deciding.NotRetriable) as caught, unit_of_work():
        deciding.retry(update(), actor=mia)
    stored = caught.value.stored()
    assert stored["values"] == {"state": "owed"}
    assert sentence_of(stored) == "The status of this update is “Queued”, so it can't be sent again."


@pytest.fixture
def two_packages(take: Callable[..., list[Order]], mia: Actor) -> Order:
    """An order that was just shipped in two packages; the job that sends both confirmations waits in the queue."""
    [order] = take(incoming_order([incoming_line("MUG", 2)], number="302-7777777-0000002"))
    line = order.lines[0].id
    with unit_of_work():
        each = [PackageInput("DHL", f"JD000{number}", lines={line: 1}) for number in (1, 2)]
        ship_order(locked(order), each, actor=mia)
    return order


def troubles(order: Order) -> list[str]:
    db.session.expire_all()
    assert order.needs_attention is bool(order.attention)
    return [sentence_of(trouble["values"]["problem"]) or "" for trouble in order.attention]


def test_what_is_refused_of_one_package_outlives_what_is_done_with_another(
    two_packages: Order, channel: FakeChannel, work: Work, mia: Actor
) -> None:
    channel.outcomes += [Refused("no such package"), Effective()]
    work()
    assert troubles(two_packages) == ["no such package"]

    first, second = db.session.scalars(select(ChannelUpdate).order_by(ChannelUpdate.id))
    assert (first.state, second.state) == ("refused", "effective")
    with unit_of_work():
        deciding.retry(first, actor=mia)
    assert troubles(two_packages) == []


def test_each_refusal_stands_until_its_own_package_is_sent_again(
    two_packages: Order, channel: FakeChannel, work: Work, mia: Actor
) -> None:
    channel.outcomes += [Refused("no such package"), Refused("no such carrier")]
    work()
    assert troubles(two_packages) == ["no such package", "no such carrier"]
    with unit_of_work():
        deciding.retry(db.session.scalars(select(ChannelUpdate).order_by(ChannelUpdate.id)).all()[0], actor=mia)
    assert troubles(two_packages) == ["no such carrier"]


def test_a_refused_one_that_the_channel_shows_all_the_same_is_effective(
    shipped: Order, channel: FakeChannel, work: Work, take: Callable[..., list[Order]]
) -> None:
    channel.outcomes.append(Refused("no such package"))
    work()
    line = shipped.lines[0].channel_line_number
    told = incoming_order([incoming_line("MUG", 2, number=line)], number=shipped.channel_order_number)
    package = IncomingPackage("1", {line: 2}, "DHL", "", "JD0001")
    take(again(told, packages=(package,), lines=line_again(told, fulfilled=2, unfulfilled=0)))
    assert (update().state, troubles(shipped)) == ("effective", [])


def test_a_retry_of_what_is_under_way_is_refused(shipped: Order, mia: Actor) -> None:
    with pytest.raises(deciding.NotRetriable), unit_of_work():
        deciding.retry(update(), actor=mia)


def test_a_lost_answer_is_looked_up_and_found_effective(shipped: Order, channel: FakeChannel, work: Work) -> None:
    channel.outcomes.append(Unknown())
    work()
    assert update().state == "unknown"
    channel.found.append(Effective())
    with later(5):
        jobs.find_due()
        work()
    assert update().state == "effective"
    assert len(channel.delivered) == 1


def test_a_lost_answer_whose_effect_is_not_there_is_sent_again(
    shipped: Order, channel: FakeChannel, work: Work
) -> None:
    channel.outcomes.append(Unknown())
    work()
    channel.found.append(NotYet(0))
    with later(5):
        jobs.find_due()
        work()
    assert update().state == "sent"
    assert len(channel.delivered) == 2


def test_a_throttled_channel_is_asked_again_when_it_allows(shipped: Order, channel: FakeChannel, work: Work) -> None:
    channel.failures.append(Throttled(channel="Fake", seconds=30))
    work()
    assert (update().state, channel.delivered) == ("owed", [])
    jobs.find_due()
    work()
    assert channel.delivered == []
    with later(31):
        jobs.find_due()
        work()
    assert update().state == "sent"


def test_what_never_happens_is_tried_ever_more_seldom(shipped: Order, channel: FakeChannel, work: Work) -> None:
    channel.outcomes += [NotYet(0)] * 40
    start, tries = now(), []
    work()
    while len(tries) < 8:
        with time_machine.travel(update().due_at + timedelta(seconds=1), tick=True):
            jobs.find_due()
            work()
            tries.append(len(channel.delivered))
    assert tries == list(range(3, 11))  # the second at once
    assert update().due_at - start > timedelta(minutes=50)


def test_answers_lost_again_and_again_are_sent_ever_more_seldom(
    shipped: Order, channel: FakeChannel, work: Work
) -> None:
    channel.outcomes += [Unknown()] * 40
    channel.found += [NotYet(0)] * 40
    work()
    for seconds in range(0, 120, 2):
        with later(seconds):
            jobs.find_due()
            work()
    assert 2 <= len(channel.delivered) <= 4


def test_an_unreachable_channel_loses_nothing(shipped: Order, channel: FakeChannel, work: Work) -> None:
    channel.failures.append(ChannelError(channel="Fake", problem="gone"))
    work()
    with later(61):
        jobs.find_due()
        work()
    assert update().state == "sent"


def test_why_it_waits_is_kept_by_its_code(shipped: Order, channel: FakeChannel, work: Work) -> None:
    """It is translated for the reader, not for the worker that met it."""
    channel.failures.append(ChannelError(channel="Fake", problem="gone"))
    work()
    assert update().problem == {"code": "channel_failed", "values": {"channel": "Fake", "problem": "gone"}}


@pytest.mark.parametrize("column", ["problem", "channel"])
def test_nothing_is_due_to_a_channel_that_can_not_be_asked(
    shipped: Order, store: Store, channel: FakeChannel, column: str
) -> None:
    assert delivering.due_work() == [(store.id, "shipment", "deliver")]
    with unit_of_work():
        stopped = Disconnected(channel="Fake", problem="wrong secret").stored()
        setattr(db.session.get_one(Store, store.id), column, stopped if column == "problem" else "left_out")
    assert delivering.due_work() == []


def test_one_that_the_channel_never_shows_is_marked_after_a_day(
    shipped: Order, channel: FakeChannel, work: Work
) -> None:
    work()
    for hours in (1, 25, 27):
        with later(hours * 3600):
            jobs.find_due()
            work()
    row = update()
    assert (row.state, row.problem) == ("sent", {"code": "not_shown", "values": {}})
    assert [trouble["kind"] for trouble in shipped.attention] == ["update_unseen"]
    assert events(shipped).count("update_unseen") == 1


@pytest.mark.parametrize("found", [[Refused("no such package")], [Unknown(), NotYet(0)]], ids=["refused", "lost"])
def test_one_that_is_sent_again_has_its_day_anew(
    shipped: Order, channel: FakeChannel, work: Work, mia: Actor, found: list[Outcome]
) -> None:
    channel.outcomes.append(Sent("their first receipt"))
    work()
    channel.found += found
    for seconds in (48 * 3600, 48 * 3600 + 10):
        with later(seconds):
            jobs.find_due()
            work()
    with later(48 * 3600 + 20):
        if update().state == "refused":
            with unit_of_work():
                deciding.retry(update(), actor=mia)
        jobs.find_due()
        work()
    with later(49 * 3600):
        jobs.find_due()
        work()
    row = update()
    assert len(channel.delivered) == 2
    assert (row.state, row.problem, row.handle, troubles(shipped)) == ("sent", None, None, [])
    assert events(shipped).count("update_sent") == 2


def test_one_that_could_not_be_looked_up_when_the_day_ended_is_marked_all_the_same(
    shipped: Order, channel: FakeChannel, work: Work
) -> None:
    work()
    channel.found.append(NothingLearned(60, "busy"))
    for hours in (25, 27):
        with later(hours * 3600):
            jobs.find_due()
            work()
    assert [trouble["kind"] for trouble in shipped.attention] == ["update_unseen"]


def test_done_elsewhere_is_told_apart(shipped: Order, channel: FakeChannel, work: Work) -> None:
    channel.outcomes.append(Effective(done_elsewhere=True))
    work()
    assert update().state == "done_elsewhere"


def test_a_lost_job_is_found_by_the_schedule(shipped: Order, channel: FakeChannel, work: Work) -> None:
    from webapp.jobs import queue

    queue("delivering").empty()
    assert channel.delivered == []
    jobs.find_due()
    work()
    assert len(channel.delivered) == 1


def test_the_same_job_twice_delivers_once(shipped: Order, channel: FakeChannel, work: Work) -> None:
    jobs.deliver.enqueue(shipped.store_id, "shipment")
    work()
    assert len(channel.delivered) == 1


def test_a_worker_killed_before_sending_leaves_a_row_that_is_looked_up_first(
    shipped: Order, channel: FakeChannel, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claimed, then dead: it is unknown whether the update was sent, so it is looked up before it is sent again."""
    with unit_of_work():
        assert delivering.claim_due(shipped.store_id, "shipment", "dead worker") is not None
    work()
    assert channel.delivered == []
    channel.found.append(NotYet(0))
    with later(leases.LEASE.total_seconds() + 1):
        jobs.find_due()
        work()
        jobs.find_due()
        work()
    assert update().state == "sent"
    assert len(channel.delivered) == 1


def test_a_worker_killed_after_sending_does_not_send_again(shipped: Order, channel: FakeChannel, work: Work) -> None:
    with unit_of_work():
        claimed = delivering.claim_due(shipped.store_id, "shipment", "dead worker")
        assert claimed is not None
        told = delivering.as_updates(claimed[1])
    channel.delivered += told  # it went out; then the worker died
    channel.found.append(Effective())
    with later(leases.LEASE.total_seconds() + 1):
        jobs.find_due()
        work()
        jobs.find_due()
        work()
    assert update().state == "effective"
    assert len(channel.delivered) == 1


def test_a_slow_workers_late_answer_does_not_undo_what_another_settled(shipped: Order, channel: FakeChannel) -> None:
    with unit_of_work():
        delivering.claim_due(shipped.store_id, "shipment", "slow")
    row_id = update().id
    with unit_of_work():
        row = update()
        row.lease_owner = "other"
    with unit_of_work():
        settling.settle({row_id: Refused("late")}, "slow")
    assert update().state == UpdateState.OWED


@pytest.mark.parametrize("state", ["sent", "unknown"])
@pytest.mark.parametrize(
    "reason", [NotYet(1, "busy"), NotYet(1, cause=ChannelError(channel="Fake", problem="").stored())]
)
def test_a_look_that_gives_a_reason_why_it_did_not_leave_has_learned_nothing(
    shipped: Order, channel: FakeChannel, work: Work, state: str, reason: NotYet, plugin_failures: list[Failure]
) -> None:
    """The answer could mean either: the channel is at fault, and nothing is sent twice because of it."""
    channel.outcomes.append(Sent() if state == "sent" else Unknown())
    work()
    channel.found.append(reason)
    with later(120):
        jobs.look_up(update().store_id, update().lane)
        work()
        row = update()
        assert (row.state, len(channel.delivered)) == (state, 1)
        assert row.look_again_at > now() + timedelta(seconds=50)
        assert sentence_of(row.problem).endswith("failed. The Plugins page shows the reason.")
    assert [(one.place, one.problem) for one in plugin_failures] == [("update", "NotTaken")]
    plugin_failures.clear()


def test_a_look_that_learned_nothing_is_made_again(shipped: Order, channel: FakeChannel, work: Work) -> None:
    channel.outcomes.append(Unknown())
    work()
    channel.found += [NothingLearned(600), NotYet(0)]
    with later(120):
        jobs.look_up(update().store_id, update().lane)
        row = update()
        assert (row.state, len(channel.delivered)) == ("unknown", 1)
        assert row.look_again_at > now() + timedelta(seconds=550)
    with later(800):
        jobs.find_due()
        work()
    assert (update().state, len(channel.delivered)) == ("sent", 2)


def test_a_delivery_that_learned_nothing_is_unknown(shipped: Order, channel: FakeChannel, work: Work) -> None:
    """It went through the channel's code: only a look-up can say whether it was sent."""
    channel.outcomes.append(NothingLearned(1))
    work()
    row = update()
    assert (row.state, row.look_again_at is not None, len(channel.delivered)) == ("unknown", True, 1)


def test_cancellations_are_served_first_then_what_is_due_by_its_deadline(shipped: Order, store: Store) -> None:
    row = update()
    usual = {column.key: getattr(row, column.key) for column in ChannelUpdate.__table__.columns if column.key != "id"}
    lanes: dict[str, tuple[str, timedelta | None]] = {
        "a": ("shipment", None),
        "b": ("shipment", timedelta(hours=5)),
        "c": ("shipment", timedelta(hours=3)),
        "d": ("cancel", timedelta(hours=9)),
        "e": ("cancel", timedelta(hours=8)),
    }
    rows = [
        usual | {"reference": lane, "lane": lane, "kind": kind, "deadline": left and now() + left}
        for lane, (kind, left) in lanes.items()
    ]
    mixed = usual | {"reference": "mixed", "kind": "cancel", "lane": "c", "deadline": None}
    later_ = usual | {"reference": "later", "kind": "cancel", "lane": "b", "due_at": now() + timedelta(hours=1)}
    with unit_of_work():
        write_rows(ChannelUpdate, [*rows, mixed, later_])
        db.session.delete(db.session.get_one(ChannelUpdate, row.id))
    assert [lane for _, lane, _ in delivering.due_work()] == ["c", "e", "d", "b", "a"]
    queue(DELIVERING).empty()
    jobs.find_due()
    waiting = queue(DELIVERING).jobs
    assert [one.args[1][1] for one in waiting] == ["c", "e", "d", "b", "a"]


def test_what_is_due_is_found_among_the_open_updates(shipped: Order, store: Store) -> None:
    """Not among all that ever were: it is looked for every two seconds."""
    row = update()
    usual = {column.key: getattr(row, column.key) for column in ChannelUpdate.__table__.columns if column.key != "id"}
    ended = [usual | {"reference": f"ended-{n}", "state": "effective"} for n in range(2_000)]
    with unit_of_work():
        write_rows(ChannelUpdate, ended)
    analyze()
    plans = plans_of(delivering.due_work, "channel_updates")
    assert len(plans) == 2
    assert all("ix_channel_updates_open" in plan for plan in plans), plans
    assert not any("ix_channel_updates_due" in plan for plan in plans), plans
